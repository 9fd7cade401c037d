"""Condition keys at the wire: each is true of one request and false of the next; and what nobody may do through a bucket policy."""

from __future__ import annotations

import time

import pytest
import requests

from tests import people
from tests.people import allow, deny
from tests.running import RunningServer
from tests.s3.asking import read, refused
from tests.s3.raw import Raw

S3 = "arn:aws:s3:::"


@pytest.fixture
def asking(server, anns):
    """``asking(condition, *actions)``: a client and raw requests of somebody who may do that on anns under the condition only."""

    def make(condition, *actions):
        policy = allow(*(actions or ("s3:*",)), on=[S3 + anns, f"{S3}{anns}/*"], Condition=condition)
        who = people.make_user(server, policies=[policy])
        return who.client(server), Raw(server, access_key=who.access_key, secret_key=who.secret_key)

    return make


@pytest.mark.parametrize(("condition", "right", "wrong"), [
    ({"StringEquals": {"s3:prefix": "public/"}}, "?list-type=2&prefix=public%2F", "?list-type=2&prefix=k"),
    ({"StringLike": {"s3:prefix": "*"}}, "?prefix=", "?list-type=2"),
    ({"StringEquals": {"s3:delimiter": "/"}}, "?delimiter=%2F", "?delimiter=p"),
    ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, "?max-keys=10", "?max-keys=11"),
    ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, "?versions&max-keys=9", "?versions"),
])
def test_keys_of_listings(asking, anns, condition, right, wrong):
    _, raw = asking(condition)
    assert raw("GET", f"/{anns}{right}").status == 200
    assert raw("GET", f"/{anns}{wrong}").status == 403


@pytest.mark.parametrize(("condition", "right", "wrong"), [
    ({"StringEquals": {"s3:RequestObjectTag/Colour": "red"}}, [("x-amz-tagging", "Colour=red&a=b")], [("x-amz-tagging", "Colour=blue")]),
    ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}}, [("x-amz-tagging", "a=1&b=2")], [("x-amz-tagging", "c=1")]),
    ({"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}, [("x-amz-acl", "bucket-owner-full-control")], []),
    ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD"}}, [("x-amz-storage-class", "STANDARD")], []),
    ({"Null": {"s3:x-amz-server-side-encryption": "true"}}, [], [("x-amz-server-side-encryption", "AES256")]),
    ({"StringEquals": {"aws:UserAgent": "curl/8"}}, [("User-Agent", "curl/8")], [("User-Agent", "curl/9")]),
    ({"StringLike": {"aws:Referer": "https://a.example/*"}}, [("Referer", "https://a.example/x")], [("Referer", "https://b.example/x")]),
])
def test_keys_of_headers(asking, anns, condition, right, wrong):
    _, raw = asking(condition)
    assert raw("PUT", f"/{anns}/n", right, b"x").status == 200
    assert raw("PUT", f"/{anns}/n", wrong, b"x").status == 403


def test_a_copys_source_and_directive(asking, anns):
    kept = {"StringEqualsIfExists": {"s3:x-amz-metadata-directive": "COPY"}}
    s3, _ = asking({"StringLike": {"s3:x-amz-copy-source": f"{anns}/public/*"}, **kept})
    source = {"Bucket": anns, "Key": "public/k"}
    s3.copy_object(Bucket=anns, Key="n", CopySource=source)
    s3.copy_object(Bucket=anns, Key="n", CopySource=f"/{anns}/public/k", MetadataDirective="COPY")
    with refused("AccessDenied"):
        s3.copy_object(Bucket=anns, Key="n", CopySource=source, MetadataDirective="REPLACE")
    with refused("AccessDenied"):
        s3.copy_object(Bucket=anns, Key="n", CopySource={"Bucket": anns, "Key": "k"})


def test_tags_that_an_object_has(server, ann, anns, asking):
    owner = ann.client(server)
    owner.put_object(Bucket=anns, Key="k", Body=b"2", Tagging="security=public&Case=1")
    first = owner.list_object_versions(Bucket=anns, Prefix="k")["Versions"][-1]["VersionId"]
    s3, _ = asking({"StringEquals": {"s3:ExistingObjectTag/security": "public"}})
    assert read(s3, anns, "k") == b"2"
    for ask in ({"Key": "public/k"}, {"Key": "k", "VersionId": first}):
        with refused("AccessDenied"):
            s3.get_object(Bucket=anns, **ask)
    s3.get_object_tagging(Bucket=anns, Key="k")
    assert read(asking({"StringEquals": {"s3:existingobjecttag/case": "1"}})[0], anns, "k") == b"2"    # names of keys have no case


def test_tags_in_a_body(asking, anns):
    s3, raw = asking({"StringEquals": {"s3:RequestObjectTag/security": "public"}})
    s3.put_object_tagging(Bucket=anns, Key="k", Tagging={"TagSet": [{"Key": "security", "Value": "public"}]})
    with refused("AccessDenied"):
        s3.put_object_tagging(Bucket=anns, Key="k", Tagging={"TagSet": [{"Key": "security", "Value": "secret"}]})
    assert raw("PUT", f"/{anns}/k?tagging", body=b"").status == 403


