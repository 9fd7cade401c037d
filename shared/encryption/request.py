"""What a request says about encryption, held against its bucket, its upload or the version it reads."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from functools import lru_cache
from typing import Any

from shared.context import Context
from shared.encryption.envelope import Envelope, Sse, check_customer, load, made_check
from shared.encryption.ring import DEFAULT_KMS_KEY
from shared.errors import AccessDenied, InvalidRequest, NoSuchUpload
from shared.meta.objects import Found
from shared.meta.uploads import UploadInfo
from shared.multipart import upload_of
from shared.protocol import sse
from shared.protocol.sse import BY_KMS, CUSTOMER, DSSE, CustomerKey, Wanted
from shared.request import Headers

OF_UPLOADS = frozenset({"UploadPart", "UploadPartCopy", "CompleteMultipartUpload"})
PART_NEEDS_KEY = (
    "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."
)
PART_TAKES_NONE = (
    "The multipart upload initiate did not request encryption. Please resend the request without sending encryption parameters."
)


def of_new_object(ctx: Context) -> Envelope | None:
    """How the object that a request makes is encrypted: as it asks for, else as the bucket does by default; None for not at all.

    Settled once for each request: before its body comes, when that waits. Raises what sse.wanted and Ring.usable raise, AccessDenied for
    a kind that the bucket does not take.
    """
    if not ctx.is_envelope_settled:
        ctx.envelope, ctx.is_envelope_settled = _of_new_object(ctx), True
    return ctx.envelope


def _of_new_object(ctx: Context) -> Envelope | None:
    wanted, bucket = sse.wanted(ctx.headers), ctx.bucket
    if wanted is None and bucket.encryption is None:
        return None
    rule = default_of(bucket.encryption)
    if wanted is None:
        by_default = rule.get("ApplyServerSideEncryptionByDefault")
        if not by_default:
            return None
        wanted = Wanted(by_default["SSEAlgorithm"], by_default.get("KMSMasterKeyID"))
    ring = ctx.services.store.ring
    if wanted.customer is not None:
        if CUSTOMER in (rule.get("BlockedEncryptionTypes") or {}).get("EncryptionType", ()):
            raise AccessDenied("The bucket does not take objects with server-side encryption with customer-provided keys.")
        return Envelope(ring, Sse(CUSTOMER, check=made_check(wanted.customer)), wanted.customer)
    if wanted.kind not in BY_KMS:
        return Envelope(ring, Sse(wanted.kind))
    key = wanted.kms_key or DEFAULT_KMS_KEY
    ring.usable(sse.name_of(key), bucket.tenant_id)
    by_bucket_key = rule.get("BucketKeyEnabled", False) if wanted.bucket_key is None else wanted.bucket_key
    return Envelope(ring, Sse(wanted.kind, key, wanted.context, by_bucket_key and wanted.kind != DSSE))


@lru_cache(1024)
def default_of(stored: str | None) -> dict[str, Any]:
    """The one rule of a bucket's encryption configuration; empty without one. Not to be changed."""
    rules = json.loads(stored)["Rules"] if stored else []
    return rules[0] if rules else {}


def of_body(ctx: Context) -> Envelope | None:
    """How the bytes that a request brings are encrypted, by what its headers say. Raises as of_new_object and of_part, NoSuchUpload."""
    assert ctx.operation is not None
    if ctx.operation.name == "UploadPart":
        return of_part(ctx, upload_of(ctx))
    return of_new_object(ctx) if ctx.bucket_found is not None and ctx.operation.name == "PutObject" else None


def of_part(ctx: Context, upload: UploadInfo) -> Envelope | None:
    """How a part of an upload is encrypted: as the upload is. A customer's key comes with each. Raises InvalidRequest, InvalidArgument."""
    if not ctx.is_envelope_settled:
        ctx.envelope, ctx.is_envelope_settled = _of_part(ctx, upload), True
    return ctx.envelope


