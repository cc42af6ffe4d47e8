"""Events of every status change; workers that are drained or blocked; when an attempt was started.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WORDS, _NUMBERS = ("stage", "worker", "before", "after"), ("chunk", "attempt")  # of events
_HELD = ("held", "held_by", "held_why")  # of workers


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="note"))
        for name in _WORDS:
            batch_op.add_column(sa.Column(name, sa.String(), nullable=True))
        for name in _NUMBERS:
            batch_op.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
        batch_op.drop_index("ix_events_job_id")
        batch_op.create_index("ix_events_job_id_chunk", ["job_id", "chunk"])
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false()))
        for name in _HELD:
            batch_op.add_column(sa.Column(name, sa.String(), nullable=True))
        batch_op.add_column(sa.Column("held_at", sa.Double(), nullable=True))
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("started_at", sa.Double(), nullable=True))


def downgrade() -> None:
    """Undo. Events of chunks and workers are for this version only."""
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_column("started_at")
    with op.batch_alter_table("workers", schema=None) as batch_op:
        for name in ("held_at", *_HELD, "draining"):
            batch_op.drop_column(name)
    op.execute("DELETE FROM events WHERE chunk IS NOT NULL")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_job_id_chunk")
        batch_op.create_index("ix_events_job_id", ["job_id"])
        for name in (*_NUMBERS, *_WORDS, "kind"):
            batch_op.drop_column(name)
