"""RenameObject: at once and whole, under conditions of the source and of the destination."""

from __future__ import annotations

import pytest

from tests import people
from tests.people import allow, deny
from tests.s3.asking import MIB, PART, at_once, code_of, etag, md5, read, refused, upload


def rename(s3, bucket, source, target, **more):
    return s3.rename_object(Bucket=bucket, Key=target, RenameSource=f"{bucket}/{source}", **more)


def keys(s3, bucket):
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_everything_about_the_object_comes_along(s3, bucket, size):
    data = bytes(size)
    s3.put_object(Bucket=bucket, Key="a", Body=data, Metadata={"m": "1"}, ContentType="text/x", Tagging="t=1", ChecksumAlgorithm="SHA256")
    before = s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    rename(s3, bucket, "a", "b/ü c")
    assert keys(s3, bucket) == ["b/ü c"] and read(s3, bucket, "b/ü c") == data
    after = s3.head_object(Bucket=bucket, Key="b/ü c", ChecksumMode="ENABLED")
    for name in ("ETag", "Metadata", "ContentType", "ChecksumSHA256", "ContentLength"):
        assert after[name] == before[name]
    assert s3.get_object_tagging(Bucket=bucket, Key="b/ü c")["TagSet"] == [{"Key": "t", "Value": "1"}]


def test_what_has_the_name_is_replaced(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1" * 50_000)
    s3.put_object(Bucket=bucket, Key="b", Body=b"2" * 50_000)
    rename(s3, bucket, "a", "b")
    assert keys(s3, bucket) == ["b"] and read(s3, bucket, "b") == b"1" * 50_000
    s3.delete_object(Bucket=bucket, Key="b")
    s3.delete_bucket(Bucket=bucket)


def test_parts_come_along_and_leave_nothing(s3, bucket):
    parts = b"1" * PART, b"2" * MIB
    upload(s3, bucket, "a", *parts)
    rename(s3, bucket, "a", "b")
    assert md5(read(s3, bucket, "b")) == md5(b"".join(parts))
    assert s3.head_object(Bucket=bucket, Key="b", PartNumber=2)["PartsCount"] == 2
    assert keys(s3, bucket) == ["b"]


def test_with_versions_the_old_key_keeps_its_history(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="a", Body=b"1")["VersionId"]
    rename(s3, versioned, "a", "b")
    assert keys(s3, versioned) == ["b"] and read(s3, versioned, "a", VersionId=first) == b"1" == read(s3, versioned, "b")
    assert [one["Key"] for one in s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]] == ["a"]
    s3.delete_object(Bucket=versioned, Key="a", VersionId=first)
    assert read(s3, versioned, "b") == b"1"


