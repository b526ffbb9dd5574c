"""Turn the observations of a campaign into a proposed revision of the recipe, and ask a person to decide."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from nkloop.coordination.approval import ask_decision
from nkloop.coordination.artifacts import show_markdown, show_report
from nkloop.coordination.plain_errors import fails_plainly
from nkloop.coordination.run_names import run_name
from nkloop.coordination.served import bench_field
from nkloop.errors import NoImprovementError
from nkloop.feedback.models import Proposal
from nkloop.reports import proposal_markdown
from nkloop.runs.campaign import propose_revision, write_campaign_report
from nkloop.runs.session import Session, open_session

HERE = Path(__file__).resolve().parent


class ImproveRecipe(BaseModel):
    """Which campaign to learn from."""

    model_config = ConfigDict(extra="forbid")

    campaign: str = Field(
        ..., title="Campaign", description="Campaign id, as run-campaign shows it", min_length=1, max_length=60
    )
    ask_approval: bool = Field(
        True, title="Ask for approval", description="Pause until a person approves or rejects the proposed revision"
    )
    bench: str = bench_field()

    @property
    def purpose(self) -> str:
        """What it is about, for the name of its run."""
        return f"improve the recipe from {self.campaign}"


@flow(name="improve-recipe", flow_run_name=run_name)
@fails_plainly
async def improve_recipe(request: ImproveRecipe) -> Proposal | None:
    """Turn the observations of a campaign into a proposed revision of the recipe, and ask a person to decide.

    Returns None when nothing is expected to beat the reference: the approved revision stays.
    """
    async with open_session(HERE, request.bench) as session:
        session.tell("proposing a revision of the recipe")
        try:
            proposal, recipe, proposed = await propose_revision(session, request.campaign)
        except NoImprovementError as error:
            await show_markdown(
                "proposal", f"## No improvement\n\n{error}", "No improvement: the recipe stays as it is"
            )
            await _show_report(session, request.campaign)
            return None
        markdown = proposal_markdown(proposal, recipe, proposed)
        await show_markdown("proposal", markdown, f"Proposed revision {proposal.revision_id}")
        await _show_report(session, request.campaign)
        if request.ask_approval and proposal.changes:
            await ask_decision(session, proposal, markdown)
            write_campaign_report(session, request.campaign)
        return proposal


async def _show_report(session: Session, campaign: str) -> None:
    report = write_campaign_report(session, campaign)
    await show_report("campaign-report", report, "Report of the campaign so far")
