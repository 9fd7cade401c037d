"""Object tags: set with the object or afterwards, by version, and kept through copies, history and multipart uploads."""

from __future__ import annotations

import pytest

from tests.s3.asking import refused, upload
from tests.s3.raw import Raw


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags_of(s3, bucket, key="k", **more):
    return {one["Key"]: one["Value"] for one in s3.get_object_tagging(Bucket=bucket, Key=key, **more)["TagSet"]}


def put(s3, bucket, key="k", **more):
    return s3.put_object(Bucket=bucket, Key=key, Body=b"x", **more)


def test_a_new_object_has_no_tags(s3, bucket):
    put(s3, bucket)
    assert tags_of(s3, bucket) == {}
    assert "TagCount" not in s3.head_object(Bucket=bucket, Key="k")


def test_tags_come_with_the_object_and_are_counted(s3, bucket):
    put(s3, bucket, Tagging="foo=bar&bar&%C3%BC=a+b")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tag_set(bar="", foo="bar", ü="a b")["TagSet"]
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 3
    assert s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "3"


def test_put_replaces_the_whole_set_and_nothing_else(s3, bucket):
    put(s3, bucket, Tagging="a=1&b=2", Metadata={"m": "1"})
    before = s3.head_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set(c="3"))
    after = s3.head_object(Bucket=bucket, Key="k")
    assert tags_of(s3, bucket) == {"c": "3"}
    assert [before[name] for name in ("ETag", "LastModified", "Metadata")] == [after[name] for name in ("ETag", "LastModified", "Metadata")]


def test_delete_removes_the_set_and_overwriting_too(s3, bucket):
    put(s3, bucket, Tagging="a=1")
    answer = s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204 and tags_of(s3, bucket) == {}
    put(s3, bucket, Tagging="a=1")
    put(s3, bucket)
    assert tags_of(s3, bucket) == {}


@pytest.mark.parametrize("call", ["get", "put", "delete"])
def test_tags_need_an_object(s3, bucket, call):
    more = {"Tagging": tag_set(a="1")} if call == "put" else {}
    ask = getattr(s3, f"{call}_object_tagging")
    with refused("NoSuchKey", status=404):
        ask(Bucket=bucket, Key="none", **more)
    put(s3, bucket)
    with refused("NoSuchVersion", status=404):
        ask(Bucket=bucket, Key="k", VersionId="0" * 32, **more)


def test_each_version_has_its_own_tags(s3, versioned):
    first = put(s3, versioned, Tagging="n=1")["VersionId"]
    second = put(s3, versioned, Tagging="n=2")["VersionId"]
    assert (tags_of(s3, versioned, VersionId=first), tags_of(s3, versioned)) == ({"n": "1"}, {"n": "2"})
    assert s3.put_object_tagging(Bucket=versioned, Key="k", VersionId=first, Tagging=tag_set(n="one"))["VersionId"] == first
    assert s3.put_object_tagging(Bucket=versioned, Key="k", Tagging=tag_set(n="two"))["VersionId"] == second
    assert (tags_of(s3, versioned, VersionId=first), tags_of(s3, versioned)) == ({"n": "one"}, {"n": "two"})
    s3.delete_object(Bucket=versioned, Key="k", VersionId=second)       # the first becomes current, with its tags
    assert tags_of(s3, versioned) == {"n": "one"}
    assert s3.delete_object_tagging(Bucket=versioned, Key="k", VersionId=first)["VersionId"] == first
    assert tags_of(s3, versioned) == {}


def test_a_delete_marker_has_no_tags(s3, versioned):
    put(s3, versioned, Tagging="n=1")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("NoSuchKey"):
        s3.put_object_tagging(Bucket=versioned, Key="k", Tagging=tag_set(a="1"))
    with refused("MethodNotAllowed"):
        s3.get_object_tagging(Bucket=versioned, Key="k", VersionId=marker)
    s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert tags_of(s3, versioned) == {"n": "1"}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, {"a": "1"}), ({"TaggingDirective": "COPY"}, {"a": "1"}), ({"TaggingDirective": "REPLACE"}, {}),
        ({"TaggingDirective": "REPLACE", "Tagging": "b=2"}, {"b": "2"}), ({"Tagging": "b=2"}, {"a": "1"}),
        ({"MetadataDirective": "REPLACE"}, {"a": "1"}),
    ],
)
def test_a_copy_takes_the_tags_along_unless_told_otherwise(s3, bucket, arguments, found):
    put(s3, bucket, "source", Tagging="a=1")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", **arguments)
    assert tags_of(s3, bucket) == found
    assert tags_of(s3, bucket, "source") == {"a": "1"}


def test_an_unknown_tagging_directive_is_refused(s3, bucket):
    put(s3, bucket, "source")
    with refused("InvalidArgument", status=400):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", TaggingDirective="MERGE")


def test_a_multipart_upload_keeps_the_tags_it_began_with(s3, bucket):
    upload(s3, bucket, "k", b"x", Tagging="Hello=World&foo=bar")
    assert tags_of(s3, bucket) == {"Hello": "World", "foo": "bar"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    assert tags_of(s3, bucket, "copy") == {"Hello": "World", "foo": "bar"}


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("a=1&a=2", "InvalidArgument"), ("%ff=1", "InvalidArgument"), ("aws:a=1", "InvalidTag"), ("a=" + "v" * 257, "InvalidTag"),
        ("&".join(f"k{number}=1" for number in range(11)), "BadRequest"),
    ],
)
def test_unfit_tags_in_the_header_are_refused(raw: Raw, s3, bucket, header, code):
    put(s3, bucket, "source")
    for method, target, more in (("PUT", "k", []), ("POST", "k?uploads", []), ("PUT", "k", [("x-amz-copy-source", f"/{bucket}/source")])):
        answer = raw(method, f"/{bucket}/{target}", [("x-amz-tagging", header), *more])
        assert (answer.status, answer.code) == (400, code), answer
    with refused("404"):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([("k", "1"), ("k", "2")], "InvalidTag"), ([("k" * 129, "v")], "InvalidTag"), ([("k", "v" * 257)], "InvalidTag"),
        ([("aws:k", "v")], "InvalidTag"), ([(f"k{number}", "v") for number in range(11)], "InvalidTag"),
    ],
)
def test_unfit_tags_in_a_document_are_refused(s3, bucket, tags, code):
    put(s3, bucket)
    with refused(code, status=400):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in tags]})
    assert tags_of(s3, bucket) == {}
