"""What the metadata should say, counted from its own rows: paged reads for `check`, and the repairs that lose nothing.

Each statement reads one snapshot, so what it joins is consistent. What spans pages (reference counts) goes into temporary tables, which
live in a file; whatever looks wrong there is counted once more, in one statement, before anybody believes it.
"""

# ruff: noqa: S608 - statements are put together from constants of this module, values are parameters
from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from shared.clock import now_ms
from shared.meta import counters
from shared.meta.counters import Delta
from shared.meta.database import connection, is_sqlite, transaction
from shared.meta.locks import lock_bucket, lock_usage

PAGE_ROWS = 1000
PAGE_BODIES = 20        # a body may have 10,000 parts
SCRATCH = ("check_held", "check_body", "check_suspect", "check_lost")

_SAME_KEY = "w.bucket_id = v.bucket_id AND w.key = v.key"
_ROW = f"""
    SELECT v.bucket_id, v.key, {{seq}}, v.version_id, v.size, v.blob_id, v.body_id, b.id IS NOT NULL, b.size,
        (SELECT SUM(p.size) FROM part p WHERE p.body_id = v.body_id), k.id IS NULL, {{marker}}, {{misplaced}},
        EXISTS (SELECT 1 FROM {{other}} w WHERE {_SAME_KEY} AND w.version_id = v.version_id)
    FROM {{table}} v LEFT JOIN blob b ON b.id = v.blob_id LEFT JOIN bucket k ON k.id = v.bucket_id
"""
_OBJECTS = _ROW.format(
    table="object", other="version", seq="0", marker="1 = 0",
    misplaced=f"EXISTS (SELECT 1 FROM version w WHERE {_SAME_KEY} AND w.seq <= v.seq)",
) + " WHERE (v.bucket_id, v.key) > (?, ?) ORDER BY v.bucket_id, v.key LIMIT ?"
_VERSIONS = _ROW.format(
    table="version", other="object", seq="v.seq", marker="v.is_marker",
    misplaced=f"NOT v.is_marker AND NOT EXISTS (SELECT 1 FROM object w WHERE {_SAME_KEY})"
    f" AND NOT EXISTS (SELECT 1 FROM version w WHERE {_SAME_KEY} AND w.seq < v.seq)",
) + " WHERE (v.bucket_id, v.key, v.seq) > (?, ?, ?) ORDER BY v.bucket_id, v.key, v.seq LIMIT ?"
_SEGMENTS = """
    SELECT s.body_id, s.part_number, s.position, s.blob_id, s."offset", s.length, b.id IS NOT NULL, b.size,
        EXISTS (SELECT 1 FROM part p WHERE p.body_id = s.body_id AND p.number = s.part_number)
    FROM segment s LEFT JOIN blob b ON b.id = s.blob_id
    WHERE (s.body_id, s.part_number, s.position) > (?, ?, ?) ORDER BY s.body_id, s.part_number, s.position LIMIT ?
"""
_BODIES = """
    SELECT p.body_id, COUNT(*), SUM(p.size), COUNT(p.start), MIN(p.start), MAX(p.start + p.size), SUM(CASE WHEN p.size <> (
            SELECT COALESCE(SUM(s.length), 0) FROM segment s WHERE s.body_id = p.body_id AND s.part_number = p.number
        ) THEN 1 ELSE 0 END), u.id IS NOT NULL, COALESCE(h.n, 0)
    FROM part p LEFT JOIN upload u ON u.id = p.body_id LEFT JOIN check_body h ON h.id = p.body_id
    WHERE p.body_id IN (SELECT DISTINCT body_id FROM part WHERE body_id > ? ORDER BY body_id LIMIT ?)
    GROUP BY p.body_id, u.id, h.n ORDER BY p.body_id
"""
_BLOBS = """
    SELECT b.id, b.size, b.refs, b.freed_ms, b.codec IS NOT NULL, b.algorithm IS NOT NULL, LENGTH(b.data), COALESCE(h.n, 0)
    FROM blob b LEFT JOIN check_held h ON h.id = b.id WHERE b.id > ? ORDER BY b.id LIMIT ?
"""
_REFERENCES = " UNION ALL ".join(
    f"SELECT blob_id AS id FROM {table} WHERE blob_id IN (SELECT id FROM check_suspect)" for table in ("object", "version", "segment")
)
_MISCOUNTED = f"""
    SELECT b.id, b.refs, COALESCE(h.n, 0), b.freed_ms FROM check_suspect c JOIN blob b ON b.id = c.id
    LEFT JOIN (SELECT id, COUNT(*) AS n FROM ({_REFERENCES}) r GROUP BY id) h ON h.id = b.id
    WHERE b.refs <> COALESCE(h.n, 0) OR (b.refs <= 0) <> (b.freed_ms IS NOT NULL)
"""
_OWNERS = " UNION ALL ".join(
    [f"SELECT body_id AS id FROM {table} WHERE body_id IN (SELECT id FROM check_suspect)" for table in ("object", "version")]
    + ["SELECT id FROM upload WHERE id IN (SELECT id FROM check_suspect)"]
)
_MISOWNED = f"""
    SELECT c.id, COALESCE(h.n, 0) FROM check_suspect c LEFT JOIN (SELECT id, COUNT(*) AS n FROM ({_OWNERS}) r GROUP BY id) h ON h.id = c.id
    WHERE COALESCE(h.n, 0) <> 1 AND EXISTS (SELECT 1 FROM part p WHERE p.body_id = c.id)
"""
_LOSERS = " UNION ALL ".join(
    f"""SELECT v.bucket_id, v.key, v.version_id FROM {table} v WHERE v.blob_id IN (SELECT id FROM check_lost) OR v.body_id IN (
        SELECT s.body_id FROM segment s WHERE s.blob_id IN (SELECT id FROM check_lost))""" for table in ("object", "version")
)
_TOTALS = """
    SELECT (SELECT COUNT(*) FROM object WHERE bucket_id = k.id), (SELECT COUNT(*) FROM version WHERE bucket_id = k.id),
        (SELECT COALESCE(SUM(size), 0) FROM object WHERE bucket_id = k.id)
            + (SELECT COALESCE(SUM(size), 0) FROM version WHERE bucket_id = k.id),
        (SELECT COALESCE(SUM(p.size), 0) FROM upload u JOIN part p ON p.body_id = u.id WHERE u.bucket_id = k.id),
        COALESCE(SUM(c.objects), 0), COALESCE(SUM(c.versions), 0), COALESCE(SUM(c.bytes), 0), COALESCE(SUM(c.upload_bytes), 0),
        COUNT(c.shard)
    FROM bucket k LEFT JOIN counter c ON c.bucket_id = k.id WHERE k.id = ? GROUP BY k.id
"""


