"""Object lock: what it forbids, and to whom."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests import people
from tests.people import allow, deny
from tests.s3.asking import refused
from tests.s3.locks import DAY, content_md5, put, retain, soon, stays


def test_a_marker_may_cover_a_locked_version_which_stays(s3, locked):
    version = put(s3, locked)
    retain(s3, locked, soon())
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]
    stays(s3, locked, version)
    s3.delete_object(Bucket=locked, Key="k", VersionId=marker)
    stays(s3, locked, version)
    put(s3, locked)
    stays(s3, locked, version)


def test_governance_is_passed_over_by_who_says_so(s3, locked):
    version = put(s3, locked)
    retain(s3, locked, soon())
    stays(s3, locked, version)
    s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    assert "Versions" not in s3.list_object_versions(Bucket=locked)


def test_nothing_passes_over_compliance(s3, locked):
    version = put(s3, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=soon())
    stays(s3, locked, version, BypassGovernanceRetention=True)
    for mode, until in (("GOVERNANCE", soon(9999)), ("COMPLIANCE", soon(60))):
        with refused("AccessDenied", status=403):
            retain(s3, locked, until, mode, BypassGovernanceRetention=True)
    with refused("AccessDenied", status=403):
        s3.put_object_retention(Bucket=locked, Key="k", Retention={}, BypassGovernanceRetention=True)
    longer = soon(7200)
    retain(s3, locked, longer, "COMPLIANCE")
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": longer}


def test_a_legal_hold_has_no_bypass_and_no_end(s3, locked):
    version = put(s3, locked, ObjectLockLegalHoldStatus="ON")
    stays(s3, locked, version, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "OFF"}
    s3.delete_object(Bucket=locked, Key="k", VersionId=version)


def test_retention_runs_out(s3, locked):
    version = put(s3, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=soon(3))
    stays(s3, locked, version)
    time.sleep(3.2)
    retain(s3, locked, soon(), "GOVERNANCE")        # free again, so another mode may come
    s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)


def test_governance_may_become_longer_and_only_by_bypass_anything_else(s3, locked):
    version = put(s3, locked)
    retain(s3, locked, soon(100))
    until = soon(200)
    retain(s3, locked, until)
    changes = [
        {"Mode": "GOVERNANCE", "RetainUntilDate": soon(150)}, {"Mode": "COMPLIANCE", "RetainUntilDate": soon(300)}, {},
    ]
    for change in changes:
        with refused("AccessDenied", status=403):
            s3.put_object_retention(Bucket=locked, Key="k", Retention=change)
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"]["RetainUntilDate"] == until
    s3.put_object_retention(Bucket=locked, Key="k", Retention={}, BypassGovernanceRetention=True)
    with refused("NoSuchObjectLockConfiguration"):
        s3.get_object_retention(Bucket=locked, Key="k")
    s3.delete_object(Bucket=locked, Key="k", VersionId=version)


@pytest.mark.parametrize(("body", "code"), [
    ("<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
    ("<Retention><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>", "MalformedXML"),
    ("<Retention><Mode>NEVER</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>", "MalformedXML"),
    ("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-13-01</RetainUntilDate></Retention>", "MalformedXML"),
    ("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2019-01-01T00:00:00Z</RetainUntilDate></Retention>", "InvalidArgument"),
    ("<Other/>", "MalformedXML"),
])
def test_a_retention_that_cannot_be_changes_nothing(raw, s3, locked, body, code):
    put(s3, locked)
    answer = raw("PUT", f"/{locked}/k?retention", [content_md5(body.encode())], body.encode())
    assert (answer.status, answer.code) == (400, code), answer
    with refused("NoSuchObjectLockConfiguration"):
        s3.get_object_retention(Bucket=locked, Key="k")


def test_each_version_has_its_own_lock(s3, locked):
    first, second = put(s3, locked), put(s3, locked)
    s3.put_object_legal_hold(Bucket=locked, Key="k", VersionId=first, LegalHold={"Status": "ON"})
    s3.delete_object(Bucket=locked, Key="k", VersionId=second)
    stays(s3, locked, first)
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "ON"}
    with refused("NoSuchVersion", status=404):
        s3.get_object_legal_hold(Bucket=locked, Key="k", VersionId=second)
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]
    with refused("MethodNotAllowed", status=405):
        s3.put_object_legal_hold(Bucket=locked, Key="k", VersionId=marker, LegalHold={"Status": "ON"})


def test_a_batch_names_what_is_locked_and_deletes_the_rest(s3, locked):
    kept, held = put(s3, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon()), put(s3, locked, "held")
    s3.put_object_legal_hold(Bucket=locked, Key="held", LegalHold={"Status": "ON"})
    free = put(s3, locked, "free")
    wanted = {"Objects": [{"Key": key, "VersionId": one} for key, one in (("k", kept), ("held", held), ("free", free))]}
    reply = s3.delete_objects(Bucket=locked, Delete=wanted)
    assert [one["Key"] for one in reply["Deleted"]] == ["free"]
    assert [(one["Key"], one["VersionId"], one["Code"]) for one in reply["Errors"]] == [
        ("k", kept, "AccessDenied"), ("held", held, "AccessDenied")]
    assert all("object lock" in one["Message"] for one in reply["Errors"])
    reply = s3.delete_objects(Bucket=locked, Delete=wanted, BypassGovernanceRetention=True)
    assert [one["Key"] for one in reply["Errors"]] == ["held"]
    assert [one["VersionId"] for one in s3.list_object_versions(Bucket=locked)["Versions"]] == [held]


def test_a_version_older_than_object_lock_can_be_locked_too(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    retain(s3, bucket, soon())
    stays(s3, bucket, "null")


# ---- who may --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def person(server, locked):
    """``person(*statements)``: somebody's client, who may do what the policies say."""

    def make(*policies):
        return people.make_user(server, policies=policies).client(server)

    return make


