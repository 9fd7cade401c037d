"""What the machine itself gives: MD5 of one core, fdatasync of the disk, and the bare SQLite transaction of a small PUT."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from shared.blobs.engine import new_blob_id
from shared.meta import buckets, database, objects, people
from shared.meta.content import NewBlob
from shared.meta.objects import NewVersion

BLOCK = os.urandom(1 << 20)


def md5_mb_s(seconds: float = 1.0) -> float:
    """MD5 of 1 MiB blocks on one core, 10**6 bytes per second."""
    digest, done, begun = hashlib.md5(usedforsecurity=False), 0, time.perf_counter()
    while (took_s := time.perf_counter() - begun) < seconds:
        digest.update(BLOCK)
        done += len(BLOCK)
    return done / took_s / 1e6


def fdatasync_ms(folder: Path, count: int = 200) -> float:
    """Median milliseconds of writing 4 KiB into a file and waiting until the disk has it."""
    path = folder / "fdatasync"
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        os.write(fd, bytes(count * 4096))
        os.fsync(fd)
        took_s = []
        for index in range(count):
            begun = time.perf_counter()
            os.pwrite(fd, BLOCK[:4096], index * 4096)
            os.fdatasync(fd)
            took_s.append(time.perf_counter() - begun)
    finally:
        os.close(fd)
        path.unlink()
    return median(took_s) * 1e3


def disk_mb_s(folder: Path, size_bytes: int = 64 << 20) -> float:
    """Writing a file of this size and waiting until the disk has it, 10**6 bytes per second."""
    path = folder / "written"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        begun = time.perf_counter()
        for _ in range(size_bytes // len(BLOCK)):
            os.write(fd, BLOCK)
        os.fsync(fd)
        return size_bytes / (time.perf_counter() - begun) / 1e6
    finally:
        os.close(fd)
        path.unlink()


class _Recorder:
    """A connection that remembers what is executed on it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.statements: list[tuple[str, list[Any]]] = []

    def execute(self, sql: str, params: Any = ()) -> Any:
        self.statements.append((sql, list(params)))
        return self._connection.execute(sql, params)


class SmallPut:
    """The statements of a PUT of a new 4 KiB object, recorded from the product, replayed by sqlite3 alone: one writer, no lock."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._count = 0
        recorded = self._record(folder)
        self._connection = sqlite3.connect(folder / "maxiofs.db", isolation_level=None)
        for name, value in database.SQLITE_PRAGMAS.items():
            self._connection.execute(f"pragma {name} = {value}")
        self._steps = [(sql, _filled(params), sql.lstrip().upper().startswith("SELECT")) for sql, params in recorded]

    def _record(self, folder: Path) -> list[tuple[str, list[Any]]]:
        """Write one object with the product's own code and keep its statements."""
        database.connect("", folder)
        try:
            database.migrate()
            with database.session():
                bucket, _ = buckets.create("bench", people.create_root().id)
                new = NewVersion(
                    key=b"\x01key", size=4096, etag="d41d8cd98f00b204e9800998ecf8427e", owner_id=1, checksum_algorithm="CRC64NVME",
                    checksum="AAAAAAAAAAA=", headers={"Content-Type": "application/octet-stream"},
                    new_blob=NewBlob(b"\x01blob", 4096, BLOCK[:4096]),
                )  # fmt: skip
                with database.transaction() as connection:
                    recorder = _Recorder(connection)
                    objects.put_open(objects.open_key(recorder, bucket.id, new.key), new, None)
        finally:
            database.dispose()
        return recorder.statements

    def __call__(self) -> None:
        """One transaction."""
        self._count += 1
        key, blob, execute = b"k%010d" % (self._count * 7919 % 10_000_019), new_blob_id(), self._connection.execute
        execute("BEGIN IMMEDIATE")
        for sql, fill, reads in self._steps:
            cursor = execute(sql, fill(key, blob))
            if reads:
                cursor.fetchone()
        execute("COMMIT")

    def per_s(self, seconds: float) -> float:
        """Transactions per second of one writer."""
        done, begun = 0, time.perf_counter()
        while (took_s := time.perf_counter() - begun) < seconds:
            self()
            done += 1
        return done / took_s

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _filled(params: list[Any]) -> Callable[[bytes, bytes], list[Any]]:
    def fill(key: bytes, blob: bytes) -> list[Any]:
        return [key if value == b"\x01key" else blob if value == b"\x01blob" else value for value in params]

    return fill
