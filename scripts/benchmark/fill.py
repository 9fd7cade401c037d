"""A bucket with very many keys and versions, written straight into the database of a server that is not running."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

MTIME_MS = 1_700_000_000_000
OLDER_VERSIONS = 9


def key_of(number: int) -> bytes:
    """1,000 keys in each of the folders, 10 in each of their 100 folders; in byte order."""
    return f"dir{number // 1000:04d}/sub{number // 10 % 100:03d}/file{number:08d}.bin".encode()


@contextmanager
def _bulk(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one big transaction that nobody else sees and a crash may ruin."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = delete", "journal_mode = off", "synchronous = off", "cache_size = -500000"):
            connection.execute(f"pragma {pragma}")
        connection.execute("begin exclusive")
        yield connection
        connection.execute("commit")
        connection.execute("pragma journal_mode = wal")


def _bucket(connection: sqlite3.Connection, bucket: str) -> int:
    return int(connection.execute("select id from bucket where name = ?", (bucket.encode(),)).fetchone()[0])


def current_objects(database: Path, bucket: str, count: int) -> None:
    """Give the bucket ``count`` current objects of 4 KiB. Their bytes do not exist: they can be listed, not read."""
    with _bulk(database) as connection:
        into = _bucket(connection, bucket)
        connection.executemany(
            "insert into object (bucket_id, key, seq, version_id, mtime_ms, size, etag, owner_id, checksum_algorithm, checksum)"
            " values (?, ?, -1, 'null', ?, 4096, ?, 1, 'CRC64NVME', 'AAAAAAAAAAA=')",
            ((into, key_of(number), MTIME_MS + number, f"{number:032x}") for number in range(count)),
        )
        connection.execute(
            "update counter set objects = objects + ?, bytes = bytes + ? where bucket_id = ? and shard = 0", (count, count * 4096, into)
        )


def older_versions(database: Path, bucket: str) -> None:
    """Put OLDER_VERSIONS noncurrent versions behind every key, so that it has ten."""
    with _bulk(database) as connection:
        of = _bucket(connection, bucket)
        connection.execute("update bucket set versioning = 1 where id = ?", (of,))
        connection.execute(
            "insert into version (bucket_id, key, seq, version_id, mtime_ms, size, etag, owner_id, checksum_algorithm, checksum, is_marker)"
            " select bucket_id, key, seq + older.n, printf('%012x%020d', mtime_ms, older.n), mtime_ms - older.n, size, etag, owner_id,"
            " checksum_algorithm, checksum, 0 from object cross join (with recursive counted(n) as"
            " (select 1 union all select n + 1 from counted where n < ?) select n from counted) as older where bucket_id = ?",
            (OLDER_VERSIONS, of),
        )
        added = connection.execute("select changes()").fetchone()[0]
        connection.execute(
            "update counter set versions = versions + ?, bytes = bytes + ? where bucket_id = ? and shard = 0", (added, added * 4096, of)
        )
