"""The values that the coordinator's side shares: settings, database, store, and the clock that measures leases."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select

from farm.database.models import Identity
from farm.database.session import Database
from farm.settings import Settings
from farm.storage.base import Storage
from farm.storage.opening import open_storage


@dataclass(frozen=True, slots=True)
class Context:
    """Passed to the functions of the coordinator's side. ``clock`` returns seconds since the epoch."""

    settings: Settings
    database: Database
    store: Storage
    clock: Callable[[], float] = field(default=time.time)


def claim_store(context: Context) -> int:
    """Record in the store that this database uses it; returns how many databases do. Raises StorageError."""
    with context.database.read() as session:
        return context.store.claim(session.scalars(select(Identity.name)).one())


def open_context(settings: Settings) -> Context:
    """Open the database, migrating its tables, and the store. Raises DatabaseError, SettingsError."""
    settings.make_home()
    database = Database(settings.sql_url)
    database.migrate()
    return Context(settings, database, open_storage(settings))
