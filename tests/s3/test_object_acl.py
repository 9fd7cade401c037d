"""Object ACLs: set with the object or afterwards, by version, kept with it, and never copied."""

from __future__ import annotations

import pytest

from tests.s3.asking import refused, upload

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


def is_public(s3, bucket, key="k", **more):
    shown = s3.get_object_acl(Bucket=bucket, Key=key, **more)["Grants"]
    return any(one["Grantee"].get("URI") == ALL_USERS and one["Permission"] == "READ" for one in shown)


def send_in_parts(s3, bucket, **more):
    upload(s3, bucket, "k", b"x", **more)


def copy(s3, bucket, **more):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", **more)


def put(s3, bucket, **more):
    return s3.put_object(Bucket=bucket, Key="k", Body=b"x", **more)


WRITES = pytest.mark.parametrize("write", [put, copy, send_in_parts])


@WRITES
def test_a_new_object_is_its_owner_s(s3, acl_bucket, write):
    write(s3, acl_bucket)
    shown = s3.get_object_acl(Bucket=acl_bucket, Key="k")
    assert shown["Grants"] == [{"Grantee": {"Type": "CanonicalUser", **shown["Owner"]}, "Permission": "FULL_CONTROL"}]


@WRITES
@pytest.mark.parametrize("arguments", [{"ACL": "public-read"}, {"GrantRead": f'uri="{ALL_USERS}"'}])
def test_an_object_is_written_with_its_list(s3, acl_bucket, write, arguments):
    write(s3, acl_bucket, **arguments)
    assert is_public(s3, acl_bucket)


def test_setting_the_list_leaves_the_rest_alone(s3, acl_bucket):
    s3.put_object(Bucket=acl_bucket, Key="k", Body=b"x", Metadata={"a": "1"}, Tagging="t=1")
    before = s3.head_object(Bucket=acl_bucket, Key="k")
    s3.put_object_acl(Bucket=acl_bucket, Key="k", ACL="public-read")
    after = s3.head_object(Bucket=acl_bucket, Key="k")
    assert [before[name] for name in ("ETag", "LastModified", "Metadata")] == [after[name] for name in ("ETag", "LastModified", "Metadata")]
    assert s3.get_object_tagging(Bucket=acl_bucket, Key="k")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert is_public(s3, acl_bucket)


def test_overwriting_makes_a_private_object_again(s3, acl_bucket):
    put(s3, acl_bucket, ACL="public-read")
    put(s3, acl_bucket)
    assert not is_public(s3, acl_bucket)


def test_a_copy_does_not_take_the_list_along(s3, acl_bucket):
    put(s3, acl_bucket, ACL="public-read")
    s3.copy_object(Bucket=acl_bucket, Key="copy", CopySource=f"{acl_bucket}/k")
    assert not is_public(s3, acl_bucket, "copy")


def test_each_version_has_its_own_list(s3, acl_bucket):
    s3.put_bucket_versioning(Bucket=acl_bucket, VersioningConfiguration={"Status": "Enabled"})
    first, second = put(s3, acl_bucket)["VersionId"], put(s3, acl_bucket)["VersionId"]
    s3.put_object_acl(Bucket=acl_bucket, Key="k", VersionId=first, ACL="public-read")
    assert is_public(s3, acl_bucket, VersionId=first)
    assert not is_public(s3, acl_bucket, VersionId=second) and not is_public(s3, acl_bucket)
    s3.delete_object(Bucket=acl_bucket, Key="k", VersionId=second)      # the first becomes current, with its list
    assert is_public(s3, acl_bucket)


def test_the_list_goes_into_history_and_comes_back(s3, acl_bucket):
    s3.put_bucket_versioning(Bucket=acl_bucket, VersioningConfiguration={"Status": "Enabled"})
    version = put(s3, acl_bucket, ACL="public-read")["VersionId"]
    marker = s3.delete_object(Bucket=acl_bucket, Key="k")["VersionId"]
    assert is_public(s3, acl_bucket, VersionId=version)
    with refused("NoSuchKey"):
        s3.get_object_acl(Bucket=acl_bucket, Key="k")
    with refused("MethodNotAllowed"):
        s3.put_object_acl(Bucket=acl_bucket, Key="k", VersionId=marker, ACL="public-read")
    s3.delete_object(Bucket=acl_bucket, Key="k", VersionId=marker)
    assert is_public(s3, acl_bucket)


def test_a_list_needs_an_object(s3, acl_bucket):
    for call in (s3.get_object_acl, s3.put_object_acl):
        more = {"ACL": "private"} if call == s3.put_object_acl else {}
        with refused("NoSuchKey", status=404):
            call(Bucket=acl_bucket, Key="none", **more)
        with refused("NoSuchVersion", status=404):
            put(s3, acl_bucket)
            call(Bucket=acl_bucket, Key="k", VersionId="0" * 32, **more)


@WRITES
def test_a_public_list_is_refused_where_public_acls_are_blocked(s3, acl_bucket, write):
    s3.put_public_access_block(Bucket=acl_bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    for name in ("public-read", "public-read-write", "authenticated-read"):
        with refused("AccessDenied", status=403):
            write(s3, acl_bucket, ACL=name)
    write(s3, acl_bucket, ACL="private")
    with refused("AccessDenied"):
        s3.put_object_acl(Bucket=acl_bucket, Key="k", ACL="public-read")


@WRITES
def test_where_acls_are_switched_off_only_the_owner_s_control_may_be_said(s3, bucket, write):
    for arguments in ({"ACL": "public-read"}, {"ACL": "authenticated-read"}, {"GrantRead": f"uri={ALL_USERS}"}):
        with refused("AccessControlListNotSupported", status=400):
            write(s3, bucket, **arguments)
    owner = s3.list_buckets()["Owner"]["ID"]
    for arguments in ({}, {"ACL": "bucket-owner-full-control"}, {"ACL": "private"}, {"GrantFullControl": f"id={owner}"}):
        write(s3, bucket, **arguments)
    shown = s3.get_object_acl(Bucket=bucket, Key="k")
    assert shown["Owner"]["ID"] == owner and len(shown["Grants"]) == 1
    with refused("AccessControlListNotSupported", status=400):
        s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")


def test_where_acls_are_switched_off_the_list_that_was_read_may_be_put_back(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    shown = {name: value for name, value in s3.get_object_acl(Bucket=bucket, Key="k").items() if name in ("Owner", "Grants")}
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=shown)
    everybody = {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"}
    with refused("AccessControlListNotSupported", status=400):
        s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={**shown, "Grants": [*shown["Grants"], everybody]})
    with refused("NoSuchKey", status=404):
        s3.put_object_acl(Bucket=bucket, Key="other", AccessControlPolicy=shown)


def test_switching_acls_off_hides_lists_and_on_again_shows_them(s3, acl_bucket):
    put(s3, acl_bucket, ACL="public-read")
    s3.put_bucket_ownership_controls(Bucket=acl_bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    assert not is_public(s3, acl_bucket)
    s3.delete_bucket_ownership_controls(Bucket=acl_bucket)
    assert is_public(s3, acl_bucket)
