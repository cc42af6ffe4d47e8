"""What an order says beside the options of its job.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("request", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Undo. The older version knows no errands."""
    errands = "SELECT id FROM chunks WHERE stage NOT IN ('plan', 'detect', 'link', 'edit', 'redact', 'compose')"
    op.execute(f"DELETE FROM attempts WHERE chunk_id IN ({errands})")  # noqa: S608 - constant
    op.execute(f"DELETE FROM chunks WHERE id IN ({errands})")  # noqa: S608 - constant
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.drop_column("request")
