"""Listing pages in byte order: flat, with delimiter by skipping from prefix to prefix, and over all versions.

Cost is the page, not the bucket: with a delimiter each common prefix is one seek, however many keys it hides. Lower bounds are computed
here and passed as one value, because SQLite given two (``key >= prefix AND key > marker``) scans from the wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from peewee import Select, Value

from shared.listed import Listed, ListedObject
from shared.meta.database import connection, is_sqlite
from shared.meta.models import Object, Version, db
from shared.meta.statement import P, Statement, Text

END_OF_KEYS = b"\xff" * 1025    # above every key: they are UTF-8 and at most 1,024 bytes
BEFORE_ALL = -(1 << 63)         # the ``seq`` in front of every version of a key
SMALL_BATCH = 4                 # rows fetched to see whether common prefixes or keys come next

Row = ListedObject | Listed


@dataclass
class Page:
    """A page: rows and common prefixes, each in byte order. ``last`` is where the next page starts behind, when ``truncated``.

    ``last`` is a row's (key, seq), or (common prefix, None).
    """

    rows: list[Any] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    truncated: bool = False
    last: tuple[bytes, int | None] | None = None


def after_prefix(prefix: bytes) -> bytes:
    """The smallest byte string above everything that starts with ``prefix``: its last byte that can grow, grown."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else END_OF_KEYS


_SHOWN = ListedObject._fields
_NAMES = Listed._fields[:-2]        # without is_marker and is_latest


def _between(model: Any, *columns: Any) -> Any:
    query = model.select(*columns)
    return query.where((model.bucket_id == P("bucket_id")) & (model.key >= P("lower")) & (model.key < P("upper")))


def _current() -> Any:
    return _between(Object, *[getattr(Object, name) for name in _SHOWN]).order_by(Object.key).limit(P("limit"))


def _rows(model: Any, is_marker: Any, is_latest: bool, newer_than: Any = None) -> Any:
    columns = [getattr(model, name) for name in _NAMES]
    query = _between(model, *columns, is_marker.alias("is_marker"), Value(is_latest).alias("is_latest"))
    if newer_than is not None:
        query = query.where(model.seq > newer_than)
    return query.order_by(*([model.key, model.seq] if model is Version else [model.key])).limit(P("limit"))


def _both(newer_than: Any = None) -> Any:
    """Current objects and history in one statement: between two, a version that changes its table would be seen twice or not at all."""
    objects = _rows(Object, Value(False), True, newer_than).alias("o")
    versions = _rows(Version, Version.is_marker, False, newer_than).alias("v")
    columns = (*_NAMES, "is_marker", "is_latest")
    halves = [Select([half], [getattr(half.c, name) for name in columns]).bind(db) for half in (objects, versions)]
    return halves[0].union_all(halves[1])


def _hops(*tables: str) -> Text:
    """The first key from ``lower`` on; and from each that contains the delimiter, the first key behind the prefix it stands for."""
    # S608: only names of this function are put together below; every value is a parameter.
    sqlite = is_sqlite()
    found = "instr(substr(hop.key, :skip), :delimiter)" if sqlite else "position(:delimiter IN substr(hop.key, :skip))"
    behind = f"substr(hop.key, 1, :skip + {found} - 2) || :after_delimiter"
    behind = f"CAST({behind} AS BLOB)" if sqlite else behind

    def first(lower: str) -> str:
        one = "(SELECT key FROM {} WHERE bucket_id = :bucket_id AND key >= {} AND key < :upper ORDER BY key LIMIT 1)"
        halves = " UNION ALL ".join(f"SELECT key FROM {one.format(table, lower)} AS first_{table}" for table in tables)  # noqa: S608
        return f"(SELECT key FROM ({halves}) AS firsts ORDER BY key LIMIT 1)"  # noqa: S608

    return Text(
        f"WITH RECURSIVE hop(key) AS (SELECT {first(':lower')} UNION ALL SELECT {first(behind)} FROM hop WHERE {found} > 0) "  # noqa: S608
        "SELECT key FROM hop WHERE key IS NOT NULL LIMIT :limit"
    )


_objects = Statement(_current)
_all = Statement(_both)
_rest_of_key = Statement(lambda: _both(P("seq")))
_object_hops = Statement(lambda: _hops("object"))
_all_hops = Statement(lambda: _hops("object", "version"))

Position = tuple[bytes, int | None]
"""Where to read on: from key ``k`` on (``(k, None)``), or behind version ``seq`` of key ``k`` (``(k, seq)``)."""

Fetch = Callable[[Position, int], Sequence[Row]]
Hop = Callable[[bytes, int], list[bytes]]


def current_objects(bucket_id: int, prefix: bytes, delimiter: bytes, after: bytes, limit: int) -> Page:
    """A page of current objects whose keys are above ``after``."""
    conn, upper = connection(), after_prefix(prefix)

    def fetch(position: Position, count: int) -> list[ListedObject]:
        lower = position[0] if position[1] is None else position[0] + b"\x00"
        return list(map(ListedObject._make, _objects(conn, bucket_id=bucket_id, lower=lower, upper=upper, limit=count)))

    hop = _hopping(_object_hops, bucket_id, prefix, delimiter)
    return _page(fetch, hop, prefix, delimiter, start=(max(prefix, _behind(after, prefix, delimiter)), None), limit=limit)


