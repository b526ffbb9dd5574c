"""What a worklist takes from earlier runs, such as a base medium, looked for before anybody scans or loads anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nkloop.errors import Problem, RecordError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nkloop.cli.run.source import BaseMedium
    from nkloop.records import Records
    from nkloop.worklists.models import Worklist


def require_earlier(
    worklists: Sequence[Worklist], records: Records, bench: str, base: BaseMedium | None = None
) -> None:
    """Refuse worklists that take a liquid out of a labware no run on this bench has filled.

    Args:
        worklists: in the order they are run.
        records: where the runs are.
        bench: its name.
        base: the base medium of the plan and the command that makes it, where the plan tells one.

    Raises:
        RecordError: with every labware that is missing or of another kind.
    """
    wanted = {mark: kind for worklist in reversed(worklists) for mark, kind in _taken(worklist).items()}
    if not wanted:
        return
    there = _filled(records, bench, wanted)
    problems = [_problem(mark, kind, there, base) for mark, kind in wanted.items() if there.get(mark) != kind]
    if problems:
        raise RecordError.from_problems(problems)


def _taken(worklist: Worklist) -> dict[str, str]:
    """Barcode to load name of labware whose liquids were prepared in an earlier run."""
    from nkloop.worklists.models import PREPARED

    lots = [filling.liquid.lot or "" for filling in worklist.fillings]
    marks = {lot.removeprefix(PREPARED).rpartition(":")[0] for lot in lots if lot.startswith(PREPARED)}
    return {item.barcode: item.load_name for item in worklist.deck if item.barcode in marks and item.barcode}


def _filled(records: Records, bench: str, barcodes: Collection[str]) -> dict[str, str]:
    """Barcode to load name of what stood on the deck of a run that moved something, other than to be taken from."""
    from nkloop.runs.launches import has_moved

    found: dict[str, str] = {}
    for run in records.journal.with_labware(barcodes):
        if run.bench == bench and has_moved(run):
            worklist = records.journal.worklist(run.worklist_hash)
            taken = _taken(worklist)
            found |= {i.barcode: i.load_name for i in worklist.deck if i.barcode and i.barcode not in taken}
    return found


def _problem(mark: str, kind: str, there: Mapping[str, str], base: BaseMedium | None) -> Problem:
    making = base is not None and base.barcode == mark
    remedy = f"make the base medium first: `{base.command}`" if base is not None and making else "prepare it first"
    if mark not in there:
        return Problem(f"'{mark}' was never made on this bench", f"labware {mark}", remedy)
    told = f"'{mark}' was made in labware {there[mark]}, the worklist takes it from {kind}"
    return Problem(told, f"labware {mark}", f"{remedy}, in {kind}" if not making else remedy)
