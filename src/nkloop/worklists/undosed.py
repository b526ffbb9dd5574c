"""What the arms do not dose: serum, heparin and others that a cell suspension dilutes beyond the tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nkloop.recipes.models import Ingredient
from nkloop.worklists.composition import composition_rows


def undosed_warnings(
    additives: Sequence[Ingredient], wells: Sequence[Mapping[str, float]], tolerance_percent: float, why: str
) -> tuple[str, ...]:
    """One sentence for what is off target in newly seeded wells; nothing when all of it is on target.

    Args:
        additives: what the arms do not dose, as the stage wants it.
        wells: canonical contents per µL of each well, by component.
        tolerance_percent: deviation that is not told.
        why: what makes the difference and what to do, the end of the sentence.
    """
    told: dict[str, str] = {}
    for per_ul in wells:
        for row in composition_rows(additives, per_ul):
            if abs(row.deviation_percent) > tolerance_percent:
                told.setdefault(row.component, f"{row.expected:.3g} instead of {row.target:.3g} {row.unit}")
    named = ", ".join(f"{component} {values}" for component, values in told.items())
    return (f"off target in seeded wells: {named}; {why}",) if told else ()
