"""What tenants use: exact after every change, never beyond a limit however many race, given back by all that frees."""

import os
import threading
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from shared import recount
from shared.bucket_errors import TooManyBuckets
from shared.errors import AccessDenied, NoSuchUpload, PreconditionFailed, QuotaExceeded, S3Error
from shared.meta import buckets, counters, group, models, objects, quotas, tenants, uploads, users
from shared.meta import database as metadata
from shared.meta.content import NewBlob
from shared.meta.counters import Delta
from shared.meta.identity_models import TENANT_ACTIVE, TENANT_DELETING, TENANT_SUSPENDED, Tenant
from shared.meta.models import INSTALLATION, VERSIONING_ENABLED, VERSIONING_OFF, VERSIONING_SUSPENDED, Principal
from shared.meta.objects import NewVersion
from shared.meta.uploads import Assembly, PartInfo, UploadInfo
from tests.meta.test_history import check_consistency
from tests.meta.test_races import failures, together

WEDGE = 10      # bytes of each object in the races


def new_tenant(name="acme", **columns):
    """A tenant with one user; its ``user`` may own buckets."""
    tenant_id = 1000 + Tenant.select().count()
    Tenant.insert(id=tenant_id, name=name, created_ms=1, **columns).execute()
    user = Principal.insert(canonical_id=os.urandom(32).hex(), name=f"{name}-user", created_ms=1, tenant_id=tenant_id).execute()
    return SimpleNamespace(id=tenant_id, user=user)


def new_bucket(tenant, name="", versioning=VERSIONING_OFF):
    made, created = buckets.create(name or f"b-{os.urandom(6).hex()}", tenant.user)
    assert created
    if versioning != VERSIONING_OFF:
        buckets.set_versioning(made, versioning)
    return made


def usage(tenant):
    row = Tenant.get_by_id(tenant.id)
    return row.bytes, row.objects


def limit(tenant, **columns):
    Tenant.update(**columns).where(Tenant.id == tenant.id).execute()


def check_usage():
    """Every tenant's usage equals a recount."""
    assert [found for found in recount.tenants() if not found.is_right] == []


def write(bucket, key=b"k", size=WEDGE, **more):
    more.setdefault("new_blob", NewBlob(os.urandom(16), size, b"x" * size) if size else None)
    return objects.put(bucket.id, NewVersion(key=key, size=size, etag="e", owner_id=1, **more))


def begin(bucket, key=b"k"):
    upload_id = os.urandom(16)
    uploads.create(UploadInfo(upload_id, bucket.id, key, 1, 1, None, {}, {}, None, None))
    return upload_id


def add_part(upload_id, number, size):
    uploads.put_part(upload_id, PartInfo(number, size, f"etag{size}", 1, None, None, None), NewBlob(os.urandom(16), size))


def finish(upload_id, bucket, key=b"k", only=None):
    def assemble(_upload, parts):
        chosen = [part for part in parts if only is None or part.number in only]
        return Assembly([part.number for part in chosen], sum(part.size for part in chosen), "whole", None, None)

    return uploads.complete(upload_id, bucket.id, key, b"digest", assemble=assemble, reply=lambda whole, _w: {"size": whole.size})


@pytest.fixture
def tenant(database):
    return new_tenant()


# ---- what counts ------------------------------------------------------------------------------------------------------------


def test_a_bucket_belongs_to_the_tenant_of_its_owner(tenant):
    assert new_bucket(tenant).tenant_id == tenant.id
    assert buckets.create("of-nobody", 999_999)[0].tenant_id == INSTALLATION


@pytest.mark.parametrize("whole", [False, True])
def test_a_bucket_whose_owner_was_deleted_since_the_request_began_is_not_made(database, whole):
    """It would be the installation's: outside of the tenant, and of its quota."""
    tenant = tenants.create("leaving")
    user = users.create("leaving-ann", tenant.id)
    users.delete(user.id)
    if whole:
        tenants.delete(tenant.id)
    with pytest.raises(AccessDenied):
        buckets.create("late", user.id, tenant_id=tenant.id)
    assert buckets.find("late") is None
    other = users.create("global-bob")
    assert buckets.create("late", other.id, tenant_id=INSTALLATION)[1]


