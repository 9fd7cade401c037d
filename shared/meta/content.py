"""Which blobs a version's bytes are in, and how many references each blob has. Every change happens in the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from peewee import JOIN, Case, Value, fn

from shared.errors import ServiceUnavailable
from shared.meta.database import is_sqlite
from shared.meta.models import Blob, Part, Segment
from shared.meta.statement import P, Statement

BATCH_ROWS = 1000


class NewBlob(NamedTuple):
    """A blob that is already durable on its engine, or small enough to be stored in its row (``data``)."""

    id: bytes
    size: int
    data: bytes | None = None
    codec: str | None = None
    algorithm: str | None = None
    chunk: int | None = None
    wrapped_key: bytes | None = None
    key_version: int | None = None


class Located(NamedTuple):
    """A stretch of bytes: ``length`` plaintext bytes of a blob from ``offset``, and what is needed to read them."""

    blob_id: bytes
    offset: int
    length: int
    blob_size: int
    codec: str | None
    algorithm: str | None
    chunk: int | None
    data: bytes | None
    wrapped_key: bytes | None
    key_version: int | None


class Rewrapped(NamedTuple):
    """The data key of one segment of a body, in a new envelope. ``was`` is the one it must still have, None for any."""

    part_number: int
    position: int
    wrapped_key: bytes
    key_version: int | None
    was: bytes | None = None


class SegmentKey(NamedTuple):
    """Where one segment of a body is stored and the envelope of its data key; ``algorithm`` None for a blob that is not encrypted."""

    part_number: int
    position: int
    blob_id: bytes
    algorithm: str | None
    wrapped_key: bytes | None
    key_version: int | None


_insert_blob = Statement(
    lambda: Blob.insert(
        {
            Blob.id: P("id"), Blob.size: P("size"), Blob.refs: 1, Blob.created_ms: P("now_ms"), Blob.data: P("data"),
            Blob.codec: P("codec"), Blob.algorithm: P("algorithm"), Blob.chunk: P("chunk"),
        }
    )
)
_share_blob = Statement(lambda: Blob.update(refs=Blob.refs + 1).where((Blob.id == P("id")) & (Blob.refs > 0)))
_drop_inline = Statement(lambda: Blob.delete().where((Blob.id == P("id")) & (Blob.refs == 1) & Blob.data.is_null(False)))
_release_blob = Statement(
    lambda: Blob.update(refs=Blob.refs - 1, freed_ms=Case(None, [(Blob.refs <= 1, P("now_ms"))], Blob.freed_ms)).where(Blob.id == P("id"))
)


def add_blob(connection: Any, blob: NewBlob, now_ms: int) -> None:
    """Record a new blob with one reference. Raises ServiceUnavailable when its bytes lay so long that the sweeper has claimed them."""
    try:
        _insert(connection, blob, now_ms)
    except (sqlite3.IntegrityError, psycopg.errors.UniqueViolation) as error:
        raise ServiceUnavailable("The upload took too long to be recorded. Please send it again.") from error


def _insert(connection: Any, blob: NewBlob, now_ms: int) -> None:
    _insert_blob(
        connection, id=blob.id, size=blob.size, now_ms=now_ms, data=blob.data, codec=blob.codec, algorithm=blob.algorithm, chunk=blob.chunk
    )


def share_blob(connection: Any, blob_id: bytes) -> bool:
    """Add a reference. False when the blob has none left: it is being swept and must not be revived."""
    return bool(_share_blob(connection, id=blob_id).rowcount)


def release_blob(connection: Any, blob_id: bytes, now_ms: int) -> None:
    """Take a reference away. A small body goes with its last one; the sweeper unlinks the others later."""
    if not _drop_inline(connection, id=blob_id).rowcount:
        _release_blob(connection, id=blob_id, now_ms=now_ms)


def share_body(source: bytes, copy: bytes) -> bool:
    """Give ``copy`` the parts and segments of ``source``, sharing their blobs. False when ``source`` is gone, or goes meanwhile.

    When it is False the caller must roll back: some of it may have been copied.
    """
    parts = (Part.body_id, Part.number, Part.size, Part.etag, Part.mtime_ms, Part.checksum_algorithm, Part.checksum, Part.start)
    values = Part.select(_bytes(copy), *parts[1:]).where(Part.body_id == source)
    if not Part.insert_from(values, parts).as_rowcount().execute():     # without it SQLite gives the last rowid, and this table has none
        return False
    segments = (
        Segment.body_id, Segment.part_number, Segment.position, Segment.blob_id, Segment.offset, Segment.length,
        Segment.wrapped_key, Segment.key_version,
    )
    rows = Segment.select(_bytes(copy), *segments[1:]).where(Segment.body_id == source)
    Segment.insert_from(rows, segments).execute()
    # Where statements of one transaction see each other's commits, the source may have gone between any two of them.
    size = Part.select(fn.SUM(Part.size)).where(Part.body_id == copy).scalar()
    held = Segment.select(fn.COALESCE(fn.SUM(Segment.length), 0)).where(Segment.body_id == copy).scalar()
    return bool(size == held) and _count_references(copy, +1, 0)


def segment_keys(body_id: bytes) -> list[SegmentKey]:
    """The envelopes of a body, segment by segment. Empty when the body is gone."""
    rows = (
        Segment.select(
            Segment.part_number, Segment.position, Segment.blob_id, Blob.algorithm, Segment.wrapped_key, Segment.key_version,
        )
        .join(Blob, JOIN.INNER, on=Blob.id == Segment.blob_id).where(Segment.body_id == body_id)
        .order_by(Segment.part_number, Segment.position).tuples()
    )
    return [SegmentKey(*row) for row in rows]


def rewrap(connection: Any, body_id: bytes, keys: Iterable[Rewrapped]) -> None:
    """Replace the envelopes of segments of a body."""
    mark = "?" if is_sqlite() else "%s"
    statement = "UPDATE segment SET wrapped_key = {0}, key_version = {0} WHERE body_id = {0} AND part_number = {0} AND position = {0}"
    only = " AND wrapped_key = {0}"
    rows = [(key, (key.wrapped_key, key.key_version, body_id, key.part_number, key.position)) for key in keys]
    if blind := [row for key, row in rows if key.was is None]:
        connection.cursor().executemany(statement.format(mark), blind)
    if checked := [(*row, key.was) for key, row in rows if key.was is not None]:
        connection.cursor().executemany((statement + only).format(mark), checked)


def rename_body(body_id: bytes, new_id: bytes) -> None:
    """Give a body another id: who looks for it by the old one must read the version's row again."""
    for model in (Part, Segment):
        model.update(body_id=new_id).where(model.body_id == body_id).execute()


