"""Follows every tip through plans of all procedures and both robots, without the ledger's help."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from nkloop.worklists.bench_deck import TipRackSpec

_SPEC = importlib.util.spec_from_file_location(
    "make_examples", Path(__file__).parents[1] / "protocols" / "make_examples.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
examples = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(examples)
PROCEDURES = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")


@cache
def planned(procedure, robot=""):
    return getattr(examples, procedure)(robot)


@pytest.fixture(scope="module")
def catalogue():
    return examples.shipped()[2]


def draws(worklist, catalogue):
    """`(step, what the tip had touched, what stands in the source)` for every draw of every channel."""
    kinds = {item.nickname: catalogue[item.load_name] for item in worklist.deck}
    holds = defaultdict(set, {(f.labware, f.well): set(f.liquid.per_ul) for f in worklist.fillings})
    tips = defaultdict(dict)

    def wells(nickname, well, channels):
        return [(nickname, name) for name in kinds[nickname].reached(well, channels)]

    for step in worklist.steps:
        if step.action == "pause":
            tips.clear()
        if step.action not in {"transfer", "mix"}:
            continue
        mount = worklist.mount_of(step)
        if step.tip:
            tips[mount] = {channel: set() for channel in range(step.channels)}
        sources = wells(step.labware, step.well, step.channels)
        targets = wells(step.to_labware, step.to_well, step.channels) if step.action == "transfer" else sources
        for channel, (source, target) in enumerate(zip(sources, targets, strict=True)):
            touched = tips[mount][channel]
            yield step, frozenset(touched), frozenset(holds[source])
            touched |= holds[source]
            if step.dispense_at != "rim":
                touched |= holds[target]
            holds[target] |= holds[source]


@pytest.mark.parametrize("robot", ["", "ot2"], ids=["flex", "ot2"])
@pytest.mark.parametrize("procedure", PROCEDURES)
def test_no_tip_brings_anything_into_a_source_that_is_not_there_already(procedure, robot, catalogue):
    worklist = planned(procedure, robot)
    carried = [
        (step.number, step.comment, sorted(touched - source))
        for step, touched, source in draws(worklist, catalogue)
        if touched - source
    ]
    assert carried == []


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_every_cytokine_and_every_effector_begins_with_a_new_tip(procedure):
    """Two stocks, two samples or two targets are never drawn with one tip."""
    worklist = planned(procedure)
    stocks = {(f.labware, f.well): next(iter(f.liquid.per_ul)) for f in worklist.fillings if f.liquid.lot}
    mounted, first_of = {}, defaultdict(set)
    for step in worklist.steps:
        mount = worklist.mount_of(step)
        if step.tip:
            mounted[mount] = step.tip
        if step.action == "transfer" and (step.labware, step.well) in stocks:
            first_of[mounted[mount]].add(stocks[step.labware, step.well])
    assert len(first_of) >= 3
    assert {tip: names for tip, names in first_of.items() if len(names) > 1} == {}


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_every_step_with_liquid_says_why_its_tip_is_new_or_kept(procedure):
    for step in planned(procedure).steps:
        if step.action in {"transfer", "mix"}:
            assert step.tip_policy.startswith("new:" if step.tip else "kept:"), step.number


def test_a_bench_with_wide_bore_tips_moves_its_cells_with_them_and_nothing_else(monkeypatch):
    wide = TipRackSpec(load_name="opentrons_flex_96_tiprack_1000ul", volume_ul=1000, filter=False, wide_bore=True)
    *others, deck = examples.shipped()
    bench = deck.model_copy(update={"tips": (*deck.tips, wide)})
    monkeypatch.setattr(examples, "shipped", lambda robot="": (*others, bench))
    steps = [s for s in examples.cytokine_dosing().steps if s.action == "transfer"]
    seeded = [s for s in steps if s.labware == "donors"]
    assert seeded
    assert {s.tip.partition(":")[0] for s in seeded} == {"tips_1000_plain_wide"}
    assert all("_wide" not in s.tip for s in steps if s.labware != "donors")
    assert all(s.mix_before > 0 and s.flow_factor < 1 for s in seeded)
