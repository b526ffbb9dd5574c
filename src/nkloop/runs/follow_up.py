"""The worklist that follows an interrupted run: its rest from the contents now, or the rest with a correction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite

from nkloop.errors import PlanError, Problem
from nkloop.runs.enough import require_enough
from nkloop.runs.possible import fed_from, options_for, reached_wells, replay
from nkloop.runs.remembered import remembering
from nkloop.runs.tips_left import with_tips
from nkloop.runs.typed_steps import spans
from nkloop.runs.unmixed import Spot
from nkloop.runs.vessels import emptied, left_of, require_said, vessels_now
from nkloop.runs.ways import LIQUID, MOST_WAYS, Fate, How, Way, mixes_after, n_ways, ways_of
from nkloop.worklists import rules
from nkloop.worklists.arrivals import LEFT, brought_in
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cascades import Miss
from nkloop.worklists.contents import LabwareLookup, Ledger, WellContents
from nkloop.worklists.empty_wells import label_in_use
from nkloop.worklists.ledger_check import target_misses
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Worklist

MOST_UNKNOWN = 12
"""More unknown steps than this are not corrected: each may be the last that happened, and no addition fits all."""
_SAME = 1e-6
_SMALLEST_UL = 1e-3


def continued(
    run_id: str,
    worklist: Worklist,
    fates: Sequence[Fate],
    catalogue: LabwareLookup,
    deck: BenchDeck | None = None,
    *,
    without: Collection[Spot] = (),
    earlier: Sequence[Step] = (),
) -> Worklist:
    """The steps that were not done, starting from what the wells hold now.

    Args:
        run_id: the run that is continued.
        worklist: its worklist.
        fates: what became of each step; none may be unknown.
        catalogue: labware types by load name.
        deck: the bench's deck.
        without: wells that were discarded; what goes into them only is left out.
        earlier: steps of the runs that this one continues, whose tips are gone.

    Raises:
        PlanError: a step is unknown, a discarded well would be drawn from, a source has too little left, or nothing
            is left to do.
    """
    open_steps = [fate.step.number for fate in fates if fate.what == "unknown"]
    if open_steps:
        raise PlanError(
            f"nobody has said whether step {spans(open_steps)} happened",
            where=f"run {run_id}",
            remedy="say it with --happened, --not-happened, --drawn, --cut-in-first-mix, --given or --cut-in-mix, "
            "repair, or discard the wells",
        )
    ledger = replay(worklist, fates, catalogue, deck)
    rest = [step for fate in fates if (step := _still_to_do(fate, deck, worklist)) is not None]
    kept = _spared(run_id, rest, without, worklist, catalogue)
    _require_work(run_id, kept)
    held = _held(ledger)
    require_enough(run_id, kept, held, worklist, catalogue)
    made = _made(run_id, "rest", worklist, fates, kept, held, catalogue, without, earlier)
    return remembering(run_id, made, fates, ledger.rested(), catalogue, deck)


def repaired(
    run_id: str,
    worklist: Worklist,
    fates: Sequence[Fate],
    catalogue: LabwareLookup,
    deck: BenchDeck | None = None,
    *,
    without: Collection[Spot] = (),
    earlier: Sequence[Step] = (),
    starts: Sequence[Worklist] = (),
) -> Worklist:
    """The rest of a run with additions after which every target holds, whatever the unknown steps did.

    For every unknown transfer it tries half of it, nothing, and all of it, and takes the first with which all targets
    are within their tolerance in every possibility.

    Args:
        run_id: the run that is corrected.
        worklist: its worklist.
        fates: what became of each step.
        catalogue: labware types by load name.
        deck: the bench's deck.
        without: wells that were discarded; what goes into them only is left out.
        earlier: steps of the runs that this one continues, whose tips are gone.
        starts: the worklist with each contents it may have started from, where a run before it was corrected; empty
            where they are known.

    Raises:
        PlanError: no addition is right in every possibility; each well is named with what it would hold.
    """
    require_said(run_id, fates)
    unknown = [fate for fate in fates if fate.what == "unknown"]
    starts = starts or (worklist,)
    _require_few(run_id, fates, len(starts))
    _require_targets(run_id, worklist, unknown, catalogue, without)
    ways = tuple(ways_of(fates, with_drawn=True))
    first: tuple[Problem, ...] = ()
    for share in (0.5, 0.0, 1.0):
        steps = [step for fate in fates if (step := _corrected(fate, share, deck, worklist)) is not None]
        kept = _spared(run_id, steps, without, worklist, catalogue)
        ledgers = [_after(start, fates, kept, catalogue, deck, way) for start in starts for way in ways]
        misses = tuple(_misses(worklist, ledgers, without))
        if not misses:
            _require_work(run_id, kept)
            now = [replay(worklist, fates, catalogue, deck, how=way.how) for way in (ways[0], _furthest(unknown))]
            middle = _middle(*map(_held, now))
            made = _made(run_id, "correction and rest", worklist, fates, kept, middle, catalogue, without, earlier)
            return remembering(run_id, made, fates, now[0].rested() & now[1].rested(), catalogue, deck)
        first = first or misses
    raise PlanError.from_problems(first)


def _require_few(run_id: str, fates: Sequence[Fate], n_starts: int) -> None:
    """Refuse where so much is unknown that no addition fits all of it, or that trying every way takes too long."""
    unknown = [fate for fate in fates if fate.what == "unknown"]
    if len(unknown) > MOST_UNKNOWN:
        raise PlanError(
            f"{len(unknown)} steps are unknown, more than {MOST_UNKNOWN} are not corrected together",
            where=f"run {run_id}",
            remedy="measure the wells and say which steps happened, or discard the wells",
        )
    if (n := n_ways(fates) * n_starts) > MOST_WAYS:
        with_before = ", with those of the runs before it," if n_starts > 1 else ""
        raise PlanError(
            f"the unknown steps{with_before} may have gone in {n} ways, at most {MOST_WAYS} are corrected together",
            where=f"run {run_id}",
            remedy="measure the wells and say which of these steps happened, or discard the wells",
        )


def _furthest(unknown: Sequence[Fate]) -> Way:
    """The way in which every unknown step went as far as it can have gone."""

    def how(fate: Fate) -> How:
        return "cut_before" if fate.is_cut_first else "drawn" if fate.fell_short else "done"

    return Way("", {fate.step.number: how(fate) for fate in unknown})


def _still_to_do(fate: Fate, deck: BenchDeck | None, worklist: Worklist) -> Step | None:
    if fate.what == "done":
        return None
    if fate.what == "partly" and fate.step.moves:
        return left_of(fate.step, fate.given_ul)
    step = _reduced(fate.step, fate.step.volume_ul - fate.given_ul, deck, worklist)
    return _mix_of(fate.step) if step is None and mixes_after(fate.step) else step


def _mix_of(step: Step) -> Step:
    """What is left of a transfer whose liquid was given: what follows draws from a mixed well."""
    return step.model_copy(
        update={
            "action": "mix", "labware": step.to_labware, "well": step.to_well, "to_labware": "", "to_well": "",
            "volume_ul": step.mix_volume_ul, "mix_before": step.mix_after, "mix_after": 0, "mix_volume_ul": 0.0,
            "tip": "", "tip_policy": "",
        }
    )  # fmt: skip


def _corrected(fate: Fate, share: float, deck: BenchDeck | None, worklist: Worklist) -> Step | None:
    if fate.what != "unknown" or fate.step.action != "transfer" or fate.gave_nothing:
        return _still_to_do(fate, deck, worklist)
    return _reduced(fate.step, (fate.step.volume_ul - fate.given_ul) * share, deck, worklist)


def _reduced(step: Step, volume_ul: float, deck: BenchDeck | None, worklist: Worklist) -> Step | None:
    """The step with less volume; None when the pipette cannot give so little."""
    if step.action != "transfer" or abs(volume_ul - step.volume_ul) < _SAME:
        return step
    mount = worklist.mount_of(step)
    pipette = next((one for one in deck.pipettes if one.mount == mount), None) if deck is not None else None
    smallest = pipette.min_volume_ul if pipette is not None else _SMALLEST_UL
    return step.model_copy(update={"volume_ul": round(volume_ul, 3)}) if volume_ul >= smallest else None


def _spared(
    run_id: str, steps: Sequence[Step], without: Collection[Spot], worklist: Worklist, catalogue: LabwareLookup
) -> list[Step]:
    """Steps without those that only reach discarded wells.

    A column of which some wells are discarded is mixed, as it is given to: each channel stays in its own well.
    """
    gone, kept = set(without), []
    for step in steps:
        sources = set(reached_wells(step, worklist, catalogue, is_target=False))
        # a mix gives back what it draws
        targets = sources if step.action == "mix" else set(reached_wells(step, worklist, catalogue, is_target=True))
        if targets and targets <= gone:
            continue
        drawn = sorted(sources & gone)
        if drawn and step.action != "mix":
            nickname, well = drawn[0]
            fed = [spot for spot in (*sources, *fed_from(gone, steps, worklist, catalogue)) if spot not in gone]
            raise PlanError(
                f"step {step.number} draws from {nickname} {well}, which is discarded",
                where=f"run {run_id}",
                remedy="discard what hangs on it as well: " + options_for(dict.fromkeys(sorted(fed))),
            )
        kept.append(step)
    return kept


def _require_work(run_id: str, steps: Sequence[Step]) -> None:
    """Refuse to make a worklist that moves nothing."""
    if not any(step.action in LIQUID for step in steps):
        raise PlanError(
            "no transfer is left to do, and no mix", where=f"run {run_id}", remedy="discard the wells, or leave it so"
        )


def _after(
    worklist: Worklist,
    fates: Sequence[Fate],
    steps: Sequence[Step],
    catalogue: LabwareLookup,
    deck: BenchDeck | None,
    way: Way,
) -> tuple[Ledger, int]:
    """The ledger when, having gone this way, these steps have been done too, and the number of older violations."""
    ledger = replay(worklist, fates, catalogue, deck, how=way.how)
    before = len(ledger.violations)
    for step in with_tips(worklist, steps, catalogue):
        ledger.apply(step)
    return ledger, before


def _misses(worklist: Worklist, ledgers: Sequence[tuple[Ledger, int]], without: Collection[Spot]) -> Iterator[Problem]:
    gone = {f"{nickname} {well}" for nickname, well in without}
    told: set[str] = set()
    for ledger, older in ledgers:
        spilled = [p for p in ledger.violations[older:] if p.rule in {rules.OVERDRAW, rules.OVERFILL}]
        for problem in (*map(_in_percent, target_misses(worklist, ledger)), *spilled):
            if problem.where in gone or problem.where in told:
                continue
            told.add(problem.where)
            remedy = "no addition is right in every possibility: measure the well and say what happened, or discard it"
            yield replace(problem, remedy=remedy, rule="")


def _in_percent(miss: Miss) -> Problem:
    """How far a well would be off its target; a worklist does not know the units in which people tell it."""
    far = f"off its target by {miss.off_percent:+.1f} %" if isfinite(miss.off_percent) else "there and should be absent"
    return replace(miss.problem, message=f"{miss.component} would be {far}")


def _require_targets(
    run_id: str, worklist: Worklist, unknown: Sequence[Fate], catalogue: LabwareLookup, without: Collection[Spot]
) -> None:
    """Refuse where nothing says what a well shall hold, so that nothing can be brought there."""
    known = {(target.labware, target.well) for target in worklist.targets} | set(without)
    for fate in (one for one in unknown if not one.gave_nothing):
        for nickname, well in reached_wells(fate.step, worklist, catalogue, is_target=True):
            if (nickname, well) not in known:
                raise PlanError(
                    f"nothing says what {nickname} {well} shall hold at the end, so it cannot be brought there",
                    where=f"run {run_id}, step {fate.step.number}",
                    remedy="measure the well and say whether the step happened, or discard it",
                )


def _spent_tips(fates: Sequence[Fate]) -> frozenset[str]:
    """Tips of steps that are done again although their device may have picked the tip up: it has dropped it since.

    A device works its steps in order: it may have come as far as the step behind the last that may have happened.
    """
    begun = [fate for fate in fates if fate.is_begun and fate.what != "done"]
    first = next((fate for fate in begun if not fate.is_passed and fate.what != "unknown"), None)
    return frozenset(
        fate.step.tip for fate in begun if fate.step.tip and (fate is first or fate.is_passed or fate.what != "not")
    )


def left_in_wells(ledger: Ledger, fates: Sequence[Fate]) -> dict[Spot, WellContents]:
    """What a run left in the wells by a ledger of it, without what people have taken out of tubes of the deck."""
    return _emptied(_held(ledger), fates)


def _held(ledger: Ledger) -> dict[Spot, WellContents]:
    return {(nickname, well): held for nickname, well, held in ledger.wells() if held.volume_ul > _SMALLEST_UL}


def _emptied(held: Mapping[Spot, WellContents], fates: Sequence[Fate]) -> dict[Spot, WellContents]:
    """The same without what people have taken out of tubes of the deck."""
    taken = emptied(fates)
    left = {}
    for (nickname, well), contents in held.items():
        volume = contents.volume_ul - taken.get(f"{nickname}:{well}", 0.0)
        if volume > _SMALLEST_UL:
            share = volume / contents.volume_ul
            amounts = {name: amount * share for name, amount in contents.amounts.items()}
            left[nickname, well] = WellContents(volume, amounts, contents.lots)
    return left


def _middle(one: Mapping[Spot, WellContents], other: Mapping[Spot, WellContents]) -> dict[Spot, WellContents]:
    """Contents half-way between two possibilities."""
    empty, middle = WellContents(0.0, {}), {}
    for spot in dict.fromkeys((*one, *other)):
        a, b = one.get(spot, empty), other.get(spot, empty)
        amounts = {n: (a.amounts.get(n, 0.0) + b.amounts.get(n, 0.0)) / 2 for n in a.amounts.keys() | b.amounts.keys()}
        middle[spot] = WellContents((a.volume_ul + b.volume_ul) / 2, dict(sorted(amounts.items())), a.lots | b.lots)
    return middle


def _made(
    run_id: str,
    what: str,
    worklist: Worklist,
    fates: Sequence[Fate],
    steps: Sequence[Step],
    held: Mapping[Spot, WellContents],
    catalogue: LabwareLookup,
    without: Collection[Spot],
    earlier: Sequence[Step],
) -> Worklist:
    """These steps as a worklist of their own, which starts from what the robot left in the wells and people moved."""
    numbered = [
        step.model_copy(update={"number": number})
        for number, step in enumerate(with_tips(worklist, steps, catalogue, _spent_tips(fates), earlier), start=1)
    ]
    gone = set(without)
    stored = {(one.labware, one.well): one for one in brought_in({step.number for step in steps}, worklist)}
    lots = {one.liquid.lot for one in stored.values()}
    now = _emptied(held, fates)
    fillings = (stored.get(spot) or _filling(run_id, spot, contents, worklist) for spot, contents in now.items())
    return worklist.model_copy(
        update={
            "name": f"{worklist.name}, {what} of {run_id}",
            "fillings": tuple(fillings),
            "steps": tuple(numbered),
            "targets": tuple(one for one in worklist.targets if (one.labware, one.well) not in gone),
            "ends": tuple(one for one in worklist.ends if (one.labware, one.well) not in gone),
            "lots": tuple(facts for facts in worklist.lots if facts.id in lots),
            "deck": tuple(_in_use(item, {name for name, _ in now}) for item in worklist.deck),
            "vessels": vessels_now(worklist, fates),
        }
    )


def _in_use(item: DeckItem, filled: Collection[str]) -> DeckItem:
    """Labware with what the run left in it, under a label that does not call it empty."""
    is_new = item.label == (label := label_in_use(item.label)) or item.nickname not in filled
    return item if is_new else item.model_copy(update={"label": label})


def _filling(run_id: str, spot: Spot, held: WellContents, worklist: Worklist) -> Filling:
    """What a well holds now; it stays on the deck. A liquid that was only drawn from keeps its name."""
    nickname, well = spot
    volume = round(held.volume_ul, 3)
    liquid = Liquid(
        name=f"{nickname} {well}",
        per_ul={name: value for name, value in held.per_ul.items() if value},
        lot=f"{LEFT}:{run_id}:{nickname} {well}",
    )
    for filling in worklist.fillings:
        if (filling.labware, filling.well) == spot and _is_same(filling.liquid.per_ul, held.per_ul):
            # the stock was charged with its lot when it was loaded first; under this name it is not charged again
            origin = (filling.liquid.lot or f"{nickname} {well}").rpartition(":")[2]
            liquid = filling.liquid.model_copy(update={"lot": f"{LEFT}:{run_id}:{origin}"})
    return Filling(labware=nickname, well=well, volume_ul=volume, liquid=liquid)


def _is_same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    names = one.keys() | other.keys()
    return all(
        abs(one.get(n, 0.0) - other.get(n, 0.0)) <= _SAME * max(one.get(n, 0.0), other.get(n, 0.0)) for n in names
    )
