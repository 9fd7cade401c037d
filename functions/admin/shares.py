"""Share links: an object for whoever has the link, for as long as its maker may read it. functions/admin/share_links.py answers them."""

from __future__ import annotations

import hashlib
import secrets

from pydantic import Field

from shared.admin import presigning, s3
from shared.admin.context import SIGNED_IN, AdminContext
from shared.admin.errors import Conflict, NotFound
from shared.admin.model import Model, Page, PageQuery, cursor_of, page_of, position_of
from shared.auth import passwords
from shared.clock import now_ms
from shared.meta import shares
from shared.meta.buckets import BucketInfo
from shared.meta.shares import NewShare, ShareRow
from shared.protocol.target import MAX_KEY_BYTES
from shared.registry import admin
from shared.views import find_version

BUCKET = "/api/v1/buckets/{bucket}"
TOKEN_BYTES = 32
LONGEST_S = 3650 * 86400
ATTEMPTS = 5        # to make a link while others like it are made


class NewLink(Model):
    """What the link is to be good for."""

    version_id: str | None = Field(None, min_length=1, max_length=128, description="Without it the link follows the key.")
    expires_s: int | None = Field(None, ge=60, le=LONGEST_S, description="Seconds from now on; null: until it is revoked.")
    password: str | None = Field(None, min_length=4, max_length=passwords.LONGEST, description="What visitors are asked for.")
    max_downloads: int = Field(0, ge=0, le=(1 << 53), description="0: no limit.")


class ShareView(Model):
    """A share link."""

    id: int
    url: str | None = Field(description="Null for who did not make it.")
    bucket: str
    key: str
    version_id: str | None = Field(description="Null: it follows the key.")
    created_by: int
    created_by_name: str
    created_ms: int
    expires_ms: int | None
    is_expired: bool = Field(description="Whether its time is over, or its downloads are used up.")
    has_password: bool
    downloads: int
    max_downloads: int = Field(description="0: no limit.")


class Made(ShareView):
    """A share link, made now or before."""

    existing: bool = Field(description="Whether it was there already: the caller's, with the same object, settings and password.")


class ShareQuery(PageQuery):
    """Which links."""

    key: str | None = Field(None, min_length=1, max_length=MAX_KEY_BYTES, description="Only those to this object.")


@admin(f"POST {BUCKET}/objects/{{key}}/shares", allow="s3:GetObject", takes=NewLink, gives=Made, event="object_shared")
def share_object(ctx: AdminContext) -> Made:
    """Make a link that gives the object to whoever has it, or return the one there is with the same settings.

    It works while its maker may read the object, and no longer than the object is there. Downloads of links with a limit are counted each;
    those of other links lead to a URL that is good for a minute. Raises NoSuchBucket, NoSuchKey, NoSuchVersion, Conflict beyond 20 links.
    """
    wanted: NewLink = ctx.body
    bucket, key = ctx.args["bucket"], ctx.args["key"]
    ctx.about("object", f"{bucket}/{key}", f"{bucket}/{key}")
    call = s3.prepare(ctx, "HeadObject", bucket, key, query={"versionId": wanted.version_id} if wanted.version_id else {})
    find_version(call, wanted.version_id)
    row, existing = _settled(ctx, call.bucket.id, wanted)
    ctx.details = {"share_id": row.id, "existing": existing, "expires_ms": row.expires_ms, "max_downloads": row.max_downloads,
                   "has_password": row.password_hash is not None}
    return Made(**view(ctx, row).model_dump(), existing=existing)


def _settled(ctx: AdminContext, bucket_id: int, wanted: NewLink) -> tuple[ShareRow, bool]:
    """The link, and whether it was there. Passwords are compared outside the transaction: that takes long."""
    token, password_hash = secrets.token_urlsafe(TOKEN_BYTES), None
    if wanted.password is not None:
        password_hash = passwords.hashed(wanted.password)
    new = NewShare(
        digest(token), seal(ctx, token), bucket_id, ctx.args["key"].encode(), wanted.version_id, ctx.user.id, now_ms(),
        None if wanted.expires_s is None else wanted.expires_s * 1000, password_hash, wanted.max_downloads)
    seen: set[int] = set()
    for _ in range(ATTEMPTS):
        for row in shares.alike(new):
            if row.id not in seen and (wanted.password is None or passwords.matches(row.password_hash, wanted.password)):
                return row, True
            seen.add(row.id)
        if (made := shares.create(new, seen)) is not None:
            return made, False
    raise Conflict("Others like it are being made. Please try again.")


