"""Whether the sources on the deck still hold what the rest of an interrupted run draws from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nkloop.errors import LabwareError, PlanError, Problem
from nkloop.runs.possible import fed_from, options_for, reached_wells
from nkloop.runs.unmixed import Spot
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.models import Step, Worklist

_SLACK_UL = 0.01
_NAMED = 8
"""Options for wells, each of which may be a range, named in a remedy."""


def require_enough(
    run_id: str, steps: Sequence[Step], held: Mapping[Spot, WellContents], worklist: Worklist, catalogue: LabwareLookup
) -> None:
    """Refuse steps that draw a source below its dead volume, as may be when liquid was lost with a tip.

    Args:
        run_id: the run they continue.
        steps: what is left to be done.
        held: what every well holds now.
        worklist: worklist of the run.
        catalogue: labware types by load name.

    Raises:
        PlanError: each source with what it holds, what is missing, and the wells that would have to be left out.
    """
    short = {spot: ul for spot, ul in _missing(steps, held, worklist, catalogue).items() if ul > _SLACK_UL}
    if short:
        raise PlanError.from_problems(
            tuple(_problem(run_id, spot, ul, steps, held, worklist, catalogue) for spot, ul in short.items())
        )


def _missing(
    steps: Sequence[Step], held: Mapping[Spot, WellContents], worklist: Worklist, catalogue: LabwareLookup
) -> dict[Spot, float]:
    """µL that each source lacks at its lowest."""
    volumes = {spot: contents.volume_ul for spot, contents in held.items()}
    missing: dict[Spot, float] = {}
    for step in steps:
        given_back = step.volume_ul if step.action == "mix" else 0.0
        drawn = tuple(reached_wells(step, worklist, catalogue, is_target=False))
        for spot in drawn:
            volumes[spot] = volumes.get(spot, 0.0) - step.volume_ul
            missing[spot] = max(missing.get(spot, 0.0), _dead_ul(spot, worklist, catalogue) - volumes[spot])
        for spot in drawn:
            volumes[spot] += given_back
        for spot in reached_wells(step, worklist, catalogue, is_target=True):
            volumes[spot] = volumes.get(spot, 0.0) + step.volume_ul
    return missing


def _dead_ul(spot: Spot, worklist: Worklist, catalogue: LabwareLookup) -> float:
    try:
        return catalogue[worklist.item(spot[0]).load_name].dead_volume_ul
    except (LabwareError, KeyError):
        return 0.0


def _problem(
    run_id: str,
    spot: Spot,
    missing_ul: float,
    steps: Sequence[Step],
    held: Mapping[Spot, WellContents],
    worklist: Worklist,
    catalogue: LabwareLookup,
) -> Problem:
    name = f"{spot[0]} {spot[1]}"
    volume = held[spot].volume_ul if spot in held else 0.0
    dead = _dead_ul(spot, worklist, catalogue)
    by_transfers = _missing([one for one in steps if one.action == "transfer"], held, worklist, catalogue)
    is_for_a_mix = missing_ul - by_transfers.get(spot, 0.0) > _SLACK_UL  # which leaving out wells does not spare
    reached = () if is_for_a_mix else _last_reached(spot, missing_ul, steps, worklist, catalogue)
    last = tuple(dict.fromkeys(reached))
    wells = (*last, *fed_from(last, steps, worklist, catalogue))
    options = options_for(wells)
    leave = f"leave out what it cannot reach, with {options}, and give that anew from a fresh container; or "
    use = "mixes" if is_for_a_mix else "draws from it"
    return Problem(
        f"{name} holds {volume:g} µL, {missing_ul:g} µL less than the rest {use} beside its dead volume of {dead:g} µL",
        f"run {run_id}",
        f"{leave if 0 < options.count('--well ') <= _NAMED else ''}--decide discard and plan anew",
    )


def _last_reached(
    spot: Spot, missing_ul: float, steps: Sequence[Step], worklist: Worklist, catalogue: LabwareLookup
) -> Iterator[Spot]:
    """Wells that the last draws from a source reach, as many as it takes to make up for what it lacks."""
    spared = 0.0
    for step in reversed(steps):
        if spared >= missing_ul or step.action != "transfer":
            continue
        drawn = tuple(reached_wells(step, worklist, catalogue, is_target=False))
        if spot in drawn:
            spared += step.volume_ul * drawn.count(spot)
            yield from reached_wells(step, worklist, catalogue, is_target=True)
