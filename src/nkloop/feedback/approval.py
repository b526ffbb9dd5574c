"""A person decides on a proposed revision."""

from __future__ import annotations

from datetime import datetime

from nkloop.errors import ApprovalError
from nkloop.recipes.models import Recipe


def approve(recipe: Recipe, by: str, reason: str, at: datetime) -> Recipe:
    """The same content, approved: only then may it run. The reason of the proposal is kept before the approver's.

    Raises:
        ApprovalError: no name, no reason, a time without zone, or the recipe is not a proposal.
    """
    return _decided(recipe, "approved", by, reason, at)


def reject(recipe: Recipe, by: str, reason: str, at: datetime) -> Recipe:
    """The same content, rejected.

    Raises:
        ApprovalError: no name, no reason, a time without zone, or the recipe is not a proposal.
    """
    return _decided(recipe, "rejected", by, reason, at)


def _decided(recipe: Recipe, decision: str, by: str, reason: str, at: datetime) -> Recipe:
    where = recipe.revision_id
    if recipe.revision.status != "proposed":
        raise ApprovalError(
            f"its status is '{recipe.revision.status}', only a proposed revision can be {decision}",
            where=where,
            remedy="decide on the proposal of a campaign",
        )
    for name, text in (("name", by), ("reason", reason)):
        if not text.strip():
            raise ApprovalError(f"the {name} is empty", where=where, remedy=f"give the {name} of who decides")
    if at.tzinfo is None:
        raise ApprovalError(f"the time {at.isoformat()} has no zone", where=where, remedy="give the time in UTC")
    before = f"{recipe.revision.reason.rstrip()} " if recipe.revision.reason.strip() else ""
    revision = recipe.revision.model_copy(
        update={
            "status": decision,
            "reason": f"{before}{decision.capitalize()}: {reason.strip()}",
            # the model has one pair of fields for the person who decided and the time, whatever the decision
            "approved_by": by.strip(),
            "approved_at": at.isoformat(),
        }
    )
    return recipe.model_copy(update={"revision": revision})
