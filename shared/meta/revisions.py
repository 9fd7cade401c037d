"""Rows that count their changes: the revision is the ETag of the admin API. Ids are values of the change counter: never used again."""

from __future__ import annotations

from typing import Any

from shared.errors import NotFound, PreconditionFailed


def revise(model: Any, row_id: int, expected: int | None, **values: Any) -> None:
    """Change a row in the caller's transaction; its revision grows also when ``values`` are none.

    Raises PreconditionFailed when ``expected`` is given and no longer the revision, NotFound when the row is gone.
    """
    query = model.update(revision=model.revision + 1, **values).where(model.id == row_id)
    if expected is not None:
        query = query.where(model.revision == expected)
    if query.execute():
        return
    if model.select(model.id).where(model.id == row_id).tuples().first():
        raise PreconditionFailed("It was changed since you read it.")
    raise NotFound


def expect(model: Any, row_id: int, expected: int | None) -> None:
    """Hold a row's revision against the expected one, before something else than the row changes. Raises as ``revise`` does."""
    row = model.select(model.revision).where(model.id == row_id).tuples().first()
    if row is None:
        raise NotFound
    if expected is not None and row[0] != expected:
        raise PreconditionFailed("It was changed since you read it.")
