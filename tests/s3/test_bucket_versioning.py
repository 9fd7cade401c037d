"""Versioning: enabled, suspended, null versions, delete markers, and what becomes current when a version goes."""

from __future__ import annotations

import pytest

from tests.s3.asking import at_once, code_of, read, refused
from tests.s3.raw import Raw


def enable(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def suspend(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def put(s3, bucket, body, key="k"):
    return s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId")


def versions(s3, bucket):
    """(version id, is it a marker, is it current), newest first."""
    page = s3.list_object_versions(Bucket=bucket)
    found = [(v["VersionId"], False, v["IsLatest"], v["LastModified"]) for v in page.get("Versions", [])]
    found += [(v["VersionId"], True, v["IsLatest"], v["LastModified"]) for v in page.get("DeleteMarkers", [])]
    return sorted(((a, b, c) for a, b, c, _ in found), key=lambda one: one[0])


def test_a_new_bucket_has_no_status(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert put(s3, bucket, b"1") is None


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_the_status_is_returned(s3, bucket, status):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_every_put_makes_a_version_and_the_newest_is_current(s3, versioned):
    ids = [put(s3, versioned, str(number).encode()) for number in range(3)]
    assert len(set(ids)) == 3 and "null" not in ids
    assert read(s3, versioned, "k") == b"2"
    for number, version in enumerate(ids):
        assert read(s3, versioned, "k", VersionId=version) == str(number).encode()
        assert s3.head_object(Bucket=versioned, Key="k", VersionId=version)["VersionId"] == version
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [one["VersionId"] for one in listed] == ids[::-1]
    assert [one["IsLatest"] for one in listed] == [True, False, False]


def test_delete_puts_a_marker_and_keeps_the_versions(s3, versioned):
    first = put(s3, versioned, b"1")
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"] is True and deleted["VersionId"] != first
    with refused("NoSuchKey", status=404) as told:
        s3.get_object(Bucket=versioned, Key="k")
    assert told.headers["x-amz-delete-marker"] == "true" and told.headers["x-amz-version-id"] == deleted["VersionId"]
    with refused("404", status=404) as told:
        s3.head_object(Bucket=versioned, Key="k")
    assert told.headers["x-amz-delete-marker"] == "true"
    assert read(s3, versioned, "k", VersionId=first) == b"1"
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)


def test_a_marker_can_only_be_deleted(s3, versioned):
    put(s3, versioned, b"1")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("MethodNotAllowed", status=405) as told:
        s3.get_object(Bucket=versioned, Key="k", VersionId=marker)
    assert told.headers["x-amz-delete-marker"] == "true" and told.headers["allow"] == "DELETE"
    with refused("405", status=405) as told:
        s3.head_object(Bucket=versioned, Key="k", VersionId=marker)
    assert told.headers["last-modified"]


def test_deleting_the_marker_brings_the_object_back(s3, versioned):
    put(s3, versioned, b"1")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert gone["DeleteMarker"] is True and gone["VersionId"] == marker
    assert read(s3, versioned, "k") == b"1"


def test_deleting_the_current_version_makes_the_one_before_current(s3, versioned):
    first, second = put(s3, versioned, b"1"), put(s3, versioned, b"2")
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=second)
    assert gone["VersionId"] == second and "DeleteMarker" not in gone
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == first
    s3.delete_object(Bucket=versioned, Key="k", VersionId=first)
    with refused("NoSuchKey"):
        read(s3, versioned, "k")
    s3.delete_bucket(Bucket=versioned)


def test_deleting_an_old_version_leaves_the_current_one(s3, versioned):
    first, second = put(s3, versioned, b"1"), put(s3, versioned, b"2")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=first)
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == second
    with refused("NoSuchVersion", status=404) as told:
        read(s3, versioned, "k", VersionId=first)
    assert told.error["VersionId"] == first


