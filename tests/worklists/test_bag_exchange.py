"""Medium of closed vessels is drained off settled cells, mixed culture in a split, and every volume can be weighed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.quantities import Amount
from nkloop.recipes.models import Settling
from nkloop.reports.sheet_preparation import take_out_rows
from nkloop.worklists.bag_doses import plan_bag_doses
from nkloop.worklists.bag_volumes import held_volumes
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.dosing_assembly import Wanted, bag_request, base_of
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.present_table import Present
from nkloop.worklists.time_rules import time_problems

TROUGH = "nest_1_reservoir_195ml"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plan(recipe, arms, stocks, deck, catalogue):
    bags = BagCatalogue.load(ROOT / "labware")

    def make(volume_ml=80, *, action="exchange", vessel="bag", minutes=45, final_ml=None, base_ml=150, donors=("U1",)):
        rest = Settling(time=Amount.parse(f"{minutes} min"), source="estimate") if minutes else None
        grow = recipe.stage("grow").model_copy(update={"settling": rest})
        rested = recipe.model_copy(update={"stages": tuple(grow if s.id == "grow" else s for s in recipe.stages)})
        held = Present(volume_ul=1000 * volume_ml, per_ul={"SCF": 0.01, "IL-2": 0.2}, cells_per_ul=400)
        wanted = Wanted(
            recipe=rested,
            stage=grow,
            arms=arms[:2],
            donors=donors,
            use_until=date(2026, 11, 26),
            seed=1,
            name="feed",
            present={f"{donor}-{arm.name}": held for donor in donors for arm in arms[:2]},
        )
        request = bag_request(
            wanted,
            vessel,
            bags,
            base_of(wanted, 1000 * base_ml, TROUGH),
            action=action,
            volume_ul=None if final_ml is None else 1000 * final_ml,
            dose_ul=5000,
            tube="dose-15",
            prepared=datetime(2026, 11, 25, 9, tzinfo=UTC),
        )
        return plan_bag_doses(request, stocks, deck, catalogue, bags)

    return make


def tasks_of(planned, kind=None):
    tasks = [step.operator for part in planned.parts for step in part.worklist.steps if step.operator]
    return [task for task in tasks if kind in (None, task.kind)]


def test_cells_settle_while_the_robot_works_and_stay(plan, catalogue, deck):
    planned, longer = plan(), plan(minutes=120)
    first, second = (tasks_of(one)[0] for one in (planned, longer))
    assert first.kind == "settle"
    assert "Stand U1-reference, U1-arm-1-1 upright in the incubator" in first.instruction
    assert "at least 45 min before each is taken out" in first.instruction
    # what the bath, the thaw and the robot take is not waited for again
    assert first.minutes == 0
    assert 20 < second.minutes < 60
    worklist = planned.parts[0].worklist
    assert check_ledger(worklist, catalogue, deck).passed
    # 400 cells/µL: all cells stay, in the 80 mL there were
    assert [vessel.end_cells_per_ul for vessel in worklist.vessels] == [400, 400]
    assert planned.cells_out_minutes == pytest.approx(22, abs=1), "in the incubator they are not out"


def test_cells_are_not_out_while_a_dose_warms_up(plan):
    planned = plan(donors=("U1", "U2"))
    assert len(tasks_of(planned, "equilibrate")) == 4
    assert planned.cells_out_minutes == pytest.approx(22, abs=1)


def test_cells_that_leave_with_the_medium_are_caught(plan, catalogue, deck):
    worklist = plan().parts[0].worklist
    steps = []
    for step in worklist.steps:
        if step.operator is not None and step.operator.kind == "drain":
            moves = tuple(move.model_copy(update={"is_without_cells": False}) for move in step.operator.moves)
            step = step.model_copy(update={"operator": step.operator.model_copy(update={"moves": moves})})
        steps.append(step)
    result = check_ledger(worklist.model_copy(update={"steps": tuple(steps)}), catalogue, deck)
    assert {problem["rule"] for problem in result.problems} == {"V066"}


def test_medium_drained_before_the_cells_have_settled_is_caught(plan, deck):
    worklist = plan(minutes=120).parts[0].worklist
    minutes = busy_minutes(worklist, deck)
    assert not list(time_problems(worklist, minutes))
    hasty = [s for s in worklist.steps if s.operator is None or s.operator.kind != "settle"]
    told = list(time_problems(worklist.model_copy(update={"steps": tuple(hasty)}), minutes))
    assert [one.rule for one in told] == ["V075", "V075"]
    assert told[0].message == "medium is drained off U1-reference, whose cells have not settled"
    late = worklist.model_copy(update={"limits": worklist.limits.model_copy(update={"settling_minutes": 125})})
    (first,) = [one for one in time_problems(late, minutes) if one.rule == "V075"]
    assert "U1-reference after 120 min of rest, its cells need 125 min" in first.message


def test_a_split_is_mixed_and_not_settled(plan, catalogue, deck):
    planned = plan(action="split")
    assert not tasks_of(planned, "settle")
    assert "mix U1-reference gently and drain 60 mL while it is mixed" in tasks_of(planned, "drain")[0].instruction
    assert planned.parts[0].worklist.vessels[0].end_cells_per_ul == pytest.approx(100)


def test_without_a_settling_time_a_person_judges_and_is_warned(plan):
    planned = plan(minutes=0)
    assert "until the cells have settled before" in tasks_of(planned, "settle")[0].instruction
    assert [one for one in planned.warnings if "states no settling time" in one]


def test_people_and_robot_share_one_bath(plan, catalogue, deck):
    planned = plan()
    (part,) = planned.parts
    (warm,) = tasks_of(planned, "warm")
    # 2 x 35 mL for the vessels and 5 % for lines, in one bag: more than 50 mL takes 60 min
    assert "Fill 75 mL of base-grow into a bag with a weldable line, label it base-grow" in warm.instruction
    assert (
        "Warm the other 150 mL in the same bath, 60 min, then wipe it dry and bring it to slot A1." in warm.instruction
    )
    assert warm.labware == ("base",)
    # 225 mL are made in two vessels of 175 mL
    assert warm.instruction.startswith(
        "Pour base-grow, base-grow-2 together into one sterile vessel of at least 230 mL and mix"
    )
    (small,) = tasks_of(plan(base_ml=30), "warm")
    assert small.instruction.startswith("Fill 75 mL of base-grow into a bag")
    rows = {row.liquid: row for row in take_out_rows(part.worklist)}
    assert rows["base medium"].when == rows["base medium that people run in"].when == "at step 2"
    assert rows["base medium that people run in"].volume == "70 mL and what lines take"


def test_a_bioreactor_is_stopped_not_laid_flat(plan):
    told = " ".join(task.instruction for task in tasks_of(plan(200, vessel="bioreactor")))
    assert "Stop the motion of U1-reference, U1-arm-1-1. Do not mix" in told
    assert "Set U1-reference on its bioreactor base" in told
    assert "incubator" not in told


@pytest.mark.parametrize(
    ("action", "volume_ul", "message"),
    [
        ("exchange", 44_900, 'leaves 40 mL, the dose brings 5 mL: it cannot .* at least --volume "45 mL"'),
        ("top-up", 84_000, "topping up to 84 mL leaves no room for a dose of 5 mL"),
        ("dilute", 300_000, "diluting 80 mL 4 times gives 320 mL, asked for are at most 300 mL"),
        ("split", 400_000, "100 mL of the culture are needed for 400 mL"),
    ],
)
def test_a_volume_that_cannot_be_reached_is_refused(recipe, action, volume_ul, message):
    held = Present(volume_ul=80_000, per_ul={}, cells_per_ul=400)
    with pytest.raises(PlanError, match=message):
        held_volumes("B", action, recipe.stage("grow"), held, volume_ul=volume_ul, dose_ul=5000)


def test_an_exchange_ends_at_the_volume_asked_for(plan):
    assert [tube.final_ul for tube in plan(final_ml=110).tubes] == [110_000, 110_000]
    with pytest.raises(PlanError, match=r"would hold 49 mL, .* needs 50 mL"):
        plan(84, final_ml=49)
    with pytest.raises(PlanError, match=r"would hold 301 mL, .* takes 300 mL"):
        plan(final_ml=301)


def test_odd_volumes_are_rounded_to_what_a_scale_shows(recipe):
    held = Present(volume_ul=77_345, per_ul={}, cells_per_ul=400)
    for action, drained in (("exchange", 38_700), ("split", 58_000), ("dilute", 0)):
        told = held_volumes("B", action, recipe.stage("grow"), held, volume_ul=None, dose_ul=5000)
        assert told["drain_ul"] == drained
        assert told["medium_ul"] % 100 == 0


@pytest.mark.parametrize("held_ul", [77_333, 77_367])
def test_a_split_of_an_odd_volume_ends_at_the_volume_asked_for(recipe, held_ul):
    held = Present(volume_ul=held_ul, per_ul={}, cells_per_ul=1200)
    told = held_volumes("B", "split", recipe.stage("grow"), held, volume_ul=60_000, dose_ul=5000)
    assert held_ul - told["drain_ul"] == pytest.approx(5000, abs=50)
    assert held_ul - told["drain_ul"] + told["medium_ul"] + 5000 == pytest.approx(60_000, abs=50)
