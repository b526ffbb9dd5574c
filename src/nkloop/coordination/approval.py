"""Asking a person to approve a revision, from a paused Prefect run."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal, cast

from prefect.input import RunInput
from pydantic import ConfigDict, Field

from nkloop.coordination.artifacts import show_markdown
from nkloop.drivers.operators import ask_in_prefect
from nkloop.feedback.models import Proposal
from nkloop.frozen import content_hash
from nkloop.recipes import save_recipe
from nkloop.reports.markdown import markdown_text
from nkloop.runs.session import Session

logger = logging.getLogger(__name__)
WAIT_SECONDS = 14 * 24 * 3600
"""How long a proposal may lie on somebody's desk before the run gives up; the revision then stays proposed."""


class RevisionDecision(RunInput):
    """Who decides, what, and why."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "reject"] = Field("reject", title="Decision", description="approve or reject")
    decided_by: str = Field(..., title="Your name", description="It is recorded with the decision", min_length=2)
    reason: str = Field(..., title="Reason", description="It is recorded with the decision", min_length=3)


async def ask_decision(session: Session, proposal: Proposal, markdown: str) -> str:
    """Pause the flow run until a person decides; record the decision; returns the revision's status.

    A revision that is decided already, before or during the pause, is told and stays as it is.
    """
    decided = await _told_when_decided(session, proposal.revision_id)
    if decided is not None:
        return decided
    key = f"approve-{content_hash(proposal.revision_id)[:16]}"
    answer = cast(RevisionDecision, await ask_in_prefect(RevisionDecision, markdown, key, WAIT_SECONDS))
    decision: Literal["approved", "rejected"] = "approved" if answer.decision == "approve" else "rejected"
    decided = await _told_when_decided(session, proposal.revision_id)
    if decided is not None:
        return decided
    recipe = session.records.campaigns.decide_revision(
        proposal.revision_id, decision, by=answer.decided_by, at=datetime.now(UTC), reason=answer.reason
    )
    logger.info("%s %s by %s: %s", proposal.revision_id, decision, answer.decided_by, answer.reason)
    if decision == "approved":
        save_recipe(recipe, session.workspace.recipes / f"{recipe.id}-r{recipe.revision.number}.yaml")
    return decision


async def _told_when_decided(session: Session, revision_id: str) -> str | None:
    """Say who decided about a revision and when; None when nobody has."""
    entries = session.records.campaigns.approvals([revision_id])
    last = next((entry for entry in reversed(entries) if entry.decision in {"approved", "rejected"}), None)
    if last is None:
        return None
    text = f"already {last.decision} by {last.by} on {last.at:%Y-%m-%d}"
    session.tell(f"{revision_id} is {text}")
    told = f"**{markdown_text(revision_id)}** is {markdown_text(text)}: {markdown_text(last.reason)}"
    await show_markdown("decision", told, f"Revision {revision_id}: {text}")
    return last.decision
