"""GetObjectAttributes."""

from __future__ import annotations

import os

import pytest

from tests.s3.asking import PART, checksum, md5, parts_etag, refused, upload
from tests.s3.raw import Raw

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


def test_all_attributes_of_a_plain_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA256")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)
    assert (got["ETag"], got["ObjectSize"], got["StorageClass"]) == (md5(b"data"), 4, "STANDARD")
    assert got["Checksum"] == {"ChecksumSHA256": checksum("SHA256", b"data"), "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in got and got["LastModified"]


@pytest.mark.parametrize("name", ALL)
def test_only_what_is_asked_for_is_told(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=[name])
    assert set(got) & set(ALL) == {name} - {"ObjectParts"}


def test_parts_of_a_multipart_object(s3, bucket):
    parts = [os.urandom(PART), b"last"]
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        sent = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=number, Body=part, ChecksumAlgorithm="SHA256")
        done.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": done})
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)
    assert f'"{got["ETag"]}"' == parts_etag(*parts) and got["Checksum"]["ChecksumType"] == "COMPOSITE"
    told = got["ObjectParts"]
    assert told["TotalPartsCount"] == 2
    assert [(one["PartNumber"], one["Size"], one["ChecksumSHA256"]) for one in told["Parts"]] == [
        (number, len(part), checksum("SHA256", part)) for number, part in enumerate(parts, 1)
    ]
    page = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], MaxParts=1)["ObjectParts"]
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 1 and len(page["Parts"]) == 1
    rest = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], PartNumberMarker=1)["ObjectParts"]
    assert [one["PartNumber"] for one in rest["Parts"]] == [2] and not rest["IsTruncated"]


def test_pages_of_parts_have_holes_and_ends(s3, raw: Raw, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    done = []
    for number in (2, 5, 9):
        sent = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=number, Body=b"d" * PART)
        done.append({"PartNumber": number, "ETag": sent["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": done})

    def page(*headers):
        answer = raw("GET", f"/{bucket}/k?attributes", [("x-amz-object-attributes", "ObjectParts"), *headers])
        assert answer.status == 200, answer
        told = answer.xml.find("ObjectParts")
        numbers = [int(one.findtext("PartNumber")) for one in told.iter("Part")]
        return numbers, *(told.findtext(name) for name in ("PartsCount", "PartNumberMarker", "NextPartNumberMarker", "IsTruncated"))

    assert page(("x-amz-max-parts", "2")) == ([2, 5], "3", "0", "5", "true")
    assert page(("x-amz-max-parts", "2"), ("x-amz-part-number-marker", "5")) == ([9], "3", "5", "9", "false")
    assert page(("x-amz-part-number-marker", "9")) == ([], "3", "9", "9", "false")
    assert page(("x-amz-max-parts", "0")) == ([], "3", "0", "0", "false")       # or a client would ask for ever
    assert page(("x-amz-max-parts", "99999")) == ([2, 5, 9], "3", "0", "9", "false")


@pytest.mark.parametrize("header", [("x-amz-max-parts", "-1"), ("x-amz-max-parts", "x"), ("x-amz-part-number-marker", "-1")])
def test_pages_that_cannot_be(raw: Raw, s3, bucket, header):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    answer = raw("GET", f"/{bucket}/k?attributes", [("x-amz-object-attributes", "ObjectParts"), header])
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


@pytest.mark.parametrize(("kind", "algorithm"), [
    ("FULL_OBJECT", "CRC32"), ("COMPOSITE", "CRC32"), ("FULL_OBJECT", "CRC64NVME"), ("COMPOSITE", "SHA1"),
])
def test_checksums_of_both_types(s3, bucket, kind, algorithm):
    """The parts of a full-object checksum are not told theirs, as AWS keeps none."""
    name, parts = f"Checksum{algorithm}", [b"1" * PART, b"2"]
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    done = []
    for number, part in enumerate(parts, 1):
        sent = s3.upload_part(Bucket=bucket, Key="k", UploadId=begun["UploadId"], PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
        done.append({"PartNumber": number, "ETag": sent["ETag"], name: sent[name]})
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=begun["UploadId"], MultipartUpload={"Parts": done}, ChecksumType=kind)
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectParts"])
    whole = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Checksum"] == {name: whole[name], "ChecksumType": kind}
    assert [one.get(name) for one in got["ObjectParts"]["Parts"]] == [
        checksum(algorithm, part) if kind == "COMPOSITE" else None for part in parts]


def test_without_part_checksums_only_the_count_is_told(server, bucket):
    plain = server.client(request_checksum_calculation="when_required")
    upload(plain, bucket, "k", os.urandom(PART), b"last")
    assert plain.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])["ObjectParts"]["TotalPartsCount"] == 2


def test_versions_and_markers(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"22")
    got = s3.get_object_attributes(Bucket=versioned, Key="k", VersionId=first, ObjectAttributes=["ObjectSize"])
    assert (got["ObjectSize"], got["VersionId"]) == (1, first)
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("NoSuchKey", status=404) as told:
        s3.get_object_attributes(Bucket=versioned, Key="k", ObjectAttributes=["ETag"])
    assert told.headers["x-amz-delete-marker"] == "true"
    with refused("MethodNotAllowed", status=405):
        s3.get_object_attributes(Bucket=versioned, Key="k", VersionId=marker, ObjectAttributes=["ETag"])


@pytest.mark.parametrize(
    "headers",
    [[], [("x-amz-object-attributes", "")], [("x-amz-object-attributes", "Nonsense")], [("x-amz-object-attributes", "ETag,Nonsense")]],
    ids=range(4),
)
def test_no_or_unknown_attributes_are_refused(raw: Raw, s3, bucket, headers):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    answer = raw("GET", f"/{bucket}/k?attributes", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer
