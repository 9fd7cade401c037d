"""What goes in and out of admin functions: the base of their models, and pages of lists."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shared.admin.errors import InvalidFields

T = TypeVar("T")

MOST_ITEMS = 1000
MOST_CURSOR = 8192      # characters: a key of 1,024 bytes, escaped as JSON and in base64, with room to spare


class Model(BaseModel):
    """A document of the API. Names are snake_case; what is not declared is refused; bodies must have the very types (no "5" for 5)."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Form(BaseModel):
    """A body as a form of a page sends it, application/x-www-form-urlencoded. What is not declared is passed over."""

    model_config = ConfigDict(extra="ignore")


class Page(BaseModel, Generic[T]):
    """Some items of a list, in its order, and where it goes on."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """UserPage for a page of users, as it shows in the description."""
        return f"{getattr(params[0], '__name__', params[0])}Page"

    items: list[T]
    next_cursor: str | None = Field(None, description="Ask again with it as `cursor` for what follows; null at the end.")


class PageQuery(Model):
    """Which part of a list. Subclasses add filters."""

    limit: int = Field(100, ge=1, le=MOST_ITEMS, description="At most so many items.")
    cursor: str | None = Field(None, max_length=MOST_CURSOR, description="`next_cursor` of the page before.")


def cursor_of(*position: str | int) -> str:
    """The cursor that stands behind an item: the columns of the list's order, as they are of that item."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def position_of(cursor: str | None, *kinds: type) -> tuple[str | int, ...] | None:
    """What ``cursor_of`` was given; None at the beginning. ``kinds`` are the types of its values. Raises InvalidFields."""
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
        fits = isinstance(values, list) and [type(value) for value in values] == list(kinds)
        if fits and not any(isinstance(value, int) and abs(value) >= 1 << 63 for value in values):
            json.dumps(values, ensure_ascii=False).encode()     # a lone surrogate is in no database
            return tuple(values)
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise InvalidFields(fields={"?cursor": "It is not a next_cursor of this list."})


def page_of(rows: list[T], limit: int, position: object) -> Page[T]:
    """A page of rows that were asked for with ``limit + 1``: ``position(row)`` gives the values for ``cursor_of``."""
    items = rows[:limit]
    more = len(rows) > limit
    assert callable(position)
    return Page(items=items, next_cursor=cursor_of(*position(items[-1])) if more else None)
