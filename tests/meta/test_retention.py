"""What object lock forbids, in the database: wherever a version would be removed."""

from __future__ import annotations

import time

import pytest

import shared.clock
from shared.bucket_errors import InvalidBucketState
from shared.clock import now_ms
from shared.errors import AccessDenied, NoSuchKey
from shared.meta import buckets, labels, objects, retention
from shared.meta.models import VERSIONING_ENABLED, VERSIONING_OFF, VERSIONING_SUSPENDED, Version
from shared.meta.objects import Deletion, NewVersion
from shared.meta.retention import Lock
from tests.meta.test_races import together

HELD = Lock(hold="ON").dump()
HOUR_MS = 3_600_000


def put(bucket, lock=None, key=b"k"):
    return objects.put(bucket.id, NewVersion(key=key, size=0, etag="e", owner_id=1, lock=lock)).version_id


@pytest.mark.parametrize(("lock", "protects", "bypassed"), [
    (Lock(), False, False), (Lock(hold="OFF"), False, False), (Lock(hold="ON"), True, True),
    (Lock("GOVERNANCE", 1001), True, False), (Lock("GOVERNANCE", 1000), False, False), (Lock("COMPLIANCE", 1001), True, True),
    (Lock("COMPLIANCE", 999), False, False), (Lock("GOVERNANCE", 1001, "ON"), True, True), (Lock("COMPLIANCE", 999, "ON"), True, True),
])
def test_what_protects(lock, protects, bypassed):
    assert (lock.protects(1000), lock.protects(1000, bypass=True)) == (protects, bypassed)
    assert retention.load(lock.dump()) == lock


@pytest.mark.parametrize(("was", "mode", "until", "may", "by_bypass"), [
    (Lock(), "COMPLIANCE", 2000, True, True), (Lock("COMPLIANCE", 1000), "GOVERNANCE", 1001, True, True),
    (Lock("GOVERNANCE", 2000), "GOVERNANCE", 2000, True, True), (Lock("GOVERNANCE", 2000), "GOVERNANCE", 1999, False, True),
    (Lock("GOVERNANCE", 2000), "COMPLIANCE", 3000, False, True), (Lock("GOVERNANCE", 2000), None, None, False, True),
    (Lock("COMPLIANCE", 2000), "COMPLIANCE", 2001, True, True), (Lock("COMPLIANCE", 2000), "COMPLIANCE", 1999, False, False),
    (Lock("COMPLIANCE", 2000), "GOVERNANCE", 3000, False, False), (Lock("COMPLIANCE", 2000), None, None, False, False),
])
def test_what_may_become_of_retention(was, mode, until, may, by_bypass):
    assert (was.may_become(mode, until, 1000), was.may_become(mode, until, 1000, bypass=True)) == (may, by_bypass)


@pytest.mark.parametrize("versioning", [VERSIONING_OFF, VERSIONING_SUSPENDED])
def test_even_where_versioning_is_not_enabled_a_protected_null_version_stays(new_bucket, versioning):
    """No bucket can come there, as object lock keeps versioning enabled; so this is the last line."""
    bucket = new_bucket(versioning=versioning)
    put(bucket, HELD)
    for act in (lambda: put(bucket), lambda: objects.delete(bucket.id, b"k", None, 1), lambda: objects.delete(bucket.id, b"k", "null", 1)):
        with pytest.raises(AccessDenied):
            act()
    assert objects.find(bucket.id, b"k").lock_json == HELD


def test_a_protected_null_version_in_history_is_not_replaced_and_nothing_else_is_touched(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_OFF)
    put(bucket, HELD)
    buckets.set_versioning(bucket, VERSIONING_ENABLED)
    second = put(bucket)
    buckets.set_versioning(bucket, VERSIONING_SUSPENDED)
    (refused,) = objects.delete_many(bucket.id, [Deletion(b"k")], 1)      # its transaction is kept: nothing may have been moved in it
    assert isinstance(refused, AccessDenied)
    with pytest.raises(AccessDenied):
        put(bucket)
    assert objects.find(bucket.id, b"k").version_id == second
    assert objects.find(bucket.id, b"k", "null").lock_json == HELD


