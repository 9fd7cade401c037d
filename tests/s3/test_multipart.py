"""Multipart uploads: all seven operations, their order, retries and races."""

from __future__ import annotations

import os

import pytest

from tests.s3.asking import MIB, PART, at_once, checksum, code_of, etag, parts_etag, read, refused, upload
from tests.s3.raw import Raw

ONE, TWO, LAST = os.urandom(PART), os.urandom(PART), os.urandom(MIB + 7)


def begin(s3, bucket, key="k", **more):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]


def send(s3, bucket, upload_id, number, data, key="k", **more):
    reply = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data, **more)
    return {"PartNumber": number, "ETag": reply["ETag"]}


def complete(s3, bucket, upload_id, parts, key="k", **more):
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **more)


def complete_xml(*parts):
    return (
        "<CompleteMultipartUpload>"
        + "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in parts)
        + "</CompleteMultipartUpload>"
    ).encode()


def test_parts_become_an_object(s3, bucket):
    done = upload(s3, bucket, "k", ONE, TWO, LAST, ContentType="text/plain", Metadata={"a": "1"}, CacheControl="private")
    assert done["ETag"] == parts_etag(ONE, TWO, LAST) and (done["Bucket"], done["Key"]) == (bucket, "k")
    assert done["Location"].endswith(f"/{bucket}/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == ONE + TWO + LAST and got["ETag"] == done["ETag"]
    assert (got["ContentType"], got["Metadata"], got["CacheControl"]) == ("text/plain", {"a": "1"}, "private")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"] == done["ETag"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_nothing_is_visible_before_complete(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    upload_id = begin(s3, bucket)
    send(s3, bucket, upload_id, 1, LAST)
    assert read(s3, bucket, "k") == b"before"


def test_a_single_small_part_is_enough_even_an_empty_one(s3, bucket):
    for body in (b"x", b""):
        upload(s3, bucket, "k", body)
        assert read(s3, bucket, "k") == body
    for ask in (s3.get_object, s3.head_object):
        part = ask(Bucket=bucket, Key="k", PartNumber=1)
        assert (part["ContentLength"], part["PartsCount"], "ContentRange" in part) == (0, 1, False)


def test_part_numbers_may_have_gaps_and_come_in_any_order(s3, bucket):
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, number, data) for number, data in ((10_000, LAST), (7, ONE))]
    complete(s3, bucket, upload_id, parts[::-1])
    assert read(s3, bucket, "k") == ONE + LAST
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=2)["ContentLength"] == len(LAST)


def test_a_part_sent_again_replaces_the_first(s3, bucket):
    upload_id = begin(s3, bucket)
    old = send(s3, bucket, upload_id, 1, b"old")
    new = send(s3, bucket, upload_id, 1, b"new!")
    with refused("InvalidPart", status=400):
        complete(s3, bucket, upload_id, [old])
    complete(s3, bucket, upload_id, [new])
    assert read(s3, bucket, "k") == b"new!"


def test_parts_that_are_not_named_are_left_out(s3, bucket):
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, number, data) for number, data in ((1, ONE), (2, TWO), (3, LAST))]
    complete(s3, bucket, upload_id, [parts[0], parts[2]])
    assert read(s3, bucket, "k") == ONE + LAST


def test_parts_out_of_order_are_refused(s3, bucket):
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, number, ONE) for number in (1, 2)]
    with refused("InvalidPartOrder", status=400):
        complete(s3, bucket, upload_id, parts[::-1])
    with refused("InvalidPartOrder", status=400):
        complete(s3, bucket, upload_id, [parts[0], parts[1], parts[0]])
    complete(s3, bucket, upload_id, parts)


def test_of_entries_that_repeat_a_number_the_last_counts(s3, bucket):
    upload_id = begin(s3, bucket)
    old, new = send(s3, bucket, upload_id, 1, b"old"), send(s3, bucket, upload_id, 1, b"new")
    complete(s3, bucket, upload_id, [old, new])
    assert read(s3, bucket, "k") == b"new"


