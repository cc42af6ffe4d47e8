"""Companion jobs: further videos and cover art of a source.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("main", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("stream", sa.BigInteger(), nullable=True))
        batch_op.create_index(batch_op.f("ix_jobs_main"), ["main"])


def downgrade() -> None:
    """Undo. The older version would publish companions, and their main jobs without them."""
    op.execute(
        "UPDATE jobs SET interrupted = COALESCE(interrupted, status), status = 'failed', reason = 'has companion jobs'"
        " WHERE status NOT IN ('done', 'failed', 'cancelled')"
        " AND (main IS NOT NULL OR id IN (SELECT main FROM jobs WHERE main IS NOT NULL))"
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_main"))
        for name in ("stream", "main"):
            batch_op.drop_column(name)
