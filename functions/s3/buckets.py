"""Buckets: create, find, list and delete them."""

from collections.abc import Iterable
from typing import Any

from shared import acls, dynamic
from shared.auth import acl
from shared.auth.engine import ENFORCED
from shared.bucket_errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    IllegalLocationConstraintException,
    InvalidBucketAclWithBlockPublicAccessError,
    InvalidBucketAclWithObjectOwnership,
)
from shared.context import Context
from shared.errors import InvalidArgument, NotImplementedS3
from shared.meta import buckets
from shared.meta.buckets import BucketInfo
from shared.meta.models import INSTALLATION, VERSIONING_ENABLED
from shared.permissions import is_shown, require
from shared.protocol import tags
from shared.protocol.names import check_bucket_name
from shared.protocol.tokens import name_of, token_of
from shared.registry import s3
from shared.views import owner

MAX_PAGE = 10_000
PAGE = 1000     # buckets that are looked at together
OWNERSHIP = "x-amz-object-ownership"
LOCKED = "x-amz-bucket-object-lock-enabled"
CLASSIC_REGION = "us-east-1"    # where creating one's own bucket again succeeds


@s3("ListBuckets", allow="s3:ListAllMyBuckets")
def list_buckets(ctx: Context) -> dict[str, Any]:
    """Return the buckets that the caller owns or may list, in name order; a page of at most MaxBuckets when that is given.

    Other tenants' are not among them, and what a bucket gives to everybody is no reason to show it.
    Raises InvalidArgument for a continuation token that is none of ours.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
    """
    limit, token = ctx.params.get("MaxBuckets", MAX_PAGE), ctx.params.get("ContinuationToken")
    prefix = ctx.params.get("Prefix") or ""
    elsewhere = ctx.params.get("BucketRegion") not in (None, ctx.services.settings.region)
    found = [] if elsewhere else _shown(ctx, prefix, name_of(token) if token else b"", limit + 1)
    out: dict[str, Any] = {
        "Owner": owner(ctx, ctx.owner_id),
        "Buckets": [{"Name": one.name, "CreationDate": one.created_ms} for one in found[:limit]],
    }
    if ctx.params.get("Prefix"):
        out["Prefix"] = prefix
    if len(found) > limit:
        out["ContinuationToken"] = token_of(found[limit - 1].name.encode())
    return out


def _shown(ctx: Context, prefix: str, after: bytes, limit: int) -> list[BucketInfo]:
    """Buckets that the caller may be shown, in name order, from behind ``after``."""
    assert ctx.caller is not None and ctx.known is not None
    tenant_id = None if ctx.caller.tenant_id == INSTALLATION else ctx.caller.tenant_id
    found: list[BucketInfo] = []
    while len(found) < limit:
        rows = buckets.page(prefix, after, PAGE, tenant_id=tenant_id)
        ctx.known.learn(rows)
        found += [row for row in rows if is_shown(ctx, row)]
        if len(rows) < PAGE:
            break
        after = rows[-1].name.encode()
    return found[:limit]


def _creating(ctx: Context) -> Iterable[tuple[str, str]]:
    """Creating a bucket, and what is set on it at once."""
    resource = str(ctx.target.bucket)
    yield "s3:CreateBucket", resource
    if acl.named(ctx.headers):
        yield "s3:PutBucketAcl", resource
    if OWNERSHIP in ctx.headers:
        yield "s3:PutBucketOwnershipControls", resource
    if LOCKED in ctx.headers and ctx.headers[LOCKED].lower() != "false":
        yield "s3:PutBucketObjectLockConfiguration", resource
        yield "s3:PutBucketVersioning", resource


