from __future__ import annotations

from types import SimpleNamespace

import pytest

from nkloop.worklists.analysis_check import check_analysis, planned_operations
from nkloop.worklists.models import Step


@pytest.fixture
def good(worklist_of, transfer):
    return worklist_of(
        transfer("water:A1", "plate:A3", 50, "tips_1000:A1", channels=8),
        {"action": "mix", "labware": "tubes", "well": "A1", "volume_ul": 40, "tip": "tips_50:A1", "mix_before": 3},
        transfer("tubes:A1", "plate:A1", 10, mix_before=2, mix_after=1, mix_volume_ul=8),
        {"action": "pause", "comment": "wait", "operator": {"kind": "confirm", "instruction": "wait"}},
        transfer("water:A1", "plate:A1", 90, "tips_1000:A12"),
    )


def told(worklist, analysis, catalogue, deck=None):
    return [f"{p['where']}: {p['message']}" for p in check_analysis(worklist, analysis, catalogue, deck).problems]


def test_a_robot_that_does_what_is_planned_passes(good, robot, catalogue, deck):
    result = check_analysis(good, robot(good), catalogue, deck)
    assert result.problems == ()
    assert result.passed
    assert result.check == "opentrons analysis"


def test_modules_and_adapters_are_followed_to_their_slot(good, robot, catalogue, deck):
    plate = good.deck[-1].model_copy(
        update={"slot": "D1", "module": "heaterShakerModuleV1", "adapter": "opentrons_universal_flat_adapter"}
    )
    moved = good.model_copy(update={"deck": (*good.deck[:-1], plate)})
    assert told(moved, robot(moved), catalogue, deck) == []


def test_the_errors_of_the_analysis_are_passed_on(good, catalogue):
    errors = ({"message": "no such labware", "where": "worklist line 3", "remedy": "correct it"},)
    refused = SimpleNamespace(result="not-ok", errors=errors, commands=())
    assert told(good, refused, catalogue) == ["worklist line 3: no such labware"]
    silent = SimpleNamespace(result="parameter-value-required", errors=(), commands=())
    assert told(good, silent, catalogue) == ["protocol: the analysis ended with 'parameter-value-required'"]


def changed(good, number, **fields):
    steps = tuple(s.model_copy(update=fields) if s.number == number else s for s in good.steps)
    return good.model_copy(update={"steps": steps})


@pytest.mark.parametrize(
    ("number", "fields", "message"),
    [
        (5, {"volume_ul": 80}, "step 5: the robot would aspirate 80 µL at water A1"),
        (5, {"to_well": "B1"}, "step 5: the robot would dispense 90 µL at plate B1"),
        (3, {"labware": "water"}, "step 3: the robot would aspirate 8 µL at water A1"),
        (5, {"tip": "tips_1000:B12"}, "step 5: the robot would pick up tip tips_1000:B12"),
        (1, {"channels": 1}, "step 1: the robot would pick up tip tips_1000:A1 (1 channels)"),
        (3, {"mix_after": 3}, "step 3: the robot makes 12 pipette moves, planned are 8"),
        (2, {"mix_before": 1}, "step 2: the robot makes 3 pipette moves, planned are 7"),
    ],
)
def test_a_robot_that_does_something_else_is_told_with_the_step(good, robot, catalogue, number, fields, message):
    found = told(good, robot(changed(good, number, **fields)), catalogue)
    assert any(message in text for text in found), found


def test_wrong_volumes_show_in_the_end_contents_too(good, robot, catalogue):
    found = told(good, robot(changed(good, 5, volume_ul=80)), catalogue)
    assert found[0].startswith("step 5: the robot would aspirate 80 µL")
    assert found[1].startswith("water A1: the robot leaves 9520 µL, the worklist 9510 µL")
    assert found[1].endswith("1 more follow from step 5, at water A1, plate A1")
    swapped = told(good, robot(changed(good, 3, labware="water", well="A1")), catalogue)
    assert len(swapped) == 2
    assert "more follow from step 3" in swapped[1]


def test_steps_never_announced_or_not_asked_for(good, robot, catalogue):
    shorter = good.model_copy(update={"steps": good.steps[:-1]})
    assert "step 5: the robot never announces this step" in told(good, robot(shorter), catalogue)
    found = told(shorter, robot(good), catalogue)
    assert "step 5: the robot does something that no step of the worklist asks for" in found


def test_other_labware_than_planned(good, robot, catalogue):
    plate = good.deck[-1].model_copy(update={"load_name": "nest_96_wellplate_2ml_deep"})
    other = good.model_copy(update={"deck": (*good.deck[:-1], plate)})
    found = told(good, robot(other), catalogue)
    assert (
        "slot B3: the robot loads nest_96_wellplate_2ml_deep, the worklist has corning_96_wellplate_360ul_flat" in found
    )
    extra = plate.model_copy(update={"nickname": "extra", "slot": "C3"})
    more = good.model_copy(update={"deck": (*good.deck, extra)})
    assert any("into C3, which the worklist leaves empty" in text for text in told(good, robot(more), catalogue))


def test_operations_of_a_step_are_in_the_order_of_the_robot():
    step = Step(
        number=1,
        action="transfer",
        labware="a",
        well="A1",
        to_labware="b",
        to_well="B1",
        volume_ul=10,
        tip="t:C1",
        mix_before=1,
        mix_after=1,
        mix_volume_ul=5,
    )
    kinds = [(operation.kind, operation.labware, operation.volume_ul) for operation in planned_operations(step)]
    assert kinds == [
        ("pick_up", "t", 0.0),
        ("aspirate", "a", 5),
        ("dispense", "a", 5),
        ("aspirate", "a", 10),
        ("dispense", "b", 10),
        ("aspirate", "b", 5),
        ("dispense", "b", 5),
    ]
    assert planned_operations(Step(number=1, action="delay", seconds=3)) == ()
