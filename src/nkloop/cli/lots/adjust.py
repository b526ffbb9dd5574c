"""`nkloop lots adjust|state|release`: what a person found or decided, written down with who and why."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, print_json, required_text
from nkloop.cli.lots.options import ByOption, ReasonOption

if TYPE_CHECKING:
    from nkloop.inventory import Container


def adjust(
    container: Annotated[str, typer.Argument(help="Barcode of the container.")],
    reason: ReasonOption,
    by: ByOption,
    volume: Annotated[str | None, typer.Option("--volume", help='What it holds, as counted: "350 uL".')] = None,
    opened: Annotated[str | None, typer.Option("--opened", help="Day it was opened: today or 2027-01-31.")] = None,
    thawed: Annotated[str | None, typer.Option("--thawed", help="Day it was thawed; costs a thaw.")] = None,
    refrozen: Annotated[bool, typer.Option("--refrozen", help="It is frozen again.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="It was thrown away with all it held.")] = False,
    more: Annotated[bool, typer.Option("--more", help="It does hold more than the records say.")] = False,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Correct what is known of a container; the change is added to its history, nothing is overwritten."""
    from datetime import UTC

    from nkloop.errors import InventoryError
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import opened as opened_records

    if volume is None and opened is None and thawed is None and not refrozen and not discard:
        raise InventoryError(
            "nothing is to be changed",
            where=container,
            remedy="give --volume, --opened, --thawed, --refrozen or --discard",
        )
    if discard and (volume is not None or opened or thawed or refrozen):
        raise InventoryError("--discard empties the container", where=container, remedy="give --discard alone")
    by, reason = required_text(by, "--by", "your name"), required_text(reason, "--reason", "what happened")
    volume_ul = None if volume is None else _microlitres(volume)
    days = {"opened": _day(opened, "--opened"), "thawed": _day(thawed, "--thawed")}
    found = find_workspace(workspace)
    bench_path(found, bench)
    with opened_records(found) as records:
        before, after = records.stock.adjust(
            bench, container, by=by, at=datetime.now(UTC), reason=reason, volume_ul=volume_ul, refrozen=refrozen,
            discard=discard, more=more, **days,
        )  # fmt: skip
    if json_output:
        print_json({"before": before.model_dump(mode="json"), "after": after.model_dump(mode="json")})
        return
    typer.echo(f"{container}: {_told(before)} -> {_told(after)}. Written down for {by}: {reason}")


def state(
    lot: Annotated[str, typer.Argument(help="Barcode of the lot.")],
    to: Annotated[str, typer.Argument(metavar="released|quarantined|blocked", help="What it is from now on.")],
    reason: ReasonOption,
    by: ByOption,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Release, quarantine or block a lot; only released lots are planned with."""
    from datetime import UTC
    from typing import get_args

    from nkloop.errors import InventoryError
    from nkloop.inventory.models import LotState
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import opened as opened_records

    allowed = get_args(LotState)
    if to not in allowed:
        raise InventoryError(f"'{to}' is no state of a lot", where=lot, remedy=f"write one of: {', '.join(allowed)}")
    by, reason = required_text(by, "--by", "your name"), required_text(reason, "--reason", "why it is so decided")
    found = find_workspace(workspace)
    bench_path(found, bench)
    with opened_records(found) as records:
        records.stock.set_state(bench, lot, to, by=by, at=datetime.now(UTC), reason=reason)
    typer.echo(f"{lot} is {to} from now on. Written down for {by}: {reason}")


def release(
    name: Annotated[str, typer.Argument(help="Plan or run that holds the reservation.")],
    reason: ReasonOption,
    by: ByOption,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Give back what a plan or run has reserved and will not take."""
    from datetime import UTC

    from nkloop.errors import InventoryError
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import opened as opened_records

    by, reason = required_text(by, "--by", "your name"), required_text(reason, "--reason", "why it is not taken")
    found = find_workspace(workspace)
    bench_path(found, bench)
    with opened_records(found) as records:
        if not records.stock.release(bench, name, by=by, at=datetime.now(UTC), why=reason):
            held = ", ".join(one.name for one in records.stock.reservations(bench)) or "nobody"
            raise InventoryError(
                f"'{name}' has reserved nothing", where=f"bench {bench}", remedy=f"reserved by: {held}"
            )
    typer.echo(f"What {name} had reserved is free again.")


def _microlitres(text: str) -> float:
    from nkloop.errors import InventoryError
    from nkloop.quantities import Amount, Kind

    amount = Amount.parse(text)
    if amount.kind is not Kind.VOLUME:
        raise InventoryError(f"{amount} is no volume", where="--volume", remedy='write for example "350 uL"')
    return amount.canonical


def _day(text: str | None, option: str) -> date | None:
    from nkloop.errors import InventoryError

    if text is None:
        return None
    if text == "today":
        return date.today()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        remedy = "write today or year-month-day, like 2027-01-31"
        raise InventoryError(f"'{text}' is not a day", where=option, remedy=remedy) from error


def _told(container: Container) -> str:
    begun = f", thawed {container.thawed}" if container.thawed else ""
    opened = f", opened {container.opened}" if container.opened else ""
    return f"{container.volume.display()}{opened}{begun}, {container.freeze_thaws} thaws"
