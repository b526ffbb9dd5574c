"""What instruments measure, as it may be written down."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nkloop.assays.measurements import CellCount, Reading, ReadRequest

AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
COUNT: dict[str, Any] = {
    "barcode": "C-1", "well": "A1", "viable_per_ml": 1e6, "viability_percent": 90, "purity_percent": 80,
    "volume_ml": 1.5,
}  # fmt: skip
share = st.floats(0, 100)
finite = st.floats(allow_nan=False, allow_infinity=False)


def test_viable_cells_are_those_of_the_whole_well() -> None:
    assert CellCount.model_validate(COUNT).viable_cells == 1.5e6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("viability_percent", 101), ("viability_percent", -1), ("purity_percent", 100.1), ("cd34_percent", -0.1),
        ("viable_per_ml", -1), ("volume_ml", -0.1), ("viable_per_ml", float("nan")), ("volume_ml", float("inf")),
    ],
)  # fmt: skip
def test_impossible_counts_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        CellCount.model_validate({**COUNT, field: value})


@given(density=st.floats(0, 1e9), viability=share, purity=share, cd34=share, volume=st.floats(0, 10))
def test_counts_survive_being_saved(
    density: float, viability: float, purity: float, cd34: float, volume: float
) -> None:
    count = CellCount(
        barcode="C-1", well="A1", viable_per_ml=density, viability_percent=viability, purity_percent=purity,
        cd34_percent=cd34, volume_ml=volume,
    )  # fmt: skip
    assert CellCount.model_validate_json(count.model_dump_json()) == count


@given(values=st.dictionaries(st.from_regex(r"[A-H]([1-9]|1[0-2])", fullmatch=True), finite, max_size=5))
def test_readings_survive_being_saved(values: dict[str, float]) -> None:
    reading = Reading(
        barcode="P-1", mode="luminescence", values=values, saturated=("A1",), instrument="r", serial_number="1",
        read_at=AT,
    )  # fmt: skip
    assert Reading.model_validate_json(reading.model_dump_json()) == reading


def test_a_reading_holds_numbers_and_a_known_mode() -> None:
    plain: dict[str, Any] = {"barcode": "P", "instrument": "r", "serial_number": "1", "read_at": AT}
    with pytest.raises(ValidationError, match=r"values\.A1"):
        Reading.model_validate({**plain, "mode": "absorbance", "values": {"A1": float("nan")}})
    with pytest.raises(ValidationError, match="mode"):
        Reading.model_validate({**plain, "mode": "colour", "values": {}})


def test_a_request_without_wells_means_the_whole_plate_and_is_never_changed() -> None:
    request = ReadRequest(barcode="P", load_name="corning_96_wellplate_360ul_flat", mode="absorbance")
    assert request.wells == ()
    with pytest.raises(ValidationError, match="frozen"):
        request.barcode = "Q"  # type: ignore[misc]
