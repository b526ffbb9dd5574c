"""A plate goes into the reader by hand, and its reading into the records with the bench's time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import pytest

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.drivers.file_reader import FileReader
from nkloop.errors import DeviceError, OperatorRefusedError
from nkloop.records import Records
from nkloop.runs.reading import read_plate

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