def test_overwriting_counts_the_difference(tenant):
    bucket = new_bucket(tenant)
    for size, used in ((10, (10, 1)), (25, (25, 1)), (4, (4, 1)), (4, (4, 1)), (0, (0, 1))):
        write(bucket, size=size)
        assert usage(tenant) == used
    objects.delete(bucket.id, b"k", None, 1)
    assert usage(tenant) == (0, 0)


def test_every_version_counts_and_delete_markers_do_not(tenant):
    bucket = new_bucket(tenant, versioning=VERSIONING_ENABLED)
    first, second = write(bucket, size=10), write(bucket, size=20)
    marker = objects.delete(bucket.id, b"k", None, 1)
    assert usage(tenant) == (30, 2)
    objects.delete(bucket.id, b"k", first.version_id, 1)
    assert usage(tenant) == (20, 1)
    objects.delete(bucket.id, b"k", marker.version_id, 1)
    assert usage(tenant) == (20, 1)
    objects.delete(bucket.id, b"k", second.version_id, 1)
    assert usage(tenant) == (0, 0)


def test_a_delete_marker_that_replaces_the_null_version_gives_it_back(tenant):
    bucket = new_bucket(tenant)
    write(bucket, size=10)
    buckets.set_versioning(bucket, VERSIONING_ENABLED)
    write(bucket, size=20)
    buckets.set_versioning(bucket, VERSIONING_SUSPENDED)
    objects.delete(bucket.id, b"k", None, 1)
    assert usage(tenant) == (20, 1)
    write(bucket, size=5)       # takes the marker's place
    assert usage(tenant) == (25, 2)


def test_parts_count_from_the_moment_they_are_there_and_become_the_object(tenant):
    bucket = new_bucket(tenant)
    upload_id = begin(bucket)
    add_part(upload_id, 1, 10)
    add_part(upload_id, 2, 10)
    add_part(upload_id, 2, 15)
    add_part(upload_id, 3, 100)
    assert usage(tenant) == (125, 0)
    finish(upload_id, bucket, only={1, 2})
    assert usage(tenant) == (25, 1)


def test_completing_needs_no_room_for_bytes_that_are_there_already(tenant):
    bucket = new_bucket(tenant)
    write(bucket, size=30)
    upload_id = begin(bucket)
    add_part(upload_id, 1, 70)
    limit(tenant, max_bytes=100)
    with pytest.raises(QuotaExceeded):
        add_part(upload_id, 2, 1)
    finish(upload_id, bucket)
    assert usage(tenant) == (70, 1)


def test_aborting_gives_back(tenant):
    bucket = new_bucket(tenant)
    upload_id = begin(bucket)
    add_part(upload_id, 1, 10)
    uploads.abort(upload_id)
    assert usage(tenant) == (0, 0)


def test_deleting_a_bucket_gives_its_uploads_back_once(tenant):
    bucket = new_bucket(tenant)
    upload_id = begin(bucket)
    add_part(upload_id, 1, 10)
    buckets.delete(bucket)
    assert usage(tenant) == (0, 0)
    with pytest.raises(NoSuchUpload):
        add_part(upload_id, 2, 10)
    uploads.abort(upload_id)
    assert usage(tenant) == (0, 0)


def test_copies_count_although_they_share_bytes(tenant):
    bucket = new_bucket(tenant)
    write(bucket, b"a", 10)
    blob_id = objects.find(bucket.id, b"a").blob_id
    write(bucket, b"b", 10, new_blob=None, shared_blob=blob_id)
    assert usage(tenant) == (20, 2)


def test_a_batch_of_deletes_gives_back_what_it_deleted(tenant):
    bucket = new_bucket(tenant)
    for key in (b"a", b"b", b"c"):
        write(bucket, key)

    def refuse(_etag, **_more):
        raise PreconditionFailed

    wanted = [objects.Deletion(b"c"), objects.Deletion(b"b", condition=refuse), objects.Deletion(b"a"), objects.Deletion(b"z")]
    assert [type(outcome).__name__ for outcome in objects.delete_many(bucket.id, wanted, 1)] == [
        "Deleted", "PreconditionFailed", "Deleted", "Deleted",
    ]
    assert usage(tenant) == (10, 1)


def test_the_installation_has_no_quota_and_no_row(database):
    bucket, _ = buckets.create("ours", 1)
    write(bucket, size=10)
    assert Tenant.select().count() == 0 and quotas.bytes_left(INSTALLATION) is None


