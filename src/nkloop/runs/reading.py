"""A plate from where it stands into the reader, and its reading into the records."""

from __future__ import annotations

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.drivers.file_reader import FileReader
from nkloop.drivers.interfaces import OpensEmpty, OperatorRequest
from nkloop.errors import DeviceError
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.runs.people import ask
from nkloop.worklists.models import OperatorTask


async def read_plate(
    bench: Bench,
    request: ReadRequest,
    records: Records,
    *,
    run_id: str | None = None,
    context: Context | None = None,
    nickname: str = "plate",
) -> Reading:
    """Have the plate put into the reader, read it, keep the reading.

    Args:
        bench: whose operator, reader and clock are used; the reading carries the bench's time.
        request: what is measured.
        records: where the reading is kept.
        run_id: the run the plate comes from.
        context: what the reading belongs to.
        nickname: what the plate was called in that run.

    Raises:
        OperatorRefusedError: the plate was not put there, or another one.
        DeviceError: the reader could not read it, or read another plate.
    """
    request = request.model_copy(update={"run_id": run_id})
    if isinstance(bench.plate_reader, OpensEmpty):
        await bench.plate_reader.open_empty()
    instruction = f"Put plate {request.barcode} into {bench.plate_reader.name}, lid off, A1 at the mark."
    if isinstance(bench.plate_reader, FileReader):
        bench.plate_reader.expect(request)
        instruction = f"{instruction} {bench.plate_reader.instruction(request)}"
    task = OperatorTask(
        kind="move_to_reader",
        instruction=instruction,
        labware=(nickname,),
    )
    asked = OperatorRequest(
        title=f"Plate {request.barcode} into the reader", task=task, barcodes={nickname: request.barcode}, run_id=run_id
    )
    await ask(asked, bench, records, step=None)
    reading = await bench.plate_reader.read(request)
    if reading.barcode != request.barcode:
        raise DeviceError(
            f"the reader read plate {reading.barcode} instead of {request.barcode}",
            where=bench.plate_reader.name,
            remedy="put the right plate in and read again",
        )
    if reading.file_sha256 is not None:
        return reading  # the inbox recorded it with the time its file tells
    reading = reading.model_copy(update={"read_at": await bench.clock.now()})
    records.results.add_reading(reading, run_id=run_id, context=context)
    return reading
