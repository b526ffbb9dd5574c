"""Wells as the aim: what remains from the last dose counts, and mass balances hold whatever is asked."""

from __future__ import annotations

from datetime import date
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError
from nkloop.quantities import Amount
from nkloop.worklists.arms import complete_arms
from nkloop.worklists.dose import after_decay, fresh_concentration, most_kept_ul
from nkloop.worklists.dosing import plan_dosing
from nkloop.worklists.dosing_request import targets_of, varied_ingredients
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.plans import DonorTube, DosingRequest, MediumSource, WellFeeding
from nkloop.worklists.positions import assign_positions, outer_wells
from nkloop.worklists.strength import in_unit
from nkloop.worklists.undosed import THINNED

PLATE_24, PLATE_96 = "corning_24_wellplate_3.4ml_flat", "corning_96_wellplate_360ul_flat"
TROUGH = "nest_1_reservoir_195ml"
BASE = {"base": 0.9, "serum": 0.1, "heparin": 25.0, "IL-7": 0.025, "GM-CSF": 1e-5, "IL-6": 5e-5}


def source(volume_ul: float = 100_000.0) -> MediumSource:
    return MediumSource(barcode="M-1", load_name=TROUGH, well="A1", per_ul=BASE, volume_ul=volume_ul)


@pytest.fixture(scope="module")
def request_of(recipe, arms):
    def make(wells, **more):
        fields = {
            "name": "dose",
            "recipe": recipe,
            "stage_id": "grow",
            "arms": arms,
            "plate_barcode": "P-1",
            "plate_load_name": PLATE_24,
            "wells": tuple(wells),
            "base": source(),
            "use_until": date(2026, 12, 1),
            "aim": "vessel",
        }
        return DosingRequest(**{**fields, **more})

    return make


@pytest.fixture(scope="module")
def plan(stocks, deck, catalogue):
    return lambda request: plan_dosing(request, stocks, deck, catalogue)


def well(name, arm="reference", *, held=None, **volumes):
    return WellFeeding(well=name, arm=arm, donor="U1", present_per_ul=held or {}, **volumes)


def dosed(planned):
    return [row for row in planned.composition if row.basis == "dosed"]


volumes = st.floats(10, 1500).map(lambda v: round(v, 1))


@given(target=st.floats(1e-6, 10), kept=st.floats(0, 10), kept_ul=volumes, added=volumes, other=volumes)
def test_the_fresh_medium_balances_the_mass(target, kept, kept_ul, added, other):
    fresh = fresh_concentration(target, kept, kept_ul, added, other)
    final = (fresh * added + kept * kept_ul) / (kept_ul + added + other)
    assert final == pytest.approx(target, rel=1e-6, abs=1e-9)
    assert (fresh < -1e-9) <= (most_kept_ul(target, kept, kept_ul + added + other) < kept_ul + 1e-6)


@given(hours=st.floats(0, 200), half_life=st.floats(1, 100))
def test_decay_is_exponential_and_for_what_has_a_half_life_only(hours, half_life):
    held = after_decay({"SCF": 2.0, "IL-7": 3.0}, hours, {"SCF": half_life})
    assert held["IL-7"] == 3.0
    twice = after_decay(after_decay({"SCF": 2.0}, hours / 2, {"SCF": half_life}), hours / 2, {"SCF": half_life})
    assert held["SCF"] == pytest.approx(twice["SCF"])
    assert after_decay({"SCF": 2.0}, half_life, {"SCF": half_life})["SCF"] == pytest.approx(1.0)


