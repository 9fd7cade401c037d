"""UpdateObjectEncryption: another KMS key for an object that is there. Its data keys get new envelopes, and no byte moves."""

from typing import Any

from shared.context import Context
from shared.encryption.envelope import Envelope, Sse, load
from shared.encryption.updating import update
from shared.errors import InvalidRequest, NoSuchKey, SlowDown
from shared.meta.objects import Found
from shared.protocol.sse import KMS, S3, is_key_id, name_of
from shared.registry import s3
from shared.views import LABEL_ATTEMPTS, find_version

ONLY = "Only source objects encrypted with SSE-S3 or SSE-KMS are supported."
NEEDS_KEY = (
    "Requests that modify an object's encryption type to SSE-KMS require an Amazon Web Services KMS key Amazon Resource Name (ARN). "
    "Modify the request to specify a KMS key ARN, and then try again."
)


@s3("UpdateObjectEncryption", allow="s3:UpdateObjectEncryption")
def update_object_encryption(ctx: Context) -> None:
    """Encrypt a version that has SSE-S3 or SSE-KMS with the KMS key of the request: its ARN, or its name. Its time and its ETag stay.

    Raises InvalidRequest for versions encrypted otherwise, KMSNotFoundException, KMSDisabledException, AccessDenied while object lock
    protects the version, and what find_version raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UpdateObjectEncryption.html
    """
    wanted: dict[str, Any] = (ctx.params.get("ObjectEncryption") or {}).get("SSEKMS") or {}
    key = wanted.get("KMSKeyArn", "")
    if not is_key_id(key):
        raise InvalidRequest(NEEDS_KEY)
    ring = ctx.services.store.ring
    ring.usable(name_of(key), ctx.bucket.tenant_id)
    target = Envelope(ring, Sse(KMS, key, None, wanted.get("BucketKeyEnabled", False)))
    for _ in range(LABEL_ATTEMPTS):
        found = find_version(ctx, ctx.query.get("versionId"), with_data=True)
        source = _source(ctx, found)
        try:
            return update(ctx.bucket.id, ctx.key, found, source, target)
        except NoSuchKey:       # it is no longer there: look again what is
            continue
    raise SlowDown("The object changes too fast. Please try again.")


def _source(ctx: Context, found: Found) -> Envelope:
    made = load(found.sse_json)
    if made is None:
        raise InvalidRequest(f"The UpdateObjectEncryption operation doesn't support unencrypted source objects. {ONLY}")
    if made.kind not in (S3, KMS):
        raise InvalidRequest(f"The UpdateObjectEncryption operation doesn't support source objects encrypted with {made.kind}. {ONLY}")
    return Envelope(ctx.services.store.ring, made)
