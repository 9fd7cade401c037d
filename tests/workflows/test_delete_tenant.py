"""Deleting a tenant: all that is its goes, nothing else does, and no step minds being repeated or cut off."""

import json
import os

import pytest
from rows import row

from shared import recount
from shared.blobs.engine import new_blob_id
from shared.clock import now_ms
from shared.errors import AccessDenied, Conflict
from shared.meta import buckets, objects, runs, tenants, uploads, users
from shared.meta import tables as all_tables
from shared.meta.content import NewBlob
from shared.meta.database import transaction
from shared.meta.identity_models import TENANT_ACTIVE, TENANT_DELETING, Attachment, Membership, Policy, Session, Tenant, UserGroup
from shared.meta.models import VERSIONING_ENABLED, AccessKey, Blob, Bucket, Object, Part, Principal, Run, Upload, Version
from workflows import delete_tenant as module
from workflows import emptying
from workflows.registry import Run as Told
from workflows.turns import Runner

NOT_LEFT = (Bucket, Object, Version, Upload, Part, Tenant, AccessKey, Membership, UserGroup, Policy, Attachment, Session)


def new_tenant(name):
    """A tenant with two users, and what users and tenants have."""
    tenant = tenants.create(name)
    made = [users.create(f"{name}-{who}", tenant.id) for who in ("ann", "bob")]
    for user in made:
        AccessKey.insert(id=f"AKIA{user.id}", principal_id=user.id, sealed_secret=b"x", created_ms=1).execute()
        Attachment.insert(target_kind="user", target_id=str(user.id), policy="readwrite").execute()
        Session.insert(
            id=os.urandom(32), public_id=os.urandom(8).hex(), principal_id=user.id, kind="cookie", created_ms=1, seen_ms=1, expires_ms=2,
        ).execute()
    group = UserGroup.insert(tenant_id=tenant.id, name="staff", created_ms=1).execute()
    Membership.insert(group_id=group, principal_id=made[0].id).execute()
    Policy.insert(tenant_id=tenant.id, name="own", document="{}", created_ms=1).execute()
    return tenant.id, made[0].id


def fill(owner_id, name):
    """A bucket with a history, a delete marker, a completed and an unfinished upload."""
    bucket = buckets.create(name, owner_id)[0]
    write(bucket, b"first")
    buckets.set_versioning(bucket, VERSIONING_ENABLED)
    for key in (b"a", b"a", b"a", b"b", b"c"):
        write(bucket, key)
    objects.delete(bucket.id, b"b", None, owner_id)
    for key, ends in ((b"whole", True), (b"half", False)):
        upload_id = new_blob_id()
        uploads.create(uploads.UploadInfo(upload_id, bucket.id, key, owner_id, now_ms(), None, {}, {}, None, None))
        for number in (1, 2):
            uploads.put_part(upload_id, uploads.PartInfo(number, 5, "etag", 1, None, None, None), NewBlob(new_blob_id(), 5))
        if ends:
            uploads.complete(
                upload_id, bucket.id, key, b"d", assemble=lambda _u, parts: uploads.Assembly([1, 2], 10, "e", None, None),
                reply=lambda _a, _w: {},
            )
    return bucket


def write(bucket, key, size=4):
    new = objects.NewVersion(key=key, size=size, etag="e", owner_id=1, new_blob=NewBlob(new_blob_id(), size))
    return objects.put(bucket.id, new)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(emptying, "PAGE_VERSIONS", 3)
    monkeypatch.setattr(module, "PAGE_USERS", 1)


@pytest.fixture
def doomed(context, rings):
    tenant_id, owner_id = new_tenant("doomed")
    fill(owner_id, "doomed-1")
    fill(owner_id, "doomed-2")
    return tenant_id


def begin(tenant_id):
    given = {"tenant": tenant_id}
    return runs.enqueue("delete_tenant", given, json.dumps(given), again=False)


def everything():
    """All rows but those of runs, and the change counter."""
    return {
        table.__name__: sorted(map(repr, table.select().tuples())) for table in all_tables.ALL if table.__name__ not in ("Run", "Change")
    }


def step(context, cursor, tenant_id, done=0):
    return module.delete_tenant(Told(1, {"tenant": tenant_id}, cursor, 1, done, context))


def do(following):
    """What the runner does with a step's outcome."""
    with transaction():
        following.effect()


def test_all_of_the_tenant_goes_and_progress_ends_at_the_total(context, doomed):
    run_id = begin(doomed)
    Runner(context).answer(run_id)
    run = row(run_id)
    assert (run.state, run.done) == ("done", run.total), run.message
    assert run.message == "2 uploads, 16 versions, 2 buckets, 2 users deleted"
    assert {table.__name__: table.select().count() for table in NOT_LEFT} == {table.__name__: 0 for table in NOT_LEFT}
    assert [user.name for user in Principal.select()] == ["root"]
    assert Blob.select().where((Blob.refs != 0) | Blob.freed_ms.is_null()).count() == 0


def test_others_keep_all_they_have(context, rings):
    tenant_id, owner_id = new_tenant("kept")
    fill(owner_id, "kept-1")
    fill(users.create("global").id, "kept-2")
    before = everything()
    doomed, owner = new_tenant("doomed")
    fill(owner, "doomed-1")
    Runner(context).answer(begin(doomed))
    after = everything()
    for leftovers in ("Blob", "FinishedUpload", "SearchChange"):     # for the sweep, expire_uploads and index_search
        before.pop(leftovers), after.pop(leftovers)
    assert after == before
    assert tenants.find(tenant_id).objects == 7


