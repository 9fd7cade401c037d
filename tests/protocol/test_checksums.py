"""Checksums: known values, every edge of announcing one, one pass over the body, and objects from parts."""

from __future__ import annotations

import hashlib
import re
import zlib
from base64 import b64decode, b64encode

import pytest
from botocore.httpchecksum import CrtCrc32cChecksum, CrtCrc32Checksum, CrtCrc64NvmeChecksum, Sha1Checksum, Sha256Checksum
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import BadDigest, InvalidDigest, InvalidRequest, MalformedTrailerError, S3Error, XAmzContentSHA256Mismatch
from shared.protocol import checksums
from shared.protocol.checksums import ALGORITHMS, BodyDigests, check_part, checked_type, combine, composite, requested, verify_small

BODY = b"123456789"
# The check values of the CRC catalogue and of the reference implementations, over "123456789" (hexadecimal).
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "XXHASH64": "8cb841db40e6ae83",
}
EMPTY = {"XXHASH64": "ef46db3751d8e999", "XXHASH3": "2d06800538d394c2", "XXHASH128": "99aa06d3014798d86001c324468d497f"}
ORACLES = {
    "CRC32": CrtCrc32Checksum,
    "CRC32C": CrtCrc32cChecksum,
    "CRC64NVME": CrtCrc64NvmeChecksum,
    "SHA1": Sha1Checksum,
    "SHA256": Sha256Checksum,
}
NAMES = sorted(ALGORITHMS)


def of(name, body=BODY):
    """The base64 value of a body, in one piece."""
    digest = ALGORITHMS[name].new()
    digest.update(body)
    return b64encode(digest.digest()).decode()


def header(name):
    return f"x-amz-checksum-{name.lower()}"


def finished(headers, body=BODY, trailers=(), **how):
    digests = BodyDigests(headers, **how)
    digests.update(body)
    return digests.finish(trailers)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_known_values(name):
    assert b64decode(of(name)).hex() == KNOWN[name]


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_the_known_values_of_nothing(name):
    assert b64decode(of(name, b"")).hex() == EMPTY[name]


def test_every_algorithm_of_the_pinned_service_model_is_here():
    from botocore.session import get_session

    model = get_session().get_service_model("s3")
    assert set(ALGORITHMS) == set(model.shape_for("ChecksumAlgorithm").enum)
    members = model.shape_for("PutObjectRequest").members
    sent = {shape.serialization.get("name", "").lower() for shape in members.values()}
    assert {algorithm.header for algorithm in ALGORITHMS.values()} <= sent


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8), st.sampled_from(NAMES), st.sampled_from([bytes, bytearray, memoryview]))
def test_pieces_make_the_same_value_as_the_whole(pieces, name, kind):
    digest, whole = ALGORITHMS[name].new(), b"".join(pieces)
    for piece in pieces:
        digest.update(kind(bytearray(piece)) if kind is memoryview else kind(piece))
    assert len(digest.digest()) == ALGORITHMS[name].size
    assert b64encode(digest.digest()).decode() == of(name, whole)
    if name in ORACLES:
        oracle = ORACLES[name]()
        oracle.update(whole)
        assert oracle.b64digest() == of(name, whole)


# ---- what a request announces ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_header_or_a_trailer_announces_one(name):
    found = requested({header(name): of(name), "x-amz-sdk-checksum-algorithm": name})
    assert found.algorithm.name == name and b64encode(found.value).decode() == of(name)
    found = requested({"x-amz-trailer": header(name).upper(), "x-amz-sdk-checksum-algorithm": name.lower()})
    assert found.algorithm.name == name and found.value is None
    assert requested({}, [header(name)]).algorithm.name == name


def test_nothing_announced_is_none():
    assert requested({"content-type": "x", "x-amz-checksum-mode": "ENABLED", "x-amz-checksum-type": "FULL_OBJECT",
                      "x-amz-checksum-algorithm": "SHA1"}) is None  # fmt: skip


