"""RenameObject: an object gets another key in its bucket, at once and whole."""

import hashlib
import json
from collections.abc import Iterable

from shared import locking
from shared.blobs.engine import new_blob_id
from shared.context import Context
from shared.errors import InvalidArgument, InvalidRequest, PreconditionFailed
from shared.meta.objects import Found, NewVersion
from shared.meta.renaming import Token, rename
from shared.permissions import check_judged, require
from shared.protocol import tags
from shared.protocol.conditions import check_copy_source
from shared.protocol.copy_source import CopySource, parse_copy_source
from shared.registry import s3

SOURCE, TOKEN = "x-amz-rename-source", "x-amz-client-token"
MOST_OF_A_TOKEN = 64    # characters
OF_WRITES = (       # what policies may ask about a write, and a rename would not do
    "x-amz-acl", "x-amz-grant-", "x-amz-tagging", "x-amz-server-side-encryption", "x-amz-object-lock-", "x-amz-storage-class",
    "x-amz-website-redirect-location", "x-amz-meta-", "x-amz-copy-source",
)


def _source(ctx: Context) -> CopySource:
    return parse_copy_source(ctx.headers.get(SOURCE, ""), SOURCE)


def _permissions(ctx: Context) -> Iterable[tuple[str, str]]:
    """To read and delete the one, and to write the other."""
    source = f"{ctx.target.bucket}/{_source(ctx).key.decode()}"
    yield "s3:GetObject", source
    yield "s3:DeleteObject", source
    yield "s3:PutObject", f"{ctx.target.bucket}/{ctx.key.decode()}"


@s3("RenameObject", allow=_permissions, lane="slow")
def rename_object(ctx: Context) -> None:
    """Give the current object of a key another key of the bucket; everything about it comes along but its lock, which stays where it is.

    One transaction: nobody sees both or neither. AWS has this for directory buckets, which have no versions; with versioning the old key
    gets a delete marker here. The same request again, by its client token, succeeds for a day and does nothing.
    Raises NoSuchKey, InvalidArgument, IdempotencyParameterMismatch, PreconditionFailed by the conditions on source and destination,
    InvalidRequest (another bucket, a version, the same key, other headers), AccessDenied (tags that may not be read or written).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html
    """
    source = _source(ctx)
    if source.bucket != ctx.bucket.name or source.version_id is not None:
        raise InvalidRequest("The source of a rename is the current object of a key in the same bucket.")
    if unfit := next((name for name in ctx.headers if name.startswith(OF_WRITES)), None):
        raise InvalidRequest(f"A rename keeps what the object has, so it takes no {unfit} header.")
    if source.key == ctx.key:
        raise InvalidRequest("An object cannot be renamed to the name that it has.")

    def draft(found: Found) -> NewVersion:
        check_judged(ctx, ctx.bucket.id, source.key, found)
        check_copy_source(ctx.headers, found.etag, found.mtime_ms, SOURCE + "-")
        if found.tags_json:
            there, here = f"{ctx.bucket.name}/{source.key.decode()}", f"{ctx.bucket.name}/{ctx.key.decode()}"
            ctx.copied_tags = tags.load(found.tags_json)
            require(ctx, ("s3:GetObjectTagging", there), ("s3:PutObjectTagging", here), ("s3:PutObject", here))
        return NewVersion(
            key=ctx.key, size=found.size, etag=found.etag, owner_id=found.owner_id, headers=found.headers, metadata=found.metadata,
            storage_class=found.storage_class, checksum_algorithm=found.checksum_algorithm, checksum=found.checksum,
            parts_count=found.parts_count, body_id=new_blob_id() if found.body_id is not None else None, tags=found.tags_json,
            acl=found.acl_json, lock=locking.settled(ctx, None), sse=found.sse_json,
        )

    def check(etag: str | None, modified_ms: int) -> None:
        if etag is not None:
            check_copy_source(ctx.headers, etag, modified_ms, "")
        elif "if-match" in ctx.headers:
            raise PreconditionFailed(Condition="If-Match")

    rename(ctx.bucket.id, source.key, ctx.key, ctx.owner_id, draft=draft, check=check, token=_token(ctx, source))


def _token(ctx: Context, source: CopySource) -> Token | None:
    text = ctx.headers.get(TOKEN)
    if text is None:
        return None
    if not 1 <= len(text) <= MOST_OF_A_TOKEN or not all("!" <= char <= "~" for char in text):
        raise InvalidArgument("The client token is not valid.", ArgumentName=TOKEN, ArgumentValue=text)
    conditions = {name: value for name, value in ctx.headers.items() if name.startswith(("if-", SOURCE + "-"))}
    asked = [source.key.decode(), ctx.key.decode(), conditions]
    sender = ctx.caller.id if ctx.caller is not None else 0
    mine = hashlib.sha256(f"{sender} {ctx.bucket.id} {text}".encode()).digest()
    return Token(mine[:16], hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest())
