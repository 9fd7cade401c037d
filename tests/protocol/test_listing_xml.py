"""The hand-written listings, read back by boto3's own parser and by lxml."""

import time
from datetime import UTC, datetime

import boto3
import pytest
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from shared.listed import Listed, ListedObject
from shared.protocol import listing_xml
from shared.protocol.listing_xml import Page
from shared.protocol.model import load_model

MODEL = boto3.client("s3", region_name="us-east-1").meta.service_model
OPERATIONS = load_model().operations
MTIME_MS = 1_700_000_000_123
MOMENT = datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)
OWNER = ("id<1>", "Ann & Bob")
OBJECT = ListedObject(b"a/b", MTIME_MS, 5, "e" * 32, 1, checksum_algorithm="CRC32", checksum="AAAAAA==")
VERSION = Listed(*OBJECT, seq=-1)
OWNERS = {1: OWNER}
UNFIT = set(range(32)) - {9, 10, 13}


def parsed(name, body):
    """What boto3 makes of a reply."""
    out = create_parser("rest-xml").parse({"status_code": 200, "headers": {}, "body": body}, MODEL.operation_model(name).output_shape)
    out.pop("ResponseMetadata")
    return out


CONTENT = {
    "Key": "a/b",
    "LastModified": MOMENT,
    "ETag": f'"{"e" * 32}"',
    "Size": 5,
    "StorageClass": "STANDARD",
    "ChecksumAlgorithm": ["CRC32"],
    "ChecksumType": "FULL_OBJECT",
}
WITH_OWNER = CONTENT | {"Owner": {"ID": "id<1>", "DisplayName": "Ann & Bob"}}


def test_list_objects():
    page = Page("bucket", [OBJECT], [b"c/", b"d&/"], owners=OWNERS, prefix="p", delimiter="/", max_keys=3, truncated=True)
    body = listing_xml.list_objects(page, marker="m", next_marker=b"d&/")
    assert parsed("ListObjects", body) == {
        "Name": "bucket",
        "Prefix": "p",
        "Marker": "m",
        "NextMarker": "d&/",
        "MaxKeys": 3,
        "Delimiter": "/",
        "IsTruncated": True,
        "Contents": [WITH_OWNER],
        "CommonPrefixes": [{"Prefix": "c/"}, {"Prefix": "d&/"}],
    }


def test_list_objects_v2():
    page = Page("bucket", [OBJECT], [b"c/"], owners=OWNERS, max_keys=1000)
    body = listing_xml.list_objects_v2(page, continuation_token="t=", next_token="n=", start_after="s", fetch_owner=True)
    assert parsed("ListObjectsV2", body) == {
        "Name": "bucket",
        "Prefix": "",
        "ContinuationToken": "t=",
        "NextContinuationToken": "n=",
        "StartAfter": "s",
        "KeyCount": 2,
        "MaxKeys": 1000,
        "IsTruncated": False,
        "Contents": [WITH_OWNER],
        "CommonPrefixes": [{"Prefix": "c/"}],
    }
    assert parsed("ListObjectsV2", listing_xml.list_objects_v2(page))["Contents"] == [CONTENT]


def test_list_object_versions():
    rows = [
        VERSION._replace(version_id="v3", is_marker=True, etag="", size=0),
        VERSION._replace(version_id="v2", is_latest=False),
        VERSION._replace(version_id="null", is_latest=False, checksum_algorithm=None),
    ]
    page = Page("bucket", rows, truncated=True, owners=OWNERS)
    body = listing_xml.list_object_versions(
        page, key_marker="k", version_id_marker="v", next_key_marker=b"a/b", next_version_id_marker="null"
    )
    out = parsed("ListObjectVersions", body)
    owner = WITH_OWNER["Owner"]
    assert out["DeleteMarkers"] == [{"Key": "a/b", "VersionId": "v3", "IsLatest": True, "LastModified": MOMENT, "Owner": owner}]
    assert [version["VersionId"] for version in out["Versions"]] == ["v2", "null"]
    assert out["Versions"][0] == WITH_OWNER | {"VersionId": "v2", "IsLatest": False}
    assert "ChecksumAlgorithm" not in out["Versions"][1]
    markers = ("KeyMarker", "VersionIdMarker", "NextKeyMarker", "NextVersionIdMarker")
    assert [out[name] for name in markers] == ["k", "v", "a/b", "null"]
    order = [etree.QName(child).localname for child in etree.fromstring(body)]
    assert order[-3:] == ["DeleteMarker", "Version", "Version"]


