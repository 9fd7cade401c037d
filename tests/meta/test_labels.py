"""Tags and ACLs in the database: replaced in place, carried through history, and bucket settings that check each other."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from shared.bucket_errors import NoSuchBucket
from shared.errors import AccessDenied, NoSuchKey
from shared.meta import buckets, grantees, labels, objects, people
from shared.meta.models import VERSIONING_ENABLED, VERSIONING_SUSPENDED, Principal
from shared.meta.objects import NewVersion
from shared.permissions import check_judged


def put(bucket, **more):
    return objects.put(bucket.id, NewVersion(key=b"k", size=0, etag="e", owner_id=1, **more)).version_id


def found(bucket, version_id=None):
    return objects.find(bucket.id, b"k", version_id)


def test_a_version_is_written_with_its_labels(bucket):
    put(bucket, tags='{"a":"1"}', acl="[]")
    assert (found(bucket).tags_json, found(bucket).acl_json) == ('{"a":"1"}', "[]")
    put(bucket)
    assert (found(bucket).tags_json, found(bucket).acl_json) == (None, None)


def test_replacing_one_leaves_everything_else(bucket):
    put(bucket, tags='{"a":"1"}', acl="[]", metadata={"m": "1"})
    before = found(bucket)
    labels.replace(bucket.id, b"k", before, tags=None)
    assert found(bucket) == before._replace(tags_json=None)
    labels.replace(bucket.id, b"k", before, acl=None)
    assert found(bucket) == before._replace(tags_json=None, acl_json=None)


@pytest.mark.parametrize("versioning", [VERSIONING_ENABLED, VERSIONING_SUSPENDED])
def test_labels_go_into_history_and_come_back(new_bucket, versioning):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    first = put(bucket, tags='{"n":"1"}', acl="[]")
    buckets.set_versioning(bucket, versioning)
    second = put(bucket)
    assert (found(bucket, first).tags_json, found(bucket, first).acl_json) == ('{"n":"1"}', "[]")
    objects.delete(bucket.id, b"k", second or "null", 1)
    assert found(bucket).is_current
    assert (found(bucket).tags_json, found(bucket).acl_json) == ('{"n":"1"}', "[]")


def test_a_version_that_moved_into_history_is_found_there(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    first = put(bucket)
    seen = found(bucket)
    put(bucket)
    labels.replace(bucket.id, b"k", seen, tags='{"late":"1"}')
    assert found(bucket, first).tags_json == '{"late":"1"}'
    assert found(bucket).tags_json is None


def test_another_object_of_that_name_takes_no_labels_that_were_meant_for_the_one_before(bucket):
    """Deleted and written again it has the same version id, and the same place among the versions of its key."""
    put(bucket)
    seen = found(bucket)
    objects.delete(bucket.id, b"k", None, 1)
    time.sleep(0.002)
    put(bucket)
    again = found(bucket)
    assert (again.seq, again.version_id) == (seen.seq, seen.version_id) and again.stamp != seen.stamp
    with pytest.raises(NoSuchKey):
        labels.replace(bucket.id, b"k", seen, tags='{"meant":"before"}')
    with pytest.raises(NoSuchKey):
        labels.relock(bucket.id, b"k", seen, lambda was, _: was._replace(hold="ON"))
    assert found(bucket) == again


def test_who_was_judged_by_the_one_before_is_judged_again(bucket):
    def refuse(ctx):
        raise AccessDenied

    put(bucket)
    seen = found(bucket)
    ctx = SimpleNamespace(judged={(bucket.id, b"k"): seen.stamp}, function=SimpleNamespace(allow=refuse))
    check_judged(ctx, bucket.id, b"k", seen)
    objects.delete(bucket.id, b"k", None, 1)
    time.sleep(0.002)
    put(bucket)
    with pytest.raises(AccessDenied):
        check_judged(ctx, bucket.id, b"k", found(bucket))


def test_a_version_that_is_gone_takes_no_labels(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    first = put(bucket)
    seen = found(bucket)
    objects.delete(bucket.id, b"k", first, 1)
    put(bucket)         # in the same place of history, but another version
    with pytest.raises(NoSuchKey):
        labels.replace(bucket.id, b"k", seen, tags='{"a":"1"}')
    assert found(bucket).tags_json is None


def test_a_bucket_s_settings_move_counter_and_revision(bucket):
    before = buckets.change_value()
    buckets.change(bucket, tags='{"a":"1"}', policy="{}")
    after = buckets.find(bucket.name)
    assert buckets.change_value() > before
    assert (after.tags, after.policy, after.acl, after.revision) == ('{"a":"1"}', "{}", None, bucket.revision + 1)


def test_a_check_sees_the_bucket_as_it_stands_and_may_refuse(bucket):
    buckets.change(bucket, ownership="ObjectWriter")
    seen = []

    def refuse(now):
        seen.append(now.ownership)
        raise ValueError

    with pytest.raises(ValueError):
        buckets.change(bucket, refuse, acl="[]")
    assert seen == ["ObjectWriter"]
    assert buckets.find(bucket.name).acl is None


def test_a_deleted_bucket_takes_no_settings(bucket):
    buckets.delete(bucket)
    with pytest.raises(NoSuchBucket):
        buckets.change(bucket, tags=None)


def test_grantees_are_found_and_named(database):
    root = people.create_root()
    Principal.update(email="root@example.com", display_name="The Root").where(Principal.id == root.id).execute()
    assert grantees.find("id", root.canonical_id) == grantees.find("email", "Root@Example.COM") == root.canonical_id
    for kind, value in (("id", "nobody"), ("id", "a\0b"), ("email", "nobody@example.com"), ("email", root.canonical_id), ("id", "")):
        assert grantees.find(kind, value) is None
    assert grantees.names([root.canonical_id, "nobody"]) == {root.canonical_id: "The Root"}
    assert grantees.names([]) == {}