def test_a_missing_part_or_another_etag_is_refused(s3, bucket):
    upload_id = begin(s3, bucket)
    part = send(s3, bucket, upload_id, 1, LAST)
    for wrong in (
        [part, {"PartNumber": 2, "ETag": part["ETag"]}],
        [{"PartNumber": 1, "ETag": etag(b"other")}],
        [{"PartNumber": 1, "ETag": "x"}],
    ):
        with refused("InvalidPart", status=400):
            complete(s3, bucket, upload_id, wrong)
    complete(s3, bucket, upload_id, [{"PartNumber": 1, "ETag": part["ETag"].strip('"')}])


def test_a_part_below_5_mib_may_only_be_the_last(s3, bucket):
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, ONE[:-1]), send(s3, bucket, upload_id, 2, LAST)]
    with refused("EntityTooSmall", status=400):
        complete(s3, bucket, upload_id, parts)
    parts[0] = send(s3, bucket, upload_id, 1, ONE)
    complete(s3, bucket, upload_id, parts)


@pytest.mark.parametrize("number", ["0", "-1", "10001", "x", "", "1.5", "9" * 30])
def test_a_part_number_that_is_none_is_refused(raw: Raw, s3, bucket, number):
    upload_id = begin(s3, bucket)
    answer = raw("PUT", f"/{bucket}/k?partNumber={number}&uploadId={upload_id}", body=b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_a_part_number_without_upload_is_refused(raw: Raw, bucket):
    answer = raw("PUT", f"/{bucket}/k?partNumber=1", body=b"x")
    assert answer.status == 400 and answer.code in ("InvalidArgument", "InvalidRequest"), answer
    assert raw("HEAD", f"/{bucket}/k").status == 404


def test_ten_thousand_and_one_parts_are_refused(raw: Raw, s3, bucket):
    upload_id = begin(s3, bucket)
    body = complete_xml(*((number, etag(b"x")) for number in range(1, 10_002)))
    answer = raw("POST", f"/{bucket}/k?uploadId={upload_id}", body=body)
    assert (answer.status, answer.code) == (400, "MalformedXML"), answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<CompleteMultipartUpload/>",
        b"<Other/>",
        b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        b'<!DOCTYPE a [<!ENTITY x "1">]>'
        b"<CompleteMultipartUpload><Part><PartNumber>&x;</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
    ],
    ids=range(8),
)
def test_a_broken_complete_document_is_malformed(raw: Raw, s3, bucket, body):
    upload_id = begin(s3, bucket)
    send(s3, bucket, upload_id, 1, b"x")
    answer = raw("POST", f"/{bucket}/k?uploadId={upload_id}", body=body)
    assert answer.status == 400 and answer.code in ("MalformedXML", "InvalidRequest", "MissingRequestBodyError"), answer
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]) == 1


@pytest.mark.parametrize("number", [-1, 0, 10_001, 10**30])
def test_huge_and_negative_part_numbers_in_the_document_are_refused(raw: Raw, s3, bucket, number):
    upload_id = begin(s3, bucket)
    answer = raw("POST", f"/{bucket}/k?uploadId={upload_id}", body=complete_xml((number, etag(b"x"))))
    assert answer.status == 400, answer


@pytest.mark.parametrize("wrong", ["missing", "x", "", "0" * 32, "../../x", "A" * 3000])
def test_an_unknown_upload_is_NoSuchUpload(raw: Raw, bucket, wrong):
    body = complete_xml((1, etag(b"x")))
    for method, query, data in (("PUT", "partNumber=1&", b"x"), ("POST", "", body), ("DELETE", "", b""), ("GET", "", b"")):
        answer = raw(method, f"/{bucket}/k?{query}uploadId={wrong}", body=data)
        allowed = (
            [(404, "NoSuchUpload")]
            if wrong
            else [(404, "NoSuchUpload"), (400, "InvalidArgument"), (400, "InvalidRequest"), (405, "MethodNotAllowed")]
        )
        assert (answer.status, answer.code) in allowed, (method, answer)


