"""An index of the attempts that failed.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_FAILED = sa.text("cause IS NOT NULL")


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_attempts_cause", "attempts", ["cause"], sqlite_where=_FAILED, postgresql_where=_FAILED)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_attempts_cause", "attempts")
