"""Headers in another unit than the one their numbers are read in."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.assays.layouts.files import read_layouts
from nkloop.assays.readings.generic import read_generic
from nkloop.assays.unit_headers import other_unit
from nkloop.errors import AssayError, ReadingError

GRID = ",1,2,3,4,5,6,7,8,9,10,11,12\nB,1,2,3,4,5,6,7,8,9,10,11,12\n"


@pytest.mark.parametrize(
    "header", ["minutes", "time (h)", "well", "value", "contact", "contact minutes", "read time (s)", "", "(", "%"]
)
def test_a_header_without_unit_or_in_its_own_is_left_alone(header: str) -> None:
    assert other_unit(header, {"time": ("minutes", "hours"), "contact": ("minutes",)}) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seconds,B2,B3\n30,1,2\n60,1,2\n", r":1: 'seconds' is in seconds, time is read in minutes or hours\. Remedy"),
        (f"time (s): 30\n{GRID}time (s): 60\n{GRID}", r":1: 'time \(s\)' is in seconds"),
        ("well,value,wavelength_um\nB2,1,0.49\n", r":1: 'wavelength_um' is in µm, wavelength is read in nm"),
        ("well,value,time (days)\nB2,1,1\nB2,2,2\n", r":1: 'time \(days\)' is in days"),
    ],
)
def test_a_reading_in_another_unit_is_told_by_its_cause_alone(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "read.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ReadingError, match=told) as caught:
        read_generic(path)
    assert all(" is in " in problem.message for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"contact hours,4\n{GRID}", r":1: 'contact hours' is in hours, contact is read in minutes"),
        ("well,role,contact_hours\nB2,spontaneous,4\n", r"line 1: 'contact_hours' is in hours, contact is read in min"),
        ("well,role,viability (fraction)\nB2,spontaneous,1\n", r"is in fractions, viability is read in percent"),
    ],
)
def test_a_layout_in_another_unit_is_refused_by_its_cause(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "layout.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssayError, match=told):
        read_layouts(path)


def test_a_sample_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "layout.csv"
    path.write_text(f"sample,a/U1,a,U1,190,x\n{GRID}", encoding="utf-8")
    with pytest.raises(AssayError, match="viability_percent of sample a/U1: '190' must be at most 100") as caught:
        read_layouts(path)
    assert "Input should" not in str(caught.value)
