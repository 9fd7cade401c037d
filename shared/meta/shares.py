"""Share links: rows that let whoever holds a token have one object. What the token was stands in them sealed, and as its SHA-256.

A link without a version follows its key through overwrites, and goes when the key has no object any more; one with a version goes with
it, also when it is the null version and another one takes its place.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from peewee import JOIN, fn

from shared.errors import Conflict, NoSuchKey
from shared.meta.buckets import bump
from shared.meta.database import repeated, transaction
from shared.meta.identity_models import Share
from shared.meta.locks import lock_key
from shared.meta.models import Bucket, Object, Version
from shared.meta.statement import P, Statement

MOST_OF_A_KIND = 20     # live links of one person to one object: each with a password costs a hash when another one is made


class ShareRow(NamedTuple):
    """A link. ``bucket`` is the name, None when the bucket is gone; ``max_downloads`` 0 is no limit."""

    id: int
    token: bytes
    sealed_token: bytes
    bucket_id: int
    key: bytes
    version_id: str | None
    created_by: int
    created_ms: int
    expires_ms: int | None
    password_hash: str | None
    downloads: int
    max_downloads: int
    bucket: str | None

    def is_alive(self, now_ms: int) -> bool:
        """Whether it has neither expired nor been used up."""
        return (self.expires_ms is None or self.expires_ms > now_ms) and not 0 < self.max_downloads <= self.downloads


class NewShare(NamedTuple):
    """A link to be made. ``lifetime_ms`` None: it never expires."""

    token: bytes
    sealed_token: bytes
    bucket_id: int
    key: bytes
    version_id: str | None
    created_by: int
    created_ms: int
    lifetime_ms: int | None
    password_hash: str | None
    max_downloads: int


_id: Any = Share._meta.primary_key
_COLUMNS = (_id, *(getattr(Share, name) for name in ShareRow._fields[1:-1]), Bucket.name)
_leaving = Statement(lambda: Share.delete().where(
    (Share.bucket_id == P("bucket_id")) & (Share.key == P("key"))
    & ((Share.version_id == P("version_id")) | (Share.version_id.is_null() & ~fn.EXISTS(
        Object.select(Object.seq).where((Object.bucket_id == Share.bucket_id) & (Object.key == Share.key)))))
))


def _select() -> Any:
    return Share.select(*_COLUMNS).join(Bucket, JOIN.LEFT_OUTER, on=Bucket.id == Share.bucket_id)


def _row(row: Any) -> ShareRow:
    found = ShareRow(*row)
    name = bytes(row[-1]).decode() if row[-1] is not None else None
    return found._replace(token=bytes(found.token), sealed_token=bytes(found.sealed_token), key=bytes(found.key), bucket=name)


def by_token(digest: bytes) -> ShareRow | None:
    """Find a link by the SHA-256 of its token."""
    row = _select().where(Share.token == digest).tuples().first()
    return _row(row) if row else None


def find(share_id: int) -> ShareRow | None:
    """Find a link by its id."""
    row = _select().where(_id == share_id).tuples().first()
    return _row(row) if row else None


def made_by(created_by: int, after: int, limit: int) -> list[ShareRow]:
    """Somebody's links in the order of their making, from behind the id ``after``."""
    rows = _select().where((Share.created_by == created_by) & (_id > after)).order_by(_id).limit(limit).tuples()
    return [_row(row) for row in rows]


def of_bucket(
    bucket_id: int, after: tuple[bytes, int], limit: int, *, key: bytes | None = None, created_by: int | None = None,
) -> list[ShareRow]:
    """Links into a bucket in order of (key, id), from behind ``after``; only those to one key, or of one person."""
    query = _select().where((Share.bucket_id == bucket_id) & (Share.key >= after[0]) & ((Share.key > after[0]) | (_id > after[1])))
    if key is not None:
        query = query.where(Share.key == key)
    if created_by is not None:
        query = query.where(Share.created_by == created_by)
    return [_row(row) for row in query.order_by(Share.key, _id).limit(limit).tuples()]


def alike(new: NewShare) -> list[ShareRow]:
    """Living links of the same person to the same object with the same settings, the passwords apart."""
    return [row for row in _living(new) if _settings(row) == (new.version_id, new.lifetime_ms, new.max_downloads, bool(new.password_hash))]


def _living(new: NewShare) -> list[ShareRow]:
    there = (Share.bucket_id == new.bucket_id) & (Share.key == new.key) & (Share.created_by == new.created_by)
    return [row for row in map(_row, _select().where(there).order_by(_id).tuples()) if row.is_alive(new.created_ms)]


def _settings(row: ShareRow) -> tuple[str | None, int | None, int, bool]:
    lifetime_ms = None if row.expires_ms is None else row.expires_ms - row.created_ms
    return row.version_id, lifetime_ms, row.max_downloads, bool(row.password_hash)


@repeated
def create(new: NewShare, seen: Collection[int] = ()) -> ShareRow | None:
    """Make a link, unless another one that is ``alike`` and not ``seen`` came meanwhile: then None.

    Raises NoSuchKey when the object, or the version, is gone; Conflict beyond MOST_OF_A_KIND.
    """
    with transaction() as conn:
        share_id = bump(conn)       # ids come from the change counter: none comes again
        lock_key(conn, new.bucket_id, new.key)
        if not _is_there(new):
            raise NoSuchKey(Key=new.key.decode())
        if any(row.id not in seen for row in alike(new)):
            return None
        if len(_living(new)) >= MOST_OF_A_KIND:
            raise Conflict(f"There are {MOST_OF_A_KIND} links of yours to this object already: revoke one first.")
        columns = new._asdict()
        lifetime_ms = columns.pop("lifetime_ms")
        Share.insert(id=share_id, expires_ms=None if lifetime_ms is None else new.created_ms + lifetime_ms, **columns).execute()
        return find(share_id)


def _is_there(new: NewShare) -> bool:
    found = Object.select(Object.version_id).where((Object.bucket_id == new.bucket_id) & (Object.key == new.key)).tuples().first()
    if new.version_id is None or (found is not None and found[0] == new.version_id):
        return found is not None
    old = Version.select(Version.seq).where(
        (Version.bucket_id == new.bucket_id) & (Version.key == new.key) & (Version.version_id == new.version_id) & ~Version.is_marker)
    return old.tuples().first() is not None


def count_download(share_id: int, now_ms: int) -> bool:
    """Count one more, and say whether it may be made: in one statement, so that no crowd gets more than ``max_downloads``."""
    lives = Share.expires_ms.is_null() | (Share.expires_ms > now_ms)
    left = (Share.max_downloads == 0) | (Share.downloads < Share.max_downloads)
    with transaction():
        return bool(Share.update(downloads=Share.downloads + 1).where((_id == share_id) & lives & left).execute())


def revoke(share_id: int) -> bool:
    """Remove a link; False when there is none."""
    with transaction():
        return bool(Share.delete().where(_id == share_id).execute())


# ---- when what they lead to goes -----------------------------------------------------------------------------------------------------


def forget_person(principal_id: int) -> None:
    """Remove somebody's links, inside the transaction that deletes them."""
    Share.delete().where(Share.created_by == principal_id).execute()


def forget_version(conn: Any, bucket_id: int, key: bytes, version_id: str | None) -> None:
    """Remove the links to a version, and those to the key when it has no object any more, inside the transaction that deleted either."""
    _leaving(conn, bucket_id=bucket_id, key=key, version_id=version_id or "")
