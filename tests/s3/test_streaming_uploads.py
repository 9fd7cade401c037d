"""aws-chunked uploads, framed and signed by hand: what is right is stored without its framing, what was touched is refused."""

from __future__ import annotations

import os

import pytest

from tests.s3.asking import checksum, read
from tests.s3.raw import SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED, UNSIGNED_CHUNKS_TRAILER, Raw

FORMS = pytest.mark.parametrize("form", [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER])
SIGNED = pytest.mark.parametrize("form", [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER])
CHUNKS = [os.urandom(65536), os.urandom(8192), os.urandom(1000)]
DATA = b"".join(CHUNKS)


def trailers_of(form, data=DATA):
    return [("x-amz-checksum-crc32c", checksum("CRC32C", data))] if form.endswith("TRAILER") else []


def put(raw, bucket, form, chunks=CHUNKS, **more):
    more.setdefault("trailers", trailers_of(form, b"".join(chunks)))
    return raw.put_chunks(f"/{bucket}/k", chunks, form=form, **more)


def refuse(raw, bucket, answer, *allowed):
    assert (answer.status, answer.code) in allowed, answer
    assert raw("HEAD", f"/{bucket}/k").status == 404


@FORMS
@pytest.mark.parametrize(
    "chunks", [[], [b"x"], [b"x" * 8192], CHUNKS, [os.urandom(1 << 20)], [b"y" * 8192] * 40, [b"z" * 8191]], ids=range(7)
)
def test_the_framing_is_taken_off(raw: Raw, s3, bucket, form, chunks):
    answer = put(raw, bucket, form, chunks)
    assert answer.status == 200, answer
    assert read(s3, bucket, "k") == b"".join(chunks)
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


def test_another_content_encoding_is_kept(raw: Raw, s3, bucket):
    assert put(raw, bucket, SIGNED_CHUNKS, headers=[("Content-Encoding", "gzip")]).status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


@FORMS
def test_transfer_encoding_chunked_with_a_decoded_length_is_fine(raw: Raw, s3, bucket, form):
    def frame(pieces):
        body = b"".join(pieces)
        return [b"%x\r\n%s\r\n" % (len(body[at : at + 3000]), body[at : at + 3000]) for at in range(0, len(body), 3000)] + [b"0\r\n\r\n"]

    answer = put(raw, bucket, form, headers=[("Transfer-Encoding", "chunked")], length=None, change=frame)
    assert answer.status == 200, answer
    assert read(s3, bucket, "k") == DATA


@FORMS
def test_works_for_parts_as_well(raw: Raw, s3, bucket, form):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32C")["UploadId"]
    headers = [] if form.endswith("TRAILER") else [("x-amz-checksum-crc32c", checksum("CRC32C", DATA))]
    answer = raw.put_chunks(
        f"/{bucket}/k?partNumber=1&uploadId={upload_id}", CHUNKS, form=form, trailers=trailers_of(form), headers=headers
    )
    assert answer.status == 200, answer
    part = {"PartNumber": 1, "ETag": answer.headers["etag"]}
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": [part]})
    assert read(s3, bucket, "k") == DATA


# ---- tampering ------------------------------------------------------------------------------------------------------------------


def flipped(piece: bytes, at: int) -> bytes:
    return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]


def other_digit(piece: bytes, at: int) -> bytes:
    return piece[:at] + (b"0" if piece[at : at + 1] != b"0" else b"1") + piece[at + 1 :]


TAMPERED = {
    "a data byte of the first chunk": lambda p: [flipped(p[0], 5000), *p[1:]],
    "a data byte of the last chunk": lambda p: [*p[:2], flipped(p[2], len(p[2]) - 10), *p[3:]],
    "a digit of a signature": lambda p: [p[0], other_digit(p[1], p[1].index(b"=") + 1), *p[2:]],
    "a digit more": lambda p: [p[0], p[1].replace(b"chunk-signature=", b"chunk-signature=0", 1), *p[2:]],
    "two chunks swapped": lambda p: [p[1], p[0], *p[2:]],
    "a chunk twice": lambda p: [p[0], p[0], *p[1:]],
    "a chunk left out": lambda p: [p[0], *p[2:]],
    "the closing chunk left out": lambda p: [*p[:3], *p[4:]],
    "the signature left out": lambda p: [p[0].replace(b";chunk-signature=", b";chunk-nothing=", 1), *p[1:]],
    "the closing signature of another": lambda p: [*p[:3], p[3].replace(p[3][18:82], p[2].partition(b"\r")[0][-64:]), *p[4:]],
}


