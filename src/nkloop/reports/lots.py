"""Lots and cells that runs took from, gathered from what was put on their decks."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.frozen import FrozenModel
from nkloop.reports.models import RunStory

_KINDS = {
    "donor": "Cells of donor unit",
    "line": "Tumour line",
    "reference": "Reference effector",
    "harvest": "NK cells harvested from",
    "sample": "NK cells of",
    "prepared": "Prepared in an earlier run:",
    "left": "Left on the deck by",
}


class LotUse(FrozenModel):
    """One lot or preparation over all runs."""

    lot: str
    """Lot number or preparation in words."""
    contents: tuple[str, ...]
    """Names of the liquids it was loaded as."""
    origin: str
    """`inventory`, or the kind of cells or preparation."""
    runs: int
    """Number of runs it was loaded for."""
    volume_ul: float
    """Volume loaded over all runs."""


def lot_words(lot: str) -> str:
    """`donor:U1` as `Cells of donor unit U1`; an inventory lot stays as it is."""
    kind, _, rest = lot.partition(":")
    if not rest or kind not in _KINDS:
        return lot
    place, _, well = rest.rpartition(":")
    where = f"{place}, well {well}" if kind in {"harvest", "prepared"} and place else rest
    return f"{_KINDS[kind]} {where}"


def lots_used(runs: Sequence[RunStory]) -> tuple[LotUse, ...]:
    """Every lot loaded, inventory lots first; harvests and earlier preparations are told per plate."""
    gathered: dict[str, list[tuple[str, str, float]]] = {}
    for run in runs:
        for filling in run.worklist.fillings:
            if filling.liquid.lot:
                use = (run.record.id, filling.liquid.name, filling.volume_ul)
                gathered.setdefault(_grouped(filling.liquid.lot), []).append(use)
    uses = [
        LotUse(
            lot=lot_words(lot),
            contents=tuple(dict.fromkeys(name for _, name, _ in found)),
            origin=lot.partition(":")[0] if lot.partition(":")[0] in _KINDS else "inventory",
            runs=len({run for run, _, _ in found}),
            volume_ul=sum(amount for _, _, amount in found),
        )
        for lot, found in gathered.items()
    ]
    return tuple(sorted(uses, key=lambda use: (use.origin != "inventory", use.origin, use.lot)))


def _grouped(lot: str) -> str:
    """Wells of one plate are one line."""
    kind, _, rest = lot.partition(":")
    place, _, _ = rest.rpartition(":")
    return f"{kind}:{place}" if kind in {"harvest", "prepared"} and place else lot