def test_an_upload_belongs_to_its_key_and_bucket(s3, bucket, new_bucket):
    upload_id, other = begin(s3, bucket), new_bucket()
    part = send(s3, bucket, upload_id, 1, b"x")
    for name, key in ((bucket, "other"), (other, "k")):
        with refused("NoSuchUpload", status=404):
            send(s3, name, upload_id, 1, b"x", key=key)
        with refused("NoSuchUpload", status=404):
            complete(s3, name, upload_id, [part], key=key)
        with refused("NoSuchUpload", status=404):
            s3.abort_multipart_upload(Bucket=name, Key=key, UploadId=upload_id)
        with refused("NoSuchUpload", status=404):
            s3.list_parts(Bucket=name, Key=key, UploadId=upload_id)
    complete(s3, bucket, upload_id, [part])


# ---- the end of an upload -------------------------------------------------------------------------------------------------------


def test_abort_drops_everything(s3, bucket):
    upload_id = begin(s3, bucket)
    part = send(s3, bucket, upload_id, 1, LAST)
    assert s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)["ResponseMetadata"]["HTTPStatusCode"] == 204
    for act in (
        lambda: send(s3, bucket, upload_id, 2, b"x"),
        lambda: complete(s3, bucket, upload_id, [part]),
        lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id),
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id),
    ):
        with refused("NoSuchUpload", status=404):
            act()
    s3.delete_bucket(Bucket=bucket)


def test_complete_again_gets_the_same_reply(s3, versioned):
    upload_id = begin(s3, versioned)
    parts = [send(s3, versioned, upload_id, 1, LAST)]
    first, second = complete(s3, versioned, upload_id, parts), complete(s3, versioned, upload_id, parts)
    assert {k: v for k, v in first.items() if k != "ResponseMetadata"} == {k: v for k, v in second.items() if k != "ResponseMetadata"}
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 1
    with refused("NoSuchUpload", "InvalidPart"):
        complete(s3, versioned, upload_id, [{"PartNumber": 1, "ETag": etag(b"other")}])


def test_complete_again_does_not_bring_back_what_was_overwritten(s3, bucket):
    upload_id = begin(s3, bucket)
    parts = [send(s3, bucket, upload_id, 1, LAST)]
    complete(s3, bucket, upload_id, parts)
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    complete(s3, bucket, upload_id, parts)
    assert read(s3, bucket, "k") == b"newer"


def test_sixteen_completes_make_one_version(s3, versioned):
    upload_id = begin(s3, versioned)
    parts = [send(s3, versioned, upload_id, 1, LAST)]
    results = at_once(16, lambda _: complete(s3, versioned, upload_id, parts))
    assert {code_of(one) for one in results} == {""}
    assert len({one["VersionId"] for one in results}) == 1
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 1


def test_abort_against_complete_has_one_winner(s3, bucket):
    for number in range(8):
        key = f"k{number}"
        upload_id = begin(s3, bucket, key)
        parts = [send(s3, bucket, upload_id, 1, LAST, key=key)]
        acts = [
            lambda k=key, u=upload_id, p=parts: complete(s3, bucket, u, p, key=k),
            lambda k=key, u=upload_id: s3.abort_multipart_upload(Bucket=bucket, Key=k, UploadId=u),
        ]
        completed, aborted = (code_of(one) for one in at_once(2, lambda n, acts=acts: acts[n]()))
        assert sorted((completed, aborted)) == ["", "NoSuchUpload"], (completed, aborted)
        if completed == "":
            assert read(s3, bucket, key) == LAST
        else:
            with refused("NoSuchKey"):
                read(s3, bucket, key)


def test_abort_against_upload_part_leaves_nothing(s3, bucket):
    for _ in range(5):
        upload_id = begin(s3, bucket)
        acts = [
            lambda u=upload_id: send(s3, bucket, u, 1, LAST),
            lambda u=upload_id: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=u),
        ]
        codes = [code_of(one) for one in at_once(2, lambda n, acts=acts: acts[n]())]
        assert codes[0] in ("", "NoSuchUpload") and codes[1] == ""
        with refused("NoSuchUpload"):
            s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)


