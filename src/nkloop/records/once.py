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
from nkloop.records.claims import other_holder
from nkloop.records.journal_rows import (
    OPENED,
    devices_of_row,
    last_decision,
    last_events,
    run_row,
    worklist_of,
)
from nkloop.records.lineage import (
    anew,
    decision_id,
    entry_of,
    has_moved,
    is_near,
    is_of_another,
    line_of,
    number_of,
    taken_of,
    tree_of,
)
from nkloop.records.models import RUN_OVER, RunDecision, n_done
from nkloop.records.since import as_it_stands, done_since, require_enough
from nkloop.records.touched import feeds_standing, fills_vessels
from nkloop.worklists.models import Worklist

_RUNS = schema.runs
_FED = (
    "the next feed is planned from what the wells hold now; "
    "this one planned anew would feed the same plate a second time"
)


def require_left(
    connection: sa.Connection, run_id: str, made: Worklist, bench: str, devices: Collection[str], serial: str | None
) -> None:
    """Refuse a worklist that is not, or no longer, what the last decision about a run left to be done here.

    Args:
        connection: of the transaction.
        run_id: the run.
        made: the worklist.
        bench: where it is to be run.
        devices: claimed for it.
        serial: serial number of the device; None where it tells none.

    Raises:
        RecordError: it was decided otherwise, something was done since, or it stands on another bench or device.
    """
    require_undone(connection, run_id)
    row, decision = run_row(connection, run_id), last_decision(connection, run_id)
    if not is_near(row, bench, devices):
        raise RecordError(
            f"run {run_id} was on bench {row['bench']}: what it left stands on that deck, not on {bench}",
            remedy=f"go on with it there: --bench {row['bench']}",
        )
    _require_device(connection, row, decision, serial)
    left = left_of(connection, run_id, made)
    if left.content_hash == made.content_hash:
        return
    if left.model_copy(update={"fillings": made.fillings}).content_hash == made.content_hash:
        raise RecordError(
            f"other runs have drawn since from what run {run_id} left, so '{made.name}' counts on more than is there",
            where=f"run {run_id}",
            remedy=f"start it as what the run left, which counts anew: `nkloop run {run_id}`",
        )
    raise _decided_otherwise(run_id, decision, made)


def left_of(connection: sa.Connection, run_id: str, known: Worklist | None = None) -> Worklist:
    """What the last decision about a run left to be done, as it may be done now, where `require_undone` was asked.

    Args:
        connection: of the transaction.
        run_id: the run.
        known: a worklist that it may be, so that it need not be read.

    Raises:
        RecordError: nothing was left, it was done with the whole worklist since, or others have changed what it needs.
    """
    decision = last_decision(connection, run_id)
    if decision is None or decision.follow_up is None:
        raise _decided_otherwise(run_id, decision, known)
    decided = entry_of(connection, f"run_decisions:{decision_id(connection, run_id)}")
    for other in _of_same_worklist(connection, run_id):
        if entry_of(connection, f"runs:{other['id']}") > decided:
            remedy = f"decide again whether the rest is due: `nkloop reconcile {run_id}`"
            raise done_since(run_id, other, "its worklist was begun once more", remedy)
    is_known = known is not None and known.content_hash == decision.follow_up
    _require_undone_by_people(connection, run_id, decided)
    made = known if known is not None and is_known else worklist_of(connection, decision.follow_up)
    now = as_it_stands(connection, run_id, made)
    if now is not made:
        require_enough(connection, run_id, made, now)
    return now


def _require_undone_by_people(connection: sa.Connection, run_id: str, decided: int) -> None:
    """Refuse a rest that was made before somebody confirmed a task of it in the run itself."""
    table = schema.step_events
    query = sa.select(table.c.step, table.c.entry).where(table.c.run_id == run_id, table.c.event == "done")
    last = connection.execute(query.order_by(table.c.entry.desc()).limit(1)).first()
    if last is not None and entry_of(connection, f"step_events:{run_id}/{last.entry}") > decided:
        raise RecordError(
            f"what run {run_id} left cannot be done any more as it was decided: step {last.step} of it has been "
            "confirmed since",
            where=f"run {run_id}",
            remedy=f"decide again about what is left: `nkloop reconcile {run_id} --decide continue"
            f"{anew(connection, run_id)} --by NAME --reason WHY`",
        )


def _require_device(connection: sa.Connection, row: Any, decision: RunDecision | None, serial: str | None) -> None:
    """Refuse another device than the run's own, unless people have carried its deck over to that one and said so."""
    own = row["device_serial"]
    if own is None or serial in {None, own} or (decision is not None and decision.carried_to == serial):
        return
    raise RecordError(
        f"run {row['id']} was on {row['device']} with serial number {own}, but {serial} answers on bench "
        f"{row['bench']}: what the run left stands on the deck of the other one",
        where=f"run {row['id']}",
        remedy="connect that device; if it was replaced and all that stood on its deck was carried over, say so: "
        f"`nkloop reconcile {row['id']} --decide continue --robot-replaced{anew(connection, row['id'])} --by NAME "
        "--reason WHY`",
    )


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
        raise _followed(connection, run_id, taken[-1])
    if not any(has_moved(connection, row["id"]) for row in line):
        for other in _of_same_worklist(connection, run_id):
            raise done_since(run_id, other, "it moved nothing and its worklist was run by another", "plan anew")


