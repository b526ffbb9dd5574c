"""What is wrong with several vessels in the same way, told once with all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nkloop.errors import Problem


def told_once(problems: Iterable[Problem], kind: str) -> tuple[Problem, ...]:
    """Problems in the order they come; those that say the same of several vessels are one, which names them all.

    Args:
        problems: each stands at `<name of the plan>, <kind> <vessel>`.
        kind: `well` or `bag`.
    """
    found: dict[Problem, dict[str, None]] = {}
    for one in problems:
        place, mark, vessel = one.where.rpartition(f", {kind} ")
        vessels = found.setdefault(replace(one, where=place if mark else one.where), {})
        if mark:
            vessels[vessel] = None
    return tuple(_named(problem, kind, list(vessels)) for problem, vessels in found.items())


def _named(problem: Problem, kind: str, vessels: list[str]) -> Problem:
    if not vessels:
        return problem
    plural = "s" if len(vessels) > 1 else ""
    return replace(problem, where=f"{problem.where}, {kind}{plural} {', '.join(vessels)}")
