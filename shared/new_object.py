"""What a write says about its object, besides bytes and metadata: owner, ACL, tags and lock. And the permissions for saying so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from shared import acls, locking
from shared.context import Context
from shared.encryption import request as encryption
from shared.protocol import tags


class Description(NamedTuple):
    """Owner, and ACL, tags, lock and encryption as their columns hold them."""

    owner_id: int
    acl: str | None
    tags: str | None
    lock: str | None = None
    sse: str | None = None


def permissions(ctx: Context) -> Iterable[tuple[str, str]]:
    """What PutObject, CreateMultipartUpload and the destination of a copy need: more with tags, a lock, and an ACL that is about others."""
    resource = f"{ctx.target.bucket}/{ctx.key.decode()}"
    yield "s3:PutObject", resource
    if ctx.headers.get(tags.HEADER):
        yield "s3:PutObjectTagging", resource
    if acls.gives_away(ctx):
        yield "s3:PutObjectAcl", resource
    yield from locking.permissions(ctx, resource)


def described(ctx: Context) -> Description:
    """Read the headers. Raises what acls.of_new_object, tags.from_header, locking.of_new_object and encryption.of_new_object raise."""
    labels = tags.dump(tags.from_header(ctx.headers.get(tags.HEADER, "")))
    sse = encryption.dumped(encryption.of_new_object(ctx))
    return Description(ctx.owner_id, acls.of_new_object(ctx), labels, locking.of_new_object(ctx), sse)
