"""aws-chunked bodies: find the borders of signed chunks as the bytes arrive, and remember what must be verified later."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from enum import Enum
from tempfile import TemporaryFile
from typing import IO

from shared.errors import IncompleteBody, InvalidChunkSizeError, InvalidRequest, MalformedTrailerError

MIN_CHUNK_BYTES = 8192  # only the last non-empty chunk may be smaller
MAX_LINE_BYTES = 1024  # a chunk header or one trailer line, its end included
MAX_TRAILERS = 16

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;([\t\x20-\x7e]*))?\r\n")
_SIGNATURE = re.compile(rb"chunk-signature=([0-9A-Fa-f]{64})")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)\r?\n")
_RECORD = struct.Struct("<Q?32s")
_SPILL_BYTES = 65536


class ChunkLog:
    """The length and signature of every chunk, in order: 41 bytes each, in an unnamed temporary file beyond 64 KiB.

    Appending raises OSError when that file cannot grow. Iterate only when all is appended; ``close`` frees the file.
    """

    def __init__(self) -> None:
        self._recent = bytearray()
        self._spilled: IO[bytes] | None = None

    def append(self, length: int, signature: bytes | None) -> None:
        """Remember one chunk: its decoded length in bytes, and its 32-byte signature (None: the chunk has none)."""
        self._recent += _RECORD.pack(length, signature is not None, signature or b"")
        if len(self._recent) >= _SPILL_BYTES:
            if self._spilled is None:
                self._spilled = TemporaryFile(buffering=0)  # noqa: SIM115 (lives as long as the log)
            self._spilled.write(self._recent)
            self._recent.clear()

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        if self._spilled is not None:
            self._spilled.seek(0)
            while block := self._spilled.read(_RECORD.size * 1024):
                yield from _records(block)
        yield from _records(bytes(self._recent))

    def close(self) -> None:
        """Free the temporary file. Does nothing the second time."""
        self._recent.clear()
        if self._spilled is not None:
            self._spilled.close()
            self._spilled = None


def _records(block: bytes) -> Iterator[tuple[int, bytes | None]]:
    for length, signed, signature in _RECORD.iter_unpack(block):
        yield length, signature if signed else None


class _Expect(Enum):
    CHUNK = 1  # a chunk header
    DATA = 2
    CHUNK_END = 3  # the line end behind the data
    TRAILER = 4  # a trailer line, or the empty line that ends the body
    END = 5  # the empty line that ends a body without trailers
    NOTHING = 6


class AwsChunkedDecoder:
    """Decode ``aws-chunked`` incrementally; where the stream was cut into pieces makes no difference.

    Decoded bytes go to ``write`` as they come, as views that are valid only during the call; what ``write`` raises passes
    through. ``decoded_length`` (bytes, x-amz-decoded-content-length) is enforced when not None. Signatures are not verified here but
    collected in ``log``, the closing chunk of length 0 included. ``trailers`` keeps names and values as sent, stripped.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    """

    def __init__(
        self,
        signed: bool,
        trailers_expected: bool,
        decoded_length: int | None,
        write: Callable[[memoryview], object],
        log: ChunkLog | None = None,
    ) -> None:
        self.trailers: list[tuple[str, str]] = []
        self.size = 0
        self._signed, self._trailers_expected, self._decoded_length = signed, trailers_expected, decoded_length
        self._write, self._log = write, log
        self._expect = _Expect.CHUNK
        self._line = bytearray()  # the beginning of a line whose end has not arrived
        self._left = 0  # bytes of this chunk still to come
        self._count = 0
        self._small = 0  # size of a chunk that must turn out to be the last
        self._bare_end = False  # the last trailer ended with a lone LF: a CRLF may still belong to it
        self._may_end = False  # that CRLF has come; signers disagree on whether another one follows

    @property
    def complete(self) -> bool:
        """Whether the body may end here. The very last line end may be missing, as some clients leave it out."""
        soft = self._expect is _Expect.END or (self._expect is _Expect.TRAILER and self._may_end)
        return self._expect is _Expect.NOTHING or (soft and not self._line)

    def feed(self, data: bytes | bytearray | memoryview) -> int:
        """Take what arrived and return how many bytes were used: fewer than given only when the body ended before them.

        Raises InvalidRequest (not aws-chunked, or a signature is missing), InvalidChunkSizeError, IncompleteBody (more or fewer
        bytes than ``decoded_length``), MalformedTrailerError.
        """
        view, position = memoryview(data), 0
        while position < len(view) and self._expect is not _Expect.NOTHING:
            if self._expect is _Expect.DATA:
                block = view[position : position + self._left]
                position += len(block)
                self._take_data(block)
            else:
                position += self._take_line(view[position : position + MAX_LINE_BYTES + 1 - len(self._line)])
        return position

    def _take_data(self, block: memoryview) -> None:
        self._left -= len(block)
        self.size += len(block)
        if not self._left:
            self._expect = _Expect.CHUNK_END
        self._write(block)

    def _take_line(self, window: memoryview) -> int:
        piece = bytes(window)
        end = piece.find(b"\n")
        used = len(piece) if end < 0 else end + 1
        self._line += piece[:used]
        only_end = self._expect in (_Expect.CHUNK_END, _Expect.END)
        if len(self._line) > MAX_LINE_BYTES or (only_end and not b"\r\n".startswith(self._line)):
            raise self._malformed()
        if end >= 0:
            line = bytes(self._line)
            self._line.clear()
            self._take_whole_line(line)
        return used

    def _take_whole_line(self, line: bytes) -> None:
        if self._expect is _Expect.CHUNK:
            self._begin_chunk(line)
        elif self._expect is _Expect.TRAILER:
            self._take_trailer(line)
        else:
            self._expect = _Expect.CHUNK if self._expect is _Expect.CHUNK_END else _Expect.NOTHING

    def _begin_chunk(self, line: bytes) -> None:
        header = _CHUNK.fullmatch(line)
        signature = _SIGNATURE.fullmatch(header[2] or b"") if header else None
        if header is None or (self._signed and signature is None):
            raise self._malformed()
        length = int(header[1], 16)
        self._check_length(length)
        if self._log is not None:
            self._log.append(length, bytes.fromhex(signature[1].decode()) if signature else None)
        self._count, self._left = self._count + 1, length
        if length:
            self._expect = _Expect.DATA
        else:
            self._expect = _Expect.TRAILER if self._trailers_expected else _Expect.END

    def _check_length(self, length: int) -> None:
        if length and self._small:
            raise InvalidChunkSizeError(Chunk=self._count, BadChunkSizeInBytes=self._small)
        self._small = length if length < MIN_CHUNK_BYTES else 0
        total = self.size + length
        if self._decoded_length is not None and (total > self._decoded_length or (not length and total < self._decoded_length)):
            raise IncompleteBody()

    def _take_trailer(self, line: bytes) -> None:
        if line in (b"\r\n", b"\n"):
            if not self._bare_end:
                self._expect = _Expect.NOTHING
            self._may_end, self._bare_end = True, False
            return
        trailer = _TRAILER.fullmatch(line)
        if trailer is None or len(self.trailers) == MAX_TRAILERS:
            raise MalformedTrailerError()
        self.trailers.append((trailer[1].decode("latin-1"), trailer[2].decode("latin-1").strip(" \t")))
        self._may_end, self._bare_end = False, not line.endswith(b"\r\n")

    def _malformed(self) -> InvalidRequest | MalformedTrailerError:
        if self._expect in (_Expect.TRAILER, _Expect.END):
            return MalformedTrailerError()
        return InvalidRequest("The body is not well-formed aws-chunked content.")
