"""The run sheet as data: what a technician takes out, loads, checks, does and signs for one robot run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from types import MappingProxyType

from nkloop.frozen import FrozenModel
from nkloop.labware.well_ranges import well_ranges
from nkloop.reports.cultures import CULTURES
from nkloop.reports.deck_map import LabwareTitles, title_in_use
from nkloop.reports.lots import lot_words
from nkloop.reports.numbers import count, duration, listing, moment, plain, volume
from nkloop.reports.run_view import load_rows, procedure_title
from nkloop.reports.sheet_preparation import TakeOut, by_hand_ul, dilution_sentences, take_out_rows
from nkloop.reports.sheet_steps import Block, step_blocks
from nkloop.worklists.arrivals import brought_at, brought_by, is_left_unnamed, left_by, runs_left_by
from nkloop.worklists.cell_tubes import cell_tubes, tube_codes
from nkloop.worklists.cells_back import cells_back_told
from nkloop.worklists.light_rules import is_about
from nkloop.worklists.models import DeckItem, Filling, LotFacts, PreparedErrors, Worklist

CRITICAL = ("il-2", "heparin", "vector", "lentivir", "retrovir")
"""Additions a second person checks: a tenfold IL-2 or heparin, or a wrong vector, cannot be seen in the culture."""


class SheetLoad(FrozenModel):
    """One liquid to load, with what is known of its lot."""

    slot: str
    labware: str
    wells: str
    liquid: str
    lot: str
    expires: str
    volume: str
    remaining: str
    """What the lot still holds after the run."""
    scanned: str = ""
    """Its containers, or the code of a tube of cells; empty where the stock is not counted."""


class SecondCheck(FrozenModel):
    """One addition a second person confirms."""

    liquid: str
    what: str


class RunSheet(FrozenModel):
    """One run, or one part of a run that is cut into several."""

    worklist: Worklist
    part: str
    """`Part 1 of 2`; empty when the run is whole."""
    title: str
    procedure: str
    code: str
    """What the QR code says."""
    planned_on: date
    verdict: str
    next_action: str
    lead: str
    """When the robot can start at the earliest; empty without a lead time, or when nobody knows the time."""
    take_out: tuple[TakeOut, ...]
    load: tuple[SheetLoad, ...]
    dilutions: tuple[str, ...]
    second_checks: tuple[SecondCheck, ...]
    blocks: tuple[Block, ...]
    minutes: float | None
    limits: tuple[str, ...]
    tips: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    """Of the plan, that whoever is at the bench has to know."""
    afterwards: str = ""
    """What is done at once when the run has ended; empty where nothing is."""

    @property
    def short_hash(self) -> str:
        """First twelve digits of the worklist's hash, enough to compare by eye."""
        return self.worklist.content_hash[:12]


def run_sheets(
    parts: Sequence[Worklist],
    catalogue: LabwareTitles | None,
    *,
    planned_on: date,
    verdict: str = "",
    run: str = "",
    minutes: Sequence[Mapping[int, float]] = (),
    now: datetime | None = None,
    containers: Sequence[Mapping[str, str]] = (),
    warnings: Sequence[str] = (),
) -> tuple[RunSheet, ...]:
    """The sheets of a plan, one per worklist.

    Args:
        parts: the worklists in the order they are run.
        catalogue: gives labware its title.
        planned_on: day the sheet is made for; lead times count from the start of the robot.
        verdict: what the checks said, in words; empty when they are not at hand.
        run: id of the recorded run; empty for a plan.
        minutes: estimated robot time of each step by its number, per part, with 0 for what comes before the first
            one; empty when the bench does not say its speeds.
        containers: which ones a person takes out of each lot, in words, per part; empty when the stock is not counted.
        warnings: of the plan, told on every sheet.
        now: when the sheet is read, for the earliest start of the robot; None when that is not known.
    """
    many = len(parts) > 1
    return tuple(
        _sheet(
            part,
            catalogue,
            planned_on,
            verdict,
            run,
            f"Part {number} of {len(parts)}" if many else "",
            minutes[number - 1] if minutes else {},
            now,
            containers[number - 1] if containers else {},
            tuple(warnings),
        )
        for number, part in enumerate(parts, start=1)
    )


def _sheet(
    worklist: Worklist,
    catalogue: LabwareTitles | None,
    planned_on: date,
    verdict: str,
    run: str,
    part: str,
    minutes: Mapping[int, float],
    now: datetime | None,
    containers: Mapping[str, str],
    warnings: tuple[str, ...],
) -> RunSheet:
    take_out = take_out_rows(worklist, containers)
    return RunSheet(
        worklist=worklist,
        part=part,
        title=worklist.name,
        procedure=procedure_title(worklist.procedure),
        code=f"nkloop:run:{run}" if run else f"nkloop:worklist:{worklist.content_hash[:16]}",
        planned_on=planned_on,
        verdict=verdict,
        next_action=_next_action(take_out, worklist),
        lead=_lead(take_out, now),
        take_out=take_out,
        load=sheet_loads(worklist, catalogue, containers),
        dilutions=dilution_sentences(worklist, catalogue),
        second_checks=_second_checks(worklist),
        blocks=step_blocks(worklist, catalogue, minutes),
        minutes=sum(minutes.values()) if minutes else None,
        limits=_limits(worklist),
        tips=_tips(worklist),
        warnings=warnings,
        afterwards=cells_back_told(worklist),
    )


