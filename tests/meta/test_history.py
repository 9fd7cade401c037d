"""The life of keys against a dict, step by step: versions, markers, what is current, counters and blob references."""

import os
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from shared.bucket_errors import BucketNotEmpty
from shared.meta import buckets, content, counters, listing, models, objects, uploads
from shared.meta.content import NewBlob
from shared.meta.database import connection
from shared.meta.models import VERSIONING_ENABLED, VERSIONING_OFF, VERSIONING_SUSPENDED, Blob, Object, Part, Segment, Version
from shared.meta.objects import NewVersion, SourceGone
from shared.meta.uploads import Assembly, PartInfo, UploadInfo

KEYS = [b"a", b"a/b", b"\x00", "é".encode()]


@dataclass
class Expected:
    """One version as the model has it."""

    version_id: str
    etag: str
    size: int
    is_marker: bool


def recounted_references():
    """How often each blob is held, counted from scratch."""
    held = {}
    for table in (Object, Version, Segment):
        for (blob_id,) in table.select(table.blob_id).where(table.blob_id.is_null(False)).tuples():
            held[bytes(blob_id)] = held.get(bytes(blob_id), 0) + 1
    return held


def check_consistency(bucket_ids):
    """Counters and references equal a recount; freed is what nobody holds; every version has all its bytes."""
    for bucket_id in bucket_ids:
        def sizes(table, bucket_id=bucket_id):
            return [size for (size,) in table.select(table.size).where(table.bucket_id == bucket_id).tuples()]

        pending = models.Upload.select(models.Upload.id).where(models.Upload.bucket_id == bucket_id)
        parts = [size for (size,) in Part.select(Part.size).where(Part.body_id.in_(pending)).tuples()]
        totals = counters.totals(bucket_id)
        assert totals == (len(sizes(Object)), len(sizes(Version)), sum(sizes(Object)) + sum(sizes(Version)), sum(parts))
    held = recounted_references()
    for blob_id, refs, freed_ms, data in Blob.select(Blob.id, Blob.refs, Blob.freed_ms, Blob.data).tuples():
        assert refs == held.pop(bytes(blob_id), 0)
        assert (freed_ms is not None) == (refs == 0)
        assert data is None or refs > 0 or freed_ms is not None
    assert not held
    bodies = set()
    for table in (Object, Version):
        for body_id, size in table.select(table.body_id, table.size).where(table.body_id.is_null(False)).tuples():
            assert body_id not in bodies
            bodies.add(body_id)
            assert sum(piece.length for piece in content.located(bytes(body_id), 0, size - 1)) == size
    alive = bodies | {upload_id for (upload_id,) in models.Upload.select(models.Upload.id).tuples()}
    assert {body for (body,) in Part.select(Part.body_id).distinct().tuples()} <= alive
    assert {body for (body,) in Segment.select(Segment.body_id).distinct().tuples()} <= alive


