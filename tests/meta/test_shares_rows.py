"""Share links as rows: what goes with what, and that no crowd gets more downloads than there are. On both engines."""

import os
import threading

import pytest

from shared.clock import now_ms
from shared.errors import Conflict, NoSuchKey
from shared.meta import buckets, objects, shares, users
from shared.meta import database as metadata
from shared.meta.identity_models import Share
from shared.meta.models import VERSIONING_ENABLED, VERSIONING_SUSPENDED
from shared.meta.shares import MOST_OF_A_KIND, NewShare


def write(bucket, key=b"k"):
    return objects.put(bucket.id, objects.NewVersion(key=key, size=0, etag="e", owner_id=1))


def new(bucket, key=b"k", version_id=None, by=1, **more):
    values = {"lifetime_ms": None, "password_hash": None, "max_downloads": 0, "created_ms": now_ms()} | more
    return NewShare(os.urandom(32), b"sealed", bucket.id, key, version_id, by, **values)


def left(bucket):
    return sorted(((row.key, row.version_id) for row in shares.of_bucket(bucket.id, (b"", 0), 100)), key=repr)


def test_a_link_is_found_as_it_was_made(bucket):
    write(bucket)
    asked = new(bucket, lifetime_ms=60_000, password_hash="hash", max_downloads=3)
    made = shares.create(asked)
    assert shares.by_token(asked.token) == shares.find(made.id) == made
    assert (made.bucket, made.key, made.expires_ms) == (bucket.name, b"k", asked.created_ms + 60_000)
    assert shares.by_token(bytes(32)) is None and shares.find(made.id + 1) is None
    assert shares.revoke(made.id) and not shares.revoke(made.id) and shares.find(made.id) is None


def test_what_is_not_there_has_no_link(bucket):
    with pytest.raises(NoSuchKey):
        shares.create(new(bucket))
    write(bucket)
    with pytest.raises(NoSuchKey):
        shares.create(new(bucket, version_id="other"))
    assert shares.create(new(bucket, version_id="null")) is not None


def test_one_like_it_is_told(bucket):
    write(bucket)
    first = shares.create(new(bucket, lifetime_ms=60_000))
    assert [row.id for row in shares.alike(new(bucket, lifetime_ms=60_000))] == [first.id]
    assert shares.create(new(bucket, lifetime_ms=60_000)) is None
    for other in ({"lifetime_ms": 61_000}, {"lifetime_ms": None}, {"max_downloads": 1}, {"password_hash": "x"}, {"version_id": "null"},
                  {"by": 2}):
        assert shares.alike(new(bucket, **({"lifetime_ms": 60_000} | other))) == [], other
    assert shares.alike(new(bucket, lifetime_ms=60_000, created_ms=now_ms() + 60_001)) == [], "an expired one is no link any more"


def test_one_person_has_only_so_many_to_an_object(bucket):
    write(bucket)
    for number in range(MOST_OF_A_KIND):
        shares.create(new(bucket, max_downloads=number + 1))
    with pytest.raises(Conflict):
        shares.create(new(bucket))
    assert shares.create(new(bucket, by=2)) is not None


def test_downloads_end_at_the_limit_also_in_a_crowd(database, bucket):
    write(bucket)
    made = shares.create(new(bucket, max_downloads=3))
    granted = []

    def take():
        with metadata.session():
            granted.extend(shares.count_download(made.id, now_ms()) for _ in range(3))

    crowd = [threading.Thread(target=take) for _ in range(4)]
    [one.start() for one in crowd]
    [one.join() for one in crowd]
    assert (len(granted), sum(granted)) == (12, 3)
    found = shares.find(made.id)
    assert found.downloads == 3 and not found.is_alive(now_ms())


def test_an_expired_link_counts_no_more(bucket):
    write(bucket)
    made = shares.create(new(bucket, lifetime_ms=1000))
    assert shares.count_download(made.id, made.expires_ms - 1) and not shares.count_download(made.id, made.expires_ms)
    assert made.is_alive(made.expires_ms - 1) and not made.is_alive(made.expires_ms)


