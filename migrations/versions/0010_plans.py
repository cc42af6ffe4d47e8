"""A table of plans: as a column of the job, a long plan was written again with every chunk that was done.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the plans."""
    op.create_table(
        "plans",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_plans_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_plans")),
    )
    op.execute("INSERT INTO plans (job_id, manifest) SELECT id, manifest FROM jobs WHERE manifest <> ''")
    op.drop_column("jobs", "manifest")


def downgrade() -> None:
    """Move them back."""
    op.add_column("jobs", sa.Column("manifest", sa.Text(), nullable=False, server_default=""))
    op.execute(
        "UPDATE jobs SET manifest = (SELECT manifest FROM plans WHERE job_id = jobs.id)"
        " WHERE id IN (SELECT job_id FROM plans)"
    )
    op.drop_table("plans")
