"""Take a request body off the wire, in whatever wrapping, and pass its bytes on as they come."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from shared.blobs.engine import storage_error
from shared.errors import EntityTooLarge, IncompleteBody, InvalidRequest
from shared.host.contract import Admission, Body, MemorySink
from shared.protocol.chunked import AwsChunkedDecoder, ChunkLog

MAX_LINE_BYTES = 1024
SMALL_CHUNKS = 4096  # after so many chunks their mean size must reach SMALL_CHUNK_BYTES: tiny ones are an attack on the CPU
SMALL_CHUNK_BYTES = 128

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")

Write = Callable[[memoryview], object]


class FixedReceiver:
    """A body of ``length`` bytes."""

    def __init__(self, length: int, write: Write) -> None:
        self._left, self._write = length, write

    @property
    def complete(self) -> bool:
        return not self._left

    def feed(self, view: memoryview) -> int:
        """Use what belongs to the body and return how many bytes that was."""
        block = view[: self._left]
        self._left -= len(block)
        self._write(block)
        return len(block)


class _Expect(Enum):
    SIZE = 1
    DATA = 2
    DATA_END = 3
    TRAILER = 4
    NOTHING = 5


class ChunkedReceiver:
    """A body in chunked transfer coding. Trailers of this coding are read and ignored. Raises InvalidRequest when malformed.

    https://www.rfc-editor.org/rfc/rfc9112#section-7.1
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._expect, self._line = _Expect.SIZE, bytearray()
        self._left = self._chunks = self._bytes = self._trailer_bytes = 0

    @property
    def complete(self) -> bool:
        return self._expect is _Expect.NOTHING

    def feed(self, view: memoryview) -> int:
        """Use what belongs to the body and return how many bytes that was."""
        position = 0
        while position < len(view) and self._expect is not _Expect.NOTHING:
            if self._expect is _Expect.DATA:
                block = view[position : position + self._left]
                position += len(block)
                self._left -= len(block)
                if not self._left:
                    self._expect = _Expect.DATA_END
                self._write(block)
            else:
                position += self._take_line(bytes(view[position : position + MAX_LINE_BYTES + 1 - len(self._line)]))
        return position

    def _take_line(self, piece: bytes) -> int:
        end = piece.find(b"\n")
        used = len(piece) if end < 0 else end + 1
        self._line += piece[:used]
        if len(self._line) > MAX_LINE_BYTES or (self._expect is _Expect.DATA_END and not b"\r\n".startswith(self._line)):
            raise _bad_chunk()
        if end >= 0:
            line = bytes(self._line)
            self._line.clear()
            self._take_whole_line(line)
        return used

    def _take_whole_line(self, line: bytes) -> None:
        if self._expect is _Expect.SIZE:
            self._begin_chunk(line)
        elif not line.endswith(b"\r\n"):
            raise _bad_chunk()
        elif self._expect is _Expect.DATA_END:
            self._expect = _Expect.SIZE
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > 16 * MAX_LINE_BYTES:
                raise _bad_chunk()
            self._expect = _Expect.NOTHING if line == b"\r\n" else _Expect.TRAILER

    def _begin_chunk(self, line: bytes) -> None:
        header = _CHUNK.fullmatch(line)
        if header is None:
            raise _bad_chunk()
        self._left = int(header[1], 16)
        self._chunks, self._bytes = self._chunks + 1, self._bytes + self._left
        if self._chunks > SMALL_CHUNKS and self._bytes < self._chunks * SMALL_CHUNK_BYTES:
            raise InvalidRequest("The chunks of the transfer coding are too small.")
        self._expect = _Expect.DATA if self._left else _Expect.TRAILER


def _bad_chunk() -> InvalidRequest:
    return InvalidRequest("The chunked transfer coding of the body is malformed.")


class Intake:
    """One body on its way from the wire to where it is wanted: transfer coding → aws-chunked → size limit → sink.

    ``admission`` None means a small plain body, kept in memory. ``length`` is the body's bytes on the wire, None when chunked.
    """

    def __init__(self, length: int | None, admission: Admission | None, max_body_bytes: int) -> None:
        self.size = 0
        self._max_body_bytes = max_body_bytes
        self._sink = admission.sink if admission else MemorySink(max_body_bytes)
        self._log = ChunkLog() if admission and admission.signed_chunks else None
        self._decoder: AwsChunkedDecoder | None = None
        if admission and admission.aws_chunked:
            self._decoder = AwsChunkedDecoder(admission.signed_chunks, admission.trailers, admission.decoded_length, self._write, self._log)
        write = self._decode if self._decoder else self._write
        self._wire = ChunkedReceiver(write) if length is None else FixedReceiver(length, write)

    @property
    def complete(self) -> bool:
        """Whether the wire has given all it announced."""
        return self._wire.complete

    def feed(self, view: memoryview) -> int:
        """Use what belongs to this body and return how many bytes that was.

        Raises S3Error: whatever the coding, the limits or the sink have to say; the body is then discarded.
        """
        try:
            used = self._wire.feed(view)
            if self._wire.complete and self._decoder and not self._decoder.complete:
                raise IncompleteBody()
        except OSError as error:
            raise storage_error(error) from error
        return used

    def body(self) -> Body:
        """Hand the whole body over; whoever takes it owns the sink."""
        trailers = self._decoder.trailers if self._decoder else []
        data = bytes(self._sink.data) if isinstance(self._sink, MemorySink) else b""
        return Body(self._sink, data, self._log, trailers, self.size)

    def discard(self) -> None:
        """Leave no file and no descriptor behind. Harmless twice."""
        self._sink.discard()
        if self._log is not None:
            self._log.close()

    def _write(self, view: memoryview) -> None:
        self.size += len(view)
        if self.size > self._max_body_bytes:
            raise EntityTooLarge(ProposedSize=self.size, MaxSizeAllowed=self._max_body_bytes)
        self._sink.write(view)

    def _decode(self, view: memoryview) -> None:
        if self._decoder and self._decoder.feed(view) < len(view):
            raise InvalidRequest("The body goes on after its last chunk.")
