"""HTML page of a combination experiment."""

from __future__ import annotations

from functools import partial

import altair as alt

from nkloop.assays.combination_models import Advisory, CombinationResult, Reading
from nkloop.reports import theme
from nkloop.reports.analysis_page import analysis_html
from nkloop.reports.numbers import figure
from nkloop.reports.surface_chart import SurfaceCell, surface_chart

_DOSES_BESIDE = 5
"""Doses of agent a up to which two surfaces fit beside each other."""


def combination_html(result: CombinationResult, source: str) -> str:
    """Response and excess per dose pair as surfaces, tables of all figures, advice marked as such."""
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
        chart=theme.svg(
            _chart(result), name="combination", description="Response, and excess over Bliss and HSA, per dose pair"
        ),
        caption="Response in percent effect with each agent alone at dose 0 of the other; excess over the expectation "
        "in percentage points, * where its 95 % interval leaves out 0.",
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


def combination_charts(result: CombinationResult) -> dict[str, alt.LayerChart | alt.FacetChart]:
    """Heading to picture: the response surface with its single-agent margins, and the excess over each expectation."""
    surface = partial(surface_chart, axis_a="Dose a", axis_b="Dose b")
    response = [SurfaceCell(a=a, b=b, value=mean) for a, b, mean, _ in result.means]
    pictures = {"Response": surface(response, title="Response (mean of the wells)", unit="% effect")}
    for name, found in (("Bliss", result.bliss), ("highest single agent", result.hsa)):
        cells = [SurfaceCell(a=c.dose_a, b=c.dose_b, value=c.excess, mark=_mark(c.reading)) for c in found.cells]
        heading = f"Excess over {name}"
        pictures[heading] = surface(cells, title=heading, unit="points", diverging=True)
    return pictures


def _mark(reading: Reading) -> str:
    return "*" if reading in ("more", "less") else ""


def _chart(result: CombinationResult) -> alt.ConcatChart:
    pictures = list(combination_charts(result).values())
    beside = 2 if len(result.doses_a) <= _DOSES_BESIDE else 1
    # each surface has its own scale: the response is no difference, and a small excess must stay visible
    together: alt.ConcatChart = alt.concat(*pictures, columns=beside, spacing=28).resolve_scale(color="independent")
    return together
