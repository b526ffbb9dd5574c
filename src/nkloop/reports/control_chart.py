"""Levey-Jennings chart: a control from plate to plate against the limits of its own history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from nkloop.assays.quality.history import RULES, broken_rules
from nkloop.reports import theme

_HEIGHT = 240


def control_chart(
    values: Sequence[float],
    *,
    mean: float,
    spread: float,
    names: Sequence[str] = (),
    quantity: str = "Lysis by the reference effector (%)",
) -> alt.LayerChart | alt.FacetChart:
    """Values in the order they were measured, with lines at the mean and at 1, 2 and 3 SD.

    A value that breaks a Westgard rule is a filled square with the rule beside it; the 1-2s warning is an open square.

    Args:
        values: oldest first.
        mean: centre line, from the history the limits come from.
        spread: its standard deviation, above 0.
        names: barcode or date of each value.
        quantity: title of the axis, with its unit.
    """
    z = [(value - mean) / spread for value in values]
    rows = [_row(index, value, z[: index + 1], names) for index, value in enumerate(values)]
    lines = [
        {"at": mean + k * spread, "label": "mean" if k == 0 else f"{k:+d} SD", "kind": abs(k)} for k in range(-3, 4)
    ]
    far = max(3.4, *(abs(distance) for distance in z)) if z else 3.4
    scale = alt.Scale(domain=[mean - (far + 0.2) * spread, mean + (far + 0.2) * spread], nice=False)
    y = alt.Y("value:Q", scale=scale, axis=alt.Axis(title=quantity))
    x = alt.X("plate:O", axis=alt.Axis(title="Plate, oldest first", labelAngle=0, labelOverlap=True))
    points = alt.Chart(alt.InlineData(values=tuple(rows)))
    told = [alt.Tooltip("name:N", title="Plate"), alt.Tooltip("value:Q", format=".3~g"), alt.Tooltip("said:N")]
    shown = points.mark_point(size=64, opacity=1, color=theme.INK, fill=theme.INK)
    limits = alt.Chart(alt.InlineData(values=tuple(lines)))
    drawn: alt.LayerChart | alt.FacetChart = alt.layer(
        limits.mark_rule().encode(
            y=alt.Y("at:Q", scale=scale),
            strokeDash=alt.StrokeDash(
                "kind:O", scale=alt.Scale(domain=[0, 1, 2, 3], range=[[1, 0], [1, 3], [5, 3], [9, 3]]), legend=None
            ),
            color=alt.Color(
                "kind:O",
                scale=alt.Scale(domain=[0, 1, 2, 3], range=[theme.INK, "#9aa4ad", theme.BEST, theme.WARNING]),
                legend=None,
            ),
        ),
        limits.mark_text(align="left", dx=4, fontSize=10.5).encode(
            x=alt.value(theme.WIDTH - 130), y=alt.Y("at:Q", scale=scale), text="label:N"
        ),
        points.mark_line(color=theme.VARIANT, strokeWidth=1.4).encode(x=x, y=y),
        shown.transform_filter("datum.state == 'ok'").encode(x=x, y=y, tooltip=told),
        points.transform_filter("datum.state == 'warning'")
        .mark_point(size=90, shape="square", color=theme.BEST, fill="white", opacity=1, strokeWidth=2)
        .encode(x=x, y=y, tooltip=told),
        points.transform_filter("datum.state == 'broken'")
        .mark_point(size=100, shape="square", color=theme.WARNING, fill=theme.WARNING, opacity=1)
        .encode(x=x, y=y, tooltip=told),
        points.transform_filter("datum.state != 'ok'")
        .mark_text(dy=-13, fontSize=10.5, color=theme.WARNING)
        .encode(x=x, y=y, text="rules:N"),
    ).properties(width=theme.WIDTH - 140, height=_HEIGHT)
    return drawn


def _row(index: int, value: float, z: Sequence[float], names: Sequence[str]) -> dict[str, Any]:
    broken = broken_rules(z)
    state = "ok" if not broken else "warning" if broken == ("1-2s",) else "broken"
    return {
        "plate": index + 1,
        "name": names[index] if index < len(names) else str(index + 1),
        "value": value,
        "state": state,
        "rules": ", ".join(rule for rule in broken if rule != "1-2s" or state == "warning"),
        "said": "; ".join(RULES[rule] for rule in broken) or "within its limits",
    }
