"""All pictures of a page, each with a name of its own, so that nothing in them collides."""

from __future__ import annotations

from nkloop.reports import campaign_data as data
from nkloop.reports import theme
from nkloop.reports.control_chart import control_chart
from nkloop.reports.curve_charts import kill_curve_charts
from nkloop.reports.donor_chart import DonorValue, donor_chart
from nkloop.reports.forest_chart import ForestRow, forest_chart
from nkloop.reports.models import CampaignStory
from nkloop.reports.numbers import p_value
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


def effects_svg(story: CampaignStory, number: int) -> str:
    """Forest plot of one round: arms against the reference with their simultaneous intervals; empty without any."""
    rows = [
        ForestRow(
            label=effect.arm,
            estimate=effect.effect,
            low=effect.ci_low,
            high=effect.ci_high,
            note=f"p {p_value(effect.p)}",
            is_different=effect.ci_low > 0 or effect.ci_high < 0,
        )
        for effect in data.effects_of(story, number)
    ]
    if not rows:
        return ""
    said = f"Round {number}: difference of every arm to the reference with simultaneous 95 % intervals"
    chart = forest_chart(rows, axis="Difference to the reference (score)")
    return theme.svg(chart, name=f"effects-{number}", description=said)


def donors_svg(story: CampaignStory, number: int) -> str:
    """Score of every arm, a panel per donor, of one round; empty unless there are two donors or more."""
    values = [DonorValue(donor=o.donor, arm=o.arm, value=o.score) for o in story.observations if o.round == number]
    if len({v.donor for v in values}) < 2:
        return ""
    said = f"Round {number}: score of every arm, one panel per donor, with the distance to the reference"
    chart = donor_chart(values, reference=data.REFERENCE_ARM, axis="Score")
    return theme.svg(chart, name=f"donors-{number}", description=said)


def controls_svg(story: CampaignStory) -> dict[str, str]:
    """Target line to Levey-Jennings chart of the reference effector; lines with too short a history are left out."""
    return {
        line: theme.svg(
            control_chart(c.values, mean=c.mean, spread=c.spread, names=c.plates),
            name=f"control-{number}",
            description=f"Lysis of {line} by the reference effector, plate by plate, within limits of its history",
        )
        for number, (line, c) in enumerate(data.controls_of(story).items())
    }
