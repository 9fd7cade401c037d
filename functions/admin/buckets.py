"""Buckets in the admin API: the same functions and permissions as on the S3 listener, as JSON."""

from __future__ import annotations

import json
from typing import Any

from shared.admin import bucket_models as models
from shared.admin import s3
from shared.admin.bucket_models import BucketView
from shared.admin.context import AdminContext
from shared.admin.errors import InvalidFields, NotFound
from shared.admin.model import Page, cursor_of, position_of
from shared.bucket_errors import BucketAlreadyExists, BucketAlreadyOwnedByYou, NoSuchBucket
from shared.clock import now_ms
from shared.context import Context
from shared.errors import InvalidBucketName
from shared.meta import buckets, catalog, runs, users
from shared.meta.buckets import BucketInfo
from shared.meta.database import repeated, transaction
from shared.protocol import tags
from shared.protocol.names import check_bucket_name
from shared.registry import admin

PATH = "/api/v1/buckets/{bucket}"
MOST_LOOKS = 10     # pages of buckets that are looked through for one page of those the caller may see


@admin("GET /api/v1/buckets", allow="s3:ListBucket", query=models.BucketQuery, gives=Page[BucketView])
def list_all_buckets(ctx: AdminContext) -> Page[BucketView]:
    """Return the buckets that the caller may list, by name. A page can be shorter than asked for, and still have a next one."""
    ctx.asked, query = True, ctx.query
    tenant_id = query.tenant_id if ctx.is_global else ctx.user.tenant_id
    if query.tenant_id not in (None, tenant_id):
        raise NotFound()
    position = position_of(query.cursor, str)
    after, found, more = str(position[0]) if position else "", list[BucketInfo](), True
    for _ in range(MOST_LOOKS):
        rows = catalog.page(tenant_id, query.prefix, after, query.limit + 1)
        more = len(rows) > query.limit
        for row in rows[:query.limit]:
            after = row.name
            if s3.allows(ctx, "HeadBucket", row.name):
                found.append(row)
            if len(found) == query.limit:
                more = more or row is not rows[-1]
                break
        if not more or len(found) == query.limit:
            break
    held = catalog.held([row.id for row in found])
    items = [models.view(ctx, row, held.get(row.id, catalog.Holds())) for row in found]
    return Page(items=items, next_cursor=cursor_of(after) if more else None)


@admin("POST /api/v1/buckets", allow="s3:CreateBucket", takes=models.NewBucket, gives=BucketView, status=201, event="bucket_created")
def create_a_bucket(ctx: AdminContext) -> BucketView:
    """Create a bucket with its configuration, all or nothing.

    Raises InvalidBucketName, BucketAlreadyExists, BucketAlreadyOwnedByYou, TooManyBuckets, InvalidTag, MalformedPolicy, InvalidBucketState.
    """
    wanted: models.NewBucket = ctx.body
    ctx.about("bucket", wanted.name, wanted.name)
    try:
        check_bucket_name(wanted.name)
    except InvalidBucketName as error:
        raise InvalidBucketName(name=error.message) from None
    locked = {"x-amz-bucket-object-lock-enabled": "true"} if wanted.object_lock else {}
    creation = s3.prepare(ctx, "CreateBucket", wanted.name, headers=locked, ObjectLockEnabledForBucket=wanted.object_lock)
    to_be = BucketInfo(0, wanted.name, ctx.user.id, now_ms(), 0, ctx.user.tenant_id)
    calls = [creation, *(s3.for_new(ctx, name, to_be, **params) for name, params in _configuration(wanted))]
    return _view(ctx, _created(wanted.name, ctx.user.id, calls))


def _configuration(wanted: models.NewBucket) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    if wanted.versioning:
        found.append(("PutBucketVersioning", {"VersioningConfiguration": {"Status": wanted.versioning}}))
    if wanted.ownership:
        found.append(("PutBucketOwnershipControls", _ownership(wanted.ownership)))
    if wanted.public_access:
        found.append(("PutPublicAccessBlock", {"PublicAccessBlockConfiguration": wanted.public_access.as_s3()}))
    if wanted.tags:
        found.append(("PutBucketTagging", {"Tagging": {"TagSet": tags.pairs(wanted.tags)}}))
    if wanted.policy is not None:
        found.append(("PutBucketPolicy", {"Policy": json.dumps(wanted.policy)}))
    return found


