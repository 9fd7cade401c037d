"""The metadata database: opening it by URL, one connection per thread, one short write transaction at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import peewee
import psycopg
from peewee import Database, PostgresqlDatabase, SqliteDatabase
from playhouse.migrations import Runner

from shared.errors import ServiceUnavailable, StorageFull
from shared.meta.models import db

BUSY_TIMEOUT_S = 5      # how long a writer waits for somebody outside our own lock (a backup, a person with sqlite3)
QUEUE_TIMEOUT_S = 10    # how long it waits for the other writers of its own process
MIGRATIONS = Path(__file__).parent / "migrations"
SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",      # 200 means durable: NORMAL may lose the last commits on power loss
    "cache_size": -16 * 1024,   # KiB per connection
    "mmap_size": 256 << 20,
    "temp_store": "memory",
}


class NewerDatabase(Exception):
    """The database was written by a newer release; there is no way back but a backup."""


class WriteQueue:
    """One SQLite writer at a time on this machine, woken at once.

    SQLite's own busy handler sleeps between attempts; a file lock does not. Threads of one process queue on a thread lock, which can
    time out; so at most one of them waits for the other processes.
    """

    def __init__(self, path: Path) -> None:
        self._turn = threading.Lock()
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the machine-wide write lock. Raises ServiceUnavailable when the queue does not move for QUEUE_TIMEOUT_S seconds."""
        if not self._turn.acquire(timeout=QUEUE_TIMEOUT_S):
            raise ServiceUnavailable("The metadata database is busy. Please try again.")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


_queue: WriteQueue | None = None


def connect(url: str, data_dir: Path) -> Database:
    """Bind the models to the database at ``url`` (empty: SQLite in the data directory) and return it. Opens nothing yet.

    ``postgresql://user:password@host:port/name?sslmode=…`` and ``sqlite:///path`` are understood.
    Raises ValueError for any other scheme.
    """
    global _queue
    dispose()
    scheme = urlsplit(url).scheme
    if scheme in ("", "sqlite"):
        path = Path(urlsplit(url).path) if scheme else data_dir / "maxiofs.db"
        path.touch(mode=0o600)
        database: Database = SqliteDatabase(
            str(path), pragmas=SQLITE_PRAGMAS, timeout=BUSY_TIMEOUT_S, lock_type="IMMEDIATE", autoconnect=False
        )
        _queue = WriteQueue(path.with_name(path.name + "-writers"))
    elif scheme in ("postgresql", "postgres"):
        database = PostgresqlDatabase(url, prefer_psycopg3=True, autoconnect=False, connect_timeout=5)
    else:
        raise ValueError(f"the database URL {scheme}:// is not supported: use postgresql:// or sqlite:///")
    db.initialize(database)
    return database


def dispose() -> None:
    """Forget the current database, if any."""
    global _queue
    if db.obj is not None and not db.is_closed():
        db.close()
    if _queue is not None:
        _queue.close()
        _queue = None


def is_sqlite() -> bool:
    """True when this installation keeps its metadata in SQLite."""
    return isinstance(db.obj, SqliteDatabase)


def migrate() -> list[str]:
    """Apply the migrations that are missing and return their names. Raises NewerDatabase when the database knows ones we do not."""
    with session(), _migration_lock():
        runner = Runner(db.obj, str(MIGRATIONS), table_name="schema_migration")
        if gone := [migration.name for migration in runner.status() if migration.path is None]:
            raise NewerDatabase(f"this database was written by a newer release (migration {gone[-1]}); use that release or restore a backup")
        applied: list[str] = runner.up()
        return applied


@contextmanager
def _migration_lock() -> Iterator[None]:
    """Let one process migrate at a time."""
    if _queue is not None:
        with _queue.held():
            yield
        return
    db.execute_sql("SELECT pg_advisory_lock(4653001)")
    try:
        yield
    finally:
        db.execute_sql("SELECT pg_advisory_unlock(4653001)")


def connection() -> Any:
    """This thread's connection, opened when it has none. Raises ServiceUnavailable when the database cannot be reached."""
    if db.is_closed():
        try:
            db.connect()
        except peewee.PeeweeException as error:
            raise unavailable(error) from error
    return db.connection()


def hang_up() -> None:
    """Close this thread's connection: after an error that may have broken it, and at the end of the thread."""
    try:
        if not db.is_closed():
            db.close()
    except (peewee.PeeweeException, psycopg.Error):
        db.obj._state.reset()      # a connection that cannot even be closed is forgotten, or the thread would keep it for ever


@contextmanager
def session() -> Iterator[Any]:
    """Open this thread's connection for a block of work and close it after; nested uses share it."""
    outer = db.is_closed()
    try:
        yield connection()
    finally:
        if outer:
            hang_up()


@contextmanager
def transaction() -> Iterator[Any]:
    """One short write transaction; yields this thread's raw connection. No network and no file I/O inside.

    Nested uses join the outer transaction. Raises ServiceUnavailable (locked, unreachable) or StorageFull.
    """
    connection()
    if db.in_transaction():
        yield db.connection()
        return
    try:
        if _queue is not None:
            with _queue.held(), db.atomic():
                yield db.connection()
        else:
            with db.atomic():
                yield db.connection()
    except (peewee.OperationalError, peewee.InterfaceError, peewee.InternalError, sqlite3.OperationalError, psycopg.OperationalError) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> ServiceUnavailable | StorageFull:
    """Name a failure of the database in S3's words; drop the connection it happened on unless it was only a lock."""
    text = str(error)
    if "locked" not in text:
        hang_up()
    if "full" in text or "No space left" in text:
        return StorageFull()
    return ServiceUnavailable("The metadata database is not available. Please try again.")


DRIVER_ERRORS = (
    peewee.OperationalError, peewee.InterfaceError, peewee.InternalError,
    sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError,
)
