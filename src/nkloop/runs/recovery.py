"""What a session does before anything new: close what was left open, post what those runs took, fetch their files."""

from __future__ import annotations

from nkloop.records.models import RunRecord
from nkloop.runs.following import OnProgress
from nkloop.runs.late_files import are_files_pending, copy_late
from nkloop.runs.reconcile import Reconciled, reconcile_bench
from nkloop.runs.session import Session
from nkloop.runs.stock_use import settle_run

LATEST = 5
"""Newest runs of a bench whose postings are looked after: a program may be killed after the run and before them."""


async def recover(session: Session, *, on_progress: OnProgress | None = None) -> tuple[Reconciled, ...]:
    """Reconcile the bench of a session and settle the stock of its latest runs; does nothing a second time.

    Raises:
        DeviceHeldError: somebody else holds a device of the bench while a run on it is open.
        DeviceUnreachableError: a device does not answer; open runs stay open.
        OperatorRefusedError: a person declined a pause of a run that was followed.
    """
    found = await reconcile_bench(session.bench, session.records, on_progress=on_progress)
    await settle_latest(session)
    return found


async def settle_latest(session: Session) -> tuple[RunRecord, ...]:
    """Post what the latest runs of the bench took, where that was not done; returns those it was done for.

    Files of theirs that could not be copied out of the device are tried again: it deletes its oldest without a word.
    """
    at = await session.bench.clock.now()
    settled = []
    for run in session.records.journal.latest(session.bench_file.name, LATEST):
        if run.is_over and settle_run(session.records, session.catalogue, session.bench_file, run.id, at=at):
            settled.append(run)
        if are_files_pending(run) and run.device == session.bench.liquid_handler.name:
            await copy_late(run, session.bench, session.records)
    return tuple(settled)
