"""Condition keys of policies: what a request says about itself and about its resource, looked up only when a statement asks.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from shared import intake
from shared.auth.acl import FULL_CONTROL, WRITE, Acl, Grant
from shared.auth.engine import WITH_TAGS
from shared.auth.policy import RESOURCE_NUMBER
from shared.encryption import request as encryption
from shared.errors import S3Error
from shared.meta import objects
from shared.meta.buckets import BucketInfo
from shared.meta.objects import Found
from shared.protocol import lock, tags
from shared.protocol.copy_source import parse_copy_source
from shared.protocol.scalars import iso_date

if TYPE_CHECKING:
    from shared.context import Context
    from shared.protocol.codec import Operation

EXISTING_TAG, REQUEST_TAG, PRINCIPAL_TAG = "s3:existingobjecttag", "s3:requestobjecttag", "aws:principaltag"
HEADER, LOCK = "s3:x-amz-", "s3:object-lock-"
MAKING = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})
WITH_A_WRITE = frozenset({"s3:PutObjectAcl", WITH_TAGS})
OF_EVERY_REQUEST = "x-amz-content-sha256"
TAGS_IN_BODY = "PutObjectTagging"       # the one operation whose tags are not in a header
LOCKS_IN_BODY = frozenset({"PutObjectRetention", "PutObjectLegalHold"})
MECHANISMS = {
    "header": "REST-HEADER", "header-v2": "REST-HEADER", "query": "REST-QUERY-STRING", "query-v2": "REST-QUERY-STRING",
    "form": "POST", "form-v2": "POST",
}
VERSIONS = {
    "header": "AWS4-HMAC-SHA256", "query": "AWS4-HMAC-SHA256", "form": "AWS4-HMAC-SHA256",
    "header-v2": "AWS", "query-v2": "AWS", "form-v2": "AWS",
}


class Named(NamedTuple):
    """What a request names: a bucket that is there, or None; the key and version in it, where it names them."""

    bucket: BucketInfo | None
    key: bytes | None = None
    version_id: str | None = None


class Asked:
    """One resource of a request, as the permission engine asks about it. Reads the row of an object version once, and only when asked."""

    __slots__ = ("_ctx", "_found", "_key", "_looked", "_version_id", "bucket")

    def __init__(self, ctx: Context, named: Named) -> None:
        self._ctx = ctx
        self.bucket, self._key, self._version_id = named
        self._looked = False
        self._found: Found | None = None

    def context(self, key: str) -> tuple[str, ...] | None:
        """The values of a condition key (lower case); None when the request has no such key."""
        if (single := _SINGLE.get(key)) is not None:
            value = single(self._ctx)
            return None if value is None else (value,)
        kind, slash, name = key.partition("/")
        if slash:
            return self._tag(kind, name)
        if key == "s3:requestobjecttagkeys":
            return tuple(request_tags(self._ctx)) or None
        if key.startswith(LOCK):
            value = _of_the_lock(self._ctx, key)
            return None if value is None else (value,)
        if key.startswith(HEADER):
            value = _used(self._ctx, key[len("s3:"):])
            return None if value is None else (value,)
        return self._of_the_resource(key)

    def _of_the_resource(self, key: str) -> tuple[str, ...] | None:
        if key == "s3:versionid":
            return None if self._version_id is None else (self._version_id,)
        known = self._ctx.known
        if key == "maxiofs:bucketowner" and self.bucket is None and self._makes_a_bucket():
            return (self._ctx.caller.canonical_id,) if self._ctx.caller is not None else None      # whose it will be
        if key == "maxiofs:bucketowner" and self.bucket is not None and known is not None:
            owner = known.principal(self.bucket.owner_id)
            return (owner.canonical_id,) if owner else None
        if key == "s3:resourceaccount" and self.bucket is not None and known is not None:
            tenant = known.tenant(self.bucket.tenant_id)
            return (tenant.name if tenant else "",)
        if key == RESOURCE_NUMBER and self.bucket is not None and known is not None:
            return (known.account_number(self.bucket.tenant_id),)
        return None

    def _makes_a_bucket(self) -> bool:
        return self._ctx.operation is not None and self._ctx.operation.name == "CreateBucket"

    def _tag(self, kind: str, name: str) -> tuple[str, ...] | None:
        """The values of a tag (lower case) of the object version, of the request, or of the caller."""
        if kind == REQUEST_TAG:
            return tags.chosen(request_tags(self._ctx), name)
        stored = None
        if kind == EXISTING_TAG and (found := self._version()) is not None:
            stored = found.tags_json
        elif kind == PRINCIPAL_TAG and self._ctx.caller is not None:
            stored = self._ctx.caller.tags
        return tags.chosen(tags.load(stored), name)

    def object_acl(self, action: str) -> Acl | None:
        """The access control list of the object version; None when there is none or it is a delete marker.

        A write that brings an ACL or tags asks about the object it is about to make: whom the bucket's list lets write may say so. About
        the tags of an object that is there no list says anything.
        """
        ctx, known = self._ctx, self._ctx.known
        if action in WITH_A_WRITE and ctx.operation is not None and ctx.operation.name in MAKING and self.bucket and known:
            listed = known.bucket_acl(self.bucket)
            writers = (grant.grantee for grant in listed.grants if grant.permission in (WRITE, FULL_CONTROL))
            return Acl(listed.owner, tuple(Grant(writer, FULL_CONTROL) for writer in writers))
        found = self._version() if action != WITH_TAGS else None
        return known.acl(found.acl_json, found.owner_id) if found is not None and known is not None else None

    def _version(self) -> Found | None:
        if not self._looked and self.bucket is not None and self._key is not None:
            found = objects.find(self.bucket.id, self._key, self._version_id, versioned=self.bucket.versioned)
            self._ctx.judged[self.bucket.id, self._key] = found.stamp if found is not None else None
            self._found = None if found is None or found.is_marker else found
        self._looked = True
        return self._found


class Seen(Asked):
    """A bucket that is asked about on behalf of one of its keys: may the caller see this key in a listing?"""

    __slots__ = ("_prefix",)

    def __init__(self, ctx: Context, bucket: BucketInfo | None, key: bytes) -> None:
        super().__init__(ctx, Named(bucket))
        self._prefix = key.decode()

    def context(self, key: str) -> tuple[str, ...] | None:
        """As for any resource; the prefix is the key."""
        return (self._prefix,) if key == "s3:prefix" else super().context(key)


def request_tags(ctx: Context) -> dict[str, str]:
    """The tags a request would give an object; none when they cannot be read, which its function will say.

    PutObjectTagging has them in its body: as long as that has not come, ``ctx.judge_again`` is set. A copy that does not replace its
    source's tags has those, as soon as they are known, whatever its headers say.
    """
    if ctx.operation is not None and ctx.operation.name == "CopyObject" and ctx.headers.get("x-amz-tagging-directive", "COPY") == "COPY":
        return ctx.copied_tags
    if ctx.operation is not None and ctx.operation.name == "RenameObject":
        return ctx.copied_tags
    with suppress(S3Error):
        if ctx.operation is None or ctx.operation.name != TAGS_IN_BODY:
            return tags.from_header(_used(ctx, tags.HEADER) or "")
        if params := _in_body(ctx, ctx.operation):
            return {one["Key"]: one["Value"] for one in params["Tagging"]["TagSet"]}
    return {}


def _of_the_lock(ctx: Context, key: str) -> str | None:
    """A key about the lock that a request would give an object: by headers, or by the body of PutObjectRetention and PutObjectLegalHold.

    None when it cannot be read, which its function will say.
    """
    wish = lock.Wish()
    with suppress(S3Error):
        if ctx.operation is not None and ctx.operation.takes(lock.MODE):
            wish = lock.from_headers(ctx.headers)
        if ctx.operation is not None and ctx.operation.name in LOCKS_IN_BODY:
            wish = _lock_in_body(ctx, ctx.operation)
    days = None if wish.until_ms is None else str(-(-(wish.until_ms - ctx.now_ms) // lock.DAY_MS))
    return {
        "s3:object-lock-mode": wish.mode, "s3:object-lock-legal-hold": wish.hold, "s3:object-lock-remaining-retention-days": days,
        "s3:object-lock-retain-until-date": None if wish.until_ms is None else iso_date(wish.until_ms),
    }.get(key)


def _lock_in_body(ctx: Context, operation: Operation) -> lock.Wish:
    params = _in_body(ctx, operation)
    if "LegalHold" in params:
        return lock.Wish(hold=lock.legal_hold(params["LegalHold"]))
    return lock.Wish(*lock.retention(params.get("Retention") or {}))


def _in_body(ctx: Context, operation: Operation) -> dict[str, Any]:
    """The parameters of a request, read from its body; none as long as that has not come: then ``ctx.judge_again`` is set."""
    if ctx.params or (ctx.body is not None and ctx.body.error is None):
        path = {"Bucket": ctx.target.bucket, "Key": ctx.target.key}
        return ctx.params or operation.read(path, ctx.query, ctx.headers, intake.document(ctx))
    ctx.judge_again = ctx.body is None
    return {}


# ---- keys with one value, about the request ------------------------------------------------------------------------------------------


def _is_used(ctx: Context, name: str) -> bool:
    """Whether the operation reads this header or parameter. Of others any request may carry any: they must meet no condition."""
    return name == OF_EVERY_REQUEST or (ctx.operation is not None and ctx.operation.takes(name))


def _used(ctx: Context, name: str) -> str | None:
    return ctx.headers.get(name) if _is_used(ctx, name) else None


def _query(name: str) -> Callable[[Context], str | None]:
    return lambda ctx: ctx.query.get(name) if _is_used(ctx, name) else None


def _header(name: str) -> Callable[[Context], str | None]:
    return lambda ctx: ctx.headers.get(name)


def _encryption(name: str) -> Callable[[Context], str | None]:
    """A header about encryption; parts of an upload, and its end, have what the upload began with, as on AWS."""
    return lambda ctx: encryption.said(ctx, name)


def _by_kind(values: dict[str, str]) -> Callable[[Context], str | None]:
    return lambda ctx: values.get(ctx.auth.kind) if ctx.auth is not None else None


def _copy_source(ctx: Context) -> str | None:
    """``bucket/key``, decoded and without a version, so that patterns need not know how clients write it."""
    header = _used(ctx, "x-amz-copy-source")
    if header is None:
        return None
    source = parse_copy_source(header)
    return f"{source.bucket}/{source.key.decode()}"


def _account(ctx: Context) -> str | None:
    return ctx.known.who(ctx.caller).account if ctx.caller is not None and ctx.known is not None else None


def _arn(ctx: Context) -> str | None:
    return ctx.known.who(ctx.caller).arn if ctx.caller is not None and ctx.known is not None else None


_SINGLE: dict[str, Callable[[Context], str | None]] = {
    "s3:prefix": _query("prefix"),
    "s3:delimiter": _query("delimiter"),
    "s3:max-keys": lambda ctx: _query("max-keys")(ctx) or _query("max-uploads")(ctx),
    "s3:signatureversion": _by_kind(VERSIONS),
    "s3:authtype": _by_kind(MECHANISMS),
    "s3:x-amz-copy-source": _copy_source,
    "aws:sourceip": lambda ctx: ctx.services.proxies.client(ctx.request),
    "aws:securetransport": lambda ctx: "true" if ctx.services.proxies.scheme(ctx.request) == "https" else "false",
    "aws:username": lambda ctx: ctx.caller.name if ctx.caller is not None else None,
    "aws:userid": lambda ctx: ctx.caller.canonical_id if ctx.caller is not None else "anonymous",
    "aws:principalarn": _arn,
    "aws:principalaccount": _account,
    "aws:principaltype": lambda ctx: "User" if ctx.caller is not None else "Anonymous",
    "aws:currenttime": lambda ctx: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ctx.now_ms // 1000)),
    "aws:epochtime": lambda ctx: str(ctx.now_ms // 1000),
    "s3:x-amz-server-side-encryption": _encryption("x-amz-server-side-encryption"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _encryption("x-amz-server-side-encryption-aws-kms-key-id"),
    "s3:x-amz-server-side-encryption-customer-algorithm": _encryption("x-amz-server-side-encryption-customer-algorithm"),
    "aws:useragent": _header("user-agent"),
    "aws:referer": _header("referer"),
}
