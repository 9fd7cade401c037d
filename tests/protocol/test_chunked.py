"""aws-chunked: the same result wherever the stream is cut, and nothing malformed gets through."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import IncompleteBody, InvalidChunkSizeError, InvalidRequest, MalformedTrailerError, S3Error
from shared.protocol.chunked import AwsChunkedDecoder, ChunkLog

SIGNATURE = b"0123456789abcdef" * 4


def encode(pieces: list[bytes], signed: bool = False, trailers: bytes = b"", last: bytes = b"\r\n") -> bytes:
    sign = b";chunk-signature=" + SIGNATURE if signed else b""
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), sign, p) for p in pieces) + b"0" + sign + b"\r\n" + trailers + last


class Run:
    """A decoder with everything it gave out."""

    def __init__(self, signed: bool = False, trailers: bool = False, decoded: int | None = None) -> None:
        self.out, self.log = bytearray(), ChunkLog()
        self.decoder = AwsChunkedDecoder(signed, trailers, decoded, self.out.extend, self.log)

    def feed(self, *pieces: bytes) -> Run:
        self.used = [self.decoder.feed(piece) for piece in pieces]
        return self

    def result(self) -> tuple[object, ...]:
        return bytes(self.out), self.decoder.trailers, self.decoder.complete, self.decoder.size, list(self.log)


def run(stream: bytes, **how: object) -> Run:
    return Run(**how).feed(stream)  # type: ignore[arg-type]


def outcome(stream: bytes, cuts: list[int], **how: object) -> object:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    one = Run(**how)  # type: ignore[arg-type]
    try:
        one.feed(*(stream[a:b] for a, b in itertools.pairwise(edges)))
    except S3Error as error:
        return type(error), error.fields
    return one.result(), sum(one.used)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, dict[str, object]]:
    """Well-formed streams and, half of the time, damaged ones."""
    sizes = draw(st.lists(st.sampled_from([8192, 8193, 20000, 8191, 1]), max_size=3))
    signed, trailers = draw(st.booleans()), draw(st.booleans())
    lines = draw(st.sampled_from([b"", b"x-amz-checksum-crc32: AAAA \r\n", b"a:b\n\r\nx-amz-trailer-signature:c\r\n"])) if trailers else b""
    stream = bytearray(encode([b"\r\n0\r\n" * (size // 5) + b"x" * (size % 5) for size in sizes], signed, lines))
    for _ in range(draw(st.integers(0, 2))):
        where = draw(st.integers(0, len(stream) - 1) | st.integers(0, min(120, len(stream) - 1)))
        how = draw(st.sampled_from(["drop", "change", "cut", "insert"]))
        if how == "drop":
            del stream[where]
        elif how == "cut":
            del stream[max(1, where) :]
        else:
            stream[where : where + (how == "change")] = draw(st.binary(min_size=1, max_size=2))
    decoded = draw(st.sampled_from([None, sum(sizes), sum(sizes) + 1]))
    return bytes(stream), {"signed": signed, "trailers": trailers, "decoded": decoded}


@settings(max_examples=300, deadline=None)
@given(streams(), st.lists(st.integers(0, 70000) | st.integers(0, 200), max_size=12))
def test_where_the_stream_is_cut_makes_no_difference(case, cuts):
    stream, how = case
    assert outcome(stream, cuts, **how) == outcome(stream, [], **how)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(8192, 30000), max_size=4), st.integers(0, 8191), st.booleans())
def test_what_was_encoded_comes_out(sizes, last, signed):
    pieces = [os.urandom(size) for size in [*sizes, last] if size]
    done = run(encode(pieces, signed), signed=signed, decoded=sum(map(len, pieces)))
    data, _, complete, size, chunks = done.result()
    assert (data, complete, size) == (b"".join(pieces), True, len(data))
    sign = bytes.fromhex(SIGNATURE.decode()) if signed else None
    assert chunks == [(len(piece), sign) for piece in pieces] + [(0, sign)]


def test_byte_by_byte_with_trailers():
    stream = encode([b"a" * 9000, b"b"], True, b"x-amz-checksum-crc32:AAAA\r\nX-Amz-Trailer-Signature: cd\t\r\n")
    done = Run(signed=True, trailers=True).feed(*(bytes([byte]) for byte in stream))
    assert done.decoder.complete
    assert done.decoder.trailers == [("x-amz-checksum-crc32", "AAAA"), ("X-Amz-Trailer-Signature", "cd")]


@pytest.mark.parametrize(
    "ending",
    [b"a:b\r\n\r\n", b"a:b\n\r\n", b"a:b\n\r\n\r\n", b"a:b\n\n", b"a:b\r\n\n"],
)
def test_every_known_way_to_end_the_trailers(ending):
    done = run(b"0\r\n" + ending, trailers=True)
    assert (done.decoder.trailers, done.decoder.complete, done.used) == ([("a", "b")], True, [3 + len(ending)])


def test_a_signature_may_follow_a_trailer_that_ends_as_in_the_documentation():
    done = run(b"0\r\na:b\n\r\nx-amz-trailer-signature:c\r\n\r\n", trailers=True)
    assert done.decoder.trailers == [("a", "b"), ("x-amz-trailer-signature", "c")]
    assert done.decoder.complete


@pytest.mark.parametrize("missing", [b"", b"\r\n"])
def test_the_last_line_end_may_be_missing(missing):
    assert run(b"1\r\nx\r\n0\r\n" + missing).decoder.complete


@pytest.mark.parametrize(
    "stream", [b"", b"2000", b"2000\r\n", b"2\r\nx", b"2\r\nxx", b"2\r\nxx\r\n", b"2\r\nxx\r\n0", b"2\r\nxx\r\n0\r\n\r"]
)
def test_a_body_without_its_final_chunk_is_not_complete(stream):
    assert not run(stream).decoder.complete


@pytest.mark.parametrize("stream", [b"0\r\n", b"0\r\na:b", b"0\r\na:b\r\n", b"0\r\na:b\n"])
def test_trailers_that_are_cut_off_are_not_complete(stream):
    assert not run(stream, trailers=True).decoder.complete


def test_what_follows_the_end_is_not_touched():
    assert run(b"1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1").used == [11]


@pytest.mark.parametrize("size", [1, 8191])
def test_only_the_last_chunk_may_be_small(size):
    with pytest.raises(InvalidChunkSizeError) as caught:
        run(encode([b"x" * 8192, b"y" * size, b"z"]))
    assert caught.value.fields == {"Chunk": "2", "BadChunkSizeInBytes": str(size)}
    assert run(encode([b"x" * 8192, b"y" * size])).decoder.complete


@pytest.mark.parametrize("decoded", [0, 9, 11])
def test_a_lying_decoded_length_is_found_before_the_data_is_taken(decoded):
    one = Run(decoded=decoded)
    with pytest.raises(IncompleteBody):
        one.feed(encode([b"x" * 10]))
    assert len(one.out) <= decoded


@pytest.mark.parametrize(
    "line",
    [b"x\r\n", b"\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1 \r\n", b"1\n", b"1;\x00\r\n",
     b"f" * 17 + b"\r\n", b"1" * 2000, b"1;" + b"a" * 2000],
)  # fmt: skip
def test_malformed_chunk_headers(line):
    with pytest.raises(InvalidRequest):
        run(line)


@pytest.mark.parametrize(
    "line", [b"1\r\n", b"1;chunk-signature=ab\r\n", b"1;chunk-signature=" + b"g" * 64 + b"\r\n", b"1;other=" + SIGNATURE + b"\r\n"]
)
def test_signed_chunks_must_carry_a_signature(line):
    with pytest.raises(InvalidRequest):
        run(line, signed=True)


def test_data_longer_than_its_chunk():
    with pytest.raises(InvalidRequest):
        run(b"1\r\nxy\r\n")


@pytest.mark.parametrize("lines", [b"no colon\r\n", b":v\r\n", b"a b:v\r\n", b"a:\x01\r\n", b"a:" + b"v" * 2000, b"a:b\r\n" * 17])
def test_malformed_trailers(lines):
    with pytest.raises(MalformedTrailerError):
        run(b"0\r\n" + lines, trailers=True)


def test_trailers_nobody_announced():
    with pytest.raises(MalformedTrailerError):
        run(b"0\r\na:b\r\n\r\n")


def test_an_error_of_the_sink_passes_through():
    def full(_: memoryview) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        AwsChunkedDecoder(False, False, None, full).feed(b"1\r\nx\r\n")


def test_the_log_spills_and_keeps_its_order():
    log, before = ChunkLog(), len(os.listdir("/proc/self/fd"))
    entries = [(number, number.to_bytes(32, "big") if number % 3 else None) for number in range(10_000)]
    for entry in entries:
        log.append(*entry)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert list(log) == list(log) == entries
    assert len(log._recent) < 65536
    log.close()
    log.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(log) == []
