from __future__ import annotations

import re
from datetime import date

import pytest

from nkloop.assays.layout import lay_out
from nkloop.assays.methods import method_named
from nkloop.assays.models import EffectorSample
from nkloop.errors import PlanError, ShortageError
from nkloop.quantities.display import volume_told
from nkloop.worklists.bench_deck import ModuleSpec
from nkloop.worklists.cytotoxicity import plan_cytotoxicity
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.plans import CytotoxicityRequest, EffectorTube

USE_UNTIL = date(2026, 12, 1)


@pytest.fixture
def request_of(layout_of):
    def make(layout=None, *, density=1500.0, targets=400.0, available=None, **more):
        layout = layout or layout_of()
        tubes = tuple(
            EffectorTube(sample=one.name, lot=f"harvest:P-1:{n}", cells_per_ul=density, available_ul=available)
            for n, one in enumerate([*layout.samples, *([layout.reference] if layout.reference else [])])
        )
        fields = {
            "name": "killing",
            "layout": layout,
            "effectors": tubes,
            "targets_per_ul": targets,
            "detection_barcode": "READ-1",
            "use_until": USE_UNTIL,
        }
        return CytotoxicityRequest(**{**fields, **more})

    return make


@pytest.fixture
def stands_in(catalogue):
    """Volumes in the wells a step draws from, just before it."""

    def volumes(worklist, step):
        ledger = follow(worklist.model_copy(update={"steps": worklist.steps[: step.number - 1]}), catalogue)
        names = catalogue[worklist.item(step.labware).load_name].reached(step.well, step.channels)
        return [ledger.well(step.labware, name).volume_ul for name in names]

    return volumes


@pytest.fixture
def plan(stocks, deck, catalogue):
    return lambda request, bench=deck: plan_cytotoxicity(request, stocks, bench, catalogue)


def before_lysis(worklist, catalogue):
    """The assay plate when the first incubation starts."""
    pause = next(step.number for step in worklist.steps if step.operator and step.operator.kind == "incubate")
    return follow(worklist.model_copy(update={"steps": worklist.steps[: pause - 1]}), catalogue)


def test_every_well_gets_what_its_role_asks_for(plan, request_of, layout_of, catalogue, deck):
    layout = layout_of()
    planned = plan(request_of(layout))
    ledger = before_lysis(planned.worklist, catalogue)
    for well in layout.wells:
        held = ledger.well("assay", well.well)
        effectors = sum(v for k, v in held.amounts.items() if k.startswith("effector:"))
        targets = held.amounts.get("target:K562", 0.0)
        assert held.volume_ul == pytest.approx(0 if well.role == "empty" else 200), well
        has_targets = well.role in {"experimental", "reference_effector", "spontaneous", "maximum"}
        assert targets == pytest.approx(1e4 if has_targets else 0, rel=0.01), well
        ratio = well.nominal_ratio or 0
        assert effectors == pytest.approx(ratio * 1e4, rel=0.01), well
        if ratio:
            assert held.amounts[f"effector:{well.sample}"] == pytest.approx(effectors)
    assert check_ledger(planned.worklist, catalogue, deck).passed


def test_lysis_goes_to_maximum_and_volume_correction_only(plan, request_of, layout_of, catalogue):
    layout = layout_of()
    ledger = follow(plan(request_of(layout)).worklist, catalogue)
    for well in layout.wells:
        lysis = ledger.well("assay", well.well).amounts.get("LDH lysis buffer 10x", 0.0)
        expected = 20 * (170 / 220) if well.role in {"maximum", "volume_correction"} else 0
        assert lysis == pytest.approx(expected), well


def test_the_detection_plate_holds_supernatant_substrate_and_stop(plan, request_of, layout_of, catalogue):
    layout = layout_of()
    ledger = follow(plan(request_of(layout)).worklist, catalogue)
    for well in layout.wells:
        if well.role not in {"medium_ring", "empty"}:
            held = ledger.well("detection", well.well)
            assert held.volume_ul == pytest.approx(150)
            assert held.amounts["LDH substrate"] == pytest.approx(50)
            assert held.amounts["LDH stop solution"] == pytest.approx(50)


