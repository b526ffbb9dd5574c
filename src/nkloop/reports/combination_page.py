"""HTML page of a combination experiment."""

from __future__ import annotations

import altair as alt

from nkloop.assays.combination_models import Advisory, CombinationResult
from nkloop.reports import theme
from nkloop.reports.analysis_page import analysis_html
from nkloop.reports.numbers import figure

_RAMP = ["#0072b2", "#ffffff", "#d55e00"]


def combination_html(result: CombinationResult, source: str) -> str:
    """Excess per dose pair as two matrices, tables of all figures, advice marked as such."""
    cells = [
        (
            f"{b.dose_a:g}",
            f"{b.dose_b:g}",
            figure(b.observed),
            _excess(b.excess, b.ci_low, b.ci_high),
            b.reading,
            _excess(h.excess, h.ci_low, h.ci_high),
            h.reading,
        )
        for b, h in zip(result.bliss.cells, result.hsa.cells, strict=True)
    ]
    summary = [
        (
            name,
            _excess(s.mean_excess, s.ci_low, s.ci_high),
            f"{s.largest_excess:+.1f} at {s.largest_at[0]:g} and {s.largest_at[1]:g}",
            s.reading,
        )
        for name, s in (("Bliss", result.bliss.summary), ("HSA", result.hsa.summary))
    ]
    advice = [
        _advised(name, found) for name, found in (("Loewe", result.loewe), ("ZIP", result.zip)) if found is not None
    ]
    return analysis_html(
        f"Combination in {source}",
        verdicts=[(row[0], f"{row[3]} than expected", f"mean excess {row[1]}") for row in summary]
        + [("Remark", "", text) for text in result.warnings],
        chart=theme.svg(_chart(result), name="combination", description="Excess over Bliss and HSA per dose pair"),
        caption="Excess over the expectation in percentage points; the sign is written in every cell, * where the 95 % "
        "interval leaves out 0.",
        tables=[
            ("Summary", ("Expectation", "Mean excess (95 % interval)", "Largest excess", "Reading"), summary),
            ("Dose pairs", ("Dose a", "Dose b", "Effect %", "Bliss excess", "", "HSA excess", ""), cells),
            ("Advisory models", ("Model", "Meaning", "Mean", "Remark"), advice),
        ],
    )


def _excess(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.1f}" + ("" if low is None or high is None else f" ({low:+.1f} to {high:+.1f})")


def _advised(name: str, found: Advisory) -> tuple[str, str, str, str]:
    return (f"{name} (advisory)", found.meaning, figure(found.mean), found.reason)


def _chart(result: CombinationResult) -> alt.HConcatChart:
    rows = [
        {
            "model": name,
            "a": f"{c.dose_a:g}",
            "b": f"{c.dose_b:g}",
            "excess": c.excess,
            "text": f"{c.excess:+.0f}{'*' if c.reading in ('more', 'less') else ''}",
        }
        for name, found in (("Bliss", result.bliss), ("Highest single agent", result.hsa))
        for c in found.cells
    ]
    reach = max(abs(float(str(row["excess"]))) for row in rows) or 1.0
    panels = [
        _panel(result, [r for r in rows if r["model"] == name], name, reach)
        for name in ("Bliss", "Highest single agent")
    ]
    beside: alt.HConcatChart = alt.hconcat(*panels, spacing=24)
    return beside


def _panel(
    result: CombinationResult, rows: list[dict[str, object]], title: str, reach: float
) -> alt.LayerChart | alt.FacetChart:
    x = alt.X("a:O", sort=[f"{d:g}" for d in result.doses_a], axis=alt.Axis(title="Dose a", labelAngle=0))
    y = alt.Y("b:O", sort=[f"{d:g}" for d in reversed(result.doses_b)], axis=alt.Axis(title="Dose b"))
    scale = alt.Scale(domain=[-reach, 0, reach], range=_RAMP)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y)
    drawn: alt.LayerChart | alt.FacetChart = alt.layer(
        base.mark_rect(stroke=theme.GRID).encode(color=alt.Color("excess:Q", scale=scale, legend=None)),
        base.mark_text(color=theme.INK).encode(text="text:N"),
    ).properties(width=290, height=240, title=title)
    return drawn
