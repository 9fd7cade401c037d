"""PostObject: an object that a browser uploads with a form."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from shared import registry
from shared.context import Context
from shared.permissions import wanted
from shared.protocol.codec import header_text
from shared.protocol.scalars import xml_text
from shared.protocol.xml_shapes import document
from shared.registry import s3
from shared.request import Headers, Reply

MAX_LOCATION = 8192     # of a redirect: the form may be large, a header should not be


def _as_an_upload(ctx: Context) -> Iterable[tuple[str, str]]:
    """Nothing before the fields are here; then what PutObject needs."""
    return wanted(ctx, registry.find("s3.PutObject")) if ctx.form is not None else ()


@s3("PostObject", allow=_as_an_upload)
def post_object(ctx: Context) -> Reply:
    """Store the file of a form as PutObject would; who signed its policy is the caller.

    Answers 204; or as the form asks: 200, 201 with a document, or 303 to a page that learns bucket, key and ETag.
    Raises what put_object raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
    """
    assert ctx.form is not None and ctx.operation is not None
    result = registry.find("s3.PutObject").call(ctx)
    headers = result.headers if isinstance(result, Reply) else ctx.operation.write(result)[1]
    etag = next((value for name, value in headers if name.lower() == "etag"), "")
    if page := _next_page(ctx, etag):
        return Reply(303, [*headers, ("Location", page)])
    location = _location(ctx)
    headers = [*headers, ("Location", location)]
    return _told(ctx, headers, etag, location)


def _told(ctx: Context, headers: Headers, etag: str, location: str) -> Reply:
    assert ctx.form is not None
    if ctx.form.status == "200":
        return Reply(200, headers)
    if ctx.form.status != "201":
        return Reply(204, headers)
    parts = {"Location": location, "Bucket": ctx.bucket.name, "Key": ctx.key.decode(), "ETag": etag}
    inner = "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in parts.items())
    return Reply(201, [*headers, ("Content-Type", "application/xml")], document(f"<PostResponse>{inner}</PostResponse>"))


def _next_page(ctx: Context, etag: str) -> str:
    """Where the form sends the browser; "" for nowhere, also when that cannot be understood."""
    assert ctx.form is not None
    page = header_text(ctx.form.redirect.strip())
    try:
        parts = urlsplit(page)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or " " in page or len(page) > MAX_LOCATION:
        return ""
    told = f"bucket={quote(ctx.bucket.name, safe='')}&key={quote(ctx.key, safe='')}&etag={quote(etag, safe='')}"
    return parts._replace(query=f"{parts.query}&{told}" if parts.query else told).geturl()


def _location(ctx: Context) -> str:
    """The object's own address, in the style that the form was posted in."""
    services = ctx.services
    base = f"{services.proxies.scheme(ctx.request)}://{ctx.target.host}"
    path = ctx.target.raw_path.rstrip("/")      # "" with the bucket in front of the host
    return header_text(f"{base}{path}/{quote(ctx.key, safe='/~')}")
