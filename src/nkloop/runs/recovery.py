"""What a session does before anything new: close what was left open, post what those runs took, fetch their files."""

from __future__ import annotations

import logging

from nkloop.drivers.bench import Bench
from nkloop.errors import BenchError, DeviceError
from nkloop.records.models import RunRecord
from nkloop.runs.answers import close_confirmed
from nkloop.runs.closing import FILES_LEFT, words
from nkloop.runs.following import OnProgress
from nkloop.runs.late_files import are_files_pending, copy_late
from nkloop.runs.on_deck import bench_of, keep_reading
from nkloop.runs.reconcile import Reconciled, reconcile_bench
from nkloop.runs.same_device import require_same_device
from nkloop.runs.session import Session
from nkloop.runs.stock_use import LATEST, settle_runs
from nkloop.worklists.models import PLATE_READING

logger = logging.getLogger(__name__)


async def recover(session: Session, *, on_progress: OnProgress | None = None) -> tuple[Reconciled, ...]:
    """Reconcile the bench of a session, settle the stock of its latest runs and take in what they measured, once.

    Raises:
        DeviceHeldError: somebody else holds a device of the bench while a run on it is open.
        DeviceUnreachableError: a device does not answer; open runs stay open.
        OperatorRefusedError: a person declined a pause of a run that was followed.
    """
    found = await reconcile_bench(session.bench, session.records, on_progress=on_progress)
    await finish_latest(session)
    return found


async def finish_latest(session: Session) -> None:
    """Do what the programs of the latest runs died before: post what they took, copy their files, take readings in.

    Files that could not be copied out of the device are tried again: it deletes its oldest without a word.
    """
    settle_runs(session, at=await session.bench.clock.now())
    journal = session.records.journal
    for over in journal.latest_over(session.bench_file.name, LATEST):
        close_confirmed(over.id, session.records)
        if FILES_LEFT in over.error:
            run = journal.run(over.id)
            bench = bench_of(run, session.bench, is_lost=True)
            if are_files_pending(run) and await _is_the_same(run, bench):
                await copy_late(run, bench, session.records)
        if over.procedure == PLATE_READING:
            _keep_reading(journal.run(over.id), session)


async def _is_the_same(run: RunRecord, bench: Bench) -> bool:
    """Whether the device of a bench is the one a run was on; another one that answers in its place knows nothing."""
    if run.device != bench.liquid_handler.name:
        return False
    try:
        await require_same_device(run, bench)
    except (DeviceError, BenchError) as error:
        logger.warning("files of %s still wait on %s: %s", run.id, run.device, words(error))
        return False
    return True


def _keep_reading(run: RunRecord, session: Session) -> None:
    """Take in what a reading measured whose program died before it was recorded."""
    try:
        keep_reading(run, session.bench, session.records)
    except (DeviceError, BenchError) as error:
        logger.warning("what %s measured cannot be used: %s", run.id, words(error))
