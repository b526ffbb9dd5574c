"""Which of the plates waited for is the one in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.assays.readings import PlateReading
from nkloop.drivers.bench_file import InboxSpec
from nkloop.records.inbox import Wait
from nkloop.runs.inbox.fitting import Refusal, fitted

WellsOf = Callable[[str], Sequence[str]]
"""Wells of a labware by its load name."""
RELEASE = "nkloop inbox release FILE --plate BARCODE --by YOU --reason …"
"""How a person assigns a file."""
_NO_ZONE = "has no zone"
"""What a reading notes when its file gave a time without a zone; it was taken as UTC."""


@dataclass(frozen=True)
class Assignment:
    """A plate of a file and the wait it answers."""

    wait: Wait
    reading: Reading


@dataclass(frozen=True)
class Matcher:
    """The rules of one inbox."""

    spec: InboxSpec
    wells_of: WellsOf

    def plate(
        self, plate: PlateReading, waits: Sequence[Wait], arrived: datetime, *, named: str = ""
    ) -> Assignment | Refusal:
        """The one wait a plate answers.

        Args:
            plate: what the file says.
            waits: plates waited for.
            arrived: when the file was seen; the time of the read where the file tells none.
            named: barcode a person gives it; barcode and time of the file then do not count.
        """
        told = named or _barcode(plate, waits)
        candidates = [wait for wait in waits if wait.kind == "plate" and (not told or same_barcode(wait.barcode, told))]
        if not candidates:
            return _nobody(told, waits)
        tried = [(wait, self._judged(plate, wait, arrived, trusted=bool(named))) for wait in candidates]
        fits = [Assignment(wait, one) for wait, one in tried if isinstance(one, Reading)]
        if len(fits) == 1 and (told or self.spec.accept_without_barcode):
            return fits[0]
        if len(fits) > 1:
            names = ", ".join(f"{one.wait.barcode} (run {one.wait.run_id or 'none'})" for one in fits)
            remedy = f"say which: {RELEASE}"
            return Refusal("two_candidates", f"the file fits {len(fits)} plates waited for: {names}", remedy)
        if not told:
            return _nameless(fits)
        return next(one for _, one in tried if isinstance(one, Refusal))

    def _judged(self, plate: PlateReading, wait: Wait, arrived: datetime, *, trusted: bool) -> Reading | Refusal:
        request = ReadRequest.model_validate_json(wait.asked)
        read_at = self.read_at(plate.read_at, plate.notes) or arrived
        if not trusted:
            refused = self.out_of_time(read_at, wait, "read", plate.notes)
            if refused is not None:
                return refused
        return fitted(plate, request, self.wells_of(request.load_name), self.spec.tolerance_nm, read_at)

    def read_at(self, told: datetime | None, notes: Sequence[str]) -> datetime | None:
        """Time of a read in the zone of the reader's computer where the file gives none."""
        if told is None or not any(_NO_ZONE in note for note in notes):
            return told
        return told.replace(tzinfo=ZoneInfo(self.spec.time_zone))

    def out_of_time(self, at: datetime, wait: Wait, done: str, notes: Sequence[str] = ()) -> Refusal | None:
        """Why a time is not one at which what was asked for can have been measured; None when it is.

        Args:
            at: the time, zone settled.
            wait: what is waited for.
            done: what was done with the plate, such as `read`.
            notes: of the file; they say whether its time had a zone.
        """
        first = wait.asked_at - timedelta(minutes=self.spec.early_minutes)
        last = wait.asked_at + timedelta(minutes=self.spec.late_minutes)
        if first <= at <= last:
            return None
        off = (at - wait.asked_at).total_seconds() / 60
        told = f"{abs(off):.0f} min {'after' if off > 0 else 'before'} it was asked for"
        window = f"{self.spec.early_minutes:g} min before to {self.spec.late_minutes:g} min after"
        remedy = "check that this is today's plate; then release the file, or widen early_minutes and late_minutes"
        if any(_NO_ZONE in note for note in notes):
            zone = f"the file gives no time zone, {self.spec.time_zone} was taken: correct time_zone of the inbox"
            remedy = f"{zone}; {remedy}"
        return Refusal("out_of_time", f"plate {wait.barcode} was {done} {told}, allowed are {window}", remedy)


def _barcode(plate: PlateReading, waits: Sequence[Wait]) -> str:
    """Barcode a file tells in itself, else one that is waited for and stands in its name."""
    if plate.barcode:
        return plate.barcode
    name = f" {re.sub(r'[^a-z0-9-]+', ' ', plate.file.rpartition('.')[0].casefold())} "
    inside = {w.barcode for w in waits if f" {re.sub(r'[^a-z0-9-]+', ' ', w.barcode.casefold())} " in name}
    return inside.pop() if len(inside) == 1 else ""


def same_barcode(one: str, other: str) -> bool:
    """Whether two barcodes name one plate; capitals do not tell plates apart."""
    return one.strip().casefold() == other.strip().casefold()


def _nobody(told: str, waits: Sequence[Wait]) -> Refusal:
    known = ", ".join(dict.fromkeys(wait.barcode for wait in waits if wait.kind == "plate")) or "none"
    if not told:
        return Refusal("nobody_waits", "no plate is waited for", "it is taken by itself as soon as a run waits for it")
    remedy = "it is taken by itself as soon as a run waits for this plate; if the name is wrong, release the file"
    return Refusal("unknown_barcode", f"nobody waits for plate {told}; waited for: {known}", remedy)


def _nameless(fits: Sequence[Assignment]) -> Refusal:
    guess = f"; it would fit plate {fits[0].wait.barcode}" if fits else ""
    remedy = (
        "name the plate in the reader's software, or: nkloop inbox release FILE --plate BARCODE --by YOU --reason …"
    )
    return Refusal("no_barcode", f"the file names no plate{guess}", remedy)
