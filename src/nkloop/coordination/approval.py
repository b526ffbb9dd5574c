"""Asking a person to approve a revision, from a paused Prefect run."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Literal, cast

from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import ConfigDict, Field

from nkloop.feedback.models import Proposal
from nkloop.recipes import save_recipe
from nkloop.runs.session import Session

WAIT_SECONDS = 14 * 24 * 3600
"""How long a proposal may lie on somebody's desk before the run gives up; the revision then stays proposed."""


class RevisionDecision(RunInput):
    """Who decides, what, and why."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "reject"] = Field("reject", title="Decision", description="approve or reject")
    decided_by: str = Field(..., title="Your name", description="It is recorded with the decision", min_length=2)
    reason: str = Field(..., title="Reason", description="It is recorded with the decision", min_length=3)


async def ask_decision(session: Session, proposal: Proposal, markdown: str) -> str:
    """Pause the flow run until a person decides; record the decision; returns the revision's status."""
    key = f"approve-{proposal.after_round}"
    described = RevisionDecision.with_initial_data(description=markdown)
    waiting = cast(Awaitable[RevisionDecision], pause_flow_run(wait_for_input=described, timeout=WAIT_SECONDS, key=key))
    answer = await waiting
    decision: Literal["approved", "rejected"] = "approved" if answer.decision == "approve" else "rejected"
    recipe = session.records.campaigns.decide_revision(
        proposal.revision_id, decision, by=answer.decided_by, at=datetime.now(UTC), reason=answer.reason
    )
    if decision == "approved":
        save_recipe(recipe, session.workspace.recipes / f"{recipe.id}-r{recipe.revision.number}.yaml")
    return decision