@cache
def _names() -> tuple[str, ...]:
    return ("A1", "B1", "C1")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    present=st.floats(300, 1200),
    share=st.floats(0.3, 0.9),
    left=st.floats(0.0, 1.0),
    grown=st.floats(0, 300),
)
def test_wells_end_on_target_within_bounds_and_nothing_is_lost(
    plan, request_of, recipe, arms, catalogue, deck, present, share, left, grown
):
    names = ("reference", "arm-1-1", "arm-1-2")
    wells = []
    for name, arm in zip(_names(), names, strict=True):
        aim = targets_of(
            recipe, "grow", next(a for a in arms if a.name == arm), varied_ingredients(request_of([well("A1")]))
        )
        held = {**BASE, **{component: left * value for component, value in aim.items()}}
        removed = round(share * present, 1)
        wells.append(
            well(
                name, arm, held=held, present_ul=round(present, 1), remove_ul=removed, add_ul=round(removed + grown, 1)
            )
        )
    request = request_of(wells)
    planned = plan(request)
    for row in dosed(planned):
        assert row.expected == pytest.approx(row.target, rel=0.05)
    for row in (row for row in planned.composition if row.basis != "dosed"):
        spot = row.destination[:2]
        after = next(state for state in planned.after if state.well == spot)
        amount = recipe.stage("grow").medium.amount_of(row.component).of(row.component)
        assert row.expected == pytest.approx(in_unit(after.per_ul[row.component], amount, row.component))
    ledger = follow(planned.worklist, catalogue)
    assert not ledger.violations
    kind = catalogue[PLATE_24]
    filled = sum(f.volume_ul * f.liquid.per_ul.get("SCF", 0.0) for f in planned.worklist.fillings)
    ends = sum(held.amounts.get("SCF", 0.0) for _, _, held in ledger.wells())
    assert ends == pytest.approx(filled, rel=1e-9)
    for state, one in zip(planned.after, wells, strict=True):
        assert state.volume_ul == pytest.approx(one.final_ul, abs=0.02)
        assert kind.dead_volume_ul <= one.kept_ul <= state.volume_ul <= kind.working_volume_ul


def test_wells_of_one_arm_with_different_rests_get_a_mixture_each(plan, request_of):
    rich, poor = {**BASE, "SCF": 0.02, "IL-2": 0.8}, {**BASE, "SCF": 0.001, "IL-2": 0.1}
    wells = [
        well("A1", held=rich, present_ul=1000, remove_ul=500, add_ul=500),
        well("B1", held=poor, present_ul=1000, remove_ul=500, add_ul=500),
        well("C1", held=rich, present_ul=1000, remove_ul=500, add_ul=500),
    ]
    planned = plan(request_of(wells))
    assert [arm.arm for arm in planned.arms] == ["reference (1 of 2)", "reference (2 of 2)"]
    assert {row.destination for row in planned.composition} == {f"{w}1 (reference/U1)" for w in "ABC"}
    assert all(abs(row.deviation_percent) < 1 for row in planned.composition)


def test_too_much_left_says_how_much_may_stay(plan, request_of):
    held = {**BASE, "SCF": 0.1, "IL-2": 1.0}
    wells = [well("A1", held=held, present_ul=1000, remove_ul=300, add_ul=300)]
    with pytest.raises(PlanError) as told:
        plan(request_of(wells))
    (problem,) = told.value.problems
    assert problem.where == "dose, well A1"
    assert problem.message == (
        "SCF would be 2.8 times its target for reference without any fresh SCF: 700 µL stay of contents at 4 times "
        "the target"
    )
    assert problem.remedy == "keep at most 250 µL of the 1000 µL"


def test_a_half_life_makes_the_dose_larger(plan, request_of, recipe):
    source_ = {"source": "s", "verified_by": None}
    components = [
        type(c).model_validate({**c.model_dump(), "half_life": "24 h", **source_}) if c.name == "SCF" else c
        for c in recipe.components
    ]
    decaying = recipe.model_copy(update={"components": tuple(components)})
    wells = [well("A1", held={**BASE, "SCF": 0.025, "IL-2": 1.0}, present_ul=1000, remove_ul=500, add_ul=500)]
    doses = {}
    for hours in (0, 48):
        planned = plan(request_of(wells, recipe=decaying, hours_since_dose=hours))
        doses[hours] = {row.component: row.expected for row in planned.arms[0].rows}
        assert {row.component for row in dosed(planned)} == {"SCF", "IL-2"}
    assert doses[0]["SCF"] == pytest.approx(25, rel=0.01)
    # a quarter of the 500 µL kept is left: (25 * 1000 - 6.25 * 500) / 500
    assert doses[48]["SCF"] == pytest.approx(43.75, rel=0.01)
    assert doses[48]["IL-2"] == pytest.approx(doses[0]["IL-2"], rel=1e-3)