# ---- limits -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versioning", [VERSIONING_OFF, VERSIONING_ENABLED])
def test_a_write_beyond_the_limit_is_refused_whole(tenant, versioning):
    bucket = new_bucket(tenant, versioning=versioning)
    write(bucket, size=60)
    limit(tenant, max_bytes=100)
    with pytest.raises(QuotaExceeded) as raised:
        write(bucket, b"other", size=41)
    assert raised.value.fields == {"Limit": "bytes"} and raised.value.status == 403
    write(bucket, b"other", size=40)
    assert usage(tenant) == (100, 2)
    assert quotas.bytes_left(tenant.id) == 0
    with pytest.raises(QuotaExceeded):
        write(bucket, b"third", size=1)
    assert objects.find(bucket.id, b"third") is None
    check_consistency([bucket.id])


def test_a_refused_overwrite_leaves_the_old_object(tenant):
    bucket = new_bucket(tenant)
    write(bucket, size=60)
    blob_id = objects.find(bucket.id, b"k").blob_id
    limit(tenant, max_bytes=100)
    with pytest.raises(QuotaExceeded):
        write(bucket, size=101)
    write(bucket, b"k2", 40)
    found = objects.find(bucket.id, b"k")
    assert (found.size, found.blob_id) == (60, blob_id)
    write(bucket, size=60)      # the same size again needs nothing
    with pytest.raises(QuotaExceeded):
        write(bucket, size=61)
    check_consistency([bucket.id])


def test_the_number_of_objects_is_limited_too(tenant):
    bucket = new_bucket(tenant, versioning=VERSIONING_ENABLED)
    limit(tenant, max_objects=2)
    write(bucket, size=0)
    write(bucket, size=0)
    with pytest.raises(QuotaExceeded) as raised:
        write(bucket, size=0)
    assert raised.value.fields == {"Limit": "objects"}
    objects.delete(bucket.id, b"k", None, 1)        # a delete marker is no object
    assert usage(tenant) == (0, 2)


def test_beyond_a_lowered_limit_deleting_and_shrinking_go_on(tenant):
    bucket = new_bucket(tenant)
    write(bucket, b"a", 50)
    write(bucket, b"b", 50)
    limit(tenant, max_bytes=10, max_objects=1)
    write(bucket, b"a", 40)
    with pytest.raises(QuotaExceeded):
        write(bucket, b"a", 41)
    objects.delete(bucket.id, b"b", None, 1)
    assert usage(tenant) == (40, 1)
    assert quotas.bytes_left(tenant.id) == 0


def test_a_copy_beyond_the_limit_leaves_the_references_as_they_were(tenant):
    bucket = new_bucket(tenant)
    write(bucket, b"a", 10)
    limit(tenant, max_bytes=15)
    with pytest.raises(QuotaExceeded):
        write(bucket, b"b", 10, new_blob=None, shared_blob=objects.find(bucket.id, b"a").blob_id)
    check_consistency([bucket.id])


def test_a_complete_that_needs_an_object_too_many_can_be_tried_again(tenant):
    bucket = new_bucket(tenant)
    write(bucket, b"a", 10)
    upload_id = begin(bucket, b"b")
    add_part(upload_id, 1, 5)
    limit(tenant, max_objects=1)
    with pytest.raises(QuotaExceeded):
        finish(upload_id, bucket, b"b")
    assert usage(tenant) == (15, 1)
    objects.delete(bucket.id, b"a", None, 1)
    assert not finish(upload_id, bucket, b"b").repeated
    assert usage(tenant) == (5, 1)
    check_consistency([bucket.id])


def test_a_complete_that_frees_bytes_passes_beyond_a_lowered_limit(tenant):
    bucket = new_bucket(tenant)
    upload_id = begin(bucket)
    add_part(upload_id, 1, 60)
    add_part(upload_id, 2, 100)
    limit(tenant, max_bytes=50)
    finish(upload_id, bucket, only={1})
    assert usage(tenant) == (60, 1)


def test_nothing_new_is_stored_for_a_tenant_that_is_being_deleted(tenant):
    bucket = new_bucket(tenant)
    write(bucket, size=10)
    limit(tenant, status=TENANT_DELETING)
    with pytest.raises(AccessDenied):
        write(bucket, b"new")
    write(bucket, size=3)
    objects.delete(bucket.id, b"k", None, 1)
    assert usage(tenant) == (0, 0)


