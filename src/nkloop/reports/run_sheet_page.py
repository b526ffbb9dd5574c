"""The run sheet as a page that prints on A4, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.reports.deck_map import LabwareTitles, deck_svg, pipette_title
from nkloop.reports.markdown import markdown_table, markdown_text
from nkloop.reports.numbers import count, duration
from nkloop.reports.page import css_text, picture, render
from nkloop.reports.qr import qr_svg
from nkloop.reports.run_sheet import RunSheet
from nkloop.reports.run_view import step_sentence

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
        f"**{_t(sheet.next_action)}**",
        _summary(sheet),
        _items(sheet.limits),
        *(f"### {heading}\n\n{text}" for heading, text in _sections(sheet).items()),
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
    """Heading to text, in the order of the work."""
    checks = [f"☐ {_t(c.liquid)}: {_t(c.what)}. Done by ______ checked by ______" for c in sheet.second_checks]
    return {
        "Take out": _table(
            ("When", "What to do", "Liquid", "Lot", "From", "Volume"),
            [(r.when, r.how, r.liquid, r.lot, r.storage, r.volume) for r in sheet.take_out],
        ),
        "Deck": _deck(sheet),
        "Liquids to load": _table(
            ("Slot", "Labware", "Wells", "Liquid", "Lot", "Volume per well", "Expires", "Left of the lot", "Done"),
            [(r.slot, r.labware, r.wells, r.liquid, r.lot, r.volume, r.expires, r.remaining, "☐") for r in sheet.load],
        ),
        "Checked by a second person": "\n".join(f"- {one}" for one in checks) or "None.",
        "Dilutions the robot makes": _items(sheet.dilutions) or "None.",
        "Steps": _table(
            ("Steps", "Who", "What", "Time", "Start", "End"),
            [(b.steps, b.who, f"{b.text}. {b.detail}".rstrip(". "), b.time, "", "") for b in sheet.blocks],
        ),
        "Deviations": "Steps, what happened, what was decided: ______",
    }


def _deck(sheet: RunSheet) -> str:
    deck = [
        (item.slot, item.label or item.load_name, item.barcode or "", _kept(item.temperature_c))
        for item in sorted(sheet.worklist.deck, key=lambda item: item.slot)
    ]
    table = markdown_table(("Slot", "What", "Label", "Temperature"), deck)
    return f"{table}\n\n{_items(sheet.tips)}" if sheet.tips else table


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_t(line)}" for line in lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(heads, rows) if rows else "None."


def _kept(temperature_c: float | None) -> str:
    return f"{temperature_c:g} °C" if temperature_c is not None else ""


def _t(text: str) -> str:
    return markdown_text(text)