@admin("GET /api/v1/shares", allow=SIGNED_IN, query=PageQuery, gives=Page[ShareView])
def list_own_shares(ctx: AdminContext) -> Page[ShareView]:
    """Return the links that the caller has made, in the order of their making."""
    after = position_of(ctx.query.cursor, int) or (0,)
    page = page_of(shares.made_by(ctx.user.id, int(after[0]), ctx.query.limit + 1), ctx.query.limit, lambda row: (row.id,))
    return Page(items=[view(ctx, row) for row in page.items], next_cursor=page.next_cursor)


@admin(f"GET {BUCKET}/shares", allow="s3:ListBucket", query=ShareQuery, gives=Page[ShareView])
def list_shares_of_bucket(ctx: AdminContext) -> Page[ShareView]:
    """Return the links into a bucket, by key: all for its owner and with `admin:ListShares`, to others their own. Raises NoSuchBucket."""
    query: ShareQuery = ctx.query
    bucket = s3.prepare(ctx, "ListObjectsV2", ctx.args["bucket"], query={"prefix": query.key or ""}).bucket
    own = None if _oversees(ctx, bucket, "admin:ListShares") else ctx.user.id
    position = position_of(query.cursor, str, int)
    after = (str(position[0]).encode(), int(position[1])) if position else (b"", 0)
    key = None if query.key is None else query.key.encode()
    rows = shares.of_bucket(bucket.id, after, query.limit + 1, key=key, created_by=own)
    items, last = [view(ctx, row) for row in rows[:query.limit]], rows[:query.limit][-1:]
    return Page(items=items, next_cursor=cursor_of(last[0].key.decode(), last[0].id) if len(rows) > query.limit else None)


@admin("DELETE /api/v1/shares/{share}", allow=SIGNED_IN, event="share_revoked")
def revoke_share(ctx: AdminContext) -> None:
    """Make a link useless at once: one's own, any into one's own bucket, or with `admin:DeleteShare`. Raises NotFound."""
    row = shares.find(ctx.id("share"))
    bucket = ctx.known.bucket(row.bucket) if row is not None and row.bucket is not None else None
    if row is None or not (row.created_by == ctx.user.id or (bucket is not None and _oversees(ctx, bucket, "admin:DeleteShare"))):
        raise NotFound()
    ctx.about("object", name := f"{row.bucket}/{row.key.decode()}", name, bucket.tenant_id if bucket else None)
    ctx.details = {"share_id": row.id, "created_by": row.created_by}
    if not shares.revoke(row.id):
        raise NotFound()


def _oversees(ctx: AdminContext, bucket: BucketInfo, action: str) -> bool:
    return bucket.owner_id == ctx.user.id or ctx.allows(action, bucket.tenant_id, f"bucket/{bucket.name}")


def digest(token: str) -> bytes:
    """What the database knows a token by."""
    return hashlib.sha256(token.encode()).digest()


def seal(ctx: AdminContext, token: str) -> bytes:
    """The token as it is stored, to be shown to its maker again."""
    return ctx.services.master_key.seal(token.encode(), _context(digest(token)))


def _context(of: bytes) -> bytes:
    return b"share:" + of


def view(ctx: AdminContext, row: ShareRow) -> ShareView:
    """A link as its document."""
    maker, url = ctx.known.principal(row.created_by), None
    if row.created_by == ctx.user.id:
        url = f"{presigning.console(ctx)}/share/{ctx.services.master_key.open(row.sealed_token, _context(row.token)).decode()}"
    return ShareView(
        id=row.id, url=url, bucket=row.bucket or "", key=row.key.decode(), version_id=row.version_id, created_by=row.created_by,
        created_by_name=maker.name if maker else "", created_ms=row.created_ms, expires_ms=row.expires_ms,
        is_expired=not row.is_alive(now_ms()), has_password=row.password_hash is not None, downloads=row.downloads,
        max_downloads=row.max_downloads)
