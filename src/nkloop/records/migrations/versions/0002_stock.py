"""The stock: lots, postings of what happened to their containers, reservations; all append-only."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = ("stock_lots", "stock_postings", "stock_reservations", "stock_reserved", "stock_reservation_ends")


def upgrade() -> None:
    """Create the tables and keep them append-only."""
    _create_tables()
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table in TABLES:
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


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _create_tables() -> None:
    op.create_table(
        "stock_lots",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        *(_text(name) for name in ("bench", "lot", "document")),
        _time("at"),
        *(_text(name) for name in ("by", "reason")),
        sa.PrimaryKeyConstraint("id", name="pk_stock_lots"),
    )
    op.create_index("ix_stock_lots_bench", "stock_lots", ["bench", "lot"], unique=False)
    op.create_table(
        "stock_postings",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        *(_text(name) for name in ("bench", "lot", "container", "kind")),
        sa.Column("volume_nl", sa.BigInteger(), nullable=False),
        sa.Column("thaws", sa.Integer(), nullable=False),
        _text("detail"),
        sa.Column("run_id", sa.Text(), nullable=True),
        _time("at"),
        *(_text(name) for name in ("by", "why")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_stock_postings_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stock_postings"),
    )
    op.create_index("ix_stock_postings_bench", "stock_postings", ["bench", "lot"], unique=False)
    op.create_index("ix_stock_postings_run_id", "stock_postings", ["run_id"], unique=False)
    op.create_table(
        "stock_reservations",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        *(_text(name) for name in ("bench", "name")),
        _time("until"),
        _time("at"),
        _text("by"),
        sa.PrimaryKeyConstraint("number", name="pk_stock_reservations"),
    )
    op.create_index("ix_stock_reservations_bench", "stock_reservations", ["bench"], unique=False)
    op.create_table(
        "stock_reserved",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        *(_text(name) for name in ("lot", "container")),
        sa.Column("volume_nl", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["stock_reservations.number"], name="fk_stock_reserved_number"),
        sa.PrimaryKeyConstraint("id", name="pk_stock_reserved"),
    )
    op.create_index("ix_stock_reserved_number", "stock_reserved", ["number"], unique=False)
    op.create_table(
        "stock_reservation_ends",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _text("outcome"),
        _time("at"),
        *(_text(name) for name in ("by", "why")),
        sa.ForeignKeyConstraint(["number"], ["stock_reservations.number"], name="fk_stock_reservation_ends_number"),
        sa.PrimaryKeyConstraint("number", name="pk_stock_reservation_ends"),
    )
