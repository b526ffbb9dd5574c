"""What a reading that was cut has certainly done, certainly not done, and what nobody knows of its lid."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nkloop.drivers.interfaces import DeviceCommand
from nkloop.runs.outcomes import step_outcomes
from nkloop.worklists.models import DeckItem
from nkloop.worklists.plate_reading import reading_worklist

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PLATE = DeckItem(nickname="plate", slot="D3", load_name="corning_96_wellplate_360ul_flat", barcode="P-1")
STEPS = reading_worklist(PLATE, [450], "reader")
KINDS = ("closeLid", "initialize", "openLid", "moveLabware", "closeLid", "read", "openLid")


def commands(n_done: int, last: str = "", error: str | None = None) -> list[DeviceCommand]:
    """Every step announced and done up to `n_done`, the next one ended as `last`."""
    found: list[DeviceCommand] = []

    def add(kind: str, status: str, message: str = "", told: str | None = None) -> None:
        params = {"message": message} if message else {}
        found.append(
            DeviceCommand.model_validate(
                {"id": str(len(found)), "command_type": kind, "status": status, "params": params, "error": told}
            )
        )

    for number, kind in enumerate(KINDS, start=1):
        if number > n_done + bool(last):
            break
        add("comment", "succeeded", f"step {number}: what it does")
        name = kind if kind == "moveLabware" else f"absorbanceReader/{kind}"
        add(name, "succeeded" if number <= n_done else last, told=error if number > n_done else None)
    return found


@pytest.mark.parametrize(
    ("cut_at", "event", "told"),
    [
        (1, "unknown", "closeLid: RunStoppedError; where the lid is nobody saw"),
        (2, "failed", "initialize: RunStoppedError; nothing was measured; it may be measured again"),
        (4, "failed", "moveLabware: RunStoppedError; the run ended while it waited for the plate"),
        (5, "unknown", "where the lid is nobody saw"),
        (6, "failed", "nothing was measured; it may be measured again"),
        (7, "unknown", "where the lid is nobody saw"),
    ],
)
def test_a_step_that_was_cut(cut_at: int, event: str, told: str) -> None:
    done = commands(cut_at - 1, "failed", "RunStoppedError")
    events = step_outcomes(STEPS, done, succeeded=False, at=AT, device="reader")
    assert [one.event for one in events] == ["done"] * (cut_at - 1) + [event] + ["failed"] * (7 - cut_at)
    assert told in events[cut_at - 1].detail
    assert all("not started" in one.detail for one in events[cut_at:])


def test_a_run_stopped_between_two_steps_leaves_nothing_unknown() -> None:
    events = step_outcomes(STEPS, commands(6), succeeded=False, at=AT, device="reader")
    assert [one.event for one in events] == ["done"] * 6 + ["failed"]


def test_a_whole_reading_is_done() -> None:
    events = step_outcomes(STEPS, commands(7), succeeded=True, at=AT, device="reader")
    assert {one.event for one in events} == {"done"}
