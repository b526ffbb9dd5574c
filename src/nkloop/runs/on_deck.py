"""Plates read on the deck of a robot: which device follows such a run, and what becomes of its files."""

from __future__ import annotations

import logging
from dataclasses import replace

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceFile, ReadsInRuns
from nkloop.errors import BenchError, DeviceError
from nkloop.records import Records
from nkloop.records.models import Context, RunRecord
from nkloop.runs.closing import words
from nkloop.worklists.models import PLATE_READING, Worklist

_KEPT = "plate reading"
logger = logging.getLogger(__name__)


def reading_bench(bench: Bench) -> Bench:
    """The bench with the reader on its robot's deck in the place of the liquid handler.

    Raises:
        BenchError: its reader does not stand on a robot.
    """
    whole = bench.whole or bench
    reader = whole.plate_reader
    if not isinstance(reader, ReadsInRuns):
        raise BenchError(
            f"bench {bench.name} has no reader on the deck of its robot any more",
            where="plate_reader",
            remedy="put its driver back into the bench file; a robot that is gone for good is given up with "
            "`nkloop reconcile RUN --lost`",
        )
    return replace(whole, liquid_handler=reader, whole=whole)


def bench_of(run: RunRecord, bench: Bench, *, is_lost: bool = False) -> Bench:
    """The bench as a run sees it: that of a reading is followed through the reader, every other through the robot.

    Raises:
        BenchError: it was a reading, and the bench has no such reader any more, unless the device is given up as lost.
    """
    whole = bench.whole or bench
    if run.procedure != PLATE_READING or (is_lost and not isinstance(whole.plate_reader, ReadsInRuns)):
        return whole
    return reading_bench(whole)


def keep_request(worklist: Worklist, request: ReadRequest, records: Records) -> None:
    """Keep what a reading is to measure, so that it is understood after a crash too; durable when this returns."""
    records.plans.keep(_KEPT, worklist.content_hash, request)


def keep_reading(run: RunRecord, bench: Bench, records: Records) -> Reading | None:
    """Make the reading out of the files of a run that is over, once; None when it left none.

    Raises:
        DeviceError: the files do not hold what was asked, or cannot be understood.
    """
    request = records.plans.last(_KEPT, run.worklist_hash, ReadRequest)
    if request is None or not run.files:
        return None
    hashes = {file.sha256 for file in run.files}
    for reading in records.results.readings():
        if reading.barcode == request.barcode and reading.file_sha256 in hashes:
            return reading
    kept = [
        DeviceFile(name=file.name, media_type=file.media_type, content=records.files.content(file))
        for file in run.files
    ]
    reader = reading_bench(bench).plate_reader
    assert isinstance(reader, ReadsInRuns)
    found = reader.reading(request, kept)
    reading = found.model_copy(update={"read_at": run.ended_at or found.read_at})
    context = Context(campaign=run.campaign, round=run.round, batch=run.batch)
    records.results.add_reading(reading, run_id=request.run_id, context=context)
    return reading


def reading_told(run: RunRecord, bench: Bench, records: Records) -> str:
    """Keep the reading of a run that is over, and say in a few words whether there is one and what follows."""
    again = "the plate was not measured; to read it again does no harm"
    try:
        reading = keep_reading(run, bench, records)
    except (DeviceError, BenchError) as error:
        return f"what it measured cannot be used: {words(error)}"
    if reading is None:
        return again
    return f"plate {reading.barcode} was measured, {len(reading.values)} wells at {reading.wavelength_nm} nm are kept"
