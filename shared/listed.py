"""A listed version, as the metadata layer finds it and the protocol writes it: one row type, so that no page is copied on its way."""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """One object version or delete marker. ``mtime_ms`` is UTC, ``etag`` without quotes, ``size`` in bytes.

    ``storage_class`` None is STANDARD; ``checksum`` is base64, with ``-parts`` when composite.
    """

    key: bytes
    seq: int
    version_id: str
    mtime_ms: int
    size: int
    etag: str
    owner_id: int
    storage_class: str | None = None
    checksum_algorithm: str | None = None
    checksum: str | None = None
    is_marker: bool = False
    is_latest: bool = True
