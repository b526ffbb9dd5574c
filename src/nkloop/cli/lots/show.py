"""`nkloop lots show`: one lot with its certificate, containers, reservations and history."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_workspace, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from nkloop.inventory import Inventory, Lot
    from nkloop.records.stock_models import HoldEvent, LotChange, Posting

LONGEST_CODE = 30
"""A barcode longer than this is told in several lines where the terminal is narrow."""
MANY_ALIKE = 4
"""So many postings of one act and amount are told in one line."""


def show(
    lot: Annotated[str, typer.Argument(help="Barcode of the lot, or of one of its containers.")],
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Show a lot: certificate, containers, what is reserved, and its history with who, when and why."""
    from datetime import UTC, datetime

    from nkloop.runs.stock import lots_for, opened, stock_of

    found = find_workspace(workspace)
    now = datetime.now(UTC)
    inventory = lots_for(found, bench, at=now)
    chosen = _find(inventory, lot)
    history: tuple[Posting, ...] = ()
    versions: tuple[LotChange, ...] = ()
    holds: tuple[HoldEvent, ...] = ()
    if stock_of(found, bench, at=now) is not None:
        with opened(found) as records:
            history = records.stock.history(bench, chosen.id)
            versions = records.stock.versions(bench, chosen.id)
            holds = records.stock.holds(bench, chosen.id)
    if json_output:
        print_json({**_document(inventory, chosen, history, versions), "reservations": _plain(holds)})
        return
    _show(inventory, chosen, history, versions, holds)


def _plain(holds: tuple[HoldEvent, ...]) -> list[dict[str, object]]:
    return [one.model_dump(mode="json") for one in holds]


def _find(inventory: Inventory, barcode: str) -> Lot:
    """The lot of a barcode, also of one of its containers."""
    owner = next((lot for lot in inventory.lots for one in lot.vessels if one.barcode == barcode), None)
    return owner or inventory.lot(barcode)


def _document(
    inventory: Inventory, lot: Lot, history: tuple[Posting, ...], versions: tuple[LotChange, ...]
) -> dict[str, object]:
    from nkloop.inventory.picking import valid_until

    barcodes = {one.barcode for one in lot.vessels}
    return {
        **lot.model_dump(mode="json", exclude={"containers"}),
        "containers": [
            {**one.model_dump(mode="json"), "dead_volume_ul": one.dead_ul, "use_by": valid_until(lot, one).isoformat()}
            for one in lot.vessels
        ],
        "reserved": [one.model_dump(mode="json") for one in inventory.held if one.container in barcodes],
        "history": [one.model_dump(mode="json") for one in history],
        "versions": [one.model_dump(mode="json") for one in versions],
    }


def _show(
    inventory: Inventory,
    lot: Lot,
    history: tuple[Posting, ...],
    versions: tuple[LotChange, ...],
    holds: tuple[HoldEvent, ...],
) -> None:
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else 100, highlight=False)
    for name, value in _facts(lot):
        console.print(f"{name:16} {value}", soft_wrap=True, markup=False)
    _containers(console, inventory, lot)
    _history(console, history, versions)
    _reservations(console, holds)


def _facts(lot: Lot) -> list[tuple[str, str]]:
    certificate = f"{lot.certificate.id} of {lot.certificate.issued}" if lot.certificate else "not known"
    activity = str(lot.specific_activity) if lot.specific_activity else "not certified"
    life = f"{lot.opened_life} once opened or thawed" if lot.opened_life else "to the expiry once opened"
    state = f"{lot.state} ({lot.state_reason})" if lot.state_reason else lot.state
    buffer = ", ".join(f"{name} {amount}" for name, amount in lot.buffer.items())
    dark = ", keep dark" if lot.light_sensitive else ""
    found = [
        ("Lot", lot.id),
        ("Component", lot.component),
        ("On the label", f"lot {lot.lot_number}, {lot.supplier}, {lot.catalogue_number or 'no catalogue number'}"),
        ("Concentration", f"{lot.concentration} in {lot.carrier}" + (f", with {buffer}" if buffer else "")),
        ("Activity", activity),
        ("Certificate", certificate),
        ("Expires", f"{lot.expires}, keeps {life}"),
        ("Storage", f"{lot.storage}{dark}, at most {lot.max_freeze_thaws} thaws"),
        ("State", state),
        ("Left", lot.volume.display()),
        ("Price", "not known" if lot.price_eur is None else f"{lot.price_eur:.2f} EUR for what is left"),
    ]
    return [*found, ("Note", lot.note)] if lot.note else found