def test_seeding_is_counted_when_the_well_is_the_aim(plan, request_of):
    tubes = (DonorTube(donor="U1", cells_per_ul=1000),)
    planned = plan(request_of([well("A1", add_ul=900, seed_ul=100)], donors=tubes))
    assert {row.component: row.expected for row in dosed(planned)} == pytest.approx({"SCF": 25, "IL-2": 1000}, rel=5e-3)
    (warned,) = planned.warnings
    assert "heparin 22.5 instead of 25 µg/mL" in warned  # the suspension of the cells is base alone


def test_cells_move_to_a_new_plate_onto_their_medium(plan, request_of, catalogue, deck):
    held = {**BASE, "SCF": 0.01, "donor:U1": 500.0}
    wells = [well("A1", held=held, present_ul=1000, transfer_ul=400, to_well="B2", add_ul=600)]
    planned = plan(request_of(wells, new_plate_barcode="P-2", new_plate_load_name=PLATE_24))
    (state,) = planned.after
    assert (state.well, state.volume_ul) == ("B2", pytest.approx(1000))
    assert state.per_ul["donor:U1"] == pytest.approx(200)
    assert state.per_ul["SCF"] == pytest.approx(0.025, rel=5e-3)
    steps = [s for s in planned.worklist.steps if s.to_labware == "new_culture"]
    assert [s.labware for s in steps] == ["arms", "culture"]
    assert steps[1].mix_before == 5
    assert steps[1].flow_factor <= 0.5
    assert planned.worklist.item("new_culture").barcode == "P-2"
    assert check_ledger(planned.worklist, catalogue, deck).passed


def test_whole_columns_are_drained_with_eight_channels(plan, request_of, arms, catalogue):
    held = {**BASE, "SCF": 0.01}
    full = [
        well(f"{row}1", arms[i % 3].name, held=held, present_ul=200, remove_ul=100, add_ul=100)
        for i, row in enumerate("ABCDEFGH")
    ]
    single = [well("A2", held=held, present_ul=200, remove_ul=100, add_ul=100)]
    planned = plan(request_of([*full, *single], plate_load_name=PLATE_96))
    drains = [(s.well, s.channels) for s in planned.worklist.steps if s.to_labware == "waste"]
    assert drains == [("A1", 8), ("A2", 1)]
    assert planned.worklist.item("arms").load_name == "nest_96_wellplate_2ml_deep"


def test_the_edge_is_filled_with_base_medium_by_one_tip(plan, request_of, arms, catalogue):
    kind = catalogue[PLATE_96]
    positions = assign_positions(arms, ("U1",), kind, 1, replicates=2, outer="medium")
    tubes = (DonorTube(donor="U1", cells_per_ul=1000),)
    wells = [WellFeeding(**p.model_dump(), add_ul=180, seed_ul=20) for p in positions]
    edge = outer_wells(kind)
    planned = plan(request_of(wells, plate_load_name=PLATE_96, donors=tubes, medium_wells=edge, medium_wells_ul=200))
    ledger = follow(planned.worklist, catalogue)
    assert all(ledger.well("culture", name).volume_ul == pytest.approx(200) for name in edge)
    filled = [s for s in planned.worklist.steps if s.to_labware == "culture" and s.to_well in edge]
    assert sum(1 for s in filled if s.tip) == 1


