"""Chunk signatures: Amazon's published stream, our own signer over random chunks, every damage refused."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.auth.canonical import signature, signing_key
from shared.auth.model import Seed
from shared.auth.streaming import ChunkVerifier
from shared.errors import SignatureDoesNotMatch

EMPTY = sha256().hexdigest()
SCOPE = "20130524/us-east-1/s3/aws4_request"
DATE = "20130524T000000Z"
KEY = signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")

# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
PUBLISHED_SEED = Seed(KEY, SCOPE, DATE, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
PUBLISHED_CHUNKS = [
    (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]


def sign(seed, body, sizes, trailers=None):
    """The other side: the chunk log and the trailers a right client makes."""
    previous, at, log = seed.signature, 0, []
    for size in [*sizes, 0]:
        digest = sha256(body[at : at + size]).hexdigest()
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{seed.amz_date}\n{seed.scope}\n{previous}\n{EMPTY}\n{digest}"
        previous = signature(seed.key, text)
        log.append((size, bytes.fromhex(previous)))
        at += size
    if trailers is None:
        return log, None
    digest = sha256("".join(f"{name.lower()}:{value}\n" for name, value in trailers).encode()).hexdigest()
    made = signature(seed.key, f"AWS4-HMAC-SHA256-TRAILER\n{seed.amz_date}\n{seed.scope}\n{previous}\n{digest}")
    return log, [*trailers, ("x-amz-trailer-signature", made)]


def verify(seed, log, body, trailers=None, blocks=None):
    verifier = ChunkVerifier(seed, log, trailers)
    for start in range(0, len(body), blocks or max(1, len(body))):
        verifier.update(memoryview(body)[start : start + (blocks or len(body))])
    verifier.finish()


@pytest.mark.parametrize("blocks", [None, 1, 1000, 65536, 65537])
def test_the_published_stream_verifies_whatever_the_borders(blocks):
    log = [(length, bytes.fromhex(made)) for length, made in PUBLISHED_CHUNKS]
    verify(PUBLISHED_SEED, log, b"a" * 66560, blocks=blocks)


def test_the_published_trailer_verifies():
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    seed = Seed(KEY, SCOPE, DATE, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
    chunks = [
        (65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ]
    trailers = [
        ("x-amz-checksum-crc32c", "sOO8/Q=="),
        ("x-amz-trailer-signature", "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"),
    ]
    verify(seed, [(length, bytes.fromhex(made)) for length, made in chunks], b"a" * 66560, trailers)


SIZES = st.lists(st.integers(1, 400), max_size=6)
TRAILERS = st.none() | st.lists(
    st.tuples(st.sampled_from(["x-amz-checksum-crc32", "X-Amz-Meta"]), st.sampled_from(["AAAAAA==", "v"])), max_size=2
)


@settings(max_examples=150, deadline=None)
@given(SIZES, TRAILERS, st.integers(1, 500), st.randoms(use_true_random=False))
def test_what_was_signed_is_accepted_and_every_damage_refused(sizes, trailers, blocks, dice):
    seed = Seed(KEY, SCOPE, DATE, "0" * 64)
    body = dice.randbytes(sum(sizes))
    log, signed = sign(seed, body, sizes, trailers)
    verify(seed, log, body, signed, blocks)
    for damaged in damages(seed, log, body, signed, dice):
        with pytest.raises(SignatureDoesNotMatch):
            verify(*damaged, blocks)


def damages(seed, log, body, trailers, dice: random.Random):
    """One of each kind of damage: (seed, log, body, trailers)."""
    yield seed._replace(signature="1" * 64), log, body, trailers
    yield seed._replace(amz_date="20130524T000001Z"), log, body, trailers
    yield seed, log[:-1], body, trailers  # the last chunk cut off
    yield seed, [], body, trailers
    at = dice.randrange(len(log))
    length, made = log[at]
    bit = bytearray(made)
    bit[dice.randrange(32)] ^= 1 << dice.randrange(8)
    yield seed, [*log[:at], (length, bytes(bit)), *log[at + 1 :]], body, trailers
    yield seed, [*log[:at], (length, None), *log[at + 1 :]], body, trailers
    yield seed, [*log, (0, made)], body, trailers
    yield seed, log, body + b"x", trailers
    if body:
        spot = dice.randrange(len(body))
        yield seed, log, body[:spot] + bytes([body[spot] ^ 1]) + body[spot + 1 :], trailers
        yield seed, log, body[:-1], trailers
    if len(log) > 2 and log[0] != log[1]:
        yield seed, [log[1], log[0], *log[2:]], body, trailers
    if trailers is not None:
        yield seed, log, body, trailers[:-1]  # no signature
        yield seed, log, body, [*trailers[:-1], ("x-amz-trailer-signature", "zz")]
        yield seed, log, body, [("x-amz-more", "1"), *trailers]
        if len(trailers) > 1:
            yield seed, log, body, [(trailers[0][0], trailers[0][1] + "1"), *trailers[1:]]


def test_only_the_running_state_is_kept():
    seen = []

    def chunks():
        for entry in log:
            seen.append(entry)
            yield entry

    seed = Seed(KEY, SCOPE, DATE, "0" * 64)
    log, _ = sign(seed, b"a" * 300, [100, 100, 100])
    verifier = ChunkVerifier(seed, chunks())
    verifier.update(b"a" * 150)
    assert len(seen) == 2


def test_an_empty_body_has_one_empty_chunk():
    seed = Seed(KEY, SCOPE, DATE, "0" * 64)
    verify(seed, sign(seed, b"", [])[0], b"")
