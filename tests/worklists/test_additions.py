"""A vector given by cells and titre: to the product only, diluted when too little, refused when wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import PlanError, ShortageError
from nkloop.labware.bags import BagCatalogue
from nkloop.quantities import Amount
from nkloop.recipes.models import ProcessStep, RecipeArm
from nkloop.worklists.addition_plans import AdditionRequest, AdditionVessel
from nkloop.worklists.additions import plan_addition
from nkloop.worklists.arms import complete_arms
from nkloop.worklists.ledger_check import check_ledger, follow
from nkloop.worklists.recipe_arms import missing_controls

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
    return lot_of("CAR vector", "1e8 TU/mL", "1 mL", carrier="none", price_eur=1000)


@pytest.fixture
def plan(transduced, vector, lots, stocks_of, deck, catalogue, bags):
    def make(*vessels, of=transduced, lot=vector, plate=PLATE, **more):
        request = AdditionRequest(
            name="vector grow", recipe=of, stage_id="grow", step_id=more.pop("step", "vector"),
            arms=complete_arms(of, "grow", ()), vessels=vessels, plate_barcode="P-1" if plate else "",
            plate_load_name=plate, use_until=date(2026, 12, 1), **more,
        )  # fmt: skip
        return plan_addition(request, stocks_of((*lots, lot)), deck, catalogue, bags)

    return make


def well(name, arm="reference", cells=4e5, volume=1500.0):
    """`cells` per mL."""
    return AdditionVessel(vessel=name, arm=arm, donor="U1", volume_ul=volume, cells_per_ul=cells / 1000)


def given_to(planned, catalogue, spot):
    """TU in a well or tube, as an independent reading of the worklist says."""
    (part,) = planned.parts
    held = follow(part.worklist, catalogue).well(*spot)
    return held.per_ul.get("CAR vector", 0.0) * held.volume_ul


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.floats(3e4, 2e6), min_size=1, max_size=4))
def test_every_product_well_gets_its_units_per_cell(plan, catalogue, deck, cells):
    vessels = [well(f"{'ABCD'[n]}1", cells=count) for n, count in enumerate(cells)]
    planned = plan(*vessels, well("A6", "mock"))
    assert check_ledger(planned.parts[0].worklist, catalogue, deck).passed
    for one in vessels:
        given_tu = given_to(planned, catalogue, ("culture", one.vessel))
        assert given_tu == pytest.approx(5 * one.cells, rel=0.01)
    assert given_to(planned, catalogue, ("culture", "A6")) == 0
    assert planned.without == ("A6",)
    for row, addition in zip(planned.composition, planned.additions, strict=True):
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
    (check,) = [s for s in steps if s.action == "pause"]
    assert "A second person checks lot LOT-CAR vector (1e8 TU/mL) and the volumes of CAR vector: A1 30 µL" in (
        check.operator.instruction
    )
    assert check.operator.labware == ("culture",)
    touching = [s for s in steps if s.to_labware == "culture"]
    assert all(s.number > check.number and s.tip and s.flow_factor == 0.4 and s.mix_after for s in touching)
    assert planned.parts[0].worklist.limits.cells_in == ("culture",)
    assert "Afterwards: spinoculation. Spin. (60 min, 32 °C, 800 g)" in planned.notes
    assert planned.warnings == ("nobody has verified the 5 TU/cell of step vector yet",)


def test_a_bag_gets_a_tube_that_makes_up_for_what_stays_behind(plan, catalogue):
    big = AdditionVessel(vessel="U1-reference", arm="reference", donor="U1", volume_ul=100_000, cells_per_ul=100)
    control = AdditionVessel(vessel="U1-mock", arm="mock", donor="U1", volume_ul=100_000, cells_per_ul=100)
    planned = plan(big, control, plate="")
    in_tube = given_to(planned, catalogue, ("doses", "A1"))
    held = follow(planned.parts[0].worklist, catalogue).well("doses", "A1")
    delivered = in_tube * (held.volume_ul - 600) / held.volume_ul
    assert delivered == pytest.approx(5 * 1e7, rel=0.01)
    (weld,) = [s for s in planned.parts[0].worklist.steps if s.operator and s.operator.kind == "weld"]
    assert "against bag U1-reference (reference/U1)" in weld.operator.instruction
    assert planned.without == ("U1-mock",)


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