def _of_part(ctx: Context, upload: UploadInfo) -> Envelope | None:
    if upload.sse is None and sse.HEADERS.isdisjoint(ctx.headers):
        return None
    settled, customer = load(upload.sse), sse.customer_key(ctx.headers)
    if settled is not None and settled.kind == CUSTOMER:
        if customer is None:
            raise InvalidRequest(PART_NEEDS_KEY)
        check_customer(settled, customer)
    elif customer is not None:
        raise InvalidRequest(PART_TAKES_NONE)
    return Envelope(ctx.services.store.ring, settled, customer) if settled is not None else None


def said(ctx: Context, name: str) -> str | None:
    """What a request says in one of the headers about encryption. For a part of an upload, and its completion, the upload has said it."""
    value = ctx.headers.get(name) if ctx.operation is not None and ctx.operation.takes(name) else None
    if value is not None or ctx.operation is None or ctx.operation.name not in OF_UPLOADS or ctx.bucket_found is None:
        return value
    with suppress(NoSuchUpload):        # the function will say so
        if (settled := load(upload_of(ctx).sse)) is not None:
            return dict(_shown(settled)).get(name)
    return None


def of_read(ctx: Context, found: Found) -> CustomerKey | None:
    """The customer's key for reading a version, which must be the right one, and must not come where none is needed.

    Raises InvalidRequest, InvalidArgument.
    """
    if found.sse_json is None and sse.HEADERS.isdisjoint(ctx.headers):
        return None
    sse.refuse_managed(ctx.headers)
    customer = sse.customer_key(ctx.headers)
    check_customer(load(found.sse_json), customer)
    return customer


def of_source(ctx: Context, found: Found) -> CustomerKey | None:
    """The same for the source of a copy."""
    customer = sse.customer_key(ctx.headers, sse.OF_SOURCE)
    if found.sse_json is not None or customer is not None:
        check_customer(load(found.sse_json), customer)
    return customer


def as_headers(stored: str | None) -> dict[str, str]:
    """What a write says that makes its object encrypted as a version is; nothing about a customer's key, which only the customer has."""
    made = load(stored)
    if made is None or made.kind == CUSTOMER:
        return {}
    said = dict(_shown(made))
    if made.kind in BY_KMS:
        said.setdefault(sse.BUCKET_KEY, "false")
    if made.context:
        said[sse.CONTEXT] = b64encode(made.context.encode()).decode()
    return said


def dumped(envelope: Envelope | None) -> str | None:
    """What the row of a new version says about its encryption."""
    return envelope.sse.dump() if envelope is not None and envelope.sse is not None else None


def members(ctx: Context, made: Sse | None) -> dict[str, Any]:
    """What the reply to a write says about it, as result members."""
    if made is None:
        return {}
    if made.kind == CUSTOMER:
        return {"SSECustomerAlgorithm": sse.S3, "SSECustomerKeyMD5": ctx.headers.get(sse.OF_OBJECT + "key-md5")}
    if made.kind not in BY_KMS:
        return {"ServerSideEncryption": made.kind}
    return {
        "ServerSideEncryption": made.kind, "SSEKMSKeyId": made.key, "BucketKeyEnabled": True if made.bucket_key else None,
        "SSEKMSEncryptionContext": b64encode(made.context.encode()).decode() if made.context else None,
    }


def members_of(ctx: Context, envelope: Envelope | None) -> dict[str, Any]:
    """The same, of what the request has made."""
    return members(ctx, envelope.sse) if envelope is not None else {}


def headers(ctx: Context, stored: str | None) -> Headers:
    """What a reply that shows a version says about its encryption."""
    made = load(stored)
    if made is None:
        return []
    shown = _shown(made)
    if made.kind == CUSTOMER:
        shown.append((sse.OF_OBJECT + "key-MD5", ctx.headers.get(sse.OF_OBJECT + "key-md5", "")))
    return shown


def _shown(made: Sse) -> Headers:
    """The headers that need no more than the version's row."""
    if made.kind == CUSTOMER:
        return [(sse.OF_OBJECT + "algorithm", sse.S3)]
    shown = [(sse.METHOD, made.kind)]
    if made.key:
        shown.append((sse.KMS_KEY, made.key))
    if made.bucket_key:
        shown.append((sse.BUCKET_KEY, "true"))
    return shown