def sheet_loads(
    worklist: Worklist, catalogue: LabwareTitles | None, containers: Mapping[str, str] = MappingProxyType({})
) -> tuple[SheetLoad, ...]:
    """The loading list, with expiry, what is scanned, and what stays in the fridge.

    Args:
        worklist: what is run.
        catalogue: gives labware its title.
        containers: those to take, in words, by lot.
    """
    codes = {lot_words(lot): tube_codes(lot)[0] for one in cell_tubes(worklist) if (lot := one.liquid.lot)}
    stays, loaded = _left_loads(worklist, catalogue), worklist
    if stays:
        named = tuple(filling for filling in worklist.fillings if not is_left_unnamed(filling))
        loaded = worklist.model_copy(update={"fillings": named})
    later = {name: f" (only at step {number})" for name, number in _brought_later(worklist).items()}
    lots = {lot_words(lot.id): lot for lot in worklist.lots}
    taken = {lot.id: sum(f.volume_ul for f in worklist.fillings if f.liquid.lot == lot.id) for lot in worklist.lots}
    rows = tuple(
        SheetLoad(
            slot=row.slot,
            labware=row.labware,
            wells=row.wells,
            liquid=f"{row.liquid}{later.get(row.liquid, '')}",
            lot=row.lot,
            expires=f"{lots[row.lot].expires}" if row.lot in lots else "",
            volume=row.volume,
            remaining=_remaining(lots.get(row.lot), taken),
            scanned=containers.get(row.lot, "") or codes.get(row.lot, ""),
        )
        for row in load_rows(loaded, catalogue)
    )
    return tuple(sorted((*rows, *stays), key=lambda row: (row.slot, row.labware)))


def _left_loads(worklist: Worklist, catalogue: LabwareTitles | None) -> tuple[SheetLoad, ...]:
    """What an interrupted run made and left on the deck, in one line per labware: nothing of it is loaded."""
    found: dict[str, list[Filling]] = {}
    for filling in filter(is_left_unnamed, worklist.fillings):
        found.setdefault(filling.labware, []).append(filling)
    return tuple(_left_load(worklist.item(name), fillings, catalogue) for name, fillings in found.items())


def _left_load(item: DeckItem, fillings: Sequence[Filling], catalogue: LabwareTitles | None) -> SheetLoad:
    least, most = (volume(pick(one.volume_ul for one in fillings)) for pick in (min, max))
    return SheetLoad(
        slot=item.slot,
        labware=title_in_use(item, catalogue),
        wells=", ".join(well_ranges(one.well for one in fillings)),
        liquid=f"leave it as {left_by(fillings[0])} left it",
        lot="",
        expires="",
        volume=least if least == most else f"{least} to {most}",
        remaining="",
    )


def _brought_later(worklist: Worklist) -> dict[str, int]:
    """Liquids that a step brings to the deck, and its number; of one that is loaded in part at once nothing is told."""
    arrivals: dict[str, set[int | None]] = {}
    for filling in worklist.fillings:
        step = brought_by(filling, worklist)
        arrivals.setdefault(filling.liquid.name, set()).add(None if step is None else step.number)
    later = {name: min(filter(None, numbers)) for name, numbers in arrivals.items() if None not in numbers}
    later |= {
        filling.liquid.name: step.number
        for step in worklist.steps
        if step.operator is not None and step.operator.kind == "equilibrate"
        for filling in worklist.fillings
        if is_about(step.operator, (filling.labware, filling.well))
    }
    for name in worklist.limits.cells_in:
        if (number := brought_at(name, worklist)) is not None:
            later[CULTURES] = number
    return later


def _remaining(lot: LotFacts | None, taken: Mapping[str, float]) -> str:
    return "" if lot is None else volume(max(0.0, lot.on_hand_ul - taken[lot.id]))


def _next_action(take_out: Sequence[TakeOut], worklist: Worklist) -> str:
    left = listing(runs_left_by(worklist))
    if take_out and take_out[0].lead_minutes:
        first = [row.liquid for row in take_out if row.lead_minutes == take_out[0].lead_minutes]
        named = listing(first) if len(first) <= 4 else f"{listing(first[:3])} and {len(first) - 3} more"
        stays = f" Leave the deck as {left} left it." if left else ""
        return f"Next, {take_out[0].when} the robot starts: {take_out[0].how}: {named}.{stays}"
    if left:
        later = any(brought_by(filling, worklist) is not None for filling in worklist.fillings)
        rest = "what a later step brings stays where it is" if later else "nothing is to be taken out before"
        return f"Next: leave the deck as {left} left it; {rest}. {_begins(worklist)}"
    return f"Next: load the deck as drawn for {worklist.name}, then start the robot."


