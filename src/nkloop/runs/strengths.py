"""Concentrations of a well in the units people use, told from what its components are measured in."""

from __future__ import annotations

from collections.abc import Mapping

from nkloop.errors import NkloopError, first_of
from nkloop.quantities import Amount
from nkloop.quantities.display import shown
from nkloop.quantities.units import Kind
from nkloop.runs.session import Session
from nkloop.worklists.models import Worklist

_BULK = 0.5
"""A liquid that makes up at least this share of a well is its base and goes without saying."""


def kinds_of(session: Session, worklist: Worklist) -> dict[str, Kind]:
    """What each component is measured in: as the recipe of the worklist says, else as the lots do."""
    kinds = {lot.component: lot.concentration.kind for lot in session.stocks().lots}
    if worklist.recipe_revision is not None:
        try:
            recipe = session.recipe(worklist.recipe_revision.partition("@")[0])
        except NkloopError:  # the recipe of an old run may be gone; its lots tell most
            return kinds
        for stage in recipe.stages:
            kinds |= {entry.component: entry.amount.kind for entry in stage.medium.additives}
    return kinds


def told(per_ul: Mapping[str, float], kinds: Mapping[str, Kind], *, most: int = 3) -> str:
    """The components of a well beside its base, at most `most` of them: `IL-15 10 ng/mL, human serum 5 % v/v`."""
    parts = [part for name, value in sorted(per_ul.items()) if (part := _one(name, value, kinds))]
    return first_of(parts, most)


def _one(name: str, per_ul: float, kinds: Mapping[str, Kind]) -> str:
    if per_ul <= 0:
        return ""
    if ":" in name:
        return f"{name} {shown(Amount(per_ul, Kind.CELL_DENSITY.value))}"
    kind = kinds.get(name, Kind.FRACTION)
    if kind in {Kind.FRACTION, Kind.VOLUME}:
        return "" if per_ul >= _BULK or name not in kinds else f"{name} {shown(Amount(per_ul, Kind.FRACTION.value))}"
    return f"{name} {shown(Amount(per_ul, kind.value, substance=name))}"
