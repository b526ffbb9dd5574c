"""A plate goes into the reader by hand, and its reading into the records with the bench's time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import pytest

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.drivers.file_reader import FileReader
from nkloop.drivers.interfaces import DeviceFile, Fence, Finding, unguarded
from nkloop.errors import DeviceError, OperatorRefusedError
from nkloop.records import Records
from nkloop.runs.reading import read_plate
from nkloop.worklists.models import Worklist

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

REQUEST = ReadRequest(barcode="P-1", load_name="plate", mode="absorbance", wavelength_nm=490)


async def test_a_plate_is_moved_read_and_recorded(bench: Bench, records: Records, operator: Any) -> None:
    reading = await read_plate(bench, REQUEST, records)
    assert reading.read_at == datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    assert records.results.readings() == (reading,)
    assert operator.asked[0].task.kind == "move_to_reader"
    assert operator.asked[0].barcodes == {"plate": "P-1"}


async def test_a_plate_that_was_not_moved_is_not_read(bench: Bench, records: Records, operator: Any) -> None:
    operator.declines = "into the reader"
    with pytest.raises(OperatorRefusedError, match="declined"):
        await read_plate(bench, REQUEST, records)
    assert records.results.readings() == ()


async def test_another_plate_is_refused(bench: Bench, records: Records, reader: Any) -> None:
    reader.barcode = "P-9"
    with pytest.raises(DeviceError, match="read plate P-9 instead of P-1"):
        await read_plate(bench, REQUEST, records)
    assert records.results.readings() == ()


async def test_a_reading_that_comes_as_a_file_keeps_its_own_time_and_is_recorded_once(
    bench: Bench, operator: Any, records: Records
) -> None:
    at = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)

    class Delivered:
        """An inbox in which the file lies already."""

        asked: ClassVar[list[ReadRequest]] = []

        def ask_plate(self, request: ReadRequest) -> int:
            self.asked.append(request)
            return 1

        async def delivered(self, number: int) -> str:
            reading = Reading(
                barcode="P-1", mode="absorbance", values={"A1": 0.4}, instrument="R", serial_number="", read_at=at,
                file_sha256="0" * 64,
            )  # fmt: skip
            records.results.add_reading(reading)
            return reading.model_dump_json()

        def used(self, number: int) -> None: ...

    reader = FileReader("CLARIOstar", program="MARS", deliveries=cast(Any, Delivered()))
    asked = ReadRequest(barcode="P-1", load_name="plate", mode="absorbance", wavelength_nm=450)
    reading = await read_plate(replace(bench, plate_reader=reader), asked, records)
    assert reading.read_at == at
    assert records.results.readings() == (reading,)
    assert len(Delivered.asked) == 2  # once before the person is asked, once to wait
    assert "Then read it with MARS: absorbance, 450 nm; name the plate P-1." in operator.asked[0].task.instruction
    assert operator.asked[0].picture.startswith("<svg")


class ExportingReader:
    """A reader on the deck of a robot whose files are copied out before they are understood."""

    name = "deck reader"
    fence: Fence = staticmethod(unguarded)
    files: tuple[DeviceFile, ...] = ()
    fails = True

    async def inspect(self) -> tuple[Finding, ...]:
        return ()

    async def open_for(self, request: ReadRequest) -> None: ...

    async def abandon(self) -> None: ...

    async def read(self, request: ReadRequest) -> Reading:
        self.files = (DeviceFile(name="a/../P-1.csv", media_type="text/csv", content=b"0.5"),)
        if self.fails:
            raise DeviceError("it cannot be understood", where="P-1.csv")
        return Reading(
            barcode="P-1", mode="absorbance", values={"A1": 0.5}, instrument="R", serial_number="", read_at=AT
        )

    async def close(self) -> None: ...


async def test_files_of_a_reading_that_fails_are_kept_with_their_run(
    bench: Bench, records: Records, worklist: Worklist, journalled: Any
) -> None:
    run_id = journalled(worklist)
    with pytest.raises(DeviceError, match="cannot be understood"):
        await read_plate(replace(bench, plate_reader=ExportingReader()), REQUEST, records, run_id=run_id)
    [kept] = records.journal.run(run_id).files
    assert (records.files.content(kept), kept.sha256) == (b"0.5", hashlib.sha256(b"0.5").hexdigest())
    assert records.results.readings() == ()


async def test_files_of_a_plate_without_a_run_are_put_aside_and_told(
    bench: Bench, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    request = REQUEST.model_copy(update={"barcode": "../P 1"})
    with pytest.raises(DeviceError, match="cannot be understood"):
        await read_plate(replace(bench, plate_reader=ExportingReader()), request, records)
    digest = hashlib.sha256(b"0.5").hexdigest()
    path = records.files.folder / "device-files" / "without-run-.._P_1" / f"{digest[:12]}-P-1.csv"
    assert path.read_bytes() == b"0.5"
    assert f"plate ../P 1 belongs to no run; what deck reader exported lies in {path}" in caplog.text


async def test_files_that_cannot_be_kept_cost_no_reading(
    bench: Bench, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    (records.files.folder / "device-files").write_text("in the way")
    reader = ExportingReader()
    reader.fails = False
    reading = await read_plate(replace(bench, plate_reader=reader), REQUEST, records)
    assert records.results.readings() == (reading,)
    assert "files of plate P-1 were not kept, they are on deck reader still" in caplog.text
