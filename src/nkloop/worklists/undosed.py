"""What the arms do not dose: serum, heparin and others that a cell suspension dilutes beyond the tolerance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nkloop.recipes.models import Ingredient
from nkloop.worklists.composition import composition_rows
from nkloop.worklists.plans import CompositionRow


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
            if row.deviation_percent is not None and abs(row.deviation_percent) > tolerance_percent:
                told.setdefault(row.component, f"{row.expected:.3g} instead of {row.target:.3g} {row.unit}")
    named = ", ".join(f"{component} {values}" for component, values in told.items())
    return (f"off target in seeded wells: {named}; {why}",) if told else ()


def remains_warnings(rows: Iterable[CompositionRow]) -> tuple[str, ...]:
    """One sentence per component that vessels still hold although their arm shall have none of it."""
    left: dict[str, list[CompositionRow]] = {}
    for row in rows:
        if row.target == 0 and row.expected > 0:
            left.setdefault(row.component, []).append(row)
    return tuple(
        f"{component} remains where the arm shall have none: {most.expected:.3g} {most.unit} in {most.destination}"
        f"{f' and less in {len(some) - 1} more' if len(some) > 1 else ''}; it leaves with the next exchanges only"
        for component, some in left.items()
        for most in (max(some, key=lambda row: row.expected),)
    )
