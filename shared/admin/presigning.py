"""Whose key a presigned URL is signed with, and which address it has."""

from __future__ import annotations

from shared.admin.context import AdminContext
from shared.admin.errors import Conflict, InvalidFields
from shared.auth.presign import Signer
from shared.clock import now_ms
from shared.meta import keys
from shared.settings import url as checked_url

MOST_KEYS = 100                 # of the caller, looked through for one to sign with


def signer(ctx: AdminContext) -> Signer:
    """The caller's newest key that is whole: neither inactive, nor expired, nor narrowed. Raises Conflict when there is none."""
    moment_ms = now_ms()
    for row in keys.page("", MOST_KEYS, user_id=ctx.user.id):
        usable = row.is_active and row.scope is None and (row.expires_ms is None or row.expires_ms > moment_ms)
        credential = ctx.known.credential(row.id) if usable else None
        if credential is not None and not ctx.known.key_documents(row.id):      # policies narrow a key too
            return Signer(credential.access_key, credential.secret, ctx.services.settings.region)
    raise Conflict("You have no access key to sign with: make one first.")


def endpoint(ctx: AdminContext, given: str | None = None) -> str:
    """Where the S3 API is for whoever will use the URL: as told, as set, or beside this listener. Raises InvalidFields."""
    settings = ctx.services.settings
    if given is not None:
        try:
            return checked_url(given)
        except ValueError as error:
            raise InvalidFields(fields={"endpoint": str(error)}) from None
    if settings.public_url:
        return settings.public_url
    if not settings.listen.port:
        raise InvalidFields(fields={"endpoint": "It is needed where MAXIOFS_PUBLIC_URL is not set."})
    host = ctx.services.proxies.host(ctx.request).rpartition(":")[0] or ctx.services.proxies.host(ctx.request) or "127.0.0.1"
    return f"{ctx.services.proxies.scheme(ctx.request)}://{host}:{settings.listen.port}"


def console(ctx: AdminContext) -> str:
    """The console as whoever asked reaches it."""
    settings, proxies = ctx.services.settings, ctx.services.proxies
    if settings.console_public_url:
        return settings.console_public_url.rstrip("/")
    host = proxies.host(ctx.request)
    return f"{proxies.scheme(ctx.request)}://{host}" if host else settings.console_url
