"""What workers can do, which coordinator leads, and counters in place of counting.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "leaders",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leaders")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("encoder", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("open_chunks", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("encoders", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("runtime", sa.String(), nullable=False, server_default=""))
    # the chunks of earlier stages are all done
    op.execute(
        "UPDATE jobs SET open_chunks = (SELECT count(*) FROM chunks "
        "WHERE chunks.job_id = jobs.id AND chunks.status <> 'done')"
    )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.drop_column("runtime")
        batch_op.drop_column("encoders")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("open_chunks")
        batch_op.drop_column("encoder")
    op.drop_table("leaders")
