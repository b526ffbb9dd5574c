"""A file of dose-response points and a question, to curves and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from nkloop.assays.curve_groups import compare_arms, compare_models, of_table
from nkloop.assays.curve_models import CurveResult, ModelComparison
from nkloop.assays.curve_report import Points, analyse_curve, with_weights
from nkloop.assays.fitting.data import Request
from nkloop.assays.fitting.effect_dose import LyticUnits
from nkloop.assays.fitting.logistic import Level, ModelName
from nkloop.assays.tables import Column, Table, raise_all, read_table
from nkloop.errors import Problem
from nkloop.frozen import FrozenModel

COLUMNS = (
    Column("x", synonyms=("dose", "concentration", "e:t", "ratio", "true ratio")),
    Column("y", synonyms=("response", "signal", "lysis", "lysis percent", "effect")),
    Column("group", "text", required=False, filled=False, synonyms=("arm", "sample", "curve")),
    Column("weight", required=False, filled=False, synonyms=("weights",)),
    Column("well", "text", required=False, filled=False),
)
_PARAMETERS = ("bottom", "top", "ec50", "slope", "asymmetry")


class CurveStudy(FrozenModel):
    """Everything said of one file of curves."""

    curves: tuple[CurveResult, ...]
    models: tuple[ModelComparison, ...]
    """The model against its neighbours, when there is one curve."""
    arms: tuple[ModelComparison, ...]
    """Shared against own parameters, when there are several curves."""


@dataclass(frozen=True)
class CurveQuestion:
    """What is asked of a file of curves."""

    request: Request = field(default_factory=Request)
    weighting: str = "none"
    levels: tuple[Level, ...] = ()
    lytic: LyticUnits | None = None

    @classmethod
    def parse(
        cls,
        *,
        model: str,
        weights: str = "none",
        fixes: Sequence[str] | None = None,
        bounds: Sequence[str] | None = None,
        levels: Sequence[float] | None = None,
        responses: Sequence[float] | None = None,
        targets: float | None = None,
    ) -> CurveQuestion:
        """From the words of a command line.

        Raises:
            AssayError: a constraint names no parameter or no range, a level is not within 0 and 100 %.
        """
        problems: list[Problem] = []
        found = [_constraint("--fix", text, problems) for text in fixes or ()]
        found += [_constraint("--bound", text, problems) for text in bounds or ()]
        for level in levels or ():
            if not 0 < level < 100:
                problems.append(
                    Problem(f"{level:g} % is not between 0 and 100 %", "--level", "give a share of the effect")
                )
        if targets is not None and targets <= 0:
            problems.append(Problem(f"{targets:g} targets is not above 0", "--targets", "give the targets per well"))
        if targets is not None and not (levels or responses):
            message = "lytic units need the lysis at which one unit is counted"
            problems.append(Problem(message, "--targets", "give it with --response, for example --response 30"))
        raise_all(problems)
        limits = dict(f for f in found if f is not None)
        asked = (*(Level(v) for v in levels or ()), *(Level(v, is_response=True) for v in responses or ()))
        lytic = None if targets is None else LyticUnits(targets)
        return cls(Request(cast(ModelName, model), limits), weights, asked, lytic)


def _constraint(option: str, text: str, problems: list[Problem]) -> tuple[str, tuple[float, float]] | None:
    """`bottom=0`, or `top=50:110` with either side left open."""
    name, _, said = text.partition("=")
    name = name.strip().casefold()
    if name not in _PARAMETERS:
        problems.append(Problem(f"'{text}' names no parameter", option, f"use one of {', '.join(_PARAMETERS)}"))
        return None
    try:
        parts = said.split(":") if option == "--bound" else [said, said]
        low = float(parts[0]) if parts[0].strip() else float("-inf")
        high = float(parts[1]) if parts[1].strip() else float("inf")
    except (ValueError, IndexError):
        example = "top=50:110" if option == "--bound" else "bottom=0"
        problems.append(Problem(f"'{text}' is no constraint", option, f"write it like {example}"))
        return None
    if low != low or high != high or low > high or (option == "--fix" and abs(low) == float("inf")):
        problems.append(Problem(f"'{text}' leaves no value", option, "give a finite value, or low:high"))
        return None
    if name in {"ec50", "asymmetry"} and high <= 0:
        problems.append(Problem(f"'{text}': {name} is above 0", option, "give values above 0"))
        return None
    return name, (low, high)


def read_curves(path: Path, question: CurveQuestion, *, sheet: str | None = None) -> tuple[Points, ...]:
    """Points per group of a file.

    Raises:
        AssayError: the file is no such table, or a row cannot be used; all rows at once.
    """
    table = read_table(path, COLUMNS, sheet=sheet)
    raise_all(_row_problems(table, question))
    own = question.weighting == "column"
    rows = [(r.text("group"), r.number("x"), r.number("y"), r.number("weight") if own else 1.0) for r in table.rows]
    arms = of_table(rows, question.weighting)
    return arms if own else tuple(with_weights(arm, question.weighting) for arm in arms)


def _row_problems(table: Table, question: CurveQuestion) -> list[Problem]:
    problems = []
    if question.weighting == "column" and not table.has("weight"):
        problems.append(Problem("has no column weight", table.source, "add it, or use other --weights"))
    wells: dict[str, int] = {}
    some_grouped = any(row.text("group") for row in table.rows)
    for row in table.rows:
        if row.number("x") < 0:
            message = f"dose {row.number('x'):g} is negative"
            problems.append(
                Problem(message, table.where(row, "x"), "a dose is 0 (control) or above, not its logarithm")
            )
        if some_grouped and not row.text("group"):
            message = "the group is empty, other rows have one"
            problems.append(Problem(message, table.where(row, "group"), "name the group of every row"))
        if question.weighting == "column" and table.has("weight") and not row.number("weight") > 0:
            problems.append(Problem("the weight is not above 0", table.where(row, "weight"), "leave the row out"))
        well = row.text("well")
        if well and well in wells:
            message = f"well {well} stands on line {wells[well]} already"
            problems.append(Problem(message, table.where(row, "well"), "keep one of the two rows"))
        wells.setdefault(well, row.line)
    return problems


def study_curves(arms: Sequence[Points], question: CurveQuestion) -> CurveStudy:
    """Every curve, its model against the neighbours, and the arms against each other."""
    curves = tuple(analyse_curve(arm, question.request, levels=question.levels, lytic=question.lytic) for arm in arms)
    usable = [arm for arm, curve in zip(arms, curves, strict=True) if curve.rss is not None]
    models = compare_models(arms[0], question.request) if len(arms) == 1 and usable else ()
    several = compare_arms(usable, question.request) if len(usable) > 1 else ()
    return CurveStudy(curves=curves, models=models, arms=several)
