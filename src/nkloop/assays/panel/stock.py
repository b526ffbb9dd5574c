"""May a line be used today? Only with passage, identity and mycoplasma on record and within their limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from nkloop.assays.panel.files import line_named
from nkloop.assays.panel.models import CulturedLine, LineStock, StockLimits
from nkloop.errors import AssayError, Problem
from nkloop.yamlfile import Finding, validate_yaml
from nkloop.yamlfile.plain import items


def load_line_stock(path: Path) -> LineStock:
    """Read the cell lines of a lab.

    Raises:
        AssayError: the file does not describe a stock, names a line twice, or one the panel does not have.
    """
    return validate_yaml(LineStock, path, AssayError, check=_findings)


def _findings(data: Any) -> Iterator[Finding]:
    """Lines listed twice, and lines the panel does not have."""
    seen: set[str] = set()
    for path, entry in items(data, ("lines",)):
        name, at = entry.get("line"), (*path, "line")
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Finding(at, f"line listed twice: {name}", "keep the one in culture")
        seen.add(name)
        try:
            line_named(name)
        except AssayError as error:
            yield from (Finding(at, problem.message, problem.remedy) for problem in error.problems)


def check_lines(names: Iterable[str], stock: LineStock | None, today: date) -> None:
    """Refuse an assay with a line that may not be used.

    Args:
        names: target lines of the assay.
        stock: the lab's lines; None when the bench names no file, so nothing is known of any line.
        today: the day of the assay, on the bench's clock.

    Raises:
        AssayError: a date is missing, lies ahead or is too old, a result is bad, the passage is too high; all at once.
    """
    problems = [problem for name in dict.fromkeys(names) for problem in line_problems(name, stock, today)]
    if problems:
        raise AssayError.from_problems(problems)


def line_problems(name: str, stock: LineStock | None, today: date) -> tuple[Problem, ...]:
    """Why a line may not be used; empty when it may."""
    where = f"cell line {name}"
    if stock is None:
        advice = "name a file of cell lines in the bench file: `lines: lines/NAME.yaml`"
        return (Problem("the bench names no cell lines, so passage, STR and mycoplasma are not known", where, advice),)
    entry = next((line for line in stock.lines if line.line == name), None)
    if entry is None:
        return (Problem("the lab's cell lines do not list it", where, "add it with passage, STR and mycoplasma"),)
    return tuple(
        Problem(text, where, remedy) for text, remedy in (*_passage(entry, stock.limits), *_dates(entry, stock, today))
    )


def _passage(entry: CulturedLine, limits: StockLimits) -> Iterator[tuple[str, str]]:
    if entry.passage is None:
        yield "its passage is not recorded", "write the passage into the list of cell lines"
    elif entry.passage > limits.max_passage:
        text = f"it is at passage {entry.passage}, at most {limits.max_passage} is allowed ({limits.source})"
        yield text, "thaw an earlier passage"


def _dates(entry: CulturedLine, stock: LineStock, today: date) -> Iterator[tuple[str, str]]:
    limits = stock.limits
    checks = (
        ("STR profile", entry.str_date, entry.str_result, "match", limits.str_days, "have it profiled"),
        ("mycoplasma test", entry.mycoplasma_date, entry.mycoplasma_result, "negative", limits.mycoplasma_days,
         "have it tested"),
    )  # fmt: skip
    for what, day, result, good, most, remedy in checks:
        if day is None or result is None:
            missing = "date" if day is None else "result"
            yield f"the {missing} of its {what} is missing", f"{remedy} and write date and result down"
            continue
        if result != good:
            yield f"its {what} of {day} says {result}", "discard the culture and thaw a clean one"
        age = (today - day).days
        if age < 0:
            yield f"its {what} is dated {day}, which is after today, {today}", "correct the date"
        elif age > most:
            yield f"its {what} is {age} days old, at most {most} are allowed ({limits.source})", remedy
