"""A name of the database that two never share; runs a device knew before one of the same worklist was made on it."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TABLE = "database_identity"


def upgrade() -> None:
    """Add the column; create the table with its only row and keep it append-only."""
    op.add_column("runs", sa.Column("found_before", sa.Text(), nullable=True))
    op.create_index("ix_runs_parent", "runs", ["parent"], unique=False)
    made = op.create_table(
        TABLE,
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{TABLE}"),
    )
    op.bulk_insert(made, [{"id": uuid.uuid4().hex}])
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {TABLE}_no_{change.lower()} BEFORE {change} ON {TABLE} "
                f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
            )
    else:
        op.execute(
            f"CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE ON {TABLE} "
            "FOR EACH ROW EXECUTE FUNCTION nkloop_refuse_change()"
        )