@pytest.mark.parametrize("headers", [
    {header("crc32"): of("CRC32"), header("sha1"): of("SHA1")},
    {header("crc32"): of("CRC32"), "x-amz-trailer": header("sha1")},
    {header("crc32"): of("CRC32"), "x-amz-trailer": header("crc32")},
    {"x-amz-trailer": f"{header('crc32')}, {header('sha1')}"},
])  # fmt: skip
def test_more_than_one_is_refused(headers):
    with pytest.raises(
        InvalidRequest, match=re.escape("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    ):
        requested(headers)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["", "a", "AAA=", "!!!!", "A" * 200, "\x00", "é", " "])
def test_a_value_that_cannot_be_one_is_refused(name, value):
    with pytest.raises(InvalidRequest, match=f"Value for {header(name)} header is invalid."):
        requested({header(name): value})


@pytest.mark.parametrize("headers, wording", [
    ({header("crc16"): "AAA="}, "x-amz-checksum-crc16"),
    ({header(""): "AAA="}, "x-amz-checksum-"),
    ({"x-amz-trailer": header("crc16")}, "x-amz-checksum-crc16"),
    ({"x-amz-trailer": "content-md5"}, "content-md5"),
    ({"x-amz-sdk-checksum-algorithm": "CRC16", header("crc32"): of("CRC32")}, "CRC16"),
    ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "no corresponding"),
    ({"x-amz-sdk-checksum-algorithm": "CRC32", header("sha1"): of("SHA1")}, "Value for x-amz-sdk-checksum-algorithm"),
    ({"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-trailer": header("sha1")}, "Value for x-amz-sdk-checksum-algorithm"),
])  # fmt: skip
def test_what_is_unknown_or_does_not_fit_is_refused_by_name(headers, wording):
    with pytest.raises(InvalidRequest, match=wording):
        BodyDigests(headers)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["x-amz-trailer", "x-amz-sdk-checksum-algorithm", "content-md5", header("crc32"), header("sha512")]),
        st.text(st.characters(max_codepoint=255), max_size=30),
    )
)
def test_garbage_never_makes_a_server_error(headers):
    try:
        finished(headers)
    except S3Error as error:
        assert error.status == 400


# ---- one pass over the body --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_announced_one_is_verified_and_stored(name):
    want = (hashlib.md5(BODY).hexdigest(), name, of(name), len(BODY))
    assert finished({header(name): of(name)}) == want
    assert finished({"x-amz-trailer": header(name)}, trailers=[(header(name).title(), f" {of(name)} ")]) == want
    wrong = of(name, b"other")
    for headers, trailers in (({header(name): wrong}, ()), ({"x-amz-trailer": header(name)}, [(header(name), wrong)])):
        with pytest.raises(BadDigest, match=re.escape(f"The {name} you specified did not match the calculated checksum.")):
            finished(headers, trailers=trailers)


def test_without_one_crc64nvme_is_computed_or_what_the_upload_wants():
    assert finished({})[1:3] == ("CRC64NVME", of("CRC64NVME"))
    assert finished({}, default="SHA256")[1:3] == ("SHA256", of("SHA256"))
    assert finished({}, b"") == (hashlib.md5(b"").hexdigest(), "CRC64NVME", b64encode(bytes(8)).decode(), 0)


DECLARED = {"x-amz-trailer": header("crc32")}


@pytest.mark.parametrize("headers, trailers", [
    (DECLARED, []),
    (DECLARED, [("x-amz-trailer-signature", "0" * 64)]),
    (DECLARED, [(header("sha1"), of("SHA1"))]),
    (DECLARED, [(header("crc32"), of("CRC32")), (header("crc32"), of("CRC32"))]),
    (DECLARED, [(header("crc32"), of("CRC32")), (header("sha1"), of("SHA1"))]),
    ({}, [(header("crc32"), of("CRC32"))]),
    ({header("crc32"): of("CRC32")}, [(header("crc32"), of("CRC32"))]),
])  # fmt: skip
def test_trailers_must_be_those_declared(headers, trailers):
    with pytest.raises(MalformedTrailerError):
        finished(headers, trailers=trailers)


@pytest.mark.parametrize("value", ["", "AAA=", "not base64", "é"])
def test_a_trailer_that_is_no_value_is_refused(value):
    with pytest.raises(InvalidRequest, match=re.escape("Value for x-amz-checksum-crc32 trailing header is invalid.")):
        finished(DECLARED, trailers=[(header("crc32"), value)])


def test_the_signature_of_the_trailers_is_not_a_checksum():
    assert finished(DECLARED, trailers=[(header("crc32"), of("CRC32")), ("x-amz-trailer-signature", "0")]).algorithm == "CRC32"
    assert finished({}, trailers=[("x-amz-trailer-signature", "0")]).algorithm == "CRC64NVME"


def test_content_md5():
    assert finished({"content-md5": of("MD5")}).size == 9
    with pytest.raises(BadDigest, match=re.escape("The Content-MD5 you specified did not match what we received.")) as refused:
        finished({"content-md5": of("MD5", b"other")})
    assert refused.value.fields["CalculatedDigest"] == of("MD5")
    for value in ("", "YWJyYWNhZGFicmE=", "not base64", of("SHA1")):
        with pytest.raises(InvalidDigest):
            BodyDigests({"content-md5": value})


def test_the_signed_payload_digest():
    right, wrong = hashlib.sha256(BODY).hexdigest(), hashlib.sha256(b"other").hexdigest()
    assert finished({}, sha256_hex=right).size == 9
    with pytest.raises(XAmzContentSHA256Mismatch) as refused:
        finished({}, sha256_hex=wrong)
    assert refused.value.fields == {"ClientComputedContentSHA256": wrong, "S3ComputedContentSHA256": right}


