"""Plans as they were made first: a flow that is resumed uses them instead of planning with what is left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sa

from nkloop.frozen import FrozenModel, canonical_json
from nkloop.records import schema
from nkloop.records.audit import write
from nkloop.records.database import Database

Plan = TypeVar("Plan", bound=FrozenModel)


class KeptPlans:
    """Plans by the launch of a flow they were made in, and their place there; never replaced, only followed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, occurrence: str, name: str, model: type[Plan]) -> Plan | None:
        """The plan made last at this place of this launch; None when there is none."""
        versions = self._versions(occurrence, name)
        return model.model_validate_json(versions[-1]) if versions else None

    def starting(self, occurrence: str, start: str, model: type[Plan]) -> tuple[Plan, ...]:
        """Every plan of this launch at a place whose name starts so, the oldest first."""
        return tuple(model.model_validate_json(text) for text in self._documents(occurrence, start))

    def keep(self, occurrence: str, name: str, plan: FrozenModel) -> None:
        """Save a plan before anything of it is run; durable when this returns."""
        version = len(self._versions(occurrence, name)) + 1
        with self._database.writing() as connection:
            row = {"occurrence": occurrence, "name": f"{name} #{version}", "document": canonical_json(plan)}
            write(connection, schema.kept_plans, {**row, "saved_at": datetime.now(UTC)}, action="plan kept")

    def _versions(self, occurrence: str, name: str) -> list[str]:
        return self._documents(occurrence, f"{name} #")

    def _documents(self, occurrence: str, start: str) -> list[str]:
        table, entries = schema.kept_plans, schema.audit_entries
        subject = sa.literal("kept_plans:") + table.c.occurrence + "/" + table.c.name
        # by their entries in the audit chain, for clocks are set back
        written = sa.select(sa.func.min(entries.c.number)).where(entries.c.subject == subject).scalar_subquery()
        query = sa.select(table.c.document).where(
            table.c.occurrence == occurrence, table.c.name.startswith(start, autoescape=True)
        )
        with self._database.reading() as connection:
            return list(connection.execute(query.order_by(written)).scalars())
