"""What the codes on printed labels say, and what a scan of one means."""

from __future__ import annotations

LABWARE, VESSEL, CELLS = "nkloop:labware:", "nkloop:vessel:", "nkloop:cells:"
"""How the code of a label begins whose rest is what is asked for: a plate, a closed vessel, a tube of cells."""


def meant_by(code: str) -> str:
    """The barcode or name that a label's code stands for; every other code as it is."""
    for beginning in (LABWARE, VESSEL, CELLS):
        if code.startswith(beginning):
            return code.removeprefix(beginning)
    return code