def test_buckets_are_limited_and_names_in_use_are_said_first(tenant):
    limit(tenant, max_buckets=2)
    first = new_bucket(tenant)
    new_bucket(tenant)
    before = buckets.change_value()
    with pytest.raises(TooManyBuckets):
        new_bucket(tenant)
    assert buckets.create(first.name, tenant.user) == (first, False)
    assert buckets.change_value() == before
    buckets.delete(first)
    new_bucket(tenant)


@pytest.mark.parametrize("status", [TENANT_SUSPENDED, TENANT_DELETING])
def test_a_tenant_that_is_not_active_gets_no_bucket(tenant, status):
    limit(tenant, status=status)
    with pytest.raises(AccessDenied):
        new_bucket(tenant)
    limit(tenant, status=TENANT_ACTIVE)
    new_bucket(tenant)


# ---- moving a bucket --------------------------------------------------------------------------------------------------------


def test_a_bucket_moves_with_all_it_holds(tenant):
    other = new_tenant("other")
    bucket = new_bucket(tenant, versioning=VERSIONING_ENABLED)
    write(bucket, size=10)
    write(bucket, size=20)
    objects.delete(bucket.id, b"k", None, 1)
    add_part(begin(bucket), 1, 5)
    buckets.move(bucket.id, other.id)
    assert (usage(tenant), usage(other)) == ((0, 0), (35, 2))
    assert buckets.find(bucket.name).tenant_id == other.id
    buckets.move(bucket.id, INSTALLATION)
    assert usage(other) == (0, 0)
    buckets.move(bucket.id, tenant.id)
    assert usage(tenant) == (35, 2)
    check_usage()


def test_a_bucket_stays_where_the_other_tenant_has_no_room_for_it(tenant):
    other = new_tenant("other", max_bytes=9)
    bucket = new_bucket(tenant)
    write(bucket, size=10)
    with pytest.raises(QuotaExceeded):
        buckets.move(bucket.id, other.id)
    assert (usage(tenant), usage(other)) == ((10, 1), (0, 0))
    assert buckets.find(bucket.name).tenant_id == tenant.id


# ---- many at once -----------------------------------------------------------------------------------------------------------


def test_those_who_race_for_the_last_bytes_never_pass_the_limit(tenant):
    bucket, other = new_bucket(tenant), new_bucket(tenant)
    limit(tenant, max_bytes=10 * WEDGE + 3)

    def work(n):
        done = 0
        for step in range(4):
            try:
                write((bucket, other)[n % 2], b"%d/%d" % (n, step))
                done += 1
            except QuotaExceeded:
                continue
        return done

    results = together(*[lambda n=n: work(n) for n in range(8)])
    assert not failures(results)
    assert sum(results) == 10 and usage(tenant) == (10 * WEDGE, 10)
    check_usage()
    check_consistency([bucket.id, other.id])


def test_parts_and_objects_race_for_the_same_bytes(tenant):
    bucket = new_bucket(tenant)
    upload_id = begin(bucket)
    limit(tenant, max_bytes=5 * WEDGE)

    def parts(n):
        return add_part(upload_id, n + 1, WEDGE)

    results = together(*[lambda n=n: parts(n) for n in range(4)], *[lambda n=n: write(bucket, b"%d" % n) for n in range(4)])
    assert sorted(type(failure).__name__ for failure in failures(results)) == ["QuotaExceeded"] * 3
    assert usage(tenant)[0] == 5 * WEDGE
    check_usage()


def test_every_kind_of_change_at_once_leaves_an_exact_usage_and_no_deadlock(tenant):
    bucket = new_bucket(tenant, versioning=VERSIONING_ENABLED)
    limit(tenant, max_bytes=400, max_objects=25)

    def work(n):
        for step in range(10):
            key = b"k%d" % ((n + step) % 4)
            try:
                if step % 5 == n % 5:
                    upload_id = begin(bucket, key)
                    add_part(upload_id, 1, 7)
                    uploads.abort(upload_id) if step % 2 else finish(upload_id, bucket, key)
                elif step % 5 == (n + 1) % 5:
                    found = [objects.find(bucket.id, key) for key in (b"k0", b"k1", b"k2")]
                    wanted = [objects.Deletion(b"k%d" % i, one.version_id) for i, one in enumerate(found) if one]
                    objects.delete_many(bucket.id, wanted, 1)
                elif (found := objects.find(bucket.id, key)) and found.blob_id and step % 2:
                    write(bucket, b"k%d" % (step % 4), found.size, new_blob=None, shared_blob=found.blob_id)
                else:
                    write(bucket, key, 3 + step)
            except (QuotaExceeded, objects.SourceGone):
                continue

    assert not failures(together(*[lambda n=n: work(n) for n in range(6)]))
    check_usage()
    check_consistency([bucket.id])
    used = usage(tenant)
    assert used[0] <= 400 and used[1] <= 25


