"""Which device a run was begun on, so that no other one is taken for it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; of older runs it is not known."""
    op.add_column("runs", sa.Column("device_serial", sa.Text(), nullable=True))
