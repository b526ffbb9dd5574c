"""What records know of a plan: its own reservation counts as free, discarded wells refuse it, used vessels are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from nkloop.cli.plan.bench_clock import ahead_told, bench_now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nkloop.cli.plan.planned import Planned
    from nkloop.inventory import Inventory
    from nkloop.worklists.models import Worklist
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

    Bags whose names other batches have used are warned of, too.

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
    if not is_recorded(found):
        return planned
    told: list[str] = []
    names: tuple[str, ...] = ()
    with opened(found) as records:
        records.decisions.require_usable(planned.parts)
        for part in planned.parts:
            try:
                records.vessels.require_unused(part, bench)
            except RecordError as error:
                told += [f"it is not to be run as it is: {problem}" for problem in error.problems]
        names = records.vessels.used_names(planned.parts, batch or None)
        parts = records.vessels.planned_on(planned.parts, bench)
    return replace(planned, parts=parts, warnings=(*planned.warnings, *told, *names), is_spent=bool(told))


def free_barcode(found: Workspace, wanted: str) -> str:
    """The barcode wanted, or the first of its series that no run has used and no plan was given."""
    from nkloop.runs.stock import is_recorded, opened

    if not is_recorded(found):
        return wanted
    with opened(found) as records:
        return records.vessels.of_series(wanted)[-1]