@repeated
def _created(name: str, owner_id: int, calls: list[Context]) -> BucketInfo:
    with transaction() as conn:
        buckets.bump(conn)      # first of all, as every change of buckets does: so they wait for one another in one order
        if (there := buckets.find(name)) is not None:
            raise (BucketAlreadyOwnedByYou if there.owner_id == owner_id else BucketAlreadyExists)(BucketName=name)
        s3.make(calls[0])
        for call in calls[1:]:
            s3.make(call, buckets.find(name))
        return _found(name)


@admin(f"GET {PATH}", allow="s3:ListBucket", gives=BucketView)
def get_a_bucket(ctx: AdminContext) -> BucketView:
    """Return a bucket, its configuration in short, and what it holds. Raises NoSuchBucket."""
    return _view(ctx, s3.prepare(ctx, "HeadBucket", ctx.args["bucket"]).bucket)


@admin(f"DELETE {PATH}", allow="s3:DeleteBucket", query=models.Force, gives=models.BucketDeletion, event="bucket_deleted")
def delete_a_bucket(ctx: AdminContext) -> models.BucketDeletion:
    """Delete an empty bucket; with `force` start the run that deletes it with all it holds, whatever policies say about single objects.

    Raises BucketNotEmpty while any version or delete marker is in it, NoSuchBucket, PreconditionFailed.
    """
    call = s3.prepare(ctx, "DeleteBucket", ctx.args["bucket"])
    if not ctx.query.force:
        _change(ctx, call)
        return models.BucketDeletion(deleted=True, run_id=None)
    ctx.event = "bucket_force_deleted"
    ctx.require("admin:ForceDeleteBucket", call.bucket.tenant_id, f"bucket/{call.bucket.name}")
    with transaction():
        s3.as_judged(ctx, call.bucket)
        given = {"bucket": call.bucket.id, "tenant": call.bucket.tenant_id}     # whose administrators may watch it
        run_id = runs.enqueue("delete_bucket", given, subject=str(call.bucket.id), again=False)
    ctx.details["run_id"] = run_id
    return models.BucketDeletion(deleted=False, run_id=run_id)


@admin(f"PUT {PATH}/owner", allow="admin:PutBucketOwner", takes=models.NewOwner, gives=BucketView, event="bucket_updated", inside=True)
def put_bucket_owner(ctx: AdminContext) -> BucketView:
    """Give the bucket to another user; who belongs to another tenant takes it, and the quota it uses, there. Objects stay their owners'.

    The bucket's ACL is removed: the new owner has full control, and nobody else what the old one granted.

    Raises NoSuchBucket, InvalidFields for an owner there is not, QuotaExceeded, TooManyBuckets.
    """
    bucket, owner = ctx.known.bucket(ctx.args["bucket"]), ctx.known.principal(ctx.body.owner_id)
    if bucket is not None and not ctx.is_global and bucket.tenant_id != ctx.user.tenant_id:
        bucket = None       # another tenant's is answered like one that is not there
    ctx.require("admin:PutBucketOwner", bucket.tenant_id if bucket else ctx.user.tenant_id, f"bucket/{ctx.args['bucket']}")
    if bucket is None:
        raise NoSuchBucket(BucketName=ctx.args["bucket"])
    if owner is None or not (ctx.is_global or owner.tenant_id == ctx.user.tenant_id):
        raise _no_such_owner()
    if owner.tenant_id != bucket.tenant_id:
        ctx.require("admin:PutBucketOwner", owner.tenant_id, f"bucket/{bucket.name}")
    ctx.details = {"owner_id": owner.id, "was": bucket.owner_id}
    _give(ctx, bucket, owner.id, owner.tenant_id)
    return _view(ctx, _found(bucket.name))


