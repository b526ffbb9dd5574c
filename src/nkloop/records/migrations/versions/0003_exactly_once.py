"""Holders of devices, tokens in the journal, decisions about interrupted runs, files of devices, kept plans."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

APPEND_ONLY = ("device_claims", "run_decisions", "discarded_wells", "device_files", "kept_plans")


def upgrade() -> None:
    """Add the columns and tables and keep the new records append-only."""
    for name in ("locks", "parent", "occurrence"):
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("token", sa.Integer(), nullable=True))
    op.create_index("ix_runs_occurrence", "runs", ["occurrence"], unique=False)
    op.add_column("step_events", sa.Column("token", sa.Integer(), nullable=True))
    op.add_column("step_events", sa.Column("moved_ul", sa.Text(), nullable=True))
    _create_device_tables()
    _create_run_tables()
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table in APPEND_ONLY:
        if is_sqlite:
            for change in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        else:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION nkloop_refuse_change()"
            )


def _serial() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), autoincrement=True, nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _run_key(table: str) -> tuple[Any, ...]:
    return (
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=f"fk_{table}_run_id"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )


def _create_device_tables() -> None:
    op.create_table(
        "device_holders",
        _text("device"),
        sa.Column("token", sa.Integer(), nullable=False),
        *(_text(name) for name in ("holder", "process")),
        *(_time(name) for name in ("claimed_at", "expires_at")),
        _time("released_at", nullable=True),
        sa.PrimaryKeyConstraint("device", name="pk_device_holders"),
    )
    op.create_table(
        "device_claims",
        _serial(),
        _text("device"),
        sa.Column("token", sa.Integer(), nullable=False),
        *(_text(name) for name in ("event", "holder")),
        _time("at"),
        _text("detail"),
        sa.PrimaryKeyConstraint("id", name="pk_device_claims"),
    )
    op.create_index("ix_device_claims_device", "device_claims", ["device"], unique=False)
    op.create_table(
        "device_files",
        _serial(),
        *(_text(name) for name in ("run_id", "name", "sha256", "path", "media_type")),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        _time("saved_at"),
        *_run_key("device_files"),
    )
    op.create_index("ix_device_files_run_id", "device_files", ["run_id"], unique=False)


def _create_run_tables() -> None:
    op.create_table(
        "run_decisions",
        _serial(),
        *(_text(name) for name in ("run_id", "decision", "by", "reason")),
        _time("at"),
        _text("follow_up", nullable=True),
        _text("document"),
        sa.ForeignKeyConstraint(["follow_up"], ["worklists.hash"], name="fk_run_decisions_follow_up"),
        *_run_key("run_decisions"),
    )
    op.create_index("ix_run_decisions_run_id", "run_decisions", ["run_id"], unique=False)
    op.create_index("ix_run_decisions_follow_up", "run_decisions", ["follow_up"], unique=False)
    op.create_table(
        "discarded_wells",
        _serial(),
        *(_text(name) for name in ("barcode", "well")),
        _text("run_id", nullable=True),
        *(_text(name) for name in ("by", "reason")),
        _time("at"),
        *_run_key("discarded_wells"),
    )
    op.create_index("ix_discarded_wells_run_id", "discarded_wells", ["run_id"], unique=False)
    op.create_index("ix_discarded_wells_barcode", "discarded_wells", ["barcode"], unique=False)
    op.create_table(
        "kept_plans",
        *(_text(name) for name in ("occurrence", "name", "document")),
        _time("saved_at"),
        sa.PrimaryKeyConstraint("occurrence", "name", name="pk_kept_plans"),
    )