WRITERS = {
    "ListObjects": listing_xml.list_objects,
    "ListObjectsV2": listing_xml.list_objects_v2,
    "ListObjectVersions": listing_xml.list_object_versions,
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_page(name):
    out = parsed(name, WRITERS[name](Page("bucket", [])))
    assert out["IsTruncated"] is False
    assert out["Prefix"] == ""
    assert not {"Contents", "CommonPrefixes", "Versions", "DeleteMarkers", "Delimiter", "EncodingType"} & out.keys()


ROWS = {name: VERSION if name == "ListObjectVersions" else OBJECT for name in WRITERS}


@pytest.mark.parametrize("name", WRITERS)
def test_the_root_is_the_one_of_the_model(name):
    by_model = etree.fromstring(OPERATIONS[name].write({})[2])
    assert etree.fromstring(WRITERS[name](Page("bucket", []))).tag == by_model.tag


@pytest.mark.parametrize("name", WRITERS)
def test_control_characters(name):
    page = Page("bucket", [ROWS[name]._replace(key=b"a\x01\r&<\xef\xbf\xbf")], [b"\x02/"])
    body = WRITERS[name](page)
    assert b"<Key>a&#x1;&#xd;&amp;&lt;&#xffff;</Key>" in body
    assert b"<Prefix>&#x2;/</Prefix>" in body
    safe = WRITERS[name](page._replace(url=True))
    assert b"<Key>a%01%0D%26%3C%EF%BF%BF</Key>" in safe
    assert b"<EncodingType>url</EncodingType>" in safe
    etree.fromstring(safe)


def test_only_an_unfit_prefix_is_encoded_in_the_first_listing():
    assert parsed("ListObjects", listing_xml.list_objects(Page("b", [], prefix="a b\n", url=True)))["Prefix"] == "a b\n"
    assert parsed("ListObjects", listing_xml.list_objects(Page("b", [], prefix="a \x01", url=True)))["Prefix"] == "a%20%01"


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30), max_size=6), st.sampled_from(sorted(WRITERS)))
def test_any_key_comes_back_from_an_encoded_page(keys, name):
    from urllib.parse import unquote_plus

    page = Page("b", [ROWS[name]._replace(key=key.encode()) for key in keys], [key.encode() for key in keys], delimiter="/", url=True)
    root = etree.fromstring(WRITERS[name](page))
    assert [unquote_plus(node.text) for node in root.iter("{*}Key")] == keys
    assert [unquote_plus(node.text) for node in root.iterfind("{*}CommonPrefixes/{*}Prefix")] == keys


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters=[chr(c) for c in UNFIT] + ["\ufffe", "\uffff"]), min_size=1), max_size=6
    )
)
def test_any_fit_key_comes_back_from_a_plain_page(keys):
    page = Page("b", [OBJECT._replace(key=key.encode()) for key in keys])
    root = etree.fromstring(listing_xml.list_objects_v2(page))
    assert [node.text for node in root.iter("{*}Key")] == keys


def test_a_thousand_keys_are_written_in_a_few_milliseconds():
    rows = [OBJECT._replace(key=b"photos/img-%06d.jpg" % i, mtime_ms=MTIME_MS + i * 61_234) for i in range(1000)]

    def seconds():
        started = time.process_time()
        listing_xml.list_objects_v2(Page("b", rows))
        return time.process_time() - started

    assert min(seconds() for _ in range(20)) < 0.006  # 1.7 ms on a quiet core
