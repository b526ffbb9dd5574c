"""Plans and observations as rows of a plain table: numbers of four digits, units in the column names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nkloop.feedback.models import Observation, Round
from nkloop.quantities import Kind
from nkloop.recipes.models import Recipe
from nkloop.reports.markdown import markdown_text
from nkloop.reports.recipe_diff import varied_title
from nkloop.worklists.plans import ArmComposition, CompositionRow, EffectorNeed, WellState

DIGITS = 4
"""Significant digits of a number in a table."""

Row = dict[str, Any]
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


def composition_rows(rows: Iterable[CompositionRow]) -> list[Row]:
    """What a prepared medium should hold and what comes out, each in its own unit."""
    return [
        rounded(
            {
                "component": row.component,
                "target": row.target,
                "expected": row.expected,
                "unit": row.unit,
                "deviation [%]": row.deviation_percent,
                "why": row.why,
            }
        )
        for row in rows
    ]


def arm_composition_rows(arms: Iterable[ArmComposition]) -> list[Row]:
    """The same for the complete medium of every arm."""
    return [{"arm": arm.arm, **row} for arm in arms for row in composition_rows(arm.rows)]


def effector_rows(needs: Iterable[EffectorNeed]) -> list[Row]:
    """What a plate takes of every effector sample."""
    return [rounded({"sample": n.sample, "volume [µL]": n.volume_ul, "cells": n.cells}) for n in needs]


def well_rows(wells: Sequence[WellState], recipe: Recipe) -> list[Row]:
    """Culture wells with one column per component, in the unit people read it in."""
    parts = list(dict.fromkeys(name for well in wells for name in well.per_ul))
    shown = {name: _column(name, recipe) for name in parts}
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


def _unlisted(name: str) -> tuple[str, float]:
    """Cells are `kind:owner`; any other liquid beyond the recipe is a carrier of a stock."""
    return _SHOWN[Kind.CELL_DENSITY] if ":" in name else _SHOWN[Kind.FRACTION]