class Histories(RuleBasedStateMachine):
    """``model[key]`` is the list of versions of a key, newest first."""

    opened = None

    @initialize(versioning=st.sampled_from([VERSIONING_OFF, VERSIONING_ENABLED]))
    def begin(self, versioning):
        self.opened.empty()
        self.bucket, _ = buckets.create("machine", 1)
        self.versioning = VERSIONING_OFF
        self.model = {key: [] for key in KEYS}
        self.names = 0
        if versioning != VERSIONING_OFF:
            self.set_versioning(versioning)

    @rule(versioning=st.sampled_from([VERSIONING_ENABLED, VERSIONING_SUSPENDED]))
    def set_versioning(self, versioning):
        buckets.set_versioning(self.bucket, versioning)
        self.versioning = versioning

    def _etag(self):
        self.names += 1
        return f"etag{self.names}"

    def _superseded(self, key, version):
        """The model's put: the null version is replaced wherever it stands."""
        if self.versioning != VERSIONING_ENABLED:
            self.model[key] = [old for old in self.model[key] if old.version_id != "null"]
        self.model[key].insert(0, version)

    def _check_id(self, written_id):
        """What a write says: S3 names versions only while versioning is enabled."""
        if self.versioning == VERSIONING_ENABLED:
            assert len(written_id) == 32
        else:
            assert written_id is None
        return written_id or "null"

    @rule(key=st.sampled_from(KEYS), size=st.sampled_from([0, 3, 100]), inline=st.booleans())
    def put(self, key, size, inline):
        etag = self._etag()
        blob = NewBlob(os.urandom(16), size, b"x" * size if inline else None) if size else None
        written = objects.put(self.bucket.id, NewVersion(key=key, size=size, etag=etag, owner_id=1, new_blob=blob))
        self._superseded(key, Expected(self._check_id(written.version_id), etag, size, False))

    @rule(key=st.sampled_from(KEYS), numbers=st.sets(st.integers(1, 5), min_size=1), keep=st.integers(1, 5), copies=st.booleans())
    def multipart(self, key, numbers, keep, copies):
        upload_id = os.urandom(16)
        uploads.create(UploadInfo(upload_id, self.bucket.id, key, 1, 1, None, {}, {}, None, None))
        for number in [*sorted(numbers), min(numbers)]:         # the first one twice: replaced
            small = NewBlob(os.urandom(16), 4, b"four") if copies else NewBlob(os.urandom(16), 7)
            uploads.put_part(upload_id, PartInfo(number, small.size, "p", 1, None, None, None), small)
        etag, chosen = self._etag(), sorted(numbers)[:keep]

        def assemble(_upload, parts):
            size = sum(part.size for part in parts if part.number in chosen)
            return Assembly(chosen, size, etag, None, None)

        def complete(reply):
            return uploads.complete(upload_id, self.bucket.id, key, b"digest", assemble=assemble, reply=reply)

        finished, again = complete(lambda a, w: {"v": w.version_id, "n": a.size}), complete(lambda a, w: {})
        assert not finished.repeated and again.repeated and again.reply == finished.reply
        self._superseded(key, Expected(self._check_id(finished.reply["v"]), etag, finished.reply["n"], False))

    @rule(key=st.sampled_from(KEYS))
    def begin_upload_and_abort(self, key):
        upload_id = os.urandom(16)
        uploads.create(UploadInfo(upload_id, self.bucket.id, key, 1, 1, None, {}, {}, None, None))
        uploads.put_part(upload_id, PartInfo(1, 9, "p", 1, None, None, None), NewBlob(os.urandom(16), 9))
        uploads.abort(upload_id)

    @rule(source=st.sampled_from(KEYS), key=st.sampled_from(KEYS))
    def copy(self, source, key):
        found = objects.find(self.bucket.id, source, with_data=True)
        if found is None or found.is_marker:
            return
        etag = self._etag()
        new = NewVersion(key=key, size=found.size, etag=etag, owner_id=1, shared_blob=found.blob_id)
        if found.body_id is not None:
            new.shared_body, new.body_id = found.body_id, os.urandom(16)
        written = objects.put(self.bucket.id, new)
        self._superseded(key, Expected(self._check_id(written.version_id), etag, found.size, False))

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key):
        deleted = objects.delete(self.bucket.id, key, None, 1)
        if self.versioning == VERSIONING_OFF:
            self.model[key] = []
            assert deleted == (None, False)
        else:
            assert deleted.is_marker
            assert (deleted.version_id == "null") == (self.versioning == VERSIONING_SUSPENDED)
            self._superseded(key, Expected(deleted.version_id, "", 0, True))

    @rule(key=st.sampled_from(KEYS), index=st.integers(0, 4))
    def delete_version(self, key, index):
        versions = self.model[key]
        if index >= len(versions):
            assert objects.delete(self.bucket.id, key, "no-such-version", 1) == ("no-such-version", False)
            return
        gone = versions.pop(index)
        assert objects.delete(self.bucket.id, key, gone.version_id, 1) == (gone.version_id, gone.is_marker)

    @precondition(lambda self: any(self.model.values()))
    @rule()
    def a_bucket_in_use_is_not_deleted(self):
        with pytest.raises(BucketNotEmpty):
            buckets.delete(self.bucket)

    @invariant()
    def found_as_expected(self):
        if not hasattr(self, "model"):
            return
        for key, versions in self.model.items():
            newest = objects.find(self.bucket.id, key, versioned=self.versioning != VERSIONING_OFF)
            assert (newest is None) == (not versions)
            if newest:
                expected = versions[0]
                assert (newest.version_id, newest.etag, bool(newest.is_marker)) == (expected.version_id, expected.etag, expected.is_marker)
                assert bool(newest.is_current) != bool(newest.is_marker)
            for expected in versions:
                found = objects.find(self.bucket.id, key, expected.version_id, with_data=True)
                assert (found.etag, found.size, bool(found.is_marker)) == (expected.etag, expected.size, expected.is_marker)
                assert sum(piece.length for piece in found.located(0, found.size - 1)) == found.size
            assert objects.find(self.bucket.id, key, "no-such-version") is None

    @invariant()
    def listed_as_expected(self):
        if not hasattr(self, "model"):
            return
        page = listing.all_versions(self.bucket.id, b"", b"", (b"", None), 1000)
        expected = [(key, v.version_id, v.is_marker, n == 0) for key in sorted(self.model) for n, v in enumerate(self.model[key])]
        assert [(row.key, row.version_id, bool(row.is_marker), bool(row.is_latest)) for row in page.rows] == expected
        current = listing.current_objects(self.bucket.id, b"", b"", b"", 1000)
        assert [row.key for row in current.rows] == [key for key, of in sorted(self.model.items()) if of and not of[0].is_marker]

    @invariant()
    def everything_adds_up(self):
        if hasattr(self, "model"):
            check_consistency([self.bucket.id])


