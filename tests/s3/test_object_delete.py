"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.s3.asking import DIGESTS, at_once, checksum, code_of, etag, read, refused
from tests.s3.raw import Raw


def delete_xml(*keys: str, quiet: bool = False, xmlns: str = "") -> bytes:
    entries = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f"<Delete{xmlns}>{'<Quiet>true</Quiet>' if quiet else ''}{entries}</Delete>".encode()


def content_md5(body: bytes) -> tuple[str, str]:
    return "Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode()


def test_delete_is_204_whether_the_key_was_there_or_not(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        gone = s3.delete_object(Bucket=bucket, Key="k")
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204 and "DeleteMarker" not in gone and "VersionId" not in gone
    with refused("NoSuchKey"):
        read(s3, bucket, "k")


def test_if_match_deletes_only_that_etag(s3, bucket):
    with refused("NoSuchKey", "PreconditionFailed", status=404):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag(b"1"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with refused("PreconditionFailed", status=412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag(b"2"))
    assert read(s3, bucket, "k") == b"1"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag(b"1"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")
    with refused("NoSuchKey"):
        read(s3, bucket, "k")


def test_of_sixteen_conditional_deletes_exactly_one_wins(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    results = at_once(16, lambda _: s3.delete_object(Bucket=versioned, Key="k", IfMatch=etag(b"1")))
    codes = [code_of(one) for one in results]
    assert codes.count("") == 1 and set(codes) <= {"", "NoSuchKey", "PreconditionFailed", "ConditionalRequestConflict"}
    assert len(s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]) == 1


def test_delete_and_conditional_put_do_not_both_see_the_object(s3, bucket):
    for _ in range(5):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1")
        acts = [
            lambda: s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag(b"1")),
            lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag(b"1")),
        ]
        codes = [code_of(one) for one in at_once(2, lambda number, acts=acts: acts[number]())]
        assert codes.count("") == 1, codes


def test_delete_objects_reports_each_key_even_those_not_there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    reply = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "missing"}]})
    assert sorted(one["Key"] for one in reply["Deleted"]) == ["a", "missing"] and "Errors" not in reply
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_quiet_reports_only_failures(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.put_object(Bucket=bucket, Key="b", Body=b"x")
    reply = s3.delete_objects(Bucket=bucket, Delete={"Quiet": True, "Objects": [{"Key": "a"}, {"Key": "b", "ETag": etag(b"other")}]})
    assert "Deleted" not in reply
    assert [(one["Key"], one["Code"]) for one in reply["Errors"]] == [("b", "PreconditionFailed")]
    assert read(s3, bucket, "b") == b"x"


def test_delete_objects_makes_markers_and_deletes_versions(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=b"x")["VersionId"] for _ in range(2)]
    marker = s3.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "k"}]})["Deleted"][0]
    assert marker["DeleteMarker"] is True and marker["DeleteMarkerVersionId"]
    everything = [{"Key": "k", "VersionId": one} for one in [*ids, marker["DeleteMarkerVersionId"]]]
    deleted = s3.delete_objects(Bucket=versioned, Delete={"Objects": everything})["Deleted"]
    assert {one["VersionId"] for one in deleted} == {one["VersionId"] for one in everything}
    gone = next(one for one in deleted if one["VersionId"] == marker["DeleteMarkerVersionId"])
    assert gone["DeleteMarker"] is True and gone["DeleteMarkerVersionId"] == marker["DeleteMarkerVersionId"]
    s3.delete_bucket(Bucket=versioned)


def test_a_thousand_keys_may_be_deleted_at_once(s3, raw: Raw, bucket):
    keys = [f"{number:04}" for number in range(1000)]
    for key in keys[::100]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})["Deleted"]) == 1000
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("count", [0, 1001])
def test_no_key_or_more_than_a_thousand_is_malformed(raw: Raw, bucket, count):
    body = delete_xml(*(f"k{number}" for number in range(count)))
    answer = raw("POST", f"/{bucket}?delete", [content_md5(body)], body)
    assert (answer.status, answer.code) == (400, "MalformedXML"), answer


