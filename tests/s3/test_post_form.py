"""PostObject: forms with signed policies of both versions, anonymous ones, and what each field does.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import time
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from botocore.exceptions import ClientError

from tests.s3.raw import Raw, read_answer

SOON = "2099-01-01T00:00:00Z"


def policy(conditions: list[Any], expiration: str = SOON) -> bytes:
    return base64.b64encode(json.dumps({"expiration": expiration, "conditions": conditions}).encode())


def signed_v2(server, document: bytes) -> dict[str, Any]:
    made = base64.b64encode(hmac.new(server.secret_key.encode(), document, hashlib.sha1).digest())
    return {"AWSAccessKeyId": server.access_key, "policy": document, "signature": made}


def usual(bucket: str, *more: Any) -> list[Any]:
    return [{"bucket": bucket}, ["starts-with", "$key", "foo"], ["starts-with", "$Content-Type", "text/"], *more]


def post(server, bucket: str, fields: dict[str, Any], file: Any = b"content", **how: Any) -> requests.Response:
    parts = [(name, (None, value)) for name, value in fields.items()]
    parts.append(("file", file if isinstance(file, tuple) else ("local.txt", file)))
    how.setdefault("allow_redirects", False)
    return requests.post(f"{server.url}/{bucket}", files=parts, timeout=30, **how)


def code(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, ElementTree.fromstring(reply.content).findtext("Code") or ""


@pytest.mark.parametrize("size", [0, 3, 40_000, 3_000_000])
@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_form_as_boto3_makes_it(server, s3, bucket, version, size):
    data = os.urandom(size)
    made = server.client(signature_version=version).generate_presigned_post(
        bucket, "up/${filename}", Fields={"acl": "bucket-owner-full-control", "x-amz-meta-from": "form"},
        Conditions=[{"acl": "bucket-owner-full-control"}, {"x-amz-meta-from": "form"}, ["content-length-range", 0, 5_000_000]])
    reply = requests.post(made["url"], data=made["fields"], files={"file": ("a b.bin", data)}, timeout=30)
    assert (reply.status_code, reply.content) == (204, b"")
    found = s3.get_object(Bucket=bucket, Key="up/a b.bin")
    assert found["Body"].read() == data and found["Metadata"] == {"from": "form"}
    assert reply.headers["ETag"] == found["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert reply.headers["Location"] == f"{server.url}/{bucket}/up/a%20b.bin"


def test_a_form_signed_with_version_2_carries_headers_and_tags(server, s3, acl_bucket):
    bucket = acl_bucket
    tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>".replace("&amp;", "+")
    fields = {"acl": "public-read", "tagging": tagging, "Cache-Control": "no-cache", "x-amz-meta-n": "ü"}
    wanted = usual(bucket, ["starts-with", "$tagging", "<"], *({name: value} for name, value in fields.items() if name != "tagging"))
    reply = post(server, bucket, {"key": "foo", "Content-Type": "text/css", **fields, **signed_v2(server, policy(wanted))})
    assert reply.status_code == 204, reply.text
    found = s3.get_object(Bucket=bucket, Key="foo")
    assert (found["ContentType"], found["CacheControl"]) == ("text/css", "no-cache")
    assert s3.get_object_tagging(Bucket=bucket, Key="foo")["TagSet"] == [{"Key": "a b", "Value": "1+2"}]
    assert requests.get(f"{server.url}/{bucket}/foo", timeout=30).content == b"content"


CASES: dict[str, tuple[list[Any], dict[str, Any], tuple[int, str]]] = {
    "a field that no condition names": ([], {"x-amz-meta-other": "1"}, (403, "AccessDenied")),
    "an ignored field": ([], {"x-ignore-this": "1"}, (204, "")),
    "a prefix that does not fit": ([["starts-with", "$x-amz-meta-a", "no"]], {"x-amz-meta-a": "yes"}, (403, "AccessDenied")),
    "a value that differs": ([["eq", "$x-amz-meta-a", ""]], {"x-amz-meta-a": "yes"}, (403, "AccessDenied")),
    "a field that is missing": ([["starts-with", "$x-amz-meta-a", "y"]], {}, (403, "AccessDenied")),
    "a missing field that may be": ([["starts-with", "$x-amz-meta-a", ""]], {}, (204, "")),
    "names without case": ([["StArTs-WiTh", "$X-Amz-Meta-A", "y"]], {"x-AMZ-meta-a": "yes"}, (204, "")),
    "exactly its length": ([["content-length-range", 7, 7]], {}, (204, "")),
    "too long": ([["content-length-range", 0, 6]], {}, (400, "EntityTooLarge")),
    "too short": ([["content-length-range", 8, 100]], {}, (400, "EntityTooSmall")),
    "a negative length": ([["content-length-range", -1, 6]], {}, (400, "InvalidPolicyDocument")),
    "half a range": ([["content-length-range", 0]], {}, (400, "InvalidPolicyDocument")),
    "an empty condition": ([{}], {}, (400, "InvalidPolicyDocument")),
    "an unknown operator": ([["ends-with", "$key", "o"]], {}, (400, "InvalidPolicyDocument")),
    "a condition that is a number": ([{"success_action_status": 201}], {}, (400, "InvalidPolicyDocument")),
    "another bucket as a field": ([], {"bucket": "another"}, (204, "")),     # the bucket of the address counts
    "a name with a space behind it": ([], {"key ": "x"}, (403, "AccessDenied")),
    "a checksum that is right": ([], {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"content").digest())}, (204, "")),
    "a checksum that is wrong": ([], {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"other").digest())}, (400, "BadDigest")),
    "a checksum that is none": ([], {"x-amz-checksum-sha256": "sailor"}, (400, "InvalidRequest")),
}


OF_ANY_SIZE = [case for case, (more, _, _) in CASES.items() if "content-length" not in str(more) and "checksum" not in case]


@pytest.mark.parametrize(("case", "size"), [*((case, 7) for case in CASES), *((case, 30_000) for case in OF_ANY_SIZE)])
def test_conditions(server, bucket, case, size):
    """Small forms are judged when they are whole, larger ones when their fields are here: with the same outcome."""
    more, fields, expected = CASES[case]
    reply = post(server, bucket, {"key": "foo", "Content-Type": "text/plain", **fields, **signed_v2(server, policy(usual(bucket, *more)))},
                 b"content".ljust(size, b"."))
    assert (code(reply) if reply.content else (reply.status_code, "")) == expected, reply.text


@pytest.mark.parametrize(("document", "expected"), [
    ({"conditions": []}, (400, "InvalidPolicyDocument")),
    ({"expiration": SOON}, (400, "InvalidPolicyDocument")),
    ({"EXPIRATION": SOON, "conditions": []}, (400, "InvalidPolicyDocument")),
    ({"expiration": SOON, "CONDITIONS": []}, (400, "InvalidPolicyDocument")),
    ({"expiration": "2099-01-01 00:00:00", "conditions": []}, (400, "InvalidPolicyDocument")),
    ({"expiration": "2001-01-01T00:00:00Z", "conditions": []}, (403, "AccessDenied")),
    ({"expiration": SOON, "conditions": []}, (403, "AccessDenied")),
    ([], (400, "InvalidPolicyDocument")),
])
def test_documents(server, bucket, document, expected):
    made = base64.b64encode(json.dumps(document).encode())
    assert code(post(server, bucket, {"key": "foo", **signed_v2(server, made)})) == expected


def test_a_policy_must_name_its_bucket_and_counts_there_only(server, bucket, new_bucket):
    anywhere = policy([["starts-with", "$key", ""]])
    assert code(post(server, bucket, {"key": "foo", **signed_v2(server, anywhere)})) == (403, "AccessDenied")
    here = signed_v2(server, policy([{"bucket": bucket}, ["starts-with", "$key", ""]]))
    assert post(server, bucket, {"key": "foo", **here}).status_code == 204
    assert code(post(server, new_bucket(), {"key": "foo", **here})) == (403, "AccessDenied")
    assert code(post(server, new_bucket(), {"key": "foo", "bucket": bucket, **here})) == (403, "AccessDenied")


def test_signatures_and_keys(server, bucket):
    fields = {"key": "foo", "Content-Type": "text/plain", **signed_v2(server, policy(usual(bucket)))}
    assert code(post(server, bucket, {**fields, "AWSAccessKeyId": "AKIANOBODY"})) == (403, "InvalidAccessKeyId")
    assert code(post(server, bucket, {**fields, "signature": fields["signature"][::-1]})) == (403, "SignatureDoesNotMatch")
    for name in ("signature", "AWSAccessKeyId", "policy"):
        assert code(post(server, bucket, {field: value for field, value in fields.items() if field != name})) == (400, "InvalidArgument")
    assert code(post(server, bucket, {name: value for name, value in fields.items() if name != "key"})) == (403, "AccessDenied")
    without_key = signed_v2(server, policy([{"bucket": bucket}]))
    assert code(post(server, bucket, without_key)) == (400, "UserKeyMustBeSpecified")


def test_version_4_scopes(server, bucket):
    made = server.client().generate_presigned_post(bucket, "k")["fields"]
    assert post(server, bucket, made).status_code == 204
    for change in ({"x-amz-credential": made["x-amz-credential"].replace("/s3/", "/iam/")}, {"x-amz-algorithm": "AWS4-HMAC-SHA1"},
                   {"x-amz-date": "20200101T000000Z"}, {"x-amz-date": "yesterday"}):
        assert code(post(server, bucket, {**made, **change})) == (400, "InvalidArgument")
    assert code(post(server, bucket, {**made, "x-amz-signature": "0" * 64})) == (403, "SignatureDoesNotMatch")
    assert code(post(server, bucket, {**made, "x-amz-security-token": "t"})) == (400, "InvalidToken")


@pytest.mark.parametrize(("fields", "status"), [({}, 204), ({"success_action_status": "200"}, 200), ({"success_action_status": "201"}, 201),
                                                ({"success_action_status": "404"}, 204), ({"success_action_redirect": "not a page"}, 204)])
def test_the_status_a_form_asks_for(server, s3, acl_bucket, fields, status):
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read-write")
    reply = post(server, acl_bucket, {"key": "foo<1>", **fields})
    assert reply.status_code == status, reply.text
    if status == 201:
        document = ElementTree.fromstring(reply.content)
        assert document.tag == "PostResponse"
        assert [document.findtext(name) for name in ("Location", "Bucket", "Key", "ETag")] == [
            f"{server.url}/{acl_bucket}/foo%3C1%3E", acl_bucket, "foo<1>", f'"{hashlib.md5(b"content").hexdigest()}"']
    else:
        assert reply.content == b""


def test_where_a_form_sends_the_browser(server, s3, acl_bucket):
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read-write")
    etag = f"%22{hashlib.md5(b'content').hexdigest()}%22"
    for page, expected in (("https://example.com/done", "https://example.com/done?"), ("http://example.com/?a=1#x", "http://example.com/?a=1&")):
        reply = post(server, acl_bucket, {"key": "a b&c", "success_action_redirect": page, "success_action_status": "201"})
        assert reply.status_code == 303
        assert reply.headers["Location"].removesuffix("#x") == f"{expected}bucket={acl_bucket}&key=a%20b%26c&etag={etag}"


def test_nobody_needs_a_bucket_that_lets_everybody_write(server, s3, acl_bucket):
    for size in (7, 30_000):
        assert code(post(server, acl_bucket, {"key": "foo"}, b"." * size)) == (403, "AccessDenied")
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read-write")
    for size in (7, 30_000):
        assert post(server, acl_bucket, {"key": "foo"}, b"." * size).status_code == 204
        assert s3.head_object(Bucket=acl_bucket, Key="foo")["ContentLength"] == size
    assert code(post(server, "no-such-bucket-at-all", {"key": "foo"})) == (404, "NoSuchBucket")


def test_headers_of_the_request_do_not_pass_by_the_policy(server, s3, acl_bucket):
    fields = {"key": "foo", "Content-Type": "text/plain", **signed_v2(server, policy(usual(acl_bucket)))}
    reply = post(server, acl_bucket, fields, headers={"x-amz-acl": "public-read", "x-amz-meta-a": "1", "Cache-Control": "no-store"})
    assert reply.status_code == 204
    found = s3.head_object(Bucket=acl_bucket, Key="foo")
    assert found["Metadata"] == {} and "CacheControl" not in found
    assert len(s3.get_object_acl(Bucket=acl_bucket, Key="foo")["Grants"]) == 1


def test_what_is_no_form(raw: Raw, bucket):
    def ask(content_type: str, body: bytes, **how: Any) -> tuple[int, str]:
        answer = raw("POST", f"/{bucket}", [("Content-Type", content_type)], body, **how)
        return answer.status, answer.code

    form = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\ndata\r\n--x--\r\n'
    multipart = "multipart/form-data; boundary=x"
    assert ask("application/x-www-form-urlencoded", b"a=1", sign=False) == (412, "PreconditionFailed")
    assert ask("multipart/form-data", form + file, sign=False) == (400, "MalformedPOSTRequest")
    assert ask(multipart, form + file, sign=False) == (403, "AccessDenied")
    assert ask(multipart, form + file) == (400, "InvalidRequest")       # signed as a request
    assert ask(multipart, form + b"--x--\r\n", sign=False) == (400, "InvalidArgument")
    assert ask(multipart, form + file[:-12], sign=False) == (400, "MalformedPOSTRequest")
    assert ask(multipart, b"", sign=False) == (400, "MalformedPOSTRequest")
    assert ask(multipart, form + form + file, sign=False) == (400, "InvalidArgument")
    assert ask(multipart, form.replace(b"\r\nk\r\n", b"\r\n" + b"k" * 20_000 + b"\r\n") + file, sign=False) == (
        400, "MaxPostPreDataLengthExceeded")


def test_a_refused_form_is_answered_before_its_file_is_sent(raw: Raw, server, bucket):
    """The server reads nothing of a file of 1 GiB whose fields it does not like."""
    head = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    with socket.create_connection(server.address, 10) as connection:
        connection.sendall((f"POST /{bucket} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                            f"Content-Length: {1 << 30}\r\n\r\n").encode() + head)
        started = time.monotonic()
        answer = read_answer(connection, "POST")
    assert (answer.status, answer.code) == (403, "AccessDenied") and time.monotonic() - started < 5
    assert not [path for path in (server.data_dir / "staging").rglob("*") if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize("chunk", [1, 7, 60])
def test_a_form_that_comes_in_pieces(server, s3, bucket, chunk):
    """Borders fall anywhere: also the boundary of the file is cut in two."""
    made = server.client().generate_presigned_post(bucket, "pieces")["fields"]
    data = (b"\r\n--x\r-\n--" * 40) + b"\r\n--"
    fields = [(name, (None, value)) for name, value in made.items()]
    prepared = requests.Request("POST", f"{server.url}/{bucket}", files=[*fields, ("file", ("f", data))]).prepare()
    pieces = [prepared.body[at:at + chunk] for at in range(0, len(prepared.body), chunk)]
    del prepared.headers["Content-Length"]
    reply = requests.post(prepared.url, data=iter(pieces), headers=dict(prepared.headers), timeout=30)
    assert reply.status_code == 204, reply.text
    assert s3.get_object(Bucket=bucket, Key="pieces")["Body"].read() == data


def test_a_form_that_expects_to_be_asked(server, s3, bucket):
    """100-continue is said once, before the fields; the rest of the file follows without a word."""
    made = server.client().generate_presigned_post(bucket, "asked")["fields"]
    prepared = requests.Request("POST", f"{server.url}/{bucket}", files=[
        *((name, (None, value)) for name, value in made.items()), ("file", ("f", b"z" * 2_000_000))]).prepare()
    with socket.create_connection(server.address, 10) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in prepared.headers.items())
        connection.sendall(f"POST /{bucket} HTTP/1.1\r\nHost: {server.host}\r\nExpect: 100-continue\r\n{head}\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(prepared.body)
        assert read_answer(connection, "POST").status == 204
    assert s3.head_object(Bucket=bucket, Key="asked")["ContentLength"] == 2_000_000


def test_only_the_last_part_of_a_path_names_the_file(server, s3, bucket):
    made = server.client().generate_presigned_post(bucket, "x/${filename}")["fields"]
    assert post(server, bucket, made, ("C:\\Documents\\räum.txt", b"1")).status_code == 204
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["x/räum.txt"]


TAGGING = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"


def test_who_may_write_by_acl_may_tag_what_they_write_and_nothing_else(server, s3, nobody, acl_bucket):
    fields = {"key": "foo", "tagging": TAGGING}
    assert code(post(server, acl_bucket, fields)) == (403, "AccessDenied")
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read-write")
    assert post(server, acl_bucket, fields).status_code == 204
    nobody.put_object(Bucket=acl_bucket, Key="bar", Tagging="a=b")
    for key in ("foo", "bar"):
        assert s3.get_object_tagging(Bucket=acl_bucket, Key=key)["TagSet"] == [{"Key": "a", "Value": "b"}]
        with pytest.raises(ClientError) as caught:
            nobody.put_object_tagging(Bucket=acl_bucket, Key=key, Tagging={"TagSet": []})
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert code(post(server, acl_bucket, {**fields, "tagging": "<Tagging/"})) == (400, "MalformedXML")
    assert code(post(server, acl_bucket, {**fields, "tagging": TAGGING.replace("<Key>a", "<Key>aws:a")})) == (400, "InvalidTag")
