"""A database of the first release, with data in it, becomes one of this release: on both engines, also when it is cut off on the way."""

from __future__ import annotations

import threading

import pytest
from playhouse.migrations import Runner

from shared import recount
from shared.meta import buckets, counters, models, objects, people, search, tenants, uploads, users
from shared.meta import database as metadata

ROOT_ID, BUCKET_ID, UPLOAD = 1, 2, b"\1" * 16


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request, tmp_path):
    """Two objects, one of them with a history, and an upload with a part, as the first release wrote them."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").fresh_database()
    metadata.connect(url, tmp_path)
    with metadata.session():
        Runner(models.db.obj, str(metadata.MIGRATIONS), table_name="schema_migration").up("0001_initial")
        fill()
        yield url
    metadata.dispose()


def insert(table, **columns):
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join([models.db.param] * len(columns))
    models.db.execute_sql(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(columns.values()))


def fill():
    models.db.execute_sql("UPDATE change SET value = 2")
    insert("principal", id=ROOT_ID, canonical_id="c" * 64, name="root", is_root=True, created_ms=1)
    insert("access_key", id="AKIAOLD", principal_id=ROOT_ID, sealed_secret=b"sealed", is_active=True, created_ms=1)
    insert("bucket", id=BUCKET_ID, name=b"photos", owner_id=ROOT_ID, created_ms=1, versioning=models.VERSIONING_ENABLED)
    insert("counter", bucket_id=BUCKET_ID, shard=0, objects=2, versions=2, bytes=12, upload_bytes=5)
    for shard in range(1, counters.shards()):
        insert("counter", bucket_id=BUCKET_ID, shard=shard, objects=0, versions=0, bytes=0, upload_bytes=0)
    common = {"bucket_id": BUCKET_ID, "mtime_ms": 1, "etag": "e", "owner_id": ROOT_ID, "metadata": '{"by":"ann"}'}
    for number, key in enumerate((b"a", b"b")):
        insert("object", **common, key=key, seq=-2, version_id=f"new{number}", size=4, blob_id=bytes([number]) * 16)
        insert("blob", id=bytes([number]) * 16, size=4, refs=1, created_ms=1, data=b"1234")
    insert("version", **common, key=b"a", seq=-1, version_id="old", size=4, blob_id=b"\7" * 16, is_marker=False)
    insert("blob", id=b"\7" * 16, size=4, refs=1, created_ms=1, data=b"1234")
    insert("version", **(common | {"etag": "", "metadata": None}), key=b"c", seq=-1, version_id="gone", size=0, is_marker=True)
    insert("upload", id=UPLOAD, bucket_id=BUCKET_ID, key=b"up", owner_id=ROOT_ID, initiated_ms=1)
    insert("part", body_id=UPLOAD, number=1, size=5, etag="e", mtime_ms=1)
    insert("segment", body_id=UPLOAD, part_number=1, position=0, blob_id=b"\6" * 16, offset=0, length=5)
    insert("blob", id=b"\6" * 16, size=5, refs=1, created_ms=1, data=b"12345")


def check():
    """All of it is there, private, the installation's, and works on."""
    root, bucket = people.root(), buckets.find("photos")
    assert (root.id, root.tenant_id, root.is_active, root.email) == (ROOT_ID, models.INSTALLATION, True, None)
    key = people.access_key("AKIAOLD")
    assert (key.is_active, key.expires_ms, key.scope) == (True, None, None)
    assert bucket == buckets.BucketInfo(BUCKET_ID, "photos", ROOT_ID, 1, models.VERSIONING_ENABLED, models.INSTALLATION, None, None,
                                        "BucketOwnerEnforced", models.ALL_BLOCKED, None, 1)
    for name, version_id in (("a", None), ("b", None), ("a", "old")):
        found = objects.find(bucket.id, name.encode(), version_id, with_data=True)
        assert (bytes(found.data), found.tags_json, found.acl_json, found.metadata) == (b"1234", None, None, {"by": "ann"})
        assert (found.lock_json, found.sse_json) == (None, None)
    upload = uploads.find(UPLOAD, bucket.id, b"up")
    assert (upload.tags, upload.lock, upload.sse) == (None, None, None)
    while search.catch_up(1):
        pass
    assert [one.key for one in search.candidates(bucket.id, ["ann"], [], 0, 10)] == [b"a", b"b"]
    tenant = tenants.create("acme")
    buckets.move(bucket.id, tenant.id)
    assert (tenants.find(tenant.id).bytes, tenants.find(tenant.id).objects) == (17, 3)
    buckets.create("more", users.create("ann", tenant.id).id)
    objects.put(bucket.id, objects.NewVersion(b"a", 0, "e", ROOT_ID))
    objects.delete(bucket.id, b"a", "old", ROOT_ID)
    uploads.abort(UPLOAD)
    assert (tenants.find(tenant.id).bytes, tenants.find(tenant.id).objects) == (8, 3)
    assert [one for one in recount.tenants() if not one.is_right] == []
    assert recount.totals(bucket.id).missing == recount.Delta()


def test_what_there_was_is_there_and_as_before(old):
    assert len(metadata.migrate()) == 3
    check()


@pytest.mark.parametrize("last", [
    'CREATE INDEX "bucket_owner_id_name"', 'INSERT INTO "search_change"', 'CREATE TABLE IF NOT EXISTS "encryption_key_version"',
    'ALTER TABLE "version" ADD COLUMN "lock"', 'ALTER TABLE "upload" ADD COLUMN "sse"',
])
def test_a_migration_that_is_cut_off_begins_anew(old, monkeypatch, last):
    real = models.db.obj.execute_sql

    def dies(sql, *more, **named):
        done = real(sql, *more, **named)
        if sql.startswith(last):
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(models.db.obj, "execute_sql", dies)
    with pytest.raises(KeyboardInterrupt):
        metadata.migrate()
    monkeypatch.undo()
    metadata.hang_up()
    metadata.connection()
    assert metadata.migrate()
    check()


def test_a_process_of_the_first_release_writes_on_meanwhile(old):
    """What it writes is indexed and has no labels: it knows neither."""
    assert metadata.migrate()
    done = []

    def work():
        with metadata.session():
            insert("blob", id=b"\5" * 16, size=4, refs=1, created_ms=1, data=b"1234")
            insert("object", bucket_id=BUCKET_ID, key=b"d", seq=-1, version_id="v", mtime_ms=1, size=4, etag="e", owner_id=ROOT_ID,
                   blob_id=b"\5" * 16, metadata='{"by":"zoe"}')
            done.append(1)

    other = threading.Thread(target=work)
    other.start()
    other.join()
    assert done
    while search.catch_up(100):
        pass
    assert [one.key for one in search.candidates(BUCKET_ID, ["zoe"], [], 0, 10)] == [b"d"]
    found = objects.find(BUCKET_ID, b"d")
    assert (found.tags_json, found.acl_json) == (None, None)
