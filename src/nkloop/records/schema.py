"""The tables. Documents are canonical JSON text, so that a row's hash is the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

HEAD = "0010"
"""Revision of the newest migration; a database at this revision needs none."""

APPEND_ONLY = (
    "step_events",
    "operator_actions",
    "audit_entries",
    "stock_lots",
    "stock_postings",
    "stock_reservations",
    "stock_reserved",
    "stock_reservation_ends",
    "device_claims",
    "run_decisions",
    "discarded_wells",
    "device_files",
    "kept_plans",
    "stock_reserved_parts",
    "stock_reservation_origins",
    "operator_remarks",
    "database_identity",
    "given_barcodes",
)
"""Tables whose rows are never changed nor deleted; the migrations install triggers that refuse it."""


LATER_COLUMNS = {
    "runs": frozenset({"locks", "token", "parent", "occurrence", "found_before"}),
    "step_events": frozenset({"token", "moved_ul"}),
    "operator_actions": frozenset({"choice"}),
    "operator_requests": frozenset({"choice"}),
}
"""Columns that came after the rows of older databases were hashed; while they are empty they are left out of the hash,
so that those rows keep theirs."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A time with zone that comes back as UTC on every database (SQLite itself stores no zone)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse times without a zone, convert the others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time {value.isoformat()} has no zone, must be UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _table(name: str, *columns: Any) -> sa.Table:
    return sa.Table(name, METADATA, *columns)


def _serial() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True, autoincrement=True)