@SIGNED
@pytest.mark.parametrize("what", TAMPERED)
def test_signed_chunks_refuse_every_change(raw: Raw, bucket, form, what):
    answer = put(raw, bucket, form, change=TAMPERED[what])
    refuse(
        raw,
        bucket,
        answer,
        (403, "SignatureDoesNotMatch"),
        (400, "IncompleteBody"),
        (400, "InvalidRequest"),
        (403, "InvalidChunkSizeError"),
        (400, "MalformedTrailerError"),
    )


@SIGNED
def test_a_wrong_signature_is_SignatureDoesNotMatch(raw: Raw, bucket, form):
    answer = put(raw, bucket, form, change=lambda p: [flipped(p[0], 5000), *p[1:]])
    refuse(raw, bucket, answer, (403, "SignatureDoesNotMatch"))


def test_chunks_split_elsewhere_are_refused(raw: Raw, bucket):
    def split(pieces):
        head, _, data = pieces[0].partition(b"\r\n")
        signature = head.partition(b";")[2]
        half = data[:-2][:32768]
        return [b"8000;" + signature + b"\r\n" + half + b"\r\n", b"8000;" + signature + b"\r\n" + data[32768:], *pieces[1:]]

    refuse(raw, bucket, put(raw, bucket, SIGNED_CHUNKS, change=split), (403, "SignatureDoesNotMatch"))


def test_a_signed_trailer_refuses_every_change(raw: Raw, bucket):
    good = checksum("CRC32C", DATA).encode()
    other = checksum("CRC32C", b"other").encode()
    changes = {
        "its value": lambda p: [*p[:4], p[4].replace(good, other), *p[5:]],
        "its signature": lambda p: [*p[:5], other_digit(p[5], 30), *p[6:]],
        "the signature gone": lambda p: [*p[:5], *p[6:]],
        "both gone": lambda p: [*p[:4], *p[6:]],
        "another name": lambda p: [*p[:4], p[4].replace(b"crc32c", b"crc32d"), *p[5:]],
    }
    for change in changes.values():
        answer = put(raw, bucket, SIGNED_CHUNKS_TRAILER, change=change)
        refuse(
            raw, bucket, answer, (403, "SignatureDoesNotMatch"), (400, "MalformedTrailerError"), (400, "BadDigest"), (400, "InvalidRequest")
        )


def test_an_unsigned_trailer_still_guards_the_bytes(raw: Raw, bucket):
    answer = put(raw, bucket, UNSIGNED_CHUNKS_TRAILER, change=lambda p: [flipped(p[0], 5000), *p[1:]])
    refuse(raw, bucket, answer, (400, "BadDigest"))


# ---- framing --------------------------------------------------------------------------------------------------------------------


@FORMS
@pytest.mark.parametrize(("chunks", "bad"), [([b"x" * 8191, b"y"], True), ([b"x"] * 10, True), ([b"x" * 8192, b"y"], False)])
def test_only_the_last_chunk_may_be_below_8_kib(raw: Raw, bucket, form, chunks, bad):
    answer = put(raw, bucket, form, chunks)
    if bad:
        refuse(raw, bucket, answer, (403, "InvalidChunkSizeError"))  # 403: as on AWS
        assert answer.xml.findtext("BadChunkSizeInBytes") == str(len(chunks[0]))
    else:
        assert answer.status == 200, answer


@FORMS
@pytest.mark.parametrize("off", [-1, 1, -len(DATA), 10**6])
def test_another_decoded_length_is_refused(raw: Raw, bucket, form, off):
    refuse(raw, bucket, put(raw, bucket, form, decoded_length=len(DATA) + off), (400, "IncompleteBody"), (400, "InvalidRequest"))


