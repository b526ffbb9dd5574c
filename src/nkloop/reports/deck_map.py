"""The deck of a liquid handler as a picture: what stands in which slot, and which wells are filled."""

from __future__ import annotations

import re
import string
import textwrap
from typing import Protocol

from nkloop.errors import LabwareError
from nkloop.labware.models import LabwareType
from nkloop.reports import theme
from nkloop.reports.numbers import count, plain, volume
from nkloop.reports.shapes import box, frame, text
from nkloop.worklists.arrivals import brought_by
from nkloop.worklists.models import DeckItem, Worklist

MODULE_NAMES = {
    "temperatureModuleV2": "Temperature module",
    "heaterShakerModuleV1": "Heater-shaker",
    "magneticBlockV1": "Magnetic block",
    "thermocyclerModuleV2": "Thermocycler",
    "absorbanceReaderV1": "Plate reader",
}
_WIDTH, _HEIGHT, _GAP = 244, 150, 8
_LATER = "#cfe3f1"
"""Wells whose liquid a person brings at a step, not at loading."""
_EMPTY = re.compile(r"\s*\(empty[^)]*\)")
"""What the deck says of labware that comes empty; its wells are not once the run has filled them."""


class LabwareTitles(Protocol):
    """What a catalogue of labware offers here."""

    def __getitem__(self, load_name: str) -> LabwareType:
        """Look a labware up.

        Raises:
            LabwareError: the labware is not in the catalogue.
        """


def deck_svg(worklist: Worklist, catalogue: LabwareTitles | None = None, *, name: str = "deck") -> str:
    """The deck a worklist needs as SVG text, the back of the deck on top: rows A to D of a Flex, 10 to 1 of an OT-2."""
    by_slot = {item.slot: item for item in worklist.deck}
    rows, trash_slot = _rows_of_slots(worklist)
    columns = len(rows[0])
    parts = []
    for row, slots in enumerate(rows):
        for column, slot in enumerate(slots):
            corner = (column * (_WIDTH + _GAP) + 2, row * (_HEIGHT + _GAP) + 2)
            parts.append(_slot(worklist, slot, by_slot.get(slot), corner, catalogue, trash_slot))
    return frame(
        parts,
        width=columns * (_WIDTH + _GAP) - _GAP + 4,
        height=4 * (_HEIGHT + _GAP) - _GAP + 4,
        name=name,
        description=f"Deck of {worklist.name}, seen from the front",
    )


def _rows_of_slots(worklist: Worklist) -> tuple[tuple[tuple[str, ...], ...], str]:
    """Slots from the back to the front, and the one with the trash."""
    if worklist.robot == "ot2":
        return tuple(tuple(str(first + column) for column in range(3)) for first in (10, 7, 4, 1)), "12"
    columns = 4 if any(item.slot.endswith("4") for item in worklist.deck) else 3
    rows = tuple(tuple(f"{letter}{column + 1}" for column in range(columns)) for letter in "ABCD")
    return rows, worklist.trash_slot or "A3"


def labware_title(load_name: str, catalogue: LabwareTitles | None) -> str:
    """The name people use for a labware; the load name made readable when no catalogue knows it."""
    known = _labware(load_name, catalogue)
    if known is not None:
        return known.title
    words = re.sub(r"^(opentrons|nkloop)_", "", load_name).replace("_", " ")
    words = re.sub(r"(\d)\s*ul\b", r"\1 µL", words)
    words = re.sub(r"(\d)\s*ml\b", r"\1 mL", words)
    return words[:1].upper() + words[1:]


def pipette_title(load_name: str) -> str:
    """`flex_1channel_1000` as people say it."""
    match = re.fullmatch(r"(flex|p\d+|star|evo)_(\d+)channel_(\d+)", load_name)
    return f"{match[1].capitalize()} {match[2]}-channel {match[3]} µL" if match else load_name.replace("_", " ")


def item_title(item: DeckItem, catalogue: LabwareTitles | None) -> str:
    """The label of a deck item; its labware's name when it has none."""
    return item.label or labware_title(item.load_name, catalogue)


def title_in_use(item: DeckItem, catalogue: LabwareTitles | None) -> str:
    """The title without what it says of labware that comes empty, for sentences about what is in it by then."""
    return _EMPTY.sub("", item_title(item, catalogue))


def _labware(load_name: str, catalogue: LabwareTitles | None) -> LabwareType | None:
    if catalogue is None:
        return None
    try:
        return catalogue[load_name]
    except (LabwareError, KeyError):
        return None