def _key(name: str, target: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(target), nullable=nullable, index=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _volume(name: str) -> sa.Column[int]:
    # whole nanolitres: sums of them are exact, and 20 L do not fit 32 bits
    return sa.Column(name, sa.BigInteger, nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, UtcDateTime, nullable=nullable)


revisions = _table(
    "revisions",
    sa.Column("revision_id", sa.Text, primary_key=True),
    _text("recipe_id"),
    _text("parent", nullable=True),
    _text("content_hash"),
    _text("status"),
    _text("approved_by", nullable=True),
    _time("decided_at", nullable=True),
    _text("reason"),
    _time("created_at"),
    _text("document"),
)
approvals = _table(
    "approvals",
    _serial(),
    _key("revision_id", "revisions.revision_id"),
    _text("decision"),
    _text("by"),
    _time("at"),
    _text("reason"),
)
campaigns = _table(
    "campaigns",
    sa.Column("id", sa.Text, primary_key=True),
    _key("recipe_revision", "revisions.revision_id"),
    _text("bench"),
    sa.Column("simulated", sa.Boolean, nullable=False),
    _number("seed", nullable=True),
    _time("created_at"),
    _text("note"),
    _text("state", nullable=True),
)
rounds = _table(
    "rounds",
    sa.Column("campaign", sa.Text, sa.ForeignKey("campaigns.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _text("document"),
)
worklists = _table(
    "worklists",
    sa.Column("hash", sa.Text, primary_key=True),
    _text("name"),
    _text("procedure"),
    _time("saved_at"),
    _text("document"),
)
verdicts = _table(
    "verdicts",
    _serial(),
    _key("worklist_hash", "worklists.hash"),
    sa.Column("passed", sa.Boolean, nullable=False),
    _time("at"),
    _text("document"),
)
runs = _table(
    "runs",
    sa.Column("id", sa.Text, primary_key=True),
    _text("name"),
    _text("procedure"),
    _text("bench"),
    _text("device"),
    _text("device_run_id", nullable=True),
    _key("worklist_hash", "worklists.hash"),
    sa.Column("verdict_id", sa.Integer, sa.ForeignKey("verdicts.id"), nullable=False),
    _text("recipe_revision", nullable=True),
    _key("campaign", "campaigns.id", nullable=True),
    _number("round", nullable=True),
    _text("batch", nullable=True),
    _text("state"),
    _time("created_at"),
    _time("started_at", nullable=True),
    _time("ended_at", nullable=True),
    _number("n_transfers"),
    _text("error"),
    _text("locks", nullable=True),
    _number("token", nullable=True),
    _text("parent", nullable=True),
    _text("occurrence", nullable=True),
    _text("found_before", nullable=True),
    _text("device_serial", nullable=True),
)
sa.Index("ix_runs_occurrence", runs.c.occurrence)
sa.Index("ix_runs_parent", runs.c.parent)
step_events = _table(
    "step_events",
    _serial(),
    _key("run_id", "runs.id"),
    _number("entry"),
    _number("step"),
    _text("event"),
    _time("at"),
    _text("device"),
    _text("detail"),
    _number("token", nullable=True),
    _text("moved_ul", nullable=True),
)
operator_actions = _table(
    "operator_actions",
    _serial(),
    _key("run_id", "runs.id", nullable=True),
    _number("step", nullable=True),
    _time("at"),
    _text("confirmed_by"),
    _text("title"),
    _text("instruction"),
    _text("note"),
    _text("choice", nullable=True),
)
operator_remarks = _table(
    "operator_remarks",
    _serial(),
    _key("run_id", "runs.id", nullable=True),
    _time("at"),
    _text("kind"),
    _text("who"),
    _text("title"),
    _text("code"),
    _text("told"),
)
"""What happened while people were asked: scans refused, questions withdrawn, thaws and the like that were shortened."""
readings = _table(
    "readings",
    _serial(),
    _text("barcode"),
    _key("run_id", "runs.id", nullable=True),
    _key("campaign", "campaigns.id", nullable=True),
    _number("round", nullable=True),
    _time("read_at"),
    _text("file_sha256", nullable=True),
    _text("document"),
)
cell_counts = _table(
    "cell_counts",
    _serial(),
    _text("barcode"),
    _text("well"),
    _key("campaign", "campaigns.id", nullable=True),
    _number("round", nullable=True),
    _time("counted_at"),
    _text("document"),
)
assay_results = _table(
    "assay_results",
    _serial(),
    _text("barcode"),
    _text("verdict"),
    _key("campaign", "campaigns.id", nullable=True),
    _number("round", nullable=True),
    _text("document"),
)
observations = _table(
    "observations",
    _serial(),
    _key("campaign", "campaigns.id"),
    _number("round"),
    _text("arm"),
    _text("donor"),
    _text("document"),
)
proposals = _table(
    "proposals",
    _serial(),
    _key("campaign", "campaigns.id"),
    _number("after_round"),
    _key("revision_id", "revisions.revision_id"),
    _text("document"),
)
stock_lots = _table(
    "stock_lots",
    _serial(),
    _text("bench"),
    _text("lot"),
    _text("document"),
    _time("at"),
    _text("by"),
    _text("reason"),
)
"""What a lot is (without amounts), one row per change; the newest counts."""
stock_postings = _table(
    "stock_postings",
    _serial(),
    _text("bench"),
    _text("lot"),
    _text("container"),
    _text("kind"),
    _volume("volume_nl"),
    _number("thaws"),
    _text("detail"),
    _key("run_id", "runs.id", nullable=True),
    _time("at"),
    _text("by"),
    _text("why"),
)
"""Everything that happened to a container; what it holds is the sum of its rows."""
stock_reservations = _table(
    "stock_reservations",
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    _text("bench"),
    _text("name"),
    _time("until"),
    _time("at"),
    _text("by"),
)
stock_reserved = _table(
    "stock_reserved",
    _serial(),
    sa.Column("number", sa.Integer, sa.ForeignKey("stock_reservations.number"), nullable=False, index=True),
    _text("lot"),
    _text("container"),
    _volume("volume_nl"),
)
stock_reservation_ends = _table(
    "stock_reservation_ends",
    sa.Column("number", sa.Integer, sa.ForeignKey("stock_reservations.number"), primary_key=True, autoincrement=False),
    _text("outcome"),
    _time("at"),
    _text("by"),
    _text("why"),
)
device_holders = _table(
    "device_holders",
    sa.Column("device", sa.Text, primary_key=True),
    _number("token"),
    _text("holder"),
    _text("process"),
    _time("claimed_at"),
    _time("expires_at"),
    _time("released_at", nullable=True),
)
"""Who holds each device now. Changed at every renewal of a lease, so only `device_claims` is audited."""
device_claims = _table(
    "device_claims",
    _serial(),
    _text("device"),
    _number("token"),
    _text("event"),
    _text("holder"),
    _time("at"),
    _text("detail"),
)
"""Every claim, takeover and release of a device."""
run_decisions = _table(
    "run_decisions",
    _serial(),
    _key("run_id", "runs.id"),
    _text("decision"),
    _text("by"),
    _text("reason"),
    _time("at"),
    _key("follow_up", "worklists.hash", nullable=True),
    _text("document"),
)
"""What a person decided about a run with steps of unknown outcome."""
discarded_wells = _table(
    "discarded_wells",
    _serial(),
    _text("barcode"),
    _text("well"),
    _key("run_id", "runs.id", nullable=True),
    _text("by"),
    _text("reason"),
    _time("at"),
)
device_files = _table(
    "device_files",
    _serial(),
    _key("run_id", "runs.id"),
    _text("name"),
    _text("sha256"),
    _text("path"),
    _text("media_type"),
    sa.Column("n_bytes", sa.BigInteger, nullable=False),
    _time("saved_at"),
)
"""Files copied out of a device after a run, where they lie below the state folder."""
kept_plans = _table(
    "kept_plans",
    sa.Column("occurrence", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    _text("document"),
    _time("saved_at"),
)
"""Plans as they were made first, so that a flow that is resumed does not plan anew with what is left."""
stock_reserved_parts = _table(
    "stock_reserved_parts",
    _serial(),
    sa.Column("number", sa.Integer, sa.ForeignKey("stock_reservations.number"), nullable=False, index=True),
    _number("part"),
    _key("worklist_hash", "worklists.hash"),
    _text("csv_sha256"),
    _text("volumes"),
)
"""The robot runs a reservation was made for; `volumes` is nL per lot as JSON."""
stock_reservation_origins = _table(
    "stock_reservation_origins",
    sa.Column("number", sa.Integer, sa.ForeignKey("stock_reservations.number"), primary_key=True, autoincrement=False),
    sa.Column("origin", sa.Integer, sa.ForeignKey("stock_reservations.number"), nullable=False, index=True),
)
"""Which reservation one was split off from, when a run took its share over."""
inbox_files = _table(
    "inbox_files",
    _serial(),
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    _text("bench"),
    _text("name"),
    _text("program"),
    _text("state"),
    _text("code"),
    _text("reason"),
    _time("seen_at"),
    _text("by"),
    _text("filed_as"),
    _text("document"),
)
"""Every file an inbox has looked into, by its content; the same content is never recorded twice."""
inbox_waits = _table(
    "inbox_waits",
    _serial(),
    _text("bench"),
    _text("kind"),
    _text("barcode"),
    _text("asked"),
    _key("run_id", "runs.id", nullable=True),
    _time("asked_at"),
    _text("state"),
    _time("ended_at", nullable=True),
    sa.Column("file_id", sa.Integer, sa.ForeignKey("inbox_files.id"), nullable=True),
    _text("answer"),
)
"""Plates and samples somebody waits for, and what was delivered."""
operator_requests = _table(
    "operator_requests",
    _serial(),
    _text("bench"),
    _text("key"),
    _key("run_id", "runs.id", nullable=True),
    _text("run_state"),
    _text("title"),
    _text("document"),
    _time("asked_at"),
    _text("state"),
    _time("answered_at", nullable=True),
    _text("answered_by"),
    _text("note"),
    _text("scanned"),
    _text("choice", nullable=True),
    _time("taken_at", nullable=True),
)
"""Questions and instructions to people, and their answers."""
given_barcodes = _table("given_barcodes", sa.Column("barcode", sa.Text, primary_key=True), _time("given_at"))
"""Barcodes that plans have given to vessels nobody named, each once."""
database_identity = _table("database_identity", sa.Column("id", sa.Text, primary_key=True))
"""One row with a name that no other database has, made with the tables."""
audit_entries = _table(
    "audit_entries",
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    _time("at"),
    _text("who"),
    _text("action"),
    _text("subject"),
    _text("content_hash"),
    _text("previous_hash"),
    _text("entry_hash"),
)
sa.Index("ix_audit_entries_subject", audit_entries.c.subject)
sa.Index("ix_device_claims_device", device_claims.c.device)
sa.Index("ix_discarded_wells_barcode", discarded_wells.c.barcode)
sa.Index("ix_stock_lots_bench", stock_lots.c.bench, stock_lots.c.lot)
sa.Index("ix_stock_postings_bench", stock_postings.c.bench, stock_postings.c.lot)
sa.Index("ix_stock_reservations_bench", stock_reservations.c.bench)
sa.Index("ix_inbox_waits_bench", inbox_waits.c.bench, inbox_waits.c.state)
sa.Index("ix_operator_requests_bench", operator_requests.c.bench, operator_requests.c.state)
