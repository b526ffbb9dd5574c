"""What people chose where there was something to choose."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; older rows stay without a choice."""
    for table in ("operator_actions", "operator_requests"):
        op.add_column(table, sa.Column("choice", sa.Text(), nullable=True))
