"""Delete a tenant with all it has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from peewee import fn

from shared.errors import Conflict, NotFound
from shared.meta import counters, tenants, users
from shared.meta.buckets import bump
from shared.meta.database import transaction
from shared.meta.identity_models import TENANT_DELETING
from shared.meta.locks import lock_bucket
from shared.meta.models import INSTALLATION, Bucket, Principal, Upload
from workflows.emptying import Piece, next_piece, refuse_locked
from workflows.registry import Next, Run, workflow

PAGE_USERS = 20
COUNTED = ("uploads", "versions", "buckets", "users")


@workflow("delete_tenant", lease_s=120, retries=10)
def delete_tenant(run: Run) -> Next | None:
    """Delete a tenant for good: first what its buckets hold, then buckets, users with their keys, groups, roles, policies, and itself.

    Takes {"tenant": id}. First it looks for locked versions. The step that has seen all there are marks the tenant as being deleted: from
    then on nobody of it signs in, and nothing new is stored in its buckets. Each further step looks what is left and removes a page of it,
    in the transaction that stores the cursor; so the cursor only counts. Raises Conflict when object lock protects a version in one of its
    buckets, and when the tenant's status is no longer that.
    """
    tenant_id = run.input.get("tenant")
    if isinstance(tenant_id, bool) or not isinstance(tenant_id, int) or tenant_id == INSTALLATION:
        raise ValueError(f"tenant must be the id of a tenant, not {tenant_id!r}")
    tenant = tenants.find(tenant_id)
    if tenant is None:
        return None
    if run.cursor is None or run.cursor.get("looked"):
        cursor: dict[str, Any] = run.cursor or dict.fromkeys(COUNTED, 0) | {"total": _size(tenant_id)}
        if looked := _refuse_locked(tenant_id, *cursor.get("looked") or (0, None)):
            return Next(cursor | {"looked": looked}, 0, cursor["total"], "looking for versions that object lock protects")
        return Next(cursor | {"looked": None}, 0, cursor["total"], f"tenant {tenant.name} is being deleted", partial(_mark, tenant_id))
    if tenant.status != TENANT_DELETING:
        raise Conflict(f"The tenant {tenant.name} is no longer to be deleted.")
    return _next_of_bucket(run, tenant_id) or _next_users(run, tenant_id) or _next(run, "users", 0, partial(_remove, tenant_id))


def _refuse_locked(tenant_id: int, bucket_id: int, looked: Any) -> list[Any] | None:
    """Look at the locks in one bucket, from ``bucket_id`` on, or some of them; returns where to go on, None when there is no other one."""
    lockable = (Bucket.tenant_id == tenant_id) & Bucket.object_lock.is_null(False) & (Bucket.id >= bucket_id)
    row: Any = Bucket.select(Bucket.id).where(lockable).order_by(Bucket.id).limit(1).tuples().first()
    if row is None:
        return None
    further = refuse_locked(row[0], looked if row[0] == bucket_id else None)
    return [row[0], further] if further else [row[0] + 1, None]


def _size(tenant_id: int) -> int:
    """How many things there are to remove, versions by the counters."""
    mine = Bucket.select(Bucket.id).where(Bucket.tenant_id == tenant_id)
    rows: Any = mine.tuples()
    totals = [counters.totals(bucket_id) for (bucket_id,) in rows]
    pending = Upload.select(fn.COUNT(Upload.id)).where(Upload.bucket_id.in_(mine)).scalar()
    people = Principal.select(fn.COUNT(Principal.id)).where(Principal.tenant_id == tenant_id).scalar()
    return sum(one.objects + one.versions for one in totals) + len(totals) + int(pending) + int(people)


def _next_of_bucket(run: Run, tenant_id: int) -> Next | None:
    """The next step at the first bucket there is: an upload, a page of versions, at last the bucket. None when there is no bucket."""
    row: Any = Bucket.select(Bucket.id, Bucket.name).where(Bucket.tenant_id == tenant_id).order_by(Bucket.id).limit(1).tuples().first()
    if row is None:
        return None
    piece = next_piece(row[0], bytes(row[1]).decode())
    return _next(run, piece.what, piece.number, partial(_of_bucket, tenant_id, row[0], piece))


def _next_users(run: Run, tenant_id: int) -> Next | None:
    rows: Any = Principal.select(Principal.id).where(Principal.tenant_id == tenant_id).order_by(Principal.id).limit(PAGE_USERS).tuples()
    page = [user_id for (user_id,) in rows]
    return _next(run, "users", len(page), partial(_delete_users, page)) if page else None


def _next(run: Run, what: str, count: int, effect: Callable[[], None]) -> Next:
    assert run.cursor is not None
    cursor = run.cursor | {what: run.cursor[what] + count}
    done = sum(cursor[one] for one in COUNTED)
    message = ", ".join(f"{cursor[one]} {one}" for one in COUNTED) + " deleted"
    return Next(cursor, done, max(done, cursor["total"]), message, effect)


# ---- effects: each may come twice ------------------------------------------------------------------------------------------------


def _mark(tenant_id: int) -> None:
    tenants.begin_deletion(tenant_id)


def _of_bucket(tenant_id: int, bucket_id: int, piece: Piece) -> None:
    """Do a piece, unless the bucket was given to another tenant since the step looked."""
    with transaction() as conn:
        if piece.what == "buckets":
            bump(conn)      # first, as in buckets.delete, which wants the bucket alone
        lock_bucket(conn, bucket_id, shared=piece.what != "buckets")
        if Bucket.select(Bucket.id).where((Bucket.id == bucket_id) & (Bucket.tenant_id == tenant_id)).tuples().first():
            piece.effect()


def _delete_users(user_ids: list[int]) -> None:
    for user_id in user_ids:
        with contextlib.suppress(NotFound):
            users.delete(user_id)


def _remove(tenant_id: int) -> None:
    with contextlib.suppress(NotFound, Conflict):       # conflict: something came after all, the next step finds it
        tenants.delete(tenant_id)
