"""A culture moves into another closed vessel: volumes, tasks with weights, doses, and the rules that watch them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from nkloop.errors import LabwareError, PlanError
from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.bag_doses import plan_bag_doses
from nkloop.worklists.bag_transfer import SAMPLE_UL, plan_transfer
from nkloop.worklists.bag_weights import G_PER_ML
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.dosing_assembly import Wanted, bag_request, base_of
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.present_table import Present
from nkloop.worklists.temperature_rules import temperature_problems
from nkloop.worklists.time_rules import time_problems

ROOT = Path(__file__).parents[2]
HELD = {"SCF": 0.01, "IL-2": 0.2}


@pytest.fixture(scope="module")
def bags():
    return BagCatalogue.load(ROOT / "labware")


@pytest.fixture(scope="module")
def plan(recipe, arms, stocks, deck, catalogue, bags):
    def make(volume_ul, cells_per_ul, *, vessel="bag", final_ul=None, number=1, label="", action="transfer", **more):
        wanted = Wanted(
            recipe=recipe,
            stage=recipe.stage("grow"),
            arms=arms[:number],
            donors=("U1",),
            use_until=date(2026, 11, 26),
            seed=1,
            name="move",
            present={
                f"U1-{arm.name}": Present(volume_ul=volume_ul, per_ul=HELD, cells_per_ul=cells_per_ul, label=label)
                for arm in arms[:number]
            },
        )
        request = bag_request(
            wanted,
            vessel,
            bags,
            base_of(wanted, 150_000),
            action=action,
            volume_ul=final_ul,
            dose_ul=5000,
            tube="dose-15",
            prepared=datetime(2026, 11, 25, 9, tzinfo=UTC),
            **more,
        )
        return request, plan_bag_doses(request, stocks, deck, catalogue, bags)

    return make


def tasks_of(planned, kind=None):
    found = [step.operator for part in planned.parts for step in part.worklist.steps if step.operator]
    return [task for task in found if kind is None or task.kind == kind]


def test_all_of_a_culture_goes_over_and_comes_to_the_seeding_density(plan, bags, catalogue, deck):
    request, planned = plan(120_000, 400)
    (bag,), (part,) = request.bags, planned.parts
    move, source = bag.transfer, bags.bag("bag-500")
    assert move.moved_ul == 120_000 - SAMPLE_UL - 1000 * source.residual_ml
    assert (bag.kind, move.from_kind) == ("bag-1000", "bag-500")
    final = planned.tubes[0].final_ul
    # 4e5 cells/mL to the 1e5 of the stage: four times the volume that moved
    assert final == pytest.approx(4 * move.moved_ul, abs=1)
    assert move.moved_ul * move.cells_per_ul / final == pytest.approx(100, rel=0.001)
    assert planned.base_by_hand_ul == pytest.approx(final - move.moved_ul - 5000, abs=1)
    assert check_ledger(part.worklist, catalogue, deck).passed
    assert not list(temperature_problems(part.worklist, busy_minutes(part.worklist, deck), catalogue))
    assert {row.component: row.expected for row in planned.composition} == pytest.approx(
        {"SCF": 25, "IL-2": 1000}, rel=0.01
    )


def test_the_technician_is_led_through_with_weights(plan, bags):
    request, planned = plan(120_000, 400)
    kinds = [task.kind for task in tasks_of(planned)]
    end = ["weigh", "sample", "weld", "drain", "rinse", "fill", "weld", "confirm"]
    assert kinds == ["warm", "thaw", "confirm", *end]
    move, source, target = request.bags[0].transfer, bags.bag("bag-500"), bags.bag("bag-1000")
    weigh, drain = tasks_of(planned, "weigh")[0], tasks_of(planned, "drain")[0]
    assert f"expected about {source.tare_g + G_PER_ML * 120:.0f} g" in weigh.instruction
    moved_g = G_PER_ML * move.moved_ul / 1000
    assert f"is {moved_g:.1f} g heavier than empty (about {target.tare_g + moved_g:.0f} g in all)" in drain.instruction
    end = tasks_of(planned, "weld")[-1]
    assert f"about {target.tare_g + G_PER_ML * planned.tubes[0].final_ul / 1000:.0f} g" in end.instruction
    warm = tasks_of(planned, "warm")[0]
    assert warm.instruction.startswith(
        "Pour base-grow, base-grow-2, base-grow-3 together into one sterile vessel of at least 520 mL and mix"
    )
    assert "Fill 365 mL of base-grow into a bag with a weldable line, label it base-grow" in warm.instruction
    assert [label.batch for label in planned.vessel_labels] == ["U1-reference-grow reference/U1"]


def test_a_moved_culture_is_called_by_its_label_from_then_on(plan):
    request, _ = plan(120_000, 400, label="U1-reference-grow")
    (bag,) = request.bags
    assert (bag.transfer.from_bag, bag.bag) == ("U1-reference-grow", "U1-reference-grow-2")
    (fed,) = plan(120_000, 400, label="U1-reference-grow", action="exchange")[0].bags
    assert fed.bag == "U1-reference-grow"


def test_a_part_of_it_leaves_a_culture_that_goes_on(plan):
    request, planned = plan(250_000, 400, final_ul=200_000)
    move = request.bags[0].transfer
    assert (move.moved_ul, move.rinse_ul, move.discarded_ul) == (50_000, 0, 0)
    assert (move.left_ul, move.is_emptied) == (199_000, False)
    assert "rinse" not in {task.kind for task in tasks_of(planned)}
    assert "which goes on" in tasks_of(planned, "drain")[0].instruction


def test_what_is_too_little_to_go_on_is_discarded(plan):
    request, planned = plan(34_000, 400, final_ul=100_000)
    move = request.bags[0].transfer
    assert move.is_emptied
    assert move.discarded_ul == 34_000 - SAMPLE_UL - 25_000 - 1000
    assert "Discard the other" in tasks_of(planned, "drain")[0].instruction


def test_what_no_scale_shows_is_not_asked_to_be_discarded(plan):
    request, planned = plan(80_033, 300)
    move = request.bags[0].transfer
    assert (move.is_emptied, move.moved_ul % 100, move.discarded_ul) == (True, 0, 0)
    assert "Discard" not in tasks_of(planned, "drain")[0].instruction


def test_a_bioreactor_is_chosen_by_its_range(plan):
    request, planned = plan(290_000, 220, vessel="bioreactor")
    assert request.bags[0].kind == "bioreactor-2000"
    assert "bioreactor U1-reference-grow" in tasks_of(planned, "weld")[-1].instruction
    assert {row.destination for row in planned.composition} == {"bioreactor U1-reference-grow (reference/U1)"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"volume_ul": 120_000, "cells_per_ul": 90}, "not denser than .* Remedy: wait until they are"),
        ({"volume_ul": 120_000, "cells_per_ul": 400, "final_ul": 900_000}, 'at most --volume "468 mL"'),
        (
            {"volume_ul": 120_000, "cells_per_ul": 400, "final_ul": 20_000},
            "would come to 20 mL, stage grow grows in 30",
        ),
        ({"volume_ul": 120_000, "cells_per_ul": 104}, "the dose brings 5 mL and the rinse 10 mL"),
        ({"volume_ul": 120_000, "cells_per_ul": 400, "vessel": "bag-100"}, "choose a larger vessel"),
        (
            {"volume_ul": 120_000, "cells_per_ul": 400, "from_vessel": "bag-100"},
            "takes 60 mL. Remedy: name the one .* --from-vessel",
        ),
    ],
)
def test_what_cannot_be_moved_is_told_with_its_bound(plan, asked, message):
    with pytest.raises((PlanError, LabwareError), match=message):
        plan(**asked)


def test_an_uncounted_culture_is_not_moved(bags, recipe):
    present = Present(volume_ul=120_000, per_ul={})
    with pytest.raises(PlanError, match="transfer needs a cell count"):
        plan_transfer("B", present, bags.bag("bag-500"), recipe.stage("grow"), volume_ul=None, dose_ul=5000)


# -- the rules that watch it ------------------------------------------------------------------------------------------


def mutated(worklist, kind, change):
    steps = []
    for step in worklist.steps:
        if step.operator is not None and step.operator.kind == kind and step.operator.moves:
            step = step.model_copy(
                update={"operator": step.operator.model_copy(update={"moves": change(step.operator)})}
            )
        steps.append(step)
    return worklist.model_copy(update={"steps": tuple(steps)})


def scaled(factor):
    return lambda task: tuple(move.model_copy(update={"volume_ul": factor * move.volume_ul}) for move in task.moves)


@pytest.mark.parametrize(
    ("kind", "change", "rule"),
    [
        pytest.param("drain", scaled(0.1), "V066", id="too little moved"),
        pytest.param("drain", scaled(10), "V065", id="more than there is"),
        pytest.param("drain", lambda task: (), "V066", id="drain left out"),
        pytest.param("weld", scaled(1.3), "V065", id="more than the tube holds"),
        pytest.param("rinse", lambda task: (), "V066", id="rinse left out"),
        pytest.param(
            "drain",
            lambda task: tuple(move.model_copy(update={"to_vessel": "another"}) for move in task.moves),
            "V065",
            id="into a bag nobody knows",
        ),
    ],
)
def test_a_slip_at_the_bags_is_caught_by_its_rule(plan, catalogue, deck, kind, change, rule):
    _, planned = plan(120_000, 400)
    result = check_ledger(mutated(planned.parts[0].worklist, kind, change), catalogue, deck)
    assert rule in {problem["rule"] for problem in result.problems}


def test_the_time_of_people_is_held_to_the_limit(plan, deck):
    _, planned = plan(120_000, 400)
    # 1 out, 2 weigh, 5 sample, 10 weld, 5 drain, 5 rinse, 10 weld and 5 medium, 1 back
    assert planned.cells_out_minutes == pytest.approx(44, abs=0.5)
    with pytest.raises(PlanError, match="would be outside the incubator for about 44 min, at most 40 min are allowed"):
        plan(120_000, 400, cells_out_minutes=40)
    worklist = planned.parts[0].worklist
    assert not list(time_problems(worklist, busy_minutes(worklist, deck)))
    strict = worklist.model_copy(update={"limits": worklist.limits.model_copy(update={"cells_out_minutes": 40})})
    told = list(time_problems(strict, busy_minutes(strict, deck)))
    assert {problem.rule for problem in told} == {"V070"}
    assert "U1-reference-grow" in told[-1].message


def test_each_bag_is_out_for_its_own_work_only(plan):
    _, planned = plan(120_000, 400, number=3)
    assert planned.cells_out_minutes == pytest.approx(54, abs=0.5)
    told = [task.instruction for task in tasks_of(planned, "confirm")]
    assert [text.split(" ")[0] for text in told] == ["Take", "Put"] * 3


def test_swapped_bags_are_caught(plan, catalogue, deck):
    request, planned = plan(120_000, 400, number=2)
    names = [bag.bag for bag in request.bags]
    swapped = dict(zip(names, reversed(names), strict=True))

    def change(task):
        return tuple(move.model_copy(update={"to_vessel": swapped.get(move.to_vessel, "")}) for move in task.moves)

    worklist = planned.parts[0].worklist
    first = next(step for step in worklist.steps if step.operator and step.operator.kind == "drain")
    moves = change(first.operator)
    steps = [
        step.model_copy(update={"operator": step.operator.model_copy(update={"moves": moves})})
        if step is first
        else step
        for step in worklist.steps
    ]
    result = check_ledger(worklist.model_copy(update={"steps": tuple(steps)}), catalogue, deck)
    assert "V066" in {problem["rule"] for problem in result.problems}


def test_dose_tubes_of_many_bags_wait_in_the_fridge(plan, catalogue, deck):
    _, planned = plan(120_000, 400, number=3)
    (part,) = planned.parts
    minutes = busy_minutes(part.worklist, deck)
    assert not list(temperature_problems(part.worklist, minutes, catalogue))
    warm = [s for s in part.worklist.steps if s.operator is None or s.operator.kind != "store"]
    slow = [
        s.model_copy(update={"operator": s.operator.model_copy(update={"minutes": random.Random(1).uniform(50, 60)})})
        if s.operator and s.operator.kind == "drain"
        else s
        for s in warm
    ]
    told = list(temperature_problems(part.worklist.model_copy(update={"steps": tuple(slow)}), minutes, catalogue))
    assert {problem.rule for problem in told} == {"V073"}
