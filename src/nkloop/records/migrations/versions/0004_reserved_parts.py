"""What a reservation was made for: the parts of its plan, and which reservation it was split off from."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = ("stock_reserved_parts", "stock_reservation_origins")


def upgrade() -> None:
    """Create the tables and keep them append-only."""
    op.create_table(
        "stock_reserved_parts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("worklist_hash", "csv_sha256", "volumes")),
        sa.ForeignKeyConstraint(["number"], ["stock_reservations.number"], name="fk_stock_reserved_parts_number"),
        sa.ForeignKeyConstraint(["worklist_hash"], ["worklists.hash"], name="fk_stock_reserved_parts_worklist_hash"),
        sa.PrimaryKeyConstraint("id", name="pk_stock_reserved_parts"),
    )
    op.create_index("ix_stock_reserved_parts_number", "stock_reserved_parts", ["number"], unique=False)
    op.create_index("ix_stock_reserved_parts_worklist_hash", "stock_reserved_parts", ["worklist_hash"], unique=False)
    op.create_table(
        "stock_reservation_origins",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["stock_reservations.number"], name="fk_stock_reservation_origins_number"),
        sa.ForeignKeyConstraint(["origin"], ["stock_reservations.number"], name="fk_stock_reservation_origins_origin"),
        sa.PrimaryKeyConstraint("number", name="pk_stock_reservation_origins"),
    )
    op.create_index("ix_stock_reservation_origins_origin", "stock_reservation_origins", ["origin"], unique=False)
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
