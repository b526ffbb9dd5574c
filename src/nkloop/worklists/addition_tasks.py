"""What people do when something is added to cultures: what comes before it, the thaw, the check, and what follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nkloop.inventory.models import Lot
from nkloop.quantities import Amount
from nkloop.recipes.models import ProcessStep, Stage
from nkloop.worklists.bag_tasks import CARRY_MINUTES
from nkloop.worklists.builder import Spot
from nkloop.worklists.dosing_event import CULTURE
from nkloop.worklists.models import OperatorTask
from nkloop.worklists.operator_tasks import ICE_C, THAW_MINUTES

CHECK_MINUTES, READY_MINUTES = 2.0, 1.0
"""Comparing lot and volumes by two people; seeing that what comes before was done. Estimates."""


def steps_around(stage: Stage, step: ProcessStep) -> tuple[tuple[ProcessStep, ...], tuple[ProcessStep, ...]]:
    """Process steps of the same day before and after a step, in their order."""
    same_day = [one for one in stage.process if one.day == step.day]
    at = same_day.index(step)
    return tuple(same_day[:at]), tuple(same_day[at + 1 :])


def around_notes(stage: Stage, step: ProcessStep) -> Iterator[str]:
    """One sentence for each process step of the day before and after a step."""
    for word, steps in zip(("Before", "Afterwards"), steps_around(stage, step), strict=True):
        for one in steps:
            yield f"{word}: {_told(one)}"


def ready_task(stage: Stage, step: ProcessStep) -> OperatorTask | None:
    """What must be done before anything leaves the freezer; None when the day begins with the step."""
    before, _ = steps_around(stage, step)
    if not before:
        return None
    told = " ".join(f"Done: {_told(one)}" for one in before)
    text = f"Before {step.component} leaves the freezer, see that the cultures are ready. {told} If not: stop here."
    return OperatorTask(kind="confirm", instruction=text, minutes=READY_MINUTES)


def thaw_task(lot: Lot, spots: Sequence[Spot], slot: str, limit_minutes: float) -> OperatorTask | None:
    """The thaw of a frozen lot, as late as the run allows; None for a lot that is not frozen.

    Args:
        lot: that is added.
        spots: where it stands on the deck.
        slot: of its labware.
        limit_minutes: longest time from here to the last culture.
    """
    if not lot.is_frozen:
        return None
    wells = tuple(well for _, well in spots)
    text = (
        f"Take {lot.component} (lot {lot.id}) out of {lot.storage} now and note the time: it must be in the last "
        f"culture within {limit_minutes:g} min. Thaw it on ice, {THAW_MINUTES:g} min; mix gently, spin down, bring it "
        f"to slot {slot}, {f'position {wells[0]}' if len(wells) == 1 else 'as the loading list says'}. "
        "It is not frozen again."
    )
    labware = tuple(dict.fromkeys(one for one, _ in spots))
    return OperatorTask(
        kind="thaw", instruction=text, labware=labware, wells=wells, minutes=THAW_MINUTES, temperature_c=ICE_C
    )


def check_task(
    step: ProcessStep,
    lot: Lot,
    given: Sequence[tuple[str, float]],
    instead: Sequence[tuple[str, float]],
    *,
    is_diluted: bool,
    carrier: str,
    plate: str,
) -> OperatorTask:
    """The check of lot and volumes before cells come to the deck.

    Args:
        step: says whether a second person checks.
        lot: that is added.
        given: well or tube and volume in µL of everything that gets it.
        instead: the same for controls that get its carrier.
        is_diluted: whether a dilution of the lot is given.
        carrier: what the controls get.
        plate: barcode of the culture plate; empty for closed vessels.
    """
    what = f"the last dilution of {lot.component}" if is_diluted else lot.component
    who = "A second person checks" if step.second_person else "Check"
    text = f"{who} lot {lot.id} ({lot.concentration}) and the volumes of {what}: {_volumes(given)}."
    if instead:
        text += f" {carrier} alone, without {lot.component}, for {_volumes(instead)}."
    if plate:
        text += f" Then take culture plate {plate} out of the incubator and set it on the deck."
    return OperatorTask(kind="confirm", instruction=text, labware=(CULTURE,) if plate else (), minutes=CHECK_MINUTES)


def closing_task(stage: Stage, step: ProcessStep, plate: str) -> OperatorTask | None:
    """What follows on the same day; for a plate also that it leaves the deck. None when there is nothing to say."""
    _, after = steps_around(stage, step)
    told = [f"Take culture plate {plate} off the deck and close it."] if plate else []
    if after:
        told += [f"Next: {_told(one)}" for one in after]
    elif plate:
        told.append("Put it back into the incubator and note the time.")
    return OperatorTask(kind="confirm", instruction=" ".join(told), minutes=CARRY_MINUTES) if told else None


def _volumes(vessels: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {volume:g} µL" for name, volume in vessels)


def _told(step: ProcessStep) -> str:
    told = [
        *([str(step.duration)] if step.duration is not None else []),
        *([f"{step.temperature:g} °C"] if step.temperature is not None else []),
        *([f"{step.force_g:g} g"] if step.force_g is not None else []),
        *([f"{step.component} {step.amount}"] if step.kind == "coat" and isinstance(step.amount, Amount) else []),
    ]
    how = f" ({', '.join(told)})" if told else ""
    return f"{step.title.lower()}{how}: {step.instruction[:1].lower()}{step.instruction[1:]}"
