"""Kill curves of one plate: replicates, fit with its band, marked ET50; a panel per sample, line and treatment."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import altair as alt

from nkloop.assays.models import AssayResult, CurveFit, WellLysis
from nkloop.reports import theme
from nkloop.reports.numbers import figure

_COLUMNS = 3
_WIDTH, _HEIGHT = 205, 150
_CROSS = "M-1,-1L1,1M-1,1L1,-1"
_FOOT = -100.0
"""Lower end of the line dropped from an ET50, in % lysis; the plot clips it."""
_Row = dict[str, Any]


def plate_curves_chart(result: AssayResult) -> alt.FacetChart | None:
    """All curves of a plate; None when nothing was killed by effector cells at a known E:T.

    A flagged well is a cross, others are dots, so that grey prints tell them apart. Lysis below 0 and above 100 % stays
    in the picture.
    """
    rows = [row for key in _panels(result) for row in _panel(result, key)]
    points = [row for row in rows if row["layer"] in {"replicate", "flagged"}]
    if not points:
        return None
    ratios = [row["x"] for row in points]
    low, high = min([-5.0, *(p["y"] for p in points)]), max([100.0, *(p["y"] for p in points)])
    x = alt.X(
        "x:Q",
        scale=alt.Scale(type="log", domain=[min(ratios) * 0.8, max(ratios) * 1.25], nice=False),
        axis=alt.Axis(title="True E:T (NK cells per target)", format="~g", tickCount=5),
    )
    y = alt.Y(
        "y:Q",
        scale=alt.Scale(domain=[math.floor(low / 5) * 5, math.ceil((high + 22) / 5) * 5], nice=False),
        axis=alt.Axis(title="Lysis (%)", values=[0, 25, 50, 75, 100]),
    )
    layered = alt.layer(*_layers(x, y), data=alt.InlineData(values=tuple(rows))).properties(
        width=_WIDTH, height=_HEIGHT
    )
    panels = layered.facet(
        facet=alt.Facet("panel:N", sort=list(dict.fromkeys(row["panel"] for row in rows)), title=None),
        columns=_COLUMNS,
        spacing=14,
    )
    # with shared axes the last row would be filled up with axes of no panel
    drawn: alt.FacetChart = panels.resolve_axis(x="independent")
    return drawn


def _panels(result: AssayResult) -> list[tuple[str, str, str]]:
    """Sample, line and treatment of every curve, as they stand in the layout."""
    wells = [w for w in result.lysis if w.sample and w.true_ratio > 0]
    samples = [sample.name for sample in result.layout.samples]

    def place(well: WellLysis) -> tuple[int, int, str, float]:
        rank = samples.index(well.sample) if well.sample in samples else len(samples)
        return rank, result.layout.lines.index(well.target_line), well.treatment, well.dose or 0.0

    return list(
        dict.fromkeys((w.sample, w.target_line, _treatment(w.treatment, w.dose)) for w in sorted(wells, key=place))
    )


def _treatment(name: str, dose: float | None) -> str:
    return f"{name} {dose:g}" if name and dose else name


def _panel(result: AssayResult, key: tuple[str, str, str]) -> list[_Row]:
    sample, line, treatment = key
    units = {one.name: one.unit for one in result.layout.treatments}
    dosed = f"{treatment} {units.get(treatment.rpartition(' ')[0], '')}".strip()
    name = ", ".join(part for part in (sample, line if len(result.layout.lines) > 1 else "", dosed) if part)
    rows: list[_Row] = [
        {
            "panel": name,
            "layer": "flagged" if well.flags else "replicate",
            "x": well.true_ratio,
            "y": well.lysis_percent,
            "well": well.well,
            "flags": "; ".join(well.flags) or "none",
        }
        for well in result.lysis
        if (well.sample, well.target_line, _treatment(well.treatment, well.dose)) == key and well.true_ratio > 0
    ]
    curve = _curve(result, sample, line, treatment)
    return rows + (_drawn(curve, name) if curve is not None else [])


def _curve(result: AssayResult, sample: str, line: str, treatment: str) -> CurveFit | None:
    for curve in result.curves:
        if curve.sample == sample and curve.target_line in {line, ""} and curve.treatment in {treatment, ""}:
            return curve
    return None


def _drawn(curve: CurveFit, name: str) -> list[_Row]:
    rows: list[_Row] = [
        {"panel": name, "layer": "fit", "x": x, "y": y, "low": lo, "high": hi} for x, y, lo, hi in curve.grid
    ]
    told = curve.et50_text or (figure(curve.et50) if curve.determined else "not determined")
    rows.append({"panel": name, "layer": "note" if curve.determined else "warning", "text": f"ET50 {told}"})
    height = _height(curve)
    if curve.determined and height is not None:
        rows.append({"panel": name, "layer": "et50", "x": curve.et50, "y": height, "low": _FOOT})
    return rows


def _height(curve: CurveFit) -> float | None:
    """Lysis of the fitted line at the ET50, linear over log E:T between its points; None outside the line."""
    if curve.et50 is None or curve.et50 <= 0:
        return None
    at = math.log(curve.et50)
    for (x0, y0, *_), (x1, y1, *_) in pairwise(sorted(point for point in curve.grid if point[0] > 0)):
        left, right = math.log(x0), math.log(x1)
        if left <= at <= right:
            return y0 + (y1 - y0) * ((at - left) / (right - left) if right > left else 0.0)
    return None


def _layers(x: alt.X, y: alt.Y) -> list[alt.Chart]:
    def layer(name: str) -> alt.Chart:
        return alt.Chart().transform_filter(f"datum.layer == '{name}'")

    told = [
        alt.Tooltip("well:N", title="Well"),
        alt.Tooltip("x:Q", title="True E:T", format=".3~g"),
        alt.Tooltip("y:Q", title="Lysis (%)", format=".1f"),
        alt.Tooltip("flags:N", title="Flags"),
    ]
    crossed: _Row = {"shape": _CROSS, "filled": False, "size": 60, "strokeWidth": 1.8}
    note: _Row = {"align": "left", "baseline": "top", "fontSize": 10.5}
    placed: _Row = {"x": alt.value(6), "y": alt.value(5), "text": alt.Text("text:N")}
    return [
        layer("fit").mark_area(color=theme.VARIANT, opacity=0.18).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        layer("fit").mark_line(color=theme.VARIANT, strokeWidth=2).encode(x=x, y=y),
        layer("replicate")
        .mark_point(filled=True, color=theme.INK, size=26, opacity=0.85)
        .encode(x=x, y=y, tooltip=told),
        layer("flagged").mark_point(color=theme.WARNING, **crossed).encode(x=x, y=y, tooltip=told),
        layer("et50")
        .mark_rule(color=theme.BEST, strokeDash=[2, 2], strokeWidth=1.4, clip=True)
        .encode(x=x, y=y, y2="low:Q"),
        layer("et50")
        .mark_point(color=theme.BEST, shape="diamond", filled=True, size=70, opacity=1)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("x:Q", title="ET50 (true E:T)", format=".3~g")]),
        layer("note").mark_text(color=theme.INK, **note).encode(**placed),
        layer("warning").mark_text(color=theme.WARNING, **note).encode(**placed),
    ]
