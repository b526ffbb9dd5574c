"""A vector given by cells and titre: to the product only, diluted when too little, refused when wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError, ShortageError
from nkloop.labware.bags import BagCatalogue
from nkloop.quantities import Amount
from nkloop.recipes.models import ProcessStep, RecipeArm
from nkloop.worklists.addition_assembly import additions_csv
from nkloop.worklists.addition_plans import AdditionRequest, AdditionVessel
from nkloop.worklists.additions import plan_addition
from nkloop.worklists.arms import complete_arms
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.recipe_arms import missing_controls
from nkloop.worklists.thaw_rules import thaw_problems

ROOT = Path(__file__).parents[2]
PLATE = "corning_24_wellplate_3.4ml_flat"
TITRE = 1e5
"""TU per µL of 1e8 TU/mL."""


@pytest.fixture(scope="module")
def bags():
    return BagCatalogue.load(ROOT / "labware")


@pytest.fixture(scope="module")
def transduced(recipe):
    """The recipe with a vector of 5 TU/cell on day 3 and its untransduced control."""
    step = ProcessStep.model_validate(
        {
            "id": "vector", "title": "Add the vector", "day": 3, "kind": "add", "instruction": "Add the vector.",
            "component": "CAR vector", "amount": "5 TU/cell", "second_person": True, "source": "s",
        }
    )  # fmt: skip
    spin = ProcessStep.model_validate(
        {
            "id": "spin", "title": "Spinoculation", "day": 3, "kind": "spin", "instruction": "Spin.",
            "duration": "60 min", "temperature": 32, "force_g": 800, "source": "s",
        }
    )  # fmt: skip
    stage = recipe.stage("grow").model_copy(update={"process": (step, spin)})
    ways = (
        RecipeArm(id="car", title="transduced", purpose="product"),
        RecipeArm(id="mock", title="untransduced", purpose="control", without=("vector",), why="Killing is compared."),
    )
    return recipe.model_copy(update={"stages": (stage,), "arms": ways})


@pytest.fixture(scope="module")
def vector(lot_of):
    return lot_of("CAR vector", "1e8 TU/mL", "20 mL", carrier="none", price_eur=1000)


@pytest.fixture
def plan(transduced, vector, lots, stocks_of, deck, catalogue, bags):
    def make(*vessels, of=transduced, lot=vector, others=(), plate=PLATE, **more):
        request = AdditionRequest(
            name="vector grow", recipe=of, stage_id="grow", step_id=more.pop("step", "vector"),
            arms=complete_arms(of, "grow", ()), vessels=vessels, plate_barcode="P-1" if plate else "",
            plate_load_name=plate, use_until=date(2026, 12, 1),
            **{"prepared": datetime(2026, 11, 30, 9, tzinfo=UTC), **more},
        )  # fmt: skip
        return plan_addition(request, stocks_of((*lots, lot, *others)), deck, catalogue, bags)

    return make


def well(name, arm="reference", cells=4e5, volume=1500.0, donor="U1"):
    """`cells` per mL."""
    return AdditionVessel(vessel=name, arm=arm, donor=donor, volume_ul=volume, cells_per_ul=cells / 1000)


def closed(name, arm="reference", volume=60_000.0, **more):
    """A bag of 100 cells/µL."""
    told = {"donor": "U1", "cells_per_ul": 100, "kind": "bag-500", **more}
    return AdditionVessel(vessel=name, arm=arm, volume_ul=volume, **told)


def people(planned, kind=None):
    """Tasks of people in their order."""
    tasks = [step.operator for part in planned.parts for step in part.worklist.steps if step.operator is not None]
    return [task for task in tasks if kind in (None, task.kind)]


def given_to(planned, catalogue, spot):
    """TU in a well or tube, as an independent reading of the worklist says."""
    (part,) = planned.parts
    held = follow(part.worklist, catalogue).well(*spot)
    return held.per_ul.get("CAR vector", 0.0) * held.volume_ul


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# one dilution serves all wells: from 5 µL to a fifth of a well, 60-fold
@given(cells=st.lists(st.floats(3.5e4, 2e6), min_size=1, max_size=4))
def test_every_product_well_gets_its_units_per_cell(plan, catalogue, deck, cells):
    vessels = [well(f"{'ABCD'[n]}1", cells=count) for n, count in enumerate(cells)]
    planned = plan(*vessels, well("A6", "mock"))
    assert check_ledger(planned.parts[0].worklist, catalogue, deck).passed
    for one in vessels:
        given_tu = given_to(planned, catalogue, ("culture", one.vessel))
        assert given_tu == pytest.approx(5 * one.cells, rel=0.01)
    assert given_to(planned, catalogue, ("culture", "A6")) == 0
    assert planned.without == ("A6",)
    given_to_others = [one for one in planned.additions if not one.is_control]
    for row, addition in zip(planned.composition, given_to_others, strict=True):
        assert row.unit == "TU/cell"
        assert addition.stock_ul == pytest.approx(5 * addition.cells / TITRE, rel=0.01)


def test_a_volume_below_the_pipettes_minimum_is_diluted_first(plan):
    planned = plan(well("A1", cells=3e4))
    (one,) = planned.additions
    assert one.stock_ul == pytest.approx(2.25, rel=0.01)
    assert one.volume_ul >= 5
    assert any(note.startswith("CAR vector is pre-diluted 1:") for note in planned.notes)


def test_a_second_person_checks_lot_and_volumes_before_cells_come_out(plan):
    planned = plan(well("A1"), well("B1", "mock"))
    steps = planned.parts[0].worklist.steps
    (check,) = [s for s in steps if s.action == "pause" and "second person" in s.operator.instruction]
    assert "A second person checks lot LOT-CAR vector (1e8 TU/mL) and the volumes of CAR vector: A1 30 µL" in (
        check.operator.instruction
    )
    assert check.operator.labware == ("culture",)
    touching = [s for s in steps if s.to_labware == "culture"]
    assert all(s.number > check.number and s.tip and s.flow_factor == 0.4 and s.mix_after for s in touching)
    assert planned.parts[0].worklist.limits.cells_in == ("culture",)
    assert "Afterwards: spinoculation (60 min, 32 °C, 800 g): spin." in planned.notes
    assert planned.warnings == ("nobody has verified the 5 TU/cell of step vector yet",)


def test_a_bag_gets_a_tube_that_makes_up_for_what_stays_behind(plan, catalogue):
    planned = plan(closed("U1-reference"), closed("U1-mock", "mock"), plate="")
    in_tube = given_to(planned, catalogue, ("doses", "A1"))
    held = follow(planned.parts[0].worklist, catalogue).well("doses", "A1")
    delivered = in_tube * (held.volume_ul - 600) / held.volume_ul
    assert delivered == pytest.approx(5 * 6e6, rel=0.01)
    assert given_to(planned, catalogue, ("doses", "B1")) == 0
    assert planned.without == ("U1-mock",)


def test_a_control_gets_the_carrier_and_is_thinned_as_much_as_the_product(plan, lot_of, vector, catalogue, deck):
    buffered = vector.model_copy(update={"carrier": "vector buffer"})
    buffer = lot_of("vector buffer", "100 % v/v", "10 mL")
    vessels = [well("A1"), well("B1", cells=6e5), well("C1", "mock", volume=1000), well("D1", "mock", donor="U2")]
    for lot, others, liquid in ((buffered, (buffer,), "vector buffer"), (vector, (), "base")):
        planned = plan(*vessels, lot=lot, others=others)
        (part,) = planned.parts
        assert check_ledger(part.worklist, catalogue, deck).passed
        told = {one.vessel: one for one in planned.additions}
        # 30 and 45 µL into 1500 µL are 2.5 % of it on average; a donor without a product beside it takes that of all
        assert (told["C1"].volume_ul, told["D1"].volume_ul) == (25.0, 37.5)
        assert told["C1"].thinned_percent == told["D1"].thinned_percent == pytest.approx(2.44)
        assert {told[name].liquid for name in ("C1", "D1")} == {liquid}
        held = follow(part.worklist, catalogue).well("culture", "C1")
        assert held.per_ul[liquid] * held.volume_ul == pytest.approx(25.0)
        targets = {(one.well, one.per_ul) for one in part.worklist.targets if one.well in {"C1", "D1"}}
        assert targets == {("C1", 0.0), ("D1", 0.0)}
        order = [step.to_well for step in part.worklist.steps if step.to_labware == "culture"]
        assert order == ["C1", "D1", "A1", "B1"]
    assert "What CAR vector is suspended in is not told; controls get base instead." in planned.notes
    assert "What is added thins everything else in the cultures by 2 to 2.9 %." in planned.notes


def test_the_bag_of_a_control_is_thinned_as_much_as_that_of_the_product(plan, catalogue):
    product = closed("U1-reference", volume=54_000.0, kind="bag-100")
    planned = plan(product, closed("U1-mock", "mock", volume=20_000.0, kind="bag-100"), plate="")
    product, control = planned.additions
    assert control.thinned_percent == pytest.approx(product.thinned_percent, abs=0.05)
    filled = {tube.bag: tube for tube in planned.tubes}
    assert filled["U1-mock"].delivered_ul == pytest.approx(5000 * 20 / 54, abs=10)
    assert filled["U1-mock"].final_ul == 20_000 + filled["U1-mock"].delivered_ul
    held = {well: follow(planned.parts[0].worklist, catalogue).well("doses", well) for well in ("A1", "B1")}
    assert held["B1"].volume_ul == filled["U1-mock"].fill_ul
    # what the vector came in is as much of either tube
    carried = control.volume_ul / held["B1"].volume_ul
    assert carried == pytest.approx(product.volume_ul / held["A1"].volume_ul, rel=0.01)
    (weld,) = [task for task in people(planned, "weld") if "U1-mock" in task.instruction]
    assert f"({filled['U1-mock'].delivered_ul / 1000:.4g} mL)" in weld.instruction
    assert any(note.endswith("everything else is thinned as in the others.") for note in planned.notes)


def test_a_control_between_products_of_two_volumes_says_how_much_it_is_thinned(plan):
    products = closed("U1-reference"), closed("U1-b", volume=20_000.0, kind="bag-100")
    planned = plan(*products, closed("U1-mock", "mock"), plate="")
    assert any("thinned by 14.3 %, beside 7.69 to 20 % in the others of its donor" in note for note in planned.notes)


def test_a_control_too_large_for_its_tube_is_refused_with_the_dose_that_fits(plan):
    vessels = closed("U1-reference"), closed("U1-mock", "mock", volume=200_000.0)
    with pytest.raises(PlanError, match=r"the control needs 16\.7 mL.*--dose of at most ([\d.]+) mL") as refused:
        plan(*vessels, plate="")
    fits = float(str(refused.value).split("at most ")[1].split(" mL")[0])
    planned = plan(*vessels, plate="", dose_ul=1000 * fits)
    assert max(tube.fill_ul for tube in planned.tubes) <= 14_000


def test_the_table_of_additions_names_every_vessel_whole(plan):
    lines = additions_csv(plan(well("A1"), well("B1", "mock"))).splitlines()
    assert lines[0] == "part,vessel,arm,donor,cells,wanted,unit,liquid,stock_ul,volume_ul,thinned_percent,tube"
    assert lines[1:] == [
        "1,A1,reference,U1,600000,5.0,TU/cell,CAR vector,30,30.0,1.96,",
        "1,B1,mock,U1,600000,0.0,TU/cell,base,0,30.0,1.96,",
    ]


def test_the_vector_is_thawed_after_what_can_be_done_without_it(plan):
    planned = plan(closed("U1-reference"), closed("U1-mock", "mock"), plate="")
    steps = planned.parts[0].worklist.steps
    (thaw,) = [s for s in steps if s.operator and s.operator.kind == "thaw"]
    assert thaw.operator.instruction == (
        "Take CAR vector (lot LOT-CAR vector) out of -20 °C now and note the time: it must be in the last culture "
        "within 60 min. Thaw it on ice, 20 min; mix gently, spin down, bring it to slot C1, position A1. "
        "It is not frozen again."
    )
    assert (thaw.operator.minutes, thaw.operator.temperature_c, thaw.operator.wells) == (20, 4, ("A1",))
    before = [s for s in steps if s.number < thaw.number]
    assert before
    assert all(s.labware == "bulk" for s in before)
    assert not [s for s in steps if s.number > thaw.number and s.comment.startswith("base for")]


def test_closed_vessels_go_out_and_in_with_labelled_tubes_for_all(plan):
    planned = plan(closed("U1-reference"), closed("U1-mock", "mock"), plate="")
    told = [task.instruction for task in people(planned)]
    kind = "Gas-permeable culture bag, medium"
    at = [next(n for n, text in enumerate(told) if text.startswith(start)) for start in (
        f"Take U1-reference ({kind}) out", "Weigh U1-reference", "Put U1-reference into",
        f"Take U1-mock ({kind}) out", "Weigh U1-mock", "Put U1-mock into", "Next: spin",
    )]  # fmt: skip
    assert at == sorted(at)
    assert "check its label with a second person against bag U1-reference (reference/U1)" in told[at[1]]
    assert told[at[1]].startswith(
        "Weigh U1-reference and note it, expected about 120 g (60 g of it empty). Cap and label"
    )
    assert "it is then 5.0 g heavier (about 125 g in all)" in told[at[1]]
    worklist = planned.parts[0].worklist
    assert [(one.name, one.volume_ul, one.end_ul) for one in worklist.vessels] == [
        ("U1-reference", 60_000, 65_000), ("U1-mock", 60_000, 65_000),
    ]  # fmt: skip
    contents = [(tube.label.batch, tube.label.content, tube.label.use) for tube in planned.tubes]
    assert contents == [
        ("U1-reference reference/U1", "5.6 mL: CAR vector 6e6 TU/mL", "at once, ≤ 60 min from the freezer"),
        ("U1-mock mock/U1", "5.6 mL: base, without CAR vector", "at once, ≤ 60 min from the freezer"),
    ]
    assert planned.cells_out_minutes == pytest.approx(12, abs=1)


def test_a_run_that_takes_too_long_after_the_thaw_is_cut(plan):
    many = [closed(f"U{n}-reference", donor=f"U{n}") for n in range(1, 7)]
    planned = plan(*many, closed("U5-mock", "mock", donor="U5"), plate="")
    assert len(planned.parts) == 2
    assert len(people(planned, "thaw")) == 2
    assert planned.thawed_minutes <= 60
    # the control is in the run of its donor
    assert {one.part for one in planned.additions if one.donor == "U5"} == {2}
    with pytest.raises(PlanError, match=r"reaches the last cells \d+ min after it left the freezer; at most 25 min"):
        plan(closed("U1-reference"), plate="", thawed_minutes=25)


def test_a_frozen_lot_that_nobody_thaws_is_refused(plan, catalogue, deck):
    worklist = plan(well("A1")).parts[0].worklist
    thaw = next(step for step in worklist.steps if step.operator and step.operator.kind == "thaw")
    steps = [step for step in worklist.steps if step is not thaw]
    without = worklist.model_copy(
        update={"steps": tuple(s.model_copy(update={"number": n}) for n, s in enumerate(steps, 1))}
    )
    (problem,) = thaw_problems(without, busy_minutes(without, deck), catalogue)
    assert (problem.rule, problem.remedy) == ("V074", "thaw it in a step of the run")
    assert not list(thaw_problems(worklist, busy_minutes(worklist, deck), catalogue))


def test_a_lot_from_the_fridge_is_not_thawed_nor_timed(plan, vector):
    planned = plan(well("A1"), lot=vector.model_copy(update={"storage": "4 °C"}))
    assert not people(planned, "thaw")
    assert planned.thawed_minutes is None
    assert planned.parts[0].worklist.limits.thawed_minutes is None


def test_more_than_a_tube_of_vector_stays_in_the_cold(plan):
    planned = plan(closed("U1-reference", cells_per_ul=1000), plate="")
    stands = [f for f in planned.parts[0].worklist.fillings if f.liquid.name == "CAR vector"]
    assert sum(one.volume_ul for one in stands) > 3000
    assert {one.labware for one in stands} == {"stocks"}


@pytest.mark.parametrize(
    ("one", "message"),
    [
        pytest.param(
            {"volume": 298_000.0}, "the bag would hold 303 mL, .* takes 300 mL.* a smaller --dose;", id="full"
        ),
        pytest.param({"kind": "bag-7"}, "there is no bag 'bag-7'", id="unknown bag"),
    ],
)
def test_a_closed_vessel_that_cannot_take_it_is_refused(plan, one, message):
    with pytest.raises(PlanError, match=message):
        plan(closed("U1-reference", **one), plate="")
    with pytest.raises(PlanError, match="the labels of dose tubes have no time"):
        plan(closed("U1-reference"), plate="", prepared=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"concentration": Amount.parse("1 mg/mL")}, "give the titre of the lot in TU/mL", id="no titre"),
        pytest.param(
            {"concentration": Amount.parse("1e6 TU/mL", substance="CAR vector")},
            r"3000 µL of lot LOT-CAR vector \(1e6 TU/mL\) would go into A1, at most 300 µL may.*higher titre",
            id="titre too low",
        ),
    ],
)
def test_a_lot_that_cannot_give_it_is_refused(plan, vector, change, message):
    with pytest.raises(PlanError, match=f"(?s){message}"):
        plan(well("A1"), lot=vector.model_copy(update=change))


def test_what_is_no_addition_or_nobodys_is_refused(plan, lots):
    with pytest.raises(PlanError, match="step spin: it is of kind spin and adds nothing"):
        plan(well("A1"), step="spin")
    with pytest.raises(PlanError, match="no vessel's arm goes through it"):
        plan(well("A1", "mock"))
    with pytest.raises(PlanError, match=r"has no process step 'wash'\. Remedy: use: vector, spin"):
        plan(well("A1"), step="wash")
    with pytest.raises(ShortageError, match="CAR vector"):
        plan(well("A1"), lot=lots[0])


def test_the_controls_of_a_recipe_are_arms_of_every_plan(transduced, recipe):
    arms = complete_arms(transduced, "grow", [("arm-1", {"SCF": 2.0}, "line 2")])
    assert [(arm.name, arm.origin, arm.way) for arm in arms] == [
        ("reference", "reference", ""), ("arm-1", "exploration", ""), ("mock", "control", "mock"),
    ]  # fmt: skip
    assert complete_arms(transduced, "grow", [("mock", {}, "line 2")])[-1].name == "mock"
    with pytest.raises(PlanError, match="arm 'mock' has the name of a control of test"):
        complete_arms(transduced, "grow", [("mock", {"SCF": 2.0}, "line 2")])
    assert [arm.name for arm in complete_arms(recipe, "grow", ())] == ["reference"]


def test_a_product_without_its_control_is_told(transduced):
    samples = [("reference", "U1"), ("mock", "U1"), ("reference", "U2")]
    assert missing_controls(transduced, samples) == (
        "untransduced (mock) is not among the samples of U2: killing is compared.",
    )
