"""Word of the holder on the device itself, for an nkloop that works with another database.

Claims keep apart whoever shares a database. A robot keeps a small note for its clients, which those who do not share
one can read. The note is no lock: two may write it at the same moment, anybody may delete it, a restart clears it, and
the maker calls the place experimental. So it only refuses; that it is missing proves nothing (decision 35).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from nkloop.drivers.bench import Bench
from nkloop.errors import DeviceError, DeviceHeldError
from nkloop.records import Records
from nkloop.records.models import Claim
from nkloop.records.processes import has_ended, this_process

LONGEST_AHEAD = timedelta(minutes=10)
"""A note that is said to hold longer than this comes from a clock that is wrong, and counts for nothing."""
SECONDS = 5.0
"""Longest time spent on a note."""


@runtime_checkable
class KeepsNotes(Protocol):
    """A device that keeps a note."""

    async def mark(self, note: Mapping[str, Any]) -> None:
        """Leave a note; best effort."""

    async def marked(self) -> dict[str, Any] | None:
        """The note that lies there."""


async def require_unmarked(bench: Bench, records: Records) -> None:
    """Refuse a device on which another nkloop, with another database, has left a note that still holds.

    Raises:
        DeviceHeldError: it does; who, since when and until when is told.
    """
    device = bench.liquid_handler
    if not isinstance(device, KeepsNotes):
        return
    note: dict[str, Any] | None = None
    with suppress(DeviceError, TimeoutError):  # a device that does not answer is told by whatever comes next
        async with asyncio.timeout(SECONDS):
            note = await device.marked()
    if note is not None and _holds(note, records):
        raise DeviceHeldError(
            f"another nkloop, with another database, holds it: {note.get('holder')}, since {note.get('since')}, "
            f"until {note['until']} unless it renews that",
            where=device.name,
            remedy="let it end, or wait until then when its computer is off; computers that share a robot share one "
            "database (NKLOOP_DATABASE_URL)",
        )


async def leave_mark(bench: Bench, claim: Claim, records: Records, *, seconds: float) -> None:
    """Leave word of the holder for so many seconds from now; 0 says that the device is free again."""
    device, now = bench.liquid_handler, datetime.now(UTC)
    if not isinstance(device, KeepsNotes):
        return
    note = {
        "holder": claim.holder,
        "token": claim.token,
        "since": now.isoformat(timespec="seconds"),
        "until": (now + timedelta(seconds=seconds)).isoformat(timespec="seconds"),
        "database": records.identity,
        "process": this_process().mark,
    }
    with suppress(DeviceError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            await device.mark(note)


def _holds(note: Mapping[str, Any], records: Records) -> bool:
    if note.get("database") in {None, records.identity} or has_ended(str(note.get("process"))):
        return False
    try:
        left = datetime.fromisoformat(str(note.get("until"))) - datetime.now(UTC)
    except (ValueError, TypeError):
        return False
    return timedelta(0) < left <= LONGEST_AHEAD
