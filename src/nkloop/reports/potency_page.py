"""HTML pages of potency assays and of their combinations."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np

from nkloop.assays.potency.data import PotencyData
from nkloop.assays.potency.models import CombinedPotency, PotencyResult
from nkloop.reports import theme
from nkloop.reports.analysis_charts import COLOURS, dose_axis
from nkloop.reports.analysis_page import analysis_html
from nkloop.reports.numbers import figure, p_value


def potency_html(result: PotencyResult, data: PotencyData, source: str) -> str:
    """Potencies, the dose-response lines or means, analysis of variance and similarity."""
    potencies = [
        (
            p.preparation,
            "yes" if p.valid else "NOT VALID",
            "not determined" if p.potency is None else figure(p.potency, 5),
            _interval(p.ci_low, p.ci_high),
            figure(p.percent_of_assumed, 4),
        )
        for p in result.preparations
    ]
    investigated = [
        (p.preparation, figure(p.potency_if_valid, 5), _interval(p.ci_low_if_valid, p.ci_high_if_valid))
        for p in result.preparations
        if not p.valid and p.potency_if_valid is not None
    ]
    rows = [
        (r.source, r.freedom, figure(r.sum_of_squares, 5), figure(r.mean_square, 5), figure(r.f), p_value(r.p))
        for r in result.analysis_of_variance
    ]
    similar = [
        (p.preparation, s.name, figure(s.estimate), f"{figure(s.ci_low)} to {figure(s.ci_high)}", _margins(s.margins))
        for p in result.preparations
        for s in p.similarity
    ]
    verdict = [("Assay", _validity(result.valid), "; ".join((*result.reasons, *result.notes)))]
    verdict += [(p.preparation, _validity(p.valid), "; ".join(p.reasons)) for p in result.preparations]
    return analysis_html(
        f"Relative potency against {result.standard} in {source}",
        verdicts=verdict,
        chart=theme.svg(
            potency_chart(result, data), name="potency", description="Responses of every preparation over log dose"
        ),
        caption=f"Responses ({result.transform}) over dose; lines join the means of each preparation.",
        tables=[
            ("Potency", ("Preparation", "Valid", "Potency", "95 % interval", "% of assumed"), potencies),
            (
                "For the investigation only: what an assay that is not valid would have given",
                ("Preparation", "If it were valid", "95 % interval"),
                investigated,
            ),
            ("Analysis of variance", ("Source", "df", "Sum of squares", "Mean square", "F", "p"), rows),
            ("Similarity to the standard", ("Preparation", "What", "Estimate", "90 % interval", "Margins"), similar),
        ],
    )


def combined_html(combined: Sequence[CombinedPotency]) -> str:
    """Every assay with its interval and the combined potency below them."""
    return analysis_html(
        "Combination of independent assays",
        verdicts=[
            (c.preparation, c.method, f"heterogeneity chi-square {c.chi_square:.3g} on {c.freedom}, p {p_value(c.p)}")
            for c in combined
        ],
        chart=theme.svg(
            combined_chart(combined), name="combined", description="Potency of every assay and of all together"
        ),
        caption="Potency with 95 % interval per assay (circles) and combined (diamond).",
        tables=[
            (
                "Combined potency",
                ("Preparation", "Potency", "95 % interval", "Mean", "Unweighted"),
                [
                    (
                        c.preparation,
                        figure(c.potency, 5),
                        f"{figure(c.ci_low, 5)} to {figure(c.ci_high, 5)}",
                        c.method,
                        figure(c.unweighted, 5),
                    )
                    for c in combined
                ],
            )
        ],
    )


def _margins(margins: tuple[float, float] | None) -> str:
    return "–" if margins is None else f"{margins[0]:g} to {margins[1]:g}"


def _validity(valid: bool) -> str:
    return "valid" if valid else "NOT VALID: no potency can be reported"


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{figure(low, 5)} to {figure(high, 5)}"


def potency_chart(result: PotencyResult, data: PotencyData) -> alt.LayerChart | alt.FacetChart:
    """Transformed responses over dose, the means of each preparation joined."""
    rows = [
        {"x": float(10**x), "y": float(y), "preparation": p}
        for p, x, y in zip(data.preparation, data.log_dose, data.response, strict=True)
    ]
    means = []
    for name in data.names():
        mine = data.of(name)
        for dose in np.unique(data.log_dose[mine]):
            at = mine & (data.log_dose == dose)
            means.append({"x": float(10**dose), "y": float(data.response[at].mean()), "preparation": name})
    y = alt.Y("y:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=f"Response ({result.transform})"))
    colour = alt.Color("preparation:N", legend=None, scale=alt.Scale(range=list(COLOURS)))
    shape = alt.Shape("preparation:N", legend=alt.Legend(title=None), scale=alt.Scale(range=list(theme.SHAPES)))
    dash = alt.StrokeDash("preparation:N", legend=None)
    points = alt.Chart(alt.InlineData(values=tuple(rows))).mark_point(filled=True, size=34)
    lines = alt.Chart(alt.InlineData(values=tuple(means))).mark_line(strokeWidth=1.6)
    drawn: alt.LayerChart | alt.FacetChart = alt.layer(
        lines.encode(x=dose_axis("Dose (log scale)"), y=y, color=colour, strokeDash=dash),
        points.encode(x=dose_axis("Dose (log scale)"), y=y, color=colour, shape=shape),
    ).properties(width=theme.WIDTH - 90, height=320)
    return drawn


def combined_chart(combined: Sequence[CombinedPotency]) -> alt.LayerChart | alt.FacetChart:
    """Potency with its interval per assay, and of all together below."""
    rows = [
        {
            "assay": a.source,
            "x": a.potency,
            "low": a.ci_low,
            "high": a.ci_high,
            "preparation": c.preparation,
            "kind": "assay",
        }
        for c in combined
        for a in c.assays
    ]
    rows += [
        {
            "assay": "combined",
            "x": c.potency,
            "low": c.ci_low,
            "high": c.ci_high,
            "preparation": c.preparation,
            "kind": "all",
        }
        for c in combined
    ]
    x = alt.X(
        "x:Q",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(title="Potency (log scale)", format="~g"),
    )
    y = alt.Y("assay:N", sort=None, axis=alt.Axis(title=None))
    base = alt.Chart(alt.InlineData(values=tuple(rows)))
    shape = alt.Shape("kind:N", legend=None, scale=alt.Scale(domain=["assay", "all"], range=["circle", "diamond"]))
    low: dict[str, object] = {"x": alt.X("low:Q", scale=alt.Scale(type="log")), "x2": "high:Q"}
    drawn: alt.LayerChart | alt.FacetChart = (
        alt.layer(
            base.mark_rule(color=theme.VARIANT, strokeWidth=1.6).encode(y=y, **low),
            base.mark_point(filled=True, size=80, color=theme.INK).encode(x=x, y=y, shape=shape),
        )
        .properties(width=theme.WIDTH - 200)
        .facet(row=alt.Row("preparation:N", title=None))
    )
    return drawn
