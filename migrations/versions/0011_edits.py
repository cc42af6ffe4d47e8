"""Edits of masks, and jobs that wait for a person who approves them.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_NUMBERS = {"approved": "-1", "masked": "0"}  # of jobs, with their defaults


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "edits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_edits_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edits")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_edits_job_id_number")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("review", sa.Boolean(), nullable=False, server_default=sa.false()))
        for name, default in _NUMBERS.items():
            batch_op.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default=default))
        batch_op.add_column(sa.Column("unmatched", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("published", sa.String(), nullable=True))


def downgrade() -> None:
    """Undo. A job that waits for a person has failed."""
    op.execute(
        "UPDATE jobs SET status = 'failed', interrupted = 'linking', reason = 'waited for approval'"
        " WHERE status = 'reviewing'"
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        for name in ("published", "unmatched", *_NUMBERS, "review"):
            batch_op.drop_column(name)
    op.drop_table("edits")
