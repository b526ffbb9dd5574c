"""Which wells the channels of a pipette reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.errors import LabwareError
from nkloop.labware.catalogue import Catalogue

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "labware")


@pytest.mark.parametrize(
    ("load_name", "well", "channels", "reached"),
    [
        ("nest_96_wellplate_2ml_deep", "A3", 8, tuple(f"{row}3" for row in "ABCDEFGH")),
        ("nest_96_wellplate_2ml_deep", "D3", 1, ("D3",)),
        ("nest_12_reservoir_15ml", "A4", 8, ("A4",) * 8),
        ("nest_1_reservoir_195ml", "A1", 8, ("A1",) * 8),
    ],
)
def test_reached(load_name: str, well: str, channels: int, reached: tuple[str, ...]) -> None:
    assert CATALOGUE[load_name].reached(well, channels) == reached


def test_eight_channels_do_not_fit_everywhere() -> None:
    with pytest.raises(LabwareError, match="8 channels do not fit well B1"):
        CATALOGUE["nest_96_wellplate_2ml_deep"].reached("B1", 8)
    with pytest.raises(LabwareError, match=r"8 channels do not fit well A1 of corning_24.* with 4 rows"):
        CATALOGUE["corning_24_wellplate_3.4ml_flat"].reached("A1", 8)
    with pytest.raises(LabwareError, match=r"has no well E1.*use A1 to D6"):
        CATALOGUE["corning_24_wellplate_3.4ml_flat"].reached("E1", 1)
