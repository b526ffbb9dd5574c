"""Plans that other runs have overtaken: what stands in a well is no longer what was counted on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from nkloop.errors import RecordError, first_of
from nkloop.records.journal_rows import rows_with_labware, worklist_of
from nkloop.records.lineage import is_near, number_of
from nkloop.records.models import RUN_OVER
from nkloop.records.since import may_move
from nkloop.records.touched import MIXED, Place, given_wells, touched
from nkloop.worklists.models import PlannedOn, Worklist

_SHOWN = 8
"""Most wells that a refusal names."""


def planned_on(connection: sa.Connection, worklists: Sequence[Worklist], bench: str) -> tuple[Worklist, ...]:
    """The worklists of a plan in their order, each with the last run that had changed what it gives into.

    What an earlier part of the plan gives into first is told by that part alone.
    """
    told: list[Worklist] = []
    by_earlier_parts: set[Place] = set()
    for worklist in worklists:
        given = given_wells(worklist)
        wells: dict[str, list[str]] = defaultdict(list)
        for barcode, well in sorted(given - by_earlier_parts):
            wells[barcode].append(well)
        by_earlier_parts |= given
        last = {barcode: _last_change(connection, barcode, bench) for barcode in wells}
        found = (
            PlannedOn(barcode=one, run=run, wells=tuple(wells[one])) for one, run in last.items() if run is not None
        )
        told.append(worklist.model_copy(update={"planned_on": tuple(found)}))
    return tuple(told)


def require_not_overtaken(connection: sa.Connection, worklist: Worklist, bench: str, devices: Collection[str]) -> None:
    """Refuse a worklist that gives into wells which another run has changed since it was planned, or is about to.

    Raises:
        RecordError: with the wells, the run, and the remedy.
    """
    for plan in worklist.planned_on:
        for row in rows_with_labware(connection, (plan.barcode,)):
            if (plan.run and number_of(row["id"]) <= number_of(plan.run)) or not is_near(row, bench, devices):
                continue
            wells = [well for well in _changed(connection, row, plan.barcode) if well in plan.wells]
            if wells:
                raise _overtaken(worklist, plan, row, wells)


def _overtaken(worklist: Worklist, plan: PlannedOn, row: sa.RowMapping, wells: Sequence[str]) -> RecordError:
    some, how = first_of(wells, _SHOWN), "changed" if row["state"] in RUN_OVER else "taken up"
    then = f"after {plan.run}" if plan.run else "before"
    return RecordError(
        f"planned on what {plan.barcode} held {then}; {some} {'were' if len(wells) > 1 else 'was'} {how} since, by "
        f"{row['id']} ({row['name']})",
        where=worklist.name,
        remedy=f"look at it: `nkloop run show {row['id']}`; if that was not this very work, plan anew on what "
        f"{plan.barcode} holds now",
    )


def _last_change(connection: sa.Connection, barcode: str, bench: str) -> str | None:
    """The last run that is over and has changed a labware, empty when only runs that are not over change it; None when
    no run does."""
    found: str | None = None
    for row in reversed(rows_with_labware(connection, (barcode,))):
        if is_near(row, bench, ()) and _changed(connection, row, barcode):
            if row["state"] in RUN_OVER:
                return str(row["id"])
            found = ""  # a plan cannot count on what is under way
    return found


def _changed(connection: sa.Connection, row: sa.RowMapping, barcode: str) -> list[str]:
    """Wells of a labware that a run has changed, or is to change while it is not over."""
    worklist = worklist_of(connection, row["worklist_hash"])
    changes = touched(worklist, may_move(connection, row, worklist))
    return list(dict.fromkeys(one.well for one in changes if one.barcode == barcode and one.how != MIXED))
