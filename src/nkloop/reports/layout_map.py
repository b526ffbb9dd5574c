"""A layout as a picture, before anything is measured: role and sample by letters, E:T, treatment, line and block."""

from __future__ import annotations

import base64
import string
from collections.abc import Sequence
from html import escape

from nkloop.assays.models import LayoutWell, PlateLayout, WellRole
from nkloop.reports import theme
from nkloop.reports.numbers import plain
from nkloop.reports.page import picture, render
from nkloop.reports.plate_map import ROLE_CODES
from nkloop.reports.shapes import box, frame, text

# Okabe and Ito's colours, lightened; the letter says the same
_FILLS: dict[WellRole, str] = {
    "experimental": "#cfe3f2",
    "effector_only": "#eef5fa",
    "spontaneous": "#fdf3c8",
    "maximum": "#f6cfae",
    "background": "#f4f4f4",
    "volume_correction": "#e4e4e4",
    "reference_effector": "#cdebdf",
    "treated_target": "#f3dcea",
    "medium_ring": "#fafafa",
    "empty": "#ffffff",
}
_EDGE = "#9aa4ad"
_LEFT, _TOP = 26, 44


def layout_svg(layout: PlateLayout, *, name: str = "layout") -> str:
    """One plate as SVG text."""
    rows, columns = (8, 12) if layout.plate_wells == 96 else (16, 24)
    cell = 62 if layout.plate_wells == 96 else 40
    wells = {w.well: w for w in layout.wells}
    said = f"{layout.barcode}: {layout.kind}, {layout.method}, {', '.join(layout.lines)}"
    seed = "fixed order" if layout.seed is None else f"seed {layout.seed}"
    parts = [text(_LEFT, 16, f"{said}, {layout.contact_minutes:g} min, {seed}", size=12, bold=True)]
    for c in range(columns):
        parts.append(text(_LEFT + (c + 0.5) * cell, _TOP - 6, str(c + 1), colour=theme.FAINT, anchor="middle"))
    for r in range(rows):
        letter = string.ascii_uppercase[r]
        parts.append(text(_LEFT / 2, _TOP + (r + 0.6) * cell, letter, colour=theme.FAINT, anchor="middle"))
        for c in range(columns):
            well = wells.get(f"{letter}{c + 1}")
            if well is not None:
                parts.append(_well(layout, well, _LEFT + c * cell, _TOP + r * cell, cell))
    lines = _key(layout)
    bottom = _TOP + rows * cell + 16
    parts += [text(_LEFT, bottom + 15 * i, line) for i, line in enumerate(lines)]
    return frame(
        parts,
        width=_LEFT + columns * cell + 4,
        height=bottom + 15 * len(lines),
        name=name,
        description=f"Layout of plate {layout.barcode}",
    )


def layouts_html(layouts: Sequence[PlateLayout]) -> str:
    """All plates of a design on one self-contained page."""
    return render(
        "layouts.html",
        running_head="Layout",
        title=f"Layout of {len(layouts)} plate{'s' if len(layouts) != 1 else ''}",
        simulated=False,
        maps=[picture(layout_svg(layout, name=f"layout-{n}")) for n, layout in enumerate(layouts, start=1)],
    )


def layout_png(layout: PlateLayout) -> bytes:
    """One plate as PNG."""
    return base64.b64decode(theme.png_data_uri(layout_svg(layout)).partition(",")[2])


def _well(layout: PlateLayout, well: LayoutWell, x: float, y: float, cell: int) -> str:
    middle, size = x + cell / 2, 11 if cell > 50 else 8
    step = size + 2
    lines = [_code(layout, well)]
    if well.nominal_ratio is not None:
        lines.append(f"{plain(well.nominal_ratio)}:1")
    if well.treatment is not None:
        number = [t.name for t in layout.treatments].index(well.treatment) + 1
        lines.append(f"+{number}" + ("" if well.dose is None else f" {well.dose:g}"))
    if well.target_line is not None:
        lines.append(f"L{layout.lines.index(well.target_line) + 1}")
    top = y + (cell - step * len(lines)) / 2 + size
    written = "".join(
        text(middle, top + i * step, line, size=size, anchor="middle", bold=i == 0) for i, line in enumerate(lines)
    )
    square = box(x + 1, y + 1, cell - 2, cell - 2, fill=_FILLS[well.role], stroke=_EDGE, thickness=0.7, radius=4)
    return f"<g><title>{escape(_hint(layout, well))}</title>{square}{written}</g>"


def _code(layout: PlateLayout, well: LayoutWell) -> str:
    letter = ROLE_CODES[well.role][0]
    names = [sample.name for sample in layout.samples]
    if well.role in {"experimental", "effector_only"} and well.sample in names:
        return f"{letter}{names.index(well.sample) + 1}"
    return letter


def _hint(layout: PlateLayout, well: LayoutWell) -> str:
    said = [f"{well.well}: {ROLE_CODES[well.role][1]}"]
    if well.sample is not None:
        sample = next(s for s in (*layout.samples, layout.reference) if s is not None and s.name == well.sample)
        ratio = well.nominal_ratio or 0
        said.append(f"{sample.name} at nominal {ratio:g}:1, true {sample.true_ratio(ratio):.3g}:1")
    if well.block is not None:
        said.append(f"block {well.block}")
    return "; ".join(said)


def _key(layout: PlateLayout) -> list[str]:
    used = {w.role for w in layout.wells}
    roles = [f"{code} {said}" for role, (code, said) in ROLE_CODES.items() if role in used and code]
    lines = ["; ".join(roles[i : i + 2]) for i in range(0, len(roles), 2)]
    lines.append("; ".join(f"E{n}, e{n}: {s.name}" for n, s in enumerate(layout.samples, start=1)))
    if len(layout.lines) > 1:
        lines.append("; ".join(f"L{n}: {line}" for n, line in enumerate(layout.lines, start=1)))
    if layout.treatments:
        lines.append("; ".join(f"+{n}: {t.name} [{t.unit}]" for n, t in enumerate(layout.treatments, start=1)))
    return lines
