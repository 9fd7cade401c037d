"""Object lock: the other ways to write, where a lock must neither be lost nor come without leave."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
import requests

from shared.auth.presign import Signer, presigned
from tests import people
from tests.people import allow, deny
from tests.s3.asking import read, refused, upload
from tests.s3.locks import DAY, content_md5, put, soon, stays

UNTIL = "2099-01-01T00:00:00Z"
LOCK = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": UNTIL, "x-amz-object-lock-legal-hold": "ON"}


@pytest.fixture
def default(s3, locked):
    """The bucket has a default retention."""
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
    return "COMPLIANCE", datetime.now(UTC) + 3 * DAY


def lock_of(s3, bucket, key):
    found = s3.head_object(Bucket=bucket, Key=key)
    return found.get("ObjectLockMode"), found.get("ObjectLockRetainUntilDate"), found.get("ObjectLockLegalHoldStatus")


def post(server, bucket, fields, *, policy=None, signer=None):
    conditions = [{name: value} for name, value in fields.items()]
    made = (signer or server.client()).generate_presigned_post(bucket, "k", Fields=fields, Conditions=policy or conditions)
    return requests.post(made["url"], data=made["fields"], files={"file": ("k", b"data")}, timeout=30)


# ---- forms ------------------------------------------------------------------------------------------------------------------------------


def test_a_form_may_lock_what_it_brings(server, s3, locked):
    md5 = dict([content_md5(b"data")])
    assert post(server, locked, LOCK | md5).status_code == 204
    assert lock_of(s3, locked, "k") == ("COMPLIANCE", datetime(2099, 1, 1, tzinfo=UTC), "ON")


def test_a_lock_in_a_form_needs_a_digest_and_the_permission(server, s3, locked):
    assert b"InvalidRequest" in post(server, locked, LOCK).content
    writer = people.make_user(server, policies=[allow("s3:PutObject", on=f"arn:aws:s3:::{locked}/*")]).client(server)
    md5 = dict([content_md5(b"data")])
    assert post(server, locked, LOCK | md5, signer=writer).status_code == 403
    assert "Versions" not in s3.list_object_versions(Bucket=locked)


def test_what_a_form_brings_gets_the_default_retention(server, s3, locked, default):
    assert post(server, locked, {}).status_code == 204
    mode, until, hold = lock_of(s3, locked, "k")
    assert (mode, hold) == ("COMPLIANCE", None) and abs(until - default[1]) < DAY / 24


# ---- presigned URLs ---------------------------------------------------------------------------------------------------------------------


def url(server, method, path, query, who=None):
    signer = Signer(*(who or (server.access_key, server.secret_key)), "us-east-1")
    return presigned(signer, method, server.url, path, query, now_s=time.time(), expires_s=60)


def test_a_lock_in_the_query_of_a_presigned_url_counts(server, s3, locked):
    """SDKs move these headers there."""
    reply = requests.put(url(server, "PUT", f"/{locked}/k", LOCK), data=b"data", headers=dict([content_md5(b"data")]), timeout=30)
    assert reply.status_code == 200, reply.text
    assert lock_of(s3, locked, "k") == ("COMPLIANCE", datetime(2099, 1, 1, tzinfo=UTC), "ON")


def test_a_presigned_url_passes_over_nothing_that_its_maker_may_not(server, s3, locked):
    version = put(s3, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon())
    on = [f"arn:aws:s3:::{locked}", f"arn:aws:s3:::{locked}/*"]
    who = people.make_user(server, policies=[allow("s3:*", on=on), deny("s3:BypassGovernanceRetention", on=on)])
    query = {"versionId": version, "x-amz-bypass-governance-retention": "true"}
    target = f"/{locked}/k"
    refusal = requests.delete(url(server, "DELETE", target, query, (who.access_key, who.secret_key)), timeout=30)
    assert refusal.status_code == 403
    without = url(server, "DELETE", target, {"versionId": version})
    assert requests.delete(without, timeout=30).status_code == 403      # root may, but the URL does not say so
    added = requests.delete(without, headers={"x-amz-bypass-governance-retention": "true"}, timeout=30)
    assert added.status_code == 403, added.text                     # nor does its holder get to say it
    assert requests.delete(url(server, "DELETE", target, query), timeout=30).status_code == 204


# ---- parts, copies, overwrites ----------------------------------------------------------------------------------------------------------


def test_every_new_version_has_a_lock_of_its_own(s3, locked, default):
    first = put(s3, locked)
    second = put(s3, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon())
    upload(s3, locked, "k", b"data")
    s3.copy_object(Bucket=locked, Key="k", CopySource=f"{locked}/k", MetadataDirective="REPLACE", Metadata={"a": "1"})
    s3.rename_object(Bucket=locked, Key="n", RenameSource=f"{locked}/k")
    for version in s3.list_object_versions(Bucket=locked)["Versions"]:
        kept = {"Bucket": locked, "Key": version["Key"], "VersionId": version["VersionId"]}
        mode = s3.get_object_retention(**kept)["Retention"]["Mode"]
        assert mode == ("GOVERNANCE" if version["VersionId"] == second else "COMPLIANCE")
        with refused("AccessDenied", status=403):
            s3.delete_object(**kept, BypassGovernanceRetention=mode == "COMPLIANCE")
    assert len(s3.list_object_versions(Bucket=locked)["Versions"]) == 5
    stays(s3, locked, first)


def test_what_one_reads_of_a_lock_one_may_write_again(s3, locked, default):
    """A date that is shown shorter than it is would be refused as shorter."""
    put(s3, locked)
    for until in (s3.get_object_retention(Bucket=locked, Key="k")["Retention"]["RetainUntilDate"], lock_of(s3, locked, "k")[1]):
        s3.put_object_retention(Bucket=locked, Key="k", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})


def test_a_copy_into_a_bucket_with_object_lock_gets_its_default_and_out_of_one_nothing(s3, bucket, locked, default):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"data")
    s3.copy_object(Bucket=locked, Key="k", CopySource=f"{bucket}/plain")
    assert lock_of(s3, locked, "k")[0] == "COMPLIANCE"
    s3.copy_object(Bucket=bucket, Key="out", CopySource=f"{locked}/k")
    assert lock_of(s3, bucket, "out") == (None, None, None)
    s3.delete_object(Bucket=bucket, Key="out")
    assert read(s3, locked, "k") == b"data"


def test_tags_and_acl_of_a_locked_version_may_change(s3, locked, default):
    """As on AWS, which locks what an object is and not what it is called."""
    version = put(s3, locked)
    s3.put_object_tagging(Bucket=locked, Key="k", VersionId=version, Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    s3.delete_object_tagging(Bucket=locked, Key="k", VersionId=version)
    stays(s3, locked, version)
    assert lock_of(s3, locked, "k")[0] == "COMPLIANCE"
