"""Segments: an object's bytes as a list of pieces of blobs, read as one file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from shared.blobs.engine import BlobCorrupt, BlobEngine, Span, SpanLike
from shared.blobs.files import BlobFile, BytesFile
from shared.blobs.transforms import Recipe, TransformedFile


class Segment(NamedTuple):
    """``length`` plaintext bytes from ``offset`` on: of a blob, or of ``data`` when the bytes are inline.

    ``codec``, ``algorithm`` and ``chunk`` (plaintext bytes per chunk) say how the blob is stored, see transforms.py: None, None
    and 0 for a plain one. ``key`` is the blob's data key, unwrapped.
    """

    blob_id: bytes | None
    offset: int
    length: int
    codec: str | None = None
    algorithm: str | None = None
    chunk: int = 0
    data: bytes | None = None
    key: bytes | None = None

    def __repr__(self) -> str:  # neither keys nor contents in a log or a traceback
        blob = self.blob_id.hex() if self.blob_id else "inline"
        return f"Segment({blob}, {self.offset}, {self.length}, {self.codec}, {self.algorithm}, {self.chunk})"


def open_segments(engine: BlobEngine, segments: Iterable[Segment], span: SpanLike | None = None) -> BlobFile:
    """Return a file over ``span`` of the concatenated segments; what fits in one segment is read without a layer between.

    Raises BlobMissing, BlobCorrupt and the engine's errors for the first blob, ValueError for a span beyond the end. Later blobs
    are opened when the reader gets there, one at a time, and raise in ``read``.
    """
    pieces = _within(segments, span)
    if len(pieces) == 1:
        return _open(engine, pieces[0])
    return SegmentReader(engine, pieces)


class SegmentReader(BlobFile):
    """The concatenation of segments, limited to ``span``. One blob is open at a time; the first one from the start."""

    _current: BlobFile | None = None

    def __init__(self, engine: BlobEngine, segments: Iterable[Segment], span: SpanLike | None = None) -> None:
        self._engine = engine
        self._pieces = _within(segments, span)
        self._starts = list(accumulate((piece.length for piece in self._pieces), initial=0))
        self._number = -1
        super().__init__(self._starts.pop())
        if self._pieces:
            self._piece(0)  # a missing blob is an error before any header is sent

    def pread(self, at: int, size: int) -> bytes:
        """Cross as many borders as it takes."""
        number = bisect_right(self._starts, at) - 1
        parts = []
        while size:
            inner = at - self._starts[number]
            take = min(size, self._pieces[number].length - inner)
            parts.append(self._piece(number).pread(inner, take))
            at, size, number = at + take, size - take, number + 1
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _piece(self, number: int) -> BlobFile:
        if number == self._number and self._current is not None:
            return self._current
        self._let_go()
        self._current = _open(self._engine, self._pieces[number])
        self._number = number
        return self._current

    def _let_go(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current.close()

    def close(self) -> None:
        """Close the blob that is open."""
        self._let_go()
        super().close()


def _within(segments: Iterable[Segment], span: SpanLike | None) -> Sequence[Segment]:
    """The segments that have bytes within the span, the outer two cut to it. Raises ValueError for a span beyond the end."""
    pieces = [segment for segment in segments if segment.length]
    if span is None:
        return pieces
    ends = list(accumulate(piece.length for piece in pieces))
    first, end = span.first, span.last + 1
    if not 0 <= first <= end <= (ends[-1] if ends else 0):
        raise ValueError("the span reaches beyond the segments")
    if first == end:
        return []
    low, high = bisect_right(ends, first), bisect_right(ends, end - 1)
    kept = pieces[low : high + 1]
    kept[-1] = kept[-1]._replace(length=kept[-1].length - (ends[high] - end))
    skip = first - (ends[low] - pieces[low].length)
    kept[0] = kept[0]._replace(offset=kept[0].offset + skip, length=kept[0].length - skip)
    return kept


def _open(engine: BlobEngine, segment: Segment) -> BlobFile:
    first, end = segment.offset, segment.offset + segment.length
    recipe = Recipe(segment.codec or None, segment.algorithm or None, segment.chunk, segment.key)
    if segment.data is not None:
        if not recipe.plain:
            return TransformedFile(BytesFile(segment.data), segment.blob_id or b"", recipe, first, segment.length)
        if not 0 <= first <= end <= len(segment.data):
            raise BlobCorrupt(f"inline data has {len(segment.data)} bytes, not {end}")
        return BytesFile(memoryview(segment.data)[first:end])
    if segment.blob_id is None:
        raise BlobCorrupt("a segment has neither a blob nor data")
    if recipe.plain:
        return engine.open(segment.blob_id, Span(first, end - 1))
    return TransformedFile(engine.open(segment.blob_id), segment.blob_id, recipe, first, segment.length)