def release_body(body_id: bytes, now_ms: int, numbers: Iterable[int] | None = None) -> None:
    """Drop the parts and segments of a body (or only those of some part numbers) and the references they held."""
    if numbers is None:
        _count_references(body_id, -1, now_ms)
        Segment.delete().where(Segment.body_id == body_id).execute()
        Part.delete().where(Part.body_id == body_id).execute()
        return
    for number in numbers:
        _count_references(body_id, -1, now_ms, number)
        Segment.delete().where((Segment.body_id == body_id) & (Segment.part_number == number)).execute()
        Part.delete().where((Part.body_id == body_id) & (Part.number == number)).execute()


def add_segments(body_id: bytes, number: int, segments: Iterable[Located]) -> None:
    """Record where the bytes of a part are. The blobs' references are the caller's business."""
    rows = [
        {
            "body_id": body_id, "part_number": number, "position": position, "blob_id": segment.blob_id, "offset": segment.offset,
            "length": segment.length, "wrapped_key": segment.wrapped_key, "key_version": segment.key_version,
        }
        for position, segment in enumerate(segments)
    ]
    for start in range(0, len(rows), BATCH_ROWS):
        Segment.insert_many(rows[start:start + BATCH_ROWS]).execute()


def _count_references(body_id: bytes, sign: int, now_ms: int, number: int | None = None) -> bool:
    """Add (+1) or take away (-1) what the segments of a body hold, each blob as often as it occurs.

    False when one that is to be held again has no reference left: it is being swept and must not be revived.
    """
    where = Segment.body_id == body_id
    if number is not None:
        where &= Segment.part_number == number
    if not is_sqlite():      # in one order, or two writers would wait for each other
        blobs = Segment.select(Segment.blob_id).where(where)
        list(Blob.select(Blob.refs).where(Blob.id.in_(blobs)).order_by(Blob.id).for_update().tuples())
    counted = Segment.select(Segment.blob_id.alias("blob_id"), fn.COUNT(Segment.position).alias("n"))
    held = counted.where(where).group_by(Segment.blob_id).alias("held")
    if sign > 0:
        alive = Blob.update(refs=Blob.refs + held.c.n).from_(held).where((Blob.id == held.c.blob_id) & (Blob.refs > 0)).execute()
        return bool(alive == Segment.select(fn.COUNT(Segment.blob_id.distinct())).where(where).scalar())
    freed = Case(None, [(Blob.refs <= held.c.n, now_ms)], Blob.freed_ms)
    Blob.update(refs=Blob.refs - held.c.n, freed_ms=freed).from_(held).where(Blob.id == held.c.blob_id).execute()
    return True


def _bytes(value: bytes) -> Any:
    return Value(value, converter=False)


def located(body_id: bytes, first: int, last: int) -> list[Located]:
    """The stretches that hold bytes ``first``..``last`` (inclusive) of a completed body, cut to them, in order.

    Reads only the parts that overlap the range, so a small range of a large object stays cheap. Empty when the body is gone.
    """
    rows = (
        Segment.select(
            Part.start, Segment.blob_id, Segment.offset, Segment.length, Blob.size, Blob.codec, Blob.algorithm, Blob.chunk, Blob.data,
            Segment.wrapped_key, Segment.key_version, Part.number,
        )
        .join(Part, JOIN.INNER, on=(Part.body_id == Segment.body_id) & (Part.number == Segment.part_number))
        .join(Blob, JOIN.INNER, on=Blob.id == Segment.blob_id)
        .where((Segment.body_id == body_id) & (Part.start <= last) & (Part.start + Part.size > first))
        .order_by(Segment.part_number, Segment.position)
        .tuples()
    )
    out: list[Located] = []
    part, at = None, 0
    for start, blob_id, offset, length, size, codec, algorithm, chunk, data, wrapped_key, key_version, number in rows:
        if number != part:
            part, at = number, start
        skip, end = max(0, first - at), min(length, last + 1 - at)
        if skip < end:
            inline = None if data is None else bytes(data)
            out.append(Located(bytes(blob_id), offset + skip, end - skip, size, codec, algorithm, chunk, inline, wrapped_key, key_version))
        at += length
    return out