def _table(names: Sequence[str], title: str) -> Table:
    """A table whose texts are broken where they are too wide, never cut."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    columns = (Column(name, overflow="fold") for name in names)
    return Table(*columns, title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _containers(console: Console, inventory: Inventory, lot: Lot) -> None:
    from nkloop.inventory.picking import NOTHING_UL, container_fault, free_ul, held_per_container, shown, valid_until

    held = held_per_container(inventory.held)
    names = ("container", "kind", "left", "reserved", "free", "thaws", "opened", "use by")
    table = _table(names, "Containers")
    # a barcode is read off and typed: it stands in one piece, and where it is too long for that, is never cut
    table.columns[0].no_wrap = max((len(one.barcode) for one in lot.vessels), default=0) <= LONGEST_CODE
    table.columns[-1].no_wrap = table.columns[-2].no_wrap = True
    remarks: dict[str, list[str]] = {}
    filled = [one for one in lot.vessels if one.volume_ul > NOTHING_UL]
    for one in filled:
        reserved = held.get(one.barcode, 0.0)
        fault = container_fault(lot, one, date.today())
        remark = "kept too long" if valid_until(lot, one) < date.today() <= lot.expires else fault
        free = 0.0 if fault or lot.state != "released" else free_ul(one, held)
        row = (one.barcode, one.kind, shown(one.volume_ul), *(shown(ul) if ul else "0" for ul in (reserved, free)))
        begun = str(one.opened or one.thawed or "closed")
        table.add_row(*row, str(one.freeze_thaws), begun, str(valid_until(lot, one)))
        if remark:
            remarks.setdefault(remark, []).append(one.barcode)
    console.print(table)
    for remark, barcodes in remarks.items():
        console.print(f"{', '.join(barcodes)}: {remark}", soft_wrap=True, markup=False)
    if len(filled) < len(lot.vessels):
        console.print(f"{len(lot.vessels) - len(filled)} more containers are empty.")
    mine = {one.barcode for one in lot.vessels}
    for held_one in inventory.held:
        if held_one.container in mine:
            told = f"{held_one.container}: {shown(held_one.volume_ul)} reserved for {held_one.plan}"
            console.print(f"{told} until {held_one.until:%Y-%m-%d %H:%M} UTC", soft_wrap=True)


def _history(console: Console, history: tuple[Posting, ...], versions: tuple[LotChange, ...]) -> None:
    from itertools import groupby

    if not history:
        console.print("No history: this lot is read from the bench's own list and not imported yet.")
        return
    table = _table(("when (UTC)", "container", "what", "change", "who", "why"), "History")
    for _, group in groupby(history, key=lambda one: (one.kind, one.at, one.by, one.why, one.volume_ul)):
        rows = list(group)
        for told in rows if len(rows) < MANY_ALIKE else rows[:1]:
            change = f"{told.volume_ul:+,.1f} µL" if told.volume_ul else ""
            many = len(rows) >= MANY_ALIKE
            where = f"{told.container} to {rows[-1].container}" if many else told.container
            change = f"{len(rows)} times {change}" if many else change
            table.add_row(f"{told.at:%Y-%m-%d %H:%M}", where, told.kind, change, told.by, told.why)
    console.print(table)
    for version in versions[1:]:
        console.print(f"{version.at:%Y-%m-%d %H:%M}  changed by {version.by}: {version.reason}", soft_wrap=True)


def _reservations(console: Console, holds: tuple[HoldEvent, ...]) -> None:
    from nkloop.inventory.picking import shown

    if not holds:
        return
    table = _table(("when (UTC)", "for", "what", "volume", "who", "why"), "Reservations")
    for one in holds:
        table.add_row(f"{one.at:%Y-%m-%d %H:%M}", one.name, one.what, shown(one.volume_ul), one.by, one.why)
    console.print(table)
