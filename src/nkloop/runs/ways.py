"""Every way in which the steps of unknown outcome of a run may have gone.

Two kinds of unknown steps are told apart. Of a device that lost its memory, or that ended in the middle of a step, it
is certain that it works its steps in their order: some first ones happened, one may have been cut, the others did not.
A step that the device went on behind, because people made it good by hand or took its error for a false alarm, is
**passed over**: it may have happened or not, whatever became of the others.

What a person skips at the device's own screen leaves no trace once the device has lost its memory as well. That is the
one thing the order does not cover; a person who did so says of each step what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Literal, NamedTuple

from nkloop.records import Records
from nkloop.records.models import HELD_BACK, JournalEvent, RunRecord, StepRuling
from nkloop.runs.outcomes import MIXING_FIRST, NOT_GIVEN, NOT_MIXED, PASSED
from nkloop.worklists.models import Step, Worklist

How = Literal["done", "not", "drawn", "cut_before", "cut_after"]
"""`drawn`: the liquid left its source and was lost with the tip; `cut_before`, `cut_after`: the same with the liquid of
the mix before or after a transfer, which of `cut_after` was given already."""
MOST_WAYS = 400
"""More ways than this are not followed one by one; each is a pass through the worklist."""
LIQUID = frozenset({"transfer", "mix"})
Reaches = Callable[[Step, bool], Iterable[tuple[str, str]]]
"""Nickname and name of the wells a step gives into (True), or draws from (False)."""


def concerns_liquid(step: Step) -> bool:
    """Whether liquid is somewhere else after a step: the device moves or mixes it, or people move it meanwhile."""
    return step.action in LIQUID or bool(step.moves)


class Fate(NamedTuple):
    """What became of one step."""

    step: Step
    what: Literal["done", "not", "partly", "unknown"]
    """`partly`: its liquid was drawn and only some of it given, or all of it and not mixed."""
    given_ul: float = 0.0
    """Of each channel, and of what people move in all of its moves, in their order; for `unknown` what is certain at
    least."""
    each_ul: tuple[float, ...] = ()
    """For `unknown`: what each channel certainly gave, where they differ."""
    is_drawn: bool = False
    """For `unknown`: the liquid certainly left its source."""
    is_passed: bool = False
    """The device went on behind it, so that it tells nothing of the others where it is unknown."""
    is_cut: bool = False
    """For `partly`: all of it was given, and the liquid of the mix after it was lost with the tip."""
    is_cut_first: bool = False
    """It gave nothing and was cut in the mix before its draw: for `partly`, the liquid of that mix was lost with the
    tip; for `unknown`, it may have been."""
    fell_short: bool = False
    """For `unknown`: its device never began to give, or, of a mix, never came to its end; it may have drawn."""
    is_begun: bool = False
    """The device may have come to it, and picked its tip up."""
    is_held: bool = False
    """For `unknown`: the device stood at a pause before it that nobody was asked to end."""

    @property
    def gave_nothing(self) -> bool:
        """For `unknown`: whether it certainly gave nothing to another well, and the device came no further."""
        return self.is_cut_first or self.fell_short


class Way(NamedTuple):
    """One way in which all unknown steps together may have gone."""

    when: str
    """What must have happened for it."""
    how: dict[int, How]
    """Step number to what became of it."""


def fates_of(
    worklist: Worklist, events: Iterable[JournalEvent], rulings: Iterable[StepRuling] = ()
) -> tuple[Fate, ...]:
    """What the journal, and then people, say of every step of a worklist, in the worklist's order."""
    last = {event.number: event for event in events}
    said = {ruling.number: ruling for ruling in rulings}
    found: list[Fate] = []
    is_passed = False
    for step in reversed(worklist.steps):
        event = last.get(step.number)
        fate = _fate(step, event, said.get(step.number))
        is_told = event is not None and any(told in event.detail for told in PASSED)
        is_passed = is_passed or is_told
        is_begun = event is not None and _may_be_begun(event)
        found.append(fate._replace(is_begun=is_begun, is_passed=is_passed and fate.what != "done"))
        is_passed = is_passed or fate.what in {"done", "partly"}
    return tuple(reversed(found))


def fates_in(run: RunRecord, worklist: Worklist, records: Records) -> tuple[Fate, ...]:
    """What became of the steps of a run, with what people said of the unknown ones."""
    rulings = run.decision.rulings if run.decision else ()
    return fates_of(worklist, records.journal.events(run.id), rulings)


