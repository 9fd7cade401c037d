"""Request targets, taken apart without being normalised."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidURI, KeyTooLongError
from shared.protocol.target import bucket_of_host, host_name, parse_target

DOMAINS = ["s3.example.com", "example.com", "localhost"]


@pytest.mark.parametrize(
    ("target", "bucket", "key"),
    [
        ("/", None, None),
        ("/b", "b", None),
        ("/b/", "b", None),
        ("/b/k", "b", b"k"),
        ("/b//k", "b", b"/k"),
        ("/b//", "b", b"/"),
        ("/b/a//b", "b", b"a//b"),
        ("/b/../c", "b", b"../c"),
        ("/b/.", "b", b"."),
        ("/b/a/../../c", "b", b"a/../../c"),
        ("/b/a%2Fb", "b", b"a/b"),
        ("/b/%2e%2E", "b", b".."),
        ("/b/a+b", "b", b"a+b"),
        ("/b/a%2Bb", "b", b"a+b"),
        ("/b/a%20b", "b", b"a b"),
        ("/b/%2541", "b", b"%41"),
        ("/b/k/", "b", b"k/"),
        ("/b/%00%01%7f", "b", b"\x00\x01\x7f"),
        ("/b/%F0%9F%98%80", "b", "😀".encode()),
        ("/b/ü".encode().decode("latin-1"), "b", "ü".encode()),
        ("/b/k#fragment", "b", b"k#fragment"),
        ("/b/a;b=c,d", "b", b"a;b=c,d"),
        ("/b%2Fk", "b/k", None),
        ("http://s3.local:9000/b/k", "b", b"k"),
        ("HTTPS://s3.local", None, None),
        ("http://s3.local?list", None, None),
    ],
)
def test_path_style(target, bucket, key):
    parsed = parse_target(target, "127.0.0.1:8080", ())
    assert (parsed.bucket, parsed.key) == (bucket, key)
    assert parsed.level == ("object" if key else "bucket" if bucket else "service")


@pytest.mark.parametrize(
    "target",
    [
        "/b/%",
        "/b/%4",
        "/b/%zz",
        "/b/%ff",
        "/b/%C0%AF",
        "/b/%ED%A0%80",
        "/b?x=%",
        "/b?%ff=1",
        "/b?x=%e4",
        "//",
        "//k",
        "//b/k",
        "",
        "*",
        "b/k",
        "ftp://h/b",
        "example.com:443",
        "/b/a b",
        "/b/a\x00",
        "/b?a\x7f",
        "/b/ÿ",
    ],
)
def test_refused(target):
    with pytest.raises(InvalidURI):
        parse_target(target, "h", ())


def test_raw_forms_are_kept():
    parsed = parse_target("/b/a%2fb//c+d?prefix=a+b&X=%7e&acl", "h", ())
    assert parsed.raw_path == "/b/a%2fb//c+d"
    assert parsed.raw_query == "prefix=a+b&X=%7e&acl"
    assert parsed.query == {"prefix": "a b", "X": "~", "acl": ""}


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        ("", {}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("a=1&a=2", {"a": "1"}),
        ("a=b=c&&d", {"a": "b=c", "d": ""}),
        ("a=1?b=2", {"a": "1?b=2"}),
        ("a%20b=%26%3D", {"a b": "&="}),
        ("a=1+2%2B3", {"a": "1 2+3"}),
        ("prefix=%E5%AD%97", {"prefix": "字"}),
        ("a;b", {"a;b": ""}),
    ],
)
def test_query(raw, query):
    assert parse_target(f"/b?{raw}", "h", ()).query == query


def test_longest_key():
    assert len(parse_target("/b/" + "k" * 1024, "h", ()).key) == 1024
    assert len(parse_target("/b/" + "%C3%BC" * 512, "h", ()).key) == 1024
    for raw in ("k" * 1025, "%C3%BC" * 512 + "k"):
        with pytest.raises(KeyTooLongError) as caught:
            parse_target("/b/" + raw, "h", ())
        assert caught.value.fields == {"Size": "1025", "MaxSizeAllowed": "1024"}


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("b.s3.example.com", "/k", "b", b"k"),
        ("B.S3.Example.COM:9000", "/k", "b", b"k"),
        ("b.s3.example.com.", "/k", "b", b"k"),
        ("a.b.s3.example.com", "/", "a.b", None),
        ("b.localhost:8080", "/x/y", "b", b"x/y"),
        ("b.s3.example.com", "//k", "b", b"/k"),
        ("s3.example.com", "/b/k", "b", b"k"),
        ("example.com", "/b/k", "b", b"k"),
        ("xs3.example.com", "/k", "xs3", b"k"),
        ("other.org", "/b/k", "b", b"k"),
        ("127.0.0.1:8080", "/b/k", "b", b"k"),
        ("[::1]:8080", "/b/k", "b", b"k"),
        ("", "/b/k", "b", b"k"),
        ("other.org", "http://b.s3.example.com/k", "b", b"k"),
    ],
)
def test_virtual_host_style(host, target, bucket, key):
    parsed = parse_target(target, host, DOMAINS)
    assert (parsed.bucket, parsed.key) == (bucket, key)


def test_the_host_of_an_absolute_target_wins():
    assert parse_target("http://one:81/b", "two", ()).host == "one:81"
    assert parse_target("/b", "two", ()).host == "two"


@pytest.mark.parametrize(("host", "name"), [("A.b:80", "a.b"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("a.", "a"), (" a ", "a"), ("", "")])
def test_host_names(host, name):
    assert host_name(host) == name


KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


@given(KEYS, st.sampled_from(["", "/", "/~"]))
def test_any_key_arrives(key, safe):
    assert parse_target("/b/" + quote(key, safe=safe), "h", ()).key == key.encode()


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_query_arrives(query):
    assert parse_target("/b?" + urlencode(query), "h", ()).query == query


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_anything_else_is_a_clear_error(target, host):
    try:
        parsed = parse_target(target, host, DOMAINS)
    except (InvalidURI, KeyTooLongError):
        return
    assert parsed.key is None or 0 < len(parsed.key.decode("utf-8").encode()) <= 1024


@pytest.mark.parametrize("host, bucket", [
    ("mine.s3.test", "mine"), ("Mine.S3.test:8080", "mine"), ("a.b.s3.test", "a.b"), ("mine.s3.test.", "mine"),
    ("s3.test", None), ("s3.test:80", None), ("xs3.test", None), (".s3.test", None), ("127.0.0.1", None), ("[::1]:80", None), ("", None),
])  # fmt: skip
def test_the_bucket_of_a_host(host, bucket):
    assert bucket_of_host(host, ["s3.test"]) == bucket
    assert bucket_of_host(host, []) is None
