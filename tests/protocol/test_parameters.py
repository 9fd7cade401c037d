"""Query and header values: bounds, empty values, dates, echoes."""

from datetime import UTC, datetime

import pytest

from shared.errors import InvalidArgument
from shared.protocol.model import load_model

OPERATIONS = load_model().operations
PATH = {"Bucket": "b", "Key": "k"}


def read(name, query=None, headers=None):
    out = OPERATIONS[name].read(PATH, query or {}, headers or {})
    return {key: value for key, value in out.items() if key not in PATH}


@pytest.mark.parametrize(
    ("name", "query", "expected"),
    [
        ("ListObjectsV2", {"max-keys": "0"}, {"MaxKeys": 0}),
        ("ListObjectsV2", {"max-keys": "2147483647"}, {"MaxKeys": 2147483647}),
        ("ListObjectsV2", {"max-keys": ""}, {}),
        ("ListObjects", {"prefix": "", "delimiter": "", "marker": ""}, {"Prefix": "", "Delimiter": "", "Marker": ""}),
        ("ListObjects", {"encoding-type": "url"}, {"EncodingType": "url"}),
        ("ListObjects", {"encoding-type": ""}, {}),
        ("ListObjectsV2", {"fetch-owner": "True"}, {"FetchOwner": True}),
        ("ListParts", {"uploadId": "u", "max-parts": "", "part-number-marker": "3"}, {"UploadId": "u", "PartNumberMarker": 3}),
        ("ListMultipartUploads", {"max-uploads": "7"}, {"MaxUploads": 7}),
        ("ListBuckets", {"max-buckets": "10000"}, {"MaxBuckets": 10000}),
        ("GetObject", {"partNumber": "10000", "x-id": "GetObject"}, {"PartNumber": 10000}),
        ("GetObject", {"response-expires": "whenever"}, {"ResponseExpires": "whenever"}),
        ("GetObject", {"response-content-disposition": "a; filename=ü"}, {"ResponseContentDisposition": "a; filename=Ã¼"}),
    ],
)
def test_query_values(name, query, expected):
    assert read(name, query) == expected


@pytest.mark.parametrize(
    ("name", "query", "value"),
    [
        ("ListObjectsV2", "max-keys", "blah"),
        ("ListObjectsV2", "max-keys", "-1"),
        ("ListObjectsV2", "max-keys", "2147483648"),
        ("ListObjectsV2", "max-keys", "9" * 5000),
        ("ListObjectsV2", "max-keys", "1.0"),
        ("ListObjectsV2", "max-keys", "٣"),
        ("ListObjectsV2", "max-keys", "0x10"),
        ("ListParts", "max-parts", "-1"),
        ("ListParts", "part-number-marker", "-1"),
        ("ListMultipartUploads", "max-uploads", "x"),
        ("ListBuckets", "max-buckets", "0"),
        ("ListBuckets", "max-buckets", "10001"),
        ("UploadPart", "partNumber", "0"),
        ("UploadPart", "partNumber", "10001"),
        ("UploadPart", "partNumber", ""),
        ("GetObject", "partNumber", "-1"),
        ("HeadObject", "partNumber", "one"),
        ("GetObject", "versionId", ""),
        ("GetObject", "response-content-type", "a\r\nSet-Cookie: b"),
        ("GetObject", "response-expires", "a\x00"),
        ("ListObjects", "encoding-type", "URL"),
        ("ListObjectsV2", "fetch-owner", "yes"),
    ],
)
def test_unusable_query_values_are_named(name, query, value):
    with pytest.raises(InvalidArgument) as caught:
        read(name, {query: value})
    assert caught.value.fields == {"ArgumentName": query, "ArgumentValue": value}


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("PutObject", {"content-type": "text/plain", "x-unknown": "1"}, {"ContentType": "text/plain"}),
        ("PutObject", {"content-length": "5"}, {"ContentLength": 5}),
        ("PutObject", {"expires": "soon"}, {"Expires": "soon"}),
        ("PutObject", {"x-amz-storage-class": "MADE_UP"}, {"StorageClass": "MADE_UP"}),
        ("PutObject", {"x-amz-acl": "bucket-owner-full-control"}, {"ACL": "bucket-owner-full-control"}),
        ("PutObject", {"x-amz-meta-a_b": "Ã¼ ", "x-amz-meta-c": ""}, {"Metadata": {"a_b": "Ã¼ ", "c": ""}}),
        (
            "PutObject",
            {"x-amz-object-lock-retain-until-date": "2030-01-02T03:04:05Z"},
            {"ObjectLockRetainUntilDate": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)},
        ),
        ("PutObject", {"x-amz-server-side-encryption-bucket-key-enabled": "TRUE"}, {"BucketKeyEnabled": True}),
        (
            "GetObject",
            {"if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"},
            {"IfModifiedSince": datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)},
        ),
        ("GetObject", {"if-modified-since": "yesterday"}, {}),
        ("GetObjectAttributes", {"x-amz-object-attributes": "ETag, Checksum,,"}, {"ObjectAttributes": ["ETag", "Checksum"]}),
    ],
)
def test_header_values(name, headers, expected):
    assert read(name, {}, headers) == expected


@pytest.mark.parametrize(
    ("name", "header", "value"),
    [
        ("PutObject", "x-amz-object-lock-retain-until-date", "next year"),
        ("PutObject", "x-amz-server-side-encryption-bucket-key-enabled", "maybe"),
        ("CompleteMultipartUpload", "x-amz-mp-object-size", "9" * 30),
    ],
)
def test_unusable_header_values_are_named(name, header, value):
    with pytest.raises(InvalidArgument) as caught:
        read(name, {}, {header: value})
    assert caught.value.fields["ArgumentName"].lower() == header
    assert caught.value.fields["ArgumentValue"] == value