def test_markers_may_stack(s3, versioned):
    ids = [s3.delete_object(Bucket=versioned, Key="k")["VersionId"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert len(s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]) == 3


def test_an_object_from_before_versioning_is_the_null_version(s3, bucket):
    put(s3, bucket, b"old")
    enable(s3, bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    new = put(s3, bucket, b"new")
    assert read(s3, bucket, "k", VersionId="null") == b"old"
    assert read(s3, bucket, "k", VersionId=new) == b"new"
    assert versions(s3, bucket) == sorted([("null", False, False), (new, False, True)], key=lambda one: one[0])


def test_suspended_puts_overwrite_the_null_version_only(s3, versioned):
    kept = put(s3, versioned, b"kept")
    suspend(s3, versioned)
    assert put(s3, versioned, b"1") in (None, "null")
    assert put(s3, versioned, b"2") in (None, "null")
    assert read(s3, versioned, "k") == read(s3, versioned, "k", VersionId="null") == b"2"
    assert read(s3, versioned, "k", VersionId=kept) == b"kept"
    assert len(versions(s3, versioned)) == 2


def test_suspended_delete_replaces_the_null_version_by_a_null_marker(s3, versioned):
    kept = put(s3, versioned, b"kept")
    suspend(s3, versioned)
    put(s3, versioned, b"null")
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"] is True and deleted["VersionId"] == "null"
    s3.delete_object(Bucket=versioned, Key="k")
    assert versions(s3, versioned) == sorted([(kept, False, False), ("null", True, True)], key=lambda one: one[0])
    with refused("MethodNotAllowed"):
        read(s3, versioned, "k", VersionId="null")
    s3.delete_object(Bucket=versioned, Key="k", VersionId="null")
    assert read(s3, versioned, "k") == b"kept"


def test_enabled_again_keeps_the_null_version(s3, versioned):
    suspend(s3, versioned)
    put(s3, versioned, b"null")
    enable(s3, versioned)
    new = put(s3, versioned, b"new")
    assert read(s3, versioned, "k", VersionId="null") == b"null"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=new)
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == "null"


def test_a_null_put_after_newer_versions_is_current(s3, bucket):
    put(s3, bucket, b"null 1")
    enable(s3, bucket)
    kept = put(s3, bucket, b"kept")
    suspend(s3, bucket)
    put(s3, bucket, b"null 2")
    listed = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(one["VersionId"], one["IsLatest"]) for one in listed] == [("null", True), (kept, False)]


def test_deleting_a_version_that_is_not_there_succeeds_or_is_named(s3, versioned):
    first = put(s3, versioned, b"1")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=first)
    assert s3.delete_object(Bucket=versioned, Key="k", VersionId=first)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.delete_object(Bucket=versioned, Key="k", VersionId="null")["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.parametrize("version", ["abc", "NULL", "x" * 2000, "%2e%2e", "0", "-1"])
def test_an_unknown_version_is_refused_clearly(raw: Raw, s3, versioned, version):
    put(s3, versioned, b"1")
    answer = raw("GET", f"/{versioned}/k?versionId={version}")
    assert (answer.status, answer.code) in ((404, "NoSuchVersion"), (400, "InvalidArgument")), answer


def test_an_empty_version_id_is_refused(raw: Raw, s3, versioned):
    put(s3, versioned, b"1")
    for method in ("GET", "DELETE"):
        answer = raw(method, f"/{versioned}/k?versionId=")
        assert (answer.status, answer.code) == (400, "InvalidArgument"), answer
    assert raw("HEAD", f"/{versioned}/k?versionId=").status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"<VersioningConfiguration/>",
        b"<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>",
        b"<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>",
    ],
)
def test_no_or_another_status_is_refused(raw: Raw, bucket, body):
    answer = raw("PUT", f"/{bucket}?versioning", body=body)
    assert answer.status == 400 and answer.code in ("IllegalVersioningConfigurationException", "MalformedXML"), answer


@pytest.mark.parametrize("xmlns", [b"", b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_the_namespace_is_optional(raw: Raw, s3, bucket, xmlns):
    body = b"<VersioningConfiguration" + xmlns + b"><Status>Enabled</Status></VersioningConfiguration>"
    assert raw("PUT", f"/{bucket}?versioning", body=body).status == 200
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_mfa_delete_is_not_silently_ignored(s3, bucket):
    with refused("NotImplemented", status=501):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"})
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


def test_sixteen_writers_make_sixteen_versions_with_one_current(s3, versioned):
    results = at_once(16, lambda number: s3.put_object(Bucket=versioned, Key="k", Body=str(number).encode()))
    assert {code_of(one) for one in results} == {""}
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert {one["VersionId"] for one in listed} == {one["VersionId"] for one in results} and len(listed) == 16
    assert [one["IsLatest"] for one in listed] == [True] + [False] * 15
    assert s3.head_object(Bucket=versioned, Key="k")["VersionId"] == listed[0]["VersionId"]
