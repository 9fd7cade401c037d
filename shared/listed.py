"""Listed rows, as the metadata layer finds them and the protocol writes them: so that no page is copied on its way."""

from __future__ import annotations

from typing import NamedTuple


class ListedObject(NamedTuple):
    """One current object, and no more than a listing shows of it: every column costs a tenth of a millisecond a page.

    ``mtime_ms`` is UTC, ``etag`` without quotes, ``size`` in bytes; ``storage_class`` None is STANDARD; ``checksum`` is base64, with
    ``-parts`` when composite.
    """

    key: bytes
    mtime_ms: int
    size: int
    etag: str
    owner_id: int
    storage_class: str | None = None
    checksum_algorithm: str | None = None
    checksum: str | None = None

    @property
    def seq(self) -> int:
        """The only row of its key: a position in the listing needs no more than that."""
        return 0


class Listed(NamedTuple):
    """One object version or delete marker; fields as above."""

    key: bytes
    mtime_ms: int
    size: int
    etag: str
    owner_id: int
    storage_class: str | None = None
    checksum_algorithm: str | None = None
    checksum: str | None = None
    seq: int = 0
    version_id: str = "null"
    is_marker: bool = False
    is_latest: bool = True
