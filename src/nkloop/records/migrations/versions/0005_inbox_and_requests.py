"""Files of readers and counters, what is waited for, and requests to people; every change of a row is audited."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "inbox_files",
        _serial(),
        *(_text(name) for name in ("sha256", "bench", "name", "program", "state", "code", "reason")),
        _time("seen_at"),
        *(_text(name) for name in ("by", "filed_as", "document")),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_files"),
        sa.UniqueConstraint("sha256", name="uq_inbox_files_sha256"),
    )
    op.create_table(
        "inbox_waits",
        _serial(),
        *(_text(name) for name in ("bench", "kind", "barcode", "asked")),
        sa.Column("run_id", sa.Text(), nullable=True),
        _time("asked_at"),
        _text("state"),
        _time("ended_at", nullable=True),
        sa.Column("file_id", sa.Integer(), nullable=True),
        _text("answer"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_inbox_waits_run_id"),
        sa.ForeignKeyConstraint(["file_id"], ["inbox_files.id"], name="fk_inbox_waits_file_id"),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_waits"),
    )
    op.create_index("ix_inbox_waits_run_id", "inbox_waits", ["run_id"], unique=False)
    op.create_index("ix_inbox_waits_bench", "inbox_waits", ["bench", "state"], unique=False)
    op.create_table(
        "operator_requests",
        _serial(),
        *(_text(name) for name in ("bench", "key")),
        sa.Column("run_id", sa.Text(), nullable=True),
        *(_text(name) for name in ("run_state", "title", "document")),
        _time("asked_at"),
        _text("state"),
        _time("answered_at", nullable=True),
        *(_text(name) for name in ("answered_by", "note", "scanned")),
        _time("taken_at", nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_operator_requests_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_operator_requests"),
    )
    op.create_index("ix_operator_requests_run_id", "operator_requests", ["run_id"], unique=False)
    op.create_index("ix_operator_requests_bench", "operator_requests", ["bench", "state"], unique=False)


def _serial() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), autoincrement=True, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
