"""Object lock: what the bucket says, and where the lock of a version comes from."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.s3.asking import refused, upload
from tests.s3.locks import DAY, content_md5, put, retain, soon
from tests.s3.raw import UNSIGNED


@pytest.fixture
def default(s3, locked):
    """``default(Mode=…, Days=…)`` sets the default retention."""

    def put(**retention):
        rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
        s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"} | rule)

    return put


# ---- the bucket -------------------------------------------------------------------------------------------------------------------------


def test_a_bucket_made_with_object_lock_has_versioning_for_good(s3, locked):
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    with refused("InvalidBucketState", status=409):
        s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Suspended"})
    s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"


def test_a_bucket_without_object_lock(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    with refused("ObjectLockConfigurationNotFoundError", status=404):
        s3.get_object_lock_configuration(Bucket=bucket)
    calls = [
        lambda: retain(s3, bucket, soon()), lambda: s3.get_object_retention(Bucket=bucket, Key="k"),
        lambda: s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"}),
        lambda: s3.get_object_legal_hold(Bucket=bucket, Key="k"),
        lambda: s3.put_object(Bucket=bucket, Key="n", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon()),
        lambda: s3.put_object(Bucket=bucket, Key="n", ObjectLockLegalHoldStatus="OFF"),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="n", ObjectLockLegalHoldStatus="ON"),
        lambda: s3.copy_object(Bucket=bucket, Key="n", CopySource=f"{bucket}/k", ObjectLockLegalHoldStatus="ON"),
    ]
    for call in calls:
        with refused("InvalidRequest", status=400):
            call()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_object_lock_comes_later_only_with_versioning(s3, bucket):
    wanted = {"ObjectLockEnabled": "Enabled"}
    for status in ("", "Suspended"):
        if status:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        with refused("InvalidBucketState", status=409):
            s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == wanted


@pytest.mark.parametrize("retention", [{"Mode": "GOVERNANCE", "Days": 1}, {"Mode": "COMPLIANCE", "Years": 100}])
def test_the_default_retention_is_returned_and_no_rule_clears_it(s3, locked, default, retention):
    default(**retention)
    answer = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert answer == {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    default()
    assert "Rule" not in s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]


@pytest.mark.parametrize(("document", "code"), [
    ("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>", "MalformedXML"),
    ("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention/></Rule>", "MalformedXML"),
    ("<ObjectLockEnabled>Disabled</ObjectLockEnabled>", "MalformedXML"),
    ("", "MalformedXML"),
    ("<Mode>GOVERNANCE</Mode>", "MalformedXML"),
    ("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", "MalformedXML"),
    ("<Mode>governance</Mode><Days>1</Days>", "MalformedXML"),
    ("<Days>1</Days>", "MalformedXML"),
    ("<Mode>GOVERNANCE</Mode><Days>many</Days>", "MalformedXML"),
    ("<Mode>GOVERNANCE</Mode><Days>0</Days>", "InvalidRetentionPeriod"),
    ("<Mode>GOVERNANCE</Mode><Years>-1</Years>", "InvalidRetentionPeriod"),
    ("<Mode>GOVERNANCE</Mode><Days>36501</Days>", "InvalidRetentionPeriod"),
    ("<Mode>GOVERNANCE</Mode><Years>101</Years>", "InvalidRetentionPeriod"),
])
def test_a_configuration_that_cannot_be_changes_nothing(s3, raw, locked, default, document, code):
    default(Mode="GOVERNANCE", Days=3)
    if document.startswith(("<Mode>", "<Days>")):
        document = f"<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>{document}</DefaultRetention></Rule>"
    body = f"<ObjectLockConfiguration>{document}</ObjectLockConfiguration>".encode()
    answer = raw("PUT", f"/{locked}?object-lock", [content_md5(body)], body)
    assert (answer.status, answer.code) == (400, code), answer
    kept = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert kept["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 3}


# ---- where locks come from --------------------------------------------------------------------------------------------------------------


def test_a_put_may_bring_its_lock_and_reads_show_it(s3, locked):
    until = soon()
    put(s3, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until, ObjectLockLegalHoldStatus="ON")
    for reply in (s3.head_object(Bucket=locked, Key="k"), s3.get_object(Bucket=locked, Key="k")):
        shown = reply["ObjectLockMode"], reply["ObjectLockRetainUntilDate"], reply["ObjectLockLegalHoldStatus"]
        assert shown == ("GOVERNANCE", until, "ON")
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"] == {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "ON"}


def test_without_a_lock_there_is_none(s3, locked):
    put(s3, locked)
    with refused("NoSuchObjectLockConfiguration", status=404):
        s3.get_object_retention(Bucket=locked, Key="k")
    with refused("NoSuchObjectLockConfiguration", status=404):
        s3.get_object_legal_hold(Bucket=locked, Key="k")
    assert not [name for name in s3.head_object(Bucket=locked, Key="k") if name.startswith("ObjectLock")]


def test_the_default_retention_is_given_to_every_kind_of_write(s3, locked, default):
    early = s3.create_multipart_upload(Bucket=locked, Key="early")["UploadId"]
    default(Mode="GOVERNANCE", Days=2)
    put(s3, locked, "put")
    s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/put")
    upload(s3, locked, "parts", b"data")
    part = s3.upload_part(Bucket=locked, Key="early", UploadId=early, PartNumber=1, Body=b"data")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=locked, Key="early", UploadId=early, MultipartUpload=parts)
    for key in ("put", "copy", "parts", "early"):
        retention = s3.get_object_retention(Bucket=locked, Key=key)["Retention"]
        assert retention["Mode"] == "GOVERNANCE" and abs(retention["RetainUntilDate"] - datetime.now(UTC) - 2 * DAY) < DAY / 24, key
    hold = put(s3, locked, "held", ObjectLockLegalHoldStatus="ON")
    assert s3.head_object(Bucket=locked, Key="held", VersionId=hold)["ObjectLockMode"] == "GOVERNANCE"


def test_what_the_request_says_goes_before_the_default(s3, locked, default):
    default(Mode="COMPLIANCE", Years=1)
    until = soon()
    put(s3, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    upload(s3, locked, "parts", b"data", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    for key in ("k", "parts"):
        assert s3.get_object_retention(Bucket=locked, Key=key)["Retention"] == {"Mode": "GOVERNANCE", "RetainUntilDate": until}


def test_a_copy_has_no_lock_but_its_own(s3, locked):
    put(s3, locked, ObjectLockLegalHoldStatus="ON")
    s3.copy_object(Bucket=locked, Key="plain", CopySource=f"{locked}/k")
    with refused("NoSuchObjectLockConfiguration"):
        s3.get_object_legal_hold(Bucket=locked, Key="plain")
    s3.copy_object(Bucket=locked, Key="held", CopySource=f"{locked}/k", ObjectLockLegalHoldStatus="ON")
    assert s3.get_object_legal_hold(Bucket=locked, Key="held")["LegalHold"] == {"Status": "ON"}


@pytest.mark.parametrize(("headers", "code"), [
    ([("x-amz-object-lock-mode", "GOVERNANCE")], "InvalidArgument"),
    ([("x-amz-object-lock-retain-until-date", "2099-01-01T00:00:00Z")], "InvalidArgument"),
    ([("x-amz-object-lock-mode", "governance"), ("x-amz-object-lock-retain-until-date", "2099-01-01T00:00:00Z")], "InvalidArgument"),
    ([("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", "soon")], "InvalidArgument"),
    ([("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", "2019-01-01T00:00:00Z")], "InvalidArgument"),
    ([("x-amz-object-lock-legal-hold", "on")], "InvalidArgument"),
])
def test_lock_headers_that_cannot_be(raw, s3, locked, headers, code):
    for method, target in (("PUT", "k"), ("POST", "k?uploads")):
        answer = raw(method, f"/{locked}/{target}", [*headers, content_md5(b"")])
        assert (answer.status, answer.code) == (400, code), answer
    assert s3.list_objects_v2(Bucket=locked)["KeyCount"] == 0 and "Uploads" not in s3.list_multipart_uploads(Bucket=locked)


def test_a_put_with_a_lock_needs_a_digest(raw, locked):
    lock = ("x-amz-object-lock-legal-hold", "ON")
    answer = raw("PUT", f"/{locked}/k", [lock], b"data", sha256=UNSIGNED)
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer
    assert raw("PUT", f"/{locked}/k", [lock, content_md5(b"data")], b"data", sha256=UNSIGNED).status == 200
    assert raw("PUT", f"/{locked}/k", [lock], b"data").status == 200