def _no_such_owner() -> InvalidFields:
    """What is said of an owner who is not there, or no longer, or another tenant's."""
    return InvalidFields(fields={"owner_id": "There is no such user."})


@repeated
def _give(ctx: AdminContext, bucket: BucketInfo, owner_id: int, tenant_id: int) -> None:
    with transaction() as conn:
        buckets.bump(conn)
        s3.as_judged(ctx, bucket)
        if users.find(owner_id) is None:
            raise _no_such_owner()
        buckets.move(bucket.id, tenant_id)
        # A list of grants has an owner of its own, to whom it would go on giving the bucket.
        buckets.change(bucket, owner_id=owner_id, acl=None)


# ---- configuration ------------------------------------------------------------------------------------------------------------------


@admin(f"GET {PATH}/versioning", allow="s3:GetBucketVersioning", gives=models.VersioningView)
def get_versioning(ctx: AdminContext) -> models.VersioningView:
    """Return whether the bucket keeps old versions. Raises NoSuchBucket."""
    bucket = _asked(ctx, "GetBucketVersioning")
    return models.VersioningView(status=models.versioning(bucket), revision=bucket.revision)


@admin(f"PUT {PATH}/versioning", allow="s3:PutBucketVersioning", takes=models.NewVersioning, gives=models.VersioningView,
       event="bucket_updated")
def put_versioning(ctx: AdminContext) -> models.VersioningView:
    """Enable or suspend versioning. Raises NoSuchBucket, PreconditionFailed."""
    bucket = _put(ctx, "PutBucketVersioning", VersioningConfiguration={"Status": ctx.body.status})
    return models.VersioningView(status=models.versioning(bucket), revision=bucket.revision)


@admin(f"GET {PATH}/tagging", allow="s3:GetBucketTagging", gives=models.TagsView)
def get_bucket_tags(ctx: AdminContext) -> models.TagsView:
    """Return the labels, which may be none. Raises NoSuchBucket."""
    bucket = _asked(ctx, "GetBucketTagging")
    return models.TagsView(tags=tags.load(bucket.tags), revision=bucket.revision)


@admin(f"PUT {PATH}/tagging", allow="s3:PutBucketTagging", takes=models.NewTags, gives=models.TagsView, event="bucket_updated")
def put_bucket_tags(ctx: AdminContext) -> models.TagsView:
    """Replace the labels. Raises InvalidTag, NoSuchBucket, PreconditionFailed."""
    bucket = _put(ctx, "PutBucketTagging", Tagging={"TagSet": tags.pairs(ctx.body.tags)})
    return models.TagsView(tags=tags.load(bucket.tags), revision=bucket.revision)


@admin(f"DELETE {PATH}/tagging", allow="s3:PutBucketTagging", event="bucket_updated")
def delete_bucket_tags(ctx: AdminContext) -> None:
    """Remove the labels. Raises NoSuchBucket."""
    _put(ctx, "DeleteBucketTagging")


@admin(f"GET {PATH}/policy", allow="s3:GetBucketPolicy", gives=models.PolicyView)
def get_policy_of_bucket(ctx: AdminContext) -> models.PolicyView:
    """Return the bucket's policy, and whether the bucket is public. Raises NoSuchBucket."""
    return _policy(ctx, _asked(ctx, "GetBucketPolicy"))


@admin(f"PUT {PATH}/policy", allow="s3:PutBucketPolicy", takes=models.NewPolicy, gives=models.PolicyView, event="bucket_updated")
def put_policy_of_bucket(ctx: AdminContext) -> models.PolicyView:
    """Replace the bucket's policy. Raises MalformedPolicy, which says where the fault is; NoSuchBucket, PreconditionFailed."""
    return _policy(ctx, _put(ctx, "PutBucketPolicy", Policy=json.dumps(ctx.body.policy, indent=2, ensure_ascii=False)))


