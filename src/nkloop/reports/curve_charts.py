"""Kill curves as small multiples: one row per donor, one column per arm, the reference recipe drawn behind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import altair as alt

from nkloop.assays.models import AssayResult, CurveFit, EffectorSample
from nkloop.reports import theme
from nkloop.reports.campaign_data import REFERENCE_ARM, arm_order, curve_of, donors_of, plates_of
from nkloop.reports.models import CampaignStory
from nkloop.reports.numbers import figure

_COLUMNS = 3
_HEIGHT = 128
_CROSS = "M-1,-1L1,1M-1,1L1,-1"
_Row = dict[str, Any]

_BELOW_THE_PLOT = -100.0
"""Where the ET50's drop line ends, in % lysis; a far lower end would print as millions of dashes."""


def kill_curve_charts(story: CampaignStory, number: int | None) -> tuple[alt.FacetChart, ...]:
    """Replicates, fitted line with band and ET50 of every sample of a round, a few arms per chart.

    Samples of rejected plates show their points only, named as rejected; their fits count for nothing.
    """
    plates = plates_of(story, number)
    lines = tuple(dict.fromkeys(plate.target_line for plate in plates))
    rows = [row for plate in plates for row in _plate_rows(plate, several_lines=len(lines) > 1)]
    if not rows:
        return ()
    rows = [*_merged_notes(rows), *_overlay(rows)]
    x, y = _domain([r["x"] for r in rows if "x" in r]), _lysis_domain(rows)
    order = [(arm, line) for arm in _arms(story, number, plates) for line in lines]
    columns = dict.fromkeys(r["column"] for key in order for r in rows if (r["arm"], r["line"]) == key)
    return tuple(
        _chart([r for r in rows if r["column"] in chunk], chunk, donors_of(story), x, y)
        for chunk in _chunks(tuple(columns))
    )


def _arms(story: CampaignStory, number: int | None, plates: tuple[AssayResult, ...]) -> tuple[str, ...]:
    present = {sample.arm for plate in plates for sample in plate.layout.samples}
    ordered = arm_order(story, number) if number is not None else ()
    return tuple(arm for arm in dict.fromkeys([*ordered, *sorted(present)]) if arm in present)


def _chunks(columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(columns), _COLUMNS):
        yield columns[start : start + _COLUMNS]


def _plate_rows(plate: AssayResult, *, several_lines: bool) -> list[_Row]:
    rows: list[_Row] = []
    rejected = plate.verdict == "rejected"
    for sample in plate.layout.samples:
        where = {
            "column": f"{sample.arm} ({plate.target_line})" if several_lines else sample.arm,
            "arm": sample.arm,
            "line": plate.target_line,
            "donor": f"Donor {sample.donor}",
            "plate": plate.barcode,
        }
        rows += _replicates(plate, sample, where)
        curve = curve_of(plate, sample.name)
        if rejected:
            rows.append({**where, "layer": "warning", "text": "plate rejected"})
        elif curve is None or not curve.determined:
            told = curve.et50_text if curve is not None and curve.et50_text else "not determined"
            rows.append({**where, "layer": "warning", "text": f"ET50 {told}"})
        if curve is not None and not rejected:
            rows += _fit(curve, where)
    return rows


def _replicates(plate: AssayResult, sample: EffectorSample, where: _Row) -> list[_Row]:
    return [
        {**where, "layer": "flagged" if well.flags else "replicate", "x": well.true_ratio, "y": well.lysis_percent}
        for well in plate.lysis
        if well.sample == sample.name
    ]


def _fit(curve: CurveFit, where: _Row) -> list[_Row]:
    rows: list[_Row] = [{**where, "layer": "fit", "x": x, "y": y, "low": lo, "high": hi} for x, y, lo, hi in curve.grid]
    if not curve.determined:
        return rows
    rows.append({**where, "layer": "note", "text": f"ET50 {curve.et50_text or figure(curve.et50)}"})
    height = _height(curve)
    if height is not None:
        rows.append({**where, "layer": "et50", "x": curve.et50, "y": height, "low": _BELOW_THE_PLOT})
    return rows


def _height(curve: CurveFit) -> float | None:
    """Lysis the fitted line has at the ET50; None outside the line."""
    if curve.et50 is None or curve.et50 <= 0:
        return None
    ends = sorted((math.log(x), y) for x, y, _, _ in curve.grid if x > 0)
    at = math.log(curve.et50)
    for (x0, y0), (x1, y1) in pairwise(ends):
        if x0 <= at <= x1:
            return y0 + (y1 - y0) * ((at - x0) / (x1 - x0) if x1 > x0 else 0.0)
    return None


