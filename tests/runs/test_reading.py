"""A plate goes into the reader by hand, and its reading into the records with the bench's time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.bench import Bench
from nkloop.errors import DeviceError, OperatorRefusedError
from nkloop.records import Records
from nkloop.runs.reading import read_plate

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