@admin(f"DELETE {PATH}/policy", allow="s3:DeleteBucketPolicy", event="bucket_updated")
def delete_policy_of_bucket(ctx: AdminContext) -> None:
    """Remove the bucket's policy. Raises NoSuchBucket."""
    _put(ctx, "DeleteBucketPolicy")


@admin(f"GET {PATH}/ownership", allow="s3:GetBucketOwnershipControls", gives=models.OwnershipView)
def get_ownership(ctx: AdminContext) -> models.OwnershipView:
    """Return who owns what others write into the bucket. Raises NoSuchBucket."""
    bucket = _asked(ctx, "GetBucketOwnershipControls")
    return models.OwnershipView.model_validate(bucket, from_attributes=True)


@admin(f"PUT {PATH}/ownership", allow="s3:PutBucketOwnershipControls", takes=models.NewOwnership, gives=models.OwnershipView,
       event="bucket_updated")
def put_ownership(ctx: AdminContext) -> models.OwnershipView:
    """Set or remove the rule. Raises InvalidBucketAclWithObjectOwnership, NoSuchBucket, PreconditionFailed."""
    wanted = ctx.body.ownership
    removed = wanted is None
    bucket = _put(ctx, "DeleteBucketOwnershipControls") if removed else _put(ctx, "PutBucketOwnershipControls", **_ownership(wanted))
    return models.OwnershipView.model_validate(bucket, from_attributes=True)


@admin(f"GET {PATH}/public-access-block", allow="s3:GetBucketPublicAccessBlock", gives=models.PublicAccessView)
def get_public_access(ctx: AdminContext) -> models.PublicAccessView:
    """Return the switches that keep the bucket from being public. Raises NoSuchBucket."""
    bucket = _asked(ctx, "GetPublicAccessBlock")
    return models.PublicAccessView(public_access=models.PublicAccess.of(bucket.public_access), revision=bucket.revision)


@admin(f"PUT {PATH}/public-access-block", allow="s3:PutBucketPublicAccessBlock", takes=models.NewPublicAccess,
       gives=models.PublicAccessView, event="bucket_public_access_block_configured")
def put_public_access(ctx: AdminContext) -> models.PublicAccessView:
    """Set or remove the switches. Raises NoSuchBucket, PreconditionFailed."""
    wanted = ctx.body.public_access
    if wanted is None:
        bucket = _put(ctx, "DeletePublicAccessBlock")
    else:
        bucket = _put(ctx, "PutPublicAccessBlock", PublicAccessBlockConfiguration=wanted.as_s3())
    return models.PublicAccessView(public_access=models.PublicAccess.of(bucket.public_access), revision=bucket.revision)


def _ownership(wanted: str) -> dict[str, Any]:
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": wanted}]}}


def _policy(ctx: AdminContext, bucket: BucketInfo) -> models.PolicyView:
    return models.PolicyView(policy=models.policy_of(bucket), is_public=models.is_public(ctx, bucket), revision=bucket.revision)


def _asked(ctx: AdminContext, name: str) -> BucketInfo:
    """The bucket, for who may make this S3 call about it."""
    return s3.prepare(ctx, name, ctx.args["bucket"]).bucket


def _put(ctx: AdminContext, name: str, **params: Any) -> BucketInfo:
    """Make an S3 call that changes the bucket's configuration, unless its revision is no longer the expected one; the bucket after it."""
    call = s3.prepare(ctx, name, ctx.args["bucket"], **params)
    ctx.details = {"operation": name}
    _change(ctx, call)
    return _found(ctx.args["bucket"])


@repeated
def _change(ctx: AdminContext, call: Context) -> None:
    with transaction() as conn:
        buckets.bump(conn)
        s3.make(call, s3.as_judged(ctx, call.bucket))


def _found(name: str) -> BucketInfo:
    found = buckets.find(name)
    if found is None:
        raise NoSuchBucket(BucketName=name)
    return found


def _view(ctx: AdminContext, bucket: BucketInfo) -> BucketView:
    return models.view(ctx, bucket, catalog.held([bucket.id]).get(bucket.id, catalog.Holds()))
