"""Wells grouped into what a pipette reaches at once."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nkloop.labware.catalogue import Catalogue
from nkloop.worklists.column_parts import column_parts

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "labware")
PLATE = CATALOGUE["corning_96_wellplate_360ul_flat"]
CULTURE = CATALOGUE["corning_24_wellplate_3.4ml_flat"]


@given(st.sets(st.sampled_from(PLATE.wells)))
def test_every_well_is_in_exactly_one_part(wells: set[str]) -> None:
    reached = [name for spot, channels in column_parts(PLATE, wells) for name in PLATE.reached(spot, channels)]
    assert sorted(reached) == sorted(wells)


def test_runs_are_as_long_as_they_can_be() -> None:
    wells = {"A1", "B1", "D1", "E1", "F1", "H1", "B2"}
    assert column_parts(PLATE, wells) == (("A1", 2), ("D1", 3), ("H1", 1), ("B2", 1))
    assert column_parts(PLATE, set(PLATE.wells)) == tuple((f"A{column}", 8) for column in range(1, 13))


def test_rows_that_are_not_9_mm_apart_are_single_wells() -> None:
    assert column_parts(CULTURE, {"A1", "B1"}) == (("A1", 1), ("B1", 1))


def test_sixteen_rows_are_two_interleaved_columns() -> None:
    fine = PLATE.model_copy(update={"rows": 16, "columns": 24, "load_name": "fine"})
    assert column_parts(fine, {"A1", "C1", "B1"}) == (("A1", 2), ("B1", 1))
    assert fine.reached("B1", 8) == tuple(f"{row}1" for row in "BDFHJLNP")
    assert fine.uppermost("P1", 8) == "B1"