def test_conditions_on_complete(s3, bucket):
    def ready():
        upload_id = begin(s3, bucket)
        return upload_id, [send(s3, bucket, upload_id, 1, LAST)]

    upload_id, parts = ready()
    complete(s3, bucket, upload_id, parts, IfNoneMatch="*")
    upload_id, parts = ready()
    with refused("PreconditionFailed", status=412):
        complete(s3, bucket, upload_id, parts, IfNoneMatch="*")
    with refused("PreconditionFailed", status=412):
        complete(s3, bucket, upload_id, parts, IfMatch=etag(b"other"))
    complete(s3, bucket, upload_id, parts, IfMatch=parts_etag(LAST))


def test_of_sixteen_conditional_completes_exactly_one_wins(s3, versioned):
    uploads = []
    for _ in range(16):
        upload_id = begin(s3, versioned)
        uploads.append((upload_id, [send(s3, versioned, upload_id, 1, os.urandom(10))]))
    results = at_once(16, lambda number: complete(s3, versioned, *uploads[number], IfNoneMatch="*"))
    codes = [code_of(one) for one in results]
    assert codes.count("") == 1 and set(codes) <= {"", "PreconditionFailed", "ConditionalRequestConflict"}
    assert len(s3.list_object_versions(Bucket=versioned)["Versions"]) == 1


def test_a_bucket_is_deleted_with_its_unfinished_uploads_or_refused(s3, bucket):
    upload_id = begin(s3, bucket)
    send(s3, bucket, upload_id, 1, b"x")
    try:
        s3.delete_bucket(Bucket=bucket)
    except s3.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "BucketNotEmpty"
    else:
        with refused("NoSuchBucket"):
            s3.list_multipart_uploads(Bucket=bucket)


# ---- lists ----------------------------------------------------------------------------------------------------------------------


def test_list_parts_in_pages(s3, bucket):
    upload_id = begin(s3, bucket)
    for number in (5, 1, 300, 2, 9_999):
        send(s3, bucket, upload_id, number, bytes([number % 256]) * number)
    whole = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)
    assert [(one["PartNumber"], one["Size"]) for one in whole["Parts"]] == [(n, n) for n in (1, 2, 5, 300, 9_999)]
    assert whole["Parts"][0]["ETag"] == etag(b"\x01") and whole["Parts"][0]["LastModified"]
    assert whole["Owner"]["ID"] == whole["Initiator"]["ID"] == s3.list_buckets()["Owner"]["ID"]
    assert whole["StorageClass"] == "STANDARD" and not whole["IsTruncated"]
    pages = list(s3.get_paginator("list_parts").paginate(Bucket=bucket, Key="k", UploadId=upload_id, PaginationConfig={"PageSize": 2}))
    assert [[one["PartNumber"] for one in page["Parts"]] for page in pages] == [[1, 2], [5, 300], [9_999]]
    after = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id, PartNumberMarker=5)
    assert [one["PartNumber"] for one in after["Parts"]] == [300, 9_999]


@pytest.mark.parametrize("query", ["max-parts=-1", "max-parts=x", "part-number-marker=-1", "part-number-marker=x", f"max-parts={'9' * 30}"])
def test_list_parts_refuses_nonsense(raw: Raw, s3, bucket, query):
    answer = raw("GET", f"/{bucket}/k?uploadId={begin(s3, bucket)}&{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_list_uploads_with_prefix_and_delimiter_in_pages(s3, bucket):
    keys = ["a", "a", "a/1", "a/2", "b/x", "c"]
    ids = [(key, begin(s3, bucket, key)) for key in keys]
    whole = s3.list_multipart_uploads(Bucket=bucket)
    assert [(one["Key"], one["UploadId"]) for one in whole["Uploads"]] == ids
    assert whole["Uploads"][0]["Initiated"] and not whole["IsTruncated"]
    split = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [one["Key"] for one in split["Uploads"]] == ["a", "a", "c"]
    assert [one["Prefix"] for one in split["CommonPrefixes"]] == ["a/", "b/"]
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")["Uploads"]] == ["a/1", "a/2"]
    for size in (1, 2, 3):
        for delimiter in ("", "/"):
            seen, prefixes = [], []
            pages = s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=bucket, Delimiter=delimiter, PaginationConfig={"PageSize": size}
            )
            for page in pages:
                seen += [(one["Key"], one["UploadId"]) for one in page.get("Uploads", [])]
                prefixes += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
            assert seen == [one for one in ids if not delimiter or "/" not in one[0]], (size, delimiter)
            assert prefixes == (["a/", "b/"] if delimiter else [])
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket, KeyMarker="a")["Uploads"]] == ["a/1", "a/2", "b/x", "c"]


