"""What a day of a stage asks of one vessel: seeding, exchange, top-up, dilution to density, split, transfer."""

from __future__ import annotations

from typing import Literal

from nkloop.errors import PlanError
from nkloop.quantities.display import number
from nkloop.recipes.models import Stage
from nkloop.worklists.plans import CulturePosition, WellFeeding
from nkloop.worklists.present_table import Present

Action = Literal["seed", "exchange", "top-up", "dilute", "split", "transfer"]
SEED_SHARE = 0.1
"""Share of a new culture that is the donor's suspension, so that the medium is diluted little."""


def action_of_day(stage: Stage, day: float, *, has_contents: bool) -> Action:
    """What is done on a day when nobody says otherwise: seed empty vessels, else exchange medium.

    Raises:
        PlanError: the day is outside the stage.
    """
    if not stage.start_day <= day <= stage.end_day:
        raise PlanError(
            f"day {day:g} is outside stage {stage.id}, which runs from day {stage.start_day:g} to {stage.end_day:g}",
            where="day",
            remedy="choose a day of the stage, or another stage",
        )
    return "exchange" if has_contents else "seed"


def feeding_of(
    position: CulturePosition,
    action: Action,
    stage: Stage,
    full_ul: float,
    present: Present | None,
    to_well: str = "",
    exchange_to_ul: float | None = None,
) -> WellFeeding:
    """One vessel's share of the day.

    Args:
        position: the vessel with its arm and donor.
        action: what is done.
        stage: gives the seeding density and the share that is exchanged.
        full_ul: volume the vessel shall have afterwards, but for an exchange.
        present: contents; None when it is empty.
        to_well: well of the new plate, for transfers.
        exchange_to_ul: volume after an exchange; None keeps the one it has.

    Raises:
        PlanError: the action needs contents or a cell count that is not known, or cannot reach the volume.
    """
    where = f"{position.well} ({position.arm}/{position.donor})"
    told = position.model_dump()
    if action == "seed":
        seed = round(SEED_SHARE * full_ul, 1)
        return WellFeeding(**told, add_ul=round(full_ul - seed, 1), seed_ul=seed)
    if present is None:
        raise PlanError(f"{action} needs to know what stands there", where=where, remedy="give a table with --present")
    told |= {"present_ul": present.volume_ul, "present_per_ul": present.per_ul}
    if action == "exchange":
        removed = round(stage.refresh.fraction.canonical * present.volume_ul, 1)
        added = removed if exchange_to_ul is None else round(exchange_to_ul - (present.volume_ul - removed), 1)
        if exchange_to_ul is not None and added <= 0:
            left = present.volume_ul - removed
            raise PlanError(
                f"exchanging {stage.refresh.fraction} leaves {left:g} of {present.volume_ul:g} µL, which cannot end "
                f"at {exchange_to_ul:g} µL",
                where=where,
                remedy=f"ask for more than {left:g} µL with --volume, or leave it out to keep the volume",
            )
        return WellFeeding(**told, remove_ul=removed, add_ul=added)
    if action == "top-up":
        if present.volume_ul >= full_ul:
            raise PlanError(
                f"{present.volume_ul:g} µL stand there, topping up to {full_ul:g} µL adds nothing",
                where=where,
                remedy="choose a larger volume, or exchange",
            )
        return WellFeeding(**told, add_ul=round(full_ul - present.volume_ul, 1))
    return _thinned(told, action, stage, full_ul, present, to_well, where)


def _thinned(
    told: dict[str, object],
    action: Action,
    stage: Stage,
    full_ul: float,
    present: Present,
    to_well: str,
    where: str,
) -> WellFeeding:
    """Back to the seeding density: with medium alone where it fits, else by a split or into a new vessel."""
    ratio = times_denser(present, action, stage, where)
    if action == "dilute":
        volume = present.volume_ul * ratio
        if volume > full_ul + 1e-6:
            raise PlanError(
                f"diluting {present.volume_ul:g} µL {ratio:.3g} times gives {volume:.0f} µL, at most {full_ul:g} µL",
                where=where,
                remedy="split, or transfer to a larger vessel",
            )
        return WellFeeding.model_validate({**told, "add_ul": round(volume - present.volume_ul, 1)})
    kept = round(full_ul / ratio, 1)
    if kept > present.volume_ul:
        raise PlanError(
            f"{kept:g} µL of the culture are needed for {full_ul:g} µL at {stage.seeding_density}, "
            f"{present.volume_ul:g} µL stand there",
            where=where,
            remedy="choose a smaller volume",
        )
    add = round(full_ul - kept, 1)
    if action == "transfer":
        return WellFeeding.model_validate({**told, "transfer_ul": kept, "to_well": to_well, "add_ul": add})
    return WellFeeding.model_validate(
        {**told, "remove_ul": round(present.volume_ul - kept, 1), "mixed": True, "add_ul": add}
    )


def times_denser(present: Present, action: Action, stage: Stage, where: str) -> float:
    """How many times denser than the stage's seeding density a culture is.

    Raises:
        PlanError: its cell count is not known, or it is not denser.
    """
    if present.cells_per_ul is None:
        raise PlanError(f"{action} needs a cell count", where=where, remedy="add a column cells to the table")
    ratio = present.cells_per_ul / stage.seeding_density.canonical
    if ratio <= 1:
        raise PlanError(
            f"{number(1000 * present.cells_per_ul)} cells/mL are not denser than the {stage.seeding_density} of stage "
            f"{stage.id}",
            where=where,
            remedy="wait until they are" if action == "transfer" else "exchange or top up instead",
        )
    return ratio
