"""Many wells in few words, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.labware.well_ranges import well_ranges, wells_in

WELLS = st.builds(lambda row, column: f"{row}{column}", st.sampled_from("ABCDEFGHP"), st.integers(1, 24))


@pytest.mark.parametrize(
    ("wells", "told"),
    [
        pytest.param(["B3"], ["B3"], id="one"),
        pytest.param([f"{row}{n}" for n in range(2, 10) for row in "ABCDEFGH"], ["A2-H9"], id="columns"),
        pytest.param(["A1", "B1", "A2"], ["A1-B1", "A2"], id="no_rectangle"),
        pytest.param(["A1", "C1", "A3"], ["A1", "C1", "A3"], id="apart"),
        pytest.param(["A1", "A1", "bag"], ["A1", "bag"], id="once_and_other_names"),
    ],
)
def test_wells_that_fill_a_rectangle_are_told_together(wells: list[str], told: list[str]) -> None:
    assert list(well_ranges(wells)) == told


@given(st.sets(WELLS))
def test_ranges_are_read_back_as_they_are_written(wells: set[str]) -> None:
    read = [well for name in well_ranges(wells) for well in wells_in(name)]
    assert sorted(read) == sorted(wells)


@pytest.mark.parametrize("name", ["", "A", "1", "H1-A1", "A9-A2", "A1-B", "Q1"])
def test_what_names_no_wells_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name or "^$"):
        wells_in(name)
