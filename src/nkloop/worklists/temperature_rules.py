"""Rules of temperature: no cold medium onto cells, no mix of cold-kept stocks long at room temperature.

Both follow where a liquid goes, and need what only the planner knows: how a lot is stored, and what a person does in
a pause. A worklist read from a CSV names no lots and is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nkloop.errors import PlanError, Problem
from nkloop.frozen import FrozenModel
from nkloop.worklists import rules
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.ledger_state import CELL_PREFIXES
from nkloop.worklists.models import PREPARED, Filling, OperatorTask, Step, Worklist
from nkloop.worklists.reach import Reach, Spot, cell_spots, step_minutes

COLD_C = 8.0
"""Warmest of what counts as kept cold."""
ROOM_FROM_C = 15.0
"""Coldest storage from which a liquid may meet cells as it is."""
COLD_SHARE = 0.1
"""Share of a well with cells that may come cold: 10 % at 4 °C lowers 37 °C by 3 °C; a working value nobody verified."""
WARMING = ((2_000.0, 15.0), (50_000.0, 30.0), (float("inf"), 60.0))
"""Volume (µL) up to which a bath at 37 °C takes so many minutes; working values nobody has verified."""
_NUMBER = re.compile(r"^\s*([-−]?\d+(?:[.,]\d+)?)")
Origin = tuple[str, str]


class MixTooWarmError(PlanError):
    """A mix would stand at room temperature longer than allowed; a smaller run may do."""


class ColdArrival(FrozenModel):
    """A cold liquid that reaches cells."""

    origin: tuple[str, str]
    """Nickname of the labware it stood in, and the liquid's name."""
    step: int
    labware: str
    well: str
    share: float
    """Cold share of the well."""
    warmed_minutes: float
    needed_minutes: float


def warming_minutes(volume_ul: float) -> float:
    """How long a volume stays in the bath until it is warm."""
    return next(minutes for most, minutes in WARMING if volume_ul <= most)


def storage_celsius(storage: str) -> float | None:
    """Temperature of a storage as people write it (`-80 °C`, `4 °C`, `2-8 °C`); None when it is not a number."""
    found = _NUMBER.match(storage)
    return float(found[1].replace("−", "-").replace(",", ".")) if found else None


def is_cold(worklist: Worklist, filling: Filling) -> bool:
    """Whether a bulk liquid comes cold to the deck: medium prepared before, or a lot stored below 15 °C.

    Stocks that stay on the cold block are not meant: they are given in small volumes.
    """
    lot = filling.liquid.lot or ""
    if any(name.startswith(CELL_PREFIXES) for name in filling.liquid.per_ul):
        return False
    if lot.startswith(PREPARED):
        return True
    facts = next((one for one in worklist.lots if one.id == lot), None)
    if facts is None or facts.keep_cold:
        return False
    stored = storage_celsius(facts.storage)
    return stored is not None and stored < ROOM_FROM_C


def temperature_problems(
    worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup
) -> Iterator[Problem]:
    """Breaches of both rules, each origin and each mix once.

    Args:
        worklist: what is checked.
        minutes: robot time of each step by its number; the time of a person's task is added to it.
        catalogue: labware types by load name.
    """
    told: set[Origin] = set()
    for one in cold_arrivals(worklist, minutes, catalogue):
        if one.origin not in told:
            told.add(one.origin)
            yield _cold_problem(one)
    yield from _kept_out(worklist, minutes, catalogue)


def refuse_warm_mixes(worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup) -> None:
    """Refuse a run that keeps a mix of cold-kept stocks at room temperature too long.

    Raises:
        MixTooWarmError: with every labware it happens in.
    """
    if problems := list(_kept_out(worklist, minutes, catalogue)):
        raise MixTooWarmError.from_problems(problems)