def test_a_locked_version_stays_where_it_is(s3):
    bucket = people.unused("b")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    first = s3.put_object(Bucket=bucket, Key="a", Body=b"1", ObjectLockLegalHoldStatus="ON")["VersionId"]
    rename(s3, bucket, "a", "b")
    with refused("AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="a", VersionId=first)
    with refused("NoSuchObjectLockConfiguration"):
        s3.get_object_legal_hold(Bucket=bucket, Key="b")


@pytest.mark.parametrize(("conditions", "holds"), [
    ({"SourceIfMatch": etag(b"1")}, True), ({"SourceIfMatch": etag(b"2")}, False), ({"SourceIfNoneMatch": etag(b"1")}, False),
    ({"SourceIfModifiedSince": "2030-01-01"}, False), ({"SourceIfUnmodifiedSince": "2020-01-01"}, False),
    ({"DestinationIfNoneMatch": "*"}, False), ({"DestinationIfMatch": etag(b"2")}, True), ({"DestinationIfMatch": etag(b"1")}, False),
    ({"DestinationIfUnmodifiedSince": "2020-01-01"}, False), ({"DestinationIfModifiedSince": "2020-01-01"}, True),
])
def test_conditions(s3, bucket, conditions, holds):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    s3.put_object(Bucket=bucket, Key="b", Body=b"2")
    if holds:
        rename(s3, bucket, "a", "b", **conditions)
        assert keys(s3, bucket) == ["b"]
        return
    with refused("PreconditionFailed", status=412):
        rename(s3, bucket, "a", "b", **conditions)
    assert (read(s3, bucket, "a"), read(s3, bucket, "b")) == (b"1", b"2")


def test_conditions_on_a_destination_that_is_not_there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    with refused("PreconditionFailed", status=412):
        rename(s3, bucket, "a", "b", DestinationIfMatch="*")
    rename(s3, bucket, "a", "b", DestinationIfNoneMatch="*")
    assert keys(s3, bucket) == ["b"]


def test_of_many_renames_at_once_one_wins(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    codes = [code_of(one) for one in at_once(8, lambda number: rename(s3, bucket, "a", f"b{number}"))]
    assert codes.count("") == 1 and set(codes) == {"", "NoSuchKey"}
    assert len(keys(s3, bucket)) == 1


def test_the_same_request_again_succeeds_and_does_nothing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    once = {"ClientToken": people.unused("t"), "DestinationIfNoneMatch": "*"}
    rename(s3, bucket, "a", "b", **once)
    s3.put_object(Bucket=bucket, Key="a", Body=b"2")
    rename(s3, bucket, "a", "b", **once)
    assert (read(s3, bucket, "a"), read(s3, bucket, "b")) == (b"2", b"1")
    for source, target, more in (("a", "c", once), ("b", "c", once), ("a", "b", {"ClientToken": once["ClientToken"]})):
        with refused("IdempotencyParameterMismatch", status=400):
            rename(s3, bucket, source, target, **more)
    assert keys(s3, bucket) == ["a", "b"]


def test_a_token_is_its_senders_and_of_what_was_made(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="b", Body=b"0")
    token = {"ClientToken": people.unused("t")}
    with refused("NoSuchKey"):
        rename(s3, bucket, "a", "b", **token)
    other = people.make_user(server, policies=["readwrite"]).client(server)
    for client, body in ((s3, b"1"), (other, b"2")):
        s3.put_object(Bucket=bucket, Key="a", Body=body)
        rename(client, bucket, "a", "b", **token)
        assert keys(s3, bucket) == ["b"] and read(s3, bucket, "b") == body


def test_of_the_same_request_many_times_at_once_one_renames(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    token = people.unused("t")
    assert {code_of(one) for one in at_once(8, lambda _: rename(s3, bucket, "a", "b", ClientToken=token))} == {""}
    assert keys(s3, bucket) == ["b"]


@pytest.mark.parametrize("token", ["", "a b", "x" * 65, "é"])
def test_tokens_that_cannot_be(raw, s3, bucket, token):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    answer = raw("PUT", f"/{bucket}/b?renameObject", [("x-amz-rename-source", f"{bucket}/a"), ("x-amz-client-token", token)])
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer
    assert keys(s3, bucket) == ["a"]


def test_crossing_renames_lose_nothing(s3, bucket):
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 20_000)
    at_once(2, lambda number: rename(s3, bucket, *(("a", "b") if number else ("b", "a")), DestinationIfNoneMatch="*"))
    assert {read(s3, bucket, key)[:1] for key in keys(s3, bucket)} == {b"a", b"b"}


@pytest.mark.parametrize(("source", "code"), [
    ("{bucket}/a", "InvalidRequest"), ("other-bucket/a", "InvalidRequest"), ("{bucket}/b?versionId=null", "InvalidRequest"),
    ("{bucket}/missing", "NoSuchKey"), ("nothing", "InvalidArgument"), ("{bucket}/%zz", "InvalidArgument"),
])
def test_sources_that_cannot_be(raw, s3, bucket, source, code):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    answer = raw("PUT", f"/{bucket}/a?renameObject", [("x-amz-rename-source", source.format(bucket=bucket))])
    assert answer.code == code, answer
    assert read(s3, bucket, "a") == b"1"


@pytest.mark.parametrize("header", [
    ("x-amz-tagging", "a=1"), ("x-amz-server-side-encryption", "AES256"), ("x-amz-object-lock-legal-hold", "ON"), ("x-amz-acl", "private"),
])
def test_headers_of_writes_which_a_rename_would_not_do(raw, s3, bucket, header):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    answer = raw("PUT", f"/{bucket}/b?renameObject", [("x-amz-rename-source", f"{bucket}/a"), header])
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer
    assert keys(s3, bucket) == ["a"]


def test_policies_about_tags_see_those_that_come_along(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", Tagging="secret=yes")
    on = f"arn:aws:s3:::{bucket}/*"
    barred = deny("s3:PutObject", on=on, Condition={"StringEquals": {"s3:RequestObjectTag/secret": "yes"}})
    with refused("AccessDenied", status=403):
        rename(people.make_user(server, policies=[allow("s3:*", on=on), barred]).client(server), bucket, "a", "b")
    assert keys(s3, bucket) == ["a"]


def test_it_takes_reading_and_deleting_the_one_and_writing_the_other(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"1", Tagging="t=1")
    needs = {
        "s3:GetObject": "a", "s3:DeleteObject": "a", "s3:PutObject": "b", "s3:GetObjectTagging": "a", "s3:PutObjectTagging": "b",
    }
    statements = {action: allow(action, on=f"arn:aws:s3:::{bucket}/{key}") for action, key in needs.items()}
    for missing in needs:
        who = people.make_user(server, policies=[one for action, one in statements.items() if action != missing])
        with refused("AccessDenied", status=403):
            rename(who.client(server), bucket, "a", "b")
    assert keys(s3, bucket) == ["a"]
    rename(people.make_user(server, policies=statements.values()).client(server), bucket, "a", "b")
    assert keys(s3, bucket) == ["b"]
