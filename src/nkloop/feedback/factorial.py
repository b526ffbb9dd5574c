"""Full and fractional factorial designs: every combination of levels, or a stated half, quarter, eighth of them.

A fraction of a two-level design sets a factor's sign to the product of others (its generator). The words that are
then always +1 are the defining relation; the shortest has the length of the resolution, and an effect cannot be told
from its product with any of the words (Box & Hunter 1961, Technometrics 3:311).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import prod

from nkloop.errors import FeedbackError

MOST_RUNS = 96
"""A design with more runs fits no culture plate."""
ROMAN = ("0", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
_Word = frozenset[str]


@dataclass(frozen=True)
class Factorial:
    """A design: its runs and what it can tell apart."""

    levels: dict[str, tuple[float, ...]]
    """Levels of each factor, lowest first."""
    runs: tuple[dict[str, float], ...]
    """One level per factor, in standard order: the first factor changes fastest."""
    defining: tuple[str, ...] = ()
    """Words of the defining relation, as `SCF·IL-7·TPO` or `-SCF·TPO`; empty for a full factorial."""
    resolution: int | None = None
    """Length of the shortest word; None for a full factorial."""
    aliases: tuple[tuple[str, ...], ...] = ()
    """Sets of main effects and two-factor interactions that cannot be told apart."""

    @property
    def sentence(self) -> str:
        """What kind of design it is."""
        sizes = " x ".join(str(len(levels)) for levels in self.levels.values())
        if self.resolution is None:
            return f"full factorial {sizes}, {len(self.runs)} runs: every effect can be told"
        share = 2 ** len(self.levels) // len(self.runs)
        resolution = ROMAN[self.resolution] if self.resolution < len(ROMAN) else str(self.resolution)
        told = "; ".join(" = ".join(one) for one in self.aliases) or "no two of them"
        return (
            f"1/{share} fraction of {len(self.levels)} factors at 2 levels, {len(self.runs)} runs, resolution "
            f"{resolution}, defining relation I = {' = '.join(self.defining)}; not told apart: {told}"
        )


def full_factorial(levels: Mapping[str, Sequence[float]]) -> Factorial:
    """Every combination of the levels.

    Raises:
        FeedbackError: a factor has fewer than two or equal levels, or there are too many runs.
    """
    tidy = _checked(levels)
    n_runs = prod(len(values) for values in tidy.values())
    if n_runs > MOST_RUNS:
        raise FeedbackError(
            f"a full factorial of {' x '.join(str(len(v)) for v in tidy.values())} has {n_runs} runs, at most "
            f"{MOST_RUNS}",
            where="factorial",
            remedy="use fewer levels or factors, or a fraction with generators such as IL-7=SCF*TPO",
        )
    return Factorial(tidy, _combinations(tidy))


def fractional_factorial(levels: Mapping[str, Sequence[float]], generators: Mapping[str, str]) -> Factorial:
    """A regular fraction of a two-level design.

    Args:
        levels: two levels per factor.
        generators: a factor to the product that sets its sign, as `{"IL-7": "SCF*TPO"}` or `{"IL-7": "-SCF*TPO"}`.

    Raises:
        FeedbackError: a factor has not two levels, a generator names unknown or generated factors, or two factors
            would change together in every run.
    """
    tidy = _checked(levels)
    wrong = [name for name, values in tidy.items() if len(values) != 2]
    if wrong:
        raise FeedbackError(
            f"{', '.join(wrong)} has not exactly 2 levels, a fraction needs 2",
            where="factorial",
            remedy="give a low and a high level, or leave the generators out",
        )
    words = {name: _generator(name, text, tidy, generators) for name, text in generators.items()}
    basic = {name: values for name, values in tidy.items() if name not in words}
    full_factorial(basic)
    runs = []
    for run in _combinations(dict.fromkeys(basic, (-1.0, 1.0))):
        signs = {**run, **{name: sign * prod(run[one] for one in word) for name, (sign, word) in words.items()}}
        runs.append({name: tidy[name][0 if signs[name] < 0 else 1] for name in tidy})
    relation = _relation({name: (sign, word | {name}) for name, (sign, word) in words.items()})
    resolution = min(len(word) for word in relation)
    if resolution < 3:
        shortest = min(relation, key=len)
        raise FeedbackError(
            f"{' and '.join(sorted(shortest))} would change together in every run",
            where="factorial",
            remedy="choose generators whose products are all different",
        )
    order = list(tidy)
    return Factorial(
        tidy,
        tuple(runs),
        tuple(_written(word, sign, order) for word, sign in sorted(relation.items(), key=lambda w: len(w[0]))),
        resolution,
        _aliases(order, relation),
    )


def _checked(levels: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    if not levels:
        raise FeedbackError("a factorial needs at least one factor", where="factorial", remedy="write SCF=x0.5,x2")
    for name, values in levels.items():
        if len(values) < 2 or len(set(values)) < len(values):
            raise FeedbackError(
                f"{name} has the levels {', '.join(f'{v:g}' for v in values) or 'none'}, at least 2 different ones "
                "are needed",
                where="factorial",
                remedy=f"write {name}=x0.5,x2",
            )
    return {name: tuple(sorted(values)) for name, values in levels.items()}


def _combinations(levels: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], ...]:
    names = list(levels)
    reversed_values = [levels[name] for name in reversed(names)]
    return tuple(dict(zip(names, reversed(values), strict=True)) for values in product(*reversed_values))


def _generator(
    name: str, text: str, levels: Mapping[str, object], generators: Mapping[str, str]
) -> tuple[int, frozenset[str]]:
    sign = -1 if text.strip().startswith("-") else 1
    parts = [part.strip() for part in text.strip().removeprefix("-").split("*")]
    unknown = [part for part in (name, *parts) if part not in levels]
    chained = [part for part in parts if part in generators]
    if unknown or chained or len(set(parts)) < len(parts):
        reason = (
            f"names {', '.join(unknown)}, which is no factor"
            if unknown
            else f"uses {', '.join(chained)}, which is generated itself"
            if chained
            else "names a factor twice"
        )
        basic = ", ".join(one for one in levels if one not in generators)
        raise FeedbackError(f"generator {name}={text} {reason}", where="factorial", remedy=f"multiply {basic}")
    return sign, frozenset(parts)


def _relation(words: Mapping[str, tuple[int, _Word]]) -> dict[_Word, int]:
    """All products of the generating words, with their sign."""
    relation: dict[_Word, int] = {}
    for size in range(1, len(words) + 1):
        for chosen in combinations(words.values(), size):
            word: _Word = frozenset()
            sign = 1
            for one_sign, one in chosen:
                word, sign = word ^ one, sign * one_sign
            relation[word] = sign
    return relation


def _aliases(names: Sequence[str], relation: Mapping[_Word, int]) -> tuple[tuple[str, ...], ...]:
    effects = [frozenset([name]) for name in names] + [frozenset(pair) for pair in combinations(names, 2)]
    known, told, found = set(effects), set[_Word](), []
    for effect in effects:
        if effect in told:
            continue
        same = {effect ^ word: sign for word, sign in relation.items() if effect ^ word in known}
        told |= {effect, *same}
        if same:
            found.append((_written(effect, 1, names), *(_written(one, sign, names) for one, sign in same.items())))
    return tuple(found)


def _written(word: _Word, sign: int, order: Sequence[str]) -> str:
    return ("-" if sign < 0 else "") + "·".join(sorted(word, key=list(order).index))
