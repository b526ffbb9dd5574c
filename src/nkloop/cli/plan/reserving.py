"""The options with which a plan reserves what it will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.plan.bench_clock import bench_now

if TYPE_CHECKING:
    from nkloop.runs.reservations import PlanReservation
    from nkloop.workspace import Workspace

ReserveOption = Annotated[
    str | None,
    typer.Option("--reserve", metavar="NAME", help="Reserve what the plan takes of the stock, under this name."),
]
ReserveByOption = Annotated[str, typer.Option("--by", help="Who reserves; stands in the audit trail.")]
HoldOption = Annotated[str, typer.Option("--hold", help="How long it stays reserved, at most 31 d.")]
HOLD = "3 d"


def reservation(
    found: Workspace, bench: str, name: str | None, by: str, hold: str, lots: Path | None
) -> PlanReservation | None:
    """The checked wish to reserve; None when nothing shall be reserved.

    Raises:
        InventoryError: everything that is wrong with it, before anything is planned.
    """
    if name is None:
        return None
    from nkloop.runs.reservations import PlanReservation

    return PlanReservation.asked(found, bench, name, by=by, hold=hold, lots=lots, at=bench_now(found, bench))
