"""Many writers at once, on both engines: one winner, exact counters, no half state, no deadlock."""

import os
import threading
import time

import pytest

from shared.bucket_errors import BucketNotEmpty, NoSuchBucket
from shared.errors import NoSuchUpload, PreconditionFailed
from shared.meta import buckets, content, counters, listing, locks, models, objects, uploads
from shared.meta import database as metadata
from shared.meta.content import NewBlob
from shared.meta.database import transaction
from shared.meta.models import VERSIONING_ENABLED, VERSIONING_SUSPENDED, Blob, Object, Version
from shared.meta.objects import NewVersion, SourceGone
from shared.meta.uploads import Assembly, PartInfo, UploadInfo
from tests.meta.test_history import check_consistency

THREADS = 8


def together(*works):
    """Run each in a thread of its own, started at once; returns what each returned or raised."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def run(index, work):
        try:
            metadata.connection()
            barrier.wait()
            results[index] = work()
        except Exception as error:
            results[index] = error
        finally:
            metadata.hang_up()

    threads = [threading.Thread(target=run, args=(index, work)) for index, work in enumerate(works)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert not any(thread.is_alive() for thread in threads)
    return results


def failures(results):
    return [result for result in results if isinstance(result, Exception)]


def write(bucket, key, etag="e", size=4, condition=None, **more):
    more.setdefault("new_blob", NewBlob(os.urandom(16), size, b"x" * size))
    return objects.put(bucket.id, NewVersion(key=key, size=size, etag=etag, owner_id=1, **more), condition)


def must_be_new(etag):
    if etag is not None:
        raise PreconditionFailed


def begin(bucket, key):
    upload_id = os.urandom(16)
    uploads.create(UploadInfo(upload_id, bucket.id, key, 1, 1, None, {}, {}, None, None))
    return upload_id


def add_part(upload_id, number, size, blob_size=None):
    uploads.put_part(upload_id, PartInfo(number, size, f"etag{size}", 1, None, None, None), NewBlob(os.urandom(16), size))


def finish(upload_id, bucket, key):
    def assemble(_upload, parts):
        return Assembly([part.number for part in parts], sum(part.size for part in parts), "whole", None, None)

    return uploads.complete(upload_id, bucket.id, key, b"digest", assemble=assemble, reply=lambda whole, _w: {"size": whole.size})


@pytest.mark.parametrize("versioning", [models.VERSIONING_OFF, VERSIONING_ENABLED])
def test_one_of_many_conditional_creates_wins(new_bucket, versioning):
    bucket = new_bucket(versioning=versioning)
    for round_ in range(10):
        key = b"key%d" % round_
        results = together(*[lambda n=n, k=key: write(bucket, k, f"e{n}", condition=must_be_new) for n in range(THREADS)])
        assert sorted(type(result).__name__ for result in results) == ["PreconditionFailed"] * (THREADS - 1) + ["Written"]
    assert Object.select().count() == 10 and Version.select().count() == 0
    check_consistency([bucket.id])


def test_one_of_many_compare_and_swaps_wins(bucket):
    """Lost updates are what If-Match is for."""
    write(bucket, b"counter", "0")

    def increment():
        for _ in range(10):
            while True:
                seen = objects.find(bucket.id, b"counter").etag

                def unchanged(etag, seen=seen):
                    if etag != seen:
                        raise PreconditionFailed

                try:
                    write(bucket, b"counter", str(int(seen) + 1), condition=unchanged)
                    break
                except PreconditionFailed:
                    continue

    assert not failures(together(*[increment] * 4))
    assert objects.find(bucket.id, b"counter").etag == "40"


@pytest.mark.parametrize("versioning", [models.VERSIONING_OFF, VERSIONING_ENABLED, VERSIONING_SUSPENDED])
def test_writers_of_the_same_keys_leave_exact_counters(new_bucket, versioning):
    bucket = new_bucket(versioning=versioning)

    def work(n):
        for step in range(12):
            key = b"k%d" % (step % 3)
            write(bucket, key, f"{n}.{step}", size=step)
            if step % 4 == n % 4:
                objects.delete(bucket.id, key, None, 1)
            if step % 5 == n % 5 and (found := objects.find(bucket.id, key)):
                objects.delete(bucket.id, key, found.version_id, 1)

    assert not failures(together(*[lambda n=n: work(n) for n in range(THREADS)]))
    check_consistency([bucket.id])
    if versioning == VERSIONING_ENABLED:
        rows = listing.all_versions(bucket.id, b"", b"", (b"", None), 1000).rows
        assert len({(row.key, row.version_id) for row in rows}) == len(rows) == len({(row.key, row.seq) for row in rows})


def test_switching_versioning_among_writers_leaves_one_null_version_a_key(bucket):
    def work(n):
        for step in range(15):
            write(bucket, b"k", f"{n}.{step}")

    def switch():
        for step in range(10):
            buckets.set_versioning(bucket, (VERSIONING_ENABLED, VERSIONING_SUSPENDED)[step % 2])

    assert not failures(together(switch, *[lambda n=n: work(n) for n in range(4)]))
    ids = [row.version_id for row in listing.all_versions(bucket.id, b"", b"", (b"", None), 1000).rows]
    assert ids.count("null") <= 1 and len(set(ids)) == len(ids)
    check_consistency([bucket.id])


def test_a_busy_bucket_does_not_keep_its_configuration_waiting(bucket):
    """With row locks that writers share, who wants the row alone waits for a moment without writers, which may never come."""
    stop = threading.Event()

    def work(n):
        step = 0
        while not stop.is_set():
            step += 1
            write(bucket, b"%d/%d" % (n, step))

    def configure():
        time.sleep(0.3)
        started = time.monotonic()
        try:
            for step in range(6):
                buckets.set_versioning(bucket, (VERSIONING_ENABLED, VERSIONING_SUSPENDED)[step % 2])
            return time.monotonic() - started
        finally:
            stop.set()

    results = together(configure, *[lambda n=n: work(n) for n in range(10)])
    assert not failures(results)
    assert results[0] < 5


def test_a_bucket_is_never_deleted_under_a_write(database):
    for round_ in range(15):
        bucket, _ = buckets.create(f"bucket-{round_}", 1)
        deleted, written = together(lambda b=bucket: buckets.delete(b), lambda b=bucket: write(b, b"k"))
        if isinstance(written, NoSuchBucket):
            assert deleted is None
        else:
            assert isinstance(deleted, BucketNotEmpty) and not isinstance(written, Exception)
            objects.delete(bucket.id, b"k", None, 1)
            buckets.delete(bucket)
    assert Object.select().count() == 0 and models.Counter.select().count() == 0


def test_creating_and_deleting_the_same_name_never_deadlocks(database):
    def work():
        for _ in range(25):
            try:
                bucket, _ = buckets.create("contended", 1)
                buckets.delete(bucket)
            except NoSuchBucket:
                pass

    started = time.monotonic()
    assert not failures(together(*[work] * 6))
    assert time.monotonic() - started < 30
    assert models.Counter.select().count() == 16 * models.Bucket.select().count() or database.is_sqlite


def test_creating_what_exists_disturbs_no_cache(bucket):
    before = buckets.change_value()
    assert buckets.create(bucket.name, 2) == (bucket, False)
    assert buckets.change_value() == before


def test_copies_crossing_each_other_end(bucket):
    """a onto b and b onto a: each holds one blob and wants the other's. PostgreSQL ends the deadlock, we try again."""
    for key in (b"a", b"b"):
        write(bucket, key, new_blob=NewBlob(os.urandom(16), 4))

    def copy(source, target):
        for _ in range(12):
            while True:
                found = objects.find(bucket.id, source)
                try:
                    write(bucket, target, new_blob=None, shared_blob=found.blob_id)
                    break
                except SourceGone:
                    continue

    assert not failures(together(lambda: copy(b"a", b"b"), lambda: copy(b"b", b"a"), lambda: copy(b"a", b"b")))
    check_consistency([bucket.id])


