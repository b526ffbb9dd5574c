"""A plate from where it stands into the reader, and its reading into the records."""

from __future__ import annotations

import logging

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.drivers.file_reader import FileReader
from nkloop.drivers.interfaces import OpensEmpty, OperatorRequest, PlateReader, ReadsInRuns
from nkloop.errors import DeviceError
from nkloop.records import Records
from nkloop.records.models import Context, RunRecord
from nkloop.runs.beside import beside_held
from nkloop.runs.execution import execute
from nkloop.runs.late_files import are_files_pending
from nkloop.runs.on_deck import keep_reading, keep_request, reading_bench
from nkloop.runs.people import ask
from nkloop.worklists.models import CheckResult, OperatorTask, Verdict

logger = logging.getLogger(__name__)


async def read_plate(
    bench: Bench,
    request: ReadRequest,
    records: Records,
    *,
    run_id: str | None = None,
    context: Context | None = None,
    nickname: str = "plate",
    wait_seconds: float = 0.0,
) -> Reading:
    """Have the plate put into the reader, read it, keep the reading; the reader is held meanwhile.

    A reader on the deck of a robot reads in a run of that robot, which is journalled and reconciled as every run.

    Args:
        bench: whose operator, reader and clock are used; the reading carries the bench's time.
        request: what is measured.
        records: where the reading is kept.
        run_id: the run the plate comes from.
        context: what the reading belongs to.
        nickname: what the plate was called in that run.
        wait_seconds: how long to wait for a reader beside the robot that somebody else holds.

    Raises:
        DeviceHeldError: somebody else holds the reader; it says who.
        StaleHolderError: somebody else has taken it over meanwhile; it was not touched any more.
        StepUnknownError: an earlier run on the robot whose deck it stands on, or with this plate, waits for a decision.
        BenchError: that robot is not ready; nothing was moved.
        OperatorRefusedError: the plate was not put there, or another one.
        DeviceError: the reader could not read it, or read another plate.
    """
    request = request.model_copy(update={"run_id": run_id})
    reader = bench.plate_reader
    if isinstance(reader, ReadsInRuns):
        return await _read_on_deck(reader, bench, request, records, context)
    held = beside_held(bench, "plate_reader", records, f"reading plate {request.barcode}", wait_seconds=wait_seconds)
    async with held:
        if isinstance(reader, OpensEmpty):
            await reader.open_empty()
        await _put_in(reader, bench, request, records, run_id, nickname)
        reading = await reader.read(request)
    if reading.barcode != request.barcode:
        raise DeviceError(
            f"the reader read plate {reading.barcode} instead of {request.barcode}",
            where=reader.name,
            remedy="put the right plate in and read again",
        )
    if reading.file_sha256 is not None:
        return reading  # the inbox recorded it with the time its file tells
    reading = reading.model_copy(update={"read_at": await bench.clock.now()})
    records.results.add_reading(reading, run_id=run_id, context=context)
    return reading


async def _read_on_deck(
    reader: ReadsInRuns, bench: Bench, request: ReadRequest, records: Records, context: Context | None
) -> Reading:
    worklist = reader.worklist(request)
    keep_request(worklist, request, records)
    sound = CheckResult(check="schema", passed=True, seconds=0)
    verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(sound,))
    run = await execute(worklist, verdict, reading_bench(bench), records, context=context)
    reading = keep_reading(run, bench, records)
    if reading is None:
        raise _not_kept(run, request, reader.name)
    logger.info("%s has read plate %s: %d wells", run.id, reading.barcode, len(reading.values))
    if run.state != "succeeded":
        logger.warning("plate %s is read, but %s ended as %s: %s", request.barcode, run.id, run.state, run.error)
    return reading


def _not_kept(run: RunRecord, request: ReadRequest, reader: str) -> DeviceError:
    if run.state == "succeeded" and are_files_pending(run):
        return DeviceError(
            f"plate {request.barcode} was measured in {run.id}, but {run.error}",
            where=reader,
            remedy="make the robot answer again, then go on: what it measured is fetched first, and the plate is read "
            "again only if the robot has lost it",
        )
    why = run.error or "no reason given"
    return DeviceError(
        f"plate {request.barcode} was not read, run {run.id} ended as {run.state}: {why}",
        where=reader,
        remedy="look at the robot's screen; take the plate out, then read it again",
    )


async def _put_in(
    reader: PlateReader, bench: Bench, request: ReadRequest, records: Records, run_id: str | None, nickname: str
) -> None:
    instruction = f"Put plate {request.barcode} into {reader.name}, lid off, A1 at the mark."
    if isinstance(reader, FileReader):
        reader.expect(request)
        instruction = f"{instruction} {reader.instruction(request)}"
    task = OperatorTask(kind="move_to_reader", instruction=instruction, labware=(nickname,))
    asked = OperatorRequest(
        title=f"Plate {request.barcode} into the reader", task=task, barcodes={nickname: request.barcode}, run_id=run_id
    )
    await ask(asked, bench, records, step=None)
