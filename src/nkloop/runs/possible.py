"""What wells may hold after a run whose outcome is not known in every step: every possibility, by the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from nkloop.errors import LabwareError
from nkloop.frozen import FrozenModel
from nkloop.labware.well_ranges import well_ranges
from nkloop.quantities.display import volume_told
from nkloop.runs.unmixed import Spot, unmixed_wells
from nkloop.runs.ways import LIQUID, Fate, How, ways_of
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, Ledger, WellContents
from nkloop.worklists.models import READER_ACTIONS, Step, Worklist

_SAME_UL = 1e-6
_SAME_SHARE = 1e-9


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
    doubt: str = ""
    """Why its concentration is not known whatever its volume is; empty when it follows from the volumes."""

    @property
    def volumes_ul(self) -> tuple[float, float]:
        """Smallest and largest volume it may hold."""
        volumes = [one.volume_ul for one in self.contents]
        return min(volumes), max(volumes)


def replay(
    worklist: Worklist,
    fates: Sequence[Fate],
    catalogue: LabwareLookup,
    deck: BenchDeck | None = None,
    *,
    how: Mapping[int, How] = MappingProxyType({}),
) -> Ledger:
    """The ledger of one way in which the unknown steps may have gone.

    Args:
        worklist: the worklist of the run.
        fates: what became of its steps.
        catalogue: labware types by load name.
        deck: the bench's deck.
        how: what became of unknown steps, by number; of others only what is certain happened.
    """
    ledger = _followed(worklist, fates, catalogue, deck, how)
    ledger.drop_all()
    return ledger


def _followed(
    worklist: Worklist,
    fates: Sequence[Fate],
    catalogue: LabwareLookup,
    deck: BenchDeck | None,
    how: Mapping[int, How] = MappingProxyType({}),
) -> Ledger:
    """The same with the tips still held."""
    ledger = Ledger.of(worklist, catalogue, deck)
    for fate in fates:
        known: How = "drawn" if fate.is_drawn else "not"
        known = "done" if fate.what == "done" else "cut_after" if fate.is_cut else known
        known = "cut_before" if fate.what == "partly" and fate.is_cut_first else known
        _follow(ledger, fate, how.get(fate.step.number, known) if fate.what == "unknown" else known)
    return ledger


def reached_wells(step: Step, worklist: Worklist, catalogue: LabwareLookup, *, is_target: bool) -> Iterator[Spot]:
    """Wells that a step gives into, or draws from; none for a step that moves no liquid there."""
    nickname, well = (step.to_labware, step.to_well) if is_target else (step.labware, step.well)
    if step.action not in LIQUID or (is_target and step.action == "mix"):
        return
    try:
        names = catalogue[worklist.item(nickname).load_name].reached(well, step.channels)
    except (LabwareError, KeyError):
        names = (well,)
    for name in names:
        yield nickname, name


def fed_from(
    spots: Collection[Spot], steps: Iterable[Step], worklist: Worklist, catalogue: LabwareLookup
) -> tuple[Spot, ...]:
    """Wells that steps give something to out of these wells, also by way of others; without the wells themselves."""
    gone, fed = set(spots), dict[Spot, None]()
    for step in steps:
        if gone.isdisjoint(reached_wells(step, worklist, catalogue, is_target=False)):
            continue
        reached = [spot for spot in reached_wells(step, worklist, catalogue, is_target=True) if spot not in gone]
        fed.update(dict.fromkeys(reached))
        gone.update(reached)
    return tuple(fed)


def options_for(spots: Iterable[Spot]) -> str:
    """Wells as they are typed: `--well plate:B3 --well plate:A5-H5`."""
    by_labware: dict[str, list[str]] = {}
    for nickname, well in spots:
        by_labware.setdefault(nickname, []).append(well)
    return " ".join(f"--well {name}:{told}" for name, wells in by_labware.items() for told in well_ranges(wells))


def _follow(ledger: Ledger, fate: Fate, how: How) -> None:
    """Follow a step as far as it went; what was not given stays in the tip and is thrown away with it."""
    step = fate.step
    if how == "done":
        ledger.apply(step)
    if how == "done" or step.action not in LIQUID:
        return
    if step.tip:  # steps after one that was passed over keep its tip
        ledger.pick_up(step.channels, step.tip, step.mount)
    if how == "not":
        return
    volume = step.mix_volume_ul if how == "cut_before" else step.volume_ul
    ledger.aspirate(step.channels, step.labware, step.well, volume, step.mount)
    given = step.volume_ul if how == "cut_after" else fate.given_ul
    if fate.each_ul and how == "drawn" and step.action == "transfer":
        ledger.dispense_each(step.channels, step.to_labware, step.to_well, fate.each_ul, step.mount)
        return
    if given > 0 and step.action == "transfer" and how != "cut_before":
        ledger.dispense(step.channels, step.to_labware, step.to_well, given, step.mount)
    if how == "cut_after":
        ledger.aspirate(step.channels, step.to_labware, step.to_well, step.mix_volume_ul, step.mount)


def doubtful_wells(worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup) -> dict[Spot, str]:
    """Wells whose concentration nobody knows, because a well was drawn from that was not mixed, with the reason."""

    def reaches(step: Step, is_target: bool) -> Iterator[Spot]:
        return reached_wells(step, worklist, catalogue, is_target=is_target)

    return unmixed_wells(fates, reaches)


def possible_wells(
    worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck | None = None
) -> tuple[PossibleWell, ...]:
    """Wells that hold different things depending on what happened, with every possibility.

    Those whose concentration is not known at all are among them, with the contents they would have if all was mixed.
    """
    doubts = doubtful_wells(worklist, fates, catalogue)
    barcodes = {item.nickname: item.barcode for item in worklist.deck}
    gathered: dict[tuple[str, str], list[tuple[str, WellContents]]] = {}
    told = tuple(_told(worklist, fates, catalogue, deck))
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
            doubt=doubts.get((nickname, well), ""),
        )
        for (nickname, well), known in gathered.items()
        if len(known) > 1 or (nickname, well) in doubts
    )


def _told(
    worklist: Worklist, fates: Sequence[Fate], catalogue: LabwareLookup, deck: BenchDeck | None
) -> Iterator[tuple[str, Mapping[Spot, WellContents]]]:
    """What all wells hold in each way.

    Where the unknown steps went in their order, one ledger is carried on from way to way: nothing is done after them.
    """

    def reaches(step: Step, is_target: bool) -> Iterator[Spot]:
        return reached_wells(step, worklist, catalogue, is_target=is_target)

    unknown = [fate for fate in fates if fate.what == "unknown"]
    in_order = not any(fate.is_passed for fate in unknown)
    known = [fate for fate in fates if fate.what != "unknown"]
    ledger = _followed(worklist, known, catalogue, deck) if in_order else None
    n_done = 0
    for way in ways_of(fates, reaches=reaches):
        done = sum(how == "done" for how in way.how.values())
        cut = next((how for how in way.how.values() if how not in {"done", "not"}), None)
        if ledger is None or cut is not None:
            yield way.when, _held(replay(worklist, fates, catalogue, deck, how=way.how))
            continue
        for fate in unknown[n_done:done]:
            ledger.apply(fate.step)
        n_done = max(n_done, done)
        yield way.when, _held(ledger)


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
        told = f"{volume_told(step.volume_ul)} from {step.labware} {step.well} to {step.to_labware} {step.to_well}"
        return told + (f", {step.channels} channels" if step.channels > 1 else "")
    if step.action == "mix":
        return f"mix {step.labware} {step.well} with {volume_told(step.volume_ul)}"
    if step.operator is not None:
        return step.operator.instruction
    if step.action in READER_ACTIONS:
        return step.comment
    return f"{step.action} {step.labware} {step.seconds:g} s".replace("  ", " ")
