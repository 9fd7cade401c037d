"""Results as replies: statuses, header names, roots, text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from shared.protocol import wire
from shared.protocol.codec import header_text
from shared.protocol.model import load_model
from shared.protocol.scalars import http_date, iso_date, milliseconds, parse_http_date, xml_text

OPERATIONS = load_model().operations
MOMENT = datetime(2024, 2, 29, 23, 59, 58, 7000, tzinfo=UTC)


def test_header_names_and_values_are_kept():
    status, headers, body = OPERATIONS["GetObject"].write(
        {
            "ETag": '"abc"',
            "VersionId": "v",
            "LastModified": MOMENT,
            "ContentLength": 3,
            "DeleteMarker": False,
            "Metadata": {"foo": "bar", "under_score": "Ã¼"},
            "ObjectLockRetainUntilDate": MOMENT,
            "ContentType": "text/plain",
            "NotAMember": "x",
            "CacheControl": None,
        }
    )
    assert (status, body) == (200, b"")
    assert headers == [
        ("ETag", '"abc"'),
        ("x-amz-version-id", "v"),
        ("Last-Modified", "Thu, 29 Feb 2024 23:59:58 GMT"),
        ("Content-Length", "3"),
        ("x-amz-delete-marker", "false"),
        ("x-amz-meta-foo", "bar"),
        ("x-amz-meta-under_score", "Ã¼"),
        ("x-amz-object-lock-retain-until-date", "2024-02-29T23:59:58.007Z"),
        ("Content-Type", "text/plain"),
    ]


def test_dates_may_be_milliseconds():
    for name in ("GetObject", "HeadObject"):
        by_date = OPERATIONS[name].write({"LastModified": MOMENT})
        assert by_date == OPERATIONS[name].write({"LastModified": milliseconds(MOMENT)})
    assert (
        b"2024-02-29T23:59:58.007Z"
        in OPERATIONS["ListBuckets"].write({"Buckets": [{"Name": "b", "CreationDate": milliseconds(MOMENT)}]})[2]
    )


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("PutObject", 200),
        ("DeleteObject", 204),
        ("DeleteBucket", 204),
        ("AbortMultipartUpload", 204),
        ("PutBucketTagging", 204),
        ("PutBucketPolicy", 204),
        ("PutBucketVersioning", 200),
    ],
)
def test_statuses(name, status):
    assert OPERATIONS[name].write({}) == (status, [], b"")


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("ListBuckets", "ListAllMyBucketsResult"),
        ("ListObjects", "ListBucketResult"),
        ("ListObjectsV2", "ListBucketResult"),
        ("ListObjectVersions", "ListVersionsResult"),
        ("ListMultipartUploads", "ListMultipartUploadsResult"),
        ("ListParts", "ListPartsResult"),
        ("CreateMultipartUpload", "InitiateMultipartUploadResult"),
        ("CompleteMultipartUpload", "CompleteMultipartUploadResult"),
        ("CopyObject", "CopyObjectResult"),
        ("UploadPartCopy", "CopyPartResult"),
        ("DeleteObjects", "DeleteResult"),
        ("GetBucketVersioning", "VersioningConfiguration"),
        ("GetBucketLocation", "LocationConstraint"),
        ("GetBucketTagging", "Tagging"),
        ("GetBucketAcl", "AccessControlPolicy"),
        ("GetBucketCors", "CORSConfiguration"),
        ("GetBucketEncryption", "ServerSideEncryptionConfiguration"),
        ("GetBucketLifecycleConfiguration", "LifecycleConfiguration"),
        ("GetBucketReplication", "ReplicationConfiguration"),
        ("GetBucketPolicyStatus", "PolicyStatus"),
        ("GetObjectAttributes", "GetObjectAttributesResponse"),
        ("GetObjectLegalHold", "LegalHold"),
        ("GetObjectLockConfiguration", "ObjectLockConfiguration"),
        ("GetObjectRetention", "Retention"),
        ("GetPublicAccessBlock", "PublicAccessBlockConfiguration"),
        ("ListBucketInventoryConfigurations", "ListInventoryConfigurationsResult"),
    ],
)
def test_roots_are_those_of_the_documentation(name, root):
    _, headers, body = OPERATIONS[name].write({})
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<')
    assert ("Content-Type", "application/xml") in headers
    assert etree.fromstring(body).tag == f"{{{wire.XMLNS}}}{root}"


def test_location_is_bare_text():
    body = OPERATIONS["GetBucketLocation"].write({"LocationConstraint": "eu-west-1"})[2]
    assert etree.fromstring(body).text == "eu-west-1"
    assert etree.fromstring(OPERATIONS["GetBucketLocation"].write({})[2]).text is None


def test_a_policy_is_json():
    assert OPERATIONS["GetBucketPolicy"].write({"Policy": '{"a": 1}'}) == (200, [("Content-Type", "application/json")], b'{"a": 1}')


def test_a_grantee_carries_its_type():
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": "me"}, "Permission": "READ"}
    body = OPERATIONS["GetBucketAcl"].write({"Grants": [grant]})[2]
    assert f'<Grantee xmlns:xsi="{wire.XSI}" xsi:type="CanonicalUser"><ID>me</ID></Grantee>'.encode() in body


def test_flattened_and_wrapped_lists():
    parts = OPERATIONS["ListParts"].write({"Parts": [{"PartNumber": 1}, {"PartNumber": 2}]})[2]
    assert b"<Part><PartNumber>1</PartNumber></Part><Part><PartNumber>2</PartNumber></Part>" in parts
    buckets = OPERATIONS["ListBuckets"].write({"Buckets": [{"Name": "a"}, {"Name": "b"}]})[2]
    assert b"<Buckets><Bucket><Name>a</Name></Bucket><Bucket><Name>b</Name></Bucket></Buckets>" in buckets


def test_deleted_keys_with_control_characters():
    body = OPERATIONS["DeleteObjects"].write({"Deleted": [{"Key": "a\x01\r<&\ufffe"}]})[2]
    assert b"<Key>a&#x1;&#xd;&lt;&amp;&#xfffe;</Key>" in body
    assert etree.fromstring(body, etree.XMLParser(recover=True)) is not None


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", "plain"),
        ("a\r\nSet-Cookie: b\0", "a  Set-Cookie: b "),
        ("ü", "ü"),
        ("字", "å\xad\x97"),
    ],
)
def test_header_text_fits_a_header(text, sent):
    assert header_text(text) == sent


@given(st.text())
def test_header_text_never_splits_a_header(text):
    sent = header_text(text).encode("latin-1")
    assert not set(b"\r\n\0") & set(sent)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_xml_text_comes_back(text):
    assert (etree.fromstring(f"<a>{xml_text(text)}</a>".encode()).text or "") == text
    assert etree.fromstring(f'<a b="{xml_text(text)}"/>'.encode()).get("b") == text


@given(st.integers(0, 253402300799999))
def test_dates_round_trip(moment_ms):
    assert milliseconds(datetime.fromisoformat(iso_date(moment_ms))) == moment_ms
    assert parse_http_date(http_date(moment_ms // 1000)).timestamp() == moment_ms // 1000


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 09:49:37 +0100"],
)
def test_http_dates_in_all_forms(text):
    assert parse_http_date(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@given(st.text())
def test_other_text_is_no_http_date(text):
    parsed = parse_http_date(text)
    assert parsed is None or parsed.tzinfo is UTC


def test_zones_are_converted():
    east = MOMENT.astimezone(timezone(timedelta(hours=5)))
    assert OPERATIONS["HeadObject"].write({"LastModified": east}) == OPERATIONS["HeadObject"].write({"LastModified": MOMENT})
