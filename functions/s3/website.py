"""Websites: the configuration of a bucket as one, and the pages that it shows to anybody who may read them."""

from __future__ import annotations

from typing import Any

from shared import registry
from shared.bucket_errors import NoSuchWebsiteConfiguration
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.errors import AccessDenied, NoSuchKey, NotModified, S3Error
from shared.meta import configurations
from shared.permissions import hidden, require, wanted
from shared.protocol import website
from shared.protocol.model import load_model
from shared.protocol.website import Asked, Redirect
from shared.registry import s3
from shared.request import Reply

KIND = "website"
REDIRECT_HEADER = "x-amz-website-redirect-location"
OF_THE_OBJECT = ("if-", "range", "x-amz-checksum-mode")     # request headers that have no say about an error document


@s3("PutBucketWebsite", allow="s3:PutBucketWebsite", document_bytes=MAX_BYTES)
def put_bucket_website(ctx: Context) -> None:
    """Make the bucket a website, or change what it shows. Raises MalformedXML, InvalidArgument, InvalidRequest.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html
    """
    configurations.put(ctx.bucket, KIND, website.checked(ctx.params["WebsiteConfiguration"]))


@s3("GetBucketWebsite", allow="s3:GetBucketWebsite")
def get_bucket_website(ctx: Context) -> dict[str, Any]:
    """Return the configuration. Raises NoSuchWebsiteConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketWebsite.html
    """
    return _configuration(ctx)


@s3("DeleteBucketWebsite", allow="s3:DeleteBucketWebsite")
def delete_bucket_website(ctx: Context) -> None:
    """Make the bucket a website no longer.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketWebsite.html
    """
    configurations.delete(ctx.bucket, KIND)


def _configuration(ctx: Context) -> dict[str, Any]:
    assert ctx.known is not None
    found = ctx.known.configuration(ctx.bucket, KIND)
    if found is None:
        raise NoSuchWebsiteConfiguration(BucketName=ctx.bucket.name)
    return found


# ---- pages --------------------------------------------------------------------------------------------------------------------------


def _each_page(_: Context) -> tuple[tuple[str, str], ...]:
    """Nothing in advance: every object that is looked at for an answer is asked about, for nobody is signed in on a website."""
    return ()


@s3("GetWebsitePage", allow=_each_page)
def get_website_page(ctx: Context) -> Reply:
    """Answer a browser on a bucket's website: with an object, the index document of a folder, a redirect, or the error document.

    Nobody is anybody here: whatever is signed or not, it must be readable for all.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
    """
    configuration, asked = _configuration(ctx), _asked(ctx)
    if asked.base and ctx.target.raw_path.count("/") == 1:      # links in its index document count from a folder
        return _redirected(Redirect(302, ctx.target.raw_path + "/"))
    if redirect := website.redirect_all(configuration, asked) or website.routed(configuration, asked, None):
        return _redirected(redirect)
    try:
        return _page(ctx, configuration["IndexDocument"]["Suffix"], asked)
    except NotModified:
        raise
    except S3Error as error:
        if redirect := website.routed(configuration, asked, error.status):
            return _redirected(redirect)
        return _error_document(ctx, configuration, error)


@s3("HeadWebsitePage", allow=_each_page)
def head_website_page(ctx: Context) -> Reply:
    """Answer as to GET, without a body.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
    """
    return get_website_page(ctx)


def _asked(ctx: Context) -> Asked:
    key, services = (ctx.target.key or b"").decode(), ctx.services
    base = f"/{ctx.bucket.name}" if ctx.target.site == "path" else ""
    return Asked(services.proxies.scheme(ctx.request), ctx.target.host, key, base)


def _redirected(redirect: Redirect) -> Reply:
    return Reply(redirect.status, [("Location", redirect.location)])


def _page(ctx: Context, suffix: str, asked: Asked) -> Reply:
    """The object of a key, or of its index document. A folder without its slash is redirected to it."""
    if not asked.key or asked.key.endswith("/"):
        return _shown(ctx, asked.key + suffix, asked)
    try:
        return _shown(ctx, asked.key, asked)
    except (NoSuchKey, AccessDenied):
        if not _is_there(ctx, f"{asked.key}/{suffix}"):
            raise
    return _redirected(website.to_folder(asked))


def _shown(ctx: Context, key: str, asked: Asked) -> Reply:
    reply = _object(ctx, key, ctx.request.method)
    for name, value in reply.headers:
        if name.lower() == REDIRECT_HEADER:
            _close(reply)
            return _redirected(website.of_object(value, asked))
    return reply


def _close(reply: Reply) -> None:
    if not isinstance(reply.body, bytes):
        reply.body.close()


def _object(ctx: Context, key: str, method: str) -> Reply:
    """An object as GetObject or HeadObject answers. Raises as those do, AccessDenied, KeyTooLongError."""
    name = "HeadObject" if method == "HEAD" else "GetObject"
    ctx.target, ctx.operation = ctx.target.for_key(key.encode()), load_model().operations[name]
    function = registry.find(f"s3.{name}")
    require(ctx, *wanted(ctx, function))
    ctx.params = {}
    try:
        reply = function.call(ctx)
    except NoSuchKey as missing:
        raise hidden(ctx, missing) from None
    assert isinstance(reply, Reply)
    return reply


def _is_there(ctx: Context, key: str) -> bool:
    notes = list(ctx.notes)
    try:
        _close(_object(ctx, key, "HEAD"))
    except S3Error:
        return False
    finally:
        ctx.notes[:] = notes
    return True


def _error_document(ctx: Context, configuration: dict[str, Any], error: S3Error) -> Reply:
    """The error document with the status of the error. Raises the error itself when there is none that may be read."""
    key = (configuration.get("ErrorDocument") or {}).get("Key")
    if key is None or not 400 <= error.status < 500:
        raise error
    ctx.headers = {name: value for name, value in ctx.headers.items() if not name.startswith(OF_THE_OBJECT)}
    ctx.notes.clear()
    try:
        reply = _object(ctx, key, ctx.request.method)
    except S3Error:
        raise error from None
    reply.status = error.status
    reply.headers = [*reply.headers, *website.error_headers(error)]
    return reply
