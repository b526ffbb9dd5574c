"""What the records know of a plan: what it has reserved itself counts as free, what was discarded is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        held = records.stock.reservations(bench, at=datetime.now(UTC))
    made, lots, own = plan_with_own(held, inventory, plan, worklists)
    if own is None:
        return made, lots, ()
    until = f"{own.until:%Y-%m-%d %H:%M} UTC"
    return made, lots, (f"This plan is reserved as '{own.name}' by {own.by} until {until}; its run takes that over.",)


def require_usable(found: Workspace, parts: Sequence[Worklist]) -> None:
    """Refuse a plan that needs wells whose contents a person discarded.

    Raises:
        RecordError: with every such well, or because the database cannot be reached.
    """
    from nkloop.runs.stock import is_recorded, opened

    if is_recorded(found):
        with opened(found) as records:
            records.decisions.require_usable(parts)