@pytest.mark.parametrize("xmlns", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_the_namespace_is_optional(raw: Raw, s3, bucket, xmlns):
    s3.put_object(Bucket=bucket, Key="a&b", Body=b"x")
    body = delete_xml("a&amp;b", xmlns=xmlns)
    answer = raw("POST", f"/{bucket}?delete", [content_md5(body)], body)
    assert answer.status == 200 and answer.xml.findtext("Deleted/Key") == "a&b", answer


def test_a_digest_of_the_document_is_required(raw: Raw, bucket):
    answer = raw("POST", f"/{bucket}?delete", body=delete_xml("k"))
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer


@pytest.mark.parametrize("algorithm", sorted(DIGESTS))
def test_a_checksum_will_do_and_is_verified(raw: Raw, s3, bucket, algorithm):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    name, body = f"x-amz-checksum-{algorithm.lower()}", delete_xml("k")
    wrong = raw("POST", f"/{bucket}?delete", [(name, checksum(algorithm, b"other"))], body)
    assert (wrong.status, wrong.code) == (400, "BadDigest"), wrong
    assert read(s3, bucket, "k") == b"x"
    assert raw("POST", f"/{bucket}?delete", [(name, checksum(algorithm, body))], body).status == 200
    with refused("NoSuchKey"):
        read(s3, bucket, "k")


def test_a_wrong_content_md5_deletes_nothing(raw: Raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw("POST", f"/{bucket}?delete", [content_md5(b"other")], delete_xml("k"))
    assert (answer.status, answer.code) == (400, "BadDigest"), answer
    assert read(s3, bucket, "k") == b"x"


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
    b"<Delete><Object><Key>&c;</Key></Object></Delete>"
)
OUTSIDE = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<Delete>",
        b"<Delete></Delet>",
        b"no xml",
        b"\xff\xfe",
        BOMB,
        OUTSIDE,
        b"<Delete><Object/></Delete>",
        b"<Other/>",
        b"<Delete>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</Delete>",
        b"<Delete><Object><Key>\x01</Key></Object></Delete>",
        b"<Delete><Object><Key></Key></Object></Delete>",
    ],
    ids=range(13),
)
def test_broken_and_hostile_documents_are_malformed(raw: Raw, bucket, body):
    answer = raw("POST", f"/{bucket}?delete", [content_md5(body)], body)
    assert answer.status == 400 and answer.code in ("MalformedXML", "MissingRequestBodyError", "UserKeyMustBeSpecified"), answer
    assert b"root:" not in answer.body


def test_an_oversized_document_is_refused(raw: Raw, bucket):
    body = b"<Delete>" + b" " * (5 << 20) + b"</Delete>"
    answer = raw("POST", f"/{bucket}?delete", [content_md5(body)], body)
    assert answer.status in (400, 413) and answer.code in ("MaxMessageLengthExceeded", "EntityTooLarge", "MalformedXML"), answer


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_fine(raw: Raw, s3, bucket, encoding):
    s3.put_object(Bucket=bucket, Key="schlüssel", Body=b"x")
    body = delete_xml("schlüssel").decode().encode(encoding)
    assert raw("POST", f"/{bucket}?delete", [content_md5(body)], body).status == 200
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_one_bad_version_does_not_stop_the_others(s3, bucket):
    s3.put_object(Bucket=bucket, Key="good", Body=b"x")
    long_key = "k" * 1025
    try:
        reply = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "good"}, {"Key": "bad", "VersionId": "nonsense"}]})
    except s3.exceptions.ClientError as error:
        pytest.fail(str(error))
    assert "good" in [one["Key"] for one in reply["Deleted"]]
    with refused("NoSuchKey"):
        read(s3, bucket, "good")
    with refused("KeyTooLongError", "MalformedXML", status=400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": long_key}]})


CONDITIONS = [("ETag", etag(b"12"), etag(b"1")), ("Size", 2, 3), ("LastModifiedTime", None, "2015-01-01T00:00:00Z")]


@pytest.mark.parametrize(("name", "right", "wrong"), CONDITIONS)
def test_an_entry_of_a_batch_may_have_conditions(s3, bucket, name, right, wrong):
    s3.put_object(Bucket=bucket, Key="k", Body=b"12")
    right = right if right is not None else s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    reply = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", name: wrong}]})
    assert reply["Errors"][0]["Code"] == "PreconditionFailed" and "Deleted" not in reply
    assert read(s3, bucket, "k") == b"12"
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", name: right}]})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(("name", "right", "wrong"), [
    ("IfMatch", etag(b"12"), etag(b"1")), ("IfMatchSize", 2, 3), ("IfMatchLastModifiedTime", None, "2015-01-01T00:00:00Z"),
])
def test_a_delete_may_have_conditions_on_the_version_it_names(s3, versioned, name, right, wrong):
    version = s3.put_object(Bucket=versioned, Key="k", Body=b"12")["VersionId"]
    right = right if right is not None else s3.head_object(Bucket=versioned, Key="k")["LastModified"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"another")
    with refused("PreconditionFailed", status=412):
        s3.delete_object(Bucket=versioned, Key="k", VersionId=version, **{name: wrong})
    assert read(s3, versioned, "k", VersionId=version) == b"12"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=version, **{name: right})
    assert [one["Size"] for one in s3.list_object_versions(Bucket=versioned)["Versions"]] == [7]