def test_a_batch_of_deletes_has_all_its_keys_before_it_touches_one(bucket):
    """Or it would hold the bytes of ``a`` and want ``z``, while a copy from ``a`` to ``z`` holds ``z`` and wants the bytes."""
    held, blob_id = threading.Event(), os.urandom(16)
    write(bucket, b"a", new_blob=NewBlob(blob_id, 4))
    write(bucket, b"z")

    def copy():
        with transaction() as conn:
            locks.lock_key(conn, bucket.id, b"z")
            held.set()
            time.sleep(0.5)
            assert content.share_blob(conn, blob_id)

    def delete():
        held.wait(10)
        return objects.delete_many(bucket.id, [objects.Deletion(key) for key in (b"z", b"a")], 1)

    started = time.monotonic()
    copied, deleted = together(copy, delete)
    assert copied is None and [type(outcome).__name__ for outcome in deleted] == ["Deleted", "Deleted"]
    assert time.monotonic() - started < 1.4        # nobody waited for PostgreSQL to look for a deadlock
    assert Blob.get(Blob.id == blob_id).refs == 1


def test_copies_of_bodies_against_their_overwriting(bucket):
    """The copy has every byte or is told that its source has gone."""
    def build(key):
        upload_id = begin(bucket, key)
        for number in range(1, 5):
            add_part(upload_id, number, 10 + number)
        finish(upload_id, bucket, key)

    build(b"source")

    def copy(n):
        for step in range(8):
            found = objects.find(bucket.id, b"source")
            try:
                write(bucket, b"copy%d" % (step % 2), size=found.size, new_blob=None, shared_body=found.body_id, body_id=os.urandom(16))
            except SourceGone:
                continue

    def overwrite():
        for _ in range(8):
            build(b"source")

    assert not failures(together(overwrite, *[lambda n=n: copy(n) for n in range(3)]))
    check_consistency([bucket.id])