def test_random_histories_agree_with_a_dict(database):
    if database.is_sqlite:
        connection().execute("PRAGMA synchronous = off")
    machine = type("OpenedHistories", (Histories,), {"opened": database})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)),
    )


def test_a_key_copied_onto_itself_keeps_its_bytes(bucket):
    objects.put(bucket.id, NewVersion(key=b"k", size=4, etag="1", owner_id=1, new_blob=NewBlob(b"b" * 16, 4, b"four")))
    objects.put(bucket.id, NewVersion(key=b"k", size=4, etag="2", owner_id=1, shared_blob=b"b" * 16))
    assert objects.find(bucket.id, b"k", with_data=True).data == b"four"
    check_consistency([bucket.id])


@pytest.mark.parametrize("inline", [True, False])
def test_what_was_freed_is_never_revived(bucket, inline):
    blob = NewBlob(os.urandom(16), 4, b"four" if inline else None)
    objects.put(bucket.id, NewVersion(key=b"k", size=4, etag="1", owner_id=1, new_blob=blob))
    objects.delete(bucket.id, b"k", None, 1)
    with pytest.raises(SourceGone):
        objects.put(bucket.id, NewVersion(key=b"copy", size=4, etag="1", owner_id=1, shared_blob=blob.id))
    assert objects.find(bucket.id, b"copy") is None
    check_consistency([bucket.id])


def _completed(bucket, key, sizes):
    upload_id = os.urandom(16)
    uploads.create(UploadInfo(upload_id, bucket.id, key, 1, 1, None, {}, {}, None, None))
    for number, size in enumerate(sizes, 1):
        uploads.put_part(upload_id, PartInfo(number, size, "p", 1, None, None, None), NewBlob(os.urandom(16), size))
    numbers = list(range(1, len(sizes) + 1))
    whole = Assembly(numbers, sum(sizes), "e", None, None)
    uploads.complete(upload_id, bucket.id, key, b"", assemble=lambda _u, _p: whole, reply=lambda _a, _w: {})
    return objects.find(bucket.id, key)


def test_a_body_whose_bytes_are_going_is_not_shared(bucket):
    """Also when its parts are still to be seen: the sweeper may have begun."""
    found = _completed(bucket, b"k", [5, 6])
    Blob.update(refs=0, freed_ms=1).where(Blob.size == 6).execute()
    with pytest.raises(SourceGone):
        objects.put(bucket.id, NewVersion(key=b"copy", size=11, etag="e", owner_id=1, shared_body=found.body_id, body_id=os.urandom(16)))
    assert objects.find(bucket.id, b"copy") is None
    assert Blob.select().where((Blob.refs == 0) & Blob.freed_ms.is_null(False)).count() == 1


def test_a_body_that_lost_segments_is_not_shared(bucket):
    """As when its deletion commits between copying the parts and copying the segments."""
    found = _completed(bucket, b"k", [5, 6])
    Segment.delete().where(Segment.part_number == 2).execute()
    with pytest.raises(SourceGone):
        objects.put(bucket.id, NewVersion(key=b"copy", size=11, etag="e", owner_id=1, shared_body=found.body_id, body_id=os.urandom(16)))


def test_reading_a_body_that_was_deleted_since_it_was_found_says_so(bucket):
    found = _completed(bucket, b"k", [5, 6])
    objects.delete(bucket.id, b"k", None, 1)
    with pytest.raises(SourceGone):
        found.located(0, 10)


@pytest.mark.parametrize("first, last", [(0, 29), (0, 0), (9, 10), (10, 10), (29, 29), (5, 25), (10, 19)])
def test_a_range_of_a_body_is_cut_to_its_segments(bucket, first, last):
    found = _completed(bucket, b"k", [10, 10, 10])
    stretches = found.located(first, last)
    assert sum(stretch.length for stretch in stretches) == last + 1 - first
    assert stretches[0].offset == first % 10
    assert len(stretches) == last // 10 - first // 10 + 1


def test_a_data_key_given_with_the_blob_is_stored(bucket):
    blob = NewBlob(b"b" * 16, 4, wrapped_key=b"key", key_version=3)
    objects.put(bucket.id, NewVersion(key=b"k", size=4, etag="1", owner_id=1, new_blob=blob))
    found = objects.find(bucket.id, b"k")
    assert (bytes(found.wrapped_key), found.key_version) == (b"key", 3)
