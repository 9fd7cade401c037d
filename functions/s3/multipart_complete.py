"""CompleteMultipartUpload: parts become an object, without moving a byte."""

import hashlib
import json
from functools import partial
from typing import Any
from urllib.parse import quote

from shared import expiration
from shared.context import Context
from shared.encryption import request as encryption
from shared.encryption.envelope import Envelope
from shared.locking import settled
from shared.meta import uploads
from shared.meta.objects import Written
from shared.meta.uploads import Assembly, PartInfo, UploadInfo
from shared.multipart import assemble, check_announced, parse_upload_id, wanted_parts
from shared.protocol.conditions import write_condition
from shared.registry import s3
from shared.views import checksum_members


@s3("CompleteMultipartUpload", allow="s3:PutObject", lane="slow")
def complete_multipart_upload(ctx: Context) -> dict[str, Any]:
    """Make the chosen parts the current version of the key, in one transaction.

    The bucket's default retention counts from now on, not from when the upload began, so that it is never over already.
    The same request again within a day gets the same reply, so that a client whose connection broke may simply repeat it.
    Raises NoSuchUpload, MalformedXML, InvalidPart, InvalidPartOrder, EntityTooSmall, InvalidRequest, BadDigest, PreconditionFailed.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    wanted = wanted_parts(ctx)
    condition = write_condition(ctx.headers)

    tags_json: str | None = None
    sse: Envelope | None = None

    def checked(upload: UploadInfo, stored: list[PartInfo]) -> Assembly:
        nonlocal tags_json, sse
        tags_json, sse = upload.tags, encryption.of_part(ctx, upload)
        assembly = assemble(wanted, upload, stored)
        check_announced(ctx, upload, assembly)
        return assembly

    def reply(assembly: Assembly, written: Written) -> dict[str, Any]:
        return {
            "ETag": f'"{assembly.etag}"', "VersionId": written.version_id,
            "Expiration": expiration.of_object(ctx, mtime_ms=written.mtime_ms, size=assembly.size, tags_json=tags_json),
            **checksum_members(assembly.checksum_algorithm, assembly.checksum), **encryption.members_of(ctx, sse),
        }

    upload_id = parse_upload_id(ctx.params.get("UploadId", ""))
    finished = uploads.complete(
        upload_id, ctx.bucket.id, ctx.key, _digest(wanted), assemble=checked, reply=reply,
        condition=condition.check if condition else None, lock=partial(settled, ctx),
    )
    if sse is not None and "ServerSideEncryption" not in finished.reply:       # the model knows no members for the customer's key
        ctx.notes += encryption.headers(ctx, encryption.dumped(sse))
    return finished.reply | {"Bucket": ctx.bucket.name, "Key": ctx.key.decode(), "Location": _location(ctx)}


def _digest(wanted: list[dict[str, Any]]) -> bytes:
    """What identifies a Complete request: its part list."""
    named = [[part["PartNumber"], part["ETag"].strip('"')] for part in wanted]
    return hashlib.sha256(json.dumps(named).encode()).digest()


def _location(ctx: Context) -> str:
    proxies = ctx.services.proxies
    base = ctx.services.settings.public_url or f"{proxies.scheme(ctx.request)}://{proxies.host(ctx.request)}"
    return f"{base}/{ctx.bucket.name}/{quote(ctx.key)}"