def test_pauses_tell_the_person_what_the_method_asks(plan, request_of):
    tasks = [step.operator for step in plan(request_of()).worklist.steps if step.action == "pause"]
    told = [(task.kind, task.minutes, task.temperature_c, task.force_g, task.labware) for task in tasks]
    assert told == [
        ("warm", 10, 37, None, ("reagents",)),
        ("thaw", 20, 4, None, ("tubes",)),
        ("confirm", 0, None, None, ("tubes", "cells")),
        ("incubate", 195, 37, None, ("assay",)),
        ("incubate", 45, 37, None, ("assay",)),
        ("centrifuge", 4, None, 250, ("assay",)),
        ("incubate", 30, 22, None, ("detection",)),
    ]


def test_the_step_that_brings_cells_names_every_tube_with_its_place(plan, request_of):
    worklist = plan(request_of()).worklist
    (step,) = (s for s in worklist.steps if s.operator and s.operator.labware == ("tubes", "cells"))
    tubes = [f for f in worklist.fillings if (f.liquid.lot or "").startswith(("harvest:", "line:"))]
    assert len(tubes) == 3
    told = step.operator.instruction
    assert f"slot {worklist.item('tubes').slot}: {tubes[0].well} {tubes[0].liquid.name}, " in told
    assert all(f"{f.well} {f.liquid.name}, {volume_told(f.volume_ul)} at " in told for f in tubes)
    assert f"slot {worklist.item('cells').slot}: A1 " in told
    assert "at 1.5e6 cells/mL" in told
    assert told == step.comment


def test_cells_are_mixed_before_every_draw_of_eight_and_every_fourth_of_one(plan, request_of, stands_in, catalogue):
    worklist = plan(request_of()).worklist
    draws = [s for s in worklist.steps if s.to_labware == "assay" and s.labware in {"dilutions", "cells"}]
    assert {step.comment.split(" into ")[0].split(" at ")[0] for step in draws} == {"effectors", "reference", "targets"}
    assert all(step.flow_factor == 0.4 for step in draws)
    assert all(step.mix_before == 3 for step in draws if step.channels == 8)
    since = {}
    for step in draws:
        since[step.labware, step.well] = 0 if step.mix_before else since[step.labware, step.well] + 1
        assert since[step.labware, step.well] < 4
    for step in draws:
        if not step.mix_before:
            continue
        # 70 % of what stands in the well, as far as tip and dead volume allow
        least, dead = min(stands_in(worklist, step)), catalogue[worklist.item(step.labware).load_name].dead_volume_ul
        assert step.mix_volume_ul == pytest.approx(min(0.7 * least, least - dead, 900), abs=1)


def test_effectors_go_from_low_to_high_with_one_tip_per_sample(plan, request_of, layout_of):
    steps = plan(request_of(layout_of(samples=2, replicates=1))).worklist.steps
    for name in ("arm-1/U1", "arm-2/U1", "reference"):
        mine = [step for step in steps if step.comment.startswith(f"{name} at E:T")]
        ratios = [float(step.comment.split("E:T ")[1].split(" ")[0]) for step in mine]
        assert ratios == sorted(ratios)
        assert not any(step.tip for step in mine)


def test_targets_take_new_tips_for_every_column_and_one_for_all_wells_they_drop_into(plan, request_of, layout_of):
    layout = layout_of()
    planned = plan(request_of(layout))
    met = [w.well for w in layout.wells if w.role in {"experimental", "reference_effector"}]
    steps = [s for s in planned.worklist.steps if s.comment.startswith("targets into")]
    reached = [(s, [f"{r}{s.to_well[1:]}" for r in "ABCDEFGH"] if s.channels == 8 else [s.to_well]) for s in steps]
    with_effectors = [step for step, wells in reached if set(wells) & set(met)]
    assert all(step.tip for step in with_effectors if step.channels == 8)
    singles = [step for step, wells in reached if len(wells) == 1]
    assert [bool(step.tip) for step in singles] == [True, *[False] * (len(singles) - 1)]
    assert {step.dispense_at for step in singles} == {"rim"}
    assert [step.channels for step in with_effectors] == [8, 8, 8, 1, 1, 1]
    given = [well for _, wells in reached for well in wells if well in met]
    assert given == list(planned.dispense_order)
    assert sorted(given) == sorted(met)
    columns = [int(well[1:]) for well in planned.dispense_order]
    assert columns == sorted(columns)


