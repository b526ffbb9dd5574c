"""What commands share when they speak."""

from __future__ import annotations

import pytest

from nkloop.cli.common import on_one_line


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plate 7 µL.csv", "plate 7 µL.csv"),
        ("a\nok b.csv", "a\\nok b.csv"),
        ("a\x1b[31m.csv", "a\\x1b[31m.csv"),
        ("a\udcff.csv", "a\\udcff.csv"),
    ],
)
def test_a_name_stays_on_one_line(name: str, told: str) -> None:
    assert on_one_line(name) == told
