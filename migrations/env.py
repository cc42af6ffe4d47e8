"""Alembic's entry: over a connection that the farm hands in, else over the address in the configuration."""

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine

from farm.database.models import Base


def _run(connection: Connection) -> None:
    # SQLite cannot alter most things: batch mode copies the table
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    _run(handed_in)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=NullPool).begin() as opened:
        _run(opened)
