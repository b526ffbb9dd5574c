"""Forest plot: effects against a reference, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
from pydantic import Field

from nkloop.frozen import FrozenModel
from nkloop.reports import theme
from nkloop.reports.numbers import signed

_ROW = 26


class ForestRow(FrozenModel):
    """One line of a forest plot."""

    label: str
    estimate: float
    low: float | None = None
    high: float | None = None
    """Interval; None when there is none to show."""
    note: str = ""
    """Written at the right, for example the adjusted p-value."""
    is_different: bool = Field(default=False)
    """Whether the interval leaves out the null value; drawn filled, and in another colour."""


def forest_chart(rows: Sequence[ForestRow], *, axis: str, null: float = 0.0) -> alt.HConcatChart:
    """Rows from top to bottom in the order given; the numbers stand beside the marks.

    Args:
        rows: at least one.
        axis: what is compared, with its unit.
        null: value that means "no difference".
    """
    order = [row.label for row in rows]
    data = alt.InlineData(values=[_told(row) for row in rows])
    x_axis = alt.Axis(title=axis, tickCount=6)
    colour = alt.Color(
        "different:N",
        scale=alt.Scale(domain=["yes", "no"], range=[theme.BEST, theme.VARIANT]),
        legend=None,
    )

    def y(*, labels: bool) -> alt.Y:
        shown = alt.Axis(title=None, labels=labels, ticks=False, domain=False, grid=labels, labelLimit=260)
        return alt.Y("label:N", sort=order, axis=shown)

    base = alt.Chart(data)
    zero = alt.Chart(alt.InlineData(values=[{"null": null}])).mark_rule(color=theme.INK, strokeDash=[4, 3])
    plot = alt.layer(
        zero.encode(x=alt.X("null:Q", axis=x_axis)),
        base.transform_filter("datum.low != null")
        .mark_rule(strokeWidth=2.2)
        .encode(x=alt.X("low:Q", axis=x_axis), x2="high:Q", y=y(labels=True), color=colour),
        base.mark_point(size=80, opacity=1, strokeWidth=2).encode(
            x=alt.X("estimate:Q", axis=x_axis, scale=alt.Scale(padding=14)),
            y=y(labels=True),
            color=colour,
            fill=alt.Fill(
                "different:N", scale=alt.Scale(domain=["yes", "no"], range=[theme.BEST, "white"]), legend=None
            ),
            shape=alt.Shape(
                "different:N", scale=alt.Scale(domain=["yes", "no"], range=["diamond", "circle"]), legend=None
            ),
            tooltip=[alt.Tooltip("label:N"), alt.Tooltip("said:N", title="effect"), alt.Tooltip("note:N")],
        ),
    ).properties(width=380, height=_ROW * len(rows))
    words = base.mark_text(align="left", fontSize=11).encode(x=alt.value(4), y=y(labels=False), text="said:N")
    beside: alt.HConcatChart = alt.hconcat(
        plot, words.properties(width=190, height=_ROW * len(rows)), spacing=6
    ).resolve_scale(y="shared")
    return beside


def _told(row: ForestRow) -> dict[str, Any]:
    interval = "" if row.low is None or row.high is None else f" ({signed(row.low)} to {signed(row.high)})"
    note = f"  {row.note}" if row.note else ""
    return {
        "label": row.label,
        "estimate": row.estimate,
        "low": row.low,
        "high": row.high,
        "different": "yes" if row.is_different else "no",
        "note": row.note,
        "said": f"{signed(row.estimate)}{interval}{note}",
    }
