"""The values that the coordinator's side shares: settings, database, store, and the clock that measures leases."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from sqlalchemy import select

from farm.database.models import Identity
from farm.database.session import Database
from farm.errors import DatabaseError
from farm.processes import hold
from farm.settings import Settings
from farm.storage.base import Storage
from farm.storage.opening import open_storage

#: Commands that ask whether a farm runs take its lock for a moment; one that migrates, for longer.
_LOCK_SECONDS = 5.0


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


def open_context(settings: Settings, *, owner: bool = False) -> Context:
    """Open the database, migrating its tables, and the store. ``owner``: the caller holds the home's lock.

    Raises DatabaseError, also for an older database that the farm of the home is working with; SettingsError.
    """
    settings.make_home()
    database = Database(settings.sql_url)
    lock = nullcontext() if owner or not database.outdated() else hold(settings.lock_file, _LOCK_SECONDS)
    if lock is None:
        raise DatabaseError(
            f"a farm of another version runs in {settings.home}: its database cannot be migrated meanwhile",
            hint="stop that farm, then run the command again: it migrates the database",
        )
    with lock:
        database.migrate()
    return Context(settings, database, open_storage(settings))
