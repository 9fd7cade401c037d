"""Deleting a bucket or a tenant does not get round object lock: nothing is begun while a version is protected."""

import pytest
from rows import row
from test_delete_tenant import everything, new_tenant

from shared.blobs.engine import new_blob_id
from shared.clock import now_ms
from shared.errors import Conflict
from shared.meta import buckets, objects, retention, runs, tenants
from shared.meta.content import NewBlob
from shared.meta.identity_models import TENANT_ACTIVE
from shared.meta.models import VERSIONING_ENABLED
from shared.meta.retention import Lock
from workflows import delete_bucket, emptying
from workflows.registry import Run as Told
from workflows.turns import Runner


@pytest.fixture
def tenant(context, rings):
    return new_tenant("one")


@pytest.fixture
def locked(tenant):
    return buckets.create("locked", tenant[1], versioning=VERSIONING_ENABLED, object_lock="{}")[0]


def write(bucket, key, lock):
    new = objects.NewVersion(
        key=key, size=4, etag="e", owner_id=1, new_blob=NewBlob(new_blob_id(), 4), lock=lock and lock.dump(),
    )
    return objects.put(bucket.id, new).version_id


def later(seconds):
    return now_ms() + seconds * 1000


@pytest.mark.parametrize("lock", [Lock("GOVERNANCE", later(3600)), Lock("COMPLIANCE", later(3600)), Lock(hold="ON")])
@pytest.mark.parametrize("covered", [False, True])
def test_a_protected_version_keeps_the_bucket_and_the_tenant(context, tenant, locked, lock, covered):
    for key in (b"a", b"z"):
        write(locked, key, None)
    write(locked, b"m", lock)
    if covered:
        objects.delete(locked.id, b"m", None, 1)
    before = everything()
    for name, given in (("delete_bucket", {"bucket": locked.id}), ("delete_tenant", {"tenant": tenant[0]})):
        run_id = runs.enqueue(name, given, subject="1", again=False)
        Runner(context).answer(run_id)
        found = row(run_id)
        assert (found.state, "Object lock protects 'm'" in found.message) == ("failed", True)
    after = everything()
    assert after == before
    assert tenants.find(tenant[0]).status == TENANT_ACTIVE


@pytest.fixture(params=[1, 5000])
def few_at_once(request, monkeypatch):
    """A step looks at so many locks; a bucket may have more."""
    monkeypatch.setattr(retention, "PAGE", request.param)
    monkeypatch.setattr(retention, "PAGES_AT_ONCE", 2)


def test_locks_that_are_over_keep_nothing(context, tenant, locked, few_at_once):
    buckets.create("later", tenant[1], versioning=VERSIONING_ENABLED, object_lock="{}")
    for key in (b"a", b"m", b"m", b"m", b"z"):
        write(locked, key, Lock("COMPLIANCE", later(-1), "OFF"))
    run_id = runs.enqueue("delete_tenant", {"tenant": tenant[0]}, subject="1", again=False)
    Runner(context).answer(run_id)
    assert row(run_id).state == "done" and buckets.find("locked") is buckets.find("later") is None


@pytest.mark.parametrize("name", ["delete_bucket", "delete_tenant"])
def test_the_last_of_many_locks_counts_too(context, tenant, locked, few_at_once, name):
    first = buckets.create("first", tenant[1], versioning=VERSIONING_ENABLED, object_lock="{}")[0]
    for bucket in (first, locked):
        for number in range(5):
            write(bucket, f"k{number}".encode(), Lock("COMPLIANCE", later(-1)))
    held = max(first, locked, key=lambda bucket: bucket.id)
    write(held, b"z", Lock(hold="ON"))
    write(held, b"z", None)
    before = everything()
    given = {"bucket": held.id} if name == "delete_bucket" else {"tenant": tenant[0]}
    run_id = runs.enqueue(name, given, subject="1", again=False)
    Runner(context).answer(run_id)
    assert (row(run_id).state, "protects 'z'" in row(run_id).message) == ("failed", True)
    assert everything() == before


def test_a_lock_that_came_after_the_run_began_keeps_its_page(context, locked):
    write(locked, b"a", None)
    told = Told(1, {"bucket": locked.id}, None, 1, 0, context)
    following = delete_bucket.delete_bucket(told)
    version = write(locked, b"m", Lock(hold="ON"))
    following = delete_bucket.delete_bucket(Told(1, {"bucket": locked.id}, following.cursor, 1, 0, context))
    with pytest.raises(Conflict, match="'m'"):
        following.effect()
    assert objects.find(locked.id, b"m", version) is not None
    assert emptying.next_piece(locked.id, "locked").what == "versions"
