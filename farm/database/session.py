"""Open the database and migrate it to the newest revision."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Engine, Insert, Update, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.orm import DeclarativeBase, Session

from farm.configuration import masked, told
from farm.errors import DatabaseAway, DatabaseError

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"
_WRITE = "blurfarm_write"
_PATIENCE_SECONDS = 30.0  # how long to wait for another process that is writing
#: For libpq, unless the address says otherwise: a host that vanished is noticed within half a minute, not after hours.
_NETWORK = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_MIGRATION_LOCK = 0x626C7572  # an arbitrary number shared by all processes of the farm


class Database:
    """Transactions over one engine: :meth:`write` takes SQLite's write lock immediately, :meth:`read` never does."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.engine = _engine(url)
        except OSError as e:
            raise DatabaseError(f"cannot create the folder of {masked(url)}: {e.strerror}", hint="set FARM_HOME") from e
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError, TypeError) as e:
            raise DatabaseError(
                f"{masked(url)} is not a valid database address: {told(e, url)}",
                hint="use sqlite:////path/farm.db or postgresql+psycopg://user@host/name (extra: blurfarm[postgres])",
            ) from e

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that may write. Raises DatabaseError."""
        with self._session({_WRITE: True}) as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that only reads. Raises DatabaseError."""
        with self._session({}) as session:
            yield session

    @contextmanager
    def _session(self, options: dict[str, Any]) -> Iterator[Session]:
        bind = self.engine.execution_options(**options)
        try:
            with Session(bind, expire_on_commit=False) as session, session.begin():
                yield session
        except DBAPIError as e:
            text = f"the database {masked(self.url)} reported an error: {told(e.orig, self.url)}"
            hint = "run `farm doctor`; for a farm that shares a database, check that it is reachable and not full"
            raise _error(e, text, hint) from e

    def outdated(self) -> bool:
        """Whether there are tables that :meth:`migrate` would change. Raises DatabaseError."""
        with self._opening():
            return self._revision() not in (None, newest_revision())

    def migrate(self) -> None:
        """Create the tables, or migrate them to the newest revision. Raises DatabaseError."""
        with self._opening():
            here = self._revision()
            if here == newest_revision():
                return
            if here is not None and here > newest_revision():
                raise DatabaseError(
                    f"the database {masked(self.url)} was written by a newer version of the farm",
                    hint="use that version, or another FARM_HOME",
                )
            from alembic import command  # noqa: PLC0415 - slow to import, and needed only for a migration

            config = alembic_config(self.url)
            with (
                self.engine.execution_options(**{_WRITE: True}).connect() as connection,
                _tables_replaceable(connection),
            ):
                if connection.dialect.name == "postgresql":  # processes that start together migrate in turn
                    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as e:
            text = f"the database {masked(self.url)} cannot be opened: {told(e, self.url)}"
            hint = "check that it exists, that its folder is writable and has room, and the version that wrote it"
            raise _error(e, text, hint) from e

    def _revision(self) -> str | None:
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def compact(self) -> int:
        """Shrink the file of an SQLite database if a quarter of it is empty; returns by how many bytes.

        PostgreSQL does this itself. Raises DatabaseError.
        """
        if self.engine.dialect.name != "sqlite":
            return 0
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            unused, total, page = (
                cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count", "page_size")
            )
            if unused * 4 < total:
                return 0
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            after = cursor.execute("PRAGMA page_count").fetchone()[0]
            return int((total - after) * page)
        except sqlite3.Error as e:
            raise DatabaseError(f"the database {masked(self.url)} cannot be compacted: {told(e, self.url)}") from e
        finally:
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _error(e: SQLAlchemyError, text: str, hint: str) -> DatabaseError:
    if isinstance(e, OperationalError | InterfaceError):
        return DatabaseAway(text, hint=hint)
    if "malformed" in text or "not a database" in text:
        hint = "restore a backup of the file, or move it away: then all jobs are forgotten, and their outputs are kept"
    return DatabaseError(text, hint=hint)


def changed(session: Session, statement: Insert | Update) -> bool:
    """Execute a statement; whether it changed exactly one row."""
    return cast("CursorResult[object]", session.execute(statement)).rowcount == 1


def insert_once(session: Session, table: type[DeclarativeBase], **values: object) -> bool:
    """Insert a row; False where one with the same key is there already."""
    # the inserts of SQLite and PostgreSQL share no base; importing both dialects takes 0.08 s of each command
    insert = import_module(f"sqlalchemy.dialects.{session.get_bind().dialect.name}").insert
    statement = insert(table).values(**values).on_conflict_do_nothing()
    return changed(session, statement.execution_options(preserve_rowcount=True))


@contextmanager
def _tables_replaceable(connection: Connection) -> Iterator[None]:
    """A transaction in which a migration may drop a table that others refer to, and recreate it, as SQLite needs."""
    if connection.dialect.name != "sqlite":
        with connection.begin():
            yield
        return
    driver = connection.connection.dbapi_connection
    assert driver is not None
    cursor = driver.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")  # has no effect inside a transaction
    try:
        with connection.begin():
            yield
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()


def newest_revision() -> str:
    """Return the newest migration's revision: its file name up to the first underscore."""
    return max(f.name for f in (MIGRATIONS / "versions").glob("[0-9]*_*.py")).split("_")[0]


def alembic_config(url: str) -> Any:  # noqa: ANN401 - Alembic is imported only where it is needed
    """Return an Alembic configuration without a file: the folder of the migrations and the URL of the database."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        libpq = url.startswith(("postgresql+psycopg", "postgresql://"))
        given = make_url(url).query
        defaults = {name: value for name, value in _NETWORK.items() if libpq and name not in given}
        return create_engine(url, pool_pre_ping=True, connect_args=defaults)
    name = make_url(url).database
    if name and name != ":memory:":
        Path(name).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _PATIENCE_SECONDS})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection class
        connection.isolation_level = None  # the "begin" event starts transactions, not the driver
        _use_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy passes different connection classes
        write = connection.get_execution_options().get(_WRITE)
        connection.execute(text("BEGIN IMMEDIATE" if write else "BEGIN"))

    return engine


def _use_wal(connection: Any) -> None:  # noqa: ANN401 - the driver's connection class
    """Switch the file to write-ahead logging once. SQLite does not wait for other processes here, so this does."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return  # done; on a file system without support, SQLite keeps its rollback journal
