"""Bucket names, and the source of a copy."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidArgument, InvalidBucketName, KeyTooLongError
from shared.protocol.copy_source import parse_copy_source
from shared.protocol.names import check_bucket_name


@pytest.mark.parametrize("name", ["abc", "a" * 63, "my-bucket.2", "1a2", "192.168.5", "1.2.3.4.5", "a--b", "300.1.2.x", "xn-a", "0.0.0.0a"])
def test_names_a_bucket_may_have(name):
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "-abc",
        "abc-",
        ".abc",
        "abc.",
        "a..b",
        "a.-b",
        "a-.b",
        "192.168.5.4",
        "999.1.1.1",
        "a b",
        "abc\n",
        "äbc",
        "a/b",
        "xn--abc",
        "sthree-abc",
        "sthree-configurator-a",
        "amzn-s3-demo-x",
        "abc-s3alias",
        "abc--ol-s3",
        "abc.mrap",
        "abc--x-s3",
        "abc--table-s3",
        "٣abc",
        "abc\x00",
    ],
)
def test_names_a_bucket_may_not_have(name):
    with pytest.raises(InvalidBucketName) as caught:
        check_bucket_name(name)
    assert caught.value.fields == {"BucketName": name}


@pytest.mark.parametrize(
    ("header", "bucket", "key", "version"),
    [
        ("b/k", "b", b"k", None),
        ("/b/k", "b", b"k", None),
        ("/b/a/b//c", "b", b"a/b//c", None),
        ("b//k", "b", b"/k", None),
        ("b%2Fk", "b", b"k", None),
        ("%2Fb%2Fk", "b", b"k", None),
        ("b/a%20b", "b", b"a b", None),
        ("b/a+b", "b", b"a b", None),
        ("b/a%2Bb", "b", b"a+b", None),
        ("b/a%2541", "b", b"a%41", None),
        ("b/%C3%BC", "b", "ü".encode(), None),
        ("b/ü".encode().decode("latin-1"), "b", "ü".encode(), None),
        ("b/k?versionId=v1", "b", b"k", "v1"),
        ("b/k?versionId=null", "b", b"k", "null"),
        ("b/k?versionId=a%2Bb", "b", b"k", "a+b"),
        ("b/k?x", "b", b"k?x", None),
        ("b/k%3FversionId=1", "b", b"k?versionId=1", None),
        ("b/k?versionId=1?versionId=2", "b", b"k?versionId=1", "2"),
        ("b/k/", "b", b"k/", None),
    ],
)
def test_sources(header, bucket, key, version):
    assert parse_copy_source(header) == (bucket, key, version)


@pytest.mark.parametrize("header", ["", "/", "b", "b/", "/b", "//k", "b/%", "b/%zz", "b/%ff", "b/k?versionId=", "?versionId=1", "b/\xff"])
def test_unusable_sources(header):
    with pytest.raises(InvalidArgument) as caught:
        parse_copy_source(header)
    assert caught.value.fields == {"ArgumentName": "x-amz-copy-source", "ArgumentValue": header}


def test_a_source_key_is_bounded():
    with pytest.raises(KeyTooLongError):
        parse_copy_source("b/" + "k" * 1025)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=100), st.sampled_from([quote, quote_plus]))
def test_any_key_arrives(key, encode):
    assert parse_copy_source("b/" + encode(key)) == ("b", key.encode(), None)


@given(st.text(st.characters(max_codepoint=255)))
def test_anything_else_is_a_clear_error(header):
    try:
        source = parse_copy_source(header)
    except (InvalidArgument, KeyTooLongError):
        return
    assert source.bucket
    assert source.key
