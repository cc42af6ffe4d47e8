"""The database's identity, whether a job's failure is permanent, and an index of fingerprints.

Revision ID: 0004
Revises: 0003
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    identity = op.create_table("identity", sa.Column("name", sa.String(), nullable=False, primary_key=True))
    op.bulk_insert(identity, [{"name": secrets.token_hex(8)}])
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("permanent", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_chunks_fingerprint"), ["fingerprint"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_chunks_fingerprint"))
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("permanent")
    op.drop_table("identity")
