"""The run sheet as a page that prints on A4, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.reports.deck_map import LabwareTitles, deck_svg, pipette_title
from nkloop.reports.markdown import markdown_text
from nkloop.reports.numbers import count, duration
from nkloop.reports.page import css_text, picture, render
from nkloop.reports.qr import qr_svg
from nkloop.reports.run_sheet import RunSheet, SheetLoad
from nkloop.reports.run_view import step_sentence
from nkloop.reports.sheet_preparation import TakeOut
from nkloop.reports.sheet_steps import Block
from nkloop.worklists.empty_wells import empty_told, empty_wells

_COUNTED = "The time of a person's step counts from when the run asks for it; what is begun later is confirmed later."
_QR_MM = 26.0


def run_sheet_html(
    sheets: Sequence[RunSheet], *, catalogue: LabwareTitles | None = None, simulated: bool = False
) -> str:
    """One self-contained page with the sheets of all parts; equal text for equal sheets.

    Args:
        sheets: one per worklist, as `run_sheets` makes them.
        catalogue: gives labware its title and its grid of wells.
        simulated: says in a banner that no robot will move.
    """
    first = sheets[0]
    revision = first.worklist.recipe_revision or "no recipe revision"
    return render(
        "run_sheet.html",
        running_head=f"Run sheet {first.title}",
        running_foot=css_text(f"{revision}   worklist {first.short_hash}   {first.planned_on}"),
        title=f"Run sheet {first.title}",
        simulated=simulated,
        pages=[
            {
                "sheet": sheet,
                "qr": picture(qr_svg(sheet.code, _QR_MM)),
                "deck": picture(deck_svg(sheet.worklist, catalogue, name=f"deck-{number}")),
                "counted": _COUNTED,
                "steps": [(step, step_sentence(step, sheet.worklist, catalogue)) for step in sheet.worklist.steps],
            }
            for number, sheet in enumerate(sheets, start=1)
        ],
    )


def sheets_markdown(sheets: Sequence[RunSheet], catalogue: LabwareTitles | None = None) -> str:
    """The same as Markdown: for the Prefect pages, a wiki, or a printer without a browser."""
    return "\n".join(_markdown(sheet) for sheet in sheets)


def _markdown(sheet: RunSheet) -> str:
    part = f" ({sheet.part})" if sheet.part else ""
    parts = [
        f"## {_t(sheet.title)}{part}",
        f"**{_t(sheet.next_action)}**{f' **{_t(sheet.lead)}**' if sheet.lead else ''}",
        _summary(sheet),
        _items(sheet.warnings),
        _items(sheet.limits),
        *(f"### {heading}\n\n{text or 'None.'}" for heading, text in _sections(sheet).items()),
        "Done by ______ Checked by ______ Date ______\n",
    ]
    return "\n\n".join(part for part in parts if part)


def _summary(sheet: RunSheet) -> str:
    worklist = sheet.worklist
    pipettes = ", ".join(f"{mount} {_t(pipette_title(name))}" for mount, name in sorted(worklist.pipettes.items()))
    time = f", about {duration(sheet.minutes)} of robot time" if sheet.minutes else ""
    counted = f"{count(len(worklist.steps), 'step')}, {count(worklist.n_transfers, 'transfer')}"
    made_of = f"Recipe {_t(worklist.recipe_revision or 'none')}, worklist `{sheet.short_hash}`, code `{sheet.code}`."
    checks = f" Checks: {_t(sheet.verdict)}." if sheet.verdict else ""
    return f"{sheet.procedure}: {counted}{time}. Pipettes: {pipettes}. {made_of}{checks}"


def _sections(sheet: RunSheet) -> dict[str, str]:
    """Heading to text, in the order of the work.

    Lists, not tables: the pages of Prefect cut a table at the width of their column.
    """
    checks = [f"☐ {_t(c.liquid)}: {_t(c.what)}. Done by ______ checked by ______" for c in sheet.second_checks]
    return {
        "Take out": _take_out(sheet.take_out),
        "Deck": _deck(sheet),
        "Liquids to load": _loads(sheet.load),
        "Checked by a second person": "\n".join(f"- {one}" for one in checks),
        "Dilutions the robot makes": _items(sheet.dilutions),
        "Steps": "\n".join([*(_step(block) for block in sheet.blocks), *_afterwards(sheet), "", _COUNTED]),
        "Deviations": "Steps, what happened, what was decided: ______",
    }


def _take_out(rows: Sequence[TakeOut]) -> str:
    """Liquids that are treated alike at one time in one item."""
    together: dict[tuple[str, str], list[TakeOut]] = {}
    for row in rows:
        together.setdefault((row.when, row.how), []).append(row)
    return "\n".join(
        f"- ☐ **{_t(when)}**: {_t(how)}: {'; '.join(_t(_liquid(row)) for row in some)}"
        for (when, how), some in together.items()
    )


def _liquid(row: TakeOut) -> str:
    """`GBGM, 102.2 mL, LOT-GBGM-01 (GBGM-01-01 102.2 mL), 4 °C`."""
    lot = f"{row.lot} ({row.containers})" if row.containers else row.lot
    return ", ".join(word for word in (row.liquid, row.volume, lot, row.storage) if word)


def _loads(rows: Sequence[SheetLoad]) -> str:
    """One item per labware, the liquids in it below."""
    lines, last = [], ("", "")
    for row in rows:
        if (row.slot, row.labware) != last:
            last = row.slot, row.labware
            lines.append(f"- **{_t(row.slot)}** {_t(row.labware)}")
        facts = [
            f"{row.volume} each" if "," in row.wells or "…" in row.wells else row.volume,
            row.lot and f"lot {row.lot}",
            row.scanned and f"scan {row.scanned}",
            row.expires and f"expires {row.expires}",
            row.remaining and f"{row.remaining} left of the lot",
        ]
        lines.append(f"  - ☐ {_t(row.wells)}: **{_t(row.liquid)}**, {_t(', '.join(fact for fact in facts if fact))}")
    return "\n".join(lines)


def _step(block: Block) -> str:
    told = ". ".join(part.rstrip(". ") for part in (block.text, block.detail) if part)
    time = f" ({block.time})" if block.time else ""
    if block.is_person:
        return f"- **{block.steps}, person**: {_t(told)}{time}. Start ______ end ______"
    return f"- **{block.steps}**, {block.who}: {_t(told)}{time}"


def _afterwards(sheet: RunSheet) -> list[str]:
    return [f"- ☐ **{_t(sheet.afterwards)}**. Done at ______"] if sheet.afterwards else []


def _deck(sheet: RunSheet) -> str:
    """Slot by slot, with label, set point, tips and what stands empty."""
    lines = []
    used = dict(tip.split(": ", 1) for tip in sheet.tips)
    for item in sorted(sheet.worklist.deck, key=lambda item: item.slot):
        tips = used.get(item.slot, "").rpartition(", ")[2]
        empty = empty_told(item, empty_wells(item, sheet.worklist))
        words = (item.barcode and f"label {item.barcode}", _kept(item.temperature_c), tips, empty)
        more = "".join(f", {_t(word)}" for word in words if word)
        lines.append(f"- **{item.slot}** {_t(item.label or item.load_name)}{more}")
    return "\n".join(lines)


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_t(line)}" for line in lines)


def _kept(temperature_c: float | None) -> str:
    return f"{temperature_c:g} °C" if temperature_c is not None else ""


def _t(text: str) -> str:
    return markdown_text(text)
