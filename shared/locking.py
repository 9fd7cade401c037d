"""Object lock in requests: which lock a new object gets, who may pass over one, and who is shown it."""

from __future__ import annotations

from collections.abc import Iterable

from shared.clock import now_ms
from shared.context import Context
from shared.errors import InvalidRequest
from shared.meta import retention
from shared.meta.objects import Found
from shared.meta.retention import Lock
from shared.permissions import is_allowed, judge
from shared.protocol import lock
from shared.protocol.scalars import iso_date
from shared.request import Headers

SHA256_HEX = 64         # characters of a hash; the other values of that header are words
MISSING = "Bucket is missing Object Lock Configuration"
UNDIGESTED = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"


def permissions(ctx: Context, resource: str) -> Iterable[tuple[str, str]]:
    """What saying something about the lock of a new object takes, besides writing it."""
    if lock.MODE in ctx.headers or lock.UNTIL in ctx.headers:
        yield "s3:PutObjectRetention", resource
    if lock.HOLD in ctx.headers:
        yield "s3:PutObjectLegalHold", resource


def require_lock(ctx: Context) -> str:
    """The bucket's column. Raises InvalidRequest where object lock is off."""
    if ctx.bucket.object_lock is None:
        raise InvalidRequest(MISSING)
    return ctx.bucket.object_lock


def wished(ctx: Context) -> str | None:
    """The lock that the headers ask for, as the column has it. Raises InvalidArgument, InvalidRequest."""
    wish = lock.from_headers(ctx.headers)
    if wish == lock.Wish():
        return None
    require_lock(ctx)
    lock.check_future(wish.until_ms, now_ms())
    if ctx.operation is not None and ctx.operation.takes_bytes and not _has_digest(ctx):
        raise InvalidRequest(UNDIGESTED)
    return Lock(*wish).dump()


def _has_digest(ctx: Context) -> bool:
    """Whether the bytes are held against something. AWS does not take the signed hash for it; minio-py over HTTP sends nothing else."""
    if len(ctx.headers.get("x-amz-content-sha256", "")) == SHA256_HEX:
        return True
    if ctx.body is not None and ctx.body.trailers:
        return True
    return "content-md5" in ctx.headers or any(name.startswith("x-amz-checksum-") for name in ctx.headers)


def settled(ctx: Context, wish: str | None) -> str | None:
    """The lock of an object that is written now: what was asked for, and the bucket's default where no retention was."""
    if ctx.bucket.object_lock is None:
        return wish
    asked = retention.load(wish)
    if asked.mode is not None:
        return wish
    return Lock(*lock.default_retention(ctx.bucket.object_lock, now_ms()), asked.hold).dump()


def of_new_object(ctx: Context) -> str | None:
    """The lock of an object that this request writes, as the column has it. Raises InvalidArgument, InvalidRequest."""
    return settled(ctx, wished(ctx))


def may_bypass(ctx: Context, key: bytes, version_id: str | None) -> bool:
    """Whether the request wants to pass over GOVERNANCE of a version, and may. Asks nobody where nothing can be locked."""
    if ctx.bucket.object_lock is None or ctx.headers.get(lock.BYPASS, "").strip().lower() != "true":
        return False
    return is_allowed(ctx, "s3:BypassGovernanceRetention", key, version_id)


def reply_headers(ctx: Context, found: Found) -> Headers:
    """The lock of a version for GET and HEAD: only what the caller may ask for by itself."""
    headers: Headers = []
    if found.lock_json is None:
        return headers
    held, resource = retention.load(found.lock_json), f"{ctx.bucket.name}/{ctx.key.decode()}"
    if held.mode is not None and held.until_ms is not None and judge(ctx, [("s3:GetObjectRetention", resource)]).allowed:
        headers += [(lock.MODE, held.mode), (lock.UNTIL, iso_date(held.until_ms))]
    if held.hold is not None and judge(ctx, [("s3:GetObjectLegalHold", resource)]).allowed:
        headers.append((lock.HOLD, held.hold))
    return headers
