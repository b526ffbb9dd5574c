"""What a session does before anything new: close what was left open, post what those runs took, fetch their files."""

from __future__ import annotations

from nkloop.runs.closing import FILES_LEFT
from nkloop.runs.following import OnProgress
from nkloop.runs.late_files import are_files_pending, copy_late
from nkloop.runs.reconcile import Reconciled, reconcile_bench
from nkloop.runs.session import Session
from nkloop.runs.stock_use import LATEST, settle_runs


async def recover(session: Session, *, on_progress: OnProgress | None = None) -> tuple[Reconciled, ...]:
    """Reconcile the bench of a session and settle the stock of its latest runs; does nothing a second time.

    Raises:
        DeviceHeldError: somebody else holds a device of the bench while a run on it is open.
        DeviceUnreachableError: a device does not answer; open runs stay open.
        OperatorRefusedError: a person declined a pause of a run that was followed.
    """
    found = await reconcile_bench(session.bench, session.records, on_progress=on_progress)
    await finish_latest(session)
    return found


async def finish_latest(session: Session) -> None:
    """Do what the programs of the latest runs died before: post what they took, copy their files.

    Files that could not be copied out of the device are tried again: it deletes its oldest without a word.
    """
    settle_runs(session, at=await session.bench.clock.now())
    journal = session.records.journal
    for over in journal.latest_over(session.bench_file.name, LATEST):
        if FILES_LEFT not in over.error:
            continue
        run = journal.run(over.id)
        if are_files_pending(run) and run.device == session.bench.liquid_handler.name:
            await copy_late(run, session.bench, session.records)
