"""A plate read in a flow: a reader that stands on a robot waits for its turn at the robot like a run."""

from __future__ import annotations

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.coordination.holding import bench_held
from nkloop.drivers.interfaces import OpensFor
from nkloop.records.models import Context
from nkloop.runs import read_plate
from nkloop.runs.session import Session


async def read_in_turn(
    session: Session, request: ReadRequest, *, run_id: str, context: Context | None = None
) -> Reading:
    """Read a plate; a reader on the deck of a robot first waits until the robot is free, with who holds it in the log.

    Args:
        session: bench and records.
        request: what is measured.
        run_id: the run the plate comes from.
        context: what the reading belongs to.

    Raises:
        TimeoutError: another flow held the bench for a day.
        DeviceHeldError: a process outside of Prefect did not give the robot back in that time.
        OperatorRefusedError: the plate was not put there, or another one.
        DeviceError: the reader could not read it, or read another plate.
    """
    if not isinstance(session.bench.plate_reader, OpensFor):
        return await read_plate(session.bench, request, session.records, run_id=run_id, context=context)
    async with bench_held(session, f"reading plate {request.barcode}"):
        return await read_plate(session.bench, request, session.records, run_id=run_id, context=context)
