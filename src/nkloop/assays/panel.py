"""The tumour panel: lines a killing assay may be run against, with what is needed to order and grow them.

Catalogue numbers and media come from the collections' and makers' pages; those with `verified=False` were taken from
the literature and must be checked against the collection's page before ordering.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from nkloop.errors import AssayError
from nkloop.frozen import FrozenModel
from nkloop.yamlfile.problems import did_you_mean

COLLECTIONS = "ATCC and DSMZ catalogue pages"


class TumourLine(FrozenModel):
    """One tumour line of the panel."""

    name: str
    """As the collection spells it, for example `K-562`; the only spelling layouts and labels use."""
    indication: str
    catalogue: str
    """Catalogue numbers: ATCC without prefix, DSMZ with `ACC`."""
    medium: str
    """Basal medium and serum; where the collections disagree, both."""
    source: str = COLLECTIONS
    verified: bool = False
    """Whether the catalogue number was seen on the collection's page."""


def _lines(indication: str, medium: str, *entries: tuple[str, str, bool]) -> tuple[TumourLine, ...]:
    return tuple(
        TumourLine(name=name, indication=indication, catalogue=number, medium=medium, verified=verified)
        for name, number, verified in entries
    )


_RPMI = "RPMI-1640 + 10 % FBS"
_DMEM = "DMEM + 10 % FBS"
_ALL = (
    *_lines("NK reference", "RPMI-1640 or IMDM + 10 % FBS", ("K-562", "CCL-243, ACC 10", True)),
    *_lines("AML", "IMDM + 20 % FBS (ATCC) or RPMI-1640 + 10 % FBS (DSMZ)", ("HL-60", "CCL-240, ACC 3", True)),
    *_lines("AML", "IMDM + 20 % FBS", ("KG-1", "CCL-246, ACC 14", True), ("KG-1a", "ACC 421", False)),
    *_lines("AML", _RPMI, ("THP-1", "TIB-202", False), ("MOLM-13", "ACC 554", False)),
    *_lines("AML", "IMDM + 10 % FBS", ("MV4-11", "CRL-9591", False)),
    *_lines("multiple myeloma", "RPMI-1640 + 10 to 15 % FBS",
            ("RPMI 8226", "CCL-155", False), ("U266B1", "TIB-196", False),
            ("NCI-H929", "CRL-9068", False), ("MM.1S", "CRL-2974", False)),
    *_lines("colorectal", _DMEM,
            ("SW480", "CCL-228", True), ("HT-29", "HTB-38", True), ("COLO 320", "CCL-220", True),
            ("HCT 116", "CCL-247", False)),
    *_lines("cervical", "DMEM or RPMI-1640 + 10 % FBS",
            ("HeLa", "CCL-2", True), ("SiHa", "HTB-35", True), ("CaSki", "CRL-1550", True), ("C-33 A", "HTB-31", True)),
    *_lines("epidermoid", _DMEM, ("A-431", "CRL-1555", True)),
    *_lines("head and neck", "DMEM or DMEM:F-12 + 10 % FBS",
            ("FaDu", "HTB-43", False), ("CAL 27", "CRL-2095", False), ("SCC-25", "CRL-1628", False)),
    *_lines("lung", "F-12K + 10 % FBS", ("A549", "CCL-185", False)),
    *_lines("lung", _RPMI, ("NCI-H460", "HTB-177", False), ("NCI-H1975", "CRL-5908", False)),
    *_lines("breast", "EMEM + 10 % FBS", ("MCF-7", "HTB-22", False)),
    *_lines("breast", "DMEM + 10 % FBS (L-15 without CO2)", ("MDA-MB-231", "HTB-26", False)),
    *_lines("breast", "McCoy's 5A + 10 % FBS", ("SK-BR-3", "HTB-30", False)),
    *_lines("ADCC control", _RPMI, ("Raji", "CCL-86", False)),
)  # fmt: skip
PANEL = MappingProxyType({line.name: line for line in _ALL})
"""Lines by name, in the order of their indications."""


def line_named(name: str) -> TumourLine:
    """A line of the panel by its exact name.

    Raises:
        AssayError: the panel has no line of that name; the remedy names the line that was probably meant.
    """
    if name in PANEL:
        return PANEL[name]
    # "K562" and "K-562" are the same word to a person, but two labels, two lots and two keys to a computer
    same = next((f"did you mean '{known}'?" for known in PANEL if _bare(known) == _bare(name)), "")
    raise AssayError(
        f"'{name}' is not a line of the tumour panel",
        where="target line",
        remedy=same or did_you_mean(name, PANEL) or f"use one of: {', '.join(PANEL)}",
    )


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