def test_eight_channels_work_where_whole_columns_are_alike(plan, request_of):
    steps = plan(request_of()).worklist.steps
    wide = {step.comment.split(" of ")[0].split(" into ")[0] for step in steps if step.channels == 8}
    assert wide == {"medium", "effectors", "targets", "substrate", "supernatant", "stop solution"}


def test_cells_needed_per_sample_are_told(plan, request_of):
    planned = plan(request_of())
    needed = {need.sample: need for need in planned.effectors}
    assert set(needed) == {"arm-1/U1", "reference"}
    # 3 replicates x 2 roles x 1e4 targets x sum of ratios, plus what stays behind
    least = 3 * 2 * 1e4 * (10 + 5 + 2.5 + 1.25 + 0.625 + 0.3125)
    assert least < needed["arm-1/U1"].cells < 1.5 * least
    assert needed["arm-1/U1"].cells == pytest.approx(1500 * needed["arm-1/U1"].volume_ul)


def test_targets_at_the_right_density_are_not_diluted(plan, request_of):
    diluted, direct = plan(request_of()), plan(request_of(targets=100.0))
    assert any("dilute to 100 cells/µL" in step.comment for step in diluted.worklist.steps)
    assert not any("dilute to" in step.comment for step in direct.worklist.steps)
    # 4 columns from six block wells with 30 µL dead volume each, drawn with 2 % excess, and 5 wells from the tube
    assert direct.targets_ul == pytest.approx(6 * (4 * 100 * 1.1 + 30) * 1.02 + 5 * 100 * 1.1 + 200)
    assert diluted.targets_ul < direct.targets_ul / 3


def test_effectors_at_exactly_the_highest_density_need_no_medium(plan, request_of, catalogue, deck):
    steps = plan(request_of(density=1000.0)).worklist.steps
    (well,) = {step.to_well for step in steps if step.comment == "arm-1/U1: E:T 10"}
    assert not any((s.labware, s.to_labware, s.to_well) == ("reagents", "dilutions", well) for s in steps)


def test_lots_tips_and_barcodes(plan, request_of):
    planned = plan(request_of())
    assert {use.component for use in planned.lots} == {
        "assay medium",
        "LDH lysis buffer 10x",
        "LDH substrate",
        "LDH stop solution",
    }
    assert sum(planned.tips.values()) == sum(step.channels for step in planned.worklist.steps if step.tip)
    assert planned.worklist.item("assay").barcode == "ASSAY-1"
    assert planned.worklist.item("detection").barcode == "READ-1"
    lots = {filling.liquid.lot for filling in planned.worklist.fillings}
    assert {"harvest:P-1:0", "harvest:P-1:1", "line:K562"} <= lots


@pytest.mark.parametrize("edge", ["ring", "all"])
@pytest.mark.parametrize(("number", "replicates"), [(1, 3), (2, 1), (3, 1)])
@pytest.mark.parametrize("reference", [True, False])
def test_any_layout_of_the_assays_room_can_be_planned(
    plan, request_of, catalogue, deck, edge, number, replicates, reference
):
    def sample(name):
        return EffectorSample(name=name, arm=name, donor="U1", viability_percent=90, purity_percent=80)

    layouts = lay_out(
        [sample(f"arm-{n}/U1") for n in range(number)],
        reference=sample("reference") if reference else None,
        method="ldh",
        target_line="K562",
        barcodes=[f"B{n}" for n in range(number)],
        replicates=replicates,
        effector_replicates=replicates,
        edge=edge,
        seed=2,
    )
    for layout in layouts:
        planned = plan(request_of(layout))
        assert check_ledger(planned.worklist, catalogue, deck).passed
        slots = [item.slot for item in planned.worklist.deck]
        assert len(slots) == len(set(slots)) <= 9


