"""Doses whose liquid takes so much of a medium that everything they do not add is thinned too far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil

from nkloop.errors import Problem

_EXPLAINED = 0.005
"""Share within which a component is thinned by what the doses take and by nothing else."""
_ROUNDING = 1e-9
"""Of computed shares; what is at its limit is within it."""
_TOLD = 5e-4
"""Share of the medium below which a part of the doses is not told."""


def dose_room_problems(
    where: str,
    wanted: Mapping[str, float],
    stocks: Mapping[str, float],
    base: Mapping[str, float],
    held: Mapping[str, float],
    tolerance_percent: float,
) -> Iterator[Problem]:
    """Doses that thin the rest of a medium too far, told once and by what they take; amounts are canonical, per µL.

    Args:
        where: the medium, for messages.
        wanted: what the medium shall hold.
        stocks: concentration of the stock of every component that is dosed.
        base: what the base medium holds.
        held: what the medium holds.
        tolerance_percent: by how much a medium may be off.

    Yields:
        One problem when all that is off, and not dosed, stands in the base medium as it should; else nothing.
    """
    rest = {name: amount for name, amount in wanted.items() if amount > 0 and name not in stocks}
    missing = {name: 1 - held.get(name, 0.0) / amount for name, amount in rest.items()}
    off = [name for name, share in missing.items() if abs(share) > tolerance_percent / 100 + _ROUNDING]
    thinned = {name: 1 - held.get(name, 0.0) / base[name] for name in rest if base.get(name, 0.0) > 0}
    taken = max(thinned.values(), default=0.0)
    if not off or any(abs(thinned.get(n, 0.0) - taken) > _EXPLAINED or missing[n] > 2 * taken for n in off):
        return
    parts = {n: (held.get(n, 0.0) - base.get(n, 0.0) * (1 - taken)) / strength for n, strength in stocks.items()}
    parts["what they are diluted in"] = taken - sum(parts.values())
    told = ", ".join(f"{name} {_percent(share)}" for name, share in parts.items() if share >= _TOLD)
    worst = max(off, key=missing.__getitem__)
    others = f" and {len(off) - 1} more components, too" if len(off) > 1 else ""
    yield Problem(
        f"doses take {_percent(taken)} of it ({told}) and leave {worst} {_percent(missing[worst])} below its target"
        f"{others}; {tolerance_percent:g} % are allowed",
        where,
        "a stronger stock or a lower dose",
    )


def _percent(share: float) -> str:
    """Rounded up, so that what is too much by little does not look allowed."""
    return f"{ceil(1e4 * share - 1e-6) / 100:g} %"
