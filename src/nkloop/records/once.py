"""What may be taken up once only: the rest that a decision left of a run, a worklist, a place in a launch.

Asked in the transaction that opens the run or saves the decision, so that of two who want the same one is refused,
however long each has verified or waited for the device. A run and all that continue it are one tree; what one of them
left is there for its next one only as long as nothing else in the tree is open or has moved anything.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from nkloop.errors import RecordError
from nkloop.records import schema
from nkloop.records.journal_rows import (
    devices_of_row,
    last_decision,
    last_events,
    rows_with_labware,
    run_row,
    worklist_of,
)
from nkloop.records.lineage import decision_id, entry_of, has_moved, is_near, line_of, number_of, taken_of, tree_of
from nkloop.records.models import RUN_OVER, RunDecision, n_done
from nkloop.records.touched import touched
from nkloop.worklists.models import Worklist

_RUNS = schema.runs


def require_left(connection: sa.Connection, run_id: str, made: Worklist, bench: str, devices: Collection[str]) -> None:
    """Refuse a worklist that is not, or no longer, what the last decision about a run left to be done here.

    Raises:
        RecordError: it was decided otherwise, something was done since, or it stands on another bench.
    """
    require_undone(connection, run_id)
    require_as_decided(connection, run_id, made, bench, devices)


def require_as_decided(
    connection: sa.Connection, run_id: str, made: Worklist, bench: str, devices: Collection[str]
) -> None:
    """The same where `require_undone` was asked already.

    Raises:
        RecordError: as `require_left` does.
    """
    row, decision = run_row(connection, run_id), last_decision(connection, run_id)
    if decision is None or decision.follow_up != made.content_hash:
        raise _decided_otherwise(run_id, decision, made)
    if not is_near(row, bench, devices):
        raise RecordError(
            f"run {run_id} was on bench {row['bench']}: what it left stands on that deck, not on {bench}",
            remedy=f"go on with it there: --bench {row['bench']}",
        )
    decided = entry_of(connection, f"run_decisions:{decision_id(connection, run_id)}")
    for other in _of_same_worklist(connection, run_id):
        if entry_of(connection, f"runs:{other['id']}") > decided:
            raise _done_since(run_id, other, "its worklist was begun once more", "decide again whether the rest is due")
    require_wells(connection, run_id, made)


def require_undone(connection: sa.Connection, run_id: str) -> None:
    """Refuse when what a run left is gone: continued, decided otherwise further up, or done by a run of its worklist.

    Raises:
        RecordError: it is; the run that did it is named.
    """
    line = line_of(connection, run_id)
    for above, below in pairwise(line):
        decision = last_decision(connection, above["id"])
        if not has_moved(connection, below["id"]) and (
            decision is None or decision.follow_up != below["worklist_hash"]
        ):
            raise _decided_otherwise(above["id"], decision, None)
    own = {row["id"] for row in line}
    if taken := [row for row in taken_of(connection, line[0]["id"]) if row["id"] not in own]:
        raise _followed(run_id, taken[-1], last_decision(connection, run_id))
    if not any(has_moved(connection, row["id"]) for row in line):
        for other in _of_same_worklist(connection, run_id):
            raise _done_since(run_id, other, "it moved nothing and its worklist was run by another", "plan anew")


def require_first(
    connection: sa.Connection,
    worklist_hash: str,
    bench: str,
    devices: Collection[str],
    known: Collection[str],
    *,
    is_part: bool = False,
) -> None:
    """Refuse a worklist that was run here, wholly or in part, by a run that whoever asks for it does not know of.

    Args:
        connection: of the transaction.
        worklist_hash: what is to be run.
        bench: where.
        devices: claimed for it.
        known: ids of the runs it is meant to be done besides.
        is_part: whether it is one of several, so that to do it once more is not said of it alone.

    Raises:
        RecordError: it was; the run and what there is to do instead are told.
    """
    query = sa.select(_RUNS).where(_RUNS.c.worklist_hash == worklist_hash).order_by(_RUNS.c.created_at, _RUNS.c.id)
    near = [row for row in connection.execute(query).mappings().all() if is_near(row, bench, devices)]
    if taken := [one for row in near for one in taken_of(connection, row["id"]) if one["id"] not in known]:
        raise _begun_already(connection, taken[-1], worklist_hash, is_part=is_part)


def require_place(connection: sa.Connection, occurrence: str, parent: str | None) -> None:
    """Refuse to do the work of a place in a launch that was done, or is being done, by a run that is not continued.

    Raises:
        RecordError: it was; the run is named.
    """
    own = {row["id"] for row in line_of(connection, parent)} if parent is not None else set()
    found = connection.execute(sa.select(_RUNS.c.id).where(_RUNS.c.occurrence == occurrence)).scalars().all()
    for run_id in found:
        if taken := [row for row in taken_of(connection, run_id) if row["id"] not in own]:
            raise RecordError(
                f"this place of the launch was taken up already, by {taken[-1]['id']} ({taken[-1]['state']})",
                where=f"run {taken[-1]['id']}",
                remedy="retry the flow run: it goes on from what was done; to do it once more, launch the flow anew",
            )


def require_wells(connection: sa.Connection, run_id: str, made: Worklist) -> None:
    """Refuse a worklist that follows from what a run left in its wells when another run has changed one of them since.

    Those are the wells it gives into and those it draws from: a source that holds less than was left gives air.

    Raises:
        RecordError: one has; it is named with the well.
    """
    needed = {(one.barcode, one.well) for one in touched(made, {step.number for step in made.steps})}
    tree = {row["id"] for row in tree_of(connection, line_of(connection, run_id)[0]["id"])}
    for row in rows_with_labware(connection, {barcode for barcode, _ in needed}):
        if row["id"] in tree or number_of(row["id"]) < number_of(run_id):
            continue
        moved = {step.number for step in last_events(connection, row["id"]) if step.has_moved}
        for barcode, well, how in touched(worklist_of(connection, row["worklist_hash"]), moved):
            if (barcode, well) in needed:
                told = f"{barcode} {well} was {how} since, so that it no longer holds what was left"
                raise _done_since(run_id, row, told, "discard the wells and plan what they still need anew")


def _of_same_worklist(connection: sa.Connection, run_id: str) -> list[Any]:
    """Runs of the worklist that a run goes back to, outside of its own tree and opened after it, that are taken up."""
    root = line_of(connection, run_id)[0]
    own = {row["id"] for row in tree_of(connection, root["id"])}
    query = sa.select(_RUNS).where(_RUNS.c.worklist_hash == root["worklist_hash"])
    others = [
        row
        for row in connection.execute(query).mappings().all()
        if row["id"] not in own
        and number_of(row["id"]) > number_of(root["id"])
        and is_near(row, root["bench"], devices_of_row(root))
    ]
    return [taken for row in others for taken in taken_of(connection, row["id"])]


def _told(decision: RunDecision | None) -> str:
    if decision is None:
        return ""
    return f"; decided already: {decision.decision}, by {decision.by}, at {decision.at:%Y-%m-%d %H:%M} UTC"


def _followed(run_id: str, by: Any, decision: RunDecision | None) -> RecordError:
    return RecordError(
        f"run {run_id} has been followed by {by['id']} ({by['state']}), so what it left is gone{_told(decision)}",
        remedy=f"look at {by['id']}: `nkloop run show {by['id']}`",
    )


def _decided_otherwise(run_id: str, decision: RunDecision | None, made: Worklist | None) -> RecordError:
    what = f"'{made.name}'" if made is not None else "what would follow"
    is_gone = decision is not None and decision.follow_up is None
    return RecordError(
        f"{what} is not what was last decided about run {run_id}{_told(decision) or '; nobody has decided'}",
        remedy="nothing is left to be run of it" if is_gone else f"see what it left: `nkloop reconcile {run_id}`",
    )


def _done_since(run_id: str, other: Any, what: str, remedy: str) -> RecordError:
    return RecordError(
        f"what run {run_id} left cannot be done any more as it was decided: {what}, {other['id']} ({other['state']})",
        remedy=f"look at {other['id']}: `nkloop run show {other['id']}`; {remedy}",
    )


def _rest_of(run_id: str, decision: RunDecision | None) -> str:
    """How the rest of a run is done, by what was decided about it."""
    if decision is None:
        return f"to do the rest: `nkloop reconcile {run_id}`"
    return "nothing is left to be run of it" if decision.follow_up is None else f"to do the rest: `nkloop run {run_id}`"


def _begun_already(connection: sa.Connection, row: Any, worklist_hash: str, *, is_part: bool) -> RecordError:
    run_id, steps = row["id"], last_events(connection, row["id"])
    when = f" on {row['ended_at']:%Y-%m-%d %H:%M} UTC" if row["ended_at"] else ""
    if row["state"] == "succeeded":
        told, remedy, anew = (
            f"was run already, as {run_id}{when}",
            "",
            "if it is really to be done once more, say --again",
        )
    else:
        least, still = ("", "") if row["state"] in RUN_OVER else ("at least ", ", and it is not over")
        told = f"was begun already, as {run_id}{when}: {least}{n_done(steps)} of {len(steps)} steps were done{still}"
        told += _told(decision := last_decision(connection, run_id))
        remedy, anew = _rest_of(run_id, decision), "to begin anew with fresh labware, say --again"
    remedy = "; ".join(filter(None, (remedy, "" if is_part else anew)))
    return RecordError(f"{row['name']} {told}", where=f"worklist {worklist_hash[:12]}", remedy=remedy)