def test_a_long_dispense_is_refused_with_the_wells_that_fit(plan, request_of, layout_of, deck):
    slow = deck.speeds.model_copy(update={"travel_s": 30.0})
    narrow = deck.model_copy(update={"pipettes": tuple(p for p in deck.pipettes if p.channels == 1), "speeds": slow})
    with pytest.raises(PlanError, match=r"targets reach the last well .* min after the first") as caught:
        plan(request_of(), narrow)
    (problem,) = [one for one in caught.value.problems if one.rule == "V071"]
    fitting = int(re.search(r"at most (\d+) wells with targets per plate", problem.remedy)[1])
    assert 5 <= fitting <= 12


def test_a_plate_that_does_not_fit_the_deck_is_cut_after_the_lysis(plan, request_of, layout_of, deck, catalogue):
    whole = plan(request_of())
    # the whole plate takes nine slots here, the cells eight
    taken = len(whole.worklist.deck)
    free = ["A1", "A2", "B1", "B2", "B3", "C1", "C2", "C3", "D2", "D3"]
    blocked = tuple(ModuleSpec(slot=slot, load_name="magneticBlockV1") for slot in free[: len(free) - taken + 1])
    small = deck.model_copy(update={"modules": (*deck.modules, *blocked)})
    cut = plan(request_of(), small)
    first, second = [part.worklist for part in cut.parts]
    assert "assay plate ASSAY-1" in cut.parts[1].before.instruction.replace("Assay", "assay")
    assert "detection" not in {item.nickname for item in first.deck}
    assert second.steps[0].operator.kind == "centrifuge"
    assert check_ledger(first, catalogue, small).passed
    assert check_ledger(second, catalogue, small).passed
    ends = {
        p: follow(w, catalogue).well("detection", "B2").per_ul for p, w in (("one", whole.worklist), ("two", second))
    }
    assert ends["two"] == pytest.approx(ends["one"], rel=0.01)
    assert sum(cut.tips.values()) == sum(s.channels for part in cut.parts for s in part.worklist.steps if s.tip)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"effectors": ()}, "no tube of effector sample 'arm-1/U1'"),
        ({"density": 500.0}, "arm-1/U1 has 500 cells/µL, E:T 10 needs 1000 cells/µL"),
        ({"targets": 50.0}, "K562 at 50 cells/µL is too thin for 100 cells/µL"),
        ({"available": 300.0}, r"arm-1/U1 needs 954 µL \(1.43e6 cells\), there are 300 µL \(4.5e5 cells\)"),
        ({"plate_load_name": "nothing"}, "labware 'nothing' is not in the catalogue"),
        ({"target_ul": 190.0}, "the plan breaks a rule: assay .* is overfilled: 290 µL"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_remedy(plan, request_of, more, message):
    with pytest.raises(PlanError, match=message) as caught:
        plan(request_of(**more))
    assert all(problem.remedy for problem in caught.value.problems)


def test_contact_shorter_than_lysis_is_refused(plan, request_of, layout_of):
    with pytest.raises(PlanError, match="contact of 40 min is not longer than the 45 min of lysis"):
        plan(request_of(layout_of().model_copy(update={"contact_minutes": 40.0})))


def test_a_missing_bench_liquid_is_a_shortage(request_of, stocks_of, lots, deck, catalogue):
    short = stocks_of([lot for lot in lots if lot.component != "LDH substrate"])
    with pytest.raises(ShortageError, match="no lot of LDH substrate"):
        plan_cytotoxicity(request_of(), short, deck, catalogue)


def test_the_worklist_of_a_plate_carries_limits_of_predicted_error(request_of, stocks, deck, catalogue):
    limits = plan_cytotoxicity(request_of(), stocks, deck, catalogue).worklist.limits
    assert (limits.cv_percent, limits.bias_percent) == (5, 12)


def test_settings_of_the_method_that_nobody_has_verified_are_told(plan, request_of):
    worklist = plan(request_of()).parts[0].worklist
    assert {f"{one} of ldh" for one in method_named("ldh").unverified} == set(worklist.unverified) != set()
