"""Markdown for approval pages and run sheets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nkloop.reports import proposal_markdown
from nkloop.reports.markdown import markdown_text
from nkloop.reports.models import CampaignStory


def test_proposal_says_what_changes_and_how_sure(story: CampaignStory) -> None:
    assert story.proposed is not None
    text = proposal_markdown(story.proposals[-1], story.recipe, story.proposed)
    assert "- **Differentiation, IL-15**: 20 ng/mL → 32 ng/mL (×1.60), published value not verified" in text
    assert "not verified" in text
    assert "Probability to beat the reference: 94 %" in text
    assert "Status: **proposed**" in text


def test_proposal_without_change(story: CampaignStory) -> None:
    assert story.proposed is not None
    same = story.proposals[-1].model_copy(update={"changes": (), "expected_score": 1.0})
    text = proposal_markdown(same, story.recipe, story.proposed)
    assert "The proposal changes no value." in text
    assert "below the reference" in text


def test_hostile_text_cannot_leave_its_line(story: CampaignStory) -> None:
    assert story.proposed is not None
    evil = "<img src=x> | ![x](http://a.b) \n# head"
    change = story.proposals[-1].changes[0].model_copy(update={"reason": evil})
    proposal = story.proposals[-1].model_copy(update={"changes": (change,), "rationale": evil})
    text = proposal_markdown(proposal, story.recipe, story.proposed)
    assert "<img" not in text
    assert "\n# head" not in text
    assert r"!\[x\](http://a.b)" in text
    rows = [line for line in text.splitlines() if line.startswith("- **Differentiation")]
    assert len(rows) == 1
    assert "|" not in rows[0].replace(r"\|", "")


@given(st.text())
def test_text_never_ends_a_line_or_opens_a_tag(text: str) -> None:
    shown = markdown_text(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert "|" not in shown.replace(r"\|", "")
