"""What people decided about runs that ended with steps of unknown outcome, and which wells they discarded."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.frozen import canonical_json
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.database import Database
from nkloop.records.discards import discarded_of, require_kept, spared_by, with_barcode
from nkloop.records.journal_rows import (
    OPENED,
    devices_of_row,
    last_decision,
    run_record,
    run_row,
    save_worklist,
    worklist_of,
)
from nkloop.records.lineage import decisions_of, number_of
from nkloop.records.models import DecisionKind, DiscardedWell, RunDecision, RunRecord
from nkloop.records.once import left_of, require_undone
from nkloop.records.since import as_it_stands
from nkloop.worklists.models import Worklist

_UNCLEAR = ("failed", "stopped", "interrupted")
"""States in which a run that is over may have steps of unknown outcome."""


class Rest(NamedTuple):
    """What a decision left of a run and nobody has taken up."""

    run_id: str
    decision: int
    """Number of the decision about the run that left it."""
    blocked: RecordError | None = None
    """Why it cannot be done as it was decided; None where it can."""


class Decisions:
    """Decisions are only added; the last one of a run counts, and after a discard there is no other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        decision: RunDecision,
        *,
        follow_up: Worklist | None = None,
        of_events: int | None = None,
        instead_of: int | None = None,
    ) -> None:
        """Save a decision, the wells it discards and the worklist that follows from it; durable when this returns.

        Args:
            decision: what was decided, by whom and why; its `follow_up` is filled in from the worklist.
            follow_up: worklist that continues or repairs the run.
            of_events: how many events of the run it was made from; asked for where time passes between the two.
            instead_of: number of the decision about the run that it replaces, the first one being 1; 0 for the first
                one. None where nobody is to be asked.

        Raises:
            RecordError: the run does not exist, is not over, its journal has grown since the decision was made from it,
                another decision than the one it replaces is the last, its wells were discarded, or what it left is
                gone: another run has taken it up, has done its worklist, or has changed or discarded wells that the
                follow-up needs.
        """
        if follow_up is not None:
            decision = decision.model_copy(update={"follow_up": follow_up.content_hash})
        with self._database.writing() as connection:
            run = run_record(connection, run_row(connection, decision.run_id))
            decision = _addable(connection, run, decision, follow_up, of_events, instead_of)
            if follow_up is not None:
                save_worklist(connection, follow_up, decision.at)
            _save(connection, run, decision)

    def require_addable(self, decision: RunDecision, follow_up: Worklist | None = None) -> None:
        """Refuse what `add` would refuse as the first decision about a run, and write nothing.

        Raises:
            RecordError: as `add` does.
        """
        with self._database.reading() as connection:
            run = run_record(connection, run_row(connection, decision.run_id))
            _addable(connection, run, decision, follow_up, None, 0)

    def require_open(self, run_id: str, kind: DecisionKind | None = None, instead_of: int | None = None) -> None:
        """Refuse what could not be decided either: `add` asks the same once more.

        Raises:
            RecordError: the run does not exist, another decision than the one to be replaced is the last, or what the
                run left is gone.
        """
        with self._database.reading() as connection:
            run = run_record(connection, run_row(connection, run_id))
            _require_undone(connection, run, kind)
            _require_last(connection, run, instead_of)

    def left_of(self, run_id: str) -> Worklist:
        """What the last decision about a run left, with what others have drawn since from its sources taken off.

        Raises:
            RecordError: nothing was left, it is gone, or its sources hold too little by now.
        """
        with self._database.reading() as connection:
            require_undone(connection, run_id)
            return left_of(connection, run_id)

    def as_it_stands(self, run_id: str, made: Worklist, apart: Collection[str] = ()) -> Worklist:
        """A worklist that follows from what a run left, with what others have drawn since taken off.

        Args:
            run_id: the run.
            made: the worklist.
            apart: runs since whose closed vessels only have the names of those of this run.

        Raises:
            RecordError: another run has changed a well or vessel it needs in another way, or is about to.
        """
        with self._database.reading() as connection:
            return as_it_stands(connection, run_id, made, apart)

    def rests(self) -> tuple[Rest, ...]:
        """What decisions left and nobody has taken up yet, oldest first, with what stands in its way.

        One that is blocked stays among them until somebody decides about its run anew.
        """
        decided = (
            sa.select(schema.run_decisions.c.run_id).where(schema.run_decisions.c.follow_up.is_not(None)).distinct()
        )
        with self._database.reading() as connection:
            found = sorted(connection.execute(decided).scalars(), key=number_of)
            return tuple(rest for run_id in found if (rest := _rest_of(connection, run_id)) is not None)

    def rest_of(self, run_id: str) -> Rest | None:
        """What the last decision about a run left and nobody has taken up yet; None when there is nothing."""
        with self._database.reading() as connection:
            return _rest_of(connection, run_id)

    def of_run(self, run_id: str) -> tuple[RunDecision, ...]:
        """Every decision about a run, oldest first."""
        table = schema.run_decisions
        query = sa.select(table.c.document).where(table.c.run_id == run_id).order_by(table.c.id)
        with self._database.reading() as connection:
            return tuple(RunDecision.model_validate_json(text) for text in connection.execute(query).scalars())

    def discarded(self, barcode: str) -> tuple[DiscardedWell, ...]:
        """Wells of a labware whose contents must not be used any more."""
        with self._database.reading() as connection:
            return discarded_of(connection, barcode)

    def require_usable(self, worklists: Iterable[Worklist]) -> None:
        """Refuse worklists that give into, draw from or mix wells whose contents a person discarded.

        Raises:
            RecordError: with every such well, who discarded it, when and why.
        """
        with self._database.reading() as connection:
            require_kept(connection, worklists)

    def undecided(self, devices: Collection[str], barcodes: Collection[str] = ()) -> tuple[RunRecord, ...]:
        """Runs on these devices, or with this labware, that wait for a decision, oldest first."""
        runs, events, decided = schema.runs, schema.step_events, schema.run_decisions
        unknown = sa.exists().where(events.c.run_id == runs.c.id, events.c.event == "unknown")
        settled = sa.exists().where(decided.c.run_id == runs.c.id)
        query = sa.select(runs).where(runs.c.state.in_(_UNCLEAR), ~settled, unknown).order_by(*OPENED)
        with self._database.reading() as connection:
            found = []
            for row in connection.execute(query).mappings().all():
                concerned = devices_of_row(row) & set(devices) or _barcodes(connection, row["worklist_hash"]) & set(
                    barcodes
                )
                record = run_record(connection, row) if concerned else None
                if record is not None and record.needs_decision:
                    found.append(record)
            return tuple(found)