def _begins(worklist: Worklist) -> str:
    """What comes first when the robot is started."""
    first = worklist.steps[0]
    if first.operator is not None:
        takes = f", {duration(first.operator.minutes)}" if first.operator.minutes else ""
        return f"It begins with a task of yours{takes}: {first.operator.instruction}"
    told = f": {first.comment}" if first.comment else ""
    return f"Start the robot: it goes on at once with step {first.number}{told}."


def _lead(take_out: Sequence[TakeOut], now: datetime | None) -> str:
    if now is None or not take_out or not take_out[0].lead_minutes:
        return ""
    earliest = now + timedelta(minutes=take_out[0].lead_minutes)
    return f"Begun now, the robot can start at {moment(earliest)} at the earliest."


def _second_checks(worklist: Worklist) -> tuple[SecondCheck, ...]:
    rows = []
    for filling in worklist.fillings:
        if any(word in filling.liquid.name.lower() for word in CRITICAL):
            lot = f" of lot {filling.liquid.lot}" if filling.liquid.lot else ""
            what = f"{volume(filling.volume_ul)}{lot} in {filling.labware} {filling.well}"
            rows.append(SecondCheck(liquid=filling.liquid.name, what=what))
    return tuple(rows)


def _limits(worklist: Worklist) -> tuple[str, ...]:
    told = []
    if worklist.unverified:
        told.append(f"Unverified values, published and checked by nobody: {listing(worklist.unverified)}.")
    if worklist.limits.cells_in or any(":" in name for f in worklist.fillings for name in f.liquid.per_ul):
        told.append(f"Cells: at most {plain(worklist.limits.cells_out_minutes)} min on the deck between incubations.")
    elif any(vessel.volume_ul > 0 for vessel in worklist.vessels):
        told.append(
            f"Closed vessels: each at most {plain(worklist.limits.cells_out_minutes)} min out of the incubator."
        )
    if worklist.limits.thawed_minutes is not None:
        frozen = listing([lot.component for lot in worklist.lots if lot.keep_cold])
        told.append(
            f"{frozen}: at most {plain(worklist.limits.thawed_minutes)} min from the freezer to the last culture."
        )
    if by_hand := by_hand_ul(worklist):
        told.append(f"Base medium that people run into vessels: {volume(by_hand)} in all.")
    told += [_prepared(one) for one in worklist.prepared]
    if worklist.use_until is not None and is_kept(worklist):
        told.append(f"What is made may be used until {worklist.use_until}.")
    dark = [lot.component for lot in worklist.lots if lot.light_sensitive]
    if dark:
        most = f"at most {plain(worklist.limits.light_minutes)} min open"
        told.append(f"Keep in the dark until it is used, {most}: {listing(dark)}.")
    cooled = [item for item in worklist.deck if item.temperature_c is not None]
    told += [f"Slot {item.slot} ({item.label or item.nickname}) is held at {plain(item.temperature_c or 0)} °C."
             for item in cooled]  # fmt: skip
    return tuple(told)


def _prepared(liquid: PreparedErrors) -> str:
    cv = max(liquid.errors.items(), key=lambda one: one[1].cv_percent)
    bias = max(liquid.errors.items(), key=lambda one: one[1].bias_percent)
    return (
        f"{lot_words(liquid.lots[0])}: predicted to be off by up to {plain(round(cv[1].cv_percent, 2))} % CV ({cv[0]}) "
        f"and {plain(round(bias[1].bias_percent, 2))} % systematic error ({bias[0]}), {liquid.origin}. All vessels get "
        "it alike."
    )


def is_kept(worklist: Worklist) -> bool:
    """Whether what a run makes is used later: medium and dose tubes; no culture, killing plate or thawed vector is."""
    is_made = worklist.procedure == "medium_preparation" or bool(worklist.vessels)
    return is_made and worklist.procedure != "cytotoxicity_assay" and worklist.limits.thawed_minutes is None


def _tips(worklist: Worklist) -> tuple[str, ...]:
    racks = {item.nickname: item for item in worklist.deck}
    used: dict[str, int] = {}
    for step in worklist.steps:
        if step.tip:
            rack = step.tip.partition(":")[0]
            used[rack] = used.get(rack, 0) + step.channels
    named = [(racks[rack].slot, racks[rack].label or rack, number) for rack, number in used.items() if rack in racks]
    return tuple(f"{slot}: {label}, {count(number, 'tip')} used" for slot, label, number in sorted(named))