def test_a_bucket_that_is_deleted_under_its_uploads_leaves_nothing_in_the_usage(tenant):
    for _ in range(10):
        bucket = new_bucket(tenant)
        upload_id, doomed = begin(bucket), begin(bucket)
        add_part(upload_id, 1, 10)
        add_part(doomed, 1, 10)
        results = together(
            lambda b=bucket: buckets.delete(b), lambda u=upload_id: add_part(u, 2, 10), lambda u=doomed: uploads.abort(u)
        )
        assert {type(failure) for failure in failures(results)} <= {NoSuchUpload}
        assert usage(tenant) == (0, 0)


def test_buckets_never_outnumber_the_limit(tenant):
    limit(tenant, max_buckets=3)
    results = together(*[lambda: new_bucket(tenant) for _ in range(6)])
    assert sorted(type(failure).__name__ for failure in failures(results)) == ["TooManyBuckets"] * 3


def test_moving_a_bucket_under_its_writers_keeps_both_tenants_exact(tenant):
    other, bucket = new_tenant("other"), new_bucket(tenant)

    def work(n):
        for step in range(12):
            write(bucket, b"%d/%d" % (n, step % 3), 1 + step)

    def move():
        for step in range(8):
            buckets.move(bucket.id, (other, tenant)[step % 2].id)

    assert not failures(together(move, *[lambda n=n: work(n) for n in range(4)]))
    check_usage()


def test_in_a_shared_transaction_the_refused_write_fails_alone(tmp_path):
    metadata.connect("", tmp_path)
    metadata.migrate()
    try:
        with metadata.session():
            tenant = new_tenant(max_bytes=3 * WEDGE)
            bucket = new_bucket(tenant)
            outcomes = _grouped(bucket, 6)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["QuotaExceeded"] * 3 + ["Written"] * 3
            assert usage(tenant) == (3 * WEDGE, 3)
            check_usage()
            check_consistency([bucket.id])
    finally:
        metadata.dispose()


def _grouped(bucket, count):
    """Writes that all wait before the first transaction begins."""
    outcomes = [None] * count

    def run(index):
        try:
            outcomes[index] = write(bucket, b"%d" % index)
        except S3Error as error:
            outcomes[index] = error
        finally:
            metadata.hang_up()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    with group._leading:
        for thread in threads:
            thread.start()
        for _ in range(2000):
            if len(group._waiting) == count:
                break
            threading.Event().wait(0.002)
    for thread in threads:
        thread.join(20)
    return outcomes


# ---- the recount ------------------------------------------------------------------------------------------------------------


def test_a_recount_finds_and_mends_what_is_off(tenant):
    other = new_tenant("other")
    bucket = new_bucket(tenant, versioning=VERSIONING_ENABLED)
    write(bucket, size=10)
    objects.delete(bucket.id, b"k", None, 1)
    add_part(begin(bucket), 1, 5)
    assert all(found.is_right for found in recount.tenants())
    limit(tenant, bytes=7, objects=9)
    assert [found for found in recount.tenants() if not found.is_right] == [(tenant.id, "acme", 8, -8)]
    recount.correct_usage(tenant.id)
    assert usage(tenant) == (15, 1) and usage(other) == (0, 0)


def test_mending_a_buckets_counters_spends_nothing_of_the_tenants(tenant):
    bucket = new_bucket(tenant)
    write(bucket, size=10)
    with metadata.transaction() as conn:
        counters.add(conn, bucket.id, Delta(bytes=-3))
    recount.correct_counters(bucket.id)
    assert usage(tenant) == (10, 1) and counters.totals(bucket.id).bytes == 10


