"""First independent check: the worklist followed through our own contents ledger."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from statistics import median

from nkloop.errors import LabwareError, PlanError, Problem
from nkloop.quantities.display import number
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cascades import Miss, as_consequence, grouped_misses, some, with_repeats
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.deck_layout import place
from nkloop.worklists.lot_rules import lot_problems
from nkloop.worklists.models import CheckResult, Target, Worklist
from nkloop.worklists.rules import refuses
from nkloop.worklists.vessel_rules import vessel_problems

_UNEVEN = 0.02
"""Share of the median by which the volume of a well may differ."""
_END_UL, _END_SHARE = 1.0, 0.01
_TRACE = 1e-6
"""Share of the lowest target of a component below which a well counts as free of it."""


def check_ledger(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None = None) -> CheckResult:
    """Follow every step and compare the end contents with the worklist's targets.

    Args:
        worklist: what is checked.
        catalogue: labware types by load name.
        deck: the bench's pipettes, modules and trash; without it only the worklist itself is checked.
    """
    started = time.perf_counter()
    problems = [*deck_problems(worklist, deck), *number_problems(worklist), *lot_problems(worklist, deck)]
    ledger = follow(worklist, catalogue, deck)
    steps = with_repeats(ledger.violations, ledger.repeats)
    misses = list(target_misses(worklist, ledger))
    problems += steps
    problems += vessel_problems(worklist, ledger.volumes())
    unlike = [*unexpected_problems(worklist, ledger), *wrong_ends(worklist, ledger), *uneven_plates(worklist, ledger)]
    if any(refuses(problem.rule) for problem in steps):
        problems += as_consequence([*(miss.problem for miss in misses), *unlike], "the violations above")
    else:
        problems += [*grouped_misses(misses), *unlike]
    return CheckResult.of("ledger", time.perf_counter() - started, tuple(problems))


def refuse_by_ledger(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None = None) -> None:
    """Refuse a finished plan that breaks a rule of the ledger.

    Raises:
        PlanError: with the first rule it breaks.
    """
    result = check_ledger(worklist, catalogue, deck)
    if not result.passed:
        first = result.problems[0]
        raise PlanError(
            f"the plan breaks a rule: {first['message']}",
            where=f"{worklist.name}, {first['where']}",
            remedy=first["remedy"],
        )


def follow(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None = None) -> Ledger:
    """Return the ledger after the last step, violations included."""
    ledger = Ledger.of(worklist, catalogue, deck)
    for step in worklist.steps:
        ledger.apply(step)
    ledger.drop_all()
    return ledger


def number_problems(worklist: Worklist) -> Iterator[Problem]:
    """Steps that are not numbered 1, 2, 3, ...; a robot command is traced to its step by this number."""
    for expected, step in enumerate(worklist.steps, start=1):
        if step.number != expected:
            yield Problem(
                f"step {step.number} stands at place {expected}",
                f"step {step.number}",
                "number steps from 1",
                rules.STEP_NUMBERS,
            )
            return


def deck_problems(worklist: Worklist, deck: BenchDeck | None) -> Iterator[Problem]:
    """Slots taken twice, labware on the trash or on a module that is not there."""
    for slot, count in Counter(place(item.slot) for item in worklist.deck).items():
        if count > 1:
            names = dict.fromkeys(item.slot for item in worklist.deck if place(item.slot) == slot)
            where = " and ".join(names) + (", which are one place" if len(names) > 1 else "")
            told = f"{count} labware stand in slot {where}"
            yield Problem(told, f"slot {next(iter(names))}", "give each its own slot", rules.SLOT_TAKEN)
    if deck is None:
        return
    if worklist.trash_slot and worklist.trash_slot != deck.trash_slot:
        told = f"the worklist drops tips into {worklist.trash_slot}, the trash of the bench stands in {deck.trash_slot}"
        yield Problem(told, f"slot {worklist.trash_slot}", "plan for this bench", rules.SLOT_TAKEN)
    module_slots = {place(module.slot): module for module in deck.modules}
    for item in worklist.deck:
        where = f"{item.nickname} in {item.slot}"
        if place(item.slot) == place(deck.trash_slot):
            yield Problem(f"slot {item.slot} holds the trash", where, "use a free slot", rules.SLOT_TAKEN)
        module = module_slots.get(place(item.slot))
        if item.module is not None and (module is None or module.load_name != item.module):
            there = ", ".join(f"{m.load_name} in {m.slot}" for m in deck.modules) or "none"
            remedy = f"modules of the bench: {there}"
            yield Problem(f"no module {item.module} in slot {item.slot}", where, remedy, rules.MODULE_MISSING)
        if item.module is None and module is not None:
            told = f"slot {item.slot} holds module {module.load_name}"
            yield Problem(told, where, "name the module or move it", rules.MODULE_MISSING)


def target_misses(worklist: Worklist, ledger: Ledger) -> Iterator[Miss]:
    """Wells that do not hold what they shall hold at the end."""
    held: dict[tuple[str, str], dict[str, float]] = {}
    for target in worklist.targets:
        spot = (target.labware, target.well)
        if spot not in held:
            held[spot] = _per_ul(ledger, *spot)
        reached = held[spot].get(target.component, 0.0)
        allowed = target.tolerance_percent / 100 * target.per_ul
        if abs(reached - target.per_ul) > allowed + 1e-12:
            yield _miss(target, reached)


def _per_ul(ledger: Ledger, labware: str, well: str) -> dict[str, float]:
    try:
        return ledger.well(labware, well).per_ul
    except LabwareError:  # a target on labware that is not there holds nothing
        return {}


def _miss(target: Target, reached: float) -> Miss:
    off = 100 * (reached / target.per_ul - 1) if target.per_ul else math.inf
    said = f"{off:+.1f} %" if target.per_ul else "should be absent"
    where = f"{target.labware} {target.well}"
    problem = Problem(
        f"{target.component} is {number(reached, 4)} per µL, target {number(target.per_ul, 4)} ± "
        f"{target.tolerance_percent:g} % ({said})",
        where,
        "correct the transfers into this well",
        rules.OFF_TARGET,
    )
    return Miss(where, target.component, off, problem)


def unexpected_problems(worklist: Worklist, ledger: Ledger) -> Iterator[Problem]:
    """Wells with targets that hold what is a target of other wells only."""
    lowest: dict[str, float] = {}
    own: dict[tuple[str, str], set[str]] = {}
    for target in worklist.targets:
        own.setdefault((target.labware, target.well), set()).add(target.component)
        if target.per_ul:
            lowest[target.component] = min(target.per_ul, lowest.get(target.component, math.inf))
    for (labware, well), components in own.items():
        for name, per_ul in _per_ul(ledger, labware, well).items():
            if name in lowest and name not in components and per_ul > _TRACE * lowest[name]:
                told = f"{name} is {number(per_ul, 4)} per µL, only other wells shall hold it"
                yield Problem(told, f"{labware} {well}", "find the transfer that brings it", rules.UNEXPECTED)


def uneven_plates(worklist: Worklist, ledger: Ledger) -> Iterator[Problem]:
    """Plates of an assay whose wells of the same kind end with different volumes.

    Where end volumes are planned, wells without one are left out: what a person has discarded is not compared.
    """
    if worklist.procedure != "cytotoxicity_assay":
        return
    read = {item.nickname for item in worklist.deck if item.barcode is not None}
    planned = {(end.labware, end.well) for end in worklist.ends}
    kinds: dict[tuple[str, int], list[tuple[str, float]]] = {}
    for nickname, well, marks, volume in ledger.marked():
        if nickname in read and (not planned or (nickname, well) in planned):
            kinds.setdefault((nickname, marks), []).append((well, volume))
    for (nickname, _), wells in kinds.items():
        usual = median(volume for _, volume in wells)
        odd = [(well, volume) for well, volume in wells if abs(volume - usual) > _UNEVEN * usual]
        if odd:
            told = f"ends with {odd[0][1]:g} µL, wells of its kind with {usual:g} µL"
            if len(odd) > 1:
                told += f"; so do {some([well for well, _ in odd[1:]])} differ"
            yield Problem(told, f"{nickname} {odd[0][0]}", "correct the transfer into it", rules.UNEVEN_PLATE)


def wrong_ends(worklist: Worklist, ledger: Ledger) -> list[Problem]:
    """Wells that end with another volume than planned, the first with how many others."""
    off = []
    for (labware, well), (volume, planned) in _off_ends(worklist, ledger).items():
        told = f"ends with {volume:g} µL, planned are {planned:g} µL"
        off.append(Problem(told, f"{labware} {well}", "correct the transfer into it", rules.END_VOLUME))
    return as_consequence(off, "the same cause, most likely")


def wrong_wells(worklist: Worklist, ledger: Ledger) -> tuple[tuple[str, str], ...]:
    """Nickname and name of all wells that end with another volume than planned."""
    return tuple(_off_ends(worklist, ledger))


def _off_ends(worklist: Worklist, ledger: Ledger) -> dict[tuple[str, str], tuple[float, float]]:
    """µL that these wells end with, and that were planned."""
    held = {(end.labware, end.well): (ledger.volume_ul(end.labware, end.well), end.volume_ul) for end in worklist.ends}
    return {
        spot: (volume, planned)
        for spot, (volume, planned) in held.items()
        if abs(volume - planned) > max(_END_UL, _END_SHARE * planned)
    }