def _fate(step: Step, event: JournalEvent | None, ruling: StepRuling | None) -> Fate:
    if event is None or event.event == "intended":
        return Fate(step, "not")
    if event.event == "done":
        return Fate(step, "done", step.volume_ul)
    given = min(event.moved_ul, default=0.0)  # channels of a device driven step by step may differ
    if event.event == "failed":
        return Fate(step, "partly", given, is_drawn=True) if event.moved_ul else Fate(step, "not")
    if ruling is None or ruling.happened is None:
        is_cut, is_held = MIXING_FIRST in event.detail, HELD_BACK in event.detail
        each = event.moved_ul if len(set(event.moved_ul)) > 1 else ()
        fate = Fate(step, "unknown", given, each, bool(event.moved_ul), is_cut_first=is_cut, is_held=is_held)
        return fate._replace(fell_short=NOT_GIVEN in event.detail or NOT_MIXED in event.detail)
    if ruling.happened:
        return Fate(step, "done", step.volume_ul)
    if ruling.moved_ul:
        return Fate(step, "partly", ruling.moved_ul)
    if ruling.is_cut_first:
        return Fate(step, "partly", given, is_cut_first=True)
    if ruling.is_given:
        return Fate(step, "partly", step.volume_ul, is_drawn=True, is_cut=ruling.is_drawn)
    # what the device certainly drew is gone from its source, also where a person saw only that nothing arrived
    is_drawn = ruling.is_drawn or bool(event.moved_ul)
    return Fate(step, "partly", given, is_drawn=True) if is_drawn else Fate(step, "not")


def _may_be_begun(event: JournalEvent) -> bool:
    if event.event == "failed":
        return not event.detail.startswith("not started")
    return event.event != "intended" and HELD_BACK not in event.detail


def lacking(fate: Fate, reaches: Reaches) -> tuple[tuple[str, str], ...]:
    """Nickname and name of the wells that lack the liquid of a step of which other channels certainly gave theirs."""
    each = zip(reaches(fate.step, True), fate.each_ul, strict=False)
    return tuple(dict.fromkeys(spot for spot, given in each if given < fate.step.volume_ul))


def mixes_after(step: Step) -> bool:
    """Whether a step mixes the well it has given to, so that it may be cut between giving and the end of its mix."""
    return step.action == "transfer" and bool(step.mix_after)


def mixes_first(step: Step) -> bool:
    """Whether a step mixes its source before its draw, so that it may be cut there."""
    return step.action == "transfer" and bool(step.mix_before)


def ways_of(
    fates: Sequence[Fate], *, with_drawn: bool = False, reaches: Reaches = lambda step, is_target: ()
) -> Iterator[Way]:
    """Every way the unknown steps may have gone; one without any when none is unknown.

    Args:
        fates: what became of each step.
        with_drawn: also ways that differ only in that a transfer drew its liquid and lost it. They leave its source as
            if it had happened and its target as if it had not, so they add nothing to what a single well may hold.
        reaches: tells the wells of a step. Of more than `MOST_WAYS` ways some are left out, but none that gives one of
            these its least or its most.
    """
    passed = [fate for fate in fates if fate.what == "unknown" and fate.is_passed]
    ahead = [fate for fate in fates if fate.what == "unknown" and not fate.is_passed]
    if not passed:
        yield from _in_order(ahead, with_drawn)
        return
    each = [_hows(fate, with_drawn) for fate in passed]
    later = list(_in_order(ahead, with_drawn)) if ahead else [Way("", {})]
    if prod(map(len, each)) * len(later) <= MOST_WAYS:
        chosen: Iterable[tuple[tuple[How, ...], Way]] = product(product(*each), later)
    else:
        chosen = _telling(passed, each, later, reaches)
    for hows, way in chosen:
        told = [_told(fate, how) for fate, how in zip(passed, hows, strict=True)]
        when = ", ".join([*told, *([way.when] if way.when else [])])
        yield Way(when, {fate.step.number: how for fate, how in zip(passed, hows, strict=True)} | way.how)


def n_ways(fates: Sequence[Fate]) -> int:
    """How many ways there are, those that only drew included."""
    unknown = [fate for fate in fates if fate.what == "unknown"]
    ahead = 1 + sum(len(_hows(fate, True)) - 1 for fate in unknown if not fate.is_passed)
    return ahead * prod(len(_hows(fate, True)) for fate in unknown if fate.is_passed)


