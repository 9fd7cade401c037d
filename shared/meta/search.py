"""The full-text index over keys, metadata and tags of current objects: FTS5 on SQLite, tsvector on PostgreSQL.

It follows: a trigger notes each change in the transaction that makes it, and ``catch_up`` brings the index there. What is found is read
from the objects themselves and is to be compared with what was asked for, so an index that is behind shows nothing that is not so.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

from shared.meta.database import connection, is_sqlite, repeated, transaction
from shared.meta.locks import lock_search
from shared.meta.models import Object
from shared.meta.search_models import SearchChange, SearchDocument
from shared.meta.statement import Statement, Text

MOST_WORDS = 1000       # of one object
LONGEST_WORD = 64       # characters
_WORD = re.compile(r"[^\W_]+")


class Candidate(NamedTuple):
    """An object that the index has for a search, as it is now; ``id`` is its place in the order of the index."""

    id: int
    key: bytes
    size: int
    etag: str
    mtime_ms: int
    storage_class: str | None
    owner_id: int
    headers_json: str | None
    metadata_json: str | None
    tags_json: str | None


def words_of(text: str) -> list[str]:
    """The words of a text: letters and digits, without case and accents."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return [word[:LONGEST_WORD] for word in _WORD.findall(plain)]


def of_bucket(bucket_id: int) -> str:
    """The word that every object of the bucket has."""
    return f"0b{bucket_id}"


def of_tag(name: str, value: str) -> str:
    """The word that every object with this tag has."""
    return _digest("t", name, value)


def of_content_type(value: str) -> str:
    """The word that every object of this media type has; parameters do not count."""
    return _digest("c", media_type(value))


def media_type(value: str) -> str:
    """A Content-Type without its parameters."""
    return value.partition(";")[0].strip().lower()


def _digest(kind: str, *parts: str) -> str:
    return f"0{kind}{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:20]}"


def _document(bucket_id: int, key: bytes, headers: str | None, metadata: str | None, tags: str | None) -> list[str]:
    labels: dict[str, str] = json.loads(tags) if tags else {}
    more: dict[str, str] = json.loads(metadata) if metadata else {}
    found = [of_bucket(bucket_id), *(of_tag(*pair) for pair in labels.items())]
    for name, value in (json.loads(headers) if headers else {}).items():
        if name.lower() == "content-type":
            found.append(of_content_type(value))
    texts = [key.decode(errors="replace"), *(part for pair in (*more.items(), *labels.items()) for part in pair)]
    return list(dict.fromkeys([*found, *(word for text in texts for word in words_of(text))]))[:MOST_WORDS]


# ---- following ------------------------------------------------------------------------------------------------------------------------


def is_behind() -> bool:
    """Whether there are changes that the index has not seen."""
    return SearchChange.select(SearchChange.id).limit(1).tuples().first() is not None


@repeated
def catch_up(limit: int) -> int:
    """Bring the index forward by at most so many changes, in one transaction; returns how many there were."""
    with transaction() as conn:
        lock_search(conn)
        rows: Any = SearchChange.select(SearchChange.id, SearchChange.bucket_id, SearchChange.key).order_by(SearchChange.id).limit(limit)
        changes = list(rows.tuples())
        for bucket_id, key in dict.fromkeys((bucket_id, bytes(key)) for _, bucket_id, key in changes):
            _follow(conn, bucket_id, key)
        ids = [row[0] for row in changes]
        for start in range(0, len(ids), 500):
            SearchChange.delete().where(SearchChange.id << ids[start:start + 500]).execute()
        return len(changes)


def _follow(conn: Any, bucket_id: int, key: bytes) -> None:
    here = (SearchDocument.bucket_id == bucket_id) & (SearchDocument.key == key)
    known = SearchDocument.select(SearchDocument.id).where(here).tuples().first()
    row: Any = Object.select(Object.headers, Object.metadata, Object.tags).where((Object.bucket_id == bucket_id) & (Object.key == key))
    found = row.tuples().first()
    if known is not None:
        _forget[is_sqlite()](conn, id=known[0])
    if found is None:
        SearchDocument.delete().where(here).execute()
        return
    id = known[0] if known is not None else SearchDocument.insert(bucket_id=bucket_id, key=key).execute()
    words = _document(bucket_id, key, *found)
    _keep[is_sqlite()](conn, id=id, words=" ".join(words) if is_sqlite() else words)


_forget = {
    True: Statement(lambda: Text('DELETE FROM "search_words" WHERE rowid = :id')),
    False: Statement(lambda: Text('DELETE FROM "search_words" WHERE id = :id')),
}
_keep = {
    True: Statement(lambda: Text('INSERT INTO "search_words" (rowid, words) VALUES (:id, :words)')),
    False: Statement(lambda: Text('INSERT INTO "search_words" (id, words) VALUES (:id, array_to_tsvector(CAST(:words AS text[])))')),
}

# ---- searching ------------------------------------------------------------------------------------------------------------------------

# CROSS JOIN: the words lead, and give their rows in the order of the index.
_find = {
    True: Statement(lambda: Text(
        'SELECT d.id, o.key, o.size, o.etag, o.mtime_ms, o.storage_class, o.owner_id, o.headers, o.metadata, o.tags '
        'FROM search_words AS w CROSS JOIN search_document AS d ON d.id = w.rowid '
        'CROSS JOIN "object" AS o ON o.bucket_id = d.bucket_id AND o.key = d.key '
        'WHERE search_words MATCH :query AND w.rowid > :after AND d.bucket_id = :bucket_id ORDER BY w.rowid LIMIT :limit'
    )),
    False: Statement(lambda: Text(
        'SELECT d.id, o.key, o.size, o.etag, o.mtime_ms, o.storage_class, o.owner_id, o.headers, o.metadata, o.tags '
        'FROM search_words AS w JOIN search_document AS d ON d.id = w.id '
        'JOIN "object" AS o ON o.bucket_id = d.bucket_id AND o.key = d.key '
        'WHERE w.words @@ CAST(:query AS tsquery) AND w.id > :after AND d.bucket_id = :bucket_id ORDER BY w.id LIMIT :limit'
    )),
}


def candidates(bucket_id: int, words: Iterable[str], labels: Iterable[str], after: int, limit: int) -> list[Candidate]:
    """Objects that have words beginning with each of ``words``, and all ``labels`` (``of_tag``, ``of_content_type``).

    In the order in which they came into the index, from behind ``after``. A word may be forged to look like a label: compare what is found.
    """
    whole = [of_bucket(bucket_id), *labels]
    if is_sqlite():
        query = " AND ".join([*(f'"{word}"' for word in whole), *(f'"{word}" *' for word in words)])
    else:
        query = " & ".join([*(f"'{word}'" for word in whole), *(f"'{word}':*" for word in words)])
    rows = _find[is_sqlite()](connection(), bucket_id=bucket_id, query=query, after=after, limit=limit).fetchall()
    return [Candidate(row[0], bytes(row[1]), *row[2:]) for row in rows]
