"""The audit log on disk: append in a chain, read in pages, forget the oldest."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peewee import Database, SqliteDatabase
from playhouse.migrations import Runner

from shared.audit.chain import Checkpoint, Head, Row, link, sign_checkpoint, sign_head
from shared.audit.event import Event
from shared.audit.models import AuditCheckpoint, AuditEvent, AuditHead, db
from shared.audit.rows import row_of, words_of
from shared.clock import now_ms
from shared.meta.database import BUSY_TIMEOUT_S, Postgres, WriteQueue

MIGRATIONS = Path(__file__).parent / "migrations"
FILE_NAME, CHECKPOINTS_NAME = "audit.db", "audit-checkpoints"
CHECKPOINT_EVENTS = 1_000       # a checkpoint is made after so many events,
LONGEST_LINE = 1024             # bytes of a checkpoint's line, or more
CHECKPOINT_MS = 300_000         # or with the first events that come so long after the last one
PRAGMAS = {"journal_mode": "wal", "synchronous": "full", "cache_size": -2 * 1024, "temp_store": "memory"}

log = logging.getLogger("maxiofs.audit")
log.setLevel(logging.INFO)      # checkpoints are to be in the log
_HEAD = (AuditHead.last_id, AuditHead.last_hash, AuditHead.base_id, AuditHead.base_hash, AuditHead.checkpoint_id, AuditHead.checkpoint_ms)
COLUMNS = tuple(getattr(AuditEvent, name) for name in Row._fields)


class Store:
    """The audit log of an installation: a file beside SQLite metadata, tables beside PostgreSQL's. ``key`` signs."""

    def __init__(self, database_url: str, data_dir: Path, key: bytes) -> None:
        self.key = key
        self.checkpoints_path = data_dir / CHECKPOINTS_NAME
        self._queue: WriteQueue | None = None
        if urlsplit(database_url).scheme in ("", "sqlite"):
            path = data_dir / FILE_NAME
            path.touch(mode=0o600)
            self._queue = WriteQueue(path.with_name(path.name + "-writers"))
            self.database: Database = SqliteDatabase(
                str(path), pragmas=PRAGMAS, timeout=BUSY_TIMEOUT_S, lock_type="IMMEDIATE", autoconnect=False
            )
        else:
            self.database = Postgres(
                "postgresql" + database_url[database_url.index(":"):], prefer_psycopg3=True, autoconnect=False,
                isolation_level="READ COMMITTED", connect_timeout=5,
            )
        db.initialize(self.database)
        names = [*Row._fields, "hash", "words"]         # by hand: peewee takes 100 µs a row
        self._insert = f"INSERT INTO audit_event ({', '.join(names)}) VALUES ({', '.join([self.database.param] * len(names))})"  # noqa: S608
        self._migrated = False

    @property
    def is_sqlite(self) -> bool:
        """True when the log is a file of its own."""
        return self._queue is not None

    def close(self) -> None:
        """Close this thread's connection and the lock file."""
        if not self.database.is_closed():
            self.database.close()
        if self._queue is not None:
            self._queue.close()

    @contextmanager
    def session(self) -> Iterator[None]:
        """A connection for a block of work of this thread, closed after; nested uses share it. Makes the tables at first use."""
        outer = self.database.is_closed()
        if outer:
            self.database.connect()
        try:
            self._migrate()
            yield
        finally:
            if outer:
                self.database.close()

    def _migrate(self) -> None:
        if self._migrated:
            return
        with self._queue or self._advisory_lock():
            Runner(self.database, str(MIGRATIONS), table_name="audit_migration").up()
        self._migrated = True

    @contextmanager
    def _advisory_lock(self) -> Iterator[None]:
        self.database.execute_sql("SELECT pg_advisory_lock(4653002)")
        try:
            yield
        finally:
            self.database.execute_sql("SELECT pg_advisory_unlock(4653002)")

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Head, bool]]:
        """A write transaction that holds the head: (the head, whether there was one)."""
        with self.session(), self._queue or nullcontext(), self.database.atomic():
            if not self.is_sqlite:
                self.database.execute_sql("SELECT pg_advisory_xact_lock(4653003)")      # also while there is no head to lock
            head = self.head()
            yield head[0] if head else Head(), head is not None

    def head(self) -> tuple[Head, bytes] | None:
        """The head and its signature. Call inside ``session``."""
        row = AuditHead.select(*_HEAD, AuditHead.signature).where(AuditHead.id == 1).tuples().first()
        return (_head(row[:-1]), bytes(row[-1])) if row else None

    def append(self, events: Sequence[Event]) -> None:
        """Add events to the end of the chain, durably, in one transaction. Raises what the driver raises."""
        made: Checkpoint | None = None
        with self._transaction() as (head, there):
            at_ms, hash_, rows = now_ms(), head.last_hash, []
            for id_, event in enumerate(events, head.last_id + 1):
                row = row_of(id_, event, at_ms)
                hash_ = link(hash_, row)
                rows.append((*row, hash_, words_of(row)))
            self.database.cursor().executemany(self._insert, rows)
            end = head._replace(last_id=head.last_id + len(rows), last_hash=hash_)
            if end.last_id - end.checkpoint_id >= CHECKPOINT_EVENTS or at_ms - end.checkpoint_ms >= CHECKPOINT_MS:
                end, made = self._checkpoint(end, at_ms)
            self._write_head(end, there)
        if made:
            self._write_down(made)

    def _checkpoint(self, head: Head, at_ms: int) -> tuple[Head, Checkpoint]:
        made = Checkpoint(head.last_id, at_ms, head.last_hash, sign_checkpoint(self.key, head.last_id, at_ms, head.last_hash))
        AuditCheckpoint.insert(**made._asdict()).on_conflict_ignore().execute()
        return head._replace(checkpoint_id=head.last_id, checkpoint_ms=at_ms), made

    def _write_head(self, head: Head, there: bool) -> None:
        values = head._asdict() | {"signature": sign_head(self.key, head)}
        if there:
            AuditHead.update(**values).where(AuditHead.id == 1).execute()
        else:
            AuditHead.insert(id=1, **values).execute()

    def _write_down(self, made: Checkpoint) -> None:
        """Keep a checkpoint where a change of the database does not reach: in a file, and in the log."""
        log.info("audit checkpoint %s", made.text())
        try:
            descriptor = os.open(self.checkpoints_path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with open(descriptor, "a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _cut_torn_line(file)
                line = made.text().encode() + b"\n"
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))      # the next one cuts off what is there of it
        except OSError as error:
            log.warning("the audit checkpoint could not be written to %s: %s", self.checkpoints_path, error.strerror)

    def oldest_ms(self) -> int | None:
        """When the oldest event was recorded; None for an empty log."""
        with self.session():
            found: int | None = AuditEvent.select(AuditEvent.at_ms).order_by(AuditEvent.id).limit(1).scalar()
        return found

    def prune(self, before_ms: int, limit: int) -> int:
        """Forget the oldest events, at most ``limit``: those before the first that is not older than ``before_ms``. Returns how many.

        The chain begins anew behind them, and the signed head says so.
        """
        with self._transaction() as (head, there):
            last = self._last_too_old(head, before_ms, limit)
            if last <= head.base_id:
                return 0
            hash_ = AuditEvent.select(AuditEvent.hash).where(AuditEvent.id == last).scalar()
            removed: int = AuditEvent.delete().where(AuditEvent.id <= last).execute()
            AuditCheckpoint.delete().where(AuditCheckpoint.id < last).execute()
            self._write_head(head._replace(base_id=last, base_hash=bytes(hash_)), there)
            return removed

    def _last_too_old(self, head: Head, before_ms: int, limit: int) -> int:
        """The last event to be forgotten, among the first ``limit``; the base when there is none.

        An event of the future was recorded while the clock was wrong: it is as old as the next one that is not, or the log would never
        again become shorter.
        """
        last = end = head.base_id
        now = now_ms()
        rows = AuditEvent.select(AuditEvent.id, AuditEvent.at_ms).where(AuditEvent.id > head.base_id).order_by(AuditEvent.id).limit(limit)
        for id_, at_ms in rows.tuples():
            end += 1
            if id_ != end:
                raise _broken(end)
            if at_ms < before_ms:
                last = end
            elif at_ms <= now:
                return last
        if end < min(head.last_id, head.base_id + limit):
            raise _broken(end + 1)
        if last == head.base_id < end:
            true = (AuditEvent.id > end) & (AuditEvent.at_ms <= now)
            next_ms = AuditEvent.select(AuditEvent.at_ms).where(true).order_by(AuditEvent.id).limit(1).scalar()
            return end if next_ms is not None and next_ms < before_ms else last
        return last

    def rows(self, query: Any) -> list[tuple[Row, bytes, str]]:
        """The events of a query over ``AuditEvent``: (row, hash, words). Call inside ``session``."""
        return [(Row(*row[:-2]), bytes(row[-2]), row[-1]) for row in query.tuples()]


class ChainBroken(Exception):
    """The chain is not whole, so its beginning cannot be moved."""


def _cut_torn_line(file: FileIO) -> None:
    """Cut off the end of the file behind its last whole line: what a full disk or a power loss left of a checkpoint."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - LONGEST_LINE)
    file.seek(start)
    tail = file.read(LONGEST_LINE)
    if tail and not tail.endswith(b"\n"):
        file.truncate(start + tail.rfind(b"\n") + 1)


def _broken(id_: int) -> ChainBroken:
    return ChainBroken(f"audit event {id_} is missing: `maxiofs audit verify` tells more; nothing was removed")


def _head(row: Any) -> Head:
    return Head(row[0], bytes(row[1]), row[2], bytes(row[3]), row[4], row[5])
