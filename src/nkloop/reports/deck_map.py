"""The deck of a liquid handler as a picture: what stands in which slot, and which wells are filled."""

from __future__ import annotations

import re
import string
import textwrap
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple, Protocol

from nkloop.errors import LabwareError
from nkloop.labware.models import LabwareType
from nkloop.reports import theme
from nkloop.reports.numbers import count, plain, volume
from nkloop.reports.shapes import box, frame, text
from nkloop.worklists.arrivals import brought_by, is_left_unnamed, left_by, runs_left_by
from nkloop.worklists.empty_wells import empty_told, empty_wells, label_in_use
from nkloop.worklists.models import FULL_RACK, DeckItem, Worklist

MODULE_NAMES = {
    "temperatureModuleV2": "Temperature module",
    "heaterShakerModuleV1": "Heater-shaker",
    "magneticBlockV1": "Magnetic block",
    "thermocyclerModuleV2": "Thermocycler",
    "absorbanceReaderV1": "Plate reader",
}
_WIDTH, _GAP, _MARGIN, _BESIDE, _FREE = 208, 8, 10, 36, 40
"""Width of a slot, the gap between two, what is kept clear within and before a title beside the name of the slot, and
the height of a row in which nothing stands."""
_TITLE, _SMALL = 14, 12
"""Letters of a title and of everything else; an A4 page is as wide as three slots, so this is 11 and 9 points."""
_LETTER = 0.54
"""Width of a letter on average, in its size; a little wide, so that a line of wide letters still fits."""
_LATER = "#cfe3f1"
"""Wells whose liquid a person brings at a step, not at loading."""
_RING = theme.BEST
"""Rim of wells that stand empty for the robot to fill."""


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
    parts, top = [], 2
    for slots in rows:
        cards = {slot: _card(worklist, by_slot[slot], catalogue) for slot in slots if slot in by_slot}
        height = max((card.height for card in cards.values()), default=_FREE)
        for column, slot in enumerate(slots):
            corner = (column * (_WIDTH + _GAP) + 2, top)
            is_trash = slot == trash_slot and worklist.robot in {"flex", "ot2"}
            parts.append(_slot(slot, cards.get(slot), corner, height, is_trash=is_trash))
        top += height + _GAP
    return frame(
        parts,
        width=len(rows[0]) * (_WIDTH + _GAP) - _GAP + 4,
        height=top - _GAP + 2,
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
    return label_in_use(item_title(item, catalogue))


def _labware(load_name: str, catalogue: LabwareTitles | None) -> LabwareType | None:
    if catalogue is None:
        return None
    try:
        return catalogue[load_name]
    except (LabwareError, KeyError):
        return None


class _Line(NamedTuple):
    """One line of text on a card."""

    said: str
    colour: str = theme.INK
    is_title: bool = False

    @property
    def size(self) -> int:
        """Of its letters."""
        return _TITLE if self.is_title else _SMALL

    @property
    def left(self) -> int:
        """What is kept clear before it: titles stand beside the name of the slot."""
        return _BESIDE if self.is_title else _MARGIN

    @property
    def height(self) -> int:
        """Of the line."""
        return self.size + 3


class _Card(NamedTuple):
    """What is told of one labware, before it has a place."""

    head: tuple[_Line, ...]
    shades: tuple[tuple[str, ...], ...]
    """Colour of each well, row by row."""
    foot: tuple[_Line, ...]

    @property
    def pitch(self) -> float:
        """From well to well."""
        return min((_WIDTH - 2 * _MARGIN) / len(self.shades[0]), 84 / len(self.shades), 18.0)

    @property
    def height(self) -> int:
        """Of the whole."""
        return ceil(_tall(self.head) + len(self.shades) * self.pitch + _tall(self.foot) + 22)


def _tall(lines: Sequence[_Line]) -> int:
    return sum(line.height for line in lines)


def _slot(slot: str, card: _Card | None, corner: tuple[int, int], height: int, *, is_trash: bool) -> str:
    x, y = corner
    fill = "#ffffff" if card is not None else "#eceff1" if is_trash else "#f8f9fa"
    dash = "" if card is not None or is_trash else "4 3"
    frame_of = box(x, y, _WIDTH, height, fill=fill, stroke="#8d98a2", thickness=1.1, radius=7, dash=dash)
    head = text(x + _MARGIN, y + 20, slot, size=_TITLE, colour=theme.FAINT, bold=True)
    if card is not None:
        return frame_of + head + _drawn(card, corner, height)
    said = "Trash bin" if is_trash else "free"
    return (
        frame_of
        + head
        + text(x + _WIDTH / 2, y + height / 2 + 5, said, size=_TITLE, colour=theme.FAINT, anchor="middle")
    )


def _drawn(card: _Card, corner: tuple[int, int], height: int) -> str:
    x, y = corner
    top, side, wells = y + 6 + _tall(card.head), card.pitch * 0.82, []
    for row, shades in enumerate(card.shades):
        for column, shade in enumerate(shades):
            spot = (x + _MARGIN + column * card.pitch, top + 4 + row * card.pitch)
            wells.append(_well(spot, side, shade, radius=card.pitch * 0.25))
    foot = _written(card.foot, x, y + height - 8 - _tall(card.foot))
    return "".join((_written(card.head, x, y + 6), *wells, foot))


def _well(spot: tuple[float, float], side: float, shade: str, *, radius: float) -> str:
    if shade != _RING:
        return box(*spot, side, side, fill=shade, stroke="#9aa4ad", thickness=0.7, radius=radius)
    # drawn inward, so that rings of neighbours keep apart
    width = max(1.2, side * 0.16)
    inner = (spot[0] + width / 2, spot[1] + width / 2)
    return box(*inner, side - width, side - width, fill="#ffffff", stroke=_RING, thickness=width, radius=radius)


def _written(lines: Sequence[_Line], x: int, top: int) -> str:
    parts = []
    for line in lines:
        top += line.height
        parts.append(text(x + line.left, top - 3, line.said, size=line.size, colour=line.colour, bold=line.is_title))
    return "".join(parts)


def _card(worklist: Worklist, item: DeckItem, catalogue: LabwareTitles | None) -> _Card:
    """Title, labware, module and barcode above the wells, what is filled in below them; nothing wider than the slot."""
    title = labware_title(item.load_name, catalogue)
    head = [_Line(said, is_title=True) for said in _wrapped(item.label or title, _TITLE, _BESIDE, most=3)]
    if item.label:
        head += [_Line(said, theme.FAINT) for said in _wrapped(title, _SMALL, _MARGIN)]
    if item.module or item.adapter or item.temperature_c is not None:
        head += [_Line(said, "#00588a") for said in _wrapped(_module(item), _SMALL, _MARGIN)]
    if item.barcode:
        head += [_Line(said) for said in _wrapped(f"Barcode {item.barcode}", _SMALL, _MARGIN)]
    mine = [f for f in worklist.fillings if f.labware == item.nickname]
    later = {f.well: step.number for f in mine if (step := brought_by(f, worklist)) is not None}
    filled = {f.well: f.volume_ul for f in mine}
    names = ", ".join(dict.fromkeys(f"as {left_by(f)} left it" if is_left_unnamed(f) else f.liquid.name for f in mine))
    empty = empty_wells(item, worklist)
    held = f"{count(len(filled), 'well')} filled, {volume(sum(filled.values()))}"
    said = held if filled else _unfilled(worklist, item, empty)
    foot = [_Line(line) for line in (*_wrapped(names, _SMALL, _MARGIN, most=3), *_wrapped(said, _SMALL, _MARGIN))]
    foot += [_Line(line, theme.BEST) for line in _wrapped(empty_told(item, empty), _SMALL, _MARGIN, most=3)]
    if later:
        some = "all" if len(later) == len(filled) else f"{len(later)} of them"
        when = f"{'at' if len(set(later.values())) == 1 else 'from'} step {min(later.values())}"
        foot += [_Line(line, "#00588a") for line in _wrapped(f"{some} not yet: {when}", _SMALL, _MARGIN)]
    shade = {**dict.fromkeys(empty, _RING), **dict.fromkeys(filled, theme.VARIANT), **dict.fromkeys(later, _LATER)}
    return _Card(tuple(head), _shades(item, shade, catalogue), tuple(foot))


def _shades(item: DeckItem, shade: Mapping[str, str], catalogue: LabwareTitles | None) -> tuple[tuple[str, ...], ...]:
    """Of every well: the filled ones dark, those that a person fills later pale, those the robot fills as a ring."""
    rows, columns = labware_grid(item.load_name, catalogue)
    letters = string.ascii_uppercase[:rows]
    return tuple(tuple(shade.get(f"{row}{column + 1}", "#ffffff") for column in range(columns)) for row in letters)


def _wrapped(said: str, size: int, left: int, *, most: int = 2) -> list[str]:
    """Lines that fit into a slot, the last one cut when there would be more."""
    widest = int((_WIDTH - left - _MARGIN) / (size * _LETTER))
    lines = textwrap.wrap(said, widest)
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1][: widest - 2]} …"]


def _module(item: DeckItem) -> str:
    name = MODULE_NAMES.get(item.module or "", item.module or "")
    parts = [name] if name else []
    if item.temperature_c is not None:
        parts.append(f"{plain(item.temperature_c)} °C")
    return " · ".join(parts) or "on an adapter"


def _unfilled(worklist: Worklist, item: DeckItem, empty: Sequence[str]) -> str:
    if "tiprack" in item.load_name:
        return _tips(worklist, item)
    return "" if empty else "not filled by hand"


def _tips(worklist: Worklist, item: DeckItem) -> str:
    """What rack stands there: a full one, or in the rest of a run the one that is there, with the tips it has left."""
    left = next(iter(runs_left_by(worklist)), "")
    mine = (step for step in worklist.steps if step.tip.partition(":")[0] == item.nickname)
    if not left or any(step.tip_policy == FULL_RACK for step in mine):
        return "new tips"
    return f"tips as {left} left them"


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
