"""HTML pages of analyses made from a file in hand: curves, potency, combinations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nkloop.assays.curve_study import CurveStudy
from nkloop.reports import theme
from nkloop.reports.analysis_charts import curves_chart
from nkloop.reports.numbers import figure, p_value
from nkloop.reports.page import picture, render


def curves_html(study: CurveStudy, source: str) -> str:
    """One page: the curves as a picture, parameters and effect doses as tables, comparisons."""
    rows = [
        (
            r.group or "curve",
            r.name,
            figure(r.estimate),
            figure(r.standard_error),
            _interval(r.ci_low, r.ci_high),
            r.note,
        )
        for one in study.curves
        for r in one.parameters
    ]
    doses = [(c.group or "curve", "EC50", c.ec50_text, "; ".join(c.reasons)) for c in study.curves]
    doses += [
        (c.group or "curve", f"response {d.level:g}" if d.of == "response" else f"EC{d.level:g}", d.text, d.reason)
        for c in study.curves
        for d in c.levels
    ]
    compared = [
        (m.simple, m.full, figure(m.f), p_value(m.p), figure(m.aicc_simple), figure(m.aicc_full), m.preferred)
        for m in (*study.models, *study.arms)
    ]
    return analysis_html(
        f"Dose-response curves of {source}",
        verdicts=[(c.group or "curve", c.verdict, "; ".join(c.reasons)) for c in study.curves],
        chart=theme.svg(curves_chart(study), name="curves", description="Fitted dose-response curves"),
        caption="Points are measurements, lines the fits with their pointwise 95 % bands over the tested doses.",
        tables=[
            ("Dose at a level (95 % profile-likelihood interval)", ("Curve", "Level", "Dose", "Remark"), doses),
            (
                "Parameters",
                ("Curve", "Parameter", "Estimate", "Standard error", "95 % interval", "Remark"),
                rows,
            ),
            (
                "Comparisons",
                ("Simple", "Full", "F", "p", "AICc simple", "AICc full", "Preferred by AICc"),
                compared,
            ),
        ],
    )


def analysis_html(
    title: str,
    *,
    verdicts: Sequence[tuple[str, str, str]],
    chart: str,
    caption: str,
    tables: Sequence[tuple[str, tuple[str, ...], Sequence[tuple[Any, ...]]]],
) -> str:
    """A self-contained page: verdicts first, one picture, tables; tables without rows are left out."""
    return render(
        "analysis.html",
        running_head=title,
        title=title,
        simulated=False,
        verdicts=verdicts,
        chart=picture(chart),
        caption=caption,
        tables=[table for table in tables if table[2]],
    )


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None and high is None else f"{figure(low)} to {figure(high)}"
