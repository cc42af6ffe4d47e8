"""Workers report every runtime of their detectors.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.drop_column("runtime")
        batch_op.add_column(sa.Column("runtimes", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.drop_column("runtimes")
        batch_op.add_column(sa.Column("runtime", sa.String(), nullable=False, server_default=""))
