"""Segments read as one file: any segments, any span, any reads."""

import pytest
from blob_files import descriptors, put
from hypothesis import given, settings
from hypothesis import strategies as st
from waitress.buffers import ReadOnlyFileBasedBuffer

from shared.blobs.engine import BlobCorrupt, BlobMissing, Span, new_blob_id
from shared.blobs.files import WINDOW_BYTES, BytesFile, SpanFile
from shared.blobs.memory import MemoryEngine
from shared.blobs.segments import Segment, SegmentReader, open_segments
from shared.blobs.transforms import TransformedFile, TransformWriter

RECIPES = [(None, None), ("zstd", None), (None, "aes-256-gcm"), ("zstd", "aes-256-gcm")]


def segment_of(engine, data: bytes, codec: str | None, algorithm: str | None, chunk: int = 64) -> Segment:
    if codec is None and algorithm is None:
        return Segment(put(engine, data), 0, len(data))
    staged = engine.stage()
    writer = TransformWriter(staged, codec=codec, algorithm=algorithm, chunk=chunk)
    writer.write(data)
    writer.finish()
    return Segment(staged.commit(), 0, len(data), codec, algorithm, chunk, None, writer.recipe.key)


def collect(file) -> bytes:
    out = []
    while piece := file.read(50):
        out.append(piece)
    return b"".join(out)


@st.composite
def pieces(draw):
    """(stored content, offset, length, how): how 0-3 is a recipe, 4 is inline."""
    content = draw(st.binary(max_size=300)) * draw(st.integers(1, 3))
    offset = draw(st.integers(0, len(content)))
    return content, offset, draw(st.integers(0, len(content) - offset)), draw(st.integers(0, 4))


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces(), max_size=6), st.data())
def test_a_reader_equals_slicing_bytes(items, data):
    engine = MemoryEngine()
    segments, whole = [], b""
    for content, offset, length, how in items:
        whole += content[offset : offset + length]
        if how == 4:
            segments.append(Segment(None, offset, length, data=content))
        else:
            segments.append(segment_of(engine, content, *RECIPES[how])._replace(offset=offset, length=length))
    first = data.draw(st.integers(0, len(whole)))
    span = data.draw(st.sampled_from([None, Span(first, data.draw(st.integers(first - 1, max(len(whole) - 1, first - 1))))]))
    expected = whole if span is None else whole[span.first : span.last + 1]
    for reader in (SegmentReader(engine, segments, span), open_segments(engine, segments, span)):
        at = 0
        for _ in range(data.draw(st.integers(0, 8))):
            if data.draw(st.booleans()):
                at = reader.seek(data.draw(st.integers(0, len(expected) + 3)))
            size = data.draw(st.integers(-1, len(expected) + 3))
            block = reader.read(size)
            assert block == (expected[at:] if size < 0 else expected[at : at + size])
            at += len(block)
            assert reader.tell() == at
        reader.seek(0)
        assert reader.read() == expected
        reader.close()


def test_ten_thousand_segments(disk):
    blob = put(disk, bytes(range(250)) * 40)
    segments = [Segment(blob, n, 1) for n in range(10_000)]
    before = descriptors()
    reader = SegmentReader(disk, segments, Span(100, 9_899))
    assert descriptors() == before + 1
    assert collect(reader) == (bytes(range(250)) * 40)[100:9_900]
    assert descriptors() == before + 1  # one open blob at a time
    reader.close()
    assert descriptors() == before


def test_one_plain_segment_is_the_plain_file(disk):
    blob = put(disk, b"0123456789")
    assert type(open_segments(disk, [Segment(blob, 0, 10)])) is SpanFile
    file = open_segments(disk, [Segment(blob, 0, 5), Segment(blob, 5, 5)], Span(6, 8))
    assert type(file) is SpanFile and file.read() == b"678"
    assert type(open_segments(disk, [Segment(None, 0, 3, data=b"abc")])) is BytesFile
    assert open_segments(disk, []).read() == b""