@FORMS
def test_no_decoded_length_is_refused(raw: Raw, bucket, form):
    refuse(raw, bucket, put(raw, bucket, form, decoded_length=None), (411, "MissingContentLength"))


@FORMS
@pytest.mark.parametrize("length", ["-1", "x", "1.5", "9" * 30, ""])
def test_a_decoded_length_that_is_none_is_refused(raw: Raw, bucket, form, length):
    answer = put(raw, bucket, form, decoded_length=length)
    refuse(raw, bucket, answer, (400, "InvalidArgument"), (400, "InvalidRequest"), (411, "MissingContentLength"), (400, "EntityTooLarge"))


GARBAGE = {
    "no framing at all": lambda p: [DATA],
    "a size that is none": lambda p: [b"zz" + p[0], *p[1:]],
    "a negative size": lambda p: [b"-1" + p[0], *p[1:]],
    "a huge size": lambda p: [b"ffffffffffffffff" + p[0][5:], *p[1:]],
    "an endless size line": lambda p: [b"0" * 100_000, *p],
    "no line end behind the data": lambda p: [p[0][:-2], *p[1:]],
    "cut off in the data": lambda p: [p[0][:1000]],
    "cut off before the end": lambda p: p[:2],
    "more behind the end": lambda p: [*p, b"more" * 10],
    "nothing": lambda p: [b""],
}


@FORMS
@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_not_aws_chunked_is_refused(raw: Raw, bucket, form, what):
    answer = put(raw, bucket, form, change=GARBAGE[what])
    assert 400 <= answer.status < 500 and answer.code, answer
    assert raw("HEAD", f"/{bucket}/k").status == 404


@pytest.mark.parametrize(
    "line", [b"x-amz-checksum-crc32c\r\n", b":AAAA\r\n", b"x y:z\r\n", b"\x00:a\r\n", b"x" * 5000 + b":a\r\n"], ids=range(5)
)
def test_a_trailer_line_that_is_none_is_malformed(raw: Raw, bucket, line):
    answer = put(raw, bucket, UNSIGNED_CHUNKS_TRAILER, change=lambda p: [*p[:4], line, p[-1]])
    refuse(raw, bucket, answer, (400, "MalformedTrailerError"))


def test_many_trailers_are_refused(raw: Raw, bucket):
    answer = put(raw, bucket, UNSIGNED_CHUNKS_TRAILER, change=lambda p: [*p[:4], *[b"x-a:b\r\n"] * 1000, p[-1]])
    refuse(raw, bucket, answer, (400, "MalformedTrailerError"))


def test_content_encoding_alone_does_not_make_a_body_chunked(raw: Raw, s3, bucket):
    assert raw("PUT", f"/{bucket}/k", [("Content-Encoding", "aws-chunked")], b"plain", sha256=UNSIGNED).status == 200
    assert read(s3, bucket, "k") == b"plain"


@FORMS
def test_streaming_forms_are_for_bodies_only_but_harmless_elsewhere(raw: Raw, s3, bucket, form):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw("GET", f"/{bucket}/k", sha256=form)
    assert answer.status in (200, 400, 411), answer


def test_chunks_may_arrive_byte_by_byte(raw: Raw, s3, bucket):
    import socket
    import time

    from tests.s3.raw import read_answer

    target, data = f"/{bucket}/k", os.urandom(300)
    headers = raw.signed(
        "PUT", target, [("x-amz-decoded-content-length", "300"), ("Content-Encoding", "aws-chunked")], sha256=SIGNED_CHUNKS
    )
    body = b"".join(raw.chunk_pieces([data, b""], signed=True))
    head = "".join(f"{name}: {value}\r\n" for name, value in [*headers, ("Content-Length", str(len(body)))])
    with socket.create_connection(raw.server.address, 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(f"PUT {target} HTTP/1.1\r\n{head}\r\n".encode())
        for at in range(0, len(body), 7):
            connection.sendall(body[at : at + 7])
            time.sleep(0.0005)
        assert read_answer(connection, "PUT").status == 200
    assert read(s3, bucket, "k") == data
