"""A combination of two agents as a surface: one shaded, numbered cell per pair of doses."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from nkloop.frozen import FrozenModel
from nkloop.reports import theme

_CELL = 46


class SurfaceCell(FrozenModel):
    """One pair of doses."""

    a: float
    b: float
    value: float
    mark: str = ""
    """Written under the number, for example `*` where an interval leaves 0 out."""


def surface_chart(
    cells: Sequence[SurfaceCell], *, title: str, axis_a: str, axis_b: str, unit: str, diverging: bool = False
) -> alt.LayerChart | alt.FacetChart:
    """Cells over the doses of both agents, lowest at the lower left; every cell carries its number.

    Args:
        cells: one per pair; pairs not measured are left out.
        title: heading of the picture.
        axis_a: agent and unit along the horizontal axis.
        axis_b: agent and unit along the vertical axis.
        unit: unit of the values, for the legend.
        diverging: the values are differences: white at 0, orange above, blue below. The sign is in the number, too.
    """
    columns = [f"{dose:g}" for dose in sorted({cell.a for cell in cells})]
    rows = [f"{dose:g}" for dose in sorted({cell.b for cell in cells}, reverse=True)]
    far = max((abs(cell.value) for cell in cells), default=1.0) or 1.0
    scale = (
        alt.Scale(domain=[-far, 0, far], range=[theme.VARIANT, "#ffffff", theme.BEST], interpolate="lab")
        if diverging
        else alt.Scale(
            domain=[min(0.0, *(c.value for c in cells)), max(100.0, far)],
            range=["#ffffff", "#165288"],
            interpolate="lab",
        )
    )
    dark = f"abs(datum.value) > {0.75 * far if diverging else 0.55 * max(100.0, far):g}"
    shown = alt.InlineData(
        values=[
            {
                "a": f"{c.a:g}",
                "b": f"{c.b:g}",
                "value": c.value,
                "text": f"{round(c.value):{'+' if diverging and round(c.value) else ''}d}{c.mark}",
            }
            for c in cells
        ]
    )
    base = alt.Chart(shown).encode(
        x=alt.X("a:O", sort=columns, axis=alt.Axis(title=axis_a, labelAngle=0)),
        y=alt.Y("b:O", sort=rows, axis=alt.Axis(title=axis_b)),
    )
    drawn: alt.LayerChart | alt.FacetChart = alt.layer(
        base.mark_rect(stroke="#b9c2ca").encode(
            color=alt.Color("value:Q", scale=scale, legend=alt.Legend(title=unit, orient="right", gradientLength=120)),
            tooltip=[alt.Tooltip("a:O", title=axis_a), alt.Tooltip("b:O", title=axis_b), alt.Tooltip("value:Q")],
        ),
        base.mark_text(fontSize=11).encode(
            text="text:N", color=alt.condition(dark, alt.value("white"), alt.value(theme.INK))
        ),
    ).properties(width=_CELL * len(columns), height=_CELL * len(rows) * 0.72, title=title)
    return drawn
