"""The access control list of an object version: who may read it, and read or write the list."""

from typing import Any

from shared import acls
from shared.acls import canonical_id
from shared.auth import acl
from shared.auth.engine import ENFORCED
from shared.context import Context
from shared.documents import MAX_BYTES
from shared.meta.objects import Found
from shared.permissions import by_version
from shared.registry import s3
from shared.views import find_version, relabelled


@s3("GetObjectAcl", allow=by_version("s3:GetObjectAcl", "s3:GetObjectVersionAcl"))
def get_object_acl(ctx: Context) -> dict[str, Any]:
    """Return owner and grants. Where ACLs are switched off everything is the bucket owner's.

    Raises NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html
    """
    found = find_version(ctx, ctx.query.get("versionId"))
    if ctx.bucket.ownership == ENFORCED:
        return acls.shown(acl.private(canonical_id(ctx, ctx.bucket.owner_id)))
    return acls.shown(acl.load(found.acl_json, canonical_id(ctx, found.owner_id)))


@s3("PutObjectAcl", allow=by_version("s3:PutObjectAcl", "s3:PutObjectVersionAcl"), document_bytes=MAX_BYTES)
def put_object_acl(ctx: Context) -> None:
    """Replace the list of the current or the named version; nothing else of it changes, its time neither.

    Where ACLs are switched off, the list that GetObjectAcl answers is accepted and changes nothing: clients that copy an object together
    with its list put it back as they got it.

    Raises what PutBucketAcl raises, NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker).
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
    """
    bucket_owner = canonical_id(ctx, ctx.bucket.owner_id)
    off = ctx.bucket.ownership == ENFORCED

    def asked(found: Found) -> dict[str, str | None]:
        new = acls.asked(ctx, bucket_owner if off else canonical_id(ctx, found.owner_id), bucket_owner)
        if off and ctx.params.get("AccessControlPolicy") and acl.is_owners_alone(new, bucket_owner):
            return {"acl": found.acl_json}
        acls.check(ctx.bucket, new)
        return {"acl": acl.dump(new)}

    relabelled(ctx, asked)
