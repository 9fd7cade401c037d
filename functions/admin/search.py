"""Search over the current objects of a bucket: words of keys, metadata and tags, and what they are like."""

from __future__ import annotations

import json
from contextlib import suppress

from pydantic import Field

from shared.admin import s3
from shared.admin.context import AdminContext
from shared.admin.errors import InvalidFields
from shared.admin.model import Page, PageQuery, cursor_of, position_of
from shared.admin.object_models import ObjectView
from shared.errors import ServiceUnavailable, StorageFull
from shared.meta import runs, search
from shared.meta.search import Candidate
from shared.protocol.target import MAX_KEY_BYTES
from shared.registry import admin

LOOKED_AT, LOOKS = 200, 5       # candidates at once, and how often, for one page
FOLLOWED, ROUNDS = 200, 2       # changes that a search brings into the index first; the run does the rest
MOST_WORDS = 20


class SearchQuery(PageQuery):
    """What is looked for: all of it must be so."""

    q: str = Field("", max_length=500, description="Words that words of the key, of the metadata or of the tags begin with.")
    prefix: str = Field("", max_length=MAX_KEY_BYTES, description="Only keys that begin so.")
    tag: list[str] = Field([], max_length=10, description="`name:value`, the name up to the first colon. May be there more than once.")
    content_type: str | None = Field(None, min_length=1, max_length=255, description="That media type, whatever its parameters.")
    min_size: int | None = Field(None, ge=0, description="Bytes.")
    max_size: int | None = Field(None, ge=0, description="Bytes.")
    modified_after: int | None = Field(None, ge=0, description="UTC milliseconds.")
    modified_before: int | None = Field(None, ge=0, description="UTC milliseconds.")


@admin("GET /api/v1/buckets/{bucket}/search", allow="s3:ListBucket", query=SearchQuery, gives=Page[ObjectView])
def search_objects(ctx: AdminContext) -> Page[ObjectView]:
    """Return the current objects that are as described. A page can be shorter than asked for, or empty, and still have a next one.

    What is found by more than its key is shown to who may read the object (`s3:GetObject`), by its tags to who may read those
    (`s3:GetObjectTagging`). The index follows changes within seconds. Raises NoSuchBucket.
    """
    query: SearchQuery = ctx.query
    words, tags = search.words_of(query.q), [one.partition(":") for one in query.tag]
    if (query.q and not words) or len(words) > MOST_WORDS:
        raise InvalidFields(fields={"?q": f"It must have letters or digits, in at most {MOST_WORDS} words."})
    if not all(colon for _, colon, _ in tags):
        raise InvalidFields(fields={"?tag": "It must be name:value."})
    bucket = s3.prepare(ctx, "ListObjectsV2", ctx.args["bucket"], query={"prefix": query.prefix}).bucket
    _follow()
    labels = [search.of_tag(name, value) for name, _, value in tags]
    if query.content_type is not None:
        labels.append(search.of_content_type(query.content_type))
    position = position_of(query.cursor, int)
    after, found = int(position[0]) if position else 0, list[ObjectView]()
    for _ in range(LOOKS):
        rows = search.candidates(bucket.id, words, labels, after, LOOKED_AT)
        for row in rows:
            after = row.id
            if _is_so(query, {name: value for name, _, value in tags}, row) and _is_shown(ctx, words, bool(tags), row):
                found.append(_view(row))
            if len(found) == query.limit:
                return Page(items=found, next_cursor=cursor_of(after))
        if len(rows) < LOOKED_AT:
            return Page(items=found, next_cursor=None)
    return Page(items=found, next_cursor=cursor_of(after))


def _follow() -> None:
    """Bring the index forward a little, so that one finds what one has just made; leave the rest to a run.

    On a full disk, or while somebody holds up all writers, one finds what is in the index: a search need not write.
    """
    with suppress(StorageFull, ServiceUnavailable):
        for _ in range(ROUNDS):
            if not search.is_behind():
                return
            search.catch_up(FOLLOWED)
        if search.is_behind():
            runs.enqueue("index_search", again=False)


def _is_so(query: SearchQuery, tags: dict[str, str], row: Candidate) -> bool:
    """Whether the object is, now, as it was described, its words apart."""
    its_tags = json.loads(row.tags_json) if row.tags_json else {}
    return (
        row.key.startswith(query.prefix.encode())
        and (query.min_size is None or row.size >= query.min_size) and (query.max_size is None or row.size <= query.max_size)
        and (query.modified_after is None or row.mtime_ms > query.modified_after)
        and (query.modified_before is None or row.mtime_ms < query.modified_before)
        and all(its_tags.get(name) == value for name, value in tags.items())
        and (query.content_type is None or _media_type(row) == search.media_type(query.content_type))
    )


def _media_type(row: Candidate) -> str:
    headers: dict[str, str] = json.loads(row.headers_json) if row.headers_json else {}
    return search.media_type(next((value for name, value in headers.items() if name.lower() == "content-type"), ""))


def _is_shown(ctx: AdminContext, words: list[str], by_tags: bool, row: Candidate) -> bool:
    """Whether all words are there, now, in what the caller may read: the key for who lists, the rest for who may read it."""
    bucket, key, query = ctx.args["bucket"], row.key.decode(), ctx.query
    beyond = _missing(words, [key])
    if (beyond or query.content_type is not None) and not s3.allows(ctx, "HeadObject", bucket, key):
        return False
    beyond = _missing(beyond, _texts(row.metadata_json))
    if (beyond or by_tags) and not s3.allows(ctx, "GetObjectTagging", bucket, key):
        return False
    return not _missing(beyond, _texts(row.tags_json))


def _missing(words: list[str], texts: list[str]) -> list[str]:
    """The words that no word of the texts begins with."""
    there = {one for text in texts for one in search.words_of(text)} if words else set()
    return [word for word in words if not any(one.startswith(word) for one in there)]


def _texts(stored: str | None) -> list[str]:
    pairs: dict[str, str] = json.loads(stored) if stored else {}
    return [*pairs, *pairs.values()]


def _view(row: Candidate) -> ObjectView:
    return ObjectView(
        key=row.key.decode(), size=row.size, etag=row.etag, modified_ms=row.mtime_ms, storage_class=row.storage_class or "STANDARD",
        owner_id=row.owner_id)
