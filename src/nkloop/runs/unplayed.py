"""What the device was told to do without the records knowing of it: they were restored, or are not the only ones."""

from __future__ import annotations

from nkloop.drivers.bench import Bench
from nkloop.errors import RecordError
from nkloop.records import Records
from nkloop.runs.closing import begun_in
from nkloop.worklists.models import PLATE_READING, Worklist


async def require_unplayed(
    worklist: Worklist, parent: str | None, bench: Bench, records: Records, *, is_again: bool
) -> None:
    """Refuse a worklist that the device was told to do without the records knowing of it. Read-only.

    Of a rest the sources may have held there what the decision counted on, so that is looked for as well.

    Args:
        worklist: what is to be run.
        parent: the run it continues; None when it continues none.
        bench: where.
        records: what is known.
        is_again: a person says that it is meant to be done once more; a rest is refused all the same.

    Raises:
        RecordError: it was; the device's run is told.
        DeviceUnreachableError: the device does not answer.
    """
    if parent is None and (is_again or worklist.procedure == PLATE_READING):  # to read a plate again changes nothing
        return
    alike = [worklist] if parent is None else _alike(worklist, parent, records)
    others = [one for other in alike for one in await _done_elsewhere(other, bench, records)]
    if others:
        raise RecordError(
            f"the device was told to do '{worklist.name}' already, as its run {others[-1]}, of which these records "
            "know nothing: they were restored from a backup, or another database is in use",
            where=bench.liquid_handler.name,
            remedy=_remedy(worklist, bench) if parent is None else _REST,
        )


async def _done_elsewhere(worklist: Worklist, bench: Bench, records: Records) -> list[str]:
    """Runs of a worklist on the device that the records do not know and that came to a step of it."""
    known, numbers = records.journal.device_runs(), [step.number for step in worklist.steps]
    found = [one.id for one in await bench.liquid_handler.find_runs(worklist) if one.is_played and one.id not in known]
    # one that was cancelled before its first step has touched nothing
    return [one for one in found if await begun_in(one, numbers, bench)]


_REST = "work with the newest records; when they are lost, discard the wells and plan what they need anew"


def _remedy(worklist: Worklist, bench: Bench) -> str:
    return (
        "work with the newest records; when they are lost, look at the vessels: only where that run has touched none "
        f"of them, as when all are new, `nkloop run {worklist.content_hash[:12]} --bench {bench.name} --again`"
    )


def _alike(rest: Worklist, parent: str, records: Records) -> list[Worklist]:
    decision = records.journal.run(parent).decision
    left = decision.follow_up if decision is not None else None
    return [rest] if left in {None, rest.content_hash} else [rest, records.journal.worklist(left or "")]
