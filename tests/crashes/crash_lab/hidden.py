"""The hidden ledger: what took physical effect, and what is in the wells if every command moved what it told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crash_lab.places import Places
from nkloop.records.models import RunRecord
from nkloop.worklists.models import DeckItem, Step, Worklist

Spot = tuple[str, str]
"""Barcode, or `slot D2`, and well."""
VOLUME = ""
"""Key of the volume among the amounts of a well."""
SAME_UL = 0.01
NOT_BEGUN = Counter({"the robot never began this run": 1})


@dataclass(frozen=True)
class Act:
    """A command that took effect: what it moved, and where."""

    run: str
    step: int
    kind: str
    pipette: str = ""
    volume_ul: float = 0.0
    spots: tuple[Spot, ...] = ()
    """One per channel."""


@dataclass
class Physical:
    """What took physical effect."""

    begun: Counter[str] = field(default_factory=Counter)
    """Device run to how often it was begun."""
    planned: dict[str, dict[int, Counter[str]]] = field(default_factory=dict)
    """Device run, step, commands that the robot was given."""
    done: dict[str, dict[int, Counter[str]]] = field(default_factory=dict)
    """Device run, step, planned command to how often it took effect."""
    acts: list[Act] = field(default_factory=list)
    """All of it in order."""
    measured: list[dict[str, dict[str, float]]] = field(default_factory=list)
    """What a reader on the deck saw, each time: wavelength, well, optical density."""

    def of(self, run: RunRecord) -> Iterator[Act]:
        """What a run moved."""
        return (act for act in self.acts if act.run == run.device_run_id)

    def planned_of(self, run: RunRecord, step: int) -> Counter[str]:
        """Commands of a step of a run."""
        steps = self.planned.get(run.device_run_id or "")
        return NOT_BEGUN if steps is None else steps.get(step, Counter())


def read_physical(places: Places) -> Physical:
    """Read the hidden record of the world."""
    found = Physical()
    lines = places.physical.read_text(encoding="utf-8").splitlines() if places.physical.exists() else []
    for line in lines:
        told = json.loads(line)
        if "measured" in told:
            found.measured.append(told["values"])
            continue
        if "begin" in told:
            found.begun[told["begin"]] += 1
            steps = {int(step): Counter(ids) for step, ids in told.get("steps", {}).items()}
            found.planned.setdefault(told["begin"], steps)
            found.acts.append(Act(told["begin"], 0, "begin"))
            continue
        steps = found.done.setdefault(told["run"], {})
        steps.setdefault(told["step"] or 0, Counter())[told["planned"]] += 1
        found.acts.append(_act(told))
    return found


def _act(told: Mapping[str, Any]) -> Act:
    spots = tuple((name, well) for name, well in told.get("spots", ()))
    volume = float(told.get("volume") or 0.0)
    return Act(told["run"], told["step"] or 0, told["kind"], told.get("pipette") or "", volume, spots)


def place_of(item: DeckItem) -> str:
    """How the world names a labware."""
    return item.barcode or f"slot {item.slot}"


def net_of(acts: Iterator[Act]) -> dict[int, dict[Spot, float]]:
    """Step, spot, µL that it was given (or, negative, that were drawn) by the commands of a run."""
    found: dict[int, dict[Spot, float]] = defaultdict(lambda: defaultdict(float))
    for act in acts:
        sign = {"aspirate": -1.0, "dispense": 1.0}.get(act.kind.removesuffix("InPlace"), 0.0)
        for spot in act.spots if sign else ():
            found[act.step][spot] += sign * act.volume_ul
    return found


def composed(worklist: Worklist, acts: Iterable[Act]) -> dict[Spot, dict[str, float]]:
    """Volume and amounts of every well after all these acts, from the fillings of the first run."""
    places = {item.nickname: place_of(item) for item in worklist.deck}
    wells: dict[Spot, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for filling in worklist.fillings:
        held = {VOLUME: 1.0, **filling.liquid.per_ul}
        _pour(wells[places[filling.labware], filling.well], {n: v * filling.volume_ul for n, v in held.items()})
    tips: dict[tuple[str, int], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for act in acts:
        if act.kind in {"begin", "pickUpTip"}:
            for key, tip in tips.items():
                if act.kind == "begin" or key[0] == act.pipette:
                    tip.clear()
        for channel, spot in enumerate(act.spots):
            well, tip = wells[spot], tips[act.pipette, channel]
            if act.kind.startswith("aspirate"):
                _pour(tip, _taken(well, act.volume_ul))
            elif act.kind.startswith("dispense"):
                _pour(well, _taken(tip, act.volume_ul))
    return wells


def imagined(acts: Sequence[Act], run: str, steps: Sequence[tuple[int, Sequence[Act]]]) -> Iterator[list[Act]]:
    """The acts as they would be had these steps of a run gone otherwise, in every way their order allows.

    Args:
        acts: all that took effect.
        run: device run in which the steps are unknown.
        steps: their numbers, in order, with what each does when it happens: draw first, then give.
    """
    numbers = {number for number, _ in steps}
    place = max((n for n, act in enumerate(acts) if act.run == run), default=-1) + 1
    before = [act for act in acts[:place] if act.run != run or act.step not in numbers]
    for count in range(len(steps) + 1):
        done = [act for _, did in steps[:count] for act in did]
        yield [*before, *done, *acts[place:]]
        if count < len(steps):
            yield [*before, *done, *steps[count][1][:1], *acts[place:]]


def _pour(into: dict[str, float], what: Mapping[str, float]) -> None:
    for name, amount in what.items():
        into[name] = into.get(name, 0.0) + amount


def _taken(out_of: dict[str, float], volume_ul: float) -> dict[str, float]:
    held = out_of.get(VOLUME, 0.0)
    share = min(1.0, volume_ul / held) if held > 0 else 0.0
    taken = {name: amount * share for name, amount in out_of.items()}
    for name, amount in taken.items():
        out_of[name] -= amount
    return taken


@dataclass(frozen=True)
class Seen:
    """What a person sees of the unknown steps of a run who looks at the deck."""

    happened: tuple[int, ...]
    not_happened: tuple[int, ...]
    drawn: tuple[int, ...]
    """Its liquid was in the tip: missing where it came from, and not given."""
    cut_in_first_mix: tuple[int, ...]
    """Liquid of the mix before its draw was in the tip: missing where it came from, and nothing given."""
    given: tuple[int, ...]
    """It was given; the mix after it was not done to its end, and the tip is empty."""
    cut_in_mix: tuple[int, ...]
    """The same with liquid of that mix in the tip."""
    halfway: tuple[int, ...]
    """None of these: some of it is there."""


def look_at(run: RunRecord, worklist: Worklist, physical: Physical) -> Seen:
    """The truth about every step that the journal calls unknown."""
    acts = list(physical.of(run))
    net = net_of(iter(acts))
    done = physical.done.get(run.device_run_id or "", {})
    places = {item.nickname: place_of(item) for item in worklist.deck}
    told: dict[str, list[int]] = {"yes": [], "no": [], "drawn": [], "first": [], "given": [], "cut": [], "halfway": []}
    for step in (one for one in worklist.steps if one.number in run.unknown_steps):
        is_whole = done.get(step.number, Counter()) == physical.planned_of(run, step.number)
        target = (places.get(step.to_labware, ""), step.to_well)
        poured = sum(one.volume_ul for one in acts if one.step == step.number and _gives_to(one, target))
        what = "yes" if is_whole else _seen(step, net.get(step.number, {}), target, poured)
        told[what].append(step.number)
    return Seen(*(tuple(told[what]) for what in ("yes", "no", "drawn", "first", "given", "cut", "halfway")))


def _gives_to(act: Act, spot: Spot) -> bool:
    return act.kind.startswith("dispense") and spot in act.spots


def _seen(step: Step, net: Mapping[Spot, float], target: Spot, poured: float) -> str:
    """`poured` is all that was dispensed into the target, the strokes of its mix included."""
    if step.action not in {"transfer", "mix"}:
        return "no"
    given, lost = net.get(target, 0.0), -sum(moved for moved in net.values() if moved < 0)
    if step.action == "transfer" and poured > step.volume_ul - SAME_UL:
        return _given(step, given, poured)
    if abs(given) < SAME_UL and lost < SAME_UL:
        return "no"
    if abs(given) < SAME_UL and abs(lost - step.channels * step.volume_ul) < SAME_UL:
        return "drawn"
    if abs(given) < SAME_UL and step.mix_before and abs(lost - step.channels * step.mix_volume_ul) < SAME_UL:
        return "first"
    return "halfway"


def _given(step: Step, held: float, poured: float) -> str:
    """What became of a transfer that gave all its liquid, of which the target still has `held`."""
    if abs(held - step.volume_ul) < SAME_UL:
        is_mixed = poured > step.volume_ul + step.mix_after * step.mix_volume_ul - SAME_UL
        return "yes" if is_mixed else "given"
    return "cut" if abs(held - step.volume_ul + step.mix_volume_ul) < SAME_UL else "halfway"
