"""A plate as a picture: signal per well as shade, role as letters, flagged wells outlined."""

from __future__ import annotations

import string
from collections.abc import Mapping
from html import escape

from nkloop.assays.models import AssayResult, LayoutWell, WellRole
from nkloop.reports import theme
from nkloop.reports.numbers import figure, fixed, percent, plain
from nkloop.reports.shapes import box, frame, text

ROLE_CODES: dict[WellRole, tuple[str, str]] = {
    "experimental": ("E", "effector and target cells of a sample"),
    "effector_only": ("e", "effector cells of a sample alone"),
    "spontaneous": ("S", "target cells alone: spontaneous release"),
    "maximum": ("M", "target cells fully lysed: maximum release"),
    "background": ("B", "medium alone"),
    "volume_correction": ("V", "medium with lysis buffer: volume correction"),
    "reference_effector": ("R", "cryopreserved reference effector and target cells"),
    "treated_target": ("T", "target cells with an antibody or drug, without effectors"),
    "medium_ring": ("·", "medium in the outer ring, against evaporation"),
    "empty": ("", "empty"),
}
"""Letter and meaning of every well role; a number after E or e is the sample of the plate."""

_SHADES = ("#ffffff", "#eaf1f8", "#cfe0ef", "#a9c9e2", "#7badd2", "#4f8fc0", "#2c70a8", "#165288", "#0a3561")
_SIZES = ((8, 12), (16, 24))
MOST_COLUMNS = 12
"""Columns beside each other in print; more would make letters smaller than 5 pt on A4."""
_EDGE = "#b9c2ca"


def plate_parts(result: AssayResult, *, name: str = "plate") -> tuple[str, ...]:
    """The plate as pictures that can be read in print: one of a plate with 96 wells, the two halves of one with 384."""
    columns = _size(result)[1]
    if columns <= MOST_COLUMNS:
        return (plate_svg(result, name=name),)
    starts = range(0, columns, MOST_COLUMNS)
    return tuple(
        plate_svg(result, name=f"{name}-{number}", first=start, last=min(start + MOST_COLUMNS, columns))
        for number, start in enumerate(starts, start=1)
    )


def plate_svg(
    result: AssayResult, *, detailed: bool = True, name: str = "plate", first: int = 0, last: int | None = None
) -> str:
    """The plate as SVG text; `detailed` writes role, E:T and signal into every well, else the letters alone.

    Args:
        result: the analysed plate.
        detailed: False for a map as small as a stamp.
        name: of the picture, unique on its page.
        first: columns before this one (counted from 0) are left out.
        last: this column and those after it are left out; none when None.
    """
    rows, every = _size(result)
    shown = range(first, every if last is None else last)
    columns = len(shown)
    cell, left, top = (56, 26, 22) if detailed else (15, 13, 12)
    scale = _scale(result.signals)
    wells = {well.well: well for well in result.layout.wells}
    parts = [_headings(rows, shown, cell, left, top)]
    for row in range(rows):
        for column in shown:
            well = f"{string.ascii_uppercase[row]}{column + 1}"
            corner = (left + (column - first) * cell, top + row * cell)
            parts.append(_well(result, wells.get(well), well, corner, cell, scale))
    if detailed:
        parts.append(_key(scale, left, top + rows * cell + 10))
    return frame(
        parts,
        width=left + columns * cell + 2,
        height=top + rows * cell + (34 if detailed else 2),
        name=name,
        description=f"Plate {result.barcode}: raw signal and role of each well",
    )


def _size(result: AssayResult) -> tuple[int, int]:
    """Rows and columns of the smallest usual plate that has all wells named."""
    wells = [*result.signals, *(well.well for well in result.layout.wells)]
    rows = max((string.ascii_uppercase.index(w[0]) + 1 for w in wells if w), default=1)
    columns = max((int(w[1:]) for w in wells if w[1:].isdigit()), default=1)
    return next((size for size in _SIZES if rows <= size[0] and columns <= size[1]), (rows, columns))


