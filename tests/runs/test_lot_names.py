"""Names of components in lot lists."""

from __future__ import annotations

import pytest

from nkloop.runs.lot_names import meant_component

KNOWN = (
    "GBGM",
    "GM-CSF",
    "G-CSF",
    "IL-1b",
    "IL-7",
    "IL-21",
    "Flt3L",
    "human serum",
    "heparin",
    "LDH lysis buffer 10x",
    "SCF",
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("IL7", "IL-7"),
        ("il-7", "IL-7"),
        ("FLT3L", "Flt3L"),
        ("GBMG", "GBGM"),
        ("heparine", "heparin"),
        ("humane serum", "human serum"),
        ("Human Serum", "human serum"),
        ("LDH lysis bufer 10x", "LDH lysis buffer 10x"),
    ],
)
def test_a_slip_is_told(name: str, meant: str) -> None:
    assert meant_component(name, KNOWN) == meant


@pytest.mark.parametrize(
    "name",
    ["SCF", "M-CSF", "IL-1a", "IL-17", "IL-12", "horse serum", "LDH lysis buffer 5x", "LDH substrate", "PBS", ""],
)
def test_another_substance_is_no_slip(name: str) -> None:
    assert meant_component(name, KNOWN) == ""