def test_a_key_marker_that_ends_in_the_delimiter_hides_only_what_the_listing_shows_as_one_prefix(s3, bucket):
    for key in ("a/b/1", "a/b/2", "a/c", "a/d/x"):
        begin(s3, bucket, key)
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/", Delimiter="/", KeyMarker="a/")
    assert [one["Key"] for one in page["Uploads"]] == ["a/c"]
    assert [one["Prefix"] for one in page["CommonPrefixes"]] == ["a/b/", "a/d/"]
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/b/", Delimiter="/", KeyMarker="a/")
    assert [one["Key"] for one in page["Uploads"]] == ["a/b/1", "a/b/2"]
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/", Delimiter="/", KeyMarker="a/b/")
    assert ([one["Key"] for one in page["Uploads"]], page["CommonPrefixes"]) == (["a/c"], [{"Prefix": "a/d/"}])


def test_list_uploads_with_encoding_type_url(raw: Raw, s3, bucket):
    assert raw("POST", f"/{bucket}/a%20b/%01%C3%BC?uploads").status == 200  # boto3 cannot parse a reply that names \x01
    answer = raw("GET", f"/{bucket}?uploads&encoding-type=url")
    assert answer.xml.findtext("Upload/Key") in ("a+b/%01%C3%BC", "a%20b/%01%C3%BC", "a+b%2F%01%C3%BC")
    split = raw("GET", f"/{bucket}?uploads&encoding-type=url&delimiter=/&prefix=a%20")
    assert split.xml.findtext("CommonPrefixes/Prefix") in ("a+b/", "a%20b/", "a+b%2F") and split.xml.findtext("Prefix") in ("a+", "a%20")


@pytest.mark.parametrize(
    "query", ["max-uploads=-1", "max-uploads=x", f"max-uploads={'9' * 30}", "key-marker=a&upload-id-marker=zz", "encoding-type=x"]
)
def test_list_uploads_refuses_nonsense(raw: Raw, bucket, query):
    answer = raw("GET", f"/{bucket}?uploads&{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


# ---- copied parts ---------------------------------------------------------------------------------------------------------------


def test_parts_may_be_copied_from_objects_and_ranges_of_them(s3, bucket):
    data = ONE + TWO + LAST
    upload(s3, bucket, "from", ONE, TWO, LAST)
    s3.put_object(Bucket=bucket, Key="small", Body=b"small")
    upload_id, source = begin(s3, bucket), {"Bucket": bucket, "Key": "from"}
    ranges = [(0, PART - 1), (PART - 100, 2 * PART + 99), (3, PART + 2)]
    parts = []
    for number, (first, last) in enumerate(ranges, 1):
        result = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=number, CopySource=source, CopySourceRange=f"bytes={first}-{last}"
        )["CopyPartResult"]
        assert result["LastModified"]
        parts.append({"PartNumber": number, "ETag": result["ETag"]})
    whole = s3.upload_part_copy(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=4, CopySource={"Bucket": bucket, "Key": "small"})
    parts.append({"PartNumber": 4, "ETag": whole["CopyPartResult"]["ETag"]})
    sizes = [one["Size"] for one in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]]
    assert sizes == [last + 1 - first for first, last in ranges] + [5]
    complete(s3, bucket, upload_id, parts)
    s3.delete_object(Bucket=bucket, Key="from")
    assert read(s3, bucket, "k") == b"".join(data[first : last + 1] for first, last in ranges) + b"small"


