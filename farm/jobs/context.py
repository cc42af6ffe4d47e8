"""What the coordinator's parts share: settings, database, store and the one clock that leases are counted by."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from farm.database.session import Database
from farm.settings import Settings
from farm.storage.base import Storage
from farm.storage.opening import open_storage


@dataclass(frozen=True, slots=True)
class Context:
    """Passed to every function of the coordinator. ``clock``: seconds since the epoch."""

    settings: Settings
    database: Database
    store: Storage
    clock: Callable[[], float] = field(default=time.time)


def open_context(settings: Settings) -> Context:
    """Open the database, bring its tables up to date, and the store. Raises DatabaseError."""
    settings.make_home()
    database = Database(settings.sql_url)
    database.migrate()
    return Context(settings, database, open_storage(settings))
