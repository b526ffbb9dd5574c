"""A lot list as a table: one line per container, the values of the lot repeated or left empty after the first line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nkloop.assays.table_cells import read_grid
from nkloop.assays.tables import Column, Row, Table, read_table
from nkloop.errors import InventoryError, Problem
from nkloop.inventory import Inventory, Lot
from nkloop.inventory.containers import expanded
from nkloop.yamlfile.problems import worded


def _column(name: str, *synonyms: str, required: bool = False) -> Column:
    return Column(name, "text", required=required, filled=False, synonyms=synonyms)


COLUMNS = (
    _column("lot", "lot id", "id", "lot barcode", required=True),
    _column("component", "substance", "reagent", "product", required=True),
    _column("lot number", "batch number", "charge", "lot no", "lot no.", required=True),
    _column("supplier", "vendor", "manufacturer", "maker", required=True),
    _column("catalogue number", "catalog number", "cat no", "cat. no.", "article number", "ref"),
    _column("concentration", "stock concentration", "conc", "conc.", "activity", "strength", required=True),
    _column(
        "specific activity",
    ),
    _column("certificate", "certificate id", "coa", "certificate of analysis"),
    _column("certificate date", "certificate issued", "coa date"),
    _column("carrier", "solvent", "dissolved in"),
    _column("buffer", "buffer substances"),
    _column("container", "container barcode", "vial", "barcode"),
    _column("kind", "container kind", "container type"),
    _column("count", "number of containers", "vials", "number of vials"),
    _column("volume", "remaining volume", "volume left", "remaining", required=True),
    _column(
        "dead volume",
    ),
    _column("expires", "expiry", "expiry date", "expiration", "expiration date", "exp", "use by", required=True),
    _column("opened", "opened on", "date opened"),
    _column("opened life", "in-use life", "shelf life after opening", "life after opening"),
    _column("thawed", "thawed on", "date thawed"),
    _column("freeze thaws", "freeze-thaw count", "freeze-thaw cycles", "thaws"),
    _column("max freeze thaws", "freeze-thaw limit", "thaw limit", "max thaws"),
    _column("storage", "storage temperature", "stored at"),
    _column("light sensitive", "protect from light"),
    _column("state", "status", "release status"),
    _column(
        "state reason",
    ),
    _column("price", "price eur", "price_eur", "cost"),
    _column("note", "notes", "comment", "remark", "remarks"),
)
_LOT = {
    "component": "component", "lot number": "lot_number", "supplier": "supplier",
    "catalogue number": "catalogue_number", "concentration": "concentration", "specific activity": "specific_activity",
    "carrier": "carrier", "buffer": "buffer", "expires": "expires", "opened life": "opened_life", "storage": "storage",
    "max freeze thaws": "max_freeze_thaws", "light sensitive": "light_sensitive", "state": "state",
    "state reason": "state_reason", "price": "price_eur", "note": "note", "certificate": "certificate",
    "certificate date": "issued",
}  # fmt: skip
"""Columns of the lot and the field of each."""
_CONTAINER = {
    "container": "barcode", "kind": "kind", "volume": "volume", "dead volume": "dead_volume", "opened": "opened",
    "thawed": "thawed", "freeze thaws": "freeze_thaws",
}  # fmt: skip
"""Columns of the container and the field of each."""
_TAKES_UNIT = {"volume", "dead volume", "concentration", "specific activity", "opened life"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"^[+-]?\d*,\d+")
_BUFFER = re.compile(r"^(?P<name>.*?\S)[\s:=]+(?P<amount>[\d.]+(?:[eE][+-]?\d+)?\s*[^\d\s].*)$")
_TRUE, _FALSE = {"true", "yes", "y", "x", "1"}, {"false", "no", "n", "0", "-"}


@dataclass
class _Read:
    """One lot as gathered from its lines."""

    rows: list[Row] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    told_by: dict[str, Row] = field(default_factory=dict)
    """Line that gave a column's value."""


