"""What records know of a plan: its own reservation, discarded wells, used vessels, what the wells of a plate hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from nkloop.cli.plan.bench_clock import ahead_told, bench_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nkloop.cli.plan.planned import Planned
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.inventory import Inventory
    from nkloop.labware import Catalogue
    from nkloop.worklists.models import Worklist
    from nkloop.worklists.present_table import Present
    from nkloop.workspace import Workspace

Made = TypeVar("Made")


def planned_with_own(
    found: Workspace,
    bench: str,
    inventory: Inventory,
    plan: Callable[[Inventory], Made],
    worklists: Callable[[Made], Sequence[Worklist]],
) -> tuple[Made, Inventory, tuple[str, ...]]:
    """A plan, the lots it was made with, and a note when it is reserved already.

    Args:
        found: the workspace.
        bench: whose stock.
        inventory: lots to plan with; a lot list from a file has nothing reserved.
        plan: plans with the lots it gets.
        worklists: of a finished plan.

    Raises:
        NkloopError: whatever `plan` raises.
    """
    if not inventory.held:
        return plan(inventory), inventory, ()
    from nkloop.runs.reserved_plans import plan_with_own
    from nkloop.runs.stock import opened

    with opened(found) as records:
        held = records.stock.reservations(bench, at=bench_now(found, bench))
    made, lots, own = plan_with_own(held, inventory, plan, worklists)
    if own is None:
        return made, lots, ()
    until = f"{own.until:%Y-%m-%d %H:%M} UTC"
    return made, lots, (f"This plan is reserved as '{own.name}' by {own.by} until {until}; its run takes that over.",)


def usable(found: Workspace, bench: str, planned: Planned, batch: str = "") -> Planned:
    """The plan as of now, with a warning where it fills a used vessel as a new one: only running that does harm.

    Bags whose names other batches have used are warned of, too. Containers to scan are told where the stock is counted.

    Args:
        found: the workspace.
        bench: where it is to be run.
        planned: the plan.
        batch: what it is planned for; empty where nobody said.

    Raises:
        RecordError: it needs wells whose contents a person discarded, each is told; or the database cannot be reached.
    """
    from nkloop.errors import RecordError
    from nkloop.runs.stock import is_recorded, opened

    planned = replace(planned, at=bench_now(found, bench), warnings=(*planned.warnings, *ahead_told(found, bench)))
    # until lots are imported a run knows no containers, and asks for the code of the lot
    not_counted = replace(planned, containers=())
    if not is_recorded(found):
        return not_counted
    told: list[str] = []
    with opened(found) as records:
        if records.stock.inventory(bench) is None:
            planned = not_counted
        records.decisions.require_usable(planned.parts)
        for part in planned.parts:
            try:
                records.vessels.require_unused(part, bench)
            except RecordError as error:
                told += [f"it is not to be run as it is: {problem}" for problem in error.problems]
        names = records.vessels.used_names(planned.parts, batch or None)
        parts = records.vessels.planned_on(planned.parts, bench)
    return replace(planned, parts=parts, warnings=(*planned.warnings, *told, *names), is_spent=bool(told))


def against_records(
    found: Workspace,
    bench: str,
    plate: str,
    table: Mapping[str, Present],
    why: str | None,
    catalogue: Catalogue,
    file: BenchFile,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the records say against a table of what the wells of a plate hold.

    Args:
        found: the workspace.
        bench: where the plan is to be run.
        plate: barcode of the plate.
        table: well to what people say it holds; empty for a new plate.
        why: why it holds that all the same, as a person told; None when nobody did.
        catalogue: labware types.
        file: the bench.

    Returns:
        Warnings, and notes with what the person told; both empty where nothing differs or nobody knows.

    Raises:
        PlanError: a volume cannot be by the records and nobody said why; the reason is empty, or there is no table.
        RecordError: the database cannot be reached.
    """
    from nkloop.errors import PlanError
    from nkloop.runs.stock import is_recorded, opened

    if why is not None and not (table and why.strip()):
        told = "means nothing without --present" if not table else "needs a reason"
        raise PlanError(
            told, where="--present-as-told", remedy="leave it out, or say why the wells hold what --present says"
        )
    if not table or not is_recorded(found):
        return (), ()
    from nkloop.runs.told_contents import difference_warning, differences_on, require_possible

    with opened(found) as records:
        differing = differences_on(table, plate, bench, records, catalogue, file.deck)
    if not differing:
        return (), ()
    if why is None:
        require_possible(plate, differing)
    notes = () if why is None else (f"Plate {plate} is taken to hold what --present says: {why.strip()}.",)
    return (difference_warning(plate, differing),), notes


def free_barcode(found: Workspace, wanted: str) -> str:
    """The barcode wanted, or the first of its series that no run has used and no plan was given."""
    from nkloop.runs.stock import is_recorded, opened

    if not is_recorded(found):
        return wanted
    with opened(found) as records:
        return records.vessels.of_series(wanted)[-1]
