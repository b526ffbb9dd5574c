"""Names to roles."""

from __future__ import annotations

import pytest

from nkloop.virtual.components import is_cell, planned_carrier, planned_cells, role_of


@pytest.mark.parametrize(
    ("written", "role"),
    [
        ("IL-15", "il15"),
        ("rhIL-15", "il15"),
        ("interleukin", "other"),
        ("MIP-1α", "mip1a"),
        ("GM-CSF", "gmcsf"),
        ("G-CSF", "gcsf"),
        ("Flt3L", "flt3l"),
        ("human serum", "serum"),
        ("PBS with 0.1 % human serum albumin", "base"),
        ("GBGM", "base"),
        ("assay medium", "assay_medium"),
        ("LDH lysis buffer 10x", "lysis"),
        ("LDH substrate", "substrate"),
        ("LDH stop solution", "stop"),
        ("ldh", "ldh"),
    ],
)
def test_roles(written: str, role: str) -> None:
    assert role_of(written) == role


def test_cells_are_told_from_dissolved_matter() -> None:
    assert is_cell("nk:U1")
    assert is_cell("lytic:U1")
    assert not is_cell("IL-15")
    assert not is_cell("effector:arm-2/U1")


def test_a_planned_suspension_splits_into_cells_and_carrier() -> None:
    planned = {"effector:arm-2/U1": 900.0, "assay medium": 1.0}
    assert planned_cells(planned) == 900
    assert planned_carrier(planned) == {"assay medium": 1.0}
    assert planned_carrier({"donor:U1": 5.0}) == {"base": 1.0}