@pytest.mark.parametrize(
    "spec",
    ["0-9", "bytes=", "bytes=5-2", "bytes=-5", "bytes=5-", "bytes=a-b", "bytes=0-9,20-29", "bytes=0-1000000", "bytes=1000000-1000001"],
)
def test_a_copy_range_that_is_none_is_refused(raw: Raw, s3, bucket, spec):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x" * 1000)
    answer = raw(
        "PUT",
        f"/{bucket}/k?partNumber=1&uploadId={begin(s3, bucket)}",
        [("x-amz-copy-source", f"/{bucket}/from"), ("x-amz-copy-source-range", spec)],
    )
    assert answer.status in (400, 416) and answer.code in ("InvalidArgument", "InvalidRange", "InvalidRequest"), answer


def test_copied_parts_know_versions_and_conditions(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="from", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="from", Body=b"new")
    upload_id = begin(s3, versioned)
    named = {"Bucket": versioned, "Key": "from", "VersionId": old}
    with refused("PreconditionFailed", status=412):
        s3.upload_part_copy(Bucket=versioned, Key="k", UploadId=upload_id, PartNumber=1, CopySource=named, CopySourceIfMatch=etag(b"new"))
    result = s3.upload_part_copy(
        Bucket=versioned, Key="k", UploadId=upload_id, PartNumber=1, CopySource=named, CopySourceIfMatch=etag(b"old")
    )
    assert result["CopySourceVersionId"] == old
    complete(s3, versioned, upload_id, [{"PartNumber": 1, "ETag": result["CopyPartResult"]["ETag"]}])
    assert read(s3, versioned, "k") == b"old"
    with refused("NoSuchKey", "NoSuchUpload", status=404):
        s3.upload_part_copy(
            Bucket=versioned, Key="k", UploadId=begin(s3, versioned), PartNumber=1, CopySource={"Bucket": versioned, "Key": "missing"}
        )


# ---- checksums ------------------------------------------------------------------------------------------------------------------

COMPOSITE = ["CRC32", "CRC32C", "SHA1", "SHA256", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128", "MD5"]


def composite(algorithm, *parts):
    import base64

    return checksum(algorithm, b"".join(base64.b64decode(checksum(algorithm, part)) for part in parts)) + f"-{len(parts)}"


def raw_upload(raw: Raw, bucket, algorithm, kind, parts):
    """By hand, since boto3 does not make every algorithm: returns (upload id, part list document)."""
    headers = [("x-amz-checksum-algorithm", algorithm)] + ([("x-amz-checksum-type", kind)] if kind else [])
    begun = raw("POST", f"/{bucket}/k?uploads", headers)
    assert begun.status == 200, begun
    upload_id, entries = begun.xml.findtext("UploadId"), []
    for number, part in enumerate(parts, 1):
        value = checksum(algorithm, part)
        answer = raw("PUT", f"/{bucket}/k?partNumber={number}&uploadId={upload_id}", [(f"x-amz-checksum-{algorithm.lower()}", value)], part)
        assert answer.status == 200 and answer.headers[f"x-amz-checksum-{algorithm.lower()}"] == value, answer
        entries.append(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{answer.headers['etag']}</ETag>"
            f"<Checksum{algorithm}>{value}</Checksum{algorithm}></Part>"
        )
    return upload_id, f"<CompleteMultipartUpload>{''.join(entries)}</CompleteMultipartUpload>".encode()


@pytest.mark.parametrize("algorithm", COMPOSITE)
def test_composite_checksums(raw: Raw, s3, bucket, algorithm):
    upload_id, document = raw_upload(raw, bucket, algorithm, "COMPOSITE", [ONE, LAST])
    done = raw("POST", f"/{bucket}/k?uploadId={upload_id}", body=document)
    assert done.status == 200 and done.xml.tag == "CompleteMultipartUploadResult", done
    assert done.xml.findtext(f"Checksum{algorithm}") == composite(algorithm, ONE, LAST) and done.xml.findtext("ChecksumType") == "COMPOSITE"
    head = raw("HEAD", f"/{bucket}/k", [("x-amz-checksum-mode", "ENABLED")])
    assert head.headers[f"x-amz-checksum-{algorithm.lower()}"] == composite(algorithm, ONE, LAST)
    assert head.headers["x-amz-checksum-type"] == "COMPOSITE"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums_are_those_of_the_bytes(raw: Raw, bucket, algorithm):
    upload_id, document = raw_upload(raw, bucket, algorithm, "FULL_OBJECT", [ONE, TWO, LAST])
    whole = checksum(algorithm, ONE + TWO + LAST)
    wrong = raw("POST", f"/{bucket}/k?uploadId={upload_id}", [(f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, b"x"))], document)
    assert (wrong.status, wrong.code) == (400, "BadDigest"), wrong
    headers = [(f"x-amz-checksum-{algorithm.lower()}", whole), ("x-amz-checksum-type", "FULL_OBJECT")]
    done = raw("POST", f"/{bucket}/k?uploadId={upload_id}", headers, document)
    assert (
        done.status == 200 and done.xml.findtext(f"Checksum{algorithm}") == whole and done.xml.findtext("ChecksumType") == "FULL_OBJECT"
    ), done


