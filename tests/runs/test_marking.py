"""Two nkloop with two databases and one robot: the note on the robot refuses the second, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.bench import Bench
from nkloop.errors import DeviceHeldError, DeviceUnreachableError
from nkloop.records import Records
from nkloop.records.processes import this_process
from nkloop.runs.holding import device_held
from nkloop.runs.marking import require_unmarked


class Notes:
    """The place on the robot."""

    def __init__(self, handler: Any) -> None:
        self.note: Any = None
        self.fails = False
        handler.mark, handler.marked = self.mark, self.marked

    async def mark(self, note: Any) -> None:
        self.note = dict(note)

    async def marked(self) -> Any:
        if self.fails:
            raise DeviceUnreachableError("no answer")
        return self.note


@pytest.fixture
def notes(handler: Any) -> Notes:
    return Notes(handler)


@pytest.fixture
def other(tmp_path: Path) -> Any:
    made = Records(f"sqlite:///{tmp_path / 'other.db'}")
    made.migrate()
    yield made
    made.close()


async def test_a_second_database_is_refused_while_the_first_holds_the_robot(
    bench: Bench, records: Records, other: Records, notes: Notes
) -> None:
    async with device_held(bench, records, "dose day 3"):
        assert notes.note["holder"].startswith("dose day 3 (process ")
        with pytest.raises(
            DeviceHeldError, match=r"another nkloop, with another database.*dose day 3.*NKLOOP_DATABASE_URL"
        ):
            async with device_held(bench, other, "second"):
                raise AssertionError("unreachable")
        assert notes.note["holder"].startswith("dose day 3")
    async with device_held(bench, other, "second"):
        assert notes.note["holder"].startswith("second")
    assert [one.released_at is not None for one in other.claims.holders()] == [True]


def note(records: Records, **changes: Any) -> dict[str, Any]:
    elsewhere = this_process()._replace(host="lab-pc", pid=7).mark
    until = datetime.now(UTC) + timedelta(seconds=30)
    return {"holder": "x", "until": until.isoformat(), "database": "another", "process": elsewhere} | changes


GONE = this_process()._replace(pid=2**22 + 1).mark
PAST = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
FAR = (datetime.now(UTC) + timedelta(hours=3)).isoformat()


@pytest.mark.parametrize(
    "changes",
    [{"until": PAST}, {"until": FAR}, {"until": "soon"}, {"process": GONE}, {"database": None}, {"until": None}],
    ids=["ran_out", "wrong_clock", "no_time", "its_process_has_ended", "of_an_older_version", "no_end"],
)
async def test_a_note_that_no_longer_holds_is_passed_over(
    bench: Bench, records: Records, notes: Notes, changes: dict[str, Any]
) -> None:
    notes.note = note(records)
    with pytest.raises(DeviceHeldError):
        await require_unmarked(bench, records)
    notes.note = note(records, **changes)
    await require_unmarked(bench, records)


async def test_our_own_note_and_a_robot_that_does_not_answer_stand_in_nobodys_way(
    bench: Bench, records: Records, notes: Notes
) -> None:
    notes.note = note(records, database=records.identity)
    await require_unmarked(bench, records)
    notes.note, notes.fails = note(records), True
    async with device_held(bench, records, "dose"):
        pass


async def test_the_note_is_renewed_with_the_lease(bench: Bench, records: Records, notes: Notes) -> None:
    import asyncio

    async with device_held(bench, records, "dose", lease_seconds=0.2):
        notes.note = None
        await asyncio.sleep(0.15)
        assert notes.note is not None
