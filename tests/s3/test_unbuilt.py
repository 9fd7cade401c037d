"""What is not built says so by name; what is built is open to nobody without a signature. Both over the whole service model."""

from __future__ import annotations

import re

import pytest

from shared.protocol.model import Operation, load_model
from shared.registry import load
from tests.s3.raw import Raw

MODEL = load_model().operations
BUILT = {function.name for function in load(["s3.*"]).values()}

# A value that makes a declared query name or header pass the parser.
VALUES = {
    "partNumber": "1",
    "uploadId": "0" * 32,
    "max-parts": "1",
    "versionId": "null",
    "x-amz-object-attributes": "ETag",
    "x-amz-rename-source": "/b/k",
}


def target_of(operation: Operation, bucket: str) -> tuple[str, list[tuple[str, str]]]:
    """A request line and headers that name this operation and no other."""
    path = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/some/key"}[operation.level]
    pairs = [f"{name}={value}" if value else name for name, value in operation.literals.items()]
    pairs += [f"{name}={VALUES.get(name, 'x')}" for name in sorted(operation.needs) if name not in operation.literals]
    values = VALUES | {"x-amz-copy-source": f"/{bucket}/k"}      # a source whose bucket is missing is told to anyone
    return path + ("?" + "&".join(pairs) if pairs else ""), [(name, values.get(name, "x")) for name in operation.routed_headers or ()]


def names(built: bool) -> list[str]:
    return sorted(name for name in MODEL if (name in BUILT) == built)


BUILT_SUB_RESOURCES = {name for built in BUILT if built in MODEL for name in MODEL[built].literals}     # some methods of theirs succeed

FOUNDATION = """
    ListBuckets CreateBucket HeadBucket DeleteBucket GetBucketLocation PutObject GetObject HeadObject DeleteObject DeleteObjects CopyObject
    GetObjectAttributes ListObjects ListObjectsV2 ListObjectVersions GetBucketVersioning PutBucketVersioning CreateMultipartUpload
    UploadPart UploadPartCopy CompleteMultipartUpload AbortMultipartUpload ListParts ListMultipartUploads
"""


def test_the_foundation_is_built():
    assert set(FOUNDATION.split()) <= BUILT


@pytest.mark.parametrize("name", names(built=False))
def test_an_unbuilt_operation_is_501_with_its_name(raw: Raw, bucket, name):
    target, headers = target_of(MODEL[name], bucket)
    answer = raw(MODEL[name].method, target, headers)
    if MODEL[name].method == "HEAD":
        assert answer.status == 501
        return
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer
    assert name in (answer.xml.findtext("Message") or ""), answer


@pytest.mark.parametrize("name", sorted(MODEL))
def test_nobody_without_a_signature_may_do_anything(raw: Raw, bucket, name):
    target, headers = target_of(MODEL[name], bucket)
    answer = raw(MODEL[name].method, target, headers, sign=False)
    if MODEL[name].method == "HEAD":
        assert (answer.status, answer.body) == (403, b"")
    else:
        assert (answer.status, answer.code) == (403, "AccessDenied"), answer


@pytest.mark.parametrize("name", sorted((BUILT & MODEL.keys()) - {"ListBuckets", "CreateBucket"}))
def test_a_missing_bucket_is_404_for_every_operation(raw: Raw, name):
    target, headers = target_of(MODEL[name], "no-such-bucket-anywhere")
    answer = raw(MODEL[name].method, target, headers)
    assert answer.status == 404 and answer.code in ("NoSuchBucket", ""), answer


@pytest.mark.parametrize(
    "query",
    [
        "acl",
        "torrent",
        "tagging",
        "policy",
        "lifecycle",
        "cors",
        "website",
        "append",
        "events",
        "restore&versionId=1",
        "select&select-type=2",
        "object-lock",
        "publicAccessBlock",
        "replication",
        "notification",
        "encryption",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_a_sub_resource_never_falls_through_to_the_object(raw: Raw, s3, bucket, method, query):
    s3.put_object(Bucket=bucket, Key="k", Body=b"precious")
    for path in (f"/{bucket}/k", f"/{bucket}"):
        answer = raw(method, f"{path}?{query}", body=b"<x/>" if method in ("PUT", "POST") else b"")
        assert answer.status in (405, 501, 400, 403) or query.partition("&")[0] in BUILT_SUB_RESOURCES, (path, answer)
    assert raw("GET", f"/{bucket}/k").body == b"precious"


@pytest.mark.parametrize("query", ["x-id=GetObject", "cache-buster=1", "foo", "foo=bar&x=y", "_=1700000000"])
def test_unknown_query_names_are_ignored(raw: Raw, s3, bucket, query):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    assert raw("GET", f"/{bucket}/k?{query}").body == b"data"


HEADERS = [
    ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-server-side-encryption-context", "e30="),
    ("x-amz-storage-class", "GLACIER"),
    ("x-amz-storage-class", "nonsense"),
    ("x-amz-write-offset-bytes", "5"),
]


@pytest.mark.parametrize(("name", "value"), HEADERS)
def test_a_header_that_asks_for_what_there_is_not_is_refused(raw: Raw, s3, bucket, name, value):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    requests = [
        ("PUT", f"/{bucket}/k", [], b"data"),
        ("PUT", f"/{bucket}/k", [], b"d" * 50_000),
        ("POST", f"/{bucket}/k?uploads", [], b""),
        ("PUT", f"/{bucket}/k", [("x-amz-copy-source", f"/{bucket}/source")], b""),
    ]
    for method, target, more, body in requests:
        answer = raw(method, target, [(name, value), *more], body)
        assert answer.status in (400, 501), answer
        assert answer.code in (
            "NotImplemented",
            "InvalidStorageClass",
            "InvalidArgument",
            "InvalidRequest",
        ), answer
    assert raw("HEAD", f"/{bucket}/k").status == 404
    assert not raw("GET", f"/{bucket}?uploads").xml.findall("Upload")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-acl", "private"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-tagging", ""),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-meta-anything", "goes"),
    ],
)
def test_a_header_that_asks_for_nothing_is_accepted(raw: Raw, bucket, name, value):
    assert raw("PUT", f"/{bucket}/k", [(name, value)], b"data").status == 200
    assert raw("DELETE", f"/{bucket}/k", [(name, value)]).status == 204


def test_creating_a_bucket_with_an_unbuilt_feature_is_refused(raw: Raw):
    answer = raw("PUT", "/bucket-that-is-never-made", [("x-amz-bucket-namespace", "account-regional")])
    assert answer.status in (400, 501), answer
    assert raw("HEAD", "/bucket-that-is-never-made").status == 404


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "X", "get"])
def test_another_method_is_405(raw: Raw, bucket, method):
    answer = raw(method, f"/{bucket}/k")
    assert answer.status in (405, 400, 501, 403), answer
    assert re.fullmatch(rb"(?s)(<\?xml.*</Error>\s*)?", answer.body), answer
