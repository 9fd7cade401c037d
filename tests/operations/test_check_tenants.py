"""`maxiofs check` and tenants: what they use is compared with a recount, and mended only when asked."""

from types import SimpleNamespace

import pytest

from shared import check as checking
from shared.blobs.disk import DiskEngine
from shared.meta import buckets, database, objects
from shared.meta.content import NewBlob
from shared.meta.identity_models import Tenant
from shared.meta.models import Principal
from shared.meta.objects import NewVersion


@pytest.fixture
def check(tmp_path):
    """An installation whose tenant 7 has one object of 5 bytes; a call checks it."""
    database.connect("", tmp_path)
    database.migrate()
    engine = DiskEngine(tmp_path)
    app = SimpleNamespace(services=SimpleNamespace(engine=engine, settings=SimpleNamespace(sweep_delay_s=3600)))
    with database.session():
        Tenant.insert(id=7, name="acme", created_ms=1).execute()
        Principal.insert(id=70, canonical_id="c", name="ann", created_ms=1, tenant_id=7).execute()
        bucket, _ = buckets.create("photos", 70)
        objects.put(bucket.id, NewVersion(b"k", 5, "5d41402abc4b2a76b9719d911017c592", 70, new_blob=NewBlob(b"b" * 16, 5, b"hello")))
        yield lambda repair=False: checking.check(app, repair, lambda *_: None)
    engine.close()
    database.dispose()


def test_a_tenant_that_is_right_is_not_mentioned(check):
    report = check()
    assert report.ok and report.findings == []


def test_a_usage_that_is_off_is_wrong_until_it_is_repaired(check):
    Tenant.update(bytes=2, objects=4).execute()
    report = check()
    assert not report.ok
    assert [(found.kind, found.examples) for found in report.findings] == [("tenants", ["acme: off by 3 bytes, -3 objects"])]
    assert check(repair=True).ok
    assert check().findings == []
    assert Tenant.select(Tenant.bytes, Tenant.objects).tuples().first() == (5, 1)


def test_buckets_of_a_tenant_that_is_gone_are_named(check):
    Tenant.delete().execute()
    report = check(repair=True)
    assert not report.ok
    assert [(found.kind, found.examples) for found in report.findings] == [("estranged", ["photos"])]