def require_first(
    connection: sa.Connection,
    worklist_hash: str,
    bench: str,
    devices: Collection[str],
    known: Collection[str],
    *,
    batch: str | None = None,
    is_part: bool = False,
) -> None:
    """Refuse a worklist that was run here, wholly or in part, by a run that whoever asks for it does not know of.

    Args:
        connection: of the transaction.
        worklist_hash: what is to be run.
        bench: where.
        devices: claimed for it.
        known: ids of the runs it is meant to be done besides.
        batch: the culture it is for; what was done for another one is not this.
        is_part: whether it is one of several, so that to do it once more is not said of it alone.

    Raises:
        RecordError: it was; the run and what there is to do instead are told.
    """
    query = sa.select(_RUNS).where(_RUNS.c.worklist_hash == worklist_hash).order_by(*OPENED)
    rows = [row for row in connection.execute(query).mappings().all() if not is_of_another(row["batch"], batch)]
    near = [row for row in rows if is_near(row, bench, devices)]
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
        and not is_of_another(row["batch"], root["batch"])
        and is_near(row, root["bench"], devices_of_row(root))
    ]
    return [taken for row in others for taken in taken_of(connection, row["id"])]


def _told(decision: RunDecision | None) -> str:
    if decision is None:
        return ""
    return f"; decided already: {decision.decision}, by {decision.by}, at {decision.at:%Y-%m-%d %H:%M} UTC"


def _followed(connection: sa.Connection, run_id: str, by: Any) -> RecordError:
    decision, next_one = last_decision(connection, run_id), last_decision(connection, by["id"])
    is_cut = by["state"] in RUN_OVER and by["state"] != "succeeded"
    has_rest = is_cut and (next_one is None or next_one.follow_up is not None)
    return RecordError(
        f"run {run_id} has been followed by {by['id']} ({by['state']}), so what it left is gone{_told(decision)}",
        remedy=_rest_of(by["id"], next_one) if has_rest else f"look at {by['id']}: `nkloop run show {by['id']}`",
    )


def _decided_otherwise(run_id: str, decision: RunDecision | None, made: Worklist | None) -> RecordError:
    what = f"'{made.name}'" if made is not None else "what would follow"
    is_gone = decision is not None and decision.follow_up is None
    return RecordError(
        f"{what} is not what was last decided about run {run_id}{_told(decision) or '; nobody has decided'}",
        remedy="nothing is left to be run of it" if is_gone else f"see what it left: `nkloop reconcile {run_id}`",
    )


def _rest_of(run_id: str, decision: RunDecision | None) -> str:
    """How the rest of a run is done, by what was decided about it."""
    if decision is None:
        return f"to do the rest: `nkloop reconcile {run_id}`"
    return "nothing is left to be run of it" if decision.follow_up is None else f"to do the rest: `nkloop run {run_id}`"


def _begun_already(connection: sa.Connection, row: Any, worklist_hash: str, *, is_part: bool) -> RecordError:
    run_id, made = row["id"], worklist_of(connection, worklist_hash)
    when = f" on {row['ended_at']:%Y-%m-%d %H:%M} UTC by the clock of its bench" if row["ended_at"] else ""
    is_once, is_over = fills_vessels(made), row["state"] in RUN_OVER
    holder = None if is_over else other_holder(connection, row["locks"])
    done = f"{n_done(last_events(connection, run_id))} of {len(made.steps)} steps"
    anew = "plan it anew, which takes vessels of its own" if is_once else "say --again"
    is_feed = feeds_standing(made)
    if row["state"] == "succeeded":
        told, remedy = f"was run already, as {run_id}{when}", "it was done: do nothing" if is_feed else ""
        anew = _FED if is_feed else f"to have it once more, {anew}"
    elif holder is not None:
        told = f"is being run now, as {run_id}: at least {done} are done, and {holder.device} is held by "
        told += f"{holder.holder} since {holder.claimed_at:%Y-%m-%d %H:%M:%S} UTC"
        remedy, anew = f"wait until it has ended, then see what it did: `nkloop run show {run_id}`", ""
    else:
        least, still = ("", "") if is_over else ("at least ", ", and it is not over")
        told = f"was begun already, as {run_id}{when}: {least}{done} were done{still}"
        told += _told(decision := last_decision(connection, run_id))
        # what is not over is not among the runs that --again is said of
        anew = _FED if is_feed else f"to begin anew, {anew}" if is_over or is_once else ""
        remedy = _rest_of(run_id, decision)
    remedy = "; ".join(filter(None, (remedy, "" if is_part else anew)))
    return RecordError(f"{row['name']} {told}", where=f"worklist {worklist_hash[:12]}", remedy=remedy)
