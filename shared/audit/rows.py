"""From events to rows: bounded, clean text, and the words they are found by."""

from __future__ import annotations

import json
import re
from typing import Any

from shared.audit.chain import Row
from shared.audit.event import Event

MOST_DETAILS_BYTES = 64 << 10
MOST_TEXT = 1024            # characters of any other column; an S3 key has no more bytes
MOST_WORDS = 512            # of an event that can be searched for
_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")      # PostgreSQL's text takes neither
_WORD = re.compile(r"[^\W_]+")


def row_of(id_: int, event: Event, at_ms: int) -> Row:
    """The row of an event. What is too long is cut; details that are too long are replaced by a note that says so."""
    return Row(
        id=id_, at_ms=event.at_ms or at_ms, event_type=_text(event.event_type), resource_type=_text(event.resource_type),
        resource_id=_text(event.resource_id), resource_name=_text(event.resource_name), action=_text(event.action),
        status=_text(event.status), principal_id=event.principal_id, username=_text(event.username), tenant_id=event.tenant_id,
        address=_text(event.address), agent=_text(event.agent), request_id=_text(event.request_id), details=_details(event.details),
    )


def _text(value: Any) -> str:
    return _NOT_STORABLE.sub("\ufffd", str(value))[:MOST_TEXT]


def _details(details: Any) -> str:
    text = json.dumps(_plain(details), separators=(",", ":"), ensure_ascii=False, default=_text)
    if len(text.encode()) <= MOST_DETAILS_BYTES:
        return text
    return json.dumps({"omitted": f"details of {len(text.encode())} bytes"})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return _NOT_STORABLE.sub("\ufffd", value.decode("utf-8", "backslashreplace"))
    return _NOT_STORABLE.sub("\ufffd", value) if isinstance(value, str) else value


def words_of(row: Row) -> str:
    """The different words of an event, lower case, in the order they first come, with blanks between."""
    text = " ".join((row.event_type, row.resource_type, row.resource_id, row.resource_name, row.action, row.status, row.username,
                     row.address, row.agent, row.request_id, row.details))
    return " ".join(list(dict.fromkeys(split(text)))[:MOST_WORDS])


def split(text: str) -> list[str]:
    """The words of a text, lower case: runs of letters and digits."""
    return [word[:100] for word in _WORD.findall(text.lower())]
