"""The loop's memory: campaigns, rounds, observations, proposals, recipe revisions and who decided about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from nkloop.errors import ApprovalError, RecordError
from nkloop.feedback.models import Observation, Proposal, Round
from nkloop.frozen import canonical_json
from nkloop.recipes.models import Recipe, Revision
from nkloop.records import schema
from nkloop.records.audit import change, write
from nkloop.records.database import Database
from nkloop.records.models import ApprovalEntry, CampaignEntry, Decision
from nkloop.records.results import load_documents


class Campaigns:
    """Campaigns and revisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_revision(self, recipe: Recipe, *, at: datetime) -> str:
        """Save a recipe under its revision id; a revision already saved stays as it is.

        Raises:
            ApprovalError: the file says the revision is approved, but no approval is recorded.
        """
        if recipe.revision.status == "approved" and self.status(recipe.revision_id) != "approved":
            raise ApprovalError(
                f"{recipe.revision_id} calls itself approved, but nobody's approval is recorded",
                remedy="save it as proposed and approve it with `nkloop recipe approve`",
            )
        with self._database.writing() as connection:
            if _revision_row(connection, recipe.revision_id) is None:
                write(connection, schema.revisions, _revision_values(recipe, at))
        return recipe.revision_id

    def decide_revision(self, revision_id: str, decision: Decision, *, by: str, at: datetime, reason: str) -> Recipe:
        """Approve or reject a revision; returns the recipe with its new revision block.

        Raises:
            ApprovalError: no name, no reason, or the revision is already decided.
            RecordError: the revision is not recorded.
        """
        if not by.strip() or not reason.strip():
            raise ApprovalError("a decision needs a person and a reason", where=revision_id, remedy="give both")
        with self._database.writing() as connection:
            row = _required_revision(connection, revision_id)
            if row["status"] in {"approved", "rejected"}:
                raise ApprovalError(
                    f"revision is already {row['status']} by {row['approved_by']}",
                    where=revision_id,
                    remedy="propose a new revision instead",
                )
            entry = ApprovalEntry(revision_id=revision_id, decision=decision, by=by, at=at, reason=reason)
            write(connection, schema.approvals, entry.model_dump(), who=by, action=decision)
            values = {"status": decision, "approved_by": by, "decided_at": at, "reason": reason}
            change(connection, schema.revisions, revision_id, values, who=by, action=decision)
            row = _required_revision(connection, revision_id)
        return _recipe(row)

    def revision(self, revision_id: str) -> Recipe:
        """A recipe with the revision block as it was decided.

        Raises:
            RecordError: the revision is not recorded.
        """
        with self._database.reading() as connection:
            return _recipe(_required_revision(connection, revision_id))

    def status(self, revision_id: str) -> str | None:
        """Status of a revision, None when it is not recorded."""
        with self._database.reading() as connection:
            row = _revision_row(connection, revision_id)
            return None if row is None else str(row["status"])

    def revisions(self, recipe_id: str | None = None) -> tuple[Recipe, ...]:
        """All revisions, oldest first."""
        table = schema.revisions
        query = sa.select(table).order_by(table.c.created_at, table.c.revision_id)
        if recipe_id is not None:
            query = query.where(table.c.recipe_id == recipe_id)
        with self._database.reading() as connection:
            return tuple(_recipe(row) for row in connection.execute(query).mappings())

    def approvals(self, revision_ids: Sequence[str] | None = None) -> tuple[ApprovalEntry, ...]:
        """Decisions, oldest first; about the revisions named, or all."""
        table = schema.approvals
        query = sa.select(table).order_by(table.c.id)
        if revision_ids is not None:
            query = query.where(table.c.revision_id.in_(revision_ids))
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings()
            return tuple(ApprovalEntry.model_validate({k: v for k, v in row.items() if k != "id"}) for row in rows)

    def add_campaign(self, campaign: CampaignEntry) -> None:
        """Open a campaign; its recipe revision must be saved.

        Raises:
            RecordError: the id is taken or the revision is not recorded.
        """
        with self._database.writing() as connection:
            write(connection, schema.campaigns, campaign.model_dump())

    def campaign(self, campaign_id: str) -> CampaignEntry:
        """A campaign.

        Raises:
            RecordError: it is not recorded.
        """
        for entry in self.campaigns():
            if entry.id == campaign_id:
                return entry
        raise RecordError(f"campaign {campaign_id} is not recorded", remedy="open it before adding to it")

    def campaigns(self) -> tuple[CampaignEntry, ...]:
        """All campaigns, oldest first."""
        table = schema.campaigns
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.created_at, table.c.id)).mappings()
            return tuple(CampaignEntry.model_validate(dict(row)) for row in rows)

    def save_campaign_state(self, campaign_id: str, state: str) -> None:
        """Keep what a campaign object serialised, to go on later."""
        self.campaign(campaign_id)
        with self._database.writing() as connection:
            change(connection, schema.campaigns, campaign_id, {"state": state}, action="state saved")

    def add_round(self, campaign: str, round: Round) -> None:
        """Save a round.

        Raises:
            RecordError: the campaign has this round already, or is not recorded.
        """
        with self._database.writing() as connection:
            row = {"campaign": campaign, "number": round.number, "document": canonical_json(round)}
            write(connection, schema.rounds, row)

    def rounds(self, campaign: str) -> tuple[Round, ...]:
        """Rounds in order."""
        table = schema.rounds
        query = sa.select(table.c.document).where(table.c.campaign == campaign).order_by(table.c.number)
        with self._database.reading() as connection:
            return tuple(Round.model_validate_json(text) for text in connection.execute(query).scalars())

    def add_observations(self, campaign: str, observations: Sequence[Observation]) -> None:
        """Save observations of one campaign in one transaction."""
        with self._database.writing() as connection:
            for seen in observations:
                row = {"campaign": campaign, "round": seen.round, "arm": seen.arm, "donor": seen.donor}
                write(connection, schema.observations, {**row, "document": canonical_json(seen)})

    def observations(self, campaign: str) -> tuple[Observation, ...]:
        """Observations in the order they were saved."""
        with self._database.reading() as connection:
            return load_documents(connection, schema.observations, Observation, campaign, None)

    def add_proposal(self, proposal: Proposal) -> None:
        """Save a proposal; the revision it proposes must be saved.

        Raises:
            RecordError: campaign or revision are not recorded.
        """
        row = {
            "campaign": proposal.campaign,
            "after_round": proposal.after_round,
            "revision_id": proposal.revision_id,
            "document": canonical_json(proposal),
        }
        with self._database.writing() as connection:
            write(connection, schema.proposals, row)

    def proposals(self, campaign: str) -> tuple[Proposal, ...]:
        """Proposals in the order they were made."""
        with self._database.reading() as connection:
            return load_documents(connection, schema.proposals, Proposal, campaign, None)


