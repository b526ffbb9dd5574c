"""What a person does before a robot's work, as steps of the worklist: thawing stocks, warming what meets cells.

Both are begun together and end together: the longer one is begun first, and the robot waits for the rest of it while
the shorter one is under way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import DeckItem, Filling, LotFacts, OperatorTask, OperatorTaskKind, Step, Worklist
from nkloop.worklists.temperature_rules import cold_arrivals, storage_celsius, warming_minutes

THAW_MINUTES = 20.0
"""A tube of at most `THAWS_IN_A_RUN_UL` on ice; a working value nobody has verified."""
THAWS_IN_A_RUN_UL = 2_000.0
"""A container with more of a frozen liquid thaws overnight: it is taken out the day before, as the run sheet says."""
BODY_C, ICE_C = 37.0, 4.0


@dataclass(frozen=True)
class _Preparation:
    kind: OperatorTaskKind
    minutes: float
    temperature_c: float
    words: str
    labware: tuple[str, ...]
    wells: tuple[str, ...] = ()


def with_preparation(worklist: Worklist, catalogue: LabwareLookup, *, warm_to_c: float = BODY_C) -> Worklist:
    """The worklist with the steps of a person before its first step.

    Args:
        worklist: with the facts of its lots, which say how each is stored.
        catalogue: labware types by load name.
        warm_to_c: temperature at which medium meets cells, as the recipe says.
    """
    found = sorted([*_thaws(worklist), *_warms(worklist, catalogue, warm_to_c)], key=lambda one: -one.minutes)
    tasks = []
    for number, one in enumerate(found):
        rest = found[number + 1].minutes if number + 1 < len(found) else 0.0
        meanwhile = f" Begin with the next step after {one.minutes - rest:g} min." if rest else ""
        tasks.append(
            OperatorTask(
                kind=one.kind,
                instruction=f"{one.words}.{meanwhile}",
                labware=one.labware,
                wells=one.wells,
                minutes=one.minutes - rest,
                temperature_c=one.temperature_c,
            )
        )
    return preceded_by(worklist, tasks)


def preceded_by(worklist: Worklist, tasks: Iterable[OperatorTask]) -> Worklist:
    """The worklist with pauses before its first step, numbered anew."""
    pauses = [
        Step(number=n, action="pause", operator=task, comment=task.instruction) for n, task in enumerate(tasks, 1)
    ]
    later = [step.model_copy(update={"number": step.number + len(pauses)}) for step in worklist.steps]
    return worklist.model_copy(update={"steps": (*pauses, *later)}) if pauses else worklist


def thawed_in_run(worklist: Worklist) -> tuple[str, ...]:
    """Lots of frozen stocks in tubes small enough to thaw while the robot waits, in the order of the deck."""
    frozen = {lot.id: lot for lot in worklist.lots if (at := storage_celsius(lot.storage)) is not None and at < 0}
    volumes: dict[str, float] = {}
    for filling in worklist.fillings:
        if filling.liquid.lot in frozen:
            volumes[filling.liquid.lot] = volumes.get(filling.liquid.lot, 0.0) + filling.volume_ul
    return tuple(one for one, volume in volumes.items() if thaws_in_a_run(frozen[one], volume))


def thaws_in_a_run(lot: LotFacts, taken_ul: float) -> bool:
    """Whether a frozen lot thaws on ice while the robot waits; a container thaws whole, however little is taken."""
    return lot.keep_cold or max(taken_ul, lot.container_ul) <= THAWS_IN_A_RUN_UL


def _thaws(worklist: Worklist) -> Iterable[_Preparation]:
    begun = _thawed_by_steps(worklist)
    small = tuple(lot for lot in thawed_in_run(worklist) if lot not in begun)
    if not small:
        return
    components = {lot.id: lot.component for lot in worklist.lots}
    named = ", ".join(f"{components[one]} ({one})" for one in small)
    places = _labware(worklist, [f for f in worklist.fillings if f.liquid.lot in small])
    words = f"Thaw on ice, {THAW_MINUTES:g} min: {named}; mix gently, spin down, set into {_told(worklist, places)}"
    yield _Preparation("thaw", THAW_MINUTES, ICE_C, words, places)


def _thawed_by_steps(worklist: Worklist) -> frozenset[str]:
    """Lots that a step of the worklist thaws already."""
    tasks = [step.operator for step in worklist.steps if step.operator is not None and step.operator.kind == "thaw"]
    return frozenset(
        filling.liquid.lot
        for filling in worklist.fillings
        for task in tasks
        if filling.liquid.lot is not None
        and filling.labware in task.labware
        and (not task.wells or filling.well in task.wells)
    )


def _warms(worklist: Worklist, catalogue: LabwareLookup, warm_to_c: float) -> Iterable[_Preparation]:
    """What would come cold onto cells, in one bath for as long as the largest volume of a labware takes."""
    origins = {one.origin for one in cold_arrivals(worklist, {}, catalogue)}
    fillings = [f for f in worklist.fillings if (f.labware, f.liquid.name) in origins]
    for place in _labware(worklist, fillings):
        mine = [f for f in fillings if f.labware == place]
        others = [f for f in worklist.fillings if f.labware == place and f not in mine]
        volumes: dict[str, float] = {}
        for one in mine:
            volumes[one.liquid.name] = volumes.get(one.liquid.name, 0.0) + one.volume_ul
        minutes = max(warming_minutes(volume) for volume in volumes.values())
        words = (
            f"Warm to {warm_to_c:g} °C in the bath, {minutes:g} min: {', '.join(volumes)}. Then wipe "
            f"{'it' if len(volumes) == 1 else 'them'} dry and bring {'it' if len(volumes) == 1 else 'them'} to "
            f"{_told(worklist, (place,))}"
        )
        wells = tuple(one.well for one in mine) if others else ()
        yield _Preparation("warm", minutes, warm_to_c, words, (place,), wells)


def _labware(worklist: Worklist, fillings: Iterable[Filling]) -> tuple[str, ...]:
    used = {filling.labware for filling in fillings}
    return tuple(item.nickname for item in worklist.deck if item.nickname in used)


def _told(worklist: Worklist, nicknames: Iterable[str]) -> str:
    items: list[DeckItem] = [worklist.item(one) for one in nicknames]
    return " and ".join(f"slot {item.slot}" for item in items)