def test_a_batch_bypasses_only_where_it_says_so(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    lock = Lock("GOVERNANCE", now_ms() + HOUR_MS).dump()
    one, other = put(bucket, lock, b"one"), put(bucket, lock, b"other")
    outcomes = objects.delete_many(bucket.id, [Deletion(b"one", one, bypass=True), Deletion(b"other", other)], 1)
    assert [isinstance(outcome, AccessDenied) for outcome in outcomes] == [False, True]


def test_a_lock_is_changed_by_what_stands_there(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    version = put(bucket, HELD)
    seen = objects.find(bucket.id, b"k")
    put(bucket)         # it moves into history meanwhile
    labels.relock(bucket.id, b"k", seen, lambda was, _: was._replace(mode="GOVERNANCE", until_ms=5))
    assert retention.load(objects.find(bucket.id, b"k", version).lock_json) == Lock("GOVERNANCE", 5, "ON")
    labels.relock(bucket.id, b"k", seen, lambda was, _: Lock())
    assert objects.find(bucket.id, b"k", version).lock_json is None
    objects.delete(bucket.id, b"k", version, 1)
    with pytest.raises(NoSuchKey):
        labels.relock(bucket.id, b"k", seen, lambda was, _: was)


def test_no_change_of_a_bucket_leaves_object_lock_without_versioning(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_OFF)
    with pytest.raises(InvalidBucketState):
        buckets.change(bucket, object_lock="{}")
    buckets.change(bucket, object_lock="{}", versioning=VERSIONING_ENABLED)
    for state in (VERSIONING_OFF, VERSIONING_SUSPENDED):
        with pytest.raises(InvalidBucketState):
            buckets.change(bucket, versioning=state)
    assert buckets.find(bucket.name).versioning == VERSIONING_ENABLED


@pytest.mark.parametrize("page", [1, 2, 5000])
def test_the_first_protected_version(new_bucket, monkeypatch, page):
    monkeypatch.setattr(retention, "PAGE", page)
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    version = put(bucket, HELD)
    assert retention.first_protected(bucket.id) is None      # without object lock nothing can be locked, so nothing is read
    buckets.change(bucket, object_lock="{}")
    put(bucket, Lock("GOVERNANCE", 5).dump(), b"a")
    for _ in range(3):
        put(bucket)
    assert retention.first_protected(bucket.id) == (b"k", version)
    labels.relock(bucket.id, b"k", objects.find(bucket.id, b"k", version), lambda was, _: Lock())
    assert retention.first_protected(bucket.id) is None


def test_many_locks_are_looked_at_bit_by_bit(new_bucket, monkeypatch):
    """Who looks gets no further than a step of a workflow may take, and goes on from there: nothing is passed over, nothing seen twice."""
    monkeypatch.setattr(retention, "PAGE", 2)
    monkeypatch.setattr(retention, "PAGES_AT_ONCE", 2)
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    buckets.change(bucket, object_lock="{}")
    for number in range(15):
        put(bucket, Lock("COMPLIANCE", 5).dump(), f"k{number // 3}".encode())
    looks, found = 0, None
    while looks == 0 or isinstance(found, retention.Position):
        found, looks = retention.first_protected(bucket.id, found), looks + 1
    assert (found, looks) == (None, 5)      # 5 current versions and 10 others: 3 pages and 6, the last one empty
    oldest = Version.select(Version.version_id).where(Version.key == b"k4").order_by(Version.seq.desc()).limit(1).scalar()
    labels.relock(bucket.id, b"k4", objects.find(bucket.id, b"k4", oldest), lambda was, _: Lock(hold="ON"))
    found = None
    while found is None or isinstance(found, retention.Position):
        found = retention.first_protected(bucket.id, found)
    assert found == (b"k4", oldest)


@pytest.mark.parametrize("batch", [False, True])
def test_a_hold_and_a_removal_at_once_do_not_both_come_through(new_bucket, batch):
    """The lock is looked at in the transaction that removes."""
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    for _ in range(15):
        version = put(bucket)
        found = objects.find(bucket.id, b"k")
        wish = Deletion(b"k", version)
        held, removed = together(
            lambda found=found: labels.relock(bucket.id, b"k", found, lambda was, _: was._replace(hold="ON")),
            lambda wish=wish: objects.delete_many(bucket.id, [wish], 1)[0] if batch else objects.delete(bucket.id, *wish[:2], 1),
        )
        stands = objects.find(bucket.id, b"k", version) is not None
        assert (isinstance(held, NoSuchKey), isinstance(removed, AccessDenied)) == (not stands, stands)


# ---- clocks ----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """``clock(ms)`` sets the wall clock forward."""
    real = time.time_ns
    return lambda ms: monkeypatch.setattr("shared.clock.time.time_ns", lambda: real() + ms * 1_000_000)


def test_a_clock_set_forward_frees_nothing_until_a_new_start(new_bucket, clock, caplog, monkeypatch):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    buckets.change(bucket, object_lock="{}")
    version = put(bucket, Lock("COMPLIANCE", now_ms() + HOUR_MS).dump())
    found = objects.find(bucket.id, b"k")
    clock(2 * HOUR_MS)
    assert now_ms() > retention.load(found.lock_json).until_ms
    with pytest.raises(AccessDenied):
        objects.delete(bucket.id, b"k", version, 1)
    assert "set forward 7200 s" in caplog.text
    assert retention.first_protected(bucket.id) == (b"k", version)
    told = []
    labels.relock(bucket.id, b"k", found, lambda was, at_ms: told.append(was.retains(at_ms)) or was)
    assert told == [True]
    monkeypatch.setattr("shared.clock._STARTED_MS", shared.clock._STARTED_MS + 2 * HOUR_MS)      # as a process that starts now
    assert objects.delete(bucket.id, b"k", version, 1) == (version, False)


def test_a_clock_set_back_holds_longer(new_bucket, clock, caplog):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    version = put(bucket, Lock("GOVERNANCE", now_ms() - 1).dump())
    clock(-HOUR_MS)
    with pytest.raises(AccessDenied):
        objects.delete(bucket.id, b"k", version, 1)
    assert caplog.text == ""
