"""Objects and their versions as documents of the admin API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.admin.model import Model, PageQuery
from shared.auth.presign import MAX_EXPIRES_S
from shared.listed import Listed, ListedObject
from shared.meta.objects import Found
from shared.protocol.target import MAX_KEY_BYTES

STANDARD = "STANDARD"


class ObjectView(Model):
    """A current object, as lists show it."""

    key: str
    size: int = Field(description="Bytes.")
    etag: str = Field(description="Without quotes.")
    modified_ms: int
    storage_class: str
    owner_id: int

    @classmethod
    def of(cls, row: ListedObject) -> ObjectView:
        """A listed row as a document."""
        return cls(key=row.key.decode(), **_common(row))


class VersionView(ObjectView):
    """A version of an object, or a delete marker."""

    version_id: str
    is_latest: bool
    is_delete_marker: bool

    @classmethod
    def of_version(cls, row: Listed) -> VersionView:
        """A listed version as a document."""
        return cls(
            key=row.key.decode(), version_id=row.version_id, is_latest=row.is_latest, is_delete_marker=row.is_marker, **_common(row))


class ObjectDetail(ObjectView):
    """A version of an object with all that is known of it."""

    version_id: str = Field(description="`null` for what was written without versioning.")
    is_latest: bool
    content_type: str
    headers: dict[str, str] = Field(description="What S3 replies carry besides: Cache-Control, Content-Disposition …")
    metadata: dict[str, str] = Field(description="The user's own, x-amz-meta-…, by lower-case name.")
    checksum_algorithm: str | None
    checksum: str | None
    parts: int | None = Field(description="Of how many parts it was put together; null when it was uploaded whole.")

    @classmethod
    def of_found(cls, key: str, row: Found) -> ObjectDetail:
        """A version as it was found, as a document."""
        headers: dict[str, Any] = row.headers
        content_type = headers.pop("Content-Type", headers.pop("content-type", "binary/octet-stream"))
        return cls(
            key=key, version_id=row.version_id, is_latest=row.is_current, content_type=content_type, headers=headers,
            metadata=row.metadata, checksum_algorithm=row.checksum_algorithm, checksum=row.checksum, parts=row.parts_count, **_common(row))


def _common(row: ListedObject | Listed | Found) -> dict[str, Any]:
    return {"size": row.size, "etag": row.etag, "modified_ms": row.mtime_ms, "storage_class": row.storage_class or STANDARD,
            "owner_id": row.owner_id}


class ObjectQuery(PageQuery):
    """Which objects."""

    prefix: str = Field("", max_length=MAX_KEY_BYTES, description="Only keys that begin so.")
    delimiter: str = Field("", max_length=MAX_KEY_BYTES, description="`/` shows folders, as `prefixes`.")


class ObjectPage(Model):
    """Some objects of a bucket in byte order of their keys, and folders between them."""

    items: list[ObjectView]
    prefixes: list[str]
    next_cursor: str | None


class VersionPage(Model):
    """Some versions: keys in byte order, the newest of a key first."""

    items: list[VersionView]
    prefixes: list[str]
    next_cursor: str | None


class VersionQuery(Model):
    """Which version."""

    version_id: str | None = Field(None, min_length=1, max_length=128, description="The current one without it.")


class ObjectTags(Model):
    """Labels of an object version: the whole set."""

    tags: dict[str, str] = Field(max_length=10)


class Deleted(Model):
    """What was deleted, or put there instead."""

    version_id: str | None = Field(description="Of the version that is gone, or of the delete marker that was made.")
    is_delete_marker: bool


class NewName(Model):
    """Where the object is to go, in the same bucket."""

    new_key: str = Field(min_length=1, max_length=MAX_KEY_BYTES)


class Wanted(Model):
    """The version that is to be the current one again: an old one, or a delete marker that is to go."""

    version_id: str = Field(min_length=1, max_length=128)


class Written(Model):
    """The version that was made."""

    key: str
    version_id: str | None = Field(description="Null where versioning is not enabled.")


class PresignRequest(Model):
    """What the URL is to be good for."""

    method: Literal["GET", "HEAD", "PUT", "DELETE"] = "GET"
    expires_s: int = Field(3600, ge=1, le=MAX_EXPIRES_S, description="Seconds.")
    version_id: str | None = Field(None, min_length=1, max_length=128)
    download_as: str | None = Field(None, max_length=255, description="A file name: browsers then save instead of showing.")
    endpoint: str | None = Field(None, max_length=300, description="URL of the S3 API as its user sees it; MAXIOFS_PUBLIC_URL without it.")


class Presigned(Model):
    """A URL that needs no credentials."""

    url: str
    method: str
    expires_ms: int


class FolderQuery(Model):
    """Which folder, and where to go on."""

    prefix: str = Field("", max_length=MAX_KEY_BYTES, description="Keys that begin so; end it with `/`.")
    cursor: str | None = Field(None, max_length=8192, description="`next_cursor` of the answer before.")


class FolderSize(Model):
    """What some of a folder's objects come to: add up the answers until there is no `next_cursor`."""

    objects: int
    bytes: int
    next_cursor: str | None
