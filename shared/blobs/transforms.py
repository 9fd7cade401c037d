"""Compressed and encrypted blobs: the format on disk, its reader, and a writer.

The plaintext is cut into chunks (64 KiB; the last may be shorter). Each is compressed when the codec says so, then sealed, and
stored one after the other. What describes them stands at the end, so the size need not be known when writing starts; a reader
needs the footer and only those chunks that its range touches. All numbers are big-endian.

    blob    := chunk 0 … chunk n-1, table, footer               n = ceil(plaintext size / chunk size); 0 for an empty blob
    chunk   := body, tag                                        body is encrypted when the algorithm says so
    body    := plaintext                                        codec none
             | 0x00 plaintext | 0x01 zstd frame                 codec zstd: the frame when it is shorter
    table   := u64 × n                                          codec zstd only: where chunk i ends, from the start of the blob
    footer  := 24 bytes fields, 16 bytes tag, 8 bytes "MaxBlob1"
    fields  := u64 plaintext size, u64 stored bytes of all chunks, u32 chunk size, u8 codec, u8 algorithm, u16 zero
    codec     0 none, 1 zstd (RFC 8878)
    algorithm 0 none:        tag = CRC-32 (4 bytes; in the footer followed by 12 zero bytes)
              1 AES-256-GCM: tag = 16 bytes; nonce = u32 1 for a chunk, 2 for the footer, then u64 chunk number, 0 for the footer

What a tag covers besides its body: the blob id, then for a chunk u64 chunk number and u8 1 for the last chunk, else 0; for the
footer its fields. So a chunk moved, dropped or repeated, a blob cut short or put in another's place, and an altered footer are
all refused. The table needs no tag: a wrong entry yields a chunk that its own tag refuses. The CRC keeps the same promise
against accidents only. Codec and algorithm come from the segment row, and a footer that disagrees is refused: whoever can write
to the disk can't switch encryption off.

**No nonce is ever used twice, because a key is never used twice**: a writer makes a fresh random key for its one blob and writes
each chunk once. What is wrapped for a user's, a bucket's or a KMS key is that data key.
"""

from __future__ import annotations

import secrets
import struct
import zlib
from array import array
from collections.abc import Callable
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.blobs.engine import BlobCorrupt, Staged
from shared.blobs.files import BlobFile

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
except ImportError:
    from backports import zstd

CHUNK_BYTES = 64 * 1024
KEY_BYTES = 32
ZSTD_LEVEL = 3

CODECS: dict[str | None, int] = {None: 0, "zstd": 1}
ALGORITHMS: dict[str | None, int] = {None: 0, "aes-256-gcm": 1}

_MAGIC = b"MaxBlob1"
_FIELDS = struct.Struct(">QQIBBH")
_FOOTER_TAG_BYTES = 16
_FOOTER_BYTES = _FIELDS.size + _FOOTER_TAG_BYTES + len(_MAGIC)
_ENTRY = struct.Struct(">Q")
_TABLE_PAGE = 512  # table entries read at a time
MAX_CHUNK_BYTES = 16 << 20
_PLACE = struct.Struct(">QB")
_NONCE = struct.Struct(">IQ")
_OF_CHUNK, _OF_FOOTER = 1, 2
_RAW, _FRAME = b"\x00", b"\x01"

Data = bytes | bytearray | memoryview


class Recipe(NamedTuple):
    """How a blob is stored: names from CODECS and ALGORITHMS, the plaintext bytes per chunk, and the data key."""

    codec: str | None = None
    algorithm: str | None = None
    chunk: int = CHUNK_BYTES
    key: bytes | None = None

    @property
    def plain(self) -> bool:
        """Stored as it is, without chunks or footer."""
        return self.codec is None and self.algorithm is None

    def numbers(self) -> tuple[int, int]:
        """Codec and algorithm as the footer has them. Raises BlobCorrupt for names or chunk sizes this version does not know."""
        try:
            numbers = CODECS[self.codec], ALGORITHMS[self.algorithm]
        except KeyError as unknown:
            raise BlobCorrupt(f"stored in a way this version does not know: {unknown}") from None
        if not 0 < self.chunk <= MAX_CHUNK_BYTES:
            raise BlobCorrupt(f"a chunk has 1 to {MAX_CHUNK_BYTES} bytes, not {self.chunk}")
        return numbers

    def __repr__(self) -> str:  # no key in a log or a traceback
        return f"Recipe({self.codec}, {self.algorithm}, {self.chunk})"


