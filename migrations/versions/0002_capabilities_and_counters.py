"""Worker capabilities, the leading coordinator, a counter of open chunks, rows for link, a table of notes.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JOBS = sa.table("jobs", sa.column("id", sa.String()), sa.column("notes", sa.JSON()))
_NOTES = sa.table("notes", sa.column("id"), sa.column("job_id", sa.String()), sa.column("text", sa.String()))


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
    # link had no rows: a job that was linking begins it again, all its detections being done
    op.execute("UPDATE jobs SET status = 'detecting' WHERE status = 'linking'")
    op.execute("UPDATE jobs SET interrupted = 'detecting' WHERE interrupted = 'linking'")
    op.create_table(
        "notes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_notes_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
        sa.UniqueConstraint("job_id", "text", name=op.f("uq_notes_job_id_text")),
    )
    connection = op.get_bind()
    for job, notes in connection.execute(sa.select(_JOBS.c.id, _JOBS.c.notes)).all():
        for text in dict.fromkeys(notes):
            connection.execute(_NOTES.insert().values(job_id=job, text=text))
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("notes")


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("notes", sa.JSON(), nullable=False, server_default="[]"))
    connection = op.get_bind()
    notes: dict[str, list[str]] = {}
    for job, text in connection.execute(sa.select(_NOTES.c.job_id, _NOTES.c.text).order_by(_NOTES.c.id)):
        notes.setdefault(job, []).append(text)
    for job, texts in notes.items():
        connection.execute(_JOBS.update().where(_JOBS.c.id == job).values(notes=texts))
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.alter_column("notes", server_default=None)
    op.drop_table("notes")
    op.execute("DELETE FROM chunks WHERE stage = 'link'")
    with op.batch_alter_table("workers", schema=None) as batch_op:
        batch_op.drop_column("runtime")
        batch_op.drop_column("encoders")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("open_chunks")
        batch_op.drop_column("encoder")
    op.drop_table("leaders")
