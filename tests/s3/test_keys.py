"""Keys are bytes: whatever UTF-8 a client names is what it gets, through put, get, list, copy and delete."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.s3.asking import read, refused
from tests.s3.raw import Raw

ODD = [
    "/",
    "//",
    "///a",
    "a/",
    "a//b",
    "/a",
    ".",
    "..",
    "../..",
    "a/../b",
    "a/./b",
    "./a",
    "%",
    "%2F",
    "a%2Fb",
    "%25",
    "+",
    "a+b",
    "a b",
    " ",
    " a ",
    "a;b",
    "a=b",
    "a&b",
    "a?b",
    "a#b",
    "a:b",
    "a@b",
    "a,b",
    "a'b",
    'a"b',
    "a<b>c",
    "a\\b",
    "a|b",
    "a^b",
    "a`b",
    "{a}",
    "[a]",
    "(a)",
    "!$*~-_.",
    "äöü",
    "日本語",
    "e\u0301",
    "\u00e9",
    "\U0001f600",
    "\u2028",
    "\ufeff",
    "\u200b",
    "a\tb",
    "a\nb",
    "a\rb",
    "\x01",
    "\x7f",
    "\x1f",
    "\ufffe",
    "uploads",
    "?uploads",
    "acl",
    "healthz",
    "x" * 1024,
    "é" * 512,
]


def ids(keys):
    return [repr(key[:12]) for key in keys]


@pytest.mark.parametrize("key", ODD, ids=ids(ODD))
def test_an_odd_key_is_put_read_listed_copied_and_deleted(s3, bucket, key):
    body = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    s3.put_object(Bucket=bucket, Key="zz-other", Body=b"other")
    assert read(s3, bucket, key) == body
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)
    assert key in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert key in [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert read(s3, bucket, "copy") == body
    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "zz-other"})
    assert read(s3, bucket, key) == b"other"
    s3.delete_object(Bucket=bucket, Key=key)
    with refused("NoSuchKey", "404", status=404):  # 404: an error document that names \x01 is nothing that boto3 can parse
        read(s3, bucket, key)


@pytest.mark.parametrize("key", ["a/../b", "a//b", "//", "%2F", "a+b", "a b", "日本語", "é", ".."])
@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_an_odd_key_can_be_presigned(server, s3, bucket, key, version):
    import http.client
    from urllib.parse import urlsplit

    s3.put_object(Bucket=bucket, Key=key, Body=b"found")
    link = server.client(signature_version=version).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.netloc)  # requests would tidy the path up
    connection.request("GET", f"{parts.path}?{parts.query}")
    reply = connection.getresponse()
    assert (reply.status, reply.read()) == (200, b"found")


def test_keys_that_only_look_alike_are_different(s3, bucket):
    keys = ["a/b", "a//b", "a%2Fb", "a%252Fb", "/a/b", "a/b/", "a/./b", "a/x/../b", "é", "e\u0301", "A/B", "a b", "a+b", "a%20b", "a%2Bb"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert sorted(one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]) == sorted(keys)
    for key in keys:
        assert read(s3, bucket, key) == key.encode()


def test_listing_is_in_order_of_utf8_bytes(s3, bucket):
    keys = ["a", "a/", "a0", "B", "b", "\uffee", "\U00010000", "é", "z", "Z", "~", "\x7f"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(keys, key=str.encode)


@pytest.mark.parametrize(("key", "status"), [("k" * 1024, 200), ("k" * 1025, 400), ("é" * 512, 200), ("é" * 512 + "k", 400)])
def test_a_key_has_at_most_1024_bytes(raw: Raw, bucket, key, status):
    answer = raw("PUT", f"/{bucket}/{quote(key)}", body=b"x")
    assert answer.status == status, answer
    if status == 400:
        assert answer.code == "KeyTooLongError"
        for method in ("GET", "HEAD", "DELETE"):
            assert raw(method, f"/{bucket}/{quote(key)}").status == 400


@pytest.mark.parametrize("path", ["%", "%2", "%zz", "a%", "%ff", "%c3%28", "%ed%a0%80", "%f8%88%80%80%80"])
def test_what_is_no_utf8_is_refused(raw: Raw, bucket, path):
    for method in ("PUT", "GET", "DELETE"):
        answer = raw(method, f"/{bucket}/{path}")
        assert (answer.status, answer.code) in ((400, "InvalidURI"), (400, "InvalidArgument")), answer


def test_a_key_written_encoded_or_not_is_the_same(raw: Raw, bucket):
    assert raw("PUT", f"/{bucket}/a%2fb%7Ec%2Bd", body=b"x").status == 200
    for path in ("a/b~c+d", "a%2Fb~c%2bd", "%61%2F%62%7e%63+%64"):
        assert raw("GET", f"/{bucket}/{path}").body == b"x", path


def test_listed_with_encoding_type_url_every_key_comes_back(raw: Raw, s3, bucket):
    keys = ["a b", "a+b", "a/b", "é", "a&b", "<", "\n", "\x01", "%41"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for query in ("list-type=2&", "versions&", ""):
        answer = raw("GET", f"/{bucket}?{query}encoding-type=url")
        assert sorted(unquote(node.text.replace("+", " ")) for node in answer.xml.iter("Key")) == sorted(keys)


# What XML cannot carry is listed with encoding-type=url, which boto3 asks for.
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda key: len(key.encode()) <= 1024 and "\0" not in key)


@given(key=KEYS, body=st.binary(max_size=64))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_key_round_trips(s3, bucket, key, body):
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    assert read(s3, bucket, key) == body
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)


def test_a_null_byte_is_part_of_a_key_or_refused(raw: Raw, bucket):
    put = raw("PUT", f"/{bucket}/a%00b", body=b"x")
    assert put.status in (200, 400), put
    if put.status == 200:
        assert raw("GET", f"/{bucket}/a%00b").body == b"x"
        assert raw("GET", f"/{bucket}/a").status == 404
        assert raw("GET", f"/{bucket}?list-type=2&encoding-type=url").xml.findtext("Contents/Key") == "a%00b"
