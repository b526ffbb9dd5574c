"""What is drained out of a closed vessel in use and run into it, in volumes a person can weigh."""

from __future__ import annotations

from typing import Any

from nkloop.errors import PlanError
from nkloop.recipes.models import Stage
from nkloop.worklists.bag_weights import READ_UL, ml, readable
from nkloop.worklists.present_table import Present
from nkloop.worklists.stage_day import Action, times_denser


def held_volumes(
    name: str, action: Action, stage: Stage, present: Present, *, volume_ul: float | None, dose_ul: float
) -> dict[str, Any]:
    """Volumes of one vessel in use, as fields of `BagFeeding`.

    Args:
        name: barcode of the vessel, for messages.
        action: exchange, top-up, dilute or split.
        stage: gives the share that is exchanged and the seeding density.
        present: what it holds, with its cell count.
        volume_ul: what it shall hold afterwards, after a dilution at most; None keeps what an exchange or a split
            finds, and tops up with the dose alone.
        dose_ul: what the dose tube brings.

    Raises:
        PlanError: the volume leaves no room for the dose, or a culture is not counted or too thin.
    """
    if action == "exchange":
        return _exchanged(name, stage, present, volume_ul, dose_ul)
    if action in {"dilute", "split"}:
        return _thinned(name, action, stage, present, volume_ul, dose_ul)
    full = present.volume_ul + dose_ul if volume_ul is None else volume_ul
    missing = full - present.volume_ul - dose_ul
    if missing < 0:
        raise PlanError(
            f"bag {name} holds {ml(present.volume_ul)}, topping up to {ml(full)} leaves no room for a dose of "
            f"{ml(dose_ul)}",
            where="volume",
            remedy="choose a larger volume, or exchange",
        )
    return _volumes(present, 0.0, missing)


def _exchanged(name: str, stage: Stage, present: Present, volume_ul: float | None, dose_ul: float) -> dict[str, Any]:
    """The stage's share of supernatant out, fresh medium in up to the volume asked for, or to the one it had."""
    drained = readable(stage.refresh.fraction.canonical * present.volume_ul)
    kept = present.volume_ul - drained
    if volume_ul is None:
        return _volumes(present, drained, max(0.0, drained - dose_ul), is_settled=drained > 0)
    if volume_ul < kept + dose_ul:
        raise PlanError(
            f"bag {name} holds {ml(present.volume_ul)}, exchanging {stage.refresh.fraction} leaves {ml(kept)}, the "
            f"dose brings {ml(dose_ul)}: it cannot end at {ml(volume_ul)}",
            where="volume",
            remedy=f'ask for at least --volume "{ml(kept + dose_ul)}", or leave it out to keep the volume',
        )
    return _volumes(present, drained, volume_ul - kept - dose_ul, is_settled=drained > 0)


def _thinned(
    name: str, action: Action, stage: Stage, present: Present, volume_ul: float | None, dose_ul: float
) -> dict[str, Any]:
    """Back to the stage's seeding density: with medium alone, or after part of the mixed culture was drained."""
    times = times_denser(present, action, stage, f"bag {name}")
    full = present.volume_ul if volume_ul is None else volume_ul
    drained = 0.0 if action == "dilute" else readable(present.volume_ul - full / times)
    if drained < 0:
        raise PlanError(
            f"{ml(full / times)} of the culture are needed for {ml(full)}, bag {name} holds {ml(present.volume_ul)}",
            where="volume",
            remedy="choose a smaller volume",
        )
    kept = present.volume_ul - drained
    # what is kept of a split is rounded to what can be weighed, and what it shall end with is not
    come_in = kept * (times - 1) if action == "dilute" else full - kept
    if volume_ul is not None and kept + come_in > volume_ul + READ_UL:
        raise PlanError(
            f"diluting {ml(present.volume_ul)} {times:.3g} times gives {ml(kept + come_in)}, asked for are at most "
            f"{ml(volume_ul)}",
            where=f"bag {name}",
            remedy="split, or transfer to a larger vessel",
        )
    if come_in < dose_ul:
        raise PlanError(
            f"bag {name} takes {come_in / 1000:.3g} mL to come back to the seeding density, the dose brings "
            f"{ml(dose_ul)}",
            where="dose",
            remedy="choose a smaller dose, or exchange",
        )
    return _volumes(present, drained, come_in - dose_ul)


def _volumes(present: Present, drained_ul: float, medium_ul: float, *, is_settled: bool = False) -> dict[str, Any]:
    return {
        "present_ul": present.volume_ul,
        "drain_ul": drained_ul,
        "medium_ul": readable(medium_ul),
        "is_settled": is_settled,
        "cells_per_ul": present.cells_per_ul,
    }