def _scale(signals: Mapping[str, float]) -> tuple[float, float]:
    low, high = min(signals.values(), default=0.0), max(signals.values(), default=1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _decimals(highest: float) -> int:
    """Decimals that suit the size of the signals: absorbance two, counts none."""
    return 2 if highest < 10 else 1 if highest < 100 else 0


def _shade(value: float | None, scale: tuple[float, float]) -> tuple[str, str]:
    """Fill and text colour of a signal."""
    if value is None:
        return "#f4f4f4", theme.FAINT
    share = (value - scale[0]) / (scale[1] - scale[0])
    index = min(len(_SHADES) - 1, max(0, int(share * len(_SHADES))))
    return _SHADES[index], "#ffffff" if index >= 5 else theme.INK


def _headings(rows: int, columns: range, cell: int, left: int, top: int) -> str:
    size = 12 if cell > 20 else 8
    shown = [at for at in range(len(columns)) if cell > 20 or columns[at] % 2 == 0]
    across = [
        text(left + (at + 0.5) * cell, top - 5, str(columns[at] + 1), size=size, colour=theme.FAINT, anchor="middle")
        for at in shown
    ]
    down = [
        text(left / 2, top + (r + 0.5) * cell + size * 0.35, letter, size=size, colour=theme.FAINT, anchor="middle")
        for r, letter in enumerate(string.ascii_uppercase[:rows])
    ]
    return "".join([*across, *down])


def _well(
    result: AssayResult, plan: LayoutWell | None, well: str, corner: tuple[int, int], cell: int,
    scale: tuple[float, float],
) -> str:  # fmt: skip
    is_flagged = any(entry.flags for entry in result.lysis if entry.well == well)
    fill, ink = _shade(result.signals.get(well), scale)
    gap = 1.5 if cell > 20 else 0.5
    square = box(
        corner[0] + gap,
        corner[1] + gap,
        cell - 2 * gap,
        cell - 2 * gap,
        fill=fill,
        stroke=theme.WARNING if is_flagged else _EDGE,
        thickness=(3 if cell > 20 else 2) if is_flagged else 0.8,
        radius=cell * 0.12,
    )
    if any(out.well == well for out in result.exclusions):
        (x, y), far = corner, cell - 2 * gap
        square += (
            f'<path d="M{x + gap} {y + gap}l{far} {far}m0 {-far}l{-far} {far}" stroke="{theme.WARNING}" '
            f'stroke-width="{2 if cell > 20 else 1}" fill="none"/>'
        )
    inside = _texts(result, plan, well, corner, ink) if cell > 20 else _letter(result, plan, corner, cell, ink)
    return f"<g><title>{_hint(result, plan, well)}</title>{square}{inside}</g>"


def _letter(result: AssayResult, plan: LayoutWell | None, corner: tuple[int, int], cell: int, ink: str) -> str:
    x, y = corner[0] + cell / 2, corner[1] + cell * 0.7
    return text(x, y, _code(result, plan), size=8, colour=ink, anchor="middle")


def _texts(result: AssayResult, plan: LayoutWell | None, well: str, corner: tuple[int, int], ink: str) -> str:
    """Role, nominal E:T and signal, one under the other."""
    x, y = corner[0] + 28, corner[1]
    value = result.signals.get(well)
    ratio = plan.nominal_ratio if plan is not None else None
    shown = fixed(value, _decimals(max(result.signals.values()))) if value is not None else ""
    return (
        text(x, y + 17, _code(result, plan), size=12, colour=ink, anchor="middle", bold=True)
        + text(x, y + 31, f"{plain(ratio)}:1" if ratio is not None else "", size=10, colour=ink, anchor="middle")
        + text(x, y + 47, shown, size=11.5, colour=ink, anchor="middle")
    )


def _code(result: AssayResult, plan: LayoutWell | None) -> str:
    if plan is None:
        return ""
    letter = ROLE_CODES[plan.role][0]
    names = [sample.name for sample in result.layout.samples]
    if plan.role in {"experimental", "effector_only"} and plan.sample in names:
        return f"{letter}{names.index(plan.sample) + 1}"
    return letter


def _hint(result: AssayResult, plan: LayoutWell | None, well: str) -> str:
    """What a pointer over the well shows."""
    said = [well]
    if plan is not None:
        said.append(ROLE_CODES[plan.role][1])
        said += [plan.sample] if plan.sample else []
        said += [f"E:T {plain(plan.nominal_ratio)}:1"] if plan.nominal_ratio is not None else []
    said.append(f"signal {figure(result.signals.get(well))}")
    said += [f"excluded: {out.reason}" for out in result.exclusions if out.well == well]
    for entry in result.lysis:
        if entry.well == well:
            said += [f"lysis {percent(entry.lysis_percent, 1)}", *entry.flags]
    return escape("; ".join(said))


def _key(scale: tuple[float, float], left: int, top: int) -> str:
    """Scale of the shades and the meaning of the frame."""
    step, decimals, start = 22, _decimals(scale[1]), left + 90
    end = start + len(_SHADES) * step
    shades = [
        box(start + i * step, top, step, 12, fill=shade, stroke=_EDGE, thickness=0.5) for i, shade in enumerate(_SHADES)
    ]
    return "".join(
        [
            text(left, top + 10, "Signal"),
            text(start - 6, top + 10, fixed(scale[0], decimals), anchor="end"),
            *shades,
            text(end + 6, top + 10, fixed(scale[1], decimals)),
            box(end + 60, top - 1, 14, 14, fill="none", stroke=theme.WARNING, thickness=3, radius=2),
            text(end + 80, top + 10, "flagged well; crossed out: excluded"),
        ]
    )
