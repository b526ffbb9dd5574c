"""Gathering what the records hold of a campaign or a run, for its report."""

from __future__ import annotations

from nkloop.errors import RecordError
from nkloop.feedback import Campaign
from nkloop.records import Records
from nkloop.reports.models import Approval, CampaignStory, RunStory
from nkloop.runs.run_facts import decision_sentence


def run_story(records: Records, run_id: str, *, simulated: bool | None = None) -> RunStory:
    """One run with its worklist and verdict; `simulated` says of which kind its bench is, None when nobody knows.

    Raises:
        RecordError: the run is not recorded.
    """
    record, remarks = records.journal.run(run_id), records.journal.remarks(run_id)
    return RunStory(
        record=record,
        worklist=records.journal.worklist(record.worklist_hash),
        verdict=records.journal.verdict(run_id),
        simulated=simulated,
        remarks=tuple(remark.sentence for remark in remarks if remark.is_deviation),
        found=tuple(remark for remark in remarks if not remark.is_deviation),
        containers=records.stock.used_by(run_id),
        decisions=tuple(decision_sentence(one) for one in records.decisions.of_run(run_id)),
        follow_ups=tuple(f"{one.id} ({one.state})" for one in records.journal.follow_ups(run_id)),
    )


def campaign_story(records: Records, campaign_id: str) -> CampaignStory:
    """Everything recorded of a campaign; also of one that was interrupted.

    Raises:
        RecordError: the campaign is not recorded.
    """
    entry = records.campaigns.campaign(campaign_id)
    recipe = records.campaigns.revision(entry.recipe_revision)
    if recipe is None:
        raise RecordError(f"revision {entry.recipe_revision} of campaign {campaign_id} is not recorded")
    proposals = records.campaigns.proposals(campaign_id)
    proposed = records.campaigns.revision(proposals[-1].revision_id) if proposals else None
    decided = records.campaigns.approvals([proposal.revision_id for proposal in proposals])
    campaign = Campaign.from_json(entry.state) if entry.state else None
    return CampaignStory(
        campaign=campaign_id,
        bench=entry.bench,
        simulated=entry.simulated,
        seed=entry.seed,
        created_at=entry.created_at,
        note=entry.note,
        recipe=recipe,
        proposed=proposed,
        rounds=records.campaigns.rounds(campaign_id),
        observations=records.campaigns.observations(campaign_id),
        summaries=campaign.summaries() if campaign else (),
        progress=campaign.progress if campaign else "interrupted",
        proposals=proposals,
        approvals=tuple(
            Approval(revision_id=a.revision_id, decision=a.decision, by=a.by, at=a.at, reason=a.reason) for a in decided
        ),
        plates=records.results.results(campaign_id),
        runs=tuple(run_story(records, run.id, simulated=entry.simulated) for run in records.journal.runs(campaign_id)),
    )
