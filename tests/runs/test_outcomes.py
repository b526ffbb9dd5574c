"""What became of each step, from the commands between announcements."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.drivers.interfaces import DeviceCommand, announced_step
from nkloop.runs.outcomes import MIXING_FIRST, NOT_GIVEN, NOT_MIXED, by_step, step_outcomes
from nkloop.worklists.models import Step, Worklist

AT = datetime(2026, 11, 23, tzinfo=UTC)


def command(kind: str, status: str = "succeeded", message: str = "", error: str = "clot") -> DeviceCommand:
    fields: dict[str, Any] = {"id": "c", "command_type": kind, "status": status, "params": {"message": message}}
    return DeviceCommand.model_validate({**fields, "error": error if status == "failed" else None})


def told(worklist: Worklist, commands: list[DeviceCommand], *, succeeded: bool = False) -> list[str]:
    outcomes = step_outcomes(worklist, commands, succeeded=succeeded, at=AT, device="flex")
    return [outcome.event for outcome in outcomes]


def step(number: int, *kinds: str) -> list[DeviceCommand]:
    return [command("comment", message=f"step {number}: x"), *(command(kind) for kind in kinds)]


def test_a_finished_run_is_done(worklist: Worklist) -> None:
    commands = [command("home"), *step(1, "aspirate"), *step(2), *step(3, "dispense")]
    assert told(worklist, commands, succeeded=True) == ["done"] * 3


def test_the_step_a_run_was_stopped_in_is_unknown(worklist: Worklist) -> None:
    assert told(worklist, [*step(1, "aspirate")]) == ["unknown", "failed", "failed"]


def test_a_pause_the_run_was_stopped_in_moved_nothing(worklist: Worklist) -> None:
    pause = command("waitForResume", "running", "step 2: incubate")
    assert told(worklist, [*step(1, "aspirate"), *step(2), pause]) == ["done", "failed", "failed"]


@pytest.mark.parametrize(
    ("action", "kind"), [("pause", "waitForResume"), ("delay", "waitForDuration"), ("shake", "waitForDuration")]
)
def test_a_wait_that_was_cut_short_by_the_stop_moved_nothing(worklist: Worklist, action: str, kind: str) -> None:
    """Nobody has to say what became of its wells; a shake may have mixed them or not."""
    steps = list(worklist.steps)
    steps[1] = steps[1].model_copy(update={"action": action})
    cut = command(kind, "failed", error="RunStoppedError: Run was cancelled")
    ended = told(worklist.model_copy(update={"steps": tuple(steps)}), [*step(1, "aspirate"), *step(2), cut])
    assert ended == ["done", "unknown" if action == "shake" else "failed", "failed"]


def test_a_failed_command_fails_its_step_only(worklist: Worklist) -> None:
    commands = [*step(1, "aspirate"), *step(2), *step(3), command("pickUpTip", "failed")]
    assert told(worklist, commands) == ["done", "done", "failed"]


def test_what_a_failed_aspirate_drew_is_unknown(worklist: Worklist) -> None:
    commands = [*step(1, "aspirate"), *step(2), *step(3), command("aspirate", "failed")]
    assert told(worklist, commands) == ["done", "done", "unknown"]


def recovered(failed: str, *fixes: tuple[str, str, str]) -> list[DeviceCommand]:
    """Step 1 with a command that failed and was recovered from; a fix is its kind, what it mends, how it ended."""
    broken = command(failed, "failed").model_copy(update={"id": "broken"})
    made = [
        command(kind, ended).model_copy(update={"id": f"fix-{n}", "intent": "fixit", "failed_command_id": mends})
        for n, (kind, mends, ended) in enumerate(fixes)
    ]
    return [*step(1), broken, *made, command("dropTip"), *step(2), *step(3)]


@pytest.mark.parametrize(
    ("failed", "fixes", "expected"),
    [
        pytest.param("aspirate", [], "unknown", id="passed over"),
        pytest.param("pickUpTip", [], "unknown", id="passed over before any liquid"),
        pytest.param("aspirate", [("aspirate", "broken", "succeeded")], "done", id="done again"),
        pytest.param("pickUpTip", [("pickUpTip", "broken", "succeeded")], "done", id="tip taken again"),
        pytest.param(
            "aspirate",
            [("aspirate", "broken", "failed"), ("aspirate", "broken", "succeeded")],
            "done",
            id="twice tried",
        ),
        pytest.param("aspirate", [("aspirate", "broken", "succeeded")] * 2, "unknown", id="drawn twice"),
        pytest.param("aspirate", [("aspirate", "other", "succeeded")], "unknown", id="another one mended"),
        pytest.param("dispense", [("dispense", "broken", "succeeded")], "unknown", id="given perhaps in part before"),
        pytest.param(
            "pickUpTip",
            [("pickUpTip", "broken", "succeeded"), ("dispense", "broken", "succeeded")],
            "unknown",
            id="liquid moved by hand",
        ),
    ],
)
def test_a_step_that_was_recovered_is_done_only_when_a_fix_proves_it(
    worklist: Worklist, failed: str, fixes: list[tuple[str, str, str]], expected: str
) -> None:
    assert told(worklist, recovered(failed, *fixes), succeeded=True) == [expected, "done", "done"]


def test_a_command_that_was_never_begun_says_nothing(worklist: Worklist) -> None:
    commands = [*step(1, "aspirate"), command("comment", "queued", "step 2: x")]
    assert told(worklist, commands) == ["unknown", "failed", "failed"]


def test_a_command_cut_short_by_the_stop_leaves_its_step_unknown(worklist: Worklist) -> None:
    cut = command("aspirate", "failed", error="RunStoppedError: Run was cancelled")
    assert told(worklist, [*step(1, "pickUpTip"), cut]) == ["unknown", "failed", "failed"]


def test_a_run_that_failed_before_its_first_step_did_nothing(worklist: Worklist) -> None:
    assert told(worklist, [command("loadPipette", "failed")]) == ["failed"] * 3


def test_a_step_missing_from_a_run_that_succeeded_is_unknown(worklist: Worklist) -> None:
    assert told(worklist, [*step(1, "aspirate"), *step(3, "aspirate")], succeeded=True) == ["done", "unknown", "done"]


def liquid(kind: str, well: str, volume: float, status: str = "succeeded") -> DeviceCommand:
    params = {"labwareId": "l", "wellName": well, "volume": volume}
    fields: dict[str, Any] = {"id": "c", "command_type": kind, "status": status, "params": params}
    return DeviceCommand.model_validate({**fields, "error": "stall" if status == "failed" else None})


def test_a_dispense_that_failed_leaves_its_step_unknown(worklist: Worklist) -> None:
    broken = [*step(1), liquid("aspirate", "A1", 50), liquid("dispense", "B1", 50, "failed")]
    assert told(worklist, broken) == ["unknown", "failed", "failed"]


@pytest.mark.parametrize(
    ("commands", "moved"),
    [
        pytest.param([], (), id="nothing"),
        pytest.param([("aspirate", "A1", 50), ("dispense", "B1", 50)], (50.0,), id="transfer"),
        pytest.param([("aspirate", "A1", 50)], (0.0,), id="drawn_and_not_given"),
        pytest.param([("aspirate", "A1", 30), ("dispense", "A1", 30)], (), id="mixed_only"),
        pytest.param(
            [("aspirate", "A1", 30), ("dispense", "A1", 30), ("aspirate", "A1", 50), ("dispense", "B1", 50),
             ("aspirate", "B1", 40), ("dispense", "B1", 40)], (50.0,), id="mixed_before_and_after",
        ),
        pytest.param([("aspirate", "A1", 50), ("dispense", "B1", 50), ("aspirate", "B1", 40)], (10.0,), id="mixing"),
        pytest.param([("aspirate", "A1", 50), ("dispense", "B1", 50, "failed")], (0.0,), id="failed_giving"),
    ],
)  # fmt: skip
def test_what_moved_is_told_by_the_commands(
    worklist: Worklist, commands: list[tuple[Any, ...]], moved: tuple[float, ...]
) -> None:
    outcome = step_outcomes(
        worklist, [*step(1), *(liquid(*c) for c in commands)], succeeded=False, at=AT, device="flex"
    )[0]
    assert outcome.moved_ul == moved


@pytest.mark.parametrize(
    ("message", "number"), [("step 12: add", 12), ("step 12", None), ("Step 1: x", None), (None, None), ("", None)]
)
def test_announcements_are_read(message: str | None, number: int | None) -> None:
    assert announced_step(message) == number


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4)), max_size=20))
def test_no_command_after_the_first_announcement_is_lost(plan: list[tuple[int, int]]) -> None:
    commands = [c for number, n in plan for c in step(number, *["aspirate"] * n)]
    found = by_step([command("home"), *commands])
    assert sum(len(group) for group in found.values()) == len(commands)
    assert set(found) == {number for number, _ in plan}


MIXED = [("aspirate", "A1", 90), ("dispense", "A1", 90)] * 2


@pytest.mark.parametrize(
    ("commands", "strokes", "gave_nothing"),
    [
        pytest.param([("aspirate", "A1", 50, "failed")], 0, True, id="overpressure"),
        pytest.param([("aspirate", "A1", 50, "running")], 0, True, id="stopped_during_its_draw"),
        pytest.param([("aspirate", "A1", 50)], 0, True, id="stopped_with_a_full_tip"),
        pytest.param([("aspirate", "A1", 50), ("dispense", "B1", 50, "queued")], 0, True, id="never_begun"),
        pytest.param([("aspirate", "A1", 50), ("dispense", "B1", 50, "failed")], 0, False, id="stopped_while_it_gave"),
        pytest.param([("aspirate", "A1", 50), ("dispense", "B1", 50, "running")], 0, False, id="giving"),
        pytest.param([("aspirate", "A1", 50), ("dispenseInPlace", "B1", 50)], 0, False, id="in_place"),
        pytest.param([("aspirate", "A1", 50), ("blowout", "B1", 0, "failed")], 0, False, id="blown_out"),
        pytest.param([*MIXED, ("aspirate", "A1", 50, "failed")], 2, True, id="mixed_first"),
        pytest.param([*MIXED, ("aspirate", "A1", 50), ("dispense", "B1", 50, "failed")], 2, False, id="mixed_and_gave"),
        pytest.param(
            [("aspirate", "A1", 90), ("dispense", "B1", 40), ("dispense", "B2", 40, "failed")], 0, False, id="two"
        ),
    ],
)
def test_a_transfer_whose_dispense_was_never_begun_has_given_nothing(
    worklist: Worklist, commands: list[tuple[Any, ...]], strokes: int, gave_nothing: bool
) -> None:
    first = worklist.steps[0].model_copy(update={"mix_before": strokes, "mix_volume_ul": 90 if strokes else 0})
    made = worklist.model_copy(update={"steps": (first, *worklist.steps[1:])})
    told = [*step(1), *(liquid(*one) for one in commands)]
    outcome = step_outcomes(made, told, succeeded=False, at=AT, device="flex")[0]
    assert outcome.event == "unknown"
    assert (NOT_GIVEN in outcome.detail) == gave_nothing


@pytest.mark.parametrize(
    ("commands", "fell_short"),
    [
        pytest.param([("aspirate", "A1", 90, "failed")], True, id="overpressure"),
        pytest.param([("aspirate", "A1", 90), ("dispense", "A1", 90, "failed")], True, id="its_first_stroke"),
        pytest.param([*MIXED[:3], ("dispense", "A1", 90, "running")], False, id="its_last_stroke"),
        pytest.param(MIXED, False, id="all_of_it"),
    ],
)
def test_a_mix_whose_last_stroke_was_never_given_back_is_not_mixed(
    worklist: Worklist, commands: list[tuple[Any, ...]], fell_short: bool
) -> None:
    mix = Step(number=1, action="mix", labware="plate", well="A1", volume_ul=90, mix_before=1, mix_after=1)
    made = worklist.model_copy(update={"steps": (mix, *worklist.steps[1:])})
    told = [*step(1), *(liquid(*one) for one in commands)]
    outcome = step_outcomes(made, told, succeeded=False, at=AT, device="flex")[0]
    assert (outcome.event, NOT_MIXED in outcome.detail) == ("unknown", fell_short)


@pytest.mark.parametrize("behind", ["fixed", "went_on", "succeeded"])
def test_what_people_may_have_given_by_hand_is_not_excluded(worklist: Worklist, behind: str) -> None:
    """Somebody was at the device and went on: the list does not tell what he did meanwhile."""
    broken = [*step(1), liquid("aspirate", "A1", 50, "failed")]
    more = {"fixed": [command("dropTip").model_copy(update={"intent": "fixit"})], "went_on": step(2), "succeeded": []}
    told = step_outcomes(worklist, [*broken, *more[behind]], succeeded=behind == "succeeded", at=AT, device="flex")
    assert told[0].event == "unknown"
    assert NOT_GIVEN not in told[0].detail


@pytest.mark.parametrize(
    ("commands", "is_mixing"),
    [
        pytest.param([("aspirate", "A1", 90)], True, id="its_liquid_in_the_tip"),
        pytest.param([("aspirate", "A1", 90), ("dispense", "A1", 90, "failed")], True, id="on_its_way_back"),
        pytest.param([("aspirate", "A1", 90), ("dispense", "A1", 90)] * 2, True, id="all_of_it_back"),
        pytest.param(
            [*[("aspirate", "A1", 90), ("dispense", "A1", 90)] * 2, ("aspirate", "A1", 50)], False, id="its_own_draw"
        ),
        pytest.param(
            [*[("aspirate", "A1", 90), ("dispense", "A1", 90)] * 2, ("aspirate", "A1", 50, "failed")], False,
            id="perhaps_its_own_draw",
        ),
        pytest.param([], False, id="nothing_yet"),
    ],
)  # fmt: skip
def test_a_transfer_cut_in_the_mix_before_its_draw_has_given_nothing(
    worklist: Worklist, commands: list[tuple[Any, ...]], is_mixing: bool
) -> None:
    first = worklist.steps[0].model_copy(update={"mix_before": 2, "mix_volume_ul": 90})
    mixing = worklist.model_copy(update={"steps": (first, *worklist.steps[1:])})
    told = [*step(1), *(liquid(*one) for one in commands)]
    outcome = step_outcomes(mixing, told, succeeded=False, at=AT, device="flex")[0]
    assert outcome.event == "unknown"
    assert (MIXING_FIRST in outcome.detail) == is_mixing
    assert not (is_mixing and outcome.moved_ul), "whether the source lacks the liquid of the mix is for people to see"