def all_versions(bucket_id: int, prefix: bytes, delimiter: bytes, after: Position, limit: int) -> Page:
    """A page of all versions and delete markers: keys ascending, newest first, from behind ``after`` = (key, seq).

    ``seq`` None means behind all versions of the key. When the version that a client names as its marker is gone (tools list a page,
    delete it and ask for the next), pass BEFORE_ALL: better a version twice than never.
    """
    upper = after_prefix(prefix)
    key, seq = after
    inside = seq is not None and prefix <= key < upper
    start = (key, seq) if inside else (max(prefix, _behind(key, prefix, delimiter)), None)
    hop = _hopping(_all_hops, bucket_id, prefix, delimiter)
    return _page(lambda position, count: _merged(bucket_id, position, upper, count), hop, prefix, delimiter, start=start, limit=limit)


def _merged(bucket_id: int, position: Position, upper: bytes, count: int) -> list[Listed]:
    """The next rows of both tables in listing order. The first of a key that is seen from its start is its latest."""
    lower, seq = position
    rest: list[Listed] = []
    if seq is not None:
        rest = _rest(bucket_id, lower, seq, count)
        lower += b"\x00"
    rows = _sorted(_all, bucket_id=bucket_id, lower=lower, upper=upper, limit=count)
    latest, previous = [], None
    for row in rows[: max(0, count - len(rest))]:
        latest.append(row._replace(is_latest=row.key != previous))
        previous = row.key
    return rest + latest


def _rest(bucket_id: int, key: bytes, seq: int, count: int) -> list[Listed]:
    """The versions of a key behind ``seq``. When that one is gone, its successor may be the latest now, and in the other table."""
    this_key = {"bucket_id": bucket_id, "lower": key, "upper": key + b"\x00"}
    rows = _sorted(_rest_of_key, **this_key, seq=seq, limit=count)[:count]
    if rows:
        newest = _sorted(_all, **this_key, limit=1)
        rows[0] = rows[0]._replace(is_latest=bool(newest) and newest[0].seq == rows[0].seq)
    return rows


def _sorted(statement: Statement, **values: Any) -> list[Listed]:
    rows = list(map(Listed._make, statement(connection(), **values)))
    rows.sort(key=lambda row: (row.key, row.seq))
    return rows


def _hopping(statement: Statement, bucket_id: int, prefix: bytes, delimiter: bytes) -> Hop:
    """Read keys from prefix to prefix inside the database: a statement for each costs four times as much, and a round trip elsewhere."""
    fixed = {
        "bucket_id": bucket_id, "upper": after_prefix(prefix), "skip": len(prefix) + 1, "delimiter": delimiter,
        "after_delimiter": after_prefix(delimiter),
    }
    return lambda lower, count: [bytes(key) for (key,) in statement(connection(), **fixed, lower=lower, limit=count)]


def _behind(after: bytes, prefix: bytes, delimiter: bytes) -> bytes:
    """The smallest key that may follow ``after``. A marker that is itself a common prefix hides all that it stands for."""
    if is_common_prefix(after, prefix, delimiter):
        return after_prefix(after)
    return after + b"\x00" if after else b""


def is_common_prefix(name: bytes, prefix: bytes, delimiter: bytes) -> bool:
    """Whether a listing of this prefix and delimiter shows ``name`` as a common prefix and not as a key."""
    cut = name.find(delimiter, len(prefix)) if delimiter and name.startswith(prefix) else -1
    return cut >= 0 and cut + len(delimiter) == len(name)


def _page(fetch: Fetch, hop: Hop, prefix: bytes, delimiter: bytes, *, start: Position, limit: int) -> Page:
    """Fill a page: read a batch, take rows until one stands for a common prefix, seek behind that prefix, and so on.

    Where prefix follows on prefix, hop.
    """
    if not delimiter:
        return _flat_page(fetch, start, limit)
    page, batch, position = Page(), SMALL_BATCH, start
    while limit and (rows := fetch(position, batch)):
        files = len(page.rows)
        position, skipped = _take(page, rows, prefix, delimiter, limit)
        if page.truncated or (not skipped and len(rows) < batch):
            break
        if skipped and len(page.rows) == files:
            keys = hop(position[0], limit - len(page.rows) - len(page.prefixes) + 1)
            for key in keys:
                position, skipped = _take_key(page, key, prefix, delimiter, limit)
            if page.truncated or not keys or skipped:
                break
        batch = SMALL_BATCH if skipped else min(batch * 4, limit + 1)
    return page


def _flat_page(fetch: Fetch, position: Position, limit: int) -> Page:
    rows = fetch(position, limit + 1) if limit else []
    page = Page(list(rows[:limit]), truncated=len(rows) > limit)
    if page.rows:
        page.last = (page.rows[-1].key, page.rows[-1].seq)
    return page


def _take_key(page: Page, key: bytes, prefix: bytes, delimiter: bytes, limit: int) -> tuple[Position, bool]:
    """Put the common prefix that a key stands for on the page. Returns where to read on and whether there was one."""
    cut = key.find(delimiter, len(prefix))
    if cut < 0:
        return (key, None), False
    common = key[: cut + len(delimiter)]
    if len(page.rows) + len(page.prefixes) >= limit:
        page.truncated = True
    else:
        page.prefixes.append(common)
        page.last = (common, None)
    return (after_prefix(common), None), True


def _take(page: Page, rows: Sequence[Row], prefix: bytes, delimiter: bytes, limit: int) -> tuple[Position, bool]:
    """Put rows on the page until one stands for a common prefix. Returns where to read on and whether a prefix was skipped."""
    for row in rows:
        if len(page.rows) + len(page.prefixes) >= limit:
            page.truncated = True
            break
        cut = row.key.find(delimiter, len(prefix))
        if cut >= 0:
            common = row.key[: cut + len(delimiter)]
            page.prefixes.append(common)
            page.last = (common, None)
            return (after_prefix(common), None), True
        page.rows.append(row)
        page.last = (row.key, row.seq)
    return (rows[-1].key, rows[-1].seq), False