def test_mending_beside_writers_is_exact(tenant):
    bucket = new_bucket(tenant)
    limit(tenant, bytes=50, objects=5)

    def work(n):
        for step in range(15):
            write(bucket, b"%d/%d" % (n, step % 4), 1 + step)

    assert not failures(together(lambda: [recount.correct_usage(tenant.id) for _ in range(6)], *[lambda n=n: work(n) for n in range(4)]))
    check_usage()


def test_menders_at_once_mend_once(tenant):
    write(new_bucket(tenant), size=10)
    for round_ in range(5):
        limit(tenant, bytes=50 + round_, objects=5)
        assert not failures(together(*[lambda: recount.correct_usage(tenant.id)] * 4))
        check_usage()


# ---- any order --------------------------------------------------------------------------------------------------------------


class Usages(RuleBasedStateMachine):
    """Two tenants, three buckets, and whatever S3 can do to them; after each step usage is what a recount says, and within limits
    unless those were lowered.
    """

    opened = None

    @initialize()
    def start(self):
        self.opened.empty()
        self.tenants = [new_tenant("one", max_bytes=120, max_objects=6), new_tenant("two")]
        one, two = self.tenants
        self.buckets = [new_bucket(one), new_bucket(one, versioning=VERSIONING_ENABLED), new_bucket(two)]
        self.uploads = []

    keys, sizes, which = st.sampled_from([b"a", b"b"]), st.sampled_from([0, 1, 20, 50]), st.integers(0, 2)

    @rule(which=which, key=keys, size=sizes)
    def put(self, which, key, size):
        before = usage(self.tenants[0])
        try:
            write(self.buckets[which], key, size)
        except QuotaExceeded:
            assert which < 2 and usage(self.tenants[0]) == before

    @rule(which=which, into=which, key=keys)
    def copy(self, which, into, key):
        found = objects.find(self.buckets[which].id, key)
        if found and not found.is_marker:
            more = {"shared_blob": found.blob_id, "shared_body": found.body_id, "body_id": found.body_id and os.urandom(16)}
            try:
                write(self.buckets[into], b"a", found.size, new_blob=None, **more)
            except QuotaExceeded:
                assert into < 2

    @rule(which=which, key=keys)
    def delete(self, which, key):
        objects.delete(self.buckets[which].id, key, None, 1)

    @rule(which=which, key=keys)
    def delete_the_newest_for_good(self, which, key):
        if found := objects.find(self.buckets[which].id, key):
            objects.delete(self.buckets[which].id, key, found.version_id, 1)

    @rule(which=which, versioning=st.sampled_from([VERSIONING_ENABLED, VERSIONING_SUSPENDED]))
    def switch(self, which, versioning):
        buckets.set_versioning(self.buckets[which], versioning)

    @rule(which=which, key=keys)
    def begin(self, which, key):
        self.uploads.append((begin(self.buckets[which], key), which, key))

    @rule(index=st.integers(0, 3), number=st.integers(1, 2), size=st.sampled_from([1, 30]))
    def part(self, index, number, size):
        if index < len(self.uploads):
            try:
                add_part(self.uploads[index][0], number, size)
            except QuotaExceeded:
                assert self.uploads[index][1] < 2

    @rule(completes=st.booleans(), only=st.sampled_from([None, {1}]))
    def end(self, completes, only):
        if not self.uploads:
            return
        upload_id, which, key = self.uploads.pop(0)
        if not completes or not any(only is None or part.number in only for part in uploads.parts(upload_id)):
            uploads.abort(upload_id)
            return
        try:
            finish(upload_id, self.buckets[which], key, only)
        except QuotaExceeded:
            assert which < 2
            uploads.abort(upload_id)

    @rule(which=which, receiver=st.integers(0, 1))
    def move(self, which, receiver):
        if which == 2:      # the others stay, so that it is known who may be refused
            try:
                buckets.move(self.buckets[2].id, self.tenants[1].id if receiver else INSTALLATION)
            except S3Error as error:
                raise AssertionError from error

    @invariant()
    def usage_is_what_a_recount_says(self):
        check_usage()
        used = usage(self.tenants[0])
        assert 0 <= used[0] <= 120 and 0 <= used[1] <= 6


def test_usage_is_exact_whatever_happens(database):
    Usages.opened = database
    steps = 30 if database.is_sqlite else 20
    run_state_machine_as_test(
        Usages,
        settings=settings(
            max_examples=25 if database.is_sqlite else 10, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert models.Change.select().count() == 1