def read_lot_table(path: Path) -> Inventory:
    """Read a lot list out of a CSV or XLSX file.

    Raises:
        AssayError: the file cannot be read as a table, or lacks a column.
        InventoryError: cells are wrong; each is named with line and column.
    """
    table = read_table(path, COLUMNS)
    units = _units(path)
    problems: list[Problem] = []
    gathered: dict[str, _Read] = {}
    for row in table.rows:
        lot_id = row.text("lot")
        if not lot_id:
            problems.append(Problem("the cell is empty", table.where(row, "lot"), "write the barcode of the lot"))
            continue
        _gather(gathered.setdefault(lot_id, _Read()), row, table, units, problems)
    lots = [lot for lot_id, read in gathered.items() if (lot := _lot(lot_id, read, table, units, problems))]
    if problems:
        raise InventoryError.from_problems(problems)
    try:
        return Inventory(title=path.stem, lots=tuple(lots))
    except ValidationError as error:
        raise InventoryError.from_problems(
            Problem(*_reordered(worded(details, []), table.source)) for details in error.errors(include_url=False)
        ) from error


def _reordered(told: tuple[str, str], where: str) -> tuple[str, str, str]:
    return told[0], where, told[1]


def _units(path: Path) -> dict[str, str]:
    """Unit in the brackets of a header, `volume (mL)`, by column; bare numbers in the column are in it."""
    found = {}
    for header in read_grid(path).header:
        bracket = re.search(r"[\[(](.*?)[\])]", header)
        bare = _plain(re.sub(r"[\[(].*?[\])]", "", header))
        column = next((c.name for c in COLUMNS if bare in {_plain(n) for n in (c.name, *c.synonyms)}), None)
        if bracket and column in _TAKES_UNIT:
            found[column] = bracket.group(1).strip()
    return found


def _plain(text: str) -> str:
    return re.sub(r"[\s_\-:]+", "", text).casefold()


def _gather(read: _Read, row: Row, table: Table, units: Mapping[str, str], problems: list[Problem]) -> None:
    read.rows.append(row)
    for column, name in _LOT.items():
        text = _cell(row, column, units)
        if not text:
            continue
        if column in read.told_by and read.fields[name] != text:
            first = read.told_by[column]
            message = f"'{text}' contradicts '{read.fields[name]}' of the same lot in line {first.line}"
            problems.append(Problem(message, table.where(row, column), "write one value, or give the lot its own id"))
        elif column not in read.told_by:
            read.told_by[column], read.fields[name] = row, text


def _cell(row: Row, column: str, units: Mapping[str, str]) -> str:
    """Text of a cell, with the unit of its header when it is a bare number."""
    text = row.text(column).removesuffix(" 00:00:00")
    if column in units and _NUMBER.fullmatch(text):
        return f"{text} {units[column]}"
    return text


def _lot(lot_id: str, read: _Read, table: Table, units: Mapping[str, str], problems: list[Problem]) -> Lot | None:
    before = len(problems)
    data: dict[str, Any] = {"id": lot_id, **read.fields}
    issued = data.pop("issued", None)
    if "certificate" in data or issued:
        data["certificate"] = {"id": data.get("certificate"), "issued": issued}
    for name, convert in (("buffer", _buffer), ("light_sensitive", _flag), ("price_eur", _price)):
        if name in data:
            column = next(c for c, field_name in _LOT.items() if field_name == name)
            try:
                data[name] = convert(data[name])
            except InventoryError as error:
                where = table.where(read.told_by[column], column)
                problems += [Problem(p.message, where, p.remedy) for p in error.problems]
                data.pop(name)
    containers, rows = _containers(lot_id, read, table, units, problems)
    if len(containers) == 1 and set(containers[0]) <= {"barcode", "volume", "freeze_thaws"} and not _named(read):
        data |= {name: value for name, value in containers[0].items() if name != "barcode"}
    else:
        data["containers"] = containers
    try:
        lot = Lot.model_validate(data)
    except ValidationError as error:
        problems += _refusals(error, lot_id, read, rows, table)
        return None
    return lot if len(problems) == before else None


def _named(read: _Read) -> bool:
    return bool(read.rows[0].text("container"))


