"""CompleteMultipartUpload: parts become an object, without moving a byte."""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from shared.context import Context
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

    The same request again within a day gets the same reply, so that a client whose connection broke may simply repeat it.
    Raises NoSuchUpload, MalformedXML, InvalidPart, InvalidPartOrder, EntityTooSmall, InvalidRequest, BadDigest, PreconditionFailed.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    wanted = wanted_parts(ctx)
    condition = write_condition(ctx.headers)

    def checked(upload: UploadInfo, stored: list[PartInfo]) -> Assembly:
        assembly = assemble(wanted, upload, stored)
        check_announced(ctx, upload, assembly)
        return assembly

    def reply(assembly: Assembly, written: Written) -> dict[str, Any]:
        return {
            "ETag": f'"{assembly.etag}"', "VersionId": written.version_id,
            **checksum_members(assembly.checksum_algorithm, assembly.checksum),
        }

    upload_id = parse_upload_id(ctx.params.get("UploadId", ""))
    finished = uploads.complete(
        upload_id, ctx.bucket.id, ctx.key, _digest(wanted), assemble=checked, reply=reply,
        condition=condition.check if condition else None,
    )
    return finished.reply | {"Bucket": ctx.bucket.name, "Key": ctx.key.decode(), "Location": _location(ctx)}


def _digest(wanted: list[dict[str, Any]]) -> bytes:
    """What identifies a Complete request: its part list."""
    named = [[part["PartNumber"], part["ETag"].strip('"')] for part in wanted]
    return hashlib.sha256(json.dumps(named).encode()).digest()


def _location(ctx: Context) -> str:
    proxies = ctx.services.proxies
    base = ctx.services.settings.public_url or f"{proxies.scheme(ctx.request)}://{proxies.host(ctx.request)}"
    return f"{base}/{ctx.bucket.name}/{quote(ctx.key)}"
