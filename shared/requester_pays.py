"""Buckets whose requester pays: who must say so before being served.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html
"""

from __future__ import annotations

from shared.context import Context
from shared.errors import AccessDenied
from shared.meta.buckets import BucketInfo
from shared.meta.models import INSTALLATION

KIND = "request_payment"        # of configuration
HEADER = "x-amz-request-payer"
CHARGED = ("x-amz-request-charged", "requester")


def require_a_payer(ctx: Context, bucket: BucketInfo) -> None:
    """Let nobody of another account have of a bucket who does not say that they pay. Asks nothing about callers of its own account.

    Raises AccessDenied.
    """
    caller = ctx.caller
    assert ctx.known is not None
    if caller is not None and (
        caller.is_root or caller.id == bucket.owner_id or caller.tenant_id == bucket.tenant_id != INSTALLATION
    ):
        return
    found = ctx.known.configuration(bucket, KIND)
    if found is None or found["Payer"] != "Requester":
        return
    if caller is None or ctx.headers.get(HEADER, "").lower() != "requester":
        raise AccessDenied
    if CHARGED not in ctx.notes:
        ctx.notes.append(CHARGED)
