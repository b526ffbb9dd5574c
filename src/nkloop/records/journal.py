"""The journal of physical work: runs, what each step was meant to do, what was seen of it, what people confirmed."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from nkloop.errors import RecordError, StaleHolderError
from nkloop.records import schema
from nkloop.records.audit import SOFTWARE, change, link_events, write
from nkloop.records.claims import require_newest
from nkloop.records.journal_footing import Footing, footing_of
from nkloop.records.journal_reading import JournalReading
from nkloop.records.journal_rows import (
    event_row,
    last_decision,
    last_events,
    run_row,
    save_worklist,
)
from nkloop.records.lineage import origin_of
from nkloop.records.models import (
    RUN_OVER,
    Claim,
    Context,
    JournalEvent,
    OperatorAction,
    OperatorRemark,
    RunState,
    StepEvent,
)
from nkloop.records.once import require_first
from nkloop.records.opening import Where, batch_of, new_row, save_verdict, taken_up
from nkloop.worklists.models import Verdict, Worklist

_ALIKE = (
    "name", "procedure", "bench", "device", "worklist_hash", "verdict_id", "recipe_revision", "batch", "n_transfers",
)  # fmt: skip
"""What two runs of one worklist have in common."""
# Made once: building a statement costs more than executing it, and this happens before and after every step.
_ADD_EVENTS = sa.insert(schema.step_events)


class Journal(JournalReading):
    """Runs and their steps. Events are inserted in batches, one durable transaction each; nothing is overwritten.

    A run that was opened under a claim of its devices can be written to only under the newest claim of them: whatever
    a stale holder wants to write is refused with `StaleHolderError`, in the transaction that would have written it.
    """

    def create_run(
        self,
        worklist: Worklist,
        verdict: Verdict,
        *,
        bench: str,
        device: str,
        at: datetime,
        context: Context,
        claim: Claim | None = None,
        known: Collection[str] | None = None,
        device_serial: str | None = None,
    ) -> str:
        """Save worklist and verdict and open a run in state `planned`; return its id (`run-0001`, counted up).

        A worklist that a decision left of a run continues that run, also when `context` does not say so.

        Args:
            worklist: what is run.
            verdict: what allowed it.
            bench: where.
            device: on which device.
            at: time of the bench.
            context: what the run belongs to.
            claim: under which the devices are held.
            known: ids of the runs of this worklist that it is meant to be done besides; any other that is open or has
                moved something refuses it. None where a launch of a flow says what is a repetition.
            device_serial: serial number of the device, where it tells one.

        Raises:
            StaleHolderError: the claim is not the newest of its devices.
            RecordError: the work was taken up already, is not what was decided last, needs wells that were discarded,
                or fills a used vessel as a new one; or the database refused, for example because the campaign is not
                saved.
        """
        with self._database.writing() as connection:
            if claim is not None:
                require_newest(connection, claim)
            where = Where(bench, device, device_serial, claim)
            parent = taken_up(connection, worklist, where, context, known)
            context = context.model_copy(update={"batch": batch_of(connection, context, parent)})
            run_id = _next_id(connection)
            save_worklist(connection, worklist, at)
            verdict_id = save_verdict(connection, worklist, verdict, at)
            row = new_row(run_id, worklist, where, context, parent=parent, verdict_id=verdict_id, at=at)
            write(connection, schema.runs, row)
        return run_id

    def note_foreign(
        self,
        alike: str,
        device_run_id: str,
        events: Sequence[JournalEvent],
        *,
        at: datetime,
        error: str,
        device_serial: str | None,
        claim: Claim,
    ) -> str:
        """Save a run of a device that was not begun from here, over, in one transaction; return its id.

        Args:
            alike: a run of the same worklist.
            device_run_id: id the device gave it.
            events: outcome of every step.
            at: time of the bench.
            error: what is known of it, with `NOT_FROM_HERE` in it.
            device_serial: serial number of the device, where it tells one.
            claim: under which the device is held.

        Raises:
            StaleHolderError: the claim is not the newest of its devices.
            RecordError: there is no such run.
        """
        with self._database.writing() as connection:
            require_newest(connection, claim)
            found = run_row(connection, alike)
            run_id = _next_id(connection)
            row = {name: found[name] for name in _ALIKE} | {
                "id": run_id, "state": "interrupted", "created_at": at, "ended_at": at, "error": error,
                "device_run_id": device_run_id, "device_serial": device_serial,
                "locks": json.dumps(claim.devices), "token": claim.token,
            }  # fmt: skip
            write(connection, schema.runs, row)
            _insert_events(connection, run_id, events, claim, footing_of(connection, run_id, claim))
        return run_id

    def append_events(self, run_id: str, events: Sequence[JournalEvent], *, claim: Claim | None = None) -> None:
        """Insert events of one run; durable when this returns. One audit entry covers the batch.

        Raises:
            StaleHolderError: the run's devices are claimed by somebody else.
            RecordError: the run does not exist, or is over: what people decide, and what is made from it, counts on
                what is known of its steps then.
        """
        if not events:
            return
        with self._database.writing() as connection:
            footing = _with_right(connection, run_id, claim)
            if footing.state in RUN_OVER:
                raise RecordError(
                    f"step {events[0].number} cannot be noted as {events[0].event}: the run is {footing.state}",
                    where=f"run {run_id}",
                    remedy=f"say what became of its steps: `nkloop reconcile {run_id}`",
                )
            _insert_events(connection, run_id, events, claim, footing)

    def append_event(
        self,
        run_id: str,
        numbers: Sequence[int],
        event: StepEvent,
        *,
        at: datetime,
        device: str,
        claim: Claim | None = None,
    ) -> None:
        """Insert the same event for many steps, in one transaction."""
        events = [JournalEvent(number=number, event=event, at=at, device=device) for number in numbers]
        self.append_events(run_id, events, claim=claim)

    def set_run_state(
        self,
        run_id: str,
        state: RunState,
        *,
        device_run_id: str | None = None,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        error: str | None = None,
        found_before: Sequence[str] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Change where a run stands; what is None stays as it is.

        Raises:
            StaleHolderError: the run's devices are claimed by somebody else.
            RecordError: the run does not exist.
        """
        given = {"device_run_id": device_run_id, "started_at": started_at, "ended_at": ended_at, "error": error}
        given["found_before"] = None if found_before is None else json.dumps(list(found_before))
        values: dict[str, Any] = {"state": state} | {key: value for key, value in given.items() if value is not None}
        with self._database.writing() as connection:
            _with_right(connection, run_id, claim)
            _set_state(connection, run_id, values, claim)

    def close_run(
        self,
        run_id: str,
        events: Sequence[JournalEvent],
        state: RunState,
        *,
        ended_at: datetime,
        error: str = "",
        device_run_id: str | None = None,
        found_before: Sequence[str] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """Write the outcome of the steps and the end of the run in one transaction, so that no crash parts them.

        A run that is over already stays as it is. `device_run_id` and `found_before` are given where they were not
        written down before.

        Raises:
            StaleHolderError: the run's devices are claimed by somebody else.
            RecordError: the run does not exist.
        """
        with self._database.writing() as connection:
            footing = _with_right(connection, run_id, claim)
            if footing.state in RUN_OVER:
                return
            if events:
                _insert_events(connection, run_id, events, claim, footing)
            values = {"state": state, "ended_at": ended_at, "error": error, "device_run_id": device_run_id}
            values["found_before"] = None if found_before is None else json.dumps(list(found_before))
            _set_state(connection, run_id, {key: value for key, value in values.items() if value is not None}, claim)

    def judge_anew(
        self, run_id: str, events: Sequence[JournalEvent], state: RunState, *, error: str, claim: Claim | None = None
    ) -> None:
        """Write what became of the steps of a run that is over, where its device told too little before.

        A run that is not over, and one about which somebody has decided, stays as it is: what follows was made from
        what was known then.

        Raises:
            StaleHolderError: the run's devices are claimed by somebody else.
            RecordError: the run does not exist.
        """
        with self._database.writing() as connection:
            footing = _with_right(connection, run_id, claim)
            if footing.state not in RUN_OVER or last_decision(connection, run_id) is not None:
                return
            _insert_events(connection, run_id, events, claim, footing)
            _set_state(connection, run_id, {"state": state, "error": error}, claim)

    def add_confirmed(self, run_id: str, events: Sequence[JournalEvent]) -> None:
        """Write what people have done of a run that is over, each step once; no device has a part in it, so that it
        needs no claim.

        Raises:
            RecordError: the run does not exist.
        """
        if not events:
            return
        with self._database.writing() as connection:
            footing = footing_of(connection, run_id, None)
            done = {step.number for step in last_events(connection, run_id) if step.event == "done"}
            late = [event for event in events if event.number not in done]
            if late and footing.state in RUN_OVER:
                _insert_events(connection, run_id, late, None, footing)

    def add_action(self, action: OperatorAction) -> None:
        """Save what a person confirmed."""
        with self._database.writing() as connection:
            write(connection, schema.operator_actions, action.model_dump(), who=action.confirmed_by, action="confirmed")

    def add_remark(self, remark: OperatorRemark) -> None:
        """Save what happened while somebody was asked; durable when this returns."""
        with self._database.writing() as connection:
            write(
                connection, schema.operator_remarks, remark.model_dump(), who=remark.who or SOFTWARE, action=remark.kind
            )

    def require_first(
        self,
        worklist_hash: str,
        bench: str,
        devices: Collection[str],
        known: Collection[str] = (),
        *,
        batch: str | None = None,
        is_part: bool = False,
    ) -> None:
        """Refuse a worklist that `create_run` would refuse as done already; it asks once more.

        Raises:
            RecordError: it was run here, wholly or in part, by a run that is not known.
        """
        with self._database.reading() as connection:
            if origin_of(connection, worklist_hash) is None:
                require_first(connection, worklist_hash, bench, devices, known, batch=batch, is_part=is_part)


def _next_id(connection: sa.Connection) -> str:
    n_runs = connection.execute(sa.select(sa.func.count()).select_from(schema.runs)).scalar_one()
    return f"run-{n_runs + 1:04d}"


def _set_state(connection: sa.Connection, run_id: str, values: dict[str, Any], claim: Claim | None) -> None:
    if claim is not None:
        values = {**values, "token": claim.token}
    change(connection, schema.runs, run_id, values, action=f"run {values['state']}")


def _insert_events(
    connection: sa.Connection, run_id: str, events: Sequence[JournalEvent], claim: Claim | None, footing: Footing
) -> None:
    entry = footing.batch + 1
    rows = [event_row(run_id, entry, event, claim) for event in events]
    connection.execute(_ADD_EVENTS, rows)
    link_events(connection, run_id, entry, rows, footing.end)


def _with_right(connection: sa.Connection, run_id: str, claim: Claim | None) -> Footing:
    """Refuse to write to a run without the newest claim of all its devices; a run without devices needs none."""
    footing = footing_of(connection, run_id, claim)
    if claim is None and not footing.devices:
        return footing
    if claim is None or not footing.devices.issubset(claim.devices):
        held = f"claim {claim.token} covers {', '.join(claim.devices)}" if claim else "nobody claimed them for it"
        raise StaleHolderError(
            f"run {run_id} is on {', '.join(sorted(footing.devices))}, but {held}",
            remedy="claim the bench of the run first",
        )
    if not footing.held.issuperset(claim.devices):
        require_newest(connection, claim)  # it refuses, and tells who holds the devices
    return footing
