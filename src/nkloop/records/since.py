"""What other runs have done, since a run left them, to the wells and closed vessels that its rest needs.

Others may have drawn from a well that the rest only draws from, too: it holds less then, of the same. Everything else
they did leaves something that the rest was not made for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.records import schema
from nkloop.records.journal_rows import last_decision, last_events, rows_with_labware, worklist_of
from nkloop.records.lineage import anew, entry_of, line_of, number_of, tree_of
from nkloop.records.models import RUN_OVER
from nkloop.records.touched import DRAWN, Place, Touched, held_wells, touched
from nkloop.worklists.models import Filling, Worklist

_EVENTS = schema.step_events
_ENDS = ("done", "failed", "unknown")
"""Events that end a step."""
_SLACK_UL = 0.01
_PERIOD = ("campaign", "round", "batch")
"""What a run belongs to: vessels of the same name in another one are others."""


class _Change(NamedTuple):
    run: Any
    worklist: Worklist
    touch: Touched


def as_it_stands(connection: sa.Connection, run_id: str, made: Worklist, apart: Collection[str] = ()) -> Worklist:
    """A worklist that follows from what a run left, with what others have drawn since from its sources taken off.

    Args:
        connection: of the transaction.
        run_id: the run.
        made: the worklist.
        apart: runs since whose closed vessels only have the names of these; those that the decisions it follows from
            name count as well.

    Raises:
        RecordError: another run has changed a well or vessel it needs in another way, or is about to.
    """
    needed = _needed(made)
    fillings = _sources(made, needed)
    drawn: dict[Place, float] = defaultdict(float)
    line = line_of(connection, run_id)
    told, first = {*apart, *_told_apart(connection, line)}, line[0]
    was_new = _new_vessels(connection, first, needed)
    for change in _by_others(connection, run_id, first, needed):
        one, row = change.touch, change.run
        if not one.barcode and (row["id"] in told or _is_another(one.well, first, was_new, change)):
            continue
        if one.how != DRAWN or one.spot not in fillings or row["state"] not in RUN_OVER:
            raise _changed(connection, run_id, change)
        drawn[one.spot] += one.volume_ul
    lower = {fillings[place]: volume for place, volume in drawn.items()}
    kept = [_less(one, lower.get((one.labware, one.well), 0.0)) for one in made.fillings]
    return made.model_copy(update={"fillings": tuple(one for one in kept if one.volume_ul > 0)}) if lower else made


def require_enough(connection: sa.Connection, run_id: str, made: Worklist, now: Worklist) -> None:
    """Refuse a worklist whose sources no longer hold what it draws from them; their dead volumes are judged elsewhere.

    Raises:
        RecordError: with the source, what it held and holds, and what is needed.
    """
    barcodes = {item.nickname: item.barcode or "" for item in made.deck}
    needs: dict[Place, float] = defaultdict(float)
    for one in touched(made):
        needs[one.spot] += one.volume_ul
    left = {(barcodes.get(one.labware, ""), one.well): one.volume_ul for one in now.fillings}
    for before in made.fillings:
        place = barcodes.get(before.labware, ""), before.well
        held = left.get(place, 0.0)
        if held < before.volume_ul and needs[place] > held + _SLACK_UL:
            raise RecordError(
                f"{place[0]} {place[1]} held {before.volume_ul:g} µL when run {run_id} left it; other runs have drawn "
                f"from it since, {held:g} µL are left, and {needs[place]:g} µL are needed",
                where=f"run {run_id}",
                remedy=f"decide anew on what it holds now: `nkloop reconcile {run_id} --decide continue"
                f"{anew(connection, run_id)}`, with --well "
                "for the wells it no longer reaches",
            )


def done_since(run_id: str, other: Any, what: str, remedy: str) -> RecordError:
    """What is told of a run whose rest another run stands in the way of."""
    return RecordError(
        f"what run {run_id} left cannot be done any more as it was decided: {what}, {other['id']} ({other['state']})",
        remedy=f"look at {other['id']}: `nkloop run show {other['id']}`; {remedy}",
    )


def _needed(made: Worklist) -> dict[Place, set[str]]:
    """What a worklist does to each well and vessel it changes."""
    found: dict[Place, set[str]] = defaultdict(set)
    for one in touched(made):
        found[one.spot].add(one.how)
    return found


def _sources(made: Worklist, needed: Mapping[Place, set[str]]) -> dict[Place, tuple[str, str]]:
    """Wells that are only drawn from, with nickname and well of their filling."""
    filled = held_wells(made).items()
    return {place: (one.labware, one.well) for place, one in filled if needed.get(place) == {DRAWN}}


def _less(filling: Filling, drawn_ul: float) -> Filling:
    return filling.model_copy(update={"volume_ul": round(filling.volume_ul - drawn_ul, 3)}) if drawn_ul else filling


def _by_others(connection: sa.Connection, run_id: str, first: Any, needed: Collection[Place]) -> Iterator[_Change]:
    """What runs outside of the tree of `first` have done since to any of these, or will do while they are open."""
    names = {barcode or name for barcode, name in needed}
    tree = {row["id"] for row in tree_of(connection, first["id"])}
    begun = entry_of(connection, f"runs:{run_id}")
    for row in rows_with_labware(connection, names):
        is_earlier = number_of(row["id"]) < number_of(run_id)
        if row["id"] in tree or (is_earlier and _was_over(connection, row, begun)):
            continue
        worklist = worklist_of(connection, row["worklist_hash"])
        before = _ended_before(connection, row, worklist, begun) if is_earlier else set()
        for one in touched(worklist, may_move(connection, row, worklist) - before):
            if one.spot in needed:
                yield _Change(row, worklist, one)


def _was_over(connection: sa.Connection, row: Any, entry: int) -> bool:
    """Whether all that the journal tells of a run was told before this entry of the audit chain; spares reading it."""
    last = connection.execute(sa.select(sa.func.max(_EVENTS.c.entry)).where(_EVENTS.c.run_id == row["id"])).scalar()
    return row["state"] in RUN_OVER and entry_of(connection, f"step_events:{row['id']}/{last}") < entry


def _ended_before(connection: sa.Connection, row: Any, worklist: Worklist, entry: int) -> set[int]:
    """Steps of a run that had ended by this entry of the audit chain, whatever its device has told of them since.

    What people have done by hand of it since is a change of today, although its run had ended without it.
    """
    of_people = {step.number for step in worklist.steps if step.operator is not None}
    first = _entries(connection, row["id"], sa.func.min, _ENDS)
    undone = _entries(connection, row["id"], sa.func.min, ("failed",))
    last = _entries(connection, row["id"], sa.func.max, ("done",))
    by_hand = {n for n, at in undone.items() if n in of_people and at == first[n] and last.get(n, 0) > entry}
    return {n for n, at in first.items() if at < entry} - by_hand


def _entries(connection: sa.Connection, run_id: str, which: Any, events: Collection[str]) -> dict[int, int]:
    """Step to the entry of the audit chain of its first or last event of these kinds."""
    query = sa.select(_EVENTS.c.step, which(_EVENTS.c.entry)).group_by(_EVENTS.c.step)
    rows = connection.execute(query.where(_EVENTS.c.run_id == run_id, _EVENTS.c.event.in_(events))).all()
    numbers = {batch: entry_of(connection, f"step_events:{run_id}/{batch}") for batch in {batch for _, batch in rows}}
    return {step: numbers[batch] for step, batch in rows}


def may_move(connection: sa.Connection, row: Any, worklist: Worklist) -> set[int]:
    """Numbers of the steps of a run that happened or may have; of one that is not over those that may follow, too."""
    if row["state"] not in RUN_OVER:
        return {step.number for step in worklist.steps}
    return moved_of(connection, row["id"])


def moved_of(connection: sa.Connection, run_id: str) -> set[int]:
    """Numbers of the steps of a run that happened, or may have by all that its device and people have said."""
    decision = last_decision(connection, run_id)
    said = decision.rulings if decision is not None else ()
    denied = {one.number for one in said if one.happened is False and not one.is_partly}
    steps = [step for step in last_events(connection, run_id) if step.has_moved]
    # what was denied may have been done by hand since
    return {one.number for one in steps if one.event == "done" or one.moved_ul or one.number not in denied}


def _told_apart(connection: sa.Connection, line: Iterable[Any]) -> Iterator[str]:
    for row in line:
        decision = last_decision(connection, row["id"])
        yield from decision.apart if decision is not None else ()


def _new_vessels(connection: sa.Connection, first: Any, needed: Collection[Place]) -> dict[str, bool]:
    """Closed vessels of the first run of a line, and whether they were empty when it began."""
    if all(barcode for barcode, _ in needed):
        return {}  # spares reading its worklist
    return {one.name: one.volume_ul == 0 for one in worklist_of(connection, first["worklist_hash"]).vessels}


def _is_another(name: str, mine: Any, was_new: Mapping[str, bool], change: _Change) -> bool:
    """Whether a closed vessel of another run is certainly not the one of the same name.

    It is another when both runs say what they belong to and it differs, or when it was empty at the start of that run
    and this one had been in use before.
    """
    other = change.run
    if any(mine[one] is not None and other[one] is not None and mine[one] != other[one] for one in _PERIOD):
        return True
    begins_empty = any(one.name == name and one.volume_ul == 0 for one in change.worklist.vessels)
    return begins_empty and not was_new.get(name, True)


def _changed(connection: sa.Connection, run_id: str, change: _Change) -> RecordError:
    one, row = change.touch, change.run
    others = "" if one.barcode else _others(connection, run_id, row)
    if row["state"] not in RUN_OVER:
        told = f"{one.place} is to be {one.how} by a run that is not over"
        return done_since(run_id, row, told, f"wait for its end, or close it: `nkloop reconcile {row['id']}`{others}")
    remedy = f"plan what the vessel still needs anew{others}"
    if one.barcode:
        remedy = "discard the wells and plan what they still need anew"
    return done_since(run_id, row, f"{one.place} was {one.how} since, so that it no longer holds what was left", remedy)


def _others(connection: sa.Connection, run_id: str, row: Any) -> str:
    """What is told beside the remedy of a closed vessel, which has no barcode."""
    is_over = row["state"] in RUN_OVER
    command = f"`nkloop reconcile {run_id} --decide continue --other-vessels {row['id']}{anew(connection, run_id)}`"
    return f"; if that run {'was' if is_over else 'is'} about another vessel of this name, say so: {command}"
