"""Requests made to be judged by something other than what they do."""

from __future__ import annotations

import json

import pytest

from tests import people
from tests.people import allow, deny
from tests.s3.asking import refused
from tests.s3.raw import Raw

S3 = "arn:aws:s3:::"


@pytest.fixture
def versions(server, ann, anns):
    """Two versions of ``v`` in anns, the older one first; only the newer one is labelled ``temporary``."""
    s3 = ann.client(server)
    older = s3.put_object(Bucket=anns, Key="v", Body=b"older")["VersionId"]
    newer = s3.put_object(Bucket=anns, Key="v", Body=b"newer", Tagging="temporary=yes")["VersionId"]
    return older, newer


def raw_of(server, policy):
    who = people.make_user(server, policies=[policy])
    return Raw(server, access_key=who.access_key, secret_key=who.secret_key)


def test_a_copy_source_says_nothing_about_the_version_of_a_request_that_copies_nothing(server, anns, versions):
    older, newer = versions
    policy = allow("s3:GetObjectVersion", on=f"{S3}{anns}/*", Condition={"StringEquals": {"s3:VersionId": newer}})
    raw = raw_of(server, policy)
    named = [("x-amz-copy-source", f"{anns}/v?versionId={newer}")]
    assert raw("GET", f"/{anns}/v?versionId={newer}").body == b"newer"
    assert raw("GET", f"/{anns}/v?versionId={older}", named).status == 403


def test_nor_which_labels_the_deleted_version_has(server, ann, anns, versions):
    older, newer = versions
    tagged = {"StringEquals": {"s3:ExistingObjectTag/temporary": "yes"}}
    raw = raw_of(server, allow("s3:DeleteObjectVersion", on=f"{S3}{anns}/*", Condition=tagged))
    named = [("x-amz-copy-source", f"{anns}/v?versionId={newer}")]
    assert raw("DELETE", f"/{anns}/v?versionId={older}", named).status == 403
    assert ann.client(server).get_object(Bucket=anns, Key="v", VersionId=older)["Body"].read() == b"older"
    assert raw("DELETE", f"/{anns}/v?versionId={newer}").status == 204


@pytest.mark.parametrize("stray", ["{older}", "null", "no-such-version"])
def test_nor_does_a_version_in_the_address_of_what_takes_none(server, anns, versions, stray):
    older, _ = versions
    tagged = {"StringEquals": {"s3:ExistingObjectTag/temporary": "yes"}}
    mine = allow("s3:PutObject", on=f"{S3}{anns}/*")
    mine["Statement"] += deny("s3:PutObject", on=f"{S3}{anns}/*", Condition=tagged)["Statement"]
    raw = raw_of(server, mine)
    assert raw("PUT", f"/{anns}/v?versionId={stray.format(older=older)}", body=b"over").status == 403
    assert raw("PUT", f"/{anns}/w?versionId={stray.format(older=older)}", body=b"new").status == 200


@pytest.mark.parametrize(("condition", "query", "headers"), [
    ({"s3:prefix": "home/"}, "?prefix=home/", []), ({"s3:delimiter": "/"}, "?delimiter=/", []), ({"s3:max-keys": "1"}, "?max-keys=1", []),
    ({"s3:prefix": "home/"}, "", [("prefix", "home/")]),
    ({"s3:x-amz-acl": "private"}, "", [("x-amz-acl", "private")]),
    ({"s3:x-amz-copy-source": "b/k"}, "", [("x-amz-copy-source", "b/k")]),
    ({"s3:x-amz-server-side-encryption": "AES256"}, "", [("x-amz-server-side-encryption", "AES256")]),
    ({"s3:RequestObjectTag/a": "1"}, "", [("x-amz-tagging", "a=1")]),
    ({"s3:object-lock-legal-hold": "ON"}, "", [("x-amz-object-lock-legal-hold", "ON")]),
])
def test_what_a_request_does_not_use_meets_no_condition(server, anns, versions, condition, query, headers):
    """A statement about listings, or writes, that names all actions must not open every object to who says what it asks for."""
    raw = raw_of(server, allow("s3:*", on=[f"{S3}{anns}", f"{S3}{anns}/*"], Condition={"StringEquals": condition}))
    assert raw("GET", f"/{anns}/v{query}", headers).status == 403
    assert raw("DELETE", f"/{anns}/v{query}", headers).status == 403


def test_a_header_is_no_parameter(server, anns):
    raw = raw_of(server, allow("s3:ListBucket", on=f"{S3}{anns}", Condition={"StringEquals": {"s3:prefix": "home/"}}))
    assert raw("GET", f"/{anns}?list-type=2&prefix=home/").status == 200
    assert raw("GET", f"/{anns}?list-type=2&prefix=other/", [("prefix", "home/")]).status == 403


