"""What a person reads and does at a closed vessel: its weight, told as a change as well, and where it goes back to."""

from __future__ import annotations

from nkloop.labware.bags import Bag

G_PER_ML = 1.005
"""Density of culture medium at room temperature, near that of 0.9 % saline; a working value nobody has verified."""
READ_UL = 100.0
"""Steps in which a person doses into and out of closed vessels: a bench scale shows 0.1 g; a working value."""


def readable(volume_ul: float) -> float:
    """The nearest volume a person can weigh."""
    return READ_UL * round(volume_ul / READ_UL)


def change_g(volume_ul: float) -> str:
    """How much heavier or lighter a vessel gets, as words: `24.1 g`."""
    return f"{G_PER_ML * volume_ul / 1000:.1f} g"


def weight_g(kind: Bag, volume_ul: float) -> float | None:
    """Expected weight of a vessel with that volume; None when its empty weight is not known."""
    return None if kind.tare_g is None else kind.tare_g + G_PER_ML * volume_ul / 1000


def expected(kind: Bag, volume_ul: float) -> str:
    """`, expected about 93 g (35 g of it empty)`; nothing when its empty weight is not known."""
    weight = weight_g(kind, volume_ul)
    empty = f" ({kind.tare_g:g} g of it empty)" if volume_ul else ""
    return "" if weight is None else f", expected about {weight:.0f} g{empty}"


def in_all(kind: Bag, volume_ul: float) -> str:
    """` (about 93 g in all)`; nothing when its empty weight is not known."""
    weight = weight_g(kind, volume_ul)
    return "" if weight is None else f" (about {weight:.0f} g in all)"


def then_weighs(kind: Bag, volume_ul: float) -> str:
    """`; it then weighs about 93 g (35 g of it empty)`; nothing when its empty weight is not known."""
    weight = weight_g(kind, volume_ul)
    return "" if weight is None else f"; it then weighs about {weight:.0f} g ({kind.tare_g:g} g of it empty)"


def ml(microlitres: float) -> str:
    """`38.7 mL`."""
    return f"{microlitres / 1000:.4g} mL"


def back_words(name: str, kind: Bag) -> str:
    """How a vessel goes back to where it grows: a bag lies flat, a bioreactor is connected and moved."""
    if kind.vessel == "bioreactor":
        return f"Set {name} on its bioreactor base, connect gas and sensors, start warming and motion."
    return f"Put {name} into the incubator, flat."
