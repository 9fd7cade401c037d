"""Encryption on the way to where bytes are kept: a staging that never holds plaintext, and small bodies sealed in memory."""

from __future__ import annotations

from collections.abc import Iterator

from shared.blobs.engine import BLOCK_BYTES, Staged, new_blob_id
from shared.blobs.transforms import CHUNK_BYTES, Recipe, TransformWriter

ALGORITHM = "aes-256-gcm"


class SealedStaged(Staged):
    """Staged bytes, encrypted chunk by chunk before they are written; sizes and blocks are those of the plaintext.

    ``recipe`` has the fresh data key. What a crash leaves in the staging area, nobody can read: the key was in memory only.
    """

    def __init__(self, inner: Staged) -> None:
        self.id = inner.id
        self._inner = inner
        self._writer = TransformWriter(inner, codec=None, algorithm=ALGORITHM)
        self._finished = False

    @property
    def recipe(self) -> Recipe:
        """How the blob is stored, with its data key."""
        return self._writer.recipe

    @property
    def size(self) -> int:
        """Plaintext bytes written so far."""
        return self._writer.size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and append; see ``Staged.write``."""
        if self._finished:
            raise ValueError("this staged blob was read already")
        self._writer.write(data)

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._writer.finish()

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[memoryview]:
        """Decrypt what was written, a chunk at a time whatever ``size`` says. Nothing can be written afterwards."""
        self._finish()
        stored_chunk, left, number = CHUNK_BYTES + self._writer.tag_bytes, self.size, 0
        rest = b""
        for block in self._inner.blocks(16 * stored_chunk):
            data = rest + bytes(block) if rest else block
            at = 0
            while left:
                length = min(left, CHUNK_BYTES)
                end = at + length + self._writer.tag_bytes
                if end > len(data):
                    break
                yield memoryview(self._writer.opened(number, data[at:end]))
                at, left, number = end, left - length, number + 1
            if not left:
                return
            rest = bytes(data[at:])

    def commit(self) -> bytes:
        """Make the encrypted blob durable; see ``Staged.commit``."""
        self._finish()
        return self._inner.commit()

    def discard(self) -> None:
        """Forget the bytes."""
        self._inner.discard()


class _Buffer(Staged):
    """A blob in memory, to be stored in its row."""

    def __init__(self) -> None:
        self.id = new_blob_id()
        self.data = bytearray()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return len(self.data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append."""
        self.data += data


def sealed(data: bytes) -> tuple[bytes, bytes, Recipe]:
    """Encrypt a small body: its blob id, what is to be stored, and how."""
    buffer = _Buffer()
    writer = TransformWriter(buffer, codec=None, algorithm=ALGORITHM)
    writer.write(data)
    writer.finish()
    return buffer.id, bytes(buffer.data), writer.recipe