def cold_arrivals(worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup) -> Iterator[ColdArrival]:
    """Every step that makes a well with cells cold: more than `COLD_SHARE` of it comes from a cold labware."""
    reach = Reach(worklist, catalogue)
    cells = cell_spots(worklist, reach)
    held = {(f.labware, f.well): f.volume_ul for f in worklist.fillings}
    cold: dict[Spot, dict[Origin, float]] = {}
    bulk: dict[Origin, float] = {}
    stands: dict[Origin, set[str]] = {}
    for filling in worklist.fillings if cells else ():
        if is_cold(worklist, filling):
            one = (filling.labware, filling.liquid.name)
            cold[filling.labware, filling.well] = {one: filling.volume_ul}
            bulk[one] = bulk.get(one, 0.0) + filling.volume_ul
            stands.setdefault(one, set()).add(filling.well)
    bath: dict[Origin, float] = {}
    clock = 0.0
    for step in worklist.steps if bulk else ():
        if step.operator is not None and step.operator.kind == "warm":
            bath |= {one: clock for one, wells in stands.items() if _is_meant(step.operator, one[0], wells)}
        if step.action == "transfer":
            _warmed(step.labware, bulk, bath, clock, cold)
            for source, target in reach.pairs(step):
                _move(step.volume_ul, source, target, held, cold)
                share = sum(cold.get(target, {}).values()) / held[target]
                if target in cells and share > COLD_SHARE:
                    origin = max(cold[target], key=lambda one: cold[target][one])
                    yield ColdArrival(
                        origin=origin,
                        step=step.number,
                        labware=target[0],
                        well=target[1],
                        share=share,
                        warmed_minutes=clock - bath[origin] if origin in bath else 0.0,
                        needed_minutes=warming_minutes(bulk[origin]),
                    )
        clock += step_minutes(step, minutes)


def _is_meant(task: OperatorTask, labware: str, wells: set[str]) -> bool:
    return labware in task.labware and (not task.wells or wells <= set(task.wells))


def _warmed(
    labware: str,
    bulk: Mapping[Origin, float],
    bath: Mapping[Origin, float],
    clock: float,
    cold: dict[Spot, dict[Origin, float]],
) -> None:
    """Forget that a liquid is cold once it has been in the bath long enough."""
    for origin, since in bath.items():
        if origin[0] == labware and clock - since >= warming_minutes(bulk[origin]) - 1e-6:
            for spot in [one for one in cold if one[0] == labware]:
                cold[spot].pop(origin, None)


def _move(
    volume_ul: float, source: Spot, target: Spot, held: dict[Spot, float], cold: dict[Spot, dict[Origin, float]]
) -> None:
    there = held.get(source, 0.0)
    share = min(1.0, volume_ul / there) if there > 0 else 0.0
    # what is overdrawn is told by the ledger; a debt here would make a well that is filled later look empty
    held[source] = max(0.0, there - volume_ul)
    held[target] = held.get(target, 0.0) + volume_ul
    for origin, amount in list(cold.get(source, {}).items()):
        cold[source][origin] = amount * (1 - share)
        into = cold.setdefault(target, {})
        into[origin] = into.get(origin, 0.0) + amount * share


def _cold_problem(one: ColdArrival) -> Problem:
    where, name = f"step {one.step}", f"{one.origin[1]} in {one.origin[0]}"
    into = f"{one.labware} {one.well}, which holds cells or will"
    if one.warmed_minutes > 0:
        told = (
            f"{name} was warmed for {one.warmed_minutes:.0f} min before it comes into {into}; its volume needs "
            f"{one.needed_minutes:.0f} min"
        )
    else:
        told = f"{name} comes cold into {into}: {100 * one.share:.0f} % of the well"
    remedy = f"let a person warm it for {one.needed_minutes:.0f} min before"
    return Problem(told, where, remedy, rules.COLD_ONTO_CELLS)


# -- mixes at room temperature ---------------------------------------------------------------------------------------