def test_without_an_algorithm_the_object_has_a_crc64nvme(server, bucket):
    plain = server.client(request_checksum_calculation="when_required")
    upload(plain, bucket, "k", ONE, LAST)
    head = plain.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == checksum("CRC64NVME", ONE + LAST) and head["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("SHA1", "FULL_OBJECT"),
        ("SHA256", "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE"),
        ("CRC32", "OTHER"),
        ("CRC99", ""),
        ("", "FULL_OBJECT"),
    ],
)
def test_a_type_that_the_algorithm_cannot_have_is_refused(raw: Raw, bucket, algorithm, kind):
    headers = [("x-amz-checksum-algorithm", algorithm)] * bool(algorithm) + [("x-amz-checksum-type", kind)] * bool(kind)
    answer = raw("POST", f"/{bucket}/k?uploads", headers)
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer


def test_a_part_with_another_algorithm_is_refused(raw: Raw, s3, bucket):
    upload_id = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    answer = raw("PUT", f"/{bucket}/k?partNumber=1&uploadId={upload_id}", [("x-amz-checksum-crc32", checksum("CRC32", b"x"))], b"x")
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer


def test_a_wrong_part_checksum_is_refused_and_not_kept(raw: Raw, s3, bucket):
    upload_id = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    answer = raw("PUT", f"/{bucket}/k?partNumber=1&uploadId={upload_id}", [("x-amz-checksum-crc32", checksum("CRC32", b"y"))], b"x")
    assert (answer.status, answer.code) == (400, "BadDigest"), answer
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)


def test_a_part_checksum_of_complete_is_compared(raw: Raw, s3, bucket):
    upload_id = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=LAST, ChecksumAlgorithm="SHA256")
    with refused("InvalidPart", "BadDigest", status=400):
        complete(s3, bucket, upload_id, [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": checksum("SHA256", b"other")}])
    with refused("InvalidPart", "BadDigest", "InvalidRequest", status=400):
        complete(s3, bucket, upload_id, [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": checksum("CRC32", b"other")}])
    complete(s3, bucket, upload_id, [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}])


@pytest.mark.parametrize("size", [0, 1, 10**15, -1])
def test_a_stated_object_size_is_compared(s3, raw: Raw, bucket, size):
    upload_id = begin(s3, bucket)
    part = send(s3, bucket, upload_id, 1, LAST)
    document = complete_xml((1, part["ETag"]))
    answer = raw("POST", f"/{bucket}/k?uploadId={upload_id}", [("x-amz-mp-object-size", str(size))], document)
    assert answer.status == 400 and answer.code in ("InvalidRequest", "InvalidArgument"), answer
    assert raw("POST", f"/{bucket}/k?uploadId={upload_id}", [("x-amz-mp-object-size", str(len(LAST)))], document).status == 200


@pytest.mark.slow
def test_two_hundred_parts_sent_four_at_a_time(s3, bucket):
    from concurrent.futures import ThreadPoolExecutor

    upload_id = begin(s3, bucket)
    block = os.urandom(PART)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda number: send(s3, bucket, upload_id, number, block), range(1, 201)))
    assert complete(s3, bucket, upload_id, parts)["ETag"] == parts_etag(*[block] * 200)
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 200 * PART
