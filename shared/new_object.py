"""What a write says about the object it makes, besides bytes and metadata: its owner, ACL and tags. And the permissions for saying so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from shared import acls
from shared.context import Context
from shared.protocol import tags


class Description(NamedTuple):
    """Owner, and ACL and tags as their columns hold them."""

    owner_id: int
    acl: str | None
    tags: str | None


def permissions(ctx: Context) -> Iterable[tuple[str, str]]:
    """What PutObject, CreateMultipartUpload and the destination of a copy need: more with tags, and with an ACL that is about others."""
    resource = f"{ctx.target.bucket}/{ctx.key.decode()}"
    yield "s3:PutObject", resource
    if ctx.headers.get(tags.HEADER):
        yield "s3:PutObjectTagging", resource
    if acls.gives_away(ctx):
        yield "s3:PutObjectAcl", resource


def described(ctx: Context) -> Description:
    """Read the headers. Raises what acls.of_new_object and tags.from_header raise."""
    return Description(ctx.owner_id, acls.of_new_object(ctx), tags.dump(tags.from_header(ctx.headers.get(tags.HEADER, ""))))