def _merged_notes(rows: list[_Row]) -> list[_Row]:
    """Notes of one panel on lines of their own; one warning makes all of them a warning."""
    kept = [row for row in rows if row["layer"] not in {"note", "warning"}]
    panels: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        if row["layer"] in {"note", "warning"}:
            panels.setdefault((row["column"], row["donor"]), []).append(row)
    for notes in panels.values():
        layer = "warning" if any(note["layer"] == "warning" for note in notes) else "note"
        kept.append({**notes[0], "layer": layer, "text": "\n".join(note["text"] for note in notes)})
    return kept


def _overlay(rows: list[_Row]) -> list[_Row]:
    """The reference recipe's fit with the same target line and donor, once behind every other arm."""
    reference = [r for r in rows if r["arm"] == REFERENCE_ARM and r["layer"] == "fit"]
    others = dict.fromkeys((r["column"], r["arm"], r["line"]) for r in rows if r["arm"] != REFERENCE_ARM)
    return [
        {**r, "column": column, "arm": arm, "layer": "reference"}
        for column, arm, line in others
        for r in reference
        if r["line"] == line
    ]


def _domain(ratios: list[float]) -> tuple[float, float]:
    positive = [ratio for ratio in ratios if ratio > 0]
    return (min(positive, default=0.1) * 0.85, max(positive, default=10.0) * 1.18)


def _lysis_domain(rows: list[_Row]) -> tuple[float, float]:
    values = [r["y"] for r in rows if r["layer"] in {"replicate", "flagged"}]
    low, high = min([-5.0, *values]), max([100.0, *values])
    return (math.floor(low / 5) * 5, math.ceil((high + 20) / 5) * 5)


def _chart(
    rows: list[_Row], columns: tuple[str, ...], donors: tuple[str, ...], x: tuple[float, float], y: tuple[float, float]
) -> alt.FacetChart:
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if x[0] <= t <= x[1]]
    ratio = alt.X(
        "x:Q",
        scale=alt.Scale(type="log", domain=list(x), nice=False),
        axis=alt.Axis(title="True E:T (NK cells per target)", values=ticks, format="~g"),
    )
    lysis = alt.Y(
        "y:Q", scale=alt.Scale(domain=list(y), nice=False), axis=alt.Axis(title="Lysis (%)", values=[0, 50, 100])
    )
    present = [d for d in donors if any(r["donor"] == f"Donor {d}" for r in rows)]
    layered = alt.layer(*_layers(ratio, lysis), data=alt.InlineData(values=tuple(rows))).properties(
        width=207, height=_HEIGHT
    )
    return layered.facet(
        row=alt.Row("donor:N", sort=[f"Donor {d}" for d in present], title=None),
        column=alt.Column("column:N", sort=list(columns), title=None),
        spacing=10,
    )


def _layers(ratio: alt.X, lysis: alt.Y) -> list[alt.Chart]:
    def layer(name: str) -> alt.Chart:
        return alt.Chart().transform_filter(f"datum.layer == '{name}'")

    plates = alt.Detail("plate:N")
    band: _Row = {"y": alt.Y("low:Q"), "y2": "high:Q"}
    thin: _Row = {"strokeDash": [5, 3], "strokeWidth": 1.4}
    drop: _Row = {"strokeDash": [2, 2], "strokeWidth": 1.4, "clip": True}
    crossed: _Row = {"shape": _CROSS, "filled": False, "size": 60, "strokeWidth": 1.8}
    diamond: _Row = {"shape": "diamond", "filled": True, "size": 64, "opacity": 1}
    return [
        layer("fit").mark_area(color=theme.VARIANT, opacity=0.18).encode(x=ratio, detail=plates, **band),
        layer("reference").mark_line(color="#555b61", **thin).encode(x=ratio, y=lysis, detail=plates),
        layer("fit").mark_line(color=theme.VARIANT, strokeWidth=2).encode(x=ratio, y=lysis, detail=plates),
        layer("replicate").mark_point(filled=True, color=theme.INK, size=20, opacity=0.85).encode(x=ratio, y=lysis),
        layer("flagged").mark_point(color=theme.WARNING, **crossed).encode(x=ratio, y=lysis),
        layer("et50").mark_rule(color=theme.BEST, **drop).encode(x=ratio, y=lysis, y2="low:Q"),
        layer("et50").mark_point(color=theme.BEST, **diamond).encode(x=ratio, y=lysis),
        *(_note(layer(name), colour) for name, colour in (("note", theme.INK), ("warning", theme.WARNING))),
    ]


def _note(chart: alt.Chart, colour: str) -> alt.Chart:
    text = chart.mark_text(align="left", baseline="top", fontSize=10.5, color=colour, lineBreak="\n")
    placed: alt.Chart = text.encode(x=alt.value(6), y=alt.value(5), text=alt.Text("text:N"))
    return placed