def _containers(
    lot_id: str, read: _Read, table: Table, units: Mapping[str, str], problems: list[Problem]
) -> tuple[list[dict[str, Any]], list[Row]]:
    """Containers of a lot, `count` written out, and the line each stands in."""
    found: list[dict[str, Any]] = []
    rows: list[Row] = []
    for row in read.rows:
        entry: dict[str, Any] = {name: text for c, name in _CONTAINER.items() if (text := _cell(row, c, units))}
        count = row.text("count")
        if "barcode" not in entry:
            if len(read.rows) > 1:
                message = f"lot {lot_id} has several lines, so each needs a container barcode"
                problems.append(Problem(message, table.where(row, "container"), "write the barcode of the container"))
            entry["barcode"] = lot_id
        if count and not (count.isdigit() and int(count) > 0):
            message = f"'{count}' is not a whole number of containers"
            problems.append(Problem(message, table.where(row, "count"), "write how many there are"))
        elif count:
            entry["count"] = int(count)
        try:
            made = expanded([entry])
        except ValueError as error:
            message, _, remedy = str(error).partition(". Remedy: ")
            problems.append(Problem(message, table.where(row, "count"), remedy))
            continue
        found += made
        rows += [row] * len(made)
    return found, rows


def _refusals(error: ValidationError, lot_id: str, read: _Read, rows: list[Row], table: Table) -> Iterator[Problem]:
    told: set[tuple[str, str]] = set()
    for details in error.errors(include_url=False):
        loc = details["loc"]
        row, column = _place(loc, read, rows)
        message, remedy = worded(details, [])
        given = str(details.get("input", ""))
        if details["type"] == "missing" or (column and details.get("input") is None):
            message, remedy = "the cell is empty", f"fill in the {column} of lot {lot_id}"
        elif _DECIMAL_COMMA.match(given):
            remedy = f"write {given.replace(',', '.', 1)} with a decimal point"
        elif details["type"].startswith("date"):
            message, remedy = f"'{given}' is not a date", "write year-month-day, like 2027-06-30"
        elif column:
            remedy = re.sub(r"add a line `.*`", f"fill in the column {column}", remedy)
        where = table.where(row, column) if column else f"{table.source}, line {row.line}, lot {lot_id}"
        if (where, message) not in told:
            told.add((where, message))
            yield Problem(message, where, remedy)


def _place(loc: tuple[int | str, ...], read: _Read, rows: list[Row]) -> tuple[Row, str]:
    """Line and column a refusal is about; no column when it is about the lot as a whole."""
    first = read.rows[0]
    if not loc:
        return first, ""
    if loc[0] == "containers" and len(loc) > 1 and isinstance(loc[1], int):
        row = rows[loc[1]] if loc[1] < len(rows) else first
        name = str(loc[2]) if len(loc) > 2 else ""
        return row, next((c for c, field_name in _CONTAINER.items() if field_name == name), "")
    name = "issued" if loc[-1] == "issued" else str(loc[0])
    column = next((c for c, field_name in {**_LOT, **_CONTAINER}.items() if field_name == name), "")
    return read.told_by.get(column, first), column


def _buffer(text: str) -> dict[str, str]:
    found = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        match = _BUFFER.match(part)
        if match is None:
            raise InventoryError(
                f"'{part}' is no substance with its concentration",
                remedy="write for example DMSO 100 % v/v; acetate 10 mM",
            )
        found[match["name"]] = match["amount"]
    return found


def _flag(text: str) -> bool:
    plain = text.casefold()
    if plain in _TRUE | _FALSE:
        return plain in _TRUE
    raise InventoryError(f"'{text}' is neither yes nor no", remedy="write yes or no")


def _price(text: str) -> float:
    bare = text.removesuffix("EUR").removesuffix("€").strip()
    try:
        return float(bare)
    except ValueError:
        if "," in bare:
            remedy = "write it without thousands separators and with a decimal point, like 1250.50"
            raise InventoryError(f"'{text}' has a comma, so it may be read in two ways", remedy=remedy) from None
        raise InventoryError(f"'{text}' is not a price", remedy="write the price in EUR as a number") from None