@pytest.mark.parametrize("condition", [
    {"StringEquals": {"aws:userid": "anonymous"}},
    {"StringEqualsIgnoreCase": {"aws:userid": ["0" * 64, "ANONYMOUS"]}},
    {"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "k"}},
])
def test_a_condition_that_anybody_meets_leaves_a_policy_public(server, ann, anns, nobody, condition):
    s3 = ann.client(server)
    s3.put_public_access_block(Bucket=anns, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{S3}{anns}/*", "Condition": condition}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with refused("AccessDenied"):
        s3.put_bucket_policy(Bucket=anns, Policy=policy)
    s3.delete_public_access_block(Bucket=anns)
    s3.put_bucket_policy(Bucket=anns, Policy=policy)
    assert s3.get_bucket_policy_status(Bucket=anns)["PolicyStatus"]["IsPublic"] is True


def test_a_reply_to_a_stranger_has_the_headers_that_were_stored(server, ann, anns, nobody, put_policy):
    """What was stored as a text is a text: else a link, which anybody can write, makes a page with scripts of it."""
    put_policy(anns, {"Action": "s3:GetObject", "Resource": f"{S3}{anns}/*"})
    assert nobody.get_object(Bucket=anns, Key="k")["Body"].read() == b"k"
    for call in (nobody.get_object, nobody.head_object):
        with refused("InvalidRequest", "400"):
            call(Bucket=anns, Key="k", ResponseContentType="text/html")
    assert ann.client(server).get_object(Bucket=anns, Key="k", ResponseContentType="text/html")["ContentType"] == "text/html"


def test_an_address_finds_nobody_of_another_tenant(server):
    ours, theirs = people.make_tenant(server), people.make_tenant(server)
    ben_email, eve_email = f"{people.unused('ben')}@a.example", f"{people.unused('eve')}@b.example"
    ann = people.make_user(server, policies=["owner"], tenant=ours)
    people.make_user(server, tenant=ours, email=ben_email)
    eve = people.make_user(server, tenant=theirs, email=eve_email)
    s3, name = ann.client(server), people.unused("b")
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    owner = {"ID": ann.canonical_id}
    grant = {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": eve_email}, "Permission": "READ"}
    for ask in (
        lambda: s3.put_bucket_acl(Bucket=name, GrantRead=f'emailAddress="{eve_email}"'),
        lambda: s3.put_bucket_acl(Bucket=name, AccessControlPolicy={"Owner": owner, "Grants": [grant]}),
        lambda: s3.put_object(Bucket=name, Key="k", GrantRead=f'emailAddress="{eve_email}"'),
        lambda: s3.create_bucket(Bucket=people.unused("b"), ObjectOwnership="ObjectWriter", GrantRead=f'emailAddress="{eve_email}"'),
    ):
        with refused("UnresolvableGrantByEmailAddress"):
            ask()
    s3.put_bucket_acl(Bucket=name, GrantRead=f'emailAddress="{ben_email}"')
    s3.put_bucket_acl(Bucket=name, GrantRead=f'id="{eve.canonical_id}"')


@pytest.mark.parametrize("condition", [
    {"StringNotEquals": {"s3:RequestObjectTag/security": "public"}},
    {"ForAnyValue:StringEquals": {"s3:RequestObjectTag/security": "secret"}},
])
@pytest.mark.parametrize("action", ["s3:PutObject", "s3:PutObjectTagging"])
def test_the_tags_of_a_copy_are_its_sources_unless_it_replaces_them(server, ann, anns, condition, action):
    """A header with other tags, which a copy does not use, is no tag that the object will have."""
    owner = ann.client(server)
    owner.put_object(Bucket=anns, Key="s", Body=b"", Tagging="security=secret")
    owner.put_object(Bucket=anns, Key="p", Body=b"", Tagging="security=public")
    guarded = people.make_user(server, policies=["administrator", people.deny(action, Condition=condition)])
    raw = Raw(server, access_key=guarded.access_key, secret_key=guarded.secret_key)
    header, source = ("x-amz-tagging", "security=public"), ("x-amz-copy-source", f"{anns}/s")
    assert raw("PUT", f"/{anns}/n", [source, header]).status == 403
    assert raw("PUT", f"/{anns}/n", [source]).status == 403
    assert raw("PUT", f"/{anns}/n", [source, header, ("x-amz-tagging-directive", "REPLACE")]).status == 200
    assert owner.get_object_tagging(Bucket=anns, Key="n")["TagSet"] == [{"Key": "security", "Value": "public"}]
