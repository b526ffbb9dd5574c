"""Campaigns, rounds, observations, proposals, revisions and approvals round-trip; only decided once."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from nkloop.assays.measurements import CellCount, Reading
from nkloop.assays.models import AssayResult
from nkloop.errors import ApprovalError, RecordError
from nkloop.feedback.models import Arm, Observation, Proposal, Round
from nkloop.recipes.models import Recipe, Revision
from nkloop.records import Records
from nkloop.records.models import CampaignEntry, Context
from nkloop.worklists.models import Verdict, Worklist


@pytest.fixture
def campaign(records: Records, recipe: Recipe, at: datetime) -> CampaignEntry:
    revision_id = records.campaigns.add_revision(recipe, at=at)
    entry = CampaignEntry(id="c-1", recipe_revision=revision_id, bench="virtual", simulated=True, seed=1, created_at=at)
    records.campaigns.add_campaign(entry)
    return entry


def observation(round: int) -> Observation:
    return Observation(
        round=round,
        arm="reference",
        donor="U1",
        factors={"IL-15@expansion": 1.0},
        log10_fold=2.5,
        viability_percent=90,
        purity_percent=85,
        potency=0.4,
        plate="P-1",
        score=3.3,
        feasible=True,
    )


def test_the_pieces_of_a_story_come_back(
    records: Records,
    campaign: CampaignEntry,
    recipe: Recipe,
    worklist: Worklist,
    verdict: Verdict,
    reading: Reading,
    assay_result: AssayResult,
    at: datetime,
) -> None:
    place = Context(campaign="c-1", round=1)
    arms = tuple(Arm(name=name, factors={}, origin="exploration") for name in ("arm-1-1", "arm-1-2"))
    first = Round(number=1, arms=arms, donors=("U1",))
    records.campaigns.add_round("c-1", first)
    run_id = records.journal.create_run(worklist, verdict, bench="virtual", device="flex", at=at, context=place)
    count = CellCount(
        barcode="P-1", well="A1", viable_per_ml=1e6, viability_percent=90, purity_percent=80, volume_ml=1.0
    )
    records.results.add_reading(reading, run_id=run_id, context=place)
    records.results.add_counts([count, count], at=at, context=place)
    records.results.add_result(assay_result, context=place)
    records.campaigns.add_observations("c-1", [observation(1), observation(2)])
    assert records.campaigns.campaigns() == (campaign,)
    assert records.campaigns.rounds("c-1") == (first,)
    assert [run.id for run in records.journal.runs("c-1", round=1)] == [run_id]
    assert records.results.readings("c-1") == (reading,)
    assert records.results.counts("c-1", round=1) == (count, count)
    assert records.results.results("c-1") == (assay_result,)
    assert records.campaigns.observations("c-1") == (observation(1), observation(2))
    assert records.results.readings("another") == ()
    assert records.audit.verify_chain() == ()


def test_a_proposal_leads_to_an_approved_revision(
    records: Records, campaign: CampaignEntry, recipe: Recipe, at: datetime
) -> None:
    proposed = recipe.model_copy(
        update={"title": "Toy, better", "revision": Revision(number=1, parent=recipe.revision_id, status="proposed")}
    )
    records.campaigns.add_revision(proposed, at=at)
    proposal = Proposal(
        campaign="c-1",
        after_round=2,
        parent=recipe.revision_id,
        revision_id=proposed.revision_id,
        changes=(),
        expected_score=3.6,
        expected_score_sd=0.1,
        reference_score=3.3,
        best_arm="arm-2-1",
        best_score=3.5,
        probability_better=0.97,
        rationale="more IL-15",
    )
    records.campaigns.add_proposal(proposal)
    approved = records.campaigns.decide_revision(proposed.revision_id, "approved", by="Grace", at=at, reason="agreed")
    assert records.campaigns.proposals("c-1") == (proposal,)
    assert (approved.revision.status, approved.revision.approved_by) == ("approved", "Grace")
    assert approved.revision_id == proposed.revision_id
    assert [entry.by for entry in records.campaigns.approvals([proposed.revision_id])] == ["Grace"]
    assert [r.revision_id for r in records.campaigns.revisions("toy")] == sorted(
        [recipe.revision_id, proposed.revision_id]
    )


def test_a_revision_is_decided_once(records: Records, recipe: Recipe, at: datetime) -> None:
    revision_id = records.campaigns.add_revision(recipe, at=at)
    records.campaigns.decide_revision(revision_id, "rejected", by="Grace", at=at, reason="too dear")
    with pytest.raises(ApprovalError, match="already rejected by Grace"):
        records.campaigns.decide_revision(revision_id, "approved", by="Ada", at=at, reason="but good")


@pytest.mark.parametrize(("by", "reason"), [(" ", "good"), ("Ada", "")])
def test_a_decision_needs_person_and_reason(
    records: Records, recipe: Recipe, at: datetime, by: str, reason: str
) -> None:
    revision_id = records.campaigns.add_revision(recipe, at=at)
    with pytest.raises(ApprovalError, match="needs a person and a reason"):
        records.campaigns.decide_revision(revision_id, "approved", by=by, at=at, reason=reason)


def test_a_recipe_cannot_approve_itself(records: Records, recipe: Recipe, at: datetime) -> None:
    claimed = recipe.model_copy(update={"revision": Revision(status="approved", approved_by="Eve")})
    with pytest.raises(ApprovalError, match="nobody's approval is recorded"):
        records.campaigns.add_revision(claimed, at=at)


def test_saving_a_revision_again_changes_nothing(records: Records, recipe: Recipe, at: datetime) -> None:
    records.campaigns.add_revision(recipe, at=at)
    records.campaigns.add_revision(recipe, at=at + timedelta(days=1))
    assert len(records.audit.entries()) == 1


def test_a_round_is_saved_once(records: Records, campaign: CampaignEntry) -> None:
    arms = tuple(Arm(name=name, factors={}, origin="exploration") for name in ("a", "b"))
    records.campaigns.add_round("c-1", Round(number=1, arms=arms, donors=("U1",)))
    with pytest.raises(RecordError, match="UNIQUE"):
        records.campaigns.add_round("c-1", Round(number=1, arms=arms, donors=("U2",)))


def test_campaign_state_is_kept(records: Records, campaign: CampaignEntry) -> None:
    records.campaigns.save_campaign_state("c-1", '{"round": 2}')
    assert records.campaigns.campaign("c-1").state == '{"round": 2}'
    with pytest.raises(RecordError, match="campaign c-9 is not recorded"):
        records.campaigns.save_campaign_state("c-9", "{}")


def test_times_come_back_in_utc(records: Records, recipe: Recipe) -> None:
    elsewhere = datetime(2026, 11, 23, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    records.campaigns.add_revision(recipe, at=elsewhere)
    records.campaigns.decide_revision(recipe.revision_id, "approved", by="Ada", at=elsewhere, reason="fine")
    kept = records.campaigns.approvals()[0].at
    assert (kept, kept.utcoffset()) == (elsewhere, timedelta(0))