def test_a_span_beyond_the_segments_is_refused(disk):
    blob = put(disk, b"0123456789")
    for span in (Span(0, 10), Span(-1, 3), Span(5, 3), Span(11, 10)):
        with pytest.raises(ValueError):
            SegmentReader(disk, [Segment(blob, 0, 10)], span)


def test_a_missing_first_blob_is_an_error_before_headers(engine):
    gone, kept = put(engine, b"gone"), put(engine, b"kept")
    engine.delete(gone)
    segments = [Segment(gone, 0, 4), Segment(kept, 0, 4)]
    for make in (SegmentReader, open_segments):
        with pytest.raises(BlobMissing):
            make(engine, segments)
        with pytest.raises(BlobMissing):
            make(engine, segments[:1])
    assert SegmentReader(engine, segments, Span(4, 7)).read() == b"kept"  # not touched, not opened


def test_a_missing_later_blob_raises_in_read_and_closes_cleanly(disk):
    kept, gone = put(disk, b"kept"), put(disk, b"gone")
    before = descriptors()
    reader = SegmentReader(disk, [Segment(kept, 0, 4), Segment(gone, 0, 4)])
    disk.delete(gone)
    assert reader.read(4) == b"kept"
    for _ in range(2):
        with pytest.raises(BlobMissing):
            reader.read(4)
    assert descriptors() == before
    reader.close()


def test_rows_that_do_not_fit_their_blobs_are_corrupt(engine):
    blob = put(engine, b"0123456789")
    with pytest.raises(BlobCorrupt):
        open_segments(engine, [Segment(blob, 5, 6)])
    with pytest.raises(BlobCorrupt):
        open_segments(engine, [Segment(None, 1, 3, data=b"abc")])
    with pytest.raises(BlobCorrupt):
        open_segments(engine, [Segment(None, 0, 3)])
    sealed = segment_of(engine, b"x" * 100, None, "aes-256-gcm")
    for wrong in ({"offset": 1}, {"key": None}, {"key": b"short"}, {"codec": "lzma"}, {"chunk": 0}, {"chunk": 128}, {"codec": "zstd"}):
        with pytest.raises(BlobCorrupt):
            open_segments(engine, [sealed._replace(**wrong)])


def test_keys_and_contents_stay_out_of_logs():
    segment = Segment(new_blob_id(), 0, 3, None, "aes-256-gcm", 64, b"content", b"K" * 32)
    assert "KKK" not in repr(segment) and "content" not in repr(segment)


class Counting(BytesFile):
    """Counts the bytes that really are fetched."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.fetched = 0

    def pread(self, at: int, size: int) -> bytes:
        self.fetched += size
        return super().pread(at, size)


@pytest.mark.parametrize("sent", [1000, 65_536, 200_000, WINDOW_BYTES])
def test_partial_sends_fetch_every_byte_once(sent):
    """The server's own buffer: get a block, send part of it, skip that part, get again."""
    content = bytes(range(251)) * 8000
    file = Counting(content)
    buffer = ReadOnlyFileBasedBuffer(file)
    left = buffer.prepare()
    out = []
    while left:
        block = buffer.get(WINDOW_BYTES)
        part = block[:sent]
        out.append(part)
        buffer.get(len(part), skip=True)
        left -= len(part)
    assert b"".join(out) == content
    assert file.fetched == len(content)


def test_partial_sends_decode_every_chunk_once(engine, monkeypatch):
    content = bytes(range(251)) * 8000
    segment = segment_of(engine, content, "zstd", "aes-256-gcm", 65_536)
    decoded = []
    real = TransformedFile._decode
    monkeypatch.setattr(TransformedFile, "_decode", lambda self, number: decoded.append(number) or real(self, number))
    file = SegmentReader(engine, [segment, segment])
    buffer = ReadOnlyFileBasedBuffer(file)
    left = buffer.prepare()
    while left:
        part = buffer.get(WINDOW_BYTES)[:30_000]
        assert part == (content * 2)[len(content) * 2 - left :][: len(part)]
        buffer.get(len(part), skip=True)
        left -= len(part)
    assert decoded == [*range(31)] * 2
