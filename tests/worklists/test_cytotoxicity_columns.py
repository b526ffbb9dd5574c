"""The plate of the demo campaign: inner sixty wells, whole columns, mostly eight channels."""

from __future__ import annotations

from datetime import date

import pytest

from nkloop.assays.layout import lay_out
from nkloop.assays.models import EffectorSample
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.cytotoxicity import plan_cytotoxicity
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.plans import CytotoxicityRequest, EffectorTube

RING = {f"{row}{column}" for row in "AH" for column in range(1, 13)}


def sample(name):
    return EffectorSample(name=name, arm=name, donor="U1", viability_percent=90, purity_percent=80)


@pytest.fixture
def plan(stocks, deck, catalogue):
    def make(number=2, replicates=2, available=None, *, bench=deck, seed=4, edge="ring", **more):
        (layout,) = lay_out(
            [sample(f"s{n}") for n in range(number)],
            reference=sample("ref"),
            method="ldh",
            target_line="K562",
            barcodes=["A"],
            replicates=replicates,
            effector_replicates=1,
            edge=edge,
            seed=seed,
        )
        names = [one.name for one in (*layout.samples, layout.reference)]
        tubes = [EffectorTube(sample=n, lot=f"h:{n}", cells_per_ul=2000, available_ul=available) for n in names]
        fields = {"name": "k", "layout": layout, "effectors": tuple(tubes), "targets_per_ul": 100}
        fields |= {"detection_barcode": "D", "use_until": date(2026, 12, 1), **more}
        return layout, plan_cytotoxicity(CytotoxicityRequest(**fields), stocks, bench, catalogue)

    return make


def cell_steps(planned, what):
    return [step for step in planned.worklist.steps if step.comment.startswith(f"{what} into")]


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("volumes", [{}, {"effector_ul": 50.0, "target_ul": 120.0, "targets_per_ul": 90.0}])
def test_cells_come_by_the_column_and_the_ring_gets_medium_in_the_same_stroke(plan, catalogue, deck, seed, volumes):
    layout, planned = plan(seed=seed, **volumes)
    effectors, targets = cell_steps(planned, "effectors"), cell_steps(planned, "targets")
    assert {step.channels for step in [*effectors, *targets]} == {8}
    assert (len(effectors), len(targets)) == (7, 7)
    assert all(step.mix_before == 3 and step.flow_factor == 0.4 for step in [*effectors, *targets])
    pauses = [step for step in planned.worklist.steps if step.operator and step.operator.kind == "incubate"]
    pause = pauses[0].number
    ledger = follow(planned.worklist.model_copy(update={"steps": planned.worklist.steps[: pause - 1]}), catalogue)
    total = sum(volumes.get(name, 100) for name in ("effector_ul", "target_ul"))
    for well in layout.wells:
        held = ledger.well("assay", well.well)
        assert held.volume_ul == pytest.approx(0 if well.role == "empty" else total), well
        if well.well in RING:
            assert set(held.amounts) == {"assay medium"}
    assert check_ledger(planned.worklist, catalogue, deck).passed


def test_one_tip_set_per_effector_column_and_new_ones_for_every_column_of_targets(plan):
    _, planned = plan()
    effectors, targets = cell_steps(planned, "effectors"), cell_steps(planned, "targets")
    sources = [step.well for step in effectors]
    assert [bool(step.tip) for step in effectors] == [n == 0 or sources[n - 1] != s for n, s in enumerate(sources)]
    assert all(step.tip for step in targets)
    # the tips of effectors touch nothing but medium before the last column
    assert len({step.well for step in effectors}) == 3


def test_a_plate_is_a_hundred_steps_and_its_contacts_start_within_minutes(plan, deck):
    layout, planned = plan()
    assert len(planned.worklist.steps) <= 100
    assert planned.warnings == ()
    met = {w.well for w in layout.wells if w.role in {"experimental", "reference_effector"}}
    assert set(planned.dispense_order) == met
    numbers = [step.number for step in cell_steps(planned, "targets")][2:]
    minutes = busy_minutes(planned.worklist, deck)
    assert 1 < sum(minutes[number] for number in range(numbers[0] + 1, numbers[-1] + 1)) < 4


def test_scarce_cells_are_given_well_by_well(plan):
    _, rich = plan()
    (need,) = {one.volume_ul for one in rich.effectors if one.sample != "ref"}
    _, scarce = plan(available=need - 5)
    assert cell_steps(scarce, "effectors") == []
    assert {step.channels for step in cell_steps(scarce, "targets")} == {8}
    assert all(one.volume_ul <= need - 5 for one in scarce.effectors)


def test_a_bench_without_eight_channels_works_well_by_well(plan, deck):
    narrow = deck.model_copy(update={"pipettes": tuple(one for one in deck.pipettes if one.channels == 1)})
    _, planned = plan(number=1, replicates=1, bench=narrow)
    assert {step.channels for step in planned.worklist.steps} == {1}
    assert len(cell_steps(planned, "targets")) == len(planned.dispense_order) + 12


def test_a_column_with_foreign_wells_in_rows_a_and_h_is_mixed(plan, catalogue, deck):
    _, planned = plan(edge="all")
    channels = {step.channels for step in cell_steps(planned, "targets")}
    assert channels == {1, 8}
    assert check_ledger(planned.worklist, catalogue, deck).passed