@s3("CreateBucket", allow=_creating)
def create_bucket(ctx: Context) -> dict[str, Any]:
    """Create a bucket, or in us-east-1 succeed again for one's own: then nothing of it changes.

    Ownership controls and public access block are those of the settings, where the request does not say. With object lock the bucket has
    versioning enabled.
    Raises InvalidBucketName, BucketAlreadyExists, BucketAlreadyOwnedByYou, IllegalLocationConstraintException, InvalidArgument,
    InvalidBucketAclWithObjectOwnership, InvalidBucketAclWithBlockPublicAccessError, and what acl.from_headers and tags.checked raise.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    """
    name = ctx.params["Bucket"]
    check_bucket_name(name)
    _check_configuration(ctx.params.get("CreateBucketConfiguration") or {}, ctx.services.settings.region)
    tenant_id = ctx.caller.tenant_id if ctx.caller else None
    bucket, created = buckets.create(name, ctx.owner_id, tenant_id=tenant_id, **_configuration(ctx))
    if not created and bucket.owner_id != ctx.owner_id:
        raise BucketAlreadyExists(BucketName=name)
    if not created and ctx.services.settings.region != CLASSIC_REGION:
        raise BucketAlreadyOwnedByYou(BucketName=name)
    return {"Location": f"/{name}"}


def _configuration(ctx: Context) -> dict[str, Any]:
    """The columns of the new bucket that are not as models.Bucket has them."""
    columns: dict[str, Any] = dynamic.bucket_defaults(ctx.known.value if ctx.known else None)._asdict()
    if OWNERSHIP in ctx.headers:
        columns["ownership"] = ctx.headers[OWNERSHIP]
        if columns["ownership"] not in dynamic.OWNERSHIPS:
            raise InvalidArgument(f"Invalid {OWNERSHIP} header", ArgumentName=OWNERSHIP, ArgumentValue=columns["ownership"])
    if ctx.params.get("ObjectLockEnabledForBucket"):
        columns |= {"object_lock": "{}", "versioning": VERSIONING_ENABLED}
    if labels := (ctx.params.get("CreateBucketConfiguration") or {}).get("Tags"):
        require(ctx, ("s3:PutBucketTagging", ctx.params["Bucket"]))
        columns["tags"] = tags.dump(tags.checked(labels, limit=tags.MAX_BUCKET_TAGS))
    owner = acls.canonical_id(ctx, ctx.owner_id)
    new = acl.from_headers(ctx.headers, owner, None, acls.finder(ctx))
    if new is None:
        return columns
    if columns["ownership"] == ENFORCED and not acl.is_owners_alone(new, owner):
        raise InvalidBucketAclWithObjectOwnership()
    if (columns["public_access"] or 0) & acls.BLOCK_ACLS and acl.is_public(new):
        raise InvalidBucketAclWithBlockPublicAccessError()
    return columns | {"acl": acl.dump(new)}


def _check_configuration(configuration: dict[str, Any], region: str) -> None:
    wanted = configuration.get("LocationConstraint")
    if wanted and wanted != region:
        raise IllegalLocationConstraintException(
            f"The {wanted} location constraint is incompatible for the region specific endpoint this request was sent to."
        )
    for member in ("Location", "Bucket"):
        if configuration.get(member):
            raise NotImplementedS3(f"CreateBucketConfiguration.{member} is not implemented.")


@s3("HeadBucket", allow="s3:ListBucket")
def head_bucket(ctx: Context) -> dict[str, Any]:
    """Say that the bucket is there, and in which region.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    """
    return {"BucketRegion": ctx.services.settings.region, "AccessPointAlias": False}


@s3("DeleteBucket", allow="s3:DeleteBucket")
def delete_bucket(ctx: Context) -> None:
    """Delete an empty bucket. Raises BucketNotEmpty while any version or delete marker is in it.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html
    """
    buckets.delete(ctx.bucket)


@s3("GetBucketLocation", allow="s3:GetBucketLocation")
def get_bucket_location(ctx: Context) -> dict[str, Any]:
    """Return the region; as on AWS an empty one means us-east-1.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
    """
    region = ctx.services.settings.region
    return {"LocationConstraint": "" if region == CLASSIC_REGION else region}