_TENANTS = """
    SELECT t.id, t.name,
        (SELECT COALESCE(SUM(o.size), 0) FROM bucket k JOIN object o ON o.bucket_id = k.id WHERE k.tenant_id = t.id)
            + (SELECT COALESCE(SUM(v.size), 0) FROM bucket k JOIN version v ON v.bucket_id = k.id WHERE k.tenant_id = t.id)
            + (SELECT COALESCE(SUM(p.size), 0) FROM bucket k JOIN upload u ON u.bucket_id = k.id JOIN part p ON p.body_id = u.id
                WHERE k.tenant_id = t.id) - t.bytes,
        (SELECT COUNT(*) FROM bucket k JOIN object o ON o.bucket_id = k.id WHERE k.tenant_id = t.id)
            + (SELECT COUNT(*) FROM bucket k JOIN version v ON v.bucket_id = k.id WHERE k.tenant_id = t.id AND NOT v.is_marker) - t.objects
    FROM tenant t WHERE {which} LIMIT 1
"""
_NEXT_TENANT = _TENANTS.format(which="t.id > ? ORDER BY t.id")
_ONE_TENANT = _TENANTS.format(which="t.id = ?")


class VersionRow(NamedTuple):
    """A current or noncurrent version, with what is known about its content. Misplaced: it stands in the wrong one of the two tables."""

    bucket_id: int
    key: bytes
    seq: int
    version_id: str
    size: int
    blob_id: bytes | None
    body_id: bytes | None
    has_blob: bool
    blob_size: int | None
    parts_size: int | None
    is_homeless: bool
    is_marker: bool
    is_misplaced: bool
    is_twice: bool


