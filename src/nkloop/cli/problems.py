"""A refusal on the screen: one line when it fits, else where, what and remedy each on lines of their own."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from nkloop.cli.common import as_typed, seen_from_here

if TYPE_CHECKING:
    from nkloop.errors import NkloopError, Problem

_HEAD = "error: "


def tell(error: NkloopError) -> None:
    """Show every problem of a refusal on standard error."""
    for problem in error.problems:
        typer.secho(on_screen(problem), fg=typer.colors.RED, err=True)


def on_screen(problem: Problem) -> str:
    """A problem as it is shown on standard error: one line in a file, lines as wide as the screen on one."""
    problem = as_read(problem)
    is_screen = sys.stderr is not None and sys.stderr.isatty()
    return in_lines(problem, shutil.get_terminal_size().columns) if is_screen else f"{_HEAD}{problem}"


def as_read(problem: Problem) -> Problem:
    """A problem with commands as they can be typed and paths as they are seen from here."""
    told = {"where": problem.where, "message": as_typed(problem.message), "remedy": as_typed(problem.remedy)}
    return replace(problem, **{name: seen_from_here(text) for name, text in told.items()})


def in_lines(problem: Problem, width: int) -> str:
    """A problem in lines no wider than `width`; paths and commands are never cut."""
    whole = f"{_HEAD}{problem}"
    if len(whole) <= width:
        return whole
    return "\n".join(_lines(problem, width))


def _lines(problem: Problem, width: int) -> Iterator[str]:
    rest = problem.message
    if problem.where:
        yield from _wrapped(f"{problem.where}:", _HEAD, "  ", width)
    else:
        first, _, rest = problem.message.partition("; ")
        yield from _wrapped(first, _HEAD, "  ", width)
    for part in filter(None, rest.split("; ")):
        yield from _wrapped(part, "  ", "    ", width)
    for number, part in enumerate(filter(None, problem.remedy.split("; "))):
        yield from _wrapped(part, "    " if number else "  Remedy: ", "      " if number else "    ", width)


def _wrapped(text: str, first: str, others: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, max(width, 40), initial_indent=first, subsequent_indent=others, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
