"""Object lock: the bucket's configuration, and retention and legal hold of object versions."""

from typing import Any

from shared.bucket_errors import ObjectLockConfigurationNotFoundError
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.errors import AccessDenied, NoSuchObjectLockConfiguration
from shared.locking import may_bypass, require_lock
from shared.meta import buckets, retention
from shared.meta.retention import PROTECTED, Lock
from shared.protocol import lock
from shared.registry import s3
from shared.views import find_version, relocked


@s3("PutObjectLockConfiguration", allow="s3:PutBucketObjectLockConfiguration", document_bytes=MAX_BYTES)
def put_object_lock_configuration(ctx: Context) -> None:
    """Turn object lock on, for good, and replace the default retention; without a Rule there is none. What is stored stays as it is.

    Raises MalformedXML (also for days and years, or neither), InvalidRetentionPeriod, InvalidBucketState unless versioning is enabled.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html
    """
    buckets.change(ctx.bucket, object_lock=lock.configuration(ctx.params.get("ObjectLockConfiguration") or {}))


@s3("GetObjectLockConfiguration", allow="s3:GetBucketObjectLockConfiguration")
def get_object_lock_configuration(ctx: Context) -> dict[str, Any]:
    """Return whether object lock is on, and the default retention. Raises ObjectLockConfigurationNotFoundError.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html
    """
    if ctx.bucket.object_lock is None:
        raise ObjectLockConfigurationNotFoundError(BucketName=ctx.bucket.name)
    return {"ObjectLockConfiguration": lock.shown(ctx.bucket.object_lock)}


@s3("PutObjectRetention", allow="s3:PutObjectRetention", document_bytes=MAX_BYTES)
def put_object_retention(ctx: Context) -> None:
    """Replace the retention of the current or the named version; an empty one removes it.

    It is decided in the transaction that writes: while retention runs, it may only become longer in its mode; more than that takes
    GOVERNANCE, the bypass header and ``s3:BypassGovernanceRetention``. Raises InvalidRequest (a bucket without object lock), MalformedXML,
    InvalidArgument (a date that is past), AccessDenied, NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html
    """
    require_lock(ctx)
    mode, until_ms = lock.retention(ctx.params.get("Retention") or {})
    lock.check_future(until_ms, ctx.now_ms)
    bypass = may_bypass(ctx, ctx.key, ctx.query.get("versionId"))

    def changed(was: Lock, now_ms: int) -> Lock:
        if not was.may_become(mode, until_ms, now_ms, bypass=bypass):
            raise AccessDenied(PROTECTED)
        return was._replace(mode=mode, until_ms=until_ms)

    relocked(ctx, changed)


@s3("GetObjectRetention", allow="s3:GetObjectRetention")
def get_object_retention(ctx: Context) -> dict[str, Any]:
    """Return the retention of the current or the named version, also when it has run out.

    Raises InvalidRequest (a bucket without object lock), NoSuchObjectLockConfiguration, and what GetObject raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html
    """
    held = _lock(ctx)
    if held.mode is None:
        raise NoSuchObjectLockConfiguration(Key=ctx.key.decode())
    return {"Retention": {"Mode": held.mode, "RetainUntilDate": held.until_ms}}


@s3("PutObjectLegalHold", allow="s3:PutObjectLegalHold", document_bytes=MAX_BYTES)
def put_object_legal_hold(ctx: Context) -> None:
    """Put a legal hold on the current or the named version, or take it off. It has no end and knows no bypass.

    Raises InvalidRequest (a bucket without object lock), MalformedXML, NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html
    """
    require_lock(ctx)
    status = lock.legal_hold(ctx.params.get("LegalHold") or {})
    relocked(ctx, lambda was, _: was._replace(hold=status))


@s3("GetObjectLegalHold", allow="s3:GetObjectLegalHold")
def get_object_legal_hold(ctx: Context) -> dict[str, Any]:
    """Return the legal hold of the current or the named version.

    Raises InvalidRequest (a bucket without object lock), NoSuchObjectLockConfiguration, and what GetObject raises.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html
    """
    held = _lock(ctx)
    if held.hold is None:
        raise NoSuchObjectLockConfiguration(Key=ctx.key.decode())
    return {"LegalHold": {"Status": held.hold}}


def _lock(ctx: Context) -> Lock:
    require_lock(ctx)
    return retention.load(find_version(ctx, ctx.query.get("versionId")).lock_json)
