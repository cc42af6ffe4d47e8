"""Names of artefacts on chunks; a job's manifest, and how often its artefacts were repaired.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. What earlier versions wrote has no name: it is made again."""
    op.add_column("chunks", sa.Column("name", sa.String(), nullable=False, server_default=""))
    op.create_index("ix_chunks_name", "chunks", ["name"])
    op.add_column("jobs", sa.Column("manifest", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("repairs", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("jobs", "repairs")
    op.drop_column("jobs", "manifest")
    op.drop_index("ix_chunks_name", "chunks")
    op.drop_column("chunks", "name")
