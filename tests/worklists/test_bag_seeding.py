"""New closed vessels: every mL in them is run in by a step somebody reads, and the cells come to their density."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from nkloop.errors import PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.bag_doses import plan_bag_doses
from nkloop.worklists.bag_seeding import EXCESS_SHARE
from nkloop.worklists.dosing_assembly import Wanted, bag_request, base_of
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.present_table import Present

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plan(recipe, arms, stocks, deck, catalogue):
    bags = BagCatalogue.load(ROOT / "labware")

    def make(volume_ul=100_000, *, action="seed", dose_ul=5000, donors=("U1",), present=None, **more):
        wanted = Wanted(
            recipe=recipe,
            stage=recipe.stage("grow"),
            arms=arms[:2],
            donors=donors,
            use_until=date(2026, 11, 26),
            seed=1,
            name="seed",
            present=present or {},
        )
        request = bag_request(
            wanted,
            "bag",
            bags,
            base_of(wanted, 150_000),
            action=action,
            volume_ul=volume_ul,
            dose_ul=dose_ul,
            tube="dose-15",
            prepared=datetime(2026, 11, 25, 9, tzinfo=UTC),
            **more,
        )
        return plan_bag_doses(request, stocks, deck, catalogue, bags)

    return make


def tasks_of(planned):
    return [step.operator for part in planned.parts for step in part.worklist.steps if step.operator]


def test_all_of_a_new_bag_is_run_in_by_steps(plan, catalogue, deck):
    planned = plan()
    moves = [move for task in tasks_of(planned) for move in task.moves]
    for tube in planned.tubes:
        into = [move for move in moves if move.to_vessel == tube.bag]
        assert {move.from_vessel.split(":")[0]: move.volume_ul for move in into} == {
            "": 85_000,
            "doses": 5000,
            "cells-U1": 10_000,
        }
        assert sum(move.volume_ul for move in into) == tube.final_ul
    assert check_ledger(planned.parts[0].worklist, catalogue, deck).passed
    suspended = 2 * 10_000 * (1 + EXCESS_SHARE)
    assert planned.base_by_hand_ul == pytest.approx(2 * 85_000 + suspended)
    assert "Base medium people run in: 191 mL in all, 21 mL of it to suspend the cells in." in planned.notes


def test_the_cells_needed_are_told_and_come_last(plan):
    tasks = tasks_of(plan(donors=("U1", "U2")))
    names = [task.instruction.split(" ")[1] for task in tasks if "cells-" in task.instruction.split(";")[0]]
    assert names == ["cells-U1", "cells-U1", "cells-U2", "cells-U2"]
    counted = [task.instruction for task in tasks if task.instruction.startswith("Count the cells of")]
    # 1e5 cells/mL in 2 x 100 mL, and 5 % more
    assert all("Bring 2.1e7 viable cells" in text and "21 mL in all, 1e6 cells/mL" in text for text in counted)
    filled = next(t.instruction for t in tasks if t.kind == "fill")
    # 85 mL of 1.005 g/mL, in a bag of 60 g
    assert "weigh it empty and note it, expected about 60 g. Weld the bag of warm base medium to U1-reference" in filled
    assert "run in 85 mL, until it is 85.4 g heavier (about 145 g in all)" in filled


def test_cells_that_wait_too_long_are_suspended_anew_for_another_part(plan):
    planned = plan(cells_out_minutes=25)
    assert len(planned.parts) == 2
    assert planned.cells_out_minutes <= 25
    assert len([task for task in tasks_of(planned) if task.instruction.startswith("Count the cells of")]) == 2


def test_a_bag_without_its_cells_is_caught(plan, catalogue, deck):
    worklist = plan().parts[0].worklist
    steps = [s for s in worklist.steps if s.operator is None or "Mix cells-U1" not in s.operator.instruction]
    assert len(steps) == len(worklist.steps) - 2
    numbered = tuple(step.model_copy(update={"number": n}) for n, step in enumerate(steps, 1))
    result = check_ledger(worklist.model_copy(update={"steps": numbered}), catalogue, deck)
    assert "V066" in {problem["rule"] for problem in result.problems}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"action": "exchange"}, "exchange needs to know what stands there.*--present"),
        ({"volume_ul": 10_200, "dose_ul": 9500}, "cells bring 1 mL and the dose 9.5 mL"),
        (
            {"present": {f"U1-{arm}": Present(volume_ul=90_000, per_ul={}) for arm in ("reference", "arm-1-1")}},
            "holds 90 mL already, seed is for new bags",
        ),
    ],
)
def test_what_cannot_be_seeded_is_told(plan, asked, message):
    with pytest.raises(PlanError, match=message):
        plan(**asked)