def test_one_tip_carries_one_cytokine_to_every_arm(plan, request_of, arms):
    wells = [well(f"{row}1", arm.name, add_ul=900) for row, arm in zip("ABC", arms, strict=True)]
    steps = plan(request_of(wells)).worklist.steps
    doses = [s for s in steps if s.to_labware == "arms" and s.dispense_at == "rim"]
    assert len(doses) == 6
    assert sum(1 for s in doses if s.tip) == 2
    assert all(s.volume_ul >= 10 for s in doses)


def test_what_an_arm_shall_not_have_is_absent_and_what_it_adds_is_there(
    request_of, recipe, catalogue, deck, lots, stocks_of, lot_of
):
    wanted = [
        ("no-scf", {"SCF": 0.0}, "line 2"),
        ("plus", {"LIF": Amount(40, "pg/mL"), "GM-CSF": 30.0}, "line 3"),
    ]
    arms = complete_arms(recipe, "grow", wanted)
    wells = [well(f"{row}1", arm.name, add_ul=900) for row, arm in zip("ABC", arms, strict=True)]
    base = {k: v for k, v in BASE.items() if k != "GM-CSF"}
    lots = (*lots, lot_of("LIF", "100 µg/mL"))
    request = request_of(wells, arms=arms)
    request = request.model_copy(update={"base": request.base.model_copy(update={"per_ul": base})})
    planned = plan_dosing(request, stocks_of(lots), deck, catalogue)
    found = {(row.destination, row.component): row for row in planned.composition}
    assert found["A1 (reference/U1)", "LIF"].expected == 0
    assert found["B1 (no-scf/U1)", "SCF"].expected == 0
    assert found["B1 (no-scf/U1)", "SCF"].deviation_percent is None
    assert found["B1 (no-scf/U1)", "IL-2"].expected == pytest.approx(1000, rel=0.01)
    assert found["C1 (plus/U1)", "LIF"].expected == pytest.approx(40, rel=0.01)
    assert found["C1 (plus/U1)", "GM-CSF"].expected == pytest.approx(300, rel=0.01)
    worklist = planned.parts[0].worklist
    assert check_ledger(worklist, catalogue, deck).passed
    # a dose that goes to the arm without it is caught
    scf = next(s for s in worklist.steps if s.comment == "SCF for reference")
    spot = next(made for made in planned.arms if made.arm == "no-scf")
    moved = [s.model_copy(update={"to_well": spot.well}) if s is scf else s for s in worklist.steps]
    verdict = check_ledger(worklist.model_copy(update={"steps": tuple(moved)}), catalogue, deck)
    assert any("should be absent" in problem["message"] for problem in verdict.problems)


def test_what_remains_of_a_dropped_component_is_told_not_refused(plan, request_of, recipe, catalogue, deck):
    arms = complete_arms(recipe, "grow", [("no-scf", {"SCF": 0.0}, "line 2")])
    held = {**BASE, "SCF": 0.02, "IL-2": 0.5}
    wells = [
        well("A1", held=held, present_ul=1000, remove_ul=500, add_ul=500),
        well("B1", "no-scf", held=held, present_ul=1000, remove_ul=500, add_ul=500),
    ]
    planned = plan(request_of(wells, arms=arms))
    (row,) = [r for r in planned.composition if r.target == 0]
    assert (row.destination, row.component, row.expected) == ("B1 (no-scf/U1)", "SCF", pytest.approx(10))
    (told,) = [one for one in planned.warnings if "remains" in one]
    assert told.startswith("SCF remains where the arm shall have none: 10 ng/mL in B1 (no-scf/U1); it leaves")
    assert check_ledger(planned.parts[0].worklist, catalogue, deck).passed


def test_the_medium_of_an_arm_tells_what_thins_it_and_takes_room(plan, request_of):
    planned = plan(request_of([well("A1", add_ul=1350, seed_ul=0)], aim="medium"))
    assert planned.composition == planned.arms[0].rows
    why = {row.component: row.why for row in planned.composition if row.deviation_percent}
    assert why["serum"] == THINNED
    assert "the liquid that the stocks come in takes" in why["base"]
