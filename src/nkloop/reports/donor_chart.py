"""Donor by donor: one small panel per donor with every arm, so that a donor that answers differently is seen."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from nkloop.frozen import FrozenModel
from nkloop.reports import theme

_COLUMNS = 4
_ROW = 20


class DonorValue(FrozenModel):
    """One arm on one donor."""

    donor: str
    arm: str
    value: float


def donor_chart(values: Sequence[DonorValue], *, reference: str, axis: str) -> alt.FacetChart:
    """A panel per donor: every arm as a mark, its distance to the reference of the same donor as a line.

    Args:
        values: at least one; an arm missing on a donor is left out there.
        reference: name of the reference arm; a donor without it has no lines.
        axis: what is shown, with its unit.
    """
    base = {v.donor: v.value for v in values if v.arm == reference}
    arms = [reference, *sorted({v.arm for v in values} - {reference})]
    rows = [
        {
            "donor": f"Donor {v.donor}",
            "arm": v.arm,
            "value": v.value,
            "base": base.get(v.donor, v.value),
            "kind": "reference" if v.arm == reference else "variant",
        }
        for v in values
    ]
    y = alt.Y("arm:N", sort=arms, axis=alt.Axis(title=None, ticks=False, grid=True, labelLimit=150))
    x = alt.X("value:Q", scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(title=axis, tickCount=4))
    kinds = ["reference", "variant"]
    layered = alt.layer(
        alt.Chart().mark_rule(color=theme.INK, strokeDash=[4, 3]).encode(x=alt.X("base:Q", axis=alt.Axis(title=axis))),
        alt.Chart().mark_rule(color=theme.VARIANT, strokeWidth=1.6).encode(x=x, x2="base:Q", y=y),
        alt.Chart()
        .mark_point(filled=True, size=58, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=kinds, range=[theme.REFERENCE, theme.VARIANT]), legend=None
            ),
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["square", "circle"]), legend=None),
            tooltip=["arm:N", "donor:N", alt.Tooltip("value:Q", format=".3~g")],
        ),
        data=alt.InlineData(values=tuple(rows)),
    ).properties(width=130, height=_ROW * len(arms))
    donors = [f"Donor {d}" for d in dict.fromkeys(v.donor for v in values)]
    panels = layered.facet(facet=alt.Facet("donor:N", sort=donors, title=None), columns=_COLUMNS, spacing=12)
    # with shared axes the last row would be filled up with axes of no panel
    drawn: alt.FacetChart = panels.resolve_axis(x="independent")
    return drawn
