"""Rules of time: how long cells stay on the deck or settle, and how far apart wells begin their contact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.cells_out import times_out
from nkloop.worklists.models import Step, Worklist
from nkloop.worklists.settling_rules import settling_problems
from nkloop.worklists.vessel_times import vessel_times_out


def time_problems(worklist: Worklist, minutes: Mapping[int, float]) -> Iterator[Problem]:
    """What takes too long, or not long enough.

    Args:
        worklist: its limits say how long is too long.
        minutes: estimated time of each step by its number, as `cells_out.busy_minutes` gives it.
    """
    yield from _cells_out(worklist, minutes)
    yield from _stagger(worklist, minutes)
    yield from settling_problems(worklist, minutes)


def _cells_out(worklist: Worklist, minutes: Mapping[int, float]) -> Iterator[Problem]:
    limit = worklist.limits.cells_out_minutes
    late = next(((number, since) for number, since in times_out(worklist, minutes) if since > limit), None)
    if late is not None:
        told = f"cells are on the deck for {late[1]:.0f} min by then, of robot time alone; at most {limit:g} min"
        yield Problem(told, f"step {late[0]}", "split the run or use eight channels", rules.CELLS_OUT)
    for name, number, since in vessel_times_out(worklist, minutes):
        if since > limit:
            told = f"the cells of {name} are outside the incubator for {since:.0f} min by then; at most {limit:g} min"
            remedy = "handle fewer vessels at a time, or put it back in between"
            yield Problem(told, f"step {number}", remedy, rules.CELLS_OUT)


def _stagger(worklist: Worklist, minutes: Mapping[int, float]) -> Iterator[Problem]:
    """The first incubation of the assay plate is its contact time; targets are the last liquid before it."""
    steps = worklist.steps
    contact = sum(s.operator.minutes for s in steps if s.operator is not None and s.operator.labware == ("assay",))
    given = _target_steps(worklist)
    if len(given) < 2 or contact <= 0:
        return
    between = sum(minutes.get(s.number, 0.0) for s in steps if given[0].number < s.number <= given[-1].number)
    bound = worklist.limits.stagger_percent / 100 * contact
    if between > bound:
        told = (
            f"targets reach the last well {between:.1f} min after the first, at most {bound:.1f} min "
            f"({worklist.limits.stagger_percent:g} % of {contact:g} min)"
        )
        fit = _in_time(given, minutes, bound)
        remedy = f"use eight channels, or at most {fit} wells with targets per plate"
        yield Problem(told, f"step {given[-1].number}", remedy, rules.STAGGER)


def _in_time(given: list[Step], minutes: Mapping[int, float], bound: float) -> int:
    """Wells that get their targets within the bound, at the pace of these steps."""
    passed, wells = 0.0, given[0].channels
    for step in given[1:]:
        passed += minutes.get(step.number, 0.0)
        if passed > bound:
            break
        wells += step.channels
    return wells


def _target_steps(worklist: Worklist) -> list[Step]:
    """Transfers onto the assay plate out of wells that hold target cells only."""
    targets = {
        (f.labware, f.well) for f in worklist.fillings if any(name.startswith("target:") for name in f.liquid.per_ul)
    }
    given = []
    for step in worklist.steps:
        if step.action != "transfer" or ((step.labware, step.well) not in targets and not _same_column(step, targets)):
            continue
        if step.to_labware == "assay":
            given.append(step)
        else:
            targets.add((step.to_labware, step.to_well))
    return given


def _same_column(step: Step, wells: set[tuple[str, str]]) -> bool:
    """Whether several channels reach a well of the set."""
    return step.channels > 1 and any(labware == step.labware and well[1:] == step.well[1:] for labware, well in wells)