def _addable(
    connection: sa.Connection,
    run: RunRecord,
    decision: RunDecision,
    follow_up: Worklist | None,
    of_events: int | None,
    instead_of: int | None,
) -> RunDecision:
    """The decision as it may be saved, with what still holds of the one before."""
    _require_over(run)
    refuse_discarded(run)
    _require_as_read(connection, run.id, of_events)
    _require_undone(connection, run, decision.decision)
    _require_last(connection, run, instead_of)
    decision = _with_what_holds(decision, run.decision)
    if follow_up is not None:
        as_it_stands(connection, run.id, follow_up, decision.apart)
        require_kept(connection, (follow_up,), spared_by(connection, run.id, decision))
    return decision


def _save(connection: sa.Connection, run: RunRecord, decision: RunDecision) -> None:
    """Write a decision and the wells it discards."""
    row = {name: getattr(decision, name) for name in ("run_id", "decision", "by", "reason", "at", "follow_up")}
    row["document"] = canonical_json(decision)
    write(connection, schema.run_decisions, row, who=decision.by, action=f"decided {decision.decision}")
    for barcode, well in with_barcode(connection, run.worklist_hash, decision.wells):
        values = {"barcode": barcode, "well": well, "run_id": run.id, "at": decision.at}
        told = {"by": decision.by, "reason": decision.reason}
        write(connection, schema.discarded_wells, values | told, who=decision.by, action="well discarded")


