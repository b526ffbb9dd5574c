"""One cause, one line: what follows from a first violation is counted, not listed again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from nkloop.errors import Problem

_MOST = 3


class Miss(NamedTuple):
    """One component of one well that is off its target, with how far in percent (infinite when it shall be absent)."""

    well: str
    component: str
    off_percent: float
    problem: Problem


def with_repeats(violations: Sequence[Problem], repeats: dict[int, list[str]]) -> list[Problem]:
    """The first violation of each cause, told with how many follow from it and where."""
    together: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, problem in enumerate(violations):
        together[problem.rule, problem.where].append(index)
    told = []
    for (rule, where), found in together.items():
        first = violations[found[0]]
        message = first.message
        if len(found) > 1:
            message += f"; {_count(len(found) - 1, 'more well or tip', 'more wells or tips')} in the same step"
        again = [place for index in found for place in repeats.get(index, ())]
        if again:
            places = some(list(dict.fromkeys(again)))
            message += f"; {_count(len(again), 'breach follows', 'breaches follow')} from it, at {places}"
        told.append(Problem(message, where, first.remedy, rule))
    return told


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def some(places: Sequence[str]) -> str:
    """A few places and how many more."""
    named = ", ".join(places[:_MOST])
    return named if len(places) <= _MOST else f"{named} and {len(places) - _MOST} more"


def as_consequence(problems: Sequence[Problem], cause: str) -> list[Problem]:
    """One line for all problems that follow from a cause told before."""
    if len(problems) <= 1:
        return list(problems)
    first = problems[0]
    places = list(dict.fromkeys(problem.where for problem in problems))
    message = f"{first.message}; {len(problems) - 1} more follow from {cause}, at {some(places)}"
    return [Problem(message, first.where, first.remedy, first.rule)]


def grouped_misses(misses: Sequence[Miss]) -> list[Problem]:
    """One line per common cause: a component off in many wells, or a well whose components are all off."""
    left = list(misses)
    lines = []
    while left:
        by_component, by_well = _groups(left, lambda m: m.component), _groups(left, lambda m: m.well)
        group = max([*by_component, *by_well], key=len)
        worst = max(group, key=lambda m: abs(m.off_percent))
        others = [m for m in group if m is not worst]
        same_well = all(m.well == worst.well for m in group)
        lines.append(_line(worst, others, same_well))
        taken = set(map(id, group))
        left = [m for m in left if id(m) not in taken]
    return lines


def _groups(misses: Sequence[Miss], key: Callable[[Miss], Hashable]) -> list[list[Miss]]:
    found: dict[Hashable, list[Miss]] = defaultdict(list)
    for miss in misses:
        found[key(miss)].append(miss)
    return list(found.values())


def _line(worst: Miss, others: Sequence[Miss], same_well: bool) -> Problem:
    problem = worst.problem
    if not others:
        return problem
    told = (
        f"so are {some([m.component for m in others])} there"
        if same_well
        else f"so is it in {some([m.well for m in others])}"
    )
    return Problem(f"{problem.message}; {told}", problem.where, problem.remedy, problem.rule)