def everything(bucket):
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def test_the_bypass_header_alone_passes_over_nothing(s3, locked, person):
    version = put(s3, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon())
    on = everything(locked)
    without = person(allow("s3:*", on=on), deny("s3:BypassGovernanceRetention", on=on))
    stays(without, locked, version, BypassGovernanceRetention=True)
    with refused("AccessDenied", status=403):
        retain(without, locked, soon(60), BypassGovernanceRetention=True)
    reply = without.delete_objects(
        Bucket=locked, Delete={"Objects": [{"Key": "k", "VersionId": version}]}, BypassGovernanceRetention=True)
    assert reply["Errors"][0]["Code"] == "AccessDenied"
    person(allow("s3:*", on=on)).delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)


def test_saying_something_about_the_lock_takes_permissions_of_its_own(locked, person):
    writer = person(allow("s3:PutObject", "s3:GetObject", on=everything(locked)))
    writer.put_object(Bucket=locked, Key="k", Body=b"data")
    calls = [
        lambda: writer.put_object(Bucket=locked, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon()),
        lambda: writer.put_object(Bucket=locked, Key="k", ObjectLockLegalHoldStatus="ON"),
        lambda: writer.create_multipart_upload(Bucket=locked, Key="k", ObjectLockLegalHoldStatus="ON"),
        lambda: writer.copy_object(Bucket=locked, Key="n", CopySource=f"{locked}/k", ObjectLockLegalHoldStatus="ON"),
        lambda: retain(writer, locked, soon()),
        lambda: writer.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "ON"}),
        lambda: writer.get_object_retention(Bucket=locked, Key="k"),
        lambda: writer.get_object_legal_hold(Bucket=locked, Key="k"),
        lambda: writer.get_object_lock_configuration(Bucket=locked),
    ]
    for call in calls:
        with refused("AccessDenied", status=403):
            call()


def test_only_who_may_ask_is_shown_the_lock(s3, locked, person):
    put(s3, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon(), ObjectLockLegalHoldStatus="OFF")
    reader = person(allow("s3:GetObject", "s3:GetObjectLegalHold", on=everything(locked)))
    shown = reader.head_object(Bucket=locked, Key="k")
    assert shown["ObjectLockLegalHoldStatus"] == "OFF" and "ObjectLockMode" not in shown and "ObjectLockRetainUntilDate" not in shown


def test_creating_a_bucket_with_object_lock_takes_more(server):
    maker = people.make_user(server, policies=[allow("s3:CreateBucket")]).client(server)
    with refused("AccessDenied", status=403):
        maker.create_bucket(Bucket=people.unused("b"), ObjectLockEnabledForBucket=True)
    maker.create_bucket(Bucket=people.unused("b"), ObjectLockEnabledForBucket=False)


def test_a_policy_may_bound_the_retention(s3, locked, person):
    on, long = everything(locked), {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}
    bounded = person(
        allow("s3:*", on=on), deny("s3:PutObjectRetention", on=on, Condition=long),
        deny("s3:PutObjectRetention", on=on, Condition={"StringEquals": {"s3:object-lock-mode": "COMPLIANCE"}}),
        deny("s3:PutObjectLegalHold", on=on, Condition={"StringEquals": {"s3:object-lock-legal-hold": "ON"}}),
    )
    now = datetime.now(UTC)
    put(bounded, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=now + 10 * DAY)
    retain(bounded, locked, now + 10 * DAY, BypassGovernanceRetention=True)
    bounded.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
    calls = [
        lambda: put(bounded, locked, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=now + 12 * DAY),
        lambda: put(bounded, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=now + 2 * DAY),
        lambda: retain(bounded, locked, now + 12 * DAY), lambda: retain(bounded, locked, now + 11 * DAY, "COMPLIANCE"),
        lambda: put(bounded, locked, ObjectLockLegalHoldStatus="ON"),
        lambda: bounded.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "ON"}),
    ]
    for call in calls:
        with refused("AccessDenied", status=403):
            call()
