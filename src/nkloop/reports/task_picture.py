"""What a person is asked to do, as a picture: the deck, or a sign for the task and the plates with their wells."""

from __future__ import annotations

import string
import textwrap
from collections.abc import Collection, Sequence

from nkloop.reports import theme
from nkloop.reports.deck_map import LabwareTitles, deck_svg, item_title, labware_grid
from nkloop.reports.numbers import count
from nkloop.reports.shapes import box, frame, text
from nkloop.worklists.models import DeckItem, OperatorTask, OperatorTaskKind, Worklist
from nkloop.worklists.operator_tasks import thawed_in_run

_WORDS: dict[OperatorTaskKind, str] = {
    "confirm": "Check and confirm",
    "thaw": "Thaw",
    "warm": "Warm up",
    "equilibrate": "Let it equilibrate",
    "drain": "Drain",
    "rinse": "Rinse",
    "fill": "Run in medium",
    "settle": "Let the cells settle",
    "weigh": "Weigh",
    "sample": "Take a sample",
    "incubate": "Into the incubator and back",
    "centrifuge": "Spin",
    "store": "Store",
    "move": "Move",
    "seed": "Seed cells",
    "harvest": "Harvest cells",
    "weld": "Weld the dose tube to the bag",
    "move_to_reader": "Into the plate reader",
}
_SIGNS: dict[OperatorTaskKind, str] = {
    "confirm": "M14 34l12 12 24-26",
    "thaw": "M32 8c10 14 16 20 16 30a16 16 0 0 1-32 0c0-10 6-16 16-30zM26 40a7 7 0 0 0 8 8",
    "warm": "M28 8h8v28a12 12 0 1 1-8 0zM32 20v26M46 14h8M46 24h6M46 34h8",
    "equilibrate": "M32 6a26 26 0 1 0 .1 0zM32 16v16l12 8",
    "drain": "M14 8h36v20L36 40v4h-8v-4L14 28zM32 48v4M32 56v2",
    "rinse": "M18 8v12M32 8v12M46 8v12M10 28h44l-6 28H16zM14 40c6-4 10 4 18 0s12 4 18 0",
    "fill": "M32 6v14M26 14l6 8 6-8M14 26h36v30H14zM14 42h36",
    "settle": "M14 8h36v48H14zM14 20h36M22 48h4M30 48h4M38 48h4M26 52h4M34 52h4M32 26v14M27 35l5 6 5-6",
    "weigh": "M32 8v44M18 54h28M10 16h44M10 16l-6 18h12zM54 16l-6 18h12z",
    "sample": "M44 8l12 12-22 22-8 2 2-8zM22 46l-10 10M12 30v14M8 37h8",
    "incubate": "M8 10h48v44H8zM16 18h32v28H16zM24 46v-20M32 46v-20M40 46v-20",
    "centrifuge": "M32 8a24 24 0 1 0 .1 0zM32 26a6 6 0 1 0 .1 0zM32 26V12M38 36l11 7M26 36l-11 7",
    "store": "M32 6v52M10 19l44 26M10 45l44-26M26 10l6 6 6-6M26 54l6-6 6 6",
    "move": "M8 32h44M38 18l14 14-14 14M8 20v24",
    "seed": "M32 6v22M24 22l8 8 8-8M10 40h44v16H10zM18 48h4M30 48h4M42 48h4",
    "harvest": "M32 32V8M24 16l8-8 8 8M10 40h44v16H10zM18 48h4M30 48h4M42 48h4",
    "weld": "M6 26h20v12H6zM38 26h20v12H38zM26 32h12M32 12v10M22 16l5 7M42 16l-5 7",
    "move_to_reader": "M22 14h36v38H22zM30 22h20v8H30zM4 40h22M18 32l8 8-8 8",
}
"""A line drawing of 64 by 64 for every kind of task."""
_SIGN, _CELL, _WIDTH, _LINE = 64, 15, 560, 17
_MOST_PLATES = 3


def task_svg(
    task: OperatorTask,
    worklist: Worklist | None = None,
    *,
    wells: dict[str, tuple[str, ...]] | None = None,
    is_loading: bool = False,
    catalogue: LabwareTitles | None = None,
) -> str:
    """The picture of a task as SVG text.

    Args:
        task: what is to be done.
        worklist: where the labware it names stands.
        wells: wells concerned by nickname; those the task is about when not given.
        is_loading: the whole deck is to be loaded, so the deck is shown.
        catalogue: names and shapes of labware.
    """
    if is_loading and worklist is not None:
        return deck_svg(worklist, catalogue)
    items = [] if worklist is None else [item for item in worklist.deck if item.nickname in task.labware]
    concerned = wells if wells is not None else _concerned(task, worklist, [item.nickname for item in items])
    head, height = _head(task)
    parts = [head]
    for item in items[:_MOST_PLATES]:
        plate, below = _plate(item, concerned.get(item.nickname, ()), height, catalogue)
        parts.append(plate)
        height = below
    return frame(
        parts, width=_WIDTH, height=height, name="task", description=f"{_WORDS[task.kind]}: {task.instruction}"
    )


