"""What answers a share link: the object, or a form that asks for the password. Nobody need be signed in, and no cookie is set.

The request is decided about as one of the link's maker, from the address of the visitor. Objects are never shown on the console's own
origin: what is sent from here is an attachment, and the rest is at the S3 listener.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from shared.admin import presigning, s3, share_page, signing_in
from shared.admin.context import ANYONE, AdminContext
from shared.admin.errors import Conflict, InvalidFields
from shared.admin.model import Form
from shared.admin.share_page import NoSuchShare, TooManySharePasswords, WrongSharePassword
from shared.auth import passwords
from shared.auth.presign import presigned
from shared.bucket_errors import NoSuchBucket
from shared.clock import now_ms
from shared.context import Context
from shared.errors import AccessDenied, MethodNotAllowed, NoSuchKey, NoSuchVersion
from shared.meta import rates, shares
from shared.meta.database import connection, transaction
from shared.meta.shares import ShareRow
from shared.registry import admin
from shared.request import Headers, Reply
from shared.views import find_version

LINK = "/share/{token}"
URL_S = 60              # a visitor has so long to begin the download
MINUTE_MS = 60_000
CROWD = 10              # times as many wrong passwords from all addresses together as from one
BLOCK_BYTES = 256 << 10
HTML: Headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", share_page.POLICY)]
GONE = (AccessDenied, NoSuchBucket, NoSuchKey, NoSuchVersion, MethodNotAllowed)


class Anything(BaseModel):
    """Parameters that others hang on links are passed over."""

    model_config = ConfigDict(extra="ignore")


class Password(Form):
    """The form."""

    password: str = ""


class Opened(NamedTuple):
    """A link that works: ``acting`` is a call as its maker, ``call`` the prepared GetObject."""

    row: ShareRow
    acting: AdminContext
    call: Context

    @property
    def file_name(self) -> str:
        """The last part of the key."""
        key = self.row.key.decode()
        return key.rstrip("/").rpartition("/")[2] or key


@admin(f"GET {LINK}", allow=ANYONE, query=Anything, gives="application/octet-stream", event="object_downloaded", lane="slow")
def follow_share_link(ctx: AdminContext) -> Reply | Iterator[bytes]:
    """Give the object of a share link, or ask for the link's password. Only what gives the object counts as a download.

    Raises NoSuchShare.
    """
    opened = _opened(ctx)
    if opened.row.password_hash is not None or ctx.request.method == "HEAD":
        ctx.event = ""
        page = share_page.password_form(opened.file_name) if opened.row.password_hash is not None else ""
        return Reply(200, list(HTML), page.encode())
    return _given(ctx, opened)


@admin(f"POST {LINK}", allow=ANYONE, query=Anything, takes=Password, gives="application/octet-stream", event="object_downloaded",
       lane="slow")
def unlock_share_link(ctx: AdminContext) -> Reply | Iterator[bytes]:
    """Give the object of a share link to who knows its password. Raises NoSuchShare, WrongSharePassword, TooManySharePasswords."""
    opened = _opened(ctx)
    if opened.row.password_hash is not None:
        moment_ms = now_ms()
        counts = _counts(ctx, opened.row)
        _count(counts, moment_ms)
        if not passwords.matches(opened.row.password_hash, ctx.body.password):
            raise WrongSharePassword(opened.file_name)
        with transaction() as conn:
            for name, _ in counts:
                rates.give_back(conn, name, moment_ms, MINUTE_MS)
    return _given(ctx, opened)


def _opened(ctx: AdminContext) -> Opened:
    """Find the link, and decide about its object as about a request of its maker. Raises NoSuchShare."""
    row = shares.by_token(hashlib.sha256(ctx.args["token"].encode()).digest())
    if row is None:
        ctx.event = ""          # nobody may fill the audit log without a link
        raise NoSuchShare()
    key = row.key.decode()
    bucket = ctx.known.bucket(row.bucket) if row.bucket is not None else None
    ctx.about("object", name := f"{row.bucket or ''}/{key}", name, bucket.tenant_id if bucket else None)
    ctx.details = {"share_id": row.id, "shared_by": row.created_by}
    maker = ctx.known.principal(row.created_by)
    if bucket is None or bucket.id != row.bucket_id or maker is None or ctx.known.inactive(maker) or not row.is_alive(now_ms()):
        raise NoSuchShare()
    acting = replace(ctx, caller=maker)
    try:
        call = s3.prepare(acting, "GetObject", bucket.name, key, query=_query(row))
        find_version(call, row.version_id)
    except GONE:
        ctx.reason = acting.reason
        raise NoSuchShare() from None
    return Opened(row, acting, call)


def _query(row: ShareRow) -> dict[str, str]:
    return {"versionId": row.version_id} if row.version_id is not None else {}


def _given(ctx: AdminContext, opened: Opened) -> Reply | Iterator[bytes]:
    """Count, and give: by a short-lived URL of the S3 listener, or, when each download counts, from here."""
    url = None if opened.row.max_downloads else _url(opened)
    try:
        reply = s3.make(opened.call) if url is None else Reply(303, [("Location", url)])
    except GONE:
        raise NoSuchShare() from None
    if not shares.count_download(opened.row.id, now_ms()):
        if not isinstance(reply.body, bytes):
            reply.body.close()
        raise NoSuchShare()
    if url is not None:
        return reply
    size = len(reply.body) if isinstance(reply.body, bytes) else reply.length
    ctx.reply_headers += [
        ("Content-Disposition", _disposition(opened)), ("Content-Length", str(size)),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ]
    return _blocks(reply)


def _url(opened: Opened) -> str | None:
    """Where the S3 listener has it; None when that is not known, or the maker has no key to sign with."""
    row, ctx, moment_ms = opened.row, opened.acting, now_ms()
    query = _query(row) | {"response-content-disposition": _disposition(opened)}
    try:
        signer, endpoint = presigning.signer(ctx), presigning.endpoint(ctx)
    except (Conflict, InvalidFields):
        return None
    return presigned(signer, "GET", endpoint, f"/{row.bucket}/{row.key.decode()}", query, now_s=moment_ms / 1000, expires_s=URL_S)


def _disposition(opened: Opened) -> str:
    return f"attachment; filename*=UTF-8''{quote(opened.file_name, safe='')}"


def _blocks(reply: Reply) -> Iterator[bytes]:
    if isinstance(reply.body, bytes):
        yield reply.body
        return
    with reply.body as body:
        while block := body.read(BLOCK_BYTES):
            yield block


# ---- guessing -------------------------------------------------------------------------------------------------------------------------


def _counts(ctx: AdminContext, row: ShareRow) -> list[tuple[str, int]]:
    """What is counted, and how often it may be in a minute: the address first, as everywhere."""
    limit = signing_in.per_minute(ctx)
    return [(f"share address {signing_in.network_of(ctx.address)}", limit), (f"share {row.id}", CROWD * limit)] if limit else []


def _count(counts: list[tuple[str, int]], moment_ms: int) -> None:
    """Count a wrong password before anybody looks at it, so that no burst outruns the limits. Raises TooManySharePasswords."""
    too_many = TooManySharePasswords(-(-(MINUTE_MS - moment_ms % MINUTE_MS) // 1000))
    if any(rates.count(connection(), name, moment_ms, MINUTE_MS) >= limit for name, limit in counts):
        raise too_many          # a flood costs a read each, no write
    with transaction() as conn:
        if any(rates.hit(conn, name, moment_ms, MINUTE_MS) > limit for name, limit in counts):
            raise too_many
