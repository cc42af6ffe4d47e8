"""Audits of outputs.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("audit", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("strict", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("audited", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo. The older version would publish what has to be audited."""
    op.execute(
        "UPDATE jobs SET interrupted = COALESCE(interrupted, status), status = 'failed', reason = 'was to be audited'"
        " WHERE strict AND status NOT IN ('done', 'failed', 'cancelled')"
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        for name in ("audited", "strict", "audit"):
            batch_op.drop_column(name)