def _hows(fate: Fate, with_drawn: bool) -> list[How]:
    """What may have become of one step, `done` last; one that gave nothing did not come so far."""
    step, found = fate.step, list[How]()
    if not concerns_liquid(step):
        return ["done"]
    if fate.is_cut_first:
        return ["not", "cut_before", "done"]
    if fate.fell_short:
        return [*(() if fate.is_drawn else ("not",)), "drawn", "done"]
    if not fate.is_drawn:
        found.append("not")
        found += ["cut_before"] if step.mix_before else []
    if fate.is_drawn or with_drawn or step.action == "mix":
        found.append("drawn")
    found += ["cut_after"] if step.mix_after else []
    return [*found, "done"]


def _in_order(unknown: Sequence[Fate], with_drawn: bool) -> Iterator[Way]:
    """The first ones happened, one may have been cut, the others did not happen."""
    hows = [_hows(fate, with_drawn) for fate in unknown]
    furthest = next((place for place, fate in enumerate(unknown) if fate.gave_nothing), len(unknown))
    for count in range(furthest + 1):
        how: dict[int, How] = {fate.step.number: "not" for fate in unknown}
        how |= {fate.step.number: "done" for fate in unknown[:count]}
        told = _last(unknown, count)
        number, ways = (unknown[count].step.number, hows[count][:-1]) if count < len(unknown) else (0, [])
        before = f"{told}, " if count else ""
        # what moves no liquid changes nothing by having happened
        if count == 0 or concerns_liquid(unknown[count - 1].step):
            is_begun = bool(ways) and ways[0] != "not"
            when = f"{before}{_told(unknown[count], ways[0])}" if is_begun else told
            yield Way(when, how | {number: ways[0]} if ways else how)
        for cut in ways[1:]:
            yield Way(f"{before}{_told(unknown[count], cut)}", how | {number: cut})


def _last(unknown: Sequence[Fate], count: int) -> str:
    if not unknown:
        return "known"
    first = unknown[0].step.number
    if count == 0:
        return "no unknown step happened" if len(unknown) > 1 else f"step {first} did not happen"
    last = unknown[count - 1].step.number
    return f"step {last} happened" if count == len(unknown) else f"step {last} was the last that happened"


def _told(fate: Fate, how: How) -> str:
    step = fate.step
    given = (
        "gave its liquid" if fate.given_ul >= step.volume_ul else f"gave {fate.given_ul:g} µL of {step.volume_ul:g} µL"
    )
    if fate.each_ul:
        given = f"gave with {sum(one > 0 for one in fate.each_ul)} of {len(fate.each_ul)} channels"
    words: Mapping[How, str] = {
        "done": "happened",
        "not": "did not happen",
        "drawn": f"{given} and did nothing more"
        if fate.given_ul > 0 or fate.each_ul
        else "drew its liquid and lost it",
        "cut_before": "was cut while it mixed its source",
        "cut_after": "was cut while it mixed its target",
    }
    return f"step {step.number} {words[how]}"


def _telling(
    passed: Sequence[Fate], each: Sequence[Sequence[How]], later: Sequence[Way], reaches: Reaches
) -> Iterator[tuple[tuple[How, ...], Way]]:
    """All, none, one alone and all but one of the steps passed over; and what fills and empties each well most."""
    none, full = tuple(hows[0] for hows in each), tuple(hows[-1] for hows in each)
    chosen = dict.fromkeys((none, full))
    for place, hows in enumerate(each):
        for how in hows:
            chosen[(*none[:place], how, *none[place + 1 :])] = None
            chosen[(*full[:place], how, *full[place + 1 :])] = None
    sources = [set(reaches(fate.step, False)) for fate in passed]
    targets = [set(reaches(fate.step, True)) for fate in passed]
    for spot in set().union(*sources, *targets):
        moved = [
            {how: _gained(fate.step, how, is_source=spot in drawn, is_target=spot in given) for how in hows}
            for fate, hows, drawn, given in zip(passed, each, sources, targets, strict=True)
        ]
        for best in (min, max):
            chosen[tuple(best(gained, key=gained.__getitem__) for gained in moved)] = None
    ends = [later[place] for place in dict.fromkeys((0, len(later) - 1))]
    yield from product(chosen, ends)
    yield from product((none, full), later[1:-1])


def _gained(step: Step, how: How, *, is_source: bool, is_target: bool) -> float:
    """µL that a well gains when a step went so."""
    if how == "not" or step.action not in LIQUID:
        return 0.0
    if step.action == "mix":
        return -step.volume_ul if how == "drawn" and is_source else 0.0
    gained = (-step.mix_volume_ul if how == "cut_before" else -step.volume_ul) if is_source else 0.0
    if is_target and how in {"done", "cut_after"}:
        gained += step.volume_ul - (step.mix_volume_ul if how == "cut_after" else 0.0)
    return gained