def _concerned(task: OperatorTask, worklist: Worklist | None, nicknames: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The wells a task names, of a thaw without names what it thaws, else all that the worklist touches."""
    touched = wells_touched(worklist, nicknames)
    if worklist is None or (not task.wells and task.kind != "thaw"):
        return touched
    if task.wells:
        return {nickname: tuple(well for well in wells if well in task.wells) for nickname, wells in touched.items()}
    frozen = thawed_in_run(worklist)
    thawed = {(one.labware, one.well) for one in worklist.fillings if one.liquid.lot in frozen}
    own = {nickname: tuple(well for well in wells if (nickname, well) in thawed) for nickname, wells in touched.items()}
    return own if any(own.values()) else touched


def wells_touched(worklist: Worklist | None, nicknames: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Wells of some labware that a worklist takes from, gives to or finds filled."""
    found: dict[str, set[str]] = {nickname: set() for nickname in nicknames}
    if worklist is None:
        return {}
    for filling in worklist.fillings:
        if filling.labware in found:
            found[filling.labware].add(filling.well)
    for step in worklist.steps:
        for labware, well in ((step.labware, step.well), (step.to_labware, step.to_well)):
            if labware in found and well:
                found[labware] |= set(_column(well, step.channels))
    return {nickname: tuple(sorted(wells)) for nickname, wells in found.items()}


def _column(well: str, channels: int) -> list[str]:
    """The wells channels stand in, one below the other."""
    first = string.ascii_uppercase.index(well[0])
    return [f"{string.ascii_uppercase[min(first + n, 25)]}{well[1:]}" for n in range(channels)]


def _head(task: OperatorTask) -> tuple[str, int]:
    """Sign, title, instruction and limits, and where the next thing begins."""
    limits = [f"{task.minutes:g} min"] if task.minutes else []
    limits += [f"{task.temperature_c:g} °C"] if task.temperature_c is not None else []
    limits += [f"{task.force_g:g} × g"] if task.force_g is not None else []
    left, lines = _SIGN + 28, textwrap.wrap(task.instruction, 68)[:6]
    parts = [
        box(0.5, 0.5, _WIDTH - 1, _SIGN + 20, fill="#f6f8fa", stroke=theme.GRID, radius=6),
        f'<path transform="translate(10 10)" d="{_SIGNS[task.kind]}" fill="none" stroke="{theme.VARIANT}" '
        f'stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/>',
        text(left, 34, _WORDS[task.kind], size=19, bold=True),
        text(left, 62, ", ".join(limits), size=17, colour=theme.BEST, bold=True),
        *(text(4, _SIGN + 44 + number * _LINE, line, size=13) for number, line in enumerate(lines)),
    ]
    return "".join(parts), _SIGN + 40 + len(lines) * _LINE


def _plate(item: DeckItem, wells: Sequence[str], top: int, catalogue: LabwareTitles | None) -> tuple[str, int]:
    """One labware with the wells concerned filled, and where the next thing begins."""
    rows, columns = labware_grid(item.load_name, catalogue)
    cell = _CELL if columns <= 12 else 9
    barcode = f", barcode {item.barcode}" if item.barcode else ""
    parts = [text(4, top + 14, f"{item_title(item, catalogue)} (slot {item.slot}{barcode})", size=13, bold=True)]
    start = top + 36
    for column in range(columns):
        parts.append(text(24 + (column + 0.5) * cell, start - 4, str(column + 1), size=8, anchor="middle"))
    for row in range(rows):
        letter = string.ascii_uppercase[row]
        parts.append(text(14, start + (row + 0.7) * cell, letter, size=8, anchor="middle"))
        for column in range(columns):
            is_concerned = f"{letter}{column + 1}" in wells
            parts.append(
                box(
                    24 + column * cell + 1,
                    start + row * cell + 1,
                    cell - 2,
                    cell - 2,
                    fill=theme.VARIANT if is_concerned else "#ffffff",
                    stroke=theme.INK if is_concerned else theme.FAINT,
                    thickness=1.6 if is_concerned else 0.6,
                    radius=cell / 2 - 1,
                )
            )
    told = f"{count(len(wells), 'well')} concerned" if wells else "no single well concerned"
    parts.append(text(24, start + rows * cell + 14, told, size=11, colour=theme.FAINT))
    return "".join(parts), start + rows * cell + 26