def test_each_digest_is_computed_once(monkeypatch):
    made = []
    for name, algorithm in list(ALGORITHMS.items()):
        monkeypatch.setitem(ALGORITHMS, name, algorithm._replace(new=lambda n=name, new=algorithm.new: (made.append(n), new())[1]))
    monkeypatch.setattr(checksums, "_BY_HEADER", {algorithm.header: algorithm for algorithm in ALGORITHMS.values()})
    finished({header("sha256"): of("SHA256")}, sha256_hex=hashlib.sha256(BODY).hexdigest())
    made.clear()
    BodyDigests({header("sha256"): b64encode(bytes(32)).decode()}, sha256_hex="0" * 64)
    assert sorted(made) == ["MD5", "SHA256"]
    made.clear()
    BodyDigests({header("md5"): b64encode(bytes(16)).decode(), "content-md5": b64encode(bytes(16)).decode()})
    assert made == ["MD5"]


def test_small_bodies_are_checked_against_whatever_is_announced():
    verify_small({}, BODY)
    verify_small({"content-md5": of("MD5")}, BODY)
    verify_small({header("crc32"): of("CRC32")}, BODY, hashlib.sha256(BODY).hexdigest())
    for headers, digest, error in (({"content-md5": of("MD5")}, None, BadDigest), ({header("crc32"): of("CRC32")}, None, BadDigest),
                                   ({}, hashlib.sha256(BODY).hexdigest(), XAmzContentSHA256Mismatch),
                                   ({"x-amz-sdk-checksum-algorithm": "CRC16"}, None, InvalidRequest)):  # fmt: skip
        with pytest.raises(error):
            verify_small(headers, b"other", digest)


# ---- objects from parts ------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.sampled_from(["CRC32", "CRC32C", "CRC64NVME"]))
def test_combined_parts_have_the_value_of_the_whole(parts, name):
    assert combine(name, [(of(name, part), len(part)) for part in parts]) == of(name, b"".join(parts))


def test_a_thousand_large_parts_combine_without_their_bytes():
    part = bytes(1 << 20)
    whole = combine("CRC32", [(of("CRC32", part), len(part))] * 64)
    assert int.from_bytes(b64decode(whole), "big") == zlib.crc32(bytes(64 << 20))
    assert combine("CRC64NVME", [(of("CRC64NVME", part), 5 << 30)] * 1000)


@pytest.mark.parametrize("name", ["SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"])
def test_digests_cannot_be_combined(name):
    with pytest.raises(InvalidRequest):
        combine(name, [(of(name), 9)])


@pytest.mark.parametrize("name", ["SHA256", "CRC32", "SHA1"])
def test_the_composite_is_the_checksum_of_the_checksums(name):
    parts = [b"a", b"bc", b""]
    raw = b"".join(b64decode(of(name, part)) for part in parts)
    assert composite(name, [of(name, part) for part in parts]) == f"{of(name, raw)}-3"


@pytest.mark.parametrize("algorithm, type_, settled", [
    (None, None, ("CRC64NVME", "FULL_OBJECT")),
    ("", "", ("CRC64NVME", "FULL_OBJECT")),
    ("crc64nvme", None, ("CRC64NVME", "FULL_OBJECT")),
    ("CRC64NVME", "FULL_OBJECT", ("CRC64NVME", "FULL_OBJECT")),
    ("CRC32", None, ("CRC32", "COMPOSITE")),
    ("CRC32", "FULL_OBJECT", ("CRC32", "FULL_OBJECT")),
    ("CRC32C", "COMPOSITE", ("CRC32C", "COMPOSITE")),
    ("SHA256", None, ("SHA256", "COMPOSITE")),
    ("SHA1", "COMPOSITE", ("SHA1", "COMPOSITE")),
])  # fmt: skip
def test_the_type_of_an_upload(algorithm, type_, settled):
    assert checked_type(algorithm, type_) == settled


@pytest.mark.parametrize("algorithm, type_, wording", [
    ("CRC64NVME", "COMPOSITE", "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."),
    ("SHA1", "FULL_OBJECT", "The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm."),
    ("SHA256", "FULL_OBJECT", "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm."),
    ("CRC32", "full_object", "Value for x-amz-checksum-type header is invalid."),
    ("CRC16", None, "CRC16"),
    (None, "COMPOSITE", "can only be used with"),
])  # fmt: skip
def test_types_an_upload_cannot_have(algorithm, type_, wording):
    with pytest.raises(InvalidRequest, match=wording):
        checked_type(algorithm, type_)


def test_a_part_has_its_uploads_algorithm():
    check_part("SHA256", None)
    check_part("SHA256", requested({header("sha256"): of("SHA256")}))
    with pytest.raises(InvalidRequest, match="expected checksum Type: sha256, actual checksum Type: crc32"):
        check_part("SHA256", requested({header("crc32"): of("CRC32")}))