class _Seal:
    """Seals and opens the parts of one blob."""

    def __init__(self, blob_id: bytes, algorithm: str | None, key: bytes | None) -> None:
        self._blob_id = bytes(blob_id)
        self._cipher: AESGCM | None = None
        self.tag_bytes = 4
        if algorithm is not None:
            if key is None or len(key) != KEY_BYTES:
                raise BlobCorrupt("an encrypted blob needs its 32-byte data key")
            self._cipher = AESGCM(bytes(key))
            self.tag_bytes = 16

    def close(self, kind: int, number: int, place: bytes, body: Data) -> bytes:
        """Body and tag."""
        covered = self._blob_id + place
        if self._cipher is not None:
            return self._cipher.encrypt(_NONCE.pack(kind, number), body, covered)
        return b"".join((body, zlib.crc32(body, zlib.crc32(covered)).to_bytes(4, "big")))

    def open(self, kind: int, number: int, place: bytes, stored: bytes | memoryview) -> bytes:
        """The body. Raises BlobCorrupt."""
        covered = self._blob_id + place
        if self._cipher is not None:
            try:
                return self._cipher.decrypt(_NONCE.pack(kind, number), stored, covered)
            except InvalidTag:
                raise BlobCorrupt("an encrypted part does not carry its seal") from None
        body, tag = bytes(stored[:-4]), stored[-4:]
        if zlib.crc32(body, zlib.crc32(covered)).to_bytes(4, "big") != tag:
            raise BlobCorrupt("a stored part does not match its checksum")
        return body


