"""Where names and bytes meet: every write that touches both goes through here, bytes first, then the row.

A crash between the two leaves a blob without a row, which the sweeper removes; never a row without its blob.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from typing import Protocol, TypeVar

from shared.blobs.engine import BlobCorrupt, BlobEngine, BlobMissing, SpanLike, Staged, new_blob_id
from shared.blobs.files import BlobFile
from shared.blobs.segments import Segment, open_segments
from shared.errors import S3Error, ServiceUnavailable, SlowDown
from shared.meta import objects, uploads
from shared.meta.content import Located, NewBlob
from shared.meta.objects import Condition, Found, NewVersion, Written
from shared.meta.uploads import PartInfo
from shared.protocol import checksums

COPY_ATTEMPTS = 5       # a source that is overwritten faster than this is answered with SlowDown
READ_BYTES = 1 << 20

log = logging.getLogger("maxiofs.store")
T = TypeVar("T")


class Payload(Protocol):
    """Verified bytes of a request: small ones in ``data``, others staged."""

    @property
    def size(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def staged(self) -> Staged | None: ...


class Store:
    """The object store of this process: one blob engine beside the one metadata database."""

    def __init__(self, engine: BlobEngine) -> None:
        self.engine = engine

    # ---- writing ----------------------------------------------------------------------------------------------------------------

    def put(self, bucket_id: int, new: NewVersion, payload: Payload, condition: Condition | None = None) -> Written:
        """Write an object: its bytes durably, then its row. Raises as meta.objects.put does."""

        def write_row(blob: NewBlob | None) -> Written:
            new.new_blob = blob
            return objects.put(bucket_id, new, condition)

        return self._with_bytes(payload, write_row)

    def put_part(self, upload_id: bytes, part: PartInfo, payload: Payload) -> None:
        """Write a part of an upload. Raises NoSuchUpload when the upload ended meanwhile."""
        self._with_bytes(payload, lambda blob: uploads.put_part(upload_id, part, blob))

    def _with_bytes(self, payload: Payload, write_row: Callable[[NewBlob | None], T]) -> T:
        """Make the bytes durable, then write their row; take the bytes back when the row was refused for sure."""
        if payload.staged is None:
            self.engine.admit(payload.size)     # the database takes space too: what deletes need must stay
            return write_row(NewBlob(new_blob_id(), payload.size, payload.data) if payload.size else None)
        blob_id = payload.staged.commit()
        try:
            return write_row(NewBlob(blob_id, payload.size))
        except ServiceUnavailable:
            raise       # the row may or may not be there: the sweeper finds out
        except S3Error:
            self._unlink(blob_id)
            raise

    def _unlink(self, blob_id: bytes) -> None:
        try:
            self.engine.delete(blob_id)
        except (OSError, S3Error):
            log.warning("blob %s is left to the sweeper", blob_id.hex())

    # ---- copying: no byte moves -------------------------------------------------------------------------------------------------

    def copy(
        self, find: Callable[[], Found], bucket_id: int, draft: Callable[[Found], NewVersion], condition: Condition | None
    ) -> tuple[Found, Written]:
        """Write a version that shares the bytes of another one; returns the source as it was copied, and what was written.

        ``find`` reads the source row, ``draft`` makes the new version's columns from it; both are called again when the source was
        deleted between reading and sharing. Raises SlowDown when that happens COPY_ATTEMPTS times, and as meta.objects.put does.
        """

        def attempt(source: Found) -> Written:
            new = draft(source)
            if source.blob_id is not None:
                new.shared_blob, new.wrapped_key, new.key_version = source.blob_id, source.wrapped_key, source.key_version
            elif source.body_id is not None:
                new.shared_body, new.body_id, new.parts_count = source.body_id, new_blob_id(), source.parts_count
            return objects.put(bucket_id, new, condition)

        return self._sharing(find, attempt)

    def copy_part(
        self, find: Callable[[], Found], span: Callable[[Found], SpanLike], upload_id: bytes, draft: Callable[[Found, int], PartInfo]
    ) -> tuple[Found, PartInfo]:
        """Make a part of an upload out of a byte range of an object, sharing its bytes; returns the source and the part.

        ``span`` chooses the range, ``draft`` makes the part's columns from the source and the range's length in bytes; both are
        called again as in ``copy``. Raises SlowDown, NoSuchUpload when the upload ended meanwhile.
        """

        def attempt(source: Found) -> PartInfo:
            chosen = span(source)
            part = draft(source, chosen.last + 1 - chosen.first)
            uploads.put_part(upload_id, part, None, source.located(chosen.first, chosen.last))
            return part

        return self._sharing(find, attempt)

    def _sharing(self, find: Callable[[], Found], attempt: Callable[[Found], T]) -> tuple[Found, T]:
        for _ in range(COPY_ATTEMPTS):
            source = find()
            try:
                return source, attempt(source)
            except (objects.SourceGone, BlobMissing):
                continue
        raise SlowDown("The copy source changes too fast. Please try again.")

    # ---- reading ----------------------------------------------------------------------------------------------------------------

    def open(self, found: Found, first: int, last: int) -> BlobFile:
        """Open bytes ``first``..``last`` (inclusive) of a version as a seekable file of exactly that length.

        Raises BlobMissing before any byte is read when the first blob or a part of the list is gone, BlobCorrupt when it does not verify.
        """
        try:
            pieces = [_segment(located) for located in found.located(first, last)]
        except objects.SourceGone as error:
            raise BlobMissing(f"parts of version {found.version_id}") from error
        if sum(piece.length for piece in pieces) != last + 1 - first:
            raise BlobCorrupt(f"the parts of version {found.version_id} do not add up")
        return open_segments(self.engine, pieces)

    def checksum(self, found: Found, first: int, last: int, algorithm: str) -> str:
        """Read bytes ``first``..``last`` and return their checksum in base64: for copies that ask for one nobody has made yet."""
        digest = checksums.find(algorithm).new()
        if found.size:
            with closing(self.open(found, first, last)) as file:
                while block := file.read(READ_BYTES):
                    digest.update(block)
        return b64encode(digest.digest()).decode()


def _segment(located: Located) -> Segment:
    # Segment wants the data key unwrapped. Nothing is encrypted yet, so both are None; whoever builds it unwraps the key here.
    return Segment(
        located.blob_id, located.offset, located.length, located.codec, located.algorithm, located.chunk or 0, located.data,
        located.wrapped_key,
    )