@pytest.mark.parametrize("value", ["public", "secret"])
def test_a_deny_about_tags_in_a_body_that_comes_later(server, ann, anns, value):
    """The body is sent only when it is asked for, so permissions are decided twice."""
    secret = {"StringEquals": {"s3:RequestObjectTag/x": "secret"}}
    eve = people.make_user(server, policies=["administrator", deny("s3:*", Condition=secret)])
    raw = Raw(server, access_key=eve.access_key, secret_key=eve.secret_key)
    body = f"<Tagging><TagSet><Tag><Key>x</Key><Value>{value}</Value></Tag></TagSet></Tagging>".encode() + b" " * 100_000
    answer = raw("PUT", f"/{anns}/k?tagging", [("Expect", "100-continue"), ("Content-Type", "application/xml")], body)
    assert answer.status == (200 if value == "public" else 403), answer
    tags = ann.client(server).get_object_tagging(Bucket=anns, Key="k")["TagSet"]
    assert tags == ([{"Key": "x", "Value": "public"}] if value == "public" else [])


def test_version_and_form_of_the_signature(server, ann, anns, asking):
    version = ann.client(server).head_object(Bucket=anns, Key="k")["VersionId"]
    s3, _ = asking({"StringEquals": {"s3:VersionId": version}})
    assert read(s3, anns, "k", VersionId=version) == b"k"
    with refused("AccessDenied"):
        s3.get_object(Bucket=anns, Key="k")
    s3, raw = asking({"StringEquals": {"s3:authType": "REST-QUERY-STRING", "s3:signatureversion": "AWS4-HMAC-SHA256"}})
    assert requests.get(s3.generate_presigned_url("get_object", Params={"Bucket": anns, "Key": "k"})).content == b"k"
    assert raw("GET", f"/{anns}/k").status == 403


def test_when_and_who(asking, anns):
    now = time.time()
    for condition, status in (
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, 200),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, 403),
        ({"NumericLessThan": {"aws:EpochTime": str(int(now) + 60)}, "NumericGreaterThan": {"aws:EpochTime": str(int(now) - 60)}}, 200),
        ({"StringLike": {"aws:username": "user-*"}}, 200),
        ({"StringLike": {"aws:username": "admin-*"}}, 403),
        ({"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/user-*"}, "StringEquals": {"aws:PrincipalType": "User"}}, 200),
        ({"StringEquals": {"maxiofs:BucketOwner": "${aws:userid}"}}, 403),
        ({"StringEquals": {"aws:PrincipalTag/team": "red"}}, 403),
        ({"Bool": {"aws:SecureTransport": "false"}, "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, 200),
        ({"Bool": {"aws:SecureTransport": "true"}}, 403),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, 403),
    ):
        assert asking(condition)[1]("GET", f"/{anns}/k").status == status, condition


def test_addresses_and_schemes_are_believed_of_trusted_proxies_only(asking, anns):
    forwarded = [("X-Forwarded-For", "10.1.2.3"), ("X-Forwarded-Proto", "https")]
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "Bool": {"aws:SecureTransport": "true"}}
    _, raw = asking(condition)
    assert raw("GET", f"/{anns}/k", forwarded).status == 403
    with RunningServer(processes=1, environ={"MAXIOFS_TRUSTED_PROXIES": "127.0.0.1"}) as behind:
        behind.client().create_bucket(Bucket="b-behind")
        who = people.make_user(behind, policies=[allow("s3:ListBucket", Condition=condition)])
        raw = Raw(behind, access_key=who.access_key, secret_key=who.secret_key)
        assert raw("GET", "/b-behind", forwarded).status == 200
        assert raw("GET", "/b-behind").status == 403


# ---- nobody -----------------------------------------------------------------------------------------------------------------------


def test_nobody_reads_what_a_policy_makes_public_and_nothing_else(nobody, anns, put_policy):
    put_policy(anns, {"Action": "s3:GetObject", "Resource": f"{S3}{anns}/public/*"})
    assert read(nobody, anns, "public/k") == b"public/k"
    for ask in (lambda: nobody.get_object(Bucket=anns, Key="k"), lambda: nobody.list_objects_v2(Bucket=anns),
                lambda: nobody.get_object(Bucket=anns, Key="public/missing"), lambda: nobody.delete_object(Bucket=anns, Key="public/k")):
        with refused("AccessDenied", status=403):
            ask()


def test_what_nobody_writes_is_the_bucket_owners(server, nobody, ann, anns, put_policy):
    put_policy(anns, {"Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": f"{S3}{anns}/drop/*"})
    nobody.put_object(Bucket=anns, Key="drop/k", Body=b"x")
    nobody.delete_object(Bucket=anns, Key="drop/k")
    answer = nobody.delete_objects(Bucket=anns, Delete={"Objects": [{"Key": "drop/k"}, {"Key": "k"}]})
    assert [one["Key"] for one in answer["Deleted"]] == ["drop/k"] and [one["Key"] for one in answer["Errors"]] == ["k"]
    owners = {one["Owner"]["ID"] for one in ann.client(server).list_object_versions(Bucket=anns, Prefix="drop/")["DeleteMarkers"]}
    assert owners == {ann.canonical_id}


def test_restrict_public_buckets_keeps_a_public_policy_at_home(server, nobody, ann, anns, put_policy):
    guest = people.make_user(server, tenant=people.make_tenant(server))
    put_policy(anns, {"Action": "s3:GetObject", "Resource": f"{S3}{anns}/*"})
    assert read(nobody, anns, "k") == read(guest.client(server), anns, "k") == b"k"
    people.configure(server, anns, public_access=8)
    for client in (nobody, guest.client(server)):
        with refused("AccessDenied"):
            client.get_object(Bucket=anns, Key="k")
    assert read(people.make_user(server).client(server), anns, "k") == b"k"     # of the bucket's own tenant
    put_policy(anns, {"Principal": {"AWS": guest.canonical_id}, "Action": "s3:GetObject", "Resource": f"{S3}{anns}/*"})
    assert read(guest.client(server), anns, "k") == b"k"                        # a policy for one person is not public
