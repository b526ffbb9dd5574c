"""A plate from where it stands into the reader, and its reading into the records."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.drivers.file_reader import FileReader
from nkloop.drivers.interfaces import OpensEmpty, OpensFor, OperatorRequest, PlateReader
from nkloop.errors import DeviceError, RecordError
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.runs.beside import beside_held
from nkloop.runs.following import SAFE_SECONDS
from nkloop.runs.holding import device_held
from nkloop.runs.people import ask
from nkloop.worklists.models import OperatorTask

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
        OperatorRefusedError: the plate was not put there, or another one.
        DeviceError: the reader could not read it, or read another plate.
    """
    request = request.model_copy(update={"run_id": run_id})
    async with _opened(bench, request, records, wait_seconds):
        await _put_in(bench, request, records, run_id, nickname)
        try:
            reading = await bench.plate_reader.read(request)
        finally:  # files that could not be read as values are the only trace of the measurement
            _keep_files(bench.plate_reader, request, records)
    if reading.barcode != request.barcode:
        raise DeviceError(
            f"the reader read plate {reading.barcode} instead of {request.barcode}",
            where=bench.plate_reader.name,
            remedy="put the right plate in and read again",
        )
    if reading.file_sha256 is not None and not isinstance(bench.plate_reader, OpensFor):
        return reading  # the inbox recorded it with the time its file tells
    reading = reading.model_copy(update={"read_at": await bench.clock.now()})
    records.results.add_reading(reading, run_id=run_id, context=context)
    return reading


@asynccontextmanager
async def _opened(bench: Bench, request: ReadRequest, records: Records, wait_seconds: float) -> AsyncIterator[None]:
    """The reader held and open for a plate, where it has to be opened first; a robot that does so is left safe."""
    reader, purpose = bench.plate_reader, f"reading plate {request.barcode}"
    if not isinstance(reader, OpensFor):
        async with beside_held(bench, "plate_reader", records, purpose, wait_seconds=wait_seconds):
            if isinstance(reader, OpensEmpty):
                await reader.open_empty()
            yield
        return
    async with device_held(bench, records, purpose) as hold:
        reader.fence = hold.fence
        try:
            await reader.open_for(request)
            yield
        except BaseException:  # a cancelled read leaves a lid open and a run that anybody could play
            with suppress(DeviceError, TimeoutError):
                async with asyncio.timeout(SAFE_SECONDS):
                    await reader.abandon()
            raise


async def _put_in(bench: Bench, request: ReadRequest, records: Records, run_id: str | None, nickname: str) -> None:
    reader = bench.plate_reader
    instruction = f"Put plate {request.barcode} into {reader.name}, lid off, A1 at the mark."
    if isinstance(reader, FileReader):
        reader.expect(request)
        instruction = f"{instruction} {reader.instruction(request)}"
    task = OperatorTask(kind="move_to_reader", instruction=instruction, labware=(nickname,))
    asked = OperatorRequest(
        title=f"Plate {request.barcode} into the reader", task=task, barcodes={nickname: request.barcode}, run_id=run_id
    )
    await ask(asked, bench, records, step=None)


def _keep_files(reader: PlateReader, request: ReadRequest, records: Records) -> None:
    """Keep what the robot exported with the run the plate comes from; the robot deletes its files without a word.

    Without such a run they are put aside, and where is told. A failure is told too: it must not cost the reading.
    """
    if not isinstance(reader, OpensFor) or not reader.files:
        return
    files = [(file.name, file.media_type, file.content) for file in reader.files]
    try:
        if request.run_id is not None:
            records.files.save(request.run_id, files)
            logger.info("%d file(s) of %s are kept with %s", len(files), reader.name, request.run_id)
        else:
            paths = records.files.put_aside(request.barcode, files)
            told = ", ".join(map(str, paths))
            logger.warning(
                "plate %s belongs to no run; what %s exported lies in %s", request.barcode, reader.name, told
            )
    except RecordError as error:
        logger.warning("files of plate %s were not kept, they are on %s still: %s", request.barcode, reader.name, error)