def _slot(
    worklist: Worklist, slot: str, item: DeckItem | None, corner: tuple[int, int], catalogue: LabwareTitles | None,
    trash_slot: str,
) -> str:  # fmt: skip
    x, y = corner
    is_trash = item is None and slot == trash_slot and worklist.robot in {"flex", "ot2"}
    fill = "#ffffff" if item is not None else "#eceff1" if is_trash else "#f8f9fa"
    dash = "" if item is not None or is_trash else "4 3"
    card = box(x, y, _WIDTH, _HEIGHT, fill=fill, stroke="#8d98a2", thickness=1.1, radius=7, dash=dash)
    head = text(x + 10, y + 19, slot, size=13, colour=theme.FAINT, bold=True)
    if item is not None:
        return card + head + _card(worklist, item, corner, catalogue)
    said = "Trash bin" if is_trash else "free"
    return card + head + text(x + _WIDTH / 2, y + _HEIGHT / 2 + 5, said, size=13, colour=theme.FAINT, anchor="middle")


def _card(worklist: Worklist, item: DeckItem, corner: tuple[int, int], catalogue: LabwareTitles | None) -> str:
    x, y = corner
    title = labware_title(item.load_name, catalogue)
    lines: list[tuple[str, int, bool, str]] = [
        (said, 13, True, theme.INK) for said in textwrap.wrap(item.label or title, 27)[:2]
    ]
    if item.label:
        lines.append((title, 10, False, theme.FAINT))
    if item.module or item.adapter or item.temperature_c is not None:
        lines.append((_module(item), 10, False, "#00588a"))
    if item.barcode:
        lines.append((f"Barcode {item.barcode}", 10, False, theme.INK))
    parts, at = [], y + 19
    for said, size, bold, colour in lines:
        parts.append(text(x + 36, at, _cut(said, 42 if size < 13 else 30), size=size, colour=colour, bold=bold))
        at += size + 4
    parts.append(_wells(worklist, item, (x + 36, at - 6), y + _HEIGHT, catalogue))
    return "".join(parts)


def _module(item: DeckItem) -> str:
    name = MODULE_NAMES.get(item.module or "", item.module or "")
    parts = [name] if name else []
    if item.temperature_c is not None:
        parts.append(f"{plain(item.temperature_c)} °C")
    return " · ".join(parts) or "on an adapter"


def _wells(
    worklist: Worklist, item: DeckItem, corner: tuple[float, float], bottom: float, catalogue: LabwareTitles | None
) -> str:
    """A small grid of the wells, the filled ones dark, with what they hold in words beside it."""
    mine = [f for f in worklist.fillings if f.labware == item.nickname]
    filled = {f.well: f.volume_ul for f in mine}
    later = {f.well: step.number for f in mine if (step := brought_by(f, worklist)) is not None}
    rows, columns = labware_grid(item.load_name, catalogue)
    x, top = corner[0], corner[1] + 4
    pitch = min((bottom - top - (35 if filled else 22)) / rows, 150 / columns, 20.0)
    parts = []
    for row in range(rows):
        for column in range(columns):
            well = f"{string.ascii_uppercase[row]}{column + 1}"
            shade = _LATER if well in later else theme.VARIANT if well in filled else "#ffffff"
            at = (x + column * pitch, top + row * pitch)
            side = pitch * 0.82
            parts.append(box(*at, side, side, fill=shade, stroke="#9aa4ad", thickness=0.7, radius=pitch * 0.25))
    said = f"{count(len(filled), 'well')} filled, {volume(sum(filled.values()))}" if filled else _unfilled(item)
    if later:
        some = f"{len(later)} of them " if len(later) < len(filled) else ""
        said += f"; {some}not yet: step {min(later.values())}"
    names = dict.fromkeys(f.liquid.name for f in mine)
    parts.append(text(x, bottom - 21, _cut(", ".join(names), 38), size=10.5))
    parts.append(text(x, bottom - 8, said, size=10.5))
    return "".join(parts)


def _unfilled(item: DeckItem) -> str:
    return "new tips" if "tiprack" in item.load_name else "not filled by hand"


def labware_grid(load_name: str, catalogue: LabwareTitles | None) -> tuple[int, int]:
    """Rows and columns of a labware; told by its load name when no catalogue knows it."""
    known = _labware(load_name, catalogue)
    if known is not None:
        return known.rows, known.columns
    if "reservoir" in load_name:
        return (1, 12) if "12_reservoir" in load_name else (1, 1)
    numbers = [int(n) for n in re.findall(r"(?:^|_)(\d+)(?=_)", load_name)]
    sizes = {6: (2, 3), 12: (3, 4), 15: (3, 5), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24)}
    return next((sizes[n] for n in numbers if n in sizes), (1, 1))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
