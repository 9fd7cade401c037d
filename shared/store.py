"""Where names and bytes meet: every write that touches both goes through here, bytes first, then the row.

A crash between the two leaves a blob without a row, which the sweeper removes; never a row without its blob.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple, Protocol, TypeVar

from shared.blobs.engine import BlobCorrupt, BlobEngine, BlobMissing, SpanLike, Staged, new_blob_id
from shared.blobs.files import BlobFile
from shared.blobs.sealed import SealedStaged, sealed
from shared.blobs.segments import Segment, open_segments
from shared.blobs.transforms import Recipe, stored_bytes
from shared.encryption import copying
from shared.encryption.envelope import Envelope, load
from shared.encryption.ring import Ring
from shared.errors import S3Error, ServiceUnavailable, SlowDown
from shared.meta import objects, uploads
from shared.meta.content import Located, NewBlob
from shared.meta.objects import Condition, Found, NewVersion, Written
from shared.meta.uploads import PartInfo
from shared.protocol import checksums
from shared.protocol.sse import CustomerKey

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


class Copied(NamedTuple):
    """Bytes that were read to be stored once more."""

    size: int
    data: bytes = b""
    staged: Staged | None = None


class Store:
    """The object store of this process: one blob engine beside the one metadata database, and the key ring."""

    def __init__(self, engine: BlobEngine, ring: Ring | None = None) -> None:
        self.engine = engine
        self._ring = ring

    @property
    def ring(self) -> Ring:
        """The key ring; a store without one holds nothing encrypted."""
        if self._ring is None:
            raise BlobCorrupt("there is no key ring, so nothing that is encrypted can be read")
        return self._ring

    # ---- writing ----------------------------------------------------------------------------------------------------------------

    def stage(self, size: int | None, envelope: Envelope | None) -> Staged:
        """Begin a blob of ``size`` plaintext bytes (None: unknown), encrypted as it comes when there is an envelope for its key."""
        if envelope is None:
            return self.engine.stage(size)
        return SealedStaged(self.engine.stage(None if size is None else stored_bytes(size)))

    def put(
        self, bucket_id: int, new: NewVersion, payload: Payload, condition: Condition | None = None, envelope: Envelope | None = None
    ) -> Written:
        """Write an object: its bytes durably, then its row. Raises as meta.objects.put and Envelope.wrap do."""

        def write_row(blob: NewBlob | None) -> Written:
            new.new_blob = blob
            return objects.put(bucket_id, new, condition)

        return self._with_bytes(payload, write_row, envelope)

    def put_part(self, upload_id: bytes, part: PartInfo, payload: Payload, envelope: Envelope | None = None) -> None:
        """Write a part of an upload. Raises NoSuchUpload when the upload ended meanwhile."""
        self._with_bytes(payload, lambda blob: uploads.put_part(upload_id, part, blob), envelope)

    def _with_bytes(self, payload: Payload, write_row: Callable[[NewBlob | None], T], envelope: Envelope | None) -> T:
        """Make the bytes durable, then write their row; take the bytes back when the row was refused for sure."""
        if payload.staged is None:
            self.engine.admit(payload.size)     # the database takes space too: what deletes need must stay
            return write_row(_in_its_row(payload.data, envelope) if payload.size else None)
        staged = payload.staged
        try:
            blob = _described(staged, payload.size, envelope)
            blob_id = staged.commit()
        finally:
            staged.discard()
        try:
            return write_row(blob)
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
        self, find: Callable[[], Found], bucket_id: int, draft: Callable[[Found], NewVersion], condition: Condition | None,
        *, envelope: Envelope | None = None, customer: CustomerKey | None = None,
    ) -> tuple[Found, Written]:
        """Write a version that shares the bytes of another one; returns the source as it was copied, and what was written.

        ``find`` reads the source row, ``draft`` makes the new version's columns from it; both are called again when the source was
        deleted between reading and sharing. ``envelope`` is for the copy, ``customer`` the key of the source. Only bytes that were never
        encrypted and now have to be are read and written. Raises SlowDown when the source changes COPY_ATTEMPTS times, and as
        meta.objects.put does.
        """

        def attempt(source: Found) -> Written:
            new = draft(source)
            if copying.share(source, new, copying.transfer(self.ring, source, customer, envelope)):
                if new.shared_body is not None:
                    new.body_id = new_blob_id()
                return objects.put(bucket_id, new, condition)
            return self.put(bucket_id, new, self._read_again(source, 0, source.size - 1), condition, envelope)

        return self._sharing(find, attempt)

    def copy_part(
        self, find: Callable[[], Found], span: Callable[[Found], SpanLike], upload_id: bytes, draft: Callable[[Found, int], PartInfo],
        *, envelope: Envelope | None = None, customer: CustomerKey | None = None,
    ) -> tuple[Found, PartInfo]:
        """Make a part of an upload out of a byte range of an object, sharing its bytes; returns the source and the part.

        ``span`` chooses the range, ``draft`` makes the part's columns from the source and the range's length in bytes; both are
        called again as in ``copy``, and the keys are as there. Raises SlowDown, NoSuchUpload when the upload ended meanwhile.
        """

        def attempt(source: Found) -> PartInfo:
            chosen = span(source)
            part = draft(source, chosen.last + 1 - chosen.first)
            stretches = source.located(chosen.first, chosen.last)
            shared = copying.stretches(stretches, copying.transfer(self.ring, source, customer, envelope)) if self._ring else stretches
            if shared is None:
                self.put_part(upload_id, part, self._read_again(source, chosen.first, chosen.last), envelope)
            else:
                uploads.put_part(upload_id, part, None, shared)
            return part

        return self._sharing(find, attempt)

    def _read_again(self, source: Found, first: int, last: int) -> Copied:
        """Plain bytes ``first``..``last`` of a version, staged to become an encrypted blob; small ones stay in memory."""
        size = last + 1 - first
        if size <= 0:
            return Copied(0)
        with closing(self.open(source, first, last)) as file:
            if source.data is not None:
                return Copied(size, file.read())
            staged = SealedStaged(self.engine.stage(stored_bytes(size)))
            try:
                while block := file.read(READ_BYTES):
                    staged.write(block)
            except BaseException:
                staged.discard()
                raise
        return Copied(size, staged=staged)

    def _sharing(self, find: Callable[[], Found], attempt: Callable[[Found], T]) -> tuple[Found, T]:
        for _ in range(COPY_ATTEMPTS):
            source = find()
            try:
                return source, attempt(source)
            except (objects.SourceGone, BlobMissing):
                continue
        raise SlowDown("The copy source changes too fast. Please try again.")

    # ---- reading ----------------------------------------------------------------------------------------------------------------

    def open(self, found: Found, first: int, last: int, customer: CustomerKey | None = None) -> BlobFile:
        """Open bytes ``first``..``last`` (inclusive) of a version as a seekable file of exactly that length.

        ``customer`` is the key of a version that has one. What is encrypted is never given as it is stored.

        Raises BlobMissing before any byte is read when the first blob or a part of the list is gone, BlobCorrupt when it does not verify.
        """
        try:
            pieces = self._segments(found.located(first, last), found, customer)
        except objects.SourceGone as error:
            raise BlobMissing(f"parts of version {found.version_id}") from error
        if sum(piece.length for piece in pieces) != last + 1 - first:
            raise BlobCorrupt(f"the parts of version {found.version_id} do not add up")
        return open_segments(self.engine, pieces)

    def _segments(self, stretches: list[Located], found: Found, customer: CustomerKey | None) -> list[Segment]:
        """With the data keys out of their envelopes."""
        envelope = None
        pieces = []
        for one in stretches:
            key = None
            if one.algorithm is not None:
                envelope = envelope or Envelope(self.ring, load(found.sse_json), customer)
                key = envelope.unwrap(one.blob_id, one.wrapped_key, one.key_version)
            pieces.append(Segment(one.blob_id, one.offset, one.length, one.codec, one.algorithm, one.chunk or 0, one.data, key))
        return pieces

    def checksum(self, found: Found, first: int, last: int, algorithm: str, customer: CustomerKey | None = None) -> str:
        """Read bytes ``first``..``last`` and return their checksum in base64: for copies that ask for one nobody has made yet."""
        digest = checksums.find(algorithm).new()
        if found.size:
            with closing(self.open(found, first, last, customer)) as file:
                while block := file.read(READ_BYTES):
                    digest.update(block)
        return b64encode(digest.digest()).decode()


def _described(staged: Staged, size: int, envelope: Envelope | None) -> NewBlob:
    """What the row of a staged blob will say: with its data key in an envelope when it is encrypted."""
    if envelope is None and not isinstance(staged, SealedStaged):
        return NewBlob(staged.id, size)
    assert envelope is not None and isinstance(staged, SealedStaged), "the bytes were staged otherwise than their row would say"
    return _sealed_blob(staged.id, size, None, staged.recipe, envelope)


def _in_its_row(data: bytes, envelope: Envelope | None) -> NewBlob:
    """A small body that the database keeps."""
    if envelope is None:
        return NewBlob(new_blob_id(), len(data), data)
    blob_id, stored, recipe = sealed(data)
    return _sealed_blob(blob_id, len(data), stored, recipe, envelope)


def _sealed_blob(blob_id: bytes, size: int, data: bytes | None, recipe: Recipe, envelope: Envelope) -> NewBlob:
    assert recipe.key is not None
    wrapped = envelope.wrap(blob_id, recipe.key)
    return NewBlob(blob_id, size, data, recipe.codec, recipe.algorithm, recipe.chunk, wrapped.key, wrapped.version)
