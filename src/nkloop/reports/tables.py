"""Plans and observations as rows of a plain table: numbers of four digits, units in the column names."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from nkloop.feedback.models import Observation, Round
from nkloop.quantities import Amount, Kind
from nkloop.recipes.models import Recipe
from nkloop.reports.markdown import markdown_text
from nkloop.reports.recipe_diff import varied_title
from nkloop.worklists.plans import CompositionRow, EffectorNeed, WellState

DIGITS = 4
"""Significant digits of a number in a table."""

Row = dict[str, Any]
Shown = TypeVar("Shown", bound=Hashable)
Alike = tuple[list[str], tuple[Shown, ...]]
"""Names of vessels, and what is shown of each of their components."""
BASIS = {"undosed": "not dosed", "carried": "carried along"}
"""What is said of a component that a plan does not dose."""
_SHOWN = {
    Kind.MASS_CONCENTRATION: ("ng/mL", 1000.0),
    Kind.ACTIVITY_CONCENTRATION: ("IU/mL", 1000.0),
    Kind.MOLAR_CONCENTRATION: ("µM", 1.0),
    Kind.FRACTION: ("% v/v", 100.0),
    Kind.CELL_DENSITY: ("cells/mL", 1000.0),
}
"""Unit a concentration is read in, and how many of it are one canonical unit."""


_PAGE_PX, _LETTER_PX, _CELL_PX = 725, 7.6, 20
"""Room for a table on the page of an artifact in a window of 1280 pixels, a letter in it, and what a cell adds."""


_PAIR = 2


def is_wide(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a table would be cut off on the page of an artifact, which does not scroll to the side.

    One of names and values is not: only its longest value is, and that stands elsewhere.
    """
    heads = dict.fromkeys(name for row in rows for name in row)
    letters = [max(len(head), *(len(str(row.get(head, ""))) for row in rows)) for head in heads]
    return len(heads) > _PAIR and sum(_LETTER_PX * one + _CELL_PX for one in letters) > _PAGE_PX