def _require_over(run: RunRecord) -> None:
    if not run.is_over:
        raise RecordError(
            f"run {run.id} is still {run.state}, so nothing can be decided about it",
            remedy=f"nkloop reconcile {run.id}",
        )


def _require_undone(connection: sa.Connection, run: RunRecord, kind: DecisionKind | None) -> None:
    """Refuse a decision about what is gone.

    A run that nobody has decided about may always be discarded: it stands in the way of the next one until somebody
    has, and records of older versions may hold two runs that continued the same one.
    """
    if not (kind == "discard" and run.needs_decision):
        require_undone(connection, run.id)


def _rest_of(connection: sa.Connection, run_id: str) -> Rest | None:
    decision = last_decision(connection, run_id)
    if decision is None or decision.follow_up is None:
        return None
    try:
        require_undone(connection, run_id)  # before the worklist is read, which takes longer
    except RecordError:
        return None
    rest = Rest(run_id, decisions_of(connection, run_id))
    try:
        left_of(connection, run_id)
    except RecordError as error:
        return rest._replace(blocked=error)
    return rest


def refuse_discarded(run: RunRecord) -> None:
    """Refuse to decide once more about a run whose wells were thrown away: what is gone cannot be continued.

    Raises:
        RecordError: it was decided to discard; the person and the time are told.
    """
    made = run.decision
    if made is not None and made.decision == "discard":
        raise RecordError(
            f"decided already: discard, by {made.by}, at {made.at:%Y-%m-%d %H:%M} UTC ({made.reason})",
            where=f"run {run.id}",
            remedy="the decision stays; plan anew, with fresh labware",
        )


def _barcodes(connection: sa.Connection, worklist_hash: str) -> set[str]:
    return {item.barcode for item in worklist_of(connection, worklist_hash).deck if item.barcode}


def _with_what_holds(decision: RunDecision, before: RunDecision | None) -> RunDecision:
    """A decision with what the one before said of the world: other vessels stay others, a deck stays carried over."""
    if before is None:
        return decision
    apart = tuple(dict.fromkeys((*before.apart, *decision.apart)))
    return decision.model_copy(update={"apart": apart, "carried_to": decision.carried_to or before.carried_to})


def _require_last(connection: sa.Connection, run: RunRecord, instead_of: int | None) -> None:
    """Refuse to replace a decision unseen: who was asked the same before has not read what the first one said."""
    last, made = decisions_of(connection, run.id), run.decision
    if instead_of is None or instead_of == last:
        return
    if made is None:
        raise RecordError(
            f"decision {instead_of} is to be replaced, and nobody has decided yet",
            where=f"run {run.id}",
            remedy="leave --instead-of out",
        )
    raise RecordError(
        f"decided already: {made.decision}, by {made.by}, at {made.at:%Y-%m-%d %H:%M} UTC ({made.reason})",
        where=f"run {run.id}",
        remedy=f"agree with them first; to replace that decision say so: `nkloop reconcile {run.id}` with the same "
        f"words and --instead-of {last}, in the form `Instead of decision`",
    )


def _require_as_read(connection: sa.Connection, run_id: str, of_events: int | None) -> None:
    table = schema.step_events
    now = connection.execute(sa.select(sa.func.count()).where(table.c.run_id == run_id)).scalar()
    if of_events is not None and now != of_events:
        raise RecordError(
            f"the device of run {run_id} has told more while this was decided, so that steps may stand otherwise now",
            where=f"run {run_id}",
            remedy=f"look again and decide anew: nkloop reconcile {run_id}",
        )
