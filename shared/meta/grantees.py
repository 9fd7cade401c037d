"""People as access control lists name them: by canonical id or email address, and shown with a name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from shared.meta.models import Principal


def find(kind: Literal["id", "email"], value: str, tenant_id: int | None = None) -> str | None:
    """The canonical id of whoever has this canonical id or email address (any case); None when nobody has.

    With ``tenant_id`` an address is looked for among the people of that tenant only. An id finds anybody: nobody can guess one.
    """
    if "\0" in value:       # PostgreSQL's text cannot hold it
        return None
    named: Any = Principal.canonical_id == value if kind == "id" else Principal.email == value.lower()
    if kind == "email" and tenant_id is not None:
        named &= Principal.tenant_id == tenant_id
    row = Principal.select(Principal.canonical_id).where(named).tuples().first()
    return row[0] if row else None


def names(canonical_ids: Collection[str]) -> dict[str, str]:
    """The display name of each, or else the user name; without those who are gone."""
    query = Principal.select(Principal.canonical_id, Principal.display_name, Principal.name)
    return {one: display or name for one, display, name in query.where(Principal.canonical_id.in_(list(canonical_ids))).tuples()}
