"""Objective, difference to the reference and culture results of a round, per arm and donor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from nkloop.reports import theme
from nkloop.reports.campaign_data import REFERENCE_ARM, arm_order, best_of, donors_of, summaries_of
from nkloop.reports.models import CampaignStory

_Panel = alt.LayerChart | alt.FacetChart
_ROW = 25
_KINDS = ("reference recipe", "variant", "best variant", "outside a limit")
_COLOURS = (theme.REFERENCE, theme.VARIANT, theme.BEST, "#8a8f94")


def score_chart(story: CampaignStory, number: int) -> alt.HConcatChart:
    """Score per arm and donor beside the difference to the reference with its 95 % interval, one round."""
    arms = arm_order(story, number)
    scores = _scores(story, number, arms)
    differences = _differences(story, number, arms)
    beside: alt.HConcatChart = alt.hconcat(scores, differences, spacing=14).resolve_scale(y="shared", color="shared")
    return beside


def culture_chart(story: CampaignStory, number: int) -> alt.HConcatChart:
    """log10 fold, purity, viability and killing of every arm and donor, one round."""
    arms = arm_order(story, number)
    limit = story.recipe.loop.objective.min_viability_percent
    panels = (
        _panel(story, number, arms, "log10 fold", "log₁₀ fold expansion", rows=True),
        _panel(story, number, arms, "purity", "CD56+CD3− purity (%)"),
        _panel(story, number, arms, "viability", "Viability (%)", limit=limit),
        _panel(story, number, arms, "potency", "Killing, AUC (0–1)"),
    )
    beside = alt.hconcat(*panels, spacing=12)
    shared: alt.HConcatChart = beside.resolve_scale(y="shared", color="shared", shape="shared")
    return shared


def kind_of(story: CampaignStory, number: int, arm: str) -> str:
    """What an arm is to the reader: reference, best variant, outside a limit, or one variant of many."""
    if arm == REFERENCE_ARM:
        return _KINDS[0]
    best = best_of(story)
    if best is not None and best.delta > 0 and (best.round, best.arm) == (number, arm):
        return _KINDS[2]
    infeasible = any(s.round == number and s.arm == arm and not s.feasible for s in story.summaries)
    return _KINDS[3] if infeasible else _KINDS[1]


def _points(story: CampaignStory, number: int) -> list[dict[str, Any]]:
    return [
        {
            "arm": o.arm,
            "donor": o.donor,
            "score": o.score,
            "log10 fold": o.log10_fold,
            "purity": o.purity_percent,
            "viability": o.viability_percent,
            "potency": o.potency,
            "kind": kind_of(story, number, o.arm),
        }
        for o in story.observations
        if o.round == number
    ]


def _rows(story: CampaignStory, number: int, arms: Sequence[str], *, shown: bool) -> alt.Y:
    """Arms from top to bottom; what the colour says stands in the label as well."""
    kinds = {arm: kind_of(story, number, arm) for arm in arms}
    said = {_KINDS[2]: "★ best", _KINDS[3]: "outside limit"}
    marked = [
        f"datum.label == {json.dumps(arm)} ? {json.dumps(f'{arm} ({said[kind]})')} : "
        for arm, kind in kinds.items()
        if kind in said
    ]
    axis = alt.Axis(
        title=None, labels=shown, ticks=False, domain=False, grid=True, labelPadding=6,
        labelExpr="".join(marked) + "datum.label",
    )  # fmt: skip
    return alt.Y("arm:N", sort=list(arms), scale=alt.Scale(domain=list(arms)), axis=axis)


def _colour(*, legend: bool) -> alt.Color:
    shown = alt.Legend(title=None, symbolType="square") if legend else None
    return alt.Color("kind:N", scale=alt.Scale(domain=list(_KINDS), range=list(_COLOURS)), legend=shown)


def _shape(story: CampaignStory, *, legend: bool) -> alt.Shape:
    donors = donors_of(story)
    marks = [theme.SHAPES[i % len(theme.SHAPES)] for i in range(len(donors))]
    shown = alt.Legend(title="Donor") if legend else None
    return alt.Shape("donor:N", scale=alt.Scale(domain=list(donors), range=marks), legend=shown)


def _scores(story: CampaignStory, number: int, arms: Sequence[str]) -> _Panel:
    means = [{"arm": s.arm, "mean": s.score} for s in summaries_of(story, number)]
    points = (
        alt.Chart(_data(_points(story, number)))
        .mark_point(filled=True, size=62, opacity=0.9)
        .encode(
            x=alt.X(
                "score:Q",
                scale=alt.Scale(zero=False, padding=12),
                axis=alt.Axis(title="Score (larger is better)", tickCount=6),
            ),
            y=_rows(story, number, arms, shown=True),
            color=_colour(legend=True),
            shape=_shape(story, legend=True),
        )
    )
    bars = (
        alt.Chart(_data(means))
        .mark_tick(thickness=2, size=17, color=theme.INK)
        .encode(x="mean:Q", y=_rows(story, number, arms, shown=True))
    )
    title = alt.TitleParams("Score per donor (mark) and mean (bar)")
    return alt.layer(bars, points).properties(width=270, height=_ROW * len(arms), title=title)


def _differences(story: CampaignStory, number: int, arms: Sequence[str]) -> _Panel:
    rows = [
        {
            "arm": s.arm,
            "delta": s.delta,
            "low": s.delta_low,
            "high": s.delta_high,
            "kind": kind_of(story, number, s.arm),
        }
        for s in summaries_of(story, number)
    ]
    ranges = [row for row in rows if row["low"] is not None and row["high"] is not None]
    title = alt.Axis(title="Difference in score to the reference of the same donors", tickCount=6)
    x = alt.X("delta:Q", axis=title, scale=alt.Scale(padding=12))
    zero = (
        alt.Chart(_data([{"zero": 0.0}]))
        .mark_rule(color=theme.INK, strokeDash=[4, 3])
        .encode(x=alt.X("zero:Q", axis=title))
    )
    lines = (
        alt.Chart(_data(ranges))
        .mark_rule(strokeWidth=2.2)
        .encode(
            x=alt.X("low:Q", axis=title),
            x2="high:Q",
            y=_rows(story, number, arms, shown=False),
            color=_colour(legend=False),
        )
    )
    marks = (
        alt.Chart(_data(rows))
        .mark_point(filled=True, size=60, shape="diamond", opacity=1)
        .encode(x=x, y=_rows(story, number, arms, shown=False), color=_colour(legend=False))
    )
    heading = alt.TitleParams("Mean difference with 95 % interval")
    return alt.layer(zero, lines, marks).properties(width=320, height=_ROW * len(arms), title=heading)


def _panel(
    story: CampaignStory, number: int, arms: Sequence[str], field: str, title: str, *, limit: float | None = None,
    rows: bool = False,
) -> _Panel:  # fmt: skip
    axis = alt.Axis(title=title, tickCount=4)
    layers: list[alt.Chart] = []
    if limit is not None:
        rule = alt.Chart(_data([{"limit": limit}])).mark_rule(color=theme.WARNING, strokeDash=[4, 3])
        layers.append(rule.encode(x=alt.X("limit:Q")))
    layers.append(
        alt.Chart(_data(_points(story, number)))
        .mark_point(filled=True, size=52, opacity=0.9)
        .encode(
            x=alt.X(f"{field}:Q", scale=alt.Scale(zero=False, padding=10), axis=axis),
            y=_rows(story, number, arms, shown=rows),
            color=_colour(legend=rows),
            shape=_shape(story, legend=rows),
        )
    )
    return alt.layer(*layers).properties(width=140, height=_ROW * len(arms))


def _data(rows: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=tuple(rows))
