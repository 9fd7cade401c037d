"""Finding events: filters, words, and pages from the newest on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from peewee import SQL

from shared.audit.chain import Row
from shared.audit.models import AuditEvent
from shared.audit.rows import split
from shared.audit.store import COLUMNS, Store

PAGE_ROWS = 500             # read at once for an export
MOST_SOUGHT = 20            # words of one search; more are left out


class Filter(NamedTuple):
    """Which events. None: any. ``since_ms`` is inclusive, ``until_ms`` exclusive; ``text`` has words that the event has or begins with."""

    tenant_id: int | None = None
    principal_id: int | None = None
    username: str | None = None
    event_type: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    action: str | None = None
    status: str | None = None
    address: str | None = None
    request_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    text: str | None = None


_EQUAL = tuple(name for name in Filter._fields if name in Row._fields)


def page(store: Store, wanted: Filter, before: int | None, limit: int) -> list[Row]:
    """The newest events that fit, newest first, at most ``limit``: only ids below ``before`` when that is given."""
    query = AuditEvent.select(*COLUMNS).order_by(AuditEvent.id.desc()).limit(limit)
    for condition in _conditions(store, wanted):
        query = query.where(condition)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    with store.session():
        return [Row(*row) for row in query.tuples()]


def find(store: Store, event_id: int) -> Row | None:
    """One event."""
    with store.session():
        row = AuditEvent.select(*COLUMNS).where(AuditEvent.id == event_id).tuples().first()
    return Row(*row) if row else None


def every(store: Store, wanted: Filter) -> Iterator[Row]:
    """All events that fit, newest first, read a page at a time: nothing is held open between pages."""
    before = None
    while rows := page(store, wanted, before, PAGE_ROWS):
        yield from rows
        before = rows[-1].id


def _conditions(store: Store, wanted: Filter) -> Iterator[Any]:
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            yield getattr(AuditEvent, name) == (value.replace("\0", "\ufffd") if isinstance(value, str) else value)
    if wanted.since_ms is not None:
        yield AuditEvent.at_ms >= wanted.since_ms
    if wanted.until_ms is not None:
        yield AuditEvent.at_ms < wanted.until_ms
    if wanted.text is not None and wanted.text.strip():
        yield _has_words(store, split(wanted.text)[:MOST_SOUGHT])


def _has_words(store: Store, words: list[str]) -> Any:
    """Events that have a word beginning with each of these; words are letters and digits, so nothing in them is syntax."""
    if not words:
        return SQL("1 = 0")         # only punctuation was asked for
    if store.is_sqlite:
        match = " ".join(f'"{word}"*' for word in words)
        return AuditEvent.id.in_(SQL("(SELECT rowid FROM audit_words WHERE audit_words MATCH ?)", [match]))
    match = " & ".join(f"'{word}':*" for word in words)
    return SQL("array_to_tsvector(string_to_array(words, ' ')) @@ CAST(%s AS tsquery)", [match])
