"""The metadata database: opening it by URL, one connection per thread, one short write transaction at a time."""

from __future__ import annotations

import fcntl
import os
import select
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import peewee
import psycopg
from peewee import Database, PostgresqlDatabase, SqliteDatabase
from playhouse.migrations import Runner

from shared.errors import ServiceUnavailable, StorageFull
from shared.meta.models import db

BUSY_TIMEOUT_S = 5      # how long a writer waits for somebody outside our own lock (a backup, a person with sqlite3)
QUEUE_TIMEOUT_S = 10    # how long it waits for the other writers of its own process
LOCK_TIMEOUT_S = 10     # how long a statement waits for somebody else's locks on PostgreSQL
IDLE_TIMEOUT_S = 60     # how long a process that stopped in the middle of a transaction may keep its locks there
DEADLOCK_ATTEMPTS = 4   # how often a change is tried when PostgreSQL keeps choosing it to end a deadlock
MIGRATIONS = Path(__file__).parent / "migrations"
SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",      # 200 means durable: NORMAL may lose the last commits on power loss
    "cache_size": -2 * 1024,    # KiB per connection, of which each thread has one: behind it stands the kernel's page cache
    "mmap_size": 0,             # maps count for each connection: 8 threads on 3 GiB held 267 MiB, so 66; a lookup pays 2 µs for it
    "temp_store": "memory",
}


P = ParamSpec("P")
T = TypeVar("T")


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

    def __enter__(self) -> None:
        """Take the machine-wide write lock. Raises ServiceUnavailable when the queue does not move for QUEUE_TIMEOUT_S seconds."""
        if not self._turn.acquire(timeout=QUEUE_TIMEOUT_S):
            raise ServiceUnavailable("The metadata database is busy. Please try again.")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except BaseException:
            self._turn.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


_queue: WriteQueue | None = None


