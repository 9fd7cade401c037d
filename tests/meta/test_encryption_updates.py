"""Another kind of encryption for a version that is there, while others delete, overwrite, read and copy it: no key is ever lost."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from shared.auth.sealing import MasterKey
from shared.blobs.engine import BlobMissing
from shared.blobs.memory import MemoryEngine
from shared.encryption import updating
from shared.encryption.envelope import Envelope, Sse, load
from shared.encryption.ring import Ring
from shared.errors import KMSNotFoundException, NoSuchKey
from shared.meta import keyring, objects, uploads
from shared.meta.models import VERSIONING_OFF, VERSIONING_SUSPENDED, Object
from shared.meta.objects import NewVersion
from shared.meta.uploads import Assembly, PartInfo, UploadInfo
from shared.protocol.sse import KMS, S3
from shared.store import Copied, Store
from workflows import rewrap_keys
from workflows.registry import Run

MANAGED, NAMED = Sse(S3), Sse(KMS, "ledger")
KEY = b"k"


@pytest.fixture
def ring(database):
    made = Ring(MasterKey(os.urandom(32)))
    keyring.create("ledger", lambda version: made.sealed_new("ledger", version))
    return made


@pytest.fixture
def store(ring):
    return Store(MemoryEngine(), ring)


def put(store, bucket, body, sse=MANAGED):
    new = NewVersion(key=KEY, size=len(body), etag="e", owner_id=1, sse=sse.dump())
    store.put(bucket.id, new, Copied(len(body), body), None, Envelope(store.ring, sse))


def put_in_parts(store, bucket, *bodies, sse=MANAGED):
    upload_id = os.urandom(16)
    uploads.create(UploadInfo(upload_id, bucket.id, KEY, 1, 1, None, {}, {}, None, None, sse=sse and sse.dump()))
    for number, body in enumerate(bodies, 1):
        part = PartInfo(number, len(body), "e", 1, None, None, None)
        store.put_part(upload_id, part, Copied(len(body), body), sse and Envelope(store.ring, sse))
    size = sum(map(len, bodies))
    uploads.complete(
        upload_id, bucket.id, KEY, b"d" * 32, reply=lambda *_: {},
        assemble=lambda upload, stored: Assembly([part.number for part in stored], size, "e", None, None),
    )


def read(store, found):
    with store.open(found, 0, found.size - 1) as file:
        return file.read()


def find(bucket):
    return objects.find(bucket.id, KEY, with_data=True)


def update(store, bucket, found, target=NAMED):
    updating.update(bucket.id, KEY, found, Envelope(store.ring, load(found.sse_json)), Envelope(store.ring, target))


@pytest.mark.parametrize("versioning", [VERSIONING_OFF, VERSIONING_SUSPENDED])
@pytest.mark.parametrize("write", [put, put_in_parts])
def test_an_object_that_took_the_place_of_the_one_that_was_found_keeps_its_key(new_bucket, store, versioning, write):
    """Deleted and written again, it has the same name, the same version id and the same place: only its bytes are others."""
    bucket = new_bucket(versioning=versioning)
    write(store, bucket, b"first")
    found = find(bucket)
    objects.delete(bucket.id, KEY, "null", 1)
    write(store, bucket, b"second")
    with pytest.raises(NoSuchKey):
        update(store, bucket, found)
    assert read(store, find(bucket)) == b"second"


def test_who_found_the_parts_before_finds_them_again_or_is_told(new_bucket, store):
    """A reader, a copy and another update have the row of before and look at the envelopes of after."""
    bucket = new_bucket()
    put_in_parts(store, bucket, b"one", b"two")
    found = find(bucket)
    update(store, bucket, found)
    assert read(store, find(bucket)) == b"onetwo"
    with pytest.raises(BlobMissing):
        read(store, found)
    with pytest.raises(NoSuchKey):
        update(store, bucket, found, Sse(KMS, "ledger", bucket_key=True))
    rows = iter([found, find(bucket)])
    store.copy(lambda: next(rows), bucket.id, lambda source: NewVersion(key=b"copy", size=6, etag="e", owner_id=1), None)
    assert read(store, objects.find(bucket.id, b"copy", with_data=True)) == b"onetwo"


def test_names_that_clients_think_up_are_not_remembered(ring):
    assert ring.find("ledger").row.version == 1
    for number in range(10):
        with pytest.raises(KMSNotFoundException):
            ring.usable(f"no-such-key-{number}", 0)
    assert list(ring._known[1]) == ["ledger"]
    keyring.create("no-such-key-1", lambda version: ring.sealed_new("no-such-key-1", version))
    assert ring.usable("no-such-key-1", 0).row.version == 1


def test_a_rotation_does_not_stop_at_an_envelope_that_does_not_open(new_bucket, store, monkeypatch):
    """What is damaged is lost already; all others follow."""
    monkeypatch.setattr(rewrap_keys, "Ring", lambda _: store.ring)
    monkeypatch.setattr(rewrap_keys, "open_master_key", lambda _: None)
    buckets = [new_bucket() for _ in range(3)]
    for bucket in buckets:
        put(store, bucket, b"body", NAMED)
    Object.update(wrapped_key=b"\0" * 64).where(Object.bucket_id == buckets[1].id).execute()
    keyring.rotate("ledger", lambda version: store.ring.sealed_new("ledger", version))
    cursor, message = None, ""
    while (following := rewrap_keys.rewrap_keys(Run(1, {"key": "ledger"}, cursor, 1, 0, SimpleNamespace(settings=None)))) is not None:
        following.effect()
        cursor, message = following.cursor, following.message
    assert message == "2 data keys rewrapped, 1 do not open"
    assert [find(bucket).key_version for bucket in buckets] == [2, 1, 2]
    assert read(store, find(buckets[2])) == b"body"


@pytest.mark.parametrize("source", [MANAGED, None])
@pytest.mark.parametrize("target", [NAMED, None])
def test_an_upload_of_one_empty_part_is_copied_too(new_bucket, store, source, target):
    """It has a body, and nothing in it that has a key."""
    bucket = new_bucket()
    put_in_parts(store, bucket, b"", sse=source)
    envelope = target and Envelope(store.ring, target)
    store.copy(lambda: find(bucket), bucket.id, lambda _: NewVersion(key=b"copy", size=0, etag="e", owner_id=1), None, envelope=envelope)
    copy = objects.find(bucket.id, b"copy")
    assert (copy.size, copy.parts_count, len(uploads.parts(copy.body_id))) == (0, 1, 1)
