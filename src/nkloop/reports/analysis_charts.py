"""Pictures of analyses made from a file in hand."""

from __future__ import annotations

from typing import Any

import altair as alt

from nkloop.assays.curve_study import CurveStudy
from nkloop.reports import theme

_Row = dict[str, Any]
_HEIGHT = 320


def dose_axis(title: str = "Dose or E:T (log scale)") -> alt.X:
    """Logarithmic dose axis."""
    return alt.X(
        "x:Q", scale=alt.Scale(type="log", nice=False, padding=14), axis=alt.Axis(title=title, format="~g", tickCount=6)
    )


def curves_chart(study: CurveStudy) -> alt.LayerChart | alt.FacetChart:
    """Points, fits, bands and EC50 of every curve; doses of 0 are drawn at the left edge as open marks."""
    lowest = min((p[0] for c in study.curves for p in c.points if p[0] > 0), default=1.0)
    rows: list[_Row] = []
    for curve in study.curves:
        name = curve.group or "curve"
        rows += [
            {"layer": "zero" if x <= 0 else "point", "x": x if x > 0 else lowest / 2, "y": y, "group": name}
            for x, y in curve.points
        ]
        rows += [{"layer": "fit", "x": x, "y": y, "low": a, "high": b, "group": name} for x, y, a, b in curve.grid]
        if curve.ec50 is not None and curve.grid:
            ec50 = curve.ec50
            y = min(curve.grid, key=lambda point: abs(point[0] / ec50 - 1.0))[1]
            rows.append({"layer": "ec50", "x": curve.ec50, "y": y, "group": name})
    y_axis = alt.Y("y:Q", axis=alt.Axis(title="Response"))
    several = len(study.curves) > 1
    # the legend shows shapes, which say the same in a grey print
    colour = alt.Color("group:N", legend=None, scale=alt.Scale(range=list(COLOURS)))
    shape = alt.Shape(
        "group:N", legend=alt.Legend(title=None) if several else None, scale=alt.Scale(range=list(theme.SHAPES))
    )
    dash = alt.StrokeDash("group:N", legend=None)

    def layer(name: str) -> alt.Chart:
        return alt.Chart().transform_filter(f"datum.layer == '{name}'")

    drawn: alt.LayerChart | alt.FacetChart = alt.layer(
        layer("fit").mark_area(opacity=0.15).encode(x=dose_axis(), y=alt.Y("low:Q"), y2="high:Q", color=colour),
        layer("fit").mark_line(strokeWidth=2).encode(x=dose_axis(), y=y_axis, color=colour, strokeDash=dash),
        layer("point").mark_point(filled=True, size=34).encode(x=dose_axis(), y=y_axis, color=colour, shape=shape),
        layer("zero").mark_point(filled=False, size=34).encode(x=dose_axis(), y=y_axis, color=colour, shape=shape),
        layer("ec50")
        .mark_point(shape="diamond", filled=True, size=90, color=theme.BEST)
        .encode(x=dose_axis(), y=y_axis),
        data=alt.InlineData(values=tuple(rows)),
    ).properties(width=theme.WIDTH - 90, height=_HEIGHT)
    return drawn


COLOURS = (theme.VARIANT, theme.BEST, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", theme.INK)
"""Okabe and Ito's colours in reading order."""