class TransformedFile(BlobFile):
    """The plaintext of a transformed blob, or ``length`` bytes of it from ``first`` on; owns ``stored``, which it closes.

    Holds one chunk and one page of the table, whatever the size. Raises BlobCorrupt here when footer, key or recipe do not fit,
    in ``pread`` when a chunk does not: never wrong bytes.
    """

    def __init__(self, stored: BlobFile, blob_id: bytes, recipe: Recipe, first: int = 0, length: int | None = None) -> None:
        self._stored = stored
        self._recipe = recipe
        self._chunk_number = -1
        self._chunk_data = b""
        self._page_number = -1
        self._page = b""
        self._first = first
        super().__init__(0)
        try:
            self._seal = _Seal(blob_id, recipe.algorithm, recipe.key)
            self._read_footer()
            end = self.plaintext_bytes if length is None else first + length
            if not 0 <= first <= end <= self.plaintext_bytes:
                raise BlobCorrupt(f"the blob has {self.plaintext_bytes} bytes, not {end}")
        except BaseException:
            stored.close()
            raise
        self.length = end - first

    def _read_footer(self) -> None:
        numbers = self._recipe.numbers()
        at = self._stored.length - _FOOTER_BYTES
        if at < 0:
            raise BlobCorrupt("too short for a footer")
        footer = self._stored.pread(at, _FOOTER_BYTES)
        fields, tag = footer[: _FIELDS.size], footer[_FIELDS.size : -len(_MAGIC)]
        if footer[-len(_MAGIC) :] != _MAGIC:
            raise BlobCorrupt("no footer at the end")
        if any(tag[self._seal.tag_bytes :]):
            raise BlobCorrupt("the footer is altered")
        self._seal.open(_OF_FOOTER, 0, fields, tag[: self._seal.tag_bytes])
        self.plaintext_bytes, self._chunks_end, chunk, codec, algorithm, zero = _FIELDS.unpack(fields)
        if (codec, algorithm, chunk, zero) != (*numbers, self._recipe.chunk, 0):
            raise BlobCorrupt("stored differently than its row says")
        self._count = -(-self.plaintext_bytes // chunk)
        if self._chunks_end + (self._count * _ENTRY.size if codec else 0) != at:
            raise BlobCorrupt("the stored size does not add up")

    def pread(self, at: int, size: int) -> bytes:
        """Decode only the chunks that this part touches."""
        at += self._first
        end = at + size
        parts = []
        while at < end:
            number, skip = divmod(at, self._recipe.chunk)
            part = self._chunk(number)[skip : skip + end - at]
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _chunk(self, number: int) -> bytes:
        if number != self._chunk_number:
            self._chunk_data = self._decode(number)
            self._chunk_number = number
        return self._chunk_data

    def _decode(self, number: int) -> bytes:
        last = number == self._count - 1
        expected = self.plaintext_bytes - number * self._recipe.chunk if last else self._recipe.chunk
        start, end = self._borders(number, expected)
        body = self._seal.open(_OF_CHUNK, number, _PLACE.pack(number, last), self._stored.pread(start, end - start))
        data = _unpacked(body, expected) if self._recipe.codec else body
        if len(data) != expected:
            raise BlobCorrupt("a chunk has the wrong size")
        return data

    def _borders(self, number: int, expected: int) -> tuple[int, int]:
        """Where the chunk is stored."""
        if not self._recipe.codec:
            start = number * (self._recipe.chunk + self._seal.tag_bytes)
            return start, min(start + expected + self._seal.tag_bytes, self._chunks_end)
        start = self._entry(number - 1) if number else 0
        end = self._entry(number)
        if not start + self._seal.tag_bytes < end <= min(start + 1 + expected + self._seal.tag_bytes, self._chunks_end):
            raise BlobCorrupt("the chunk table is altered")
        return start, end

    def _entry(self, number: int) -> int:
        page, index = divmod(number, _TABLE_PAGE)
        if page != self._page_number:
            first = page * _TABLE_PAGE
            count = min(_TABLE_PAGE, self._count - first)
            self._page = self._stored.pread(self._chunks_end + first * _ENTRY.size, count * _ENTRY.size)
            self._page_number = page
        return int(_ENTRY.unpack_from(self._page, index * _ENTRY.size)[0])

    def close(self) -> None:
        """Close the stored file too, and forget the plaintext."""
        self._chunk_data, self._chunk_number = b"", -1
        self._stored.close()
        super().close()


def _unpacked(body: bytes, expected: int) -> bytes:
    """The plaintext of a body whose codec is zstd; never inflates more than ``expected`` bytes and one."""
    kind, payload = body[:1], body[1:]
    if kind == _RAW:
        return payload
    if kind != _FRAME:
        raise BlobCorrupt("a chunk is packed in no known way")
    frame = zstd.ZstdDecompressor()
    try:
        data: bytes = frame.decompress(payload, max_length=expected + 1)
    except zstd.ZstdError:
        raise BlobCorrupt("a chunk does not decompress") from None
    if not frame.eof or frame.unused_data:
        raise BlobCorrupt("a chunk does not decompress")
    return data


class TransformWriter:
    """Writes plaintext to a staged blob in this format; ``finish`` before ``commit``. Its ``recipe`` holds the fresh data key."""

    def __init__(self, staged: Staged, *, codec: str | None, algorithm: str | None, chunk: int = CHUNK_BYTES) -> None:
        # Never a key from outside: that is how a key, and with it a nonce, would come to be used twice.
        self.recipe = Recipe(codec, algorithm, chunk, secrets.token_bytes(KEY_BYTES) if algorithm else None)
        self._numbers = self.recipe.numbers()
        self.size = 0
        self._staged = staged
        self._seal = _Seal(staged.id, algorithm, self.recipe.key)
        self._pack: Callable[[Data], Data] | None = _packed if codec else None
        self._pending = bytearray()
        self._ends = array("Q")
        self._count = 0
        self._stored_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append plaintext. A full chunk waits for the next byte, because the last one is sealed as such."""
        view = memoryview(data).cast("B")
        self.size += len(view)
        chunk = self.recipe.chunk
        if self._pending:
            take = min(chunk - len(self._pending), len(view))
            self._pending += view[:take]
            view = view[take:]
            if not view:
                return
            self._put(self._pending, last=False)
            self._pending.clear()
        whole = max(len(view) - 1, 0) // chunk * chunk
        for at in range(0, whole, chunk):
            self._put(view[at : at + chunk], last=False)
        self._pending += view[whole:]

    @property
    def tag_bytes(self) -> int:
        """Bytes that follow each chunk's body."""
        return self._seal.tag_bytes

    def opened(self, number: int, stored: bytes | memoryview) -> bytes:
        """The plaintext of a chunk as it was stored, of a finished blob without a codec: for who reads again what was just written."""
        return self._seal.open(_OF_CHUNK, number, _PLACE.pack(number, number == self._count - 1), stored)

    def _put(self, plaintext: Data, *, last: bool) -> None:
        body = self._pack(plaintext) if self._pack else plaintext
        stored = self._seal.close(_OF_CHUNK, self._count, _PLACE.pack(self._count, last), body)
        self._staged.write(stored)
        self._count += 1
        self._stored_bytes += len(stored)
        if self.recipe.codec:
            self._ends.append(self._stored_bytes)

    def finish(self) -> None:
        """Write the last chunk, the table and the footer. Called once."""
        if self._pending:
            self._put(self._pending, last=True)
            self._pending.clear()
        for at in range(0, len(self._ends), _TABLE_PAGE):
            page = self._ends[at : at + _TABLE_PAGE]
            self._staged.write(struct.pack(f">{len(page)}Q", *page))
        fields = _FIELDS.pack(self.size, self._stored_bytes, self.recipe.chunk, *self._numbers, 0)
        tag = self._seal.close(_OF_FOOTER, 0, fields, b"").ljust(_FOOTER_TAG_BYTES, b"\x00")
        self._staged.write(fields + tag + _MAGIC)


def stored_bytes(size: int) -> int:
    """What an encrypted blob without a codec takes of the disk."""
    return size + -(-size // CHUNK_BYTES) * 16 + _FOOTER_BYTES


def _packed(plaintext: Data) -> bytes:
    frame = zstd.compress(plaintext, ZSTD_LEVEL)
    return _FRAME + frame if len(frame) < len(plaintext) else b"".join((_RAW, plaintext))