class Postgres(PostgresqlDatabase):
    """PostgreSQL with bounded waits and durable commits. Set on each connection, because poolers refuse start-up options."""

    def _connect(self) -> Any:
        conn = super()._connect()
        conn.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'; SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'")
        # 200 means durable, whatever the server's default; a stronger one (for standbys) stays.
        conn.execute("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
        return conn


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
        # Peewee knows only the longer scheme. READ COMMITTED whatever the server's default: what is read behind a lock must be fresh.
        database = Postgres(
            "postgresql" + url[len(scheme):], prefer_psycopg3=True, autoconnect=False, isolation_level="READ COMMITTED", connect_timeout=5
        )
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
            raise NewerDatabase(
                f"this database was written by a newer release (migration {gone[-1]}); use that release or restore a backup"
            )
        applied: list[str] = runner.up()
        return applied


@contextmanager
def _migration_lock() -> Iterator[None]:
    """Let one process migrate at a time."""
    if _queue is not None:
        with _queue:
            yield
        return
    db.execute_sql("SET lock_timeout = 0")      # a large migration of somebody else may take its time
    db.execute_sql("SELECT pg_advisory_lock(4653001)")
    try:
        yield
    finally:
        db.execute_sql("SELECT pg_advisory_unlock(4653001)")
        db.execute_sql(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")


def connection() -> Any:
    """This thread's connection, opened when it has none or lost it. Raises ServiceUnavailable when the database cannot be reached."""
    state = db.obj._state
    if not state.closed:
        if _queue is not None or state.transactions or not _is_dead(state.conn):
            return state.conn
        hang_up()       # PostgreSQL was restarted, or the network between us
    try:
        db.connect()
    except peewee.PeeweeException as error:
        raise unavailable(error) from error
    return state.conn


def _is_dead(conn: Any) -> bool:
    """Whether PostgreSQL closed the connection while nobody asked it anything: only then an idle one has something to read."""
    if conn.closed:
        return True
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def hang_up() -> None:
    """Close this thread's connection: after an error that may have broken it, and at the end of the thread."""
    try:
        if not db.is_closed():
            db.close()
    except (peewee.PeeweeException, sqlite3.Error, psycopg.Error):
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


def transaction() -> AbstractContextManager[Any]:
    """One short write transaction; yields this thread's raw connection. No network and no file I/O inside.

    Nested uses join the outer transaction. Raises ServiceUnavailable (locked, unreachable) or StorageFull.
    """
    return _Joined() if db.obj._state.transactions else _Outermost()


class _Joined(AbstractContextManager[Any]):
    """A block inside somebody else's transaction."""

    def __enter__(self) -> Any:
        return db.obj._state.conn

    def __exit__(self, *_: object) -> None:
        return None


class _Outermost(AbstractContextManager[Any]):
    """BEGIN and COMMIT straight on the driver's connection: peewee's own way costs 40 µs more.

    Peewee is told that a transaction is open, so that its ``atomic()`` inside makes savepoints and ``after_commit`` waits.
    """

    def __enter__(self) -> Any:
        conn = connection()
        self._database, self._queue = db.obj, _queue
        if self._queue is not None:
            self._queue.__enter__()
        try:
            conn.execute("BEGIN IMMEDIATE" if self._queue is not None else "BEGIN ISOLATION LEVEL READ COMMITTED")
        except BaseException as error:
            self._leave()
            if isinstance(error, DRIVER_ERRORS):
                raise unavailable(error) from error
            raise
        self._database.push_transaction(self._database.transaction())
        self._conn = conn
        return conn

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._database.pop_transaction()
        try:
            if error is None:
                self._commit()
            else:
                self._undo()
        finally:
            self._leave()
        if error is None:
            self._database._run_commit_callbacks()
        elif isinstance(error, DRIVER_ERRORS):
            raise unavailable(error) from error

    def _commit(self) -> None:
        try:
            outcome = self._conn.execute("COMMIT")
            if getattr(outcome, "statusmessage", "COMMIT") != "COMMIT":
                # Somebody inside swallowed an error; PostgreSQL then answers COMMIT with a rollback, and without an error.
                raise psycopg.OperationalError("the transaction had failed and was rolled back")
        except BaseException as error:
            self._undo()
            if isinstance(error, DRIVER_ERRORS):
                raise unavailable(error) from error
            raise

    def _undo(self) -> None:
        self._database._clear_commit_callbacks()
        try:
            self._conn.execute("ROLLBACK")
        except (sqlite3.Error, psycopg.Error):
            hang_up()       # the engine rolled back by itself, or the connection is gone: either way nothing is left to undo

    def _leave(self) -> None:
        if self._queue is not None:
            self._queue.__exit__()


def repeated(change: Callable[P, T]) -> Callable[P, T]:
    """Decorate a change that is one transaction: run it again when PostgreSQL undid it to end a deadlock.

    Inside an outer transaction it runs once: there the whole is undone.
    """

    @wraps(change)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(DEADLOCK_ATTEMPTS - 1):
            try:
                return change(*args, **kwargs)
            except ServiceUnavailable as error:
                if db.in_transaction() or not _was_deadlock(error):
                    raise
        return change(*args, **kwargs)

    return run


def _was_deadlock(error: BaseException | None) -> bool:
    while error is not None and getattr(error, "sqlstate", None) not in ("40P01", "40001"):     # deadlock, not serialisable
        error = error.__cause__ or error.__context__
    return error is not None


def unavailable(error: Exception) -> ServiceUnavailable | StorageFull:
    """Name a failure of the database in S3's words; drop the connection it happened on unless it was only a lock."""
    text = str(error)
    if "locked" not in text and not _was_deadlock(error):
        hang_up()
    if "full" in text or "No space left" in text:
        return StorageFull()
    return ServiceUnavailable("The metadata database is not available. Please try again.")


DRIVER_ERRORS = (
    peewee.OperationalError, peewee.InterfaceError, peewee.InternalError,
    sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError,
)
