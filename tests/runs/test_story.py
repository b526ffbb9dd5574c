"""What is recorded of a run or a campaign, gathered for its report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from nkloop.errors import RecordError
from nkloop.recipes import apply_factors
from nkloop.recipes.models import Recipe
from nkloop.records.models import RunDecision
from nkloop.runs.campaign import begin_round, open_campaign
from nkloop.runs.session import Session
from nkloop.runs.story import campaign_story, run_story
from nkloop.worklists.models import Worklist

Journalled = Callable[..., str]
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("simulated", [True, False, None])
def test_a_run_is_told_with_plan_checks_and_bench(
    session: Session, worklist: Worklist, journalled: Journalled, simulated: bool | None
) -> None:
    run_id = journalled(worklist)
    story = run_story(session.records, run_id, simulated=simulated)
    assert story.worklist == worklist
    assert story.verdict.worklist_hash == worklist.content_hash
    assert (story.record.state, story.simulated) == ("succeeded", simulated)


def test_a_run_is_told_with_what_was_decided_and_what_followed(
    session: Session, worklist: Worklist, journalled: Journalled
) -> None:
    run_id = journalled(worklist, "interrupted", "unknown")
    rest = worklist.model_copy(update={"name": "rest"})
    made = RunDecision(
        run_id=run_id, decision="continue", by="Ada", reason="tubes are full", at=AT, follow_up=rest.content_hash
    )
    session.records.decisions.add(made, follow_up=rest)
    next_id = journalled(rest, parent=run_id)
    story = run_story(session.records, run_id)
    assert ["continue: tubes are full" in told for told in story.decisions] == [True]
    assert story.follow_ups == (f"{next_id} (succeeded)",)


def test_unknown_work_is_refused(session: Session) -> None:
    with pytest.raises(RecordError, match="run-9999 is not recorded"):
        run_story(session.records, "run-9999")
    with pytest.raises(RecordError, match="c-9 is not recorded"):
        campaign_story(session.records, "c-9")


async def test_a_campaign_just_begun_is_told(session: Session, recipe: Recipe) -> None:
    await open_campaign(session, "c-1", recipe, n_arms=3, seed=7)
    story = campaign_story(session.records, "c-1")
    assert (story.recipe.revision_id, story.seed, story.simulated) == (recipe.revision_id, 7, True)
    assert (story.rounds, story.observations, story.summaries, story.proposals, story.runs) == ((),) * 5
    assert story.proposed is None


@pytest.mark.usefixtures("vessels_of_old")
async def test_an_interrupted_campaign_is_told_as_far_as_it_came(
    session: Session, recipe: Recipe, worklist: Worklist, journalled: Journalled
) -> None:
    campaign = await open_campaign(session, "c-1", recipe, n_arms=3, seed=7)
    made = await begin_round(session, campaign, ["U1"])
    journalled(worklist, "interrupted", "unknown", campaign="c-1", round=1)
    journalled(worklist.model_copy(update={"name": "of nobody"}))
    story = campaign_story(session.records, "c-1")
    assert story.rounds == (made,)
    assert [run.record.name for run in story.runs] == [worklist.name]
    assert story.runs[0].record.unknown_steps == (1, 2, 3)
    assert story.runs[0].simulated is True


async def test_decisions_about_other_campaigns_are_not_told(session: Session, recipe: Recipe) -> None:
    await open_campaign(session, "c-1", recipe, n_arms=3, seed=7)
    other = apply_factors(recipe, {recipe.loop.vary[0].key: 1.5}, reason="try", source="c-0")
    at = await session.bench.clock.now()
    session.records.campaigns.add_revision(other, at=at)
    session.records.campaigns.decide_revision(other.revision_id, "rejected", by="Ada", at=at, reason="no")
    assert campaign_story(session.records, "c-1").approvals == ()
