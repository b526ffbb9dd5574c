"""All pictures of a page, each with a name of its own, so that nothing in them collides."""

from __future__ import annotations

from nkloop.reports import theme
from nkloop.reports.curve_charts import kill_curve_charts
from nkloop.reports.models import CampaignStory
from nkloop.reports.score_charts import culture_chart, score_chart


def score_svg(story: CampaignStory, number: int) -> str:
    """Score and difference to the reference of one round as SVG text; empty without observations."""
    if not any(o.round == number for o in story.observations):
        return ""
    said = f"Round {number}: score of every arm per donor, and mean difference to the reference with 95 % interval"
    return theme.svg(score_chart(story, number), name=f"score-{number}", description=said)


def culture_svg(story: CampaignStory, number: int) -> str:
    """Fold, purity, viability and killing of one round as SVG text; empty without observations."""
    if not any(o.round == number for o in story.observations):
        return ""
    said = f"Round {number}: log10 fold expansion, purity, viability and killing of every arm and donor"
    return theme.svg(culture_chart(story, number), name=f"culture-{number}", description=said)


def curves_svg(story: CampaignStory, number: int | None) -> tuple[str, ...]:
    """Kill curves of one round as SVG texts, a few arms in each; empty without plates."""
    label = f"round {number}" if number is not None else "plates of no round"
    return tuple(
        theme.svg(chart, name=f"curves-{number or 0}-{part}", description=f"Kill curves of {label}, part {part}")
        for part, chart in enumerate(kill_curve_charts(story, number), start=1)
    )