def test_a_deleted_object_takes_its_links_along(bucket):
    for key in (b"k", b"other"):
        write(bucket, key)
        shares.create(new(bucket, key))
    shares.create(new(bucket, version_id="null"))
    write(bucket)
    assert left(bucket) == [(b"k", None), (b"other", None)], "an overwrite is no end, but of the version that it replaces"
    objects.delete(bucket.id, b"k", None, 1)
    assert left(bucket) == [(b"other", None)]
    write(bucket)
    assert left(bucket) == [(b"other", None)], "nobody meant what has the name now"
    objects.delete_many(bucket.id, [objects.Deletion(b"other")], 1)
    assert left(bucket) == []


def test_a_version_keeps_its_own_link(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    old, last = (write(bucket).version_id for _ in range(2))
    for version_id in (None, old, last):
        shares.create(new(bucket, version_id=version_id))
    objects.delete(bucket.id, b"k", None, 1)
    assert {version_id for _, version_id in left(bucket)} == {old, last}
    objects.delete(bucket.id, b"k", last, 1)
    assert {version_id for _, version_id in left(bucket)} == {old}
    buckets.set_versioning(bucket, VERSIONING_SUSPENDED)
    write(bucket)
    shares.create(new(bucket, version_id="null"))
    objects.delete(bucket.id, b"k", None, 1)
    assert {version_id for _, version_id in left(bucket)} == {old}
    write(bucket)
    shares.create(new(bucket, version_id="null"))
    buckets.set_versioning(bucket, VERSIONING_ENABLED)
    write(bucket)
    assert {version_id for _, version_id in left(bucket)} == {old, "null"}, "it is in the history now"
    buckets.set_versioning(bucket, VERSIONING_SUSPENDED)
    write(bucket)
    assert {version_id for _, version_id in left(bucket)} == {old}


def test_a_link_to_the_key_lives_while_an_older_version_comes_to_light(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    old, last = (write(bucket).version_id for _ in range(2))
    shares.create(new(bucket))
    objects.delete(bucket.id, b"k", last, 1)
    assert left(bucket) == [(b"k", None)]
    objects.delete(bucket.id, b"k", old, 1)
    assert left(bucket) == []


def test_no_link_outlives_its_bucket_or_its_maker(database, bucket, new_bucket):
    other, user = new_bucket(), users.create("somebody")
    for one in (bucket, other):
        write(one)
    shares.create(new(bucket))
    shares.create(new(other, by=user.id))
    Share.insert(token=b"t", sealed_token=b"", bucket_id=bucket.id, key=b"nothing", created_by=1, created_ms=1).execute()
    objects.delete(bucket.id, b"k", None, 1)
    assert left(bucket) == [(b"nothing", None)]
    buckets.delete(bucket)
    assert [row.bucket_id for row in Share.select()] == [other.id]
    users.delete(user.id)
    assert Share.select().count() == 0


def test_pages_have_each_link_once(bucket):
    made = []
    for key in (b"b", b"a", b"c"):
        write(bucket, key)
        made += [shares.create(new(bucket, key, max_downloads=number)).id for number in range(2)]
    seen, after = [], (b"", 0)
    while page := shares.of_bucket(bucket.id, after, 2):
        seen += page
        after = (page[-1].key, page[-1].id)
    assert [row.key for row in seen] == [b"a", b"a", b"b", b"b", b"c", b"c"] and sorted(row.id for row in seen) == sorted(made)
    assert [row.id for row in shares.made_by(1, made[1], 2)] == made[2:4] and shares.made_by(2, 0, 9) == []
    assert len(shares.of_bucket(bucket.id, (b"", 0), 9, key=b"a")) == 2 and shares.of_bucket(bucket.id, (b"", 0), 9, created_by=2) == []
