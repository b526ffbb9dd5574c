"""Draws the picture of the README from a demo: `uv run python docs/pictures/make.py nkloop-demo-1`.

Above, the kill curves of the reference recipe and of the two best arms of the last round; below, the score of every arm
of that round. Both are the charts of the campaign report.
"""

from __future__ import annotations

import sys
from pathlib import Path

import altair as alt

from nkloop.records import Records
from nkloop.reports import theme
from nkloop.reports.curve_charts import kill_curve_charts
from nkloop.reports.score_charts import score_chart
from nkloop.runs.story import campaign_story
from nkloop.workspace import Workspace

TARGET = Path(__file__).with_name("demo.svg")
DESCRIPTION = "Kill curves of the reference recipe and of two variants on two donors, and the score of every variant"


def main(folder: Path) -> None:
    """Draw the last round of the campaign begun last in a workspace."""
    records = Records.open(Workspace.find(folder).state)
    try:
        story = campaign_story(records, records.campaigns.campaigns()[-1].id)
    finally:
        records.close()
    number = story.rounds[-1].number
    curves, *_ = kill_curve_charts(story, number)
    picture = alt.vconcat(curves, score_chart(story, number), spacing=24)
    TARGET.write_text(theme.svg(picture, name="demo", description=DESCRIPTION), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