def _revision_row(connection: sa.Connection, revision_id: str) -> Any:
    table = schema.revisions
    return connection.execute(sa.select(table).where(table.c.revision_id == revision_id)).mappings().first()


def _required_revision(connection: sa.Connection, revision_id: str) -> Any:
    row = _revision_row(connection, revision_id)
    if row is None:
        raise RecordError(f"revision {revision_id} is not recorded", remedy="save the recipe first")
    return row


def _revision_values(recipe: Recipe, at: datetime) -> dict[str, Any]:
    return {
        "revision_id": recipe.revision_id,
        "recipe_id": recipe.id,
        "parent": recipe.revision.parent,
        "content_hash": recipe.content_hash,
        "status": recipe.revision.status,
        "reason": recipe.revision.reason,
        "created_at": at,
        "document": canonical_json(recipe),
    }


def _recipe(row: Any) -> Recipe:
    recipe = Recipe.model_validate_json(row["document"])
    decided = None if row["decided_at"] is None else row["decided_at"].isoformat()
    block = {"status": row["status"], "reason": row["reason"]}
    if decided is not None:
        block |= {"approved_by": row["approved_by"], "approved_at": decided}
    return recipe.model_copy(update={"revision": Revision.model_validate({**recipe.revision.model_dump(), **block})})
