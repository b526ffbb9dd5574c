"""What wells may hold after a run whose outcome is not known in every step: both possibilities, by the ledger.

A robot works its steps in their order, so of several steps of unknown outcome some first ones happened and the others
did not; the first that did not happen to its end may have drawn its liquid without giving it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from nkloop.errors import LabwareError
from nkloop.frozen import FrozenModel
from nkloop.records.models import JournalEvent, StepRuling
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, Ledger, WellContents
from nkloop.worklists.models import Step, Worklist

Spot = tuple[str, str]
"""Nickname and well."""
_SAME_UL = 1e-6
_SAME_SHARE = 1e-9


class Fate(NamedTuple):
    """What became of one step."""

    step: Step
    what: Literal["done", "not", "partly", "unknown"]
    """`partly`: its liquid was drawn and only some of it given."""
    given_ul: float = 0.0
    """Of each channel; for `unknown` what is certain at least."""
    is_drawn: bool = False
    """For `unknown`: the liquid certainly left its source."""


class PossibleContents(FrozenModel):
    """One possibility of a well."""

    when: str
    """What must have happened for it."""
    volume_ul: float
    per_ul: dict[str, float]
    """Component to concentration in canonical units."""


class PossibleWell(FrozenModel):
    """A well of which nobody knows what it holds."""

    labware: str
    well: str
    barcode: str | None
    contents: tuple[PossibleContents, ...]

    @property
    def volumes_ul(self) -> tuple[float, float]:
        """Smallest and largest volume it may hold."""
        volumes = [one.volume_ul for one in self.contents]
        return min(volumes), max(volumes)


def fates_of(
    worklist: Worklist, events: Iterable[JournalEvent], rulings: Iterable[StepRuling] = ()
) -> tuple[Fate, ...]:
    """What the journal, and then people, say of every step of a worklist, in the worklist's order."""
    last = {event.number: event for event in events}
    said = {ruling.number: ruling.happened for ruling in rulings}
    return tuple(_fate(step, last.get(step.number), said.get(step.number)) for step in worklist.steps)


def _fate(step: Step, event: JournalEvent | None, happened: bool | None) -> Fate:
    if event is None or event.event == "intended":
        return Fate(step, "not")
    if event.event == "done":
        return Fate(step, "done", step.volume_ul)
    if event.event == "failed":
        if event.moved_ul:
            return Fate(step, "partly", min(event.moved_ul), is_drawn=True)
        return Fate(step, "not")
    if happened is not None:
        return Fate(step, "done", step.volume_ul) if happened else _not_happened(step, event)
    given = min(event.moved_ul, default=0.0)  # channels of a device driven step by step may differ
    return Fate(step, "unknown", given, is_drawn=bool(event.moved_ul))


def _not_happened(step: Step, event: JournalEvent) -> Fate:
    """A person saw that nothing arrived; what the device certainly drew is gone from its source all the same."""
    return Fate(step, "partly", min(event.moved_ul), is_drawn=True) if event.moved_ul else Fate(step, "not")


def replay(
    worklist: Worklist,
    fates: Sequence[Fate],
    catalogue: LabwareLookup,
    deck: BenchDeck | None = None,
    *,
    happened: int = 0,
    is_drawn: bool = False,
) -> Ledger:
    """The ledger of one possibility: the first `happened` unknown steps happened, the others did not.

    Args:
        worklist: the worklist of the run.
        fates: what became of its steps.
        catalogue: labware types by load name.
        deck: the bench's deck.
        happened: how many of the unknown steps happened.
        is_drawn: whether the first unknown step that did not happen drew its liquid.
    """
    ledger = Ledger.of(worklist, catalogue, deck)
    seen = 0
    for fate in fates:
        if fate.what == "done":
            ledger.apply(fate.step)
        elif fate.what == "partly":
            _draw(ledger, fate)
        elif fate.what == "unknown":
            seen += 1
            if seen <= happened:
                ledger.apply(fate.step)
            elif seen == happened + 1 and (is_drawn or fate.is_drawn):
                _draw(ledger, fate)
    ledger.drop_all()
    return ledger


