"""Whether an announced body fits the quota of its bucket's tenant: a friendly answer before a byte is read. The transaction decides."""

from __future__ import annotations

from shared.context import Context
from shared.errors import S3Error
from shared.meta import objects, quotas, uploads
from shared.meta.models import NULL_VERSION, VERSIONING_ENABLED
from shared.multipart import parse_upload_id
from shared.protocol.scalars import parse_integer


def require_room(ctx: Context, size: int) -> None:
    """Refuse ``size`` bytes that the tenant may not store, even when what they replace is given back. Raises QuotaExceeded.

    One small query; another one for what seems not to fit.
    """
    left = quotas.bytes_left(ctx.bucket.tenant_id)
    if left is not None and size > left and size > left + _replaced_bytes(ctx):
        raise quotas.exceeded("bytes")


def _replaced_bytes(ctx: Context) -> int:
    """The size of what the body would take the place of: a part of the same number, or the null version of its key."""
    upload_id, number = ctx.query.get("uploadId"), ctx.query.get("partNumber")
    if upload_id is not None:
        try:
            wanted = parse_integer(number or "")
            return sum(part.size for part in uploads.parts(parse_upload_id(upload_id), wanted - 1, 1) if part.number == wanted)
        except (S3Error, ValueError):       # the operation says what is wrong with them
            return 0
    if ctx.bucket.versioning == VERSIONING_ENABLED:
        return 0
    found = objects.find(ctx.bucket.id, ctx.key, NULL_VERSION, versioned=ctx.bucket.versioned)
    return found.size if found else 0
