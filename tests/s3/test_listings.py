"""ListObjects, ListObjectsV2, ListObjectVersions: prefixes, delimiters, markers, pages."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.s3.asking import etag, refused
from tests.s3.raw import Raw

KEYS = ["a", "a/1", "a/2", "a/b/3", "b", "b/", "c/", "c/1", "d//1", "e", "photos/2026/x", "photos/2026/y", "photos/2027/z"]


@pytest.fixture(scope="module")
def filled(server):
    """A bucket with KEYS, never changed."""
    s3, name = server.client(), f"b-{os.urandom(8).hex()}"
    s3.create_bucket(Bucket=name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def expected(keys, prefix="", delimiter="", after=""):
    """(keys, common prefixes) as S3 defines them: the reference that pages are compared with."""
    found, prefixes = [], []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        common = key[: cut + len(delimiter)] if cut >= 0 else ""
        if (common or key).encode() <= after.encode() or (common and after.startswith(common)):
            continue
        if not common:
            found.append(key)
        elif common not in prefixes:
            prefixes.append(common)
    return found, prefixes


def shown(page):
    return [one["Key"] for one in page.get("Contents", [])], [one["Prefix"] for one in page.get("CommonPrefixes", [])]


CASES = [(p, d) for p in ("", "a", "a/", "b", "c/", "d/", "photos/", "photos/20", "x", "/") for d in ("", "/", "20", "a", "//")]


@pytest.mark.parametrize(("prefix", "delimiter"), CASES)
def test_v1_and_v2_and_versions_show_the_same(s3, filled, prefix, delimiter):
    wanted = expected(KEYS, prefix, delimiter)
    assert shown(s3.list_objects(Bucket=filled, Prefix=prefix, Delimiter=delimiter)) == wanted
    page = s3.list_objects_v2(Bucket=filled, Prefix=prefix, Delimiter=delimiter)
    assert shown(page) == wanted and page["KeyCount"] == sum(map(len, wanted)) and not page["IsTruncated"]
    versions = s3.list_object_versions(Bucket=filled, Prefix=prefix, Delimiter=delimiter)
    assert [one["Key"] for one in versions.get("Versions", [])] == wanted[0]
    assert [one["Prefix"] for one in versions.get("CommonPrefixes", [])] == wanted[1]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 13, 1000])
@pytest.mark.parametrize(("prefix", "delimiter"), [("", ""), ("", "/"), ("a/", "/"), ("photos/", "/"), ("", "20")])
def test_pages_of_any_size_add_up(s3, filled, prefix, delimiter, size):
    wanted = expected(KEYS, prefix, delimiter)
    for operation in ("list_objects", "list_objects_v2", "list_object_versions"):
        keys, prefixes, count = [], [], 0
        for page in s3.get_paginator(operation).paginate(
            Bucket=filled, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
        ):
            found = [one["Key"] for one in page.get("Versions" if "versions" in operation else "Contents", [])]
            more = [one["Prefix"] for one in page.get("CommonPrefixes", [])]
            assert len(found) + len(more) <= size
            keys, prefixes, count = keys + found, prefixes + more, count + 1
            assert count < 50
        assert (keys, prefixes) == wanted, operation


@pytest.mark.parametrize("after", ["", "a", "a/", "a/1", "b", "b/", "photos/2026/x", "zzz", "\x7f", "Z", "photos"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_marker_and_start_after(s3, filled, after, delimiter):
    keys, prefixes = expected(KEYS, "", delimiter, after)
    page = s3.list_objects_v2(Bucket=filled, Delimiter=delimiter, StartAfter=after)
    assert shown(page)[0] == keys
    one = s3.list_objects(Bucket=filled, Delimiter=delimiter, Marker=after)
    assert shown(one)[0] == keys and one.get("Marker", "") == after
    if after in ("", "a", "b", "zzz", "Z"):
        assert shown(page)[1] == shown(one)[1] == prefixes


def test_a_row_says_everything(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA1")
    for page in (s3.list_objects(Bucket=bucket), s3.list_objects_v2(Bucket=bucket, FetchOwner=True)):
        row = page["Contents"][0]
        assert (row["Key"], row["ETag"], row["Size"], row["StorageClass"]) == ("k", etag(b"data"), 4, "STANDARD")
        assert row["Owner"]["ID"] == s3.list_buckets()["Owner"]["ID"] and row["LastModified"]
        assert row["ChecksumAlgorithm"] == ["SHA1"] and row["ChecksumType"] == "FULL_OBJECT"
        assert page["Name"] == bucket and page["MaxKeys"] == 1000
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]


def test_last_modified_is_the_same_in_listing_and_head(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    assert listed.replace(microsecond=0) == s3.head_object(Bucket=bucket, Key="k")["LastModified"]


@pytest.mark.parametrize("kind", ["", "list-type=2&", "versions&"])
@pytest.mark.parametrize(("value", "rows"), [("0", 0), ("1", 1), ("1000", len(KEYS)), ("1001", len(KEYS)), ("2147483647", len(KEYS))])
def test_max_keys(raw: Raw, filled, kind, value, rows):
    answer = raw("GET", f"/{filled}?{kind}max-keys={value}")
    assert answer.status == 200, answer
    assert len(list(answer.xml.iter("Key"))) == rows
    assert answer.xml.findtext("IsTruncated") == ("true" if rows == 1 else "false")
    assert answer.xml.findtext("MaxKeys") == str(min(int(value), 1000))


@pytest.mark.parametrize("kind", ["", "list-type=2&", "versions&"])
@pytest.mark.parametrize("value", ["-1", "x", "1.5", "1e3", "9" * 30, "0x10", "%20", "%D9%A3"])
def test_max_keys_that_is_none_is_refused(raw: Raw, filled, kind, value):
    answer = raw("GET", f"/{filled}?{kind}max-keys={value}")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_an_empty_max_keys_is_the_default(raw: Raw, filled):
    answer = raw("GET", f"/{filled}?list-type=2&max-keys=")
    assert answer.status in (200, 400), answer


@pytest.mark.parametrize("token", ["", "x", "!!!", "%00", "a" * 5000, "Li4vLi4v%0a", "%FF", "AAAA"])
def test_a_continuation_token_of_ones_own_making_is_harmless(raw: Raw, filled, token):
    answer = raw("GET", f"/{filled}?list-type=2&continuation-token={token}")
    assert answer.status in (200, 400), answer
    if answer.status == 400:
        assert answer.code in ("InvalidArgument", "InvalidURI")


def test_a_token_goes_before_start_after_and_is_repeated(s3, filled):
    first = s3.list_objects_v2(Bucket=filled, MaxKeys=2)
    second = s3.list_objects_v2(Bucket=filled, MaxKeys=2, ContinuationToken=first["NextContinuationToken"], StartAfter="zzz")
    assert shown(second)[0] == KEYS[2:4] and second["ContinuationToken"] == first["NextContinuationToken"]
    assert second["StartAfter"] == "zzz"


def test_a_token_outlives_the_key_it_names(s3, new_bucket):
    name = new_bucket()
    for key in "abcd":
        s3.put_object(Bucket=name, Key=key, Body=b"")
    token = s3.list_objects_v2(Bucket=name, MaxKeys=2)["NextContinuationToken"]
    s3.delete_object(Bucket=name, Key="b")
    assert shown(s3.list_objects_v2(Bucket=name, ContinuationToken=token))[0] == ["c", "d"]


def test_encoding_type_url_quotes_keys_prefixes_delimiters_and_markers(raw: Raw, s3, bucket):
    for key in ("a b/ü+1", "a b/ü+2", "\x01/x", "z"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = raw("GET", f"/{bucket}?encoding-type=url&delimiter=/&prefix=&max-keys=2&marker=%00")
    assert answer.xml.findtext("EncodingType") == "url"
    assert [node.findtext("Prefix") for node in answer.xml.iter("CommonPrefixes")] in (
        ["%01/", "a+b/"],
        ["%01/", "a%20b/"],
        ["%01%2F", "a+b%2F"],
    )
    plain = raw("GET", f"/{bucket}?list-type=2")
    assert b"&#x1;/x" in plain.body


@pytest.mark.parametrize("value", ["URL", "base64", "x"])
def test_another_encoding_type_is_refused(raw: Raw, filled, value):
    answer = raw("GET", f"/{filled}?list-type=2&encoding-type={value}")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_next_marker_is_given_with_a_delimiter_only(raw: Raw, filled):
    assert raw("GET", f"/{filled}?max-keys=1").xml.findtext("NextMarker") is None
    assert raw("GET", f"/{filled}?max-keys=2&delimiter=/").xml.findtext("NextMarker") == "a/"


def test_roots_and_namespace_are_those_of_aws(raw: Raw, filled):
    for query, root in (("", b"ListBucketResult"), ("list-type=2", b"ListBucketResult"), ("versions", b"ListVersionsResult")):
        assert re.search(rb"<" + root + rb' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', raw("GET", f"/{filled}?{query}").body)


def test_a_missing_bucket_cannot_be_listed(s3):
    for act in (s3.list_objects, s3.list_objects_v2, s3.list_object_versions, s3.list_multipart_uploads):
        with refused("NoSuchBucket", status=404):
            act(Bucket="b-" + os.urandom(8).hex())


# ---- versions -------------------------------------------------------------------------------------------------------------------


def test_versions_are_listed_by_key_newest_first_with_markers(s3, versioned):
    wanted = []
    for key in ("a", "b"):
        ids = [s3.put_object(Bucket=versioned, Key=key, Body=str(n).encode())["VersionId"] for n in range(3)]
        ids.append(s3.delete_object(Bucket=versioned, Key=key)["VersionId"])
        wanted += [(key, one) for one in reversed(ids)]
    for size in (1, 2, 3, 7, 8, 1000):
        rows = []
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=versioned, PaginationConfig={"PageSize": size}):
            both = page.get("Versions", []) + page.get("DeleteMarkers", [])
            assert len(both) <= size
            rows += sorted(((one["Key"], one["VersionId"]) for one in both), key=wanted.index)
        assert rows == wanted, size
    markers = s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]
    assert all(one["IsLatest"] for one in markers) and len(markers) == 2


def test_a_key_of_delete_markers_only_is_no_common_prefix(s3, versioned):
    s3.put_object(Bucket=versioned, Key="gone/x", Body=b"")
    s3.delete_object(Bucket=versioned, Key="gone/x")
    s3.put_object(Bucket=versioned, Key="here/x", Body=b"")
    assert shown(s3.list_objects_v2(Bucket=versioned, Delimiter="/")) == ([], ["here/"])
    assert [one["Prefix"] for one in s3.list_object_versions(Bucket=versioned, Delimiter="/")["CommonPrefixes"]] == ["gone/", "here/"]


def test_many_hidden_keys_do_not_make_an_empty_page(s3, versioned):
    for number in range(30):
        s3.put_object(Bucket=versioned, Key=f"a{number:02}", Body=b"")
        s3.delete_object(Bucket=versioned, Key=f"a{number:02}")
    s3.put_object(Bucket=versioned, Key="b", Body=b"")
    page = s3.list_objects_v2(Bucket=versioned, MaxKeys=2)
    assert shown(page)[0] == ["b"] and not page["IsTruncated"]


def test_a_version_marker_needs_a_key_marker(raw: Raw, versioned):
    answer = raw("GET", f"/{versioned}?versions&version-id-marker=abc")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_key_marker_alone_starts_behind_all_versions_of_the_key(s3, versioned):
    for key in ("a", "a", "b"):
        s3.put_object(Bucket=versioned, Key=key, Body=b"")
    page = s3.list_object_versions(Bucket=versioned, KeyMarker="a")
    assert [one["Key"] for one in page["Versions"]] == ["b"]


WORDS = st.text("ab/%", min_size=1, max_size=6)


@given(
    keys=st.sets(WORDS, max_size=12),
    prefix=st.text("ab/", max_size=3),
    delimiter=st.sampled_from(["", "/", "a", "b/", "%"]),
    size=st.integers(1, 5),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_listing_agrees_with_its_definition(s3, new_bucket, keys, prefix, delimiter, size):
    name = new_bucket()
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"")
    found, prefixes = [], []
    for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=name, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
    ):
        more = shown(page)
        assert len(more[0]) + len(more[1]) <= size
        found, prefixes = found + more[0], prefixes + more[1]
    assert (found, prefixes) == expected(keys, prefix, delimiter)