class SegmentRow(NamedTuple):
    """A stretch of a blob, and whether blob and part are there."""

    body_id: bytes
    part_number: int
    position: int
    blob_id: bytes
    offset: int
    length: int
    has_blob: bool
    blob_size: int | None
    has_part: bool


class BodyRow(NamedTuple):
    """The parts of one upload or completed version, summed up. ``owners``: versions seen so far that have it."""

    id: bytes
    parts: int
    size: int
    placed: int
    first: int | None
    end: int | None
    uneven: int
    is_upload: bool
    owners: int


class BlobRow(NamedTuple):
    """A blob, its length when it is inline, and the references seen so far."""

    id: bytes
    size: int
    refs: int
    freed_ms: int | None
    is_packed: bool
    is_encrypted: bool
    inline: int | None
    held: int


def query(sql: str, *parameters: Any) -> Any:
    """Run a statement written for SQLite on either engine; returns the driver's cursor."""
    return connection().execute(sql if is_sqlite() else sql.replace("?", "%s"), parameters)


def _many(sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        connection().cursor().executemany(sql if is_sqlite() else sql.replace("?", "%s"), rows)


def open_scratch() -> None:
    """Create the temporary tables of this connection, in a file and not in memory."""
    if is_sqlite():
        query("PRAGMA temp_store = file")
    close_scratch()
    kind, number = ("BLOB", "INTEGER") if is_sqlite() else ("BYTEA", "BIGINT")
    for table in SCRATCH:
        query(f"CREATE TEMPORARY TABLE {table} (id {kind} PRIMARY KEY, n {number} NOT NULL DEFAULT 0)")


def close_scratch() -> None:
    """Drop them again."""
    for table in SCRATCH:
        query(f"DROP TABLE IF EXISTS {table}")


def note(table: str, ids: Iterable[bytes]) -> None:
    """Add one to ``n`` of each id in a temporary table, as often as it occurs."""
    sql = f"INSERT INTO {table} (id, n) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET n = {table}.n + excluded.n"
    _many(sql, sorted(Tally(ids).items()))


def forget(table: str) -> None:
    """Empty a temporary table."""
    query(f"DELETE FROM {table}")


def _pages(sql: str, start: tuple[Any, ...], limit: int) -> Iterator[list[Any]]:
    """Pages of a keyset statement whose first columns are the key."""
    after = start
    while page := query(sql, *after, limit).fetchall():
        yield page
        after = tuple(bytes(value) if isinstance(value, memoryview) else value for value in page[-1][: len(start)])


def objects() -> Iterator[list[VersionRow]]:
    """Pages of current versions."""
    for page in _pages(_OBJECTS, (-1, b""), PAGE_ROWS):
        yield [VersionRow(*row) for row in page]


def versions() -> Iterator[list[VersionRow]]:
    """Pages of noncurrent versions and delete markers."""
    for page in _pages(_VERSIONS, (-1, b"", -(2**62)), PAGE_ROWS):
        yield [VersionRow(*row) for row in page]


def segments() -> Iterator[list[SegmentRow]]:
    """Pages of segments."""
    for page in _pages(_SEGMENTS, (b"", 0, -1), PAGE_ROWS):
        yield [SegmentRow(*row) for row in page]


def bodies() -> Iterator[list[BodyRow]]:
    """Pages of bodies. After all versions were noted in ``check_body``."""
    for page in _pages(_BODIES, (b"",), PAGE_BODIES):
        yield [BodyRow(*row) for row in page]


def blobs() -> Iterator[list[BlobRow]]:
    """Pages of blobs. After all references were noted in ``check_held``."""
    for page in _pages(_BLOBS, (b"",), PAGE_ROWS):
        yield [BlobRow(*row) for row in page]


def misowned() -> Iterator[tuple[bytes, int]]:
    """(body, owners) of the suspects that really have none or several."""
    return ((bytes(body_id), int(owners)) for body_id, owners in query(_MISOWNED))


def miscounted() -> Iterator[tuple[bytes, int, int, int | None]]:
    """(blob, its refs, true references, freed_ms) of the suspects whose row is really wrong."""
    return ((bytes(blob_id), refs, int(held), freed_ms) for blob_id, refs, held, freed_ms in query(_MISCOUNTED))


def losers(limit: int) -> list[tuple[int, bytes, str]]:
    """Up to ``limit`` versions (bucket, key, version id) that need one of the lost blobs."""
    return [(bucket_id, bytes(key), version_id) for bucket_id, key, version_id in query(f"{_LOSERS} LIMIT ?", limit)]


def correct_refs(blob_id: bytes, seen: int, held: int) -> bool:
    """Set a blob's references to what was counted, unless they changed since: then somebody else is at it, and this is undone.

    While references equal what was seen, all that came and went since cancels out, in the rows as in the count.
    """
    with transaction():
        freed = "COALESCE(freed_ms, ?)" if held == 0 else "NULL"
        values = (held, now_ms(), blob_id, seen) if held == 0 else (held, blob_id, seen)
        return bool(query(f"UPDATE blob SET refs = ?, freed_ms = {freed} WHERE id = ? AND refs = ?", *values).rowcount)


class Totals(NamedTuple):
    """What a bucket's counters miss compared with a recount (negative: they have too much), and whether it has any counters."""

    missing: Delta
    has_counters: bool


def totals(bucket_id: int) -> Totals | None:
    """Recount a bucket, in one statement; None when it is gone."""
    row = query(_TOTALS, bucket_id).fetchone()
    if row is None:
        return None
    numbers = [int(value) for value in row]
    missing = Delta(*(true - said for true, said in zip(numbers[:4], numbers[4:8], strict=True)))
    return Totals(missing, has_counters=bool(numbers[8]))


class Usage(NamedTuple):
    """What a tenant's row misses compared with a recount; negative: it has too much."""

    id: int
    name: str
    bytes: int
    objects: int

    @property
    def is_right(self) -> bool:
        """Whether nothing is missing."""
        return not self.bytes and not self.objects


def tenants() -> Iterator[Usage]:
    """Recount one tenant after the other, each in one statement."""
    after = 0
    while row := query(_NEXT_TENANT, after).fetchone():
        yield _usage(row)
        after = row[0]


def _usage(row: Any) -> Usage:
    return Usage(row[0], row[1], int(row[2]), int(row[3]))


def correct_usage(tenant_id: int) -> None:
    """Recount a tenant again and add the difference to what it uses, in one transaction.

    Rows and usage change together, so the difference of one snapshot stays true whatever is written meanwhile: writers need not wait.
    Another repair of the same tenant must.
    """
    with transaction() as conn:
        lock_usage(conn, tenant_id)
        row = query(_ONE_TENANT, tenant_id).fetchone()
        if row is not None:
            missing = _usage(row)
            query("UPDATE tenant SET bytes = bytes + ?, objects = objects + ? WHERE id = ?", missing.bytes, missing.objects, tenant_id)


def correct_counters(bucket_id: int) -> None:
    """Recount a bucket again and add the difference to its counters, in one transaction."""
    with transaction() as conn:
        lock_bucket(conn, bucket_id, shared=False)
        found = totals(bucket_id)
        if found is not None:
            if not found.has_counters:
                counters.open_counters(bucket_id)
            counters.add(conn, bucket_id, found.missing)
