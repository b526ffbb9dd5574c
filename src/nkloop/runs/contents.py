"""What labware with an identity holds now, told from the worklists that were run on it."""

from __future__ import annotations

from dataclasses import dataclass

from nkloop.errors import RecordError, StepUnknownError
from nkloop.records import Records
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, Ledger, WellContents


@dataclass(frozen=True)
class KnownLabware:
    """A labware with an identity and what its wells hold."""

    barcode: str
    load_name: str
    wells: dict[str, WellContents]


def known_contents(records: Records, catalogue: LabwareLookup, deck: BenchDeck, barcode: str) -> KnownLabware:
    """A labware as it stands after the last run it was part of.

    Raises:
        RecordError: no run had it on the deck.
        StepUnknownError: that run left steps of unknown outcome, so nobody knows the contents.
    """
    for run in reversed(records.journal.runs()):
        worklist = records.journal.worklist(run.worklist_hash)
        item = next((item for item in worklist.deck if item.barcode == barcode), None)
        if item is None or run.state == "planned":
            continue
        if run.unknown_steps or run.state != "succeeded":
            raise StepUnknownError(
                f"run {run.id} ended as {run.state} with {len(run.unknown_steps)} steps of unknown outcome, "
                f"so nobody knows what {barcode} holds",
                where=f"run {run.id}",
                remedy="look at the labware, then discard it or enter what it holds",
            )
        ledger = Ledger.of(worklist, catalogue, deck)
        for step in worklist.steps:
            ledger.apply(step)
        wells = {well: contents for nickname, well, contents in ledger.wells() if nickname == item.nickname}
        return KnownLabware(barcode, item.load_name, wells)
    raise RecordError(f"no run had a labware '{barcode}' on the deck", remedy="prepare it first, or check the barcode")
