"""Downloads of whole folders as one ZIP file."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from pydantic import Field

from shared.admin import s3
from shared.admin.context import AdminContext
from shared.admin.model import Model
from shared.clock import now_ms
from shared.context import Context
from shared.errors import S3Error
from shared.meta import listing
from shared.protocol.target import MAX_KEY_BYTES
from shared.registry import admin
from shared.request import Reply
from shared.zipped import Entry, stream

PAGE = 1000
BLOCK_BYTES = 256 << 10
MISSING = "NOT INCLUDED.txt"
MOST_MISSING = 10_000           # that are named in it; the rest are counted


class ZipQuery(Model):
    """Which folder."""

    prefix: str = Field("", max_length=MAX_KEY_BYTES, description="Keys that begin so. Up to its last `/` it is left out of the names.")


@admin("GET /api/v1/buckets/{bucket}/download-zip", allow="s3:GetObject", query=ZipQuery, gives="application/zip",
       event="object_downloaded", lane="slow")
def download_zip(ctx: AdminContext) -> Iterator[bytes]:
    """Send the current objects below a prefix as one ZIP file, made while it is sent.

    Needs `s3:ListBucket` too. What the caller may not read, or what goes away meanwhile, is named in a file at the end, `NOT INCLUDED.txt`.
    Raises NoSuchBucket.
    """
    bucket, prefix = ctx.args["bucket"], ctx.query.prefix
    call = s3.prepare(ctx, "ListObjectsV2", bucket, query={"prefix": prefix})
    ctx.about("bucket", bucket, bucket)
    ctx.details = {"prefix": prefix}
    name = quote(f"{prefix.strip('/').rpartition('/')[2] or bucket}.zip", safe="")
    ctx.reply_headers.append(("Content-Disposition", f"attachment; filename*=UTF-8''{name}"))
    return stream(_entries(ctx, call, prefix))


def _entries(ctx: AdminContext, call: Context, prefix: str) -> Iterator[Entry]:
    after, missing, more, cut = b"", list[str](), 0, len(prefix.rpartition("/")[0])
    while True:
        found = listing.current_objects(call.bucket.id, prefix.encode(), b"", after, PAGE)
        for row in found.rows:
            key = row.key.decode()
            if key.endswith("/") and not row.size:
                continue        # what consoles make for a folder
            try:
                reply = s3.make(s3.prepare(ctx, "GetObject", call.bucket.name, key))
            except S3Error as error:
                if len(missing) < MOST_MISSING:
                    missing.append(f"{key}: {error.code}\n")
                else:
                    more += 1
                continue
            yield Entry(key[cut:], row.mtime_ms / 1000, _blocks(reply))
        if not found.truncated or found.last is None:
            break
        after = found.last[0]
    if more:
        missing.append(f"and {more} more\n")
    if missing:
        yield Entry(MISSING, now_ms() / 1000, [line.encode() for line in missing])


def _blocks(reply: Reply) -> Iterator[bytes]:
    if isinstance(reply.body, bytes):
        yield reply.body
        return
    with reply.body as body:
        while block := body.read(BLOCK_BYTES):
            yield block
