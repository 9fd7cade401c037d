"""Configuration documents of buckets between their functions and the database: how long they may be, and what JSON cannot hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.protocol.scalars import milliseconds

MAX_BYTES = 256 << 10       # of a document for which AWS states no size
ONE_OF_MANY_BYTES = 64 << 10        # of one of up to 1,000 of its kind: a page of their list holds a hundred
MANY_RULES_BYTES = 2 << 20  # of one with up to 1,000 rules


def plain(value: Any) -> Any:
    """What was read from XML, with dates as UTC milliseconds: JSON can hold it, and the codec can write it again."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return milliseconds(value) if isinstance(value, datetime) else value