def test_the_same_part_from_many_threads(bucket):
    upload_id = begin(bucket, b"k")
    assert not failures(together(*[lambda n=n: add_part(upload_id, 1, 100 + n) for n in range(THREADS)]))
    (part,) = uploads.parts(upload_id)
    assert counters.totals(bucket.id).upload_bytes == part.size
    assert Blob.select().where(Blob.refs > 0).count() == 1
    check_consistency([bucket.id])


def test_abort_against_complete(bucket):
    for round_ in range(12):
        key = b"k%d" % round_
        upload_id = begin(bucket, key)
        add_part(upload_id, 1, 5)
        add_part(upload_id, 2, 6)
        completed, aborted = together(lambda u=upload_id, k=key: finish(u, bucket, k), lambda u=upload_id: uploads.abort(u))
        if isinstance(completed, NoSuchUpload):
            assert aborted is None and objects.find(bucket.id, key) is None
        else:
            assert completed.reply == {"size": 11} and isinstance(aborted, NoSuchUpload)
            assert objects.find(bucket.id, key).size == 11
        check_consistency([bucket.id])


def test_complete_against_complete(bucket):
    for round_ in range(8):
        key = b"k%d" % round_
        upload_id = begin(bucket, key)
        add_part(upload_id, 1, 5)
        results = together(*[lambda u=upload_id, k=key: finish(u, bucket, k) for _ in range(4)])
        assert not failures(results)
        assert sorted(result.repeated for result in results) == [False, True, True, True]
        assert {result.reply["size"] for result in results} == {5}
    check_consistency([bucket.id])


def test_a_late_part_against_complete(bucket):
    """The part is in the object or refused; never in neither place, never in both."""
    for round_ in range(12):
        key = b"k%d" % round_
        upload_id = begin(bucket, key)
        add_part(upload_id, 1, 5)
        late, completed = together(lambda u=upload_id: add_part(u, 1, 7), lambda u=upload_id, k=key: finish(u, bucket, k))
        assert late is None or isinstance(late, NoSuchUpload)
        assert completed.reply["size"] == (5 if late else 7) == objects.find(bucket.id, key).size
    check_consistency([bucket.id])


def test_a_version_is_found_while_it_moves_between_the_tables(new_bucket):
    """It becomes noncurrent and current again, over and over; it is there all the time."""
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    wanted = write(bucket, b"k").version_id
    stop = threading.Event()

    def move():
        try:
            for _ in range(60):
                objects.delete(bucket.id, b"k", objects.delete(bucket.id, b"k", None, 1).version_id, 1)
        finally:
            stop.set()

    def look():
        looked = 0
        while not stop.is_set():
            assert objects.find(bucket.id, b"k", wanted) is not None
            page = listing.all_versions(bucket.id, b"", b"", (b"", None), 10)
            assert [row.version_id for row in page.rows].count(wanted) == 1
            looked += 1
        return looked

    results = together(move, look, look)
    assert not failures(results)
    assert all(results[1:])


def test_an_upload_is_not_begun_in_a_bucket_that_is_gone(bucket):
    buckets.delete(bucket)
    with pytest.raises(NoSuchBucket):
        begin(bucket, b"k")


def test_upload_pages_walk_on_from_their_marker(bucket):
    ids = sorted((key, begin(bucket, key)) for key in (b"a", b"a", b"b", b"c/1", b"c/2", b"d"))
    found, after = [], None
    while page := uploads.page(bucket.id, b"", None, after, 2):
        found += [(upload.key, upload.id) for upload in page]
        after = found[-1]
    assert found == ids
    assert [upload.key for upload in uploads.page(bucket.id, b"c/", b"c0", None, 10)] == [b"c/1", b"c/2"]
