"""Bucket ACLs: canned lists, grants in headers, documents, and buckets that take none."""

from __future__ import annotations

import pytest

from tests.s3.asking import refused
from tests.s3.raw import Raw

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


def grants(s3, bucket):
    """(who, permission) in the order of the reply."""
    shown = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    return [(one["Grantee"].get("URI") or one["Grantee"]["ID"], one["Permission"]) for one in shown]


@pytest.fixture
def owner(s3, bucket):
    """Root's canonical id."""
    return s3.list_buckets()["Owner"]["ID"]


def test_a_new_bucket_is_its_owner_s(s3, bucket, owner):
    shown = s3.get_bucket_acl(Bucket=bucket)
    assert shown["Owner"]["ID"] == owner and shown["Owner"]["DisplayName"]
    assert shown["Grants"] == [{"Grantee": {"Type": "CanonicalUser", **shown["Owner"]}, "Permission": "FULL_CONTROL"}]


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("private", []), ("public-read", [(ALL_USERS, "READ")]), ("public-read-write", [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")]),
        ("authenticated-read", [(SIGNED, "READ")]), ("bucket-owner-full-control", []),
    ],
)
def test_a_canned_list_replaces_the_one_there_was(s3, acl_bucket, owner, name, extra):
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read-write")
    s3.put_bucket_acl(Bucket=acl_bucket, ACL=name)
    assert grants(s3, acl_bucket) == [*extra, (owner, "FULL_CONTROL")]


def test_grants_in_headers_are_all_there_is(s3, acl_bucket, owner):
    s3.put_bucket_acl(Bucket=acl_bucket, GrantRead=f'id="{owner}", uri="{ALL_USERS}"', GrantWriteACP=f"id={owner}")
    assert grants(s3, acl_bucket) == [(ALL_USERS, "READ"), (owner, "READ"), (owner, "WRITE_ACP")]


def test_a_document_comes_back(s3, acl_bucket, owner):
    document = {
        "Owner": {"ID": owner},
        "Grants": [
            {"Grantee": {"Type": "CanonicalUser", "ID": owner}, "Permission": "READ_ACP"},
            {"Grantee": {"Type": "Group", "URI": SIGNED}, "Permission": "WRITE"},
        ],
    }
    s3.put_bucket_acl(Bucket=acl_bucket, AccessControlPolicy=document)
    assert grants(s3, acl_bucket) == [(SIGNED, "WRITE"), (owner, "READ_ACP")]
    s3.put_bucket_acl(Bucket=acl_bucket, AccessControlPolicy={"Owner": {"ID": owner}, "Grants": []})
    assert grants(s3, acl_bucket) == []


def test_only_the_bucket_s_list_changes(s3, acl_bucket):
    s3.put_bucket_versioning(Bucket=acl_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read")
    assert s3.get_bucket_versioning(Bucket=acl_bucket)["Status"] == "Enabled"
    assert s3.get_bucket_ownership_controls(Bucket=acl_bucket)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "ObjectWriter"}]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ACL": "public"}, "InvalidArgument"),
        ({"GrantRead": "id=nobody"}, "InvalidArgument"),
        ({"GrantRead": "everybody"}, "InvalidArgument"),
        ({"GrantRead": "uri=http://example.com/"}, "InvalidArgument"),
        ({"GrantRead": "emailAddress=nobody@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"ACL": "private", "GrantRead": f"uri={ALL_USERS}"}, "InvalidRequest"),
        ({}, "MissingSecurityHeader"),
        ({"AccessControlPolicy": {"Grants": []}}, "MalformedACLError"),
        ({"AccessControlPolicy": {"Grants": [], "Owner": {"ID": "0" * 64}}}, "AccessDenied"),
    ],
)
def test_what_is_no_list_is_refused_and_changes_nothing(s3, acl_bucket, owner, arguments, code):
    with refused(code):
        s3.put_bucket_acl(Bucket=acl_bucket, **arguments)
    assert grants(s3, acl_bucket) == [(owner, "FULL_CONTROL")]


@pytest.mark.parametrize(
    ("kind", "code"), [("ID=nobody", "InvalidArgument"), ("EmailAddress=nobody@example.com", "UnresolvableGrantByEmailAddress")]
)
def test_a_document_names_people_there_are(s3, acl_bucket, owner, kind, code):
    member, _, value = kind.partition("=")
    grantee = {"Type": "CanonicalUser" if member == "ID" else "AmazonCustomerByEmail", member: value}
    with refused(code, status=400):
        s3.put_bucket_acl(
            Bucket=acl_bucket, AccessControlPolicy={"Owner": {"ID": owner}, "Grants": [{"Grantee": grantee, "Permission": "READ"}]}
        )


@pytest.mark.parametrize(
    "body", [b"<x/>", b"<AccessControlPolicy>", b"<AccessControlPolicy><AccessControlList><Grant><Permission>ALL</Permission></Grant>"]
)
def test_a_broken_document_is_a_malformed_acl(raw: Raw, acl_bucket, body):
    assert raw("PUT", f"/{acl_bucket}?acl", body=body).code == "MalformedACLError"


def test_headers_and_a_document_exclude_each_other(raw: Raw, acl_bucket, owner):
    body = f"<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList/></AccessControlPolicy>".encode()
    assert raw("PUT", f"/{acl_bucket}?acl", [("x-amz-acl", "private")], body).code == "UnexpectedContent"
    assert raw("PUT", f"/{acl_bucket}?acl", [], body).status == 200


@pytest.mark.parametrize("name", ["private", "public-read", "bucket-owner-full-control"])
def test_a_bucket_without_acls_takes_no_list(s3, bucket, owner, name):
    with refused("AccessControlListNotSupported", status=400):
        s3.put_bucket_acl(Bucket=bucket, ACL=name)
    assert grants(s3, bucket) == [(owner, "FULL_CONTROL")]


def test_a_bucket_is_made_with_a_list(s3, bucket, owner):
    name = f"{bucket}-made"
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter", GrantRead=f"id={owner}")
    assert grants(s3, name) == [(owner, "READ")]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ACL": "public-read"}, "InvalidBucketAclWithObjectOwnership"),
        ({"ACL": "public-read", "ObjectOwnership": "ObjectWriter"}, "InvalidBucketAclWithBlockPublicAccessError"),
        ({"ACL": "nonsense", "ObjectOwnership": "ObjectWriter"}, "InvalidArgument"),
        ({"ObjectOwnership": "Mine"}, "InvalidArgument"),
    ],
)
def test_a_bucket_whose_list_does_not_fit_is_not_made(s3, bucket, arguments, code):
    name = f"{bucket}-made"
    with refused(code, status=400):
        s3.create_bucket(Bucket=name, **arguments)
    with refused("404"):
        s3.head_bucket(Bucket=name)
