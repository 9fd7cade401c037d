"""The permission engine: who may do what. Everything is denied unless something here allows it.

Today one rule grants: root may do everything. Identity policies, bucket policies and ACLs will be further sources of statements, asked
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

ANYONE = "anyone"


class Caller(Protocol):
    """Somebody who has signed a request."""

    @property
    def is_root(self) -> bool: ...


class Decision(NamedTuple):
    """Whether a request is allowed, and the statement that decided, for the log."""

    allowed: bool
    reason: str


def decide(caller: Caller | None, wanted: Iterable[tuple[str, str]]) -> Decision:
    """Decide about all the wanted (action, resource) pairs together; one that is not allowed denies the request."""
    for action, resource in wanted:
        if action == ANYONE:
            continue
        if caller is None:
            return Decision(False, f"nobody may {action} on {resource}")
        if not caller.is_root:
            return Decision(False, f"no statement allows {action} on {resource}")
    return Decision(True, "root may do everything" if caller is not None else "asks for no permission")