def _kept_out(worklist: Worklist, minutes: Mapping[int, float], catalogue: LabwareLookup) -> Iterator[Problem]:
    """Mixes of cold-kept stocks that stand uncooled for longer than the limit when they are used or done."""
    cold_lots = {lot.id for lot in worklist.lots if lot.keep_cold}
    active = {(f.labware, f.well) for f in worklist.fillings if f.liquid.lot in cold_lots}
    if not active:
        return
    reach = Reach(worklist, catalogue)
    stay = _Stay(worklist, cell_spots(worklist, reach), active)
    for step in worklist.steps:
        if step.action == "transfer":
            yield from stay.transfer(step, reach)
        if step.operator is not None:
            yield from stay.before(step, step.operator)
        stay.clock += step_minutes(step, minutes)
        if step.operator is not None:
            stay.after(step.operator)
    yield from stay.at_the_end({(target.labware, target.well) for target in worklist.targets})


class _Stay:
    """How long each mix has stood at room temperature."""

    def __init__(self, worklist: Worklist, cells: frozenset[Spot], active: set[Spot]) -> None:
        self.limit, self.cells, self.active = worklist.limits.mix_at_room_minutes, cells, active
        self.cooled = {i.nickname for i in worklist.deck if i.temperature_c is not None and i.temperature_c <= COLD_C}
        self.out: dict[Spot, float] = {}
        self.since: dict[Spot, float | None] = {}
        self.told: set[str] = set()
        self.clock = 0.0

    def transfer(self, step: Step, reach: Reach) -> Iterator[Problem]:
        """A mix begins where a cold-kept stock arrives uncooled; one that is drawn from has its time judged."""
        for source, target in reach.pairs(step):
            if source not in self.active:
                continue
            yield from self._check(source, step.number)
            self.active.add(target)
            if target not in self.since and target[0] not in self.cooled and target not in self.cells:
                self.out[target], self.since[target] = 0.0, self.clock

    def before(self, step: Step, task: OperatorTask) -> Iterator[Problem]:
        """Into the fridge, or into the culture: there the time ends."""
        for spot in self._concerned(task):
            if task.kind == "weld":
                yield from self._check(spot, step.number)
                del self.since[spot]
            elif task.kind == "store" and (task.temperature_c or 0.0) <= COLD_C:
                yield from self._check(spot, step.number)
                self.out[spot], self.since[spot] = self.minutes(spot), None

    def after(self, task: OperatorTask) -> None:
        """Out of the fridge again."""
        if task.kind == "equilibrate":
            for spot in self._concerned(task):
                if self.since[spot] is None:
                    self.since[spot] = self.clock - task.minutes

    def at_the_end(self, products: set[Spot]) -> Iterator[Problem]:
        """What the run makes and leaves standing, judged at its end."""
        for spot in [one for one in self.since if one in products]:
            yield from self._check(spot, None)

    def minutes(self, spot: Spot) -> float:
        """Time at room temperature until now; 0 for a well without a mix."""
        started = self.since.get(spot)
        return self.out.get(spot, 0.0) + (0.0 if started is None else self.clock - started)

    def _concerned(self, task: OperatorTask) -> list[Spot]:
        return [s for s in self.since if s[0] in task.labware and (not task.wells or s[1] in task.wells)]

    def _check(self, spot: Spot, step: int | None) -> Iterator[Problem]:
        if spot not in self.since or self.minutes(spot) <= self.limit or spot[0] in self.told:
            return
        self.told.add(spot[0])
        told = (
            f"{spot[0]} {spot[1]} stands at room temperature for {self.minutes(spot):.0f} min since its first stock "
            f"came in; at most {self.limit:g} min"
        )
        where = f"step {step}" if step is not None else f"{spot[0]} {spot[1]}"
        remedy = "store it at 4 °C in between, or make fewer at a time"
        yield Problem(told, where, remedy, rules.MIX_TOO_WARM)