def test_the_first_step_marks_it_and_then_nothing_new_comes(context, doomed):
    bucket = buckets.find("doomed-1")
    do(step(context, None, doomed))
    assert tenants.find(doomed).status == TENANT_DELETING
    with pytest.raises(AccessDenied):
        write(bucket, b"late")
    with pytest.raises(AccessDenied):
        buckets.create("late", bucket.owner_id)


def test_each_step_twice_leaves_the_same_as_once(context, doomed):
    """Also when the second comes from a process that looked before the first was done."""
    cursor, done, steps = None, 0, 0
    while (following := step(context, cursor, doomed, done)) is not None:
        same = step(context, cursor, doomed, done)
        assert (same.cursor, same.done) == (following.cursor, following.done)
        do(following)
        once = everything()
        do(same)
        again = everything()
        if cursor is None:      # marking twice is two changes of the row
            once.pop("Tenant"), again.pop("Tenant")
        assert again == once
        assert [found for found in recount.tenants() if not found.is_right] == []
        cursor, done, steps = following.cursor, following.done, steps + 1
    assert steps > 10
    assert Tenant.select().count() == Bucket.select().count() == 0


def test_a_process_that_dies_between_two_steps_is_followed_by_one_that_ends_it(context, doomed, monkeypatch):
    class Killed(BaseException):
        pass

    real, taken = runs.advance, []

    def dies(leased, *more, **named):
        taken.append(leased.cursor)
        if len(taken) % 2:
            return real(leased, *more, **named)
        with transaction():
            named["effect"]()
            raise Killed        # before the commit

    monkeypatch.setattr(runs, "advance", dies)
    run_id = begin(doomed)
    while row(run_id).finished_ms is None:
        try:
            Runner(context).answer(run_id)
        except Killed:
            Run.update(lease_until_ms=1, attempts=0).where(Run.id == run_id).execute()
    assert row(run_id).state == "done" and len(taken) > 20
    assert Tenant.select().count() == Bucket.select().count() == Object.select().count() == 0


def test_a_write_that_was_under_way_is_found_by_the_next_step(context, doomed):
    bucket = buckets.find("doomed-1")
    cursor, late = None, False
    while (following := step(context, cursor, doomed)) is not None:
        if not late and following.cursor["buckets"] == 1:     # the bucket looked empty to this step
            late = True
            Tenant.update(status=TENANT_ACTIVE).execute()
            write(bucket, b"late")
            Tenant.update(status=TENANT_DELETING).execute()
        do(following)
        cursor = following.cursor
    assert late and Object.select().count() == Bucket.select().count() == Tenant.select().count() == 0


def test_a_bucket_of_somebody_else_that_took_the_name_stays(context, doomed):
    do(step(context, None, doomed))
    cursor = step(context, None, doomed).cursor
    while "buckets" in (following := step(context, cursor, doomed)).cursor and not following.cursor["buckets"]:
        do(following)
        cursor = following.cursor
    buckets.delete(buckets.find("doomed-1"))
    other, _ = buckets.create("doomed-1", users.create("other").id)
    do(following)
    assert buckets.find("doomed-1") == other


def test_it_stops_when_somebody_calls_it_off(context, doomed):
    first = step(context, None, doomed)
    do(first)
    Tenant.update(status=TENANT_ACTIVE).execute()
    with pytest.raises(Conflict):
        step(context, first.cursor, doomed)
    assert Bucket.select().count() == 2


@pytest.mark.parametrize("wrong", [0, None, "1", True])
def test_the_installation_is_never_deleted(context, doomed, wrong):
    with pytest.raises(ValueError, match="tenant"):
        module.delete_tenant(Told(1, {"tenant": wrong}, None, 1, 0, context))


def test_a_tenant_that_is_gone_is_nothing_to_do(context, rings):
    run_id = begin(4711)
    Runner(context).answer(run_id)
    assert row(run_id).state == "done"


def test_versions_of_very_many_parts_go_few_at_a_time(context, doomed, monkeypatch):
    monkeypatch.setattr(emptying, "PAGE_PARTS", 1)
    page = emptying.versions(Object, buckets.find("doomed-1").id)
    assert [wanted.key for wanted in page] == [b"whole"]


@pytest.mark.parametrize("what", ["uploads", "versions", "buckets"])
def test_a_bucket_that_was_given_away_meanwhile_keeps_all_it_has(context, doomed, what):
    """The step looked when it was the tenant's still, and its effect comes after the move."""
    do(step(context, None, doomed))
    cursor = step(context, None, doomed).cursor
    while (following := step(context, cursor, doomed)).cursor[what] == 0:
        do(following)
        cursor = following.cursor
    saved = buckets.find("doomed-1")
    buckets.move(saved.id, tenants.create("saviour").id)
    held = [sorted(map(repr, table.select().tuples())) for table in (Bucket, Object, Version, Upload, Part)]
    do(following)
    assert [sorted(map(repr, table.select().tuples())) for table in (Bucket, Object, Version, Upload, Part)] == held
    assert [found for found in recount.tenants() if not found.is_right] == []


def test_a_tenant_that_is_being_deleted_does_not_come_to_life_again(context, doomed):
    """Somebody who changes it at that moment, or a bootstrap file that has it as active, would leave half of it."""
    tenants.begin_deletion(doomed)
    for values in ({"status": TENANT_ACTIVE}, {"display_name": "x"}):
        with pytest.raises(Conflict):
            tenants.change(doomed, values)
    assert tenants.begin_deletion(doomed).status == TENANT_DELETING
