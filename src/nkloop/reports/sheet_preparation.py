"""What is done before the robot starts: liquids taken out in time, and the dilutions it will make, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from nkloop.frozen import FrozenModel
from nkloop.quantities.display import number as scientific
from nkloop.reports.cultures import CULTURES, is_culture
from nkloop.reports.deck_map import LabwareTitles, title_in_use
from nkloop.reports.numbers import count, hours, listing, plain, volume
from nkloop.worklists.arrivals import brought_at, brought_by, is_cell_tube, left_by, runs_left_by
from nkloop.worklists.models import Filling, LotFacts, Worklist
from nkloop.worklists.operator_tasks import thaws_in_a_run

_SMALL_UL = 2000.0
_LARGE_UL = 50_000.0
_SHORT_LEAD = 60.0
"""Minutes up to which a liquid is simply made ready again."""
_AT_STEP = "at step "
_LAST_OF_ALL, _AS_TOLD = "bring last of all", "bring as the step says"
_CELLS = ("donor:", "effector:", "target:")
"""What the names of cells in a liquid begin with."""


class TakeOut(FrozenModel):
    """One liquid and when it leaves its place."""

    lead_minutes: float
    """Before the robot starts."""
    when: str
    liquid: str
    lot: str
    containers: str = ""
    """Those to take, in words; empty where the stock is not counted."""
    storage: str
    how: str
    volume: str


def take_out_rows(worklist: Worklist, containers: Mapping[str, str] = MappingProxyType({})) -> tuple[TakeOut, ...]:
    """Liquids in the order they are taken out, the longest lead first.

    The lead times are working values of this project for the volume at hand, verified by nobody.

    Args:
        worklist: what is run.
        containers: those to take, in words, by lot.
    """
    lots = {lot.id: lot for lot in worklist.lots}
    together: dict[tuple[str, str], list[Filling]] = defaultdict(list)
    for filling in worklist.fillings:
        if left_by(filling) and brought_by(filling, worklist) is None:
            continue  # stands on the deck
        name = f"{CULTURES}:{filling.labware}" if is_culture(filling, worklist) else filling.liquid.name
        together[filling.liquid.lot or "", name].append(filling)
    rows = [
        _row(lot, plate or name, fillings, lots.get(lot), is_plate=bool(plate))
        for (lot, name), fillings in together.items()
        for plate in [_plate_words(fillings, worklist)]
    ]
    rows = [_at_its_step(row, fillings, worklist) for row, fillings in zip(rows, together.values(), strict=True)]
    rows = [_of_a_rest(row, fillings, worklist) for row, fillings in zip(rows, together.values(), strict=True)]
    rows += _for_people(worklist)
    rows += [
        TakeOut(
            lead_minutes=15,
            when=_when(15),
            liquid=f"{item.label or item.nickname} (slot {item.slot})",
            lot="",
            storage="",
            how=f"set the module to {plain(item.temperature_c)} °C",
            volume="",
        )
        for item in worklist.deck
        if item.temperature_c is not None
    ]
    rows = [row.model_copy(update={"containers": containers.get(row.lot, "")}) for row in rows]
    return tuple(sorted(rows, key=lambda row: (-row.lead_minutes, _step_of(row))))


def beforehand(worklist: Worklist) -> str:
    """What has to be begun before the deck is loaded, in one sentence each, the longest lead first; empty when nothing.

    `16 h before the robot starts: thaw overnight at 2–8 °C: human serum.`
    """
    together: dict[tuple[str, str], list[str]] = {}
    for row in take_out_rows(worklist):
        if row.lead_minutes:
            together.setdefault((row.when, row.how), []).append(row.liquid)
    return " ".join(f"{when} the robot starts: {how}: {listing(names)}." for (when, how), names in together.items())


def _step_of(row: TakeOut) -> int:
    """Number of the step a liquid is taken out at; 0 for what is taken out before the run."""
    return int(row.when.removeprefix(_AT_STEP)) if row.when.startswith(_AT_STEP) else 0


def _plate_words(fillings: list[Filling], worklist: Worklist) -> str:
    """`Culture plate culture-1 with 4 cultures`; empty for other liquids."""
    if not is_culture(fillings[0], worklist):
        return ""
    item = worklist.item(fillings[0].labware)
    name = " ".join(word for word in (item.label or item.nickname, item.barcode) if word)
    return f"{name} with {count(len(fillings), 'culture')}"


def _row(lot: str, name: str, fillings: list[Filling], facts: LotFacts | None, *, is_plate: bool) -> TakeOut:
    amount = sum(filling.volume_ul for filling in fillings)
    storage = facts.storage if facts is not None else _place_of(lot)
    per_ml = 1000 * sum(n for key, n in fillings[0].liquid.per_ul.items() if key.startswith(_CELLS))
    if per_ml:
        storage = storage or "incubator"
        minutes, how = 0.0, f"count, bring to {scientific(per_ml, 3)} cells/mL, and {_LAST_OF_ALL}"
    elif is_plate:
        storage, minutes, how = "incubator", 0.0, _LAST_OF_ALL
    else:
        minutes, how = _lead(storage, amount, facts)
    return TakeOut(
        lead_minutes=minutes,
        when=_when(minutes),
        liquid=name,
        lot=lot if ":" not in lot else "",
        storage=storage or "as stored",
        how=how,
        volume=volume(amount),
    )


def _at_its_step(row: TakeOut, fillings: list[Filling], worklist: Worklist) -> TakeOut:
    """A liquid that a step of the worklist thaws, warms or brings is taken out then, not before."""
    if is_culture(fillings[0], worklist) and (number := brought_at(fillings[0].labware, worklist)) is not None:
        return row.model_copy(update={"when": f"{_AT_STEP}{number}", "how": _AS_TOLD})
    step, *others = (brought_by(filling, worklist) for filling in fillings)
    if step is None or step.operator is None or any(other != step for other in others):
        return row
    if all(map(is_cell_tube, fillings)):
        how = row.how.removesuffix(_LAST_OF_ALL) + _AS_TOLD
        return row.model_copy(update={"when": f"{_AT_STEP}{step.number}", "how": how})
    if step.operator.kind not in {"thaw", "warm"}:
        return row
    told = {"lead_minutes": 0.0, "when": f"{_AT_STEP}{step.number}", "how": f"{step.operator.kind} as the step says"}
    return row.model_copy(update=told)


def _of_a_rest(row: TakeOut, fillings: list[Filling], worklist: Worklist) -> TakeOut:
    """In the rest of a run what had to be begun long before is done: it was begun before that run."""
    left = next(iter(runs_left_by(worklist)), "")
    step = brought_by(fillings[0], worklist)
    if not left or step is None or not row.lead_minutes:
        return row
    if row.lead_minutes <= _SHORT_LEAD:
        how = f"{row.how}, {hours(row.lead_minutes)} before"
    else:
        how = f"was to be begun before {left}: {row.how}. Look at it; only if that was not done it takes "
        how += f"{hours(row.lead_minutes)} from now"
    return row.model_copy(update={"lead_minutes": 0.0, "when": f"{_AT_STEP}{step.number}", "how": how})


def by_hand_ul(worklist: Worklist) -> float:
    """Base medium that people run into vessels, in µL."""
    return sum(move.volume_ul for step in worklist.steps for move in step.moves if not move.from_vessel)


def _for_people(worklist: Worklist) -> Iterator[TakeOut]:
    """Base medium that people run into closed vessels, where a step warms it."""
    by_hand = by_hand_ul(worklist)
    warm = next((s.number for s in worklist.steps if s.operator is not None and s.operator.kind == "warm"), None)
    if by_hand and warm is not None:
        yield TakeOut(
            lead_minutes=0.0,
            when=f"{_AT_STEP}{warm}",
            liquid="base medium that people run in",
            lot="",
            storage="4 °C",
            how="warm as the step says",
            volume=f"{volume(by_hand)} and what lines take",
        )


def _place_of(lot: str) -> str:
    kind = lot.partition(":")[0]
    return {"harvest": "incubator", "donor": "cell bench", "line": "incubator", "reference": "cell bench"}.get(
        kind, "4 °C" if kind == "prepared" else ""
    )


def _lead(storage: str, amount_ul: float, lot: LotFacts | None) -> tuple[float, str]:
    """Minutes before the start, and what is done, from where a liquid is stored and how much of it there is."""
    if storage in {"incubator", "cell bench"}:
        return 0, _LAST_OF_ALL
    is_cold = lot is not None and lot.keep_cold
    if storage.startswith(("-", "−")):
        if thaws_in_a_run(lot, amount_ul) if lot is not None else amount_ul <= _SMALL_UL:
            return 45, "thaw on ice, mix gently and spin down"
        return 16 * 60, "thaw overnight at 2–8 °C"
    if storage.startswith("4"):
        if is_cold or amount_ul <= _SMALL_UL:
            return 15, "take out of the fridge, keep on ice" if is_cold else "take out of the fridge"
        return (60 if amount_ul > _LARGE_UL else 30), "warm to 37 °C in the bath"
    return 0, "take from the shelf"


def _when(minutes: float) -> str:
    return f"{hours(minutes)} before" if minutes else "just before"


Spot = tuple[str, str]
"""Nickname and well."""


def dilution_sentences(worklist: Worklist, catalogue: LabwareTitles | None) -> tuple[str, ...]:
    """Wells the robot fills and draws from again, each told in one sentence; a series of one cell sample in one.

    Vessels with a barcode are what the run is for, not a dilution. Without a catalogue only what one channel moves is
    followed.
    """
    items = {item.nickname: item for item in worklist.deck}
    moves = list(_moves(worklist, catalogue))
    names = {(f.labware, f.well): f.liquid.name for f in worklist.fillings}
    cells = {(f.labware, f.well): sample for f in worklist.fillings if (sample := _sample(f))}
    inputs: dict[Spot, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    drawn = {source for source, _, _ in moves}
    # what a dilution is of: everything but the liquid there is most of
    inside: dict[Spot, dict[str, None]] = defaultdict(dict)
    largest: dict[Spot, float] = defaultdict(float)
    for source, target, amount in moves:
        if target not in names and not (target[0] in items and items[target[0]].barcode):
            near = source[1] if source[0] == target[0] else f"{source[0]} {source[1]}"
            holds = f" ({', '.join(inside[source])})" if inside[source] and source not in cells else ""
            inputs[target][names.get(source, f"{near}{holds}")] += amount
            largest[target] = max(largest[target], amount)
            if amount < largest[target] and (names.get(source) or inside[source]):
                inside[target].update(dict.fromkeys([names[source]] if source in names else inside[source]))
            if source in cells:
                cells.setdefault(target, cells[source])
    series: dict[tuple[str, ...], list[Spot]] = defaultdict(list)
    for spot, parts in inputs.items():
        if spot in drawn and len(parts) > 1:
            series[(spot[0], cells[spot]) if spot in cells else spot].append(spot)
    told = []
    for (nickname, *_), spots in series.items():
        item = items.get(nickname)
        title = title_in_use(item, catalogue) if item else nickname
        if len(spots) == 1:
            told.append(f"{title} {spots[0][1]}: {_sum(inputs[spots[0]])}")
        else:
            steps = "; ".join(f"{well} {_short(inputs[nickname, well])}" for _, well in spots)
            told.append(f"{title}, {cells[spots[0]]}: {steps}.")
    return tuple(told)


def _moves(worklist: Worklist, catalogue: LabwareTitles | None) -> Iterator[tuple[Spot, Spot, float]]:
    """Well to well, every channel by itself."""
    items = {item.nickname: item for item in worklist.deck}
    for step in worklist.steps:
        if step.action != "transfer" or (step.channels != 1 and catalogue is None):
            continue
        sources: tuple[str, ...] = (step.well,)
        targets: tuple[str, ...] = (step.to_well,)
        if step.channels != 1 and catalogue is not None:
            sources = catalogue[items[step.labware].load_name].reached(step.well, step.channels)
            targets = catalogue[items[step.to_labware].load_name].reached(step.to_well, step.channels)
        for source, target in zip(sources, targets, strict=True):
            yield (step.labware, source), (step.to_labware, target), step.volume_ul


def _sample(filling: Filling) -> str:
    """The cell sample a filling holds; empty without cells."""
    return next((key.partition(":")[2] for key in filling.liquid.per_ul if key.startswith(_CELLS)), "")


def _short(parts: dict[str, float]) -> str:
    total, smallest = sum(parts.values()), min(parts.values())
    listed = " + ".join(f"{volume(amount)} {name}" for name, amount in sorted(parts.items(), key=lambda one: one[1]))
    return f"{listed} (1:{plain(total / smallest)})" if len(parts) == 2 else listed


def _sum(parts: dict[str, float]) -> str:
    total, smallest = sum(parts.values()), min(parts.values())
    named = [f"{volume(amount)} {name}" for name, amount in parts.items()]
    if len(parts) == 2:
        return f"{listing(named)}, together {volume(total)}, a dilution of 1:{plain(total / smallest)}."
    return f"{listing(named)}; {count(len(parts), 'liquid')}, together {volume(total)}."