def rows_as_list(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows in Markdown, a line each: `- **A1**: volume 1500 µL, SCF 25 ng/mL`."""
    return "\n".join(_as_line(row) for row in rows)


def _as_line(row: Mapping[str, Any]) -> str:
    (_, first), *rest = row.items()
    told = (_named(name, value) for name, value in rest if value not in ("", None))
    return f"- **{markdown_text(str(first))}**: {', '.join(told)}"


def _named(name: str, value: Any) -> str:
    what, _, unit = name.rstrip("]").partition(" [")
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return markdown_text(" ".join(filter(None, (what, shown, unit))))


def rounded(row: Mapping[str, Any]) -> Row:
    """A row with its numbers at four significant digits; whole numbers and everything else stay."""
    return {name: float(f"{v:.{DIGITS}g}") if isinstance(v, float) else v for name, v in row.items()}


def origin_title(origin: str) -> str:
    """Who chose an arm, in the spelling of the pages."""
    return {"optimizer": "optimiser"}.get(origin, origin)


def composition_rows(rows: Sequence[CompositionRow]) -> list[Row]:
    """What vessels should hold and what comes out, each in its own unit; vessels that hold the same stand together."""
    has_notes = any(row.basis in BASIS for row in rows)
    found = alike(rows, lambda row: tuple(_compared(row, has_notes=has_notes).items()))
    are_named = len(found) > 1 or any(len(names) > 1 for names, _ in found)
    return [{**({"in": ", ".join(names)} if are_named else {}), **dict(row)} for names, told in found for row in told]


def _compared(row: CompositionRow, *, has_notes: bool) -> Row:
    """One component: what is asked, what comes out and how far off it may be."""
    return rounded(
        {
            "component": row.component,
            **({"note": BASIS.get(row.basis, "")} if has_notes else {}),
            "target": row.target,
            "expected": row.expected,
            "unit": row.unit,
            "deviation [%]": row.deviation_percent,
            "CV [%]": row.cv_percent,
            "bias up to [%]": row.bias_percent,
            "why": row.why,
        }
    )


def alike(composition: Iterable[CompositionRow], shown: Callable[[CompositionRow], Shown]) -> list[Alike[Shown]]:
    """The names of vessels of which the same is shown, and what is shown of each; in the order they come first."""
    rows: dict[str, list[Shown]] = {}
    for row in composition:
        rows.setdefault(row.destination, []).append(shown(row))
    found: dict[tuple[Shown, ...], list[str]] = {}
    for name, own in rows.items():
        found.setdefault(tuple(own), []).append(name)
    return [(names, told) for told, names in found.items()]


def reasons(composition: Iterable[CompositionRow]) -> list[str]:
    """Why what is off target is off, once for each reason, with how far each component goes at most."""
    found = off_target((row.why, row.component, row.deviation_percent) for row in composition if row.why)
    return [f"{one[0].upper()}{one[1:]}." for one in found]


def off_target(told: Iterable[tuple[str, str, float | None]]) -> list[str]:
    """The same as clauses, of reason, component and deviation in percent."""
    found: dict[str, dict[str, float]] = {}
    for why, component, deviation in told:
        worst = found.setdefault(why, {})
        if deviation is not None and abs(deviation) >= abs(worst.get(component, 0.0)):
            worst[component] = deviation
    named = ((why, ", ".join(f"{name} {off:+.2f} %" for name, off in worst.items())) for why, worst in found.items())
    return [f"off target, because {why}: {names}" for why, names in named if names]


def effector_rows(needs: Iterable[EffectorNeed]) -> list[Row]:
    """What a plate takes of every effector sample."""
    return [rounded({"sample": n.sample, "volume [µL]": n.volume_ul, "cells": n.cells}) for n in needs]


def well_rows(wells: Sequence[WellState], recipe: Recipe, units: Mapping[str, str] = MappingProxyType({})) -> list[Row]:
    """Culture wells with one column per component.

    Args:
        wells: what they hold.
        recipe: tells what each component is measured in.
        units: of components in the other tables of the plan, which this one keeps to; others are in the unit people
            read them in.
    """
    parts = list(dict.fromkeys(name for well in wells for name in well.per_ul))
    shown = {name: _in_unit(name, units[name]) if name in units else _column(name, recipe) for name in parts}
    return [
        rounded(
            {
                "well": well.well,
                "volume [µL]": well.volume_ul,
                **{title: factor * well.per_ul.get(name, 0.0) for name, (title, factor) in shown.items()},
            }
        )
        for well in wells
    ]


def arm_rows(made: Round, recipe: Recipe) -> list[Row]:
    """Arms of a round with their factors against the reference."""
    return [
        rounded(
            {
                "arm": arm.name,
                "origin": origin_title(arm.origin),
                **{f"{varied_title(recipe, key)} [×]": value for key, value in arm.factors.items()},
            }
        )
        for arm in made.arms
    ]


def observation_rows(seen: Iterable[Observation]) -> list[Row]:
    """What every arm gave with every donor."""
    return [
        rounded(
            {
                "round": o.round,
                "arm": o.arm,
                "donor": o.donor,
                "fold expansion": 10**o.log10_fold,
                "viability [%]": o.viability_percent,
                "CD56+CD3- [%]": o.purity_percent,
                "killing AUC": o.potency,
                "cost [× reference]": o.cost_factor,
                "score": o.score,
                "keeps limits": "yes" if o.feasible else "no",
                "plate": f"{o.plate} ({o.plate_verdict})",
            }
        )
        for o in seen
    ]


def _column(name: str, recipe: Recipe) -> tuple[str, float]:
    """Title of a component's column, and the factor from its canonical amount per µL to the unit in the title."""
    kinds = {i.component: i.amount.kind for stage in recipe.stages for i in stage.medium.ingredients}
    unit, factor = _SHOWN[kinds[name]] if name in kinds else _unlisted(name)
    return f"{name} [{unit}]", factor


def _in_unit(name: str, unit: str) -> tuple[str, float]:
    """The same in a unit that is given."""
    return f"{name} [{unit}]", 1 / Amount(1.0, unit, substance=name).canonical


def _unlisted(name: str) -> tuple[str, float]:
    """Cells are `kind:owner`; any other liquid beyond the recipe is a carrier of a stock."""
    return _SHOWN[Kind.CELL_DENSITY] if ":" in name else _SHOWN[Kind.FRACTION]
