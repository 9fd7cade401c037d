"""Which operation a request asks for."""

import difflib
import pathlib
import subprocess
import sys

import pytest

from shared.errors import InvalidArgument
from shared.protocol.model import load_model

MODEL = load_model()
SNAPSHOT = pathlib.Path(__file__).with_name("operations.txt")

CASES = [
    ("GET", "service", {}, {}, "ListBuckets"),
    ("GET", "service", {"x-id": "ListBuckets"}, {}, "ListBuckets"),
    ("HEAD", "service", {}, {}, "HeadService"),
    ("POST", "service", {}, {}, None),
    ("GET", "service", {"events": ""}, {}, None),
    # buckets
    ("PUT", "bucket", {}, {}, "CreateBucket"),
    ("HEAD", "bucket", {}, {}, "HeadBucket"),
    ("DELETE", "bucket", {}, {}, "DeleteBucket"),
    ("GET", "bucket", {}, {}, "ListObjects"),
    ("GET", "bucket", {"prefix": "a", "delimiter": "/"}, {}, "ListObjects"),
    ("GET", "bucket", {"list-type": "2"}, {}, "ListObjectsV2"),
    ("GET", "bucket", {"list-type": "1"}, {}, "ListObjects"),
    ("GET", "bucket", {"list-type": ""}, {}, "ListObjects"),
    ("GET", "bucket", {"x-id": "ListObjects"}, {}, "ListObjects"),
    ("GET", "bucket", {"versions": ""}, {}, "ListObjectVersions"),
    ("GET", "bucket", {"uploads": ""}, {}, "ListMultipartUploads"),
    ("GET", "bucket", {"uploads": "", "prefix": "x"}, {}, "ListMultipartUploads"),
    ("GET", "bucket", {"location": ""}, {}, "GetBucketLocation"),
    ("GET", "bucket", {"acl": "", "tagging": ""}, {}, None),
    ("GET", "bucket", {"events": ""}, {}, None),
    ("GET", "bucket", {"session": ""}, {}, None),
    ("GET", "bucket", {"uploadId": "x"}, {}, None),
    ("GET", "bucket", {"inventory": ""}, {}, "ListBucketInventoryConfigurations"),
    ("GET", "bucket", {"inventory": "", "id": "x"}, {}, "GetBucketInventoryConfiguration"),
    ("DELETE", "bucket", {"inventory": ""}, {}, None),
    ("GET", "bucket", {"lifecycle": ""}, {}, "GetBucketLifecycleConfiguration"),
    ("PUT", "bucket", {"notification": ""}, {}, "PutBucketNotificationConfiguration"),
    ("HEAD", "bucket", {"versioning": ""}, {}, None),
    ("POST", "bucket", {}, {}, "PostObject"),
    ("POST", "bucket", {"acl": ""}, {}, None),
    ("POST", "website", {}, {}, None),
    ("GET", "website", {}, {}, "GetWebsitePage"),
    ("DELETE", "control", {"tagKeys": "a"}, {}, "UntagResource"),
    ("PUT", "control", {}, {}, None),
    ("POST", "bucket", {"delete": ""}, {}, "DeleteObjects"),
    ("PUT", "bucket", {"delete": ""}, {}, None),
    ("DELETE", "bucket", {"versioning": ""}, {}, None),
    # objects
    ("GET", "object", {}, {}, "GetObject"),
    ("GET", "object", {"versionId": "3"}, {}, "GetObject"),
    ("GET", "object", {"partNumber": "1"}, {}, "GetObject"),
    ("GET", "object", {"foo": "bar", "X-Amz-Signature": "0"}, {}, "GetObject"),
    ("GET", "object", {"versionId": "3", "tagging": ""}, {}, "GetObjectTagging"),
    ("GET", "object", {"attributes": ""}, {}, "GetObjectAttributes"),
    ("GET", "object", {"uploadId": "x"}, {}, "ListParts"),
    ("GET", "object", {"uploads": ""}, {}, None),
    ("GET", "object", {"versions": ""}, {}, None),
    ("GET", "object", {"torrent": ""}, {}, "GetObjectTorrent"),
    ("HEAD", "object", {"partNumber": "1"}, {}, "HeadObject"),
    ("HEAD", "object", {"acl": ""}, {}, None),
    ("PUT", "object", {}, {}, "PutObject"),
    ("PUT", "object", {}, {"x-amz-copy-source": "a/b"}, "CopyObject"),
    ("PUT", "object", {"x-id": "CopyObject"}, {"x-amz-copy-source": "a/b"}, "CopyObject"),
    ("PUT", "object", {"uploadId": "x", "partNumber": "1"}, {}, "UploadPart"),
    ("PUT", "object", {"uploadId": "x", "partNumber": "1"}, {"x-amz-copy-source": "a/b"}, "UploadPartCopy"),
    ("PUT", "object", {"acl": ""}, {}, "PutObjectAcl"),
    ("PUT", "object", {"policy": ""}, {}, None),
    ("PUT", "object", {"versioning": ""}, {}, None),
    ("PUT", "object", {"torrent": ""}, {}, None),
    ("PUT", "object", {"append": "", "position": "0"}, {}, None),
    ("PUT", "object", {"renameObject": ""}, {}, None),
    ("PUT", "object", {"renameObject": ""}, {"x-amz-rename-source": "a"}, "RenameObject"),
    ("PUT", "object", {"tagging": "", "uploadId": "x", "partNumber": "1"}, {}, None),
    ("POST", "object", {"uploads": ""}, {}, "CreateMultipartUpload"),
    ("POST", "object", {"uploadId": "x"}, {}, "CompleteMultipartUpload"),
    ("POST", "object", {"uploadId": "x", "uploads": ""}, {}, None),
    ("POST", "object", {"select": ""}, {}, None),
    ("POST", "object", {"select": "", "select-type": "2"}, {}, "SelectObjectContent"),
    ("POST", "object", {}, {}, None),
    ("DELETE", "object", {}, {}, "DeleteObject"),
    ("DELETE", "object", {"versionId": "x"}, {}, "DeleteObject"),
    ("DELETE", "object", {"uploadId": "x"}, {}, "AbortMultipartUpload"),
    ("DELETE", "object", {"acl": ""}, {}, None),
    ("OPTIONS", "object", {}, {}, None),
    ("PATCH", "bucket", {}, {}, None),
]


