"""A plate read in a flow that waits for its turn: at the robot where the reader stands on it, else at the reader."""

from __future__ import annotations

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.coordination.holding import bench_held
from nkloop.coordination.locks import WAIT_SECONDS
from nkloop.drivers.interfaces import ReadsInRuns
from nkloop.records.models import Context
from nkloop.runs import read_plate
from nkloop.runs.session import Session


async def read_in_turn(
    session: Session, request: ReadRequest, *, run_id: str, context: Context | None = None
) -> Reading:
    """Read a plate when the reader is free, or the robot on whose deck it stands; who holds it is told in the log.

    A reading on the deck that an interruption left open is followed to its end first; when it was this one, that is it.

    Args:
        session: bench and records.
        request: what is measured.
        run_id: the run the plate comes from.
        context: what the reading belongs to.

    Raises:
        TimeoutError: another flow held the bench for a day.
        DeviceHeldError: somebody else did not give reader or robot back in that time.
        StaleHolderError: somebody else has taken it over meanwhile; it was not touched any more.
        StepUnknownError: an earlier run on the robot, or with this plate, waits for a decision.
        OperatorRefusedError: the plate was not put there, or another one.
        DeviceError: the reader could not read it, or read another plate.
    """
    place = (session.bench, request, session.records)
    if not isinstance(session.bench.plate_reader, ReadsInRuns):
        return await read_plate(*place, run_id=run_id, context=context, wait_seconds=WAIT_SECONDS)
    async with bench_held(session, f"reading plate {request.barcode}"):
        known = session.records.results.reading_of(run_id)
        return known or await read_plate(*place, run_id=run_id, context=context)
