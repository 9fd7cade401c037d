"""PutObject: write an object from one request body."""

from typing import Any

from shared import expiration, intake, new_object
from shared.context import Context
from shared.encryption import request as encryption
from shared.meta.objects import NewVersion
from shared.protocol.conditions import write_condition
from shared.protocol.metadata import system_headers, user_metadata
from shared.registry import s3
from shared.views import checksum_members


@s3("PutObject", allow=new_object.permissions)
def put_object(ctx: Context) -> dict[str, Any]:
    """Store the body under the key; it is durable before this returns.

    Nothing of the object is visible before every digest, signature and condition has been checked; conditions are decided in the
    transaction that writes. Raises PreconditionFailed, NoSuchKey (If-Match on nothing), what intake.receive and new_object.described raise.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    condition = write_condition(ctx.headers)
    headers, metadata, described = system_headers(ctx.params), user_metadata(ctx.headers), new_object.described(ctx)
    received = intake.receive(ctx)
    new = NewVersion(
        key=ctx.key, size=received.size, etag=received.etag, headers=headers, metadata=metadata,
        checksum_algorithm=received.checksum_algorithm, checksum=received.checksum, **described._asdict(),
    )
    written = ctx.services.store.put(ctx.bucket.id, new, received, condition.check if condition else None, ctx.envelope)
    return {
        "ETag": f'"{received.etag}"',
        "VersionId": written.version_id,
        "Expiration": expiration.of_object(ctx, mtime_ms=written.mtime_ms, size=received.size, tags_json=described.tags),
        **checksum_members(received.checksum_algorithm, received.checksum),
        **encryption.members_of(ctx, ctx.envelope),
    }