def reached_wells(step: Step, worklist: Worklist, catalogue: LabwareLookup, *, is_target: bool) -> Iterator[Spot]:
    """Wells that a step gives into, or draws from; none for a step that moves no liquid there."""
    nickname, well = (step.to_labware, step.to_well) if is_target else (step.labware, step.well)
    if step.action not in {"transfer", "mix"} or (is_target and step.action == "mix"):
        return
    try:
        names = catalogue[worklist.item(nickname).load_name].reached(well, step.channels)
    except (LabwareError, KeyError):
        names = (well,)
    for name in names:
        yield nickname, name


def _draw(ledger: Ledger, fate: Fate) -> None:
    """Take the liquid out of the source; what was not given stays in the tip and is thrown away with it."""
    step = fate.step
    if step.action != "transfer":
        return
    if step.tip:
        ledger.pick_up(step.channels, step.tip, step.mount)
    ledger.aspirate(step.channels, step.labware, step.well, step.volume_ul, step.mount)
    if fate.given_ul > 0:
        ledger.dispense(step.channels, step.to_labware, step.to_well, fate.given_ul, step.mount)


def possible_wells(
    worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck | None = None
) -> tuple[PossibleWell, ...]:
    """Wells that hold different things depending on what happened, with every possibility."""
    barcodes = {item.nickname: item.barcode for item in worklist.deck}
    gathered: dict[tuple[str, str], list[tuple[str, WellContents]]] = {}
    told = [(when, _held(ledger)) for when, ledger in _possibilities(worklist, fates, catalogue, deck)]
    empty = WellContents(0.0, {})
    spots = dict.fromkeys(spot for _, held in told for spot in held)
    for spot in spots:
        for when, held in told:
            found = held.get(spot, empty)
            known = gathered.setdefault(spot, [])
            if not any(_alike(found, other) for _, other in known):
                known.append((when, found))
    return tuple(
        PossibleWell(
            labware=nickname,
            well=well,
            barcode=barcodes.get(nickname),
            contents=tuple(
                PossibleContents(when=when, volume_ul=round(held.volume_ul, 6), per_ul=held.per_ul)
                for when, held in known
            ),
        )
        for (nickname, well), known in gathered.items()
        if len(known) > 1
    )


def _possibilities(
    worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck | None
) -> Iterator[tuple[str, Ledger]]:
    # a step that drew and did not give leaves its source as if it had happened and its target as if it had not, so
    # that it adds no possibility of a single well
    unknown = [fate for fate in fates if fate.what == "unknown"]
    yield _when(unknown, 0), replay(worklist, fates, catalogue, deck)
    for count, fate in enumerate(unknown, start=1):
        if fate.step.action in {"transfer", "mix"}:
            yield _when(unknown, count), replay(worklist, fates, catalogue, deck, happened=count)


def _when(unknown: Sequence[Fate], count: int) -> str:
    if not unknown:
        return "known"
    if count == 0:
        return "no unknown step happened" if len(unknown) > 1 else f"step {unknown[0].step.number} did not happen"
    last = unknown[count - 1].step.number
    return f"step {last} happened" if count == len(unknown) else f"step {last} was the last that happened"


def _held(ledger: Ledger) -> Mapping[tuple[str, str], WellContents]:
    return {(nickname, well): contents for nickname, well, contents in ledger.wells()}


def _alike(one: WellContents, other: WellContents) -> bool:
    if abs(one.volume_ul - other.volume_ul) > _SAME_UL:
        return False
    names = one.amounts.keys() | other.amounts.keys()
    pairs = ((one.amounts.get(name, 0.0), other.amounts.get(name, 0.0)) for name in names)
    return all(abs(a - b) <= _SAME_SHARE * max(abs(a), abs(b), 1e-12) for a, b in pairs)


def sentence(step: Step) -> str:
    """A step in the words of a person at the deck."""
    if step.action == "transfer":
        told = f"{step.volume_ul:g} µL from {step.labware} {step.well} to {step.to_labware} {step.to_well}"
        return told + (f", {step.channels} channels" if step.channels > 1 else "")
    if step.action == "mix":
        return f"mix {step.labware} {step.well} with {step.volume_ul:g} µL"
    if step.operator is not None:
        return step.operator.instruction
    return f"{step.action} {step.labware} {step.seconds:g} s".replace("  ", " ")