@pytest.mark.parametrize(("method", "level", "query", "headers", "name"), CASES)
def test_a_request_line_means_one_operation_or_none(method, level, query, headers, name):
    found = MODEL.resolve(method, level, query, headers)
    assert (found.name if found else None) == name


@pytest.mark.parametrize("query", [{"partNumber": "1"}, {"uploadId": "x"}, {"uploadId": "x", "x-id": "PutObject"}])
def test_half_a_part_is_never_an_object(query):
    with pytest.raises(InvalidArgument) as caught:
        MODEL.resolve("PUT", "object", query, {})
    assert caught.value.fields["ArgumentName"] in query


@pytest.mark.parametrize("operation", MODEL.operations.values(), ids=str)
def test_every_operation_is_found_by_its_own_line(operation):
    query = operation.literals | dict.fromkeys(operation.needs, "1")
    found = MODEL.resolve(operation.method, operation.level, query, dict.fromkeys(operation.routed_headers, "x"))
    assert found is operation


@pytest.mark.parametrize("name", sorted(MODEL.subresources - {"uploadId", "torrent"}))
def test_a_sub_resource_never_falls_through_to_the_plain_operation(name):
    plain = {"PutObject", "GetObject", "DeleteObject", "HeadObject", "ListObjects", "CreateBucket", "DeleteBucket", "HeadBucket"}
    for method in ("GET", "PUT", "DELETE", "HEAD", "POST"):
        for level in ("bucket", "object"):
            found = MODEL.resolve(method, level, {name: ""}, {})
            assert found is None or found.name not in plain


@pytest.mark.parametrize(
    ("method", "level", "query", "name"),
    [
        ("GET", "object", {}, "GetObject"),
        ("PUT", "object", {"partNumber": "1"}, "UploadPart"),
        ("GET", "bucket", {"acl": "", "tagging": ""}, "GetBucketAcl"),
        ("PUT", "object", {"policy": ""}, "PUT ?policy"),
        ("GET", "service", {"events": ""}, "GET ?events"),
        ("POST", "service", {}, "POST service"),
    ],
)
def test_what_cannot_be_resolved_still_has_a_name(method, level, query, name):
    assert MODEL.name_of(method, level, query, {}) == name


def test_which_bodies_are_taken():
    of_bytes = {name for name, op in MODEL.operations.items() if op.takes_bytes}
    assert of_bytes == {"PutObject", "UploadPart", "PutObjectAnnotation"}
    assert all(MODEL.operations[name].takes_body for name in of_bytes | {"DeleteObjects", "PutBucketPolicy", "SelectObjectContent"})
    assert not any(MODEL.operations[name].takes_body for name in ("GetObject", "CopyObject", "CreateMultipartUpload"))
    assert MODEL.operations["DeleteObjects"].checksum_required
    assert not MODEL.operations["PutBucketTagging"].checksum_required


def test_the_model_is_the_one_we_know():
    """Prints what an upgrade of botocore changes; write the file anew once the changes are understood."""
    now = [
        f"{op.name} {op.method} {op.level} {'&'.join(sorted(op.claims)) or '-'} {op.status}\n"
        for op in sorted(MODEL.operations.values(), key=lambda op: op.name)
    ]
    known = SNAPSHOT.read_text().splitlines(keepends=True)
    assert now == known, "".join(difflib.unified_diff(known, now, "known", "installed", n=0))


def test_only_the_services_we_speak():
    with pytest.raises(KeyError):
        load_model("s3control")


def test_botocore_is_read_and_not_imported():
    code = "import sys; from shared.protocol.model import load_model; load_model(); sys.exit('botocore' in sys.modules)"
    root = pathlib.Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
