"""Access control lists of buckets and objects in the admin API. They count only where ownership is not BucketOwnerEnforced."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from shared.admin import s3
from shared.admin.context import AdminContext
from shared.admin.model import Model
from shared.admin.object_models import VersionQuery
from shared.auth.acl import CANNED_HEADER, GROUPS, MAX_GRANTS
from shared.meta import buckets
from shared.meta.database import repeated, transaction
from shared.registry import admin

BUCKET = "/api/v1/buckets/{bucket}"
OBJECT = BUCKET + "/objects/{key}"
Permission = Literal["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"]
Canned = Literal[
    "private", "public-read", "public-read-write", "authenticated-read", "bucket-owner-read", "bucket-owner-full-control",
    "log-delivery-write",
]


class AclGrant(Model):
    """What somebody was granted."""

    grantee: str = Field(min_length=1, max_length=256, description="A canonical id, or the URI of a group.")
    permission: Permission


class AclView(Model):
    """Who was granted what."""

    owner: str = Field(description="Canonical id.")
    grants: list[AclGrant]


class NewAcl(Model):
    """Either a canned list, or all grants one by one."""

    canned: Canned | None = None
    grants: list[AclGrant] | None = Field(None, max_length=MAX_GRANTS)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.canned is None) == (self.grants is None):
            raise ValueError("Either canned or grants is needed, and not both.")
        return self


@admin(f"GET {BUCKET}/acl", allow="s3:GetBucketAcl", gives=AclView)
def get_acl_of_bucket(ctx: AdminContext) -> AclView:
    """Return who was granted what on the bucket. Raises NoSuchBucket."""
    return _view(s3.call(ctx, "GetBucketAcl", ctx.args["bucket"]))


@admin(f"PUT {BUCKET}/acl", allow="s3:PutBucketAcl", takes=NewAcl, gives=AclView, event="bucket_updated")
def put_acl_of_bucket(ctx: AdminContext) -> AclView:
    """Replace the bucket's list.

    Raises AccessControlListNotSupported where ACLs are switched off, AccessDenied for a public one where that is blocked, InvalidArgument
    for a grantee there is not, NoSuchBucket, PreconditionFailed.
    """
    name = ctx.args["bucket"]
    owner = s3.call(ctx, "GetBucketAcl", name)["Owner"]["ID"]
    call = s3.prepare(ctx, "PutBucketAcl", name, headers=_canned(ctx.body), **_grants(ctx.body, owner))
    ctx.details = {"operation": "PutBucketAcl"}

    @repeated
    def change() -> None:
        with transaction() as conn:
            buckets.bump(conn)
            s3.make(call, s3.as_judged(ctx, call.bucket))

    change()
    call = s3.prepare(ctx, "GetBucketAcl", name)
    return _view(s3.make(call, buckets.find(name)))


@admin(f"GET {OBJECT}/acl", allow="s3:GetObjectAcl", query=VersionQuery, gives=AclView)
def get_acl_of_object(ctx: AdminContext) -> AclView:
    """Return who was granted what on an object. Raises NoSuchBucket, NoSuchKey, NoSuchVersion."""
    return _view(s3.call(ctx, "GetObjectAcl", ctx.args["bucket"], ctx.args["key"], query=_version(ctx)))


@admin(f"PUT {OBJECT}/acl", allow="s3:PutObjectAcl", query=VersionQuery, takes=NewAcl, gives=AclView, event="object_updated")
def put_acl_of_object(ctx: AdminContext) -> AclView:
    """Replace an object's list. Raises what it does for a bucket, NoSuchKey, NoSuchVersion."""
    bucket, key, query = ctx.args["bucket"], ctx.args["key"], _version(ctx)
    ctx.about("object", f"{bucket}/{key}", f"{bucket}/{key}")
    owner = s3.call(ctx, "GetObjectAcl", bucket, key, query=query)["Owner"]["ID"]
    s3.call(ctx, "PutObjectAcl", bucket, key, query=query, headers=_canned(ctx.body), **_grants(ctx.body, owner))
    return _view(s3.call(ctx, "GetObjectAcl", bucket, key, query=query))


def _view(found: dict[str, Any]) -> AclView:
    grants = [AclGrant(grantee=one["Grantee"].get("ID") or one["Grantee"]["URI"], permission=one["Permission"]) for one in found["Grants"]]
    return AclView(owner=found["Owner"]["ID"], grants=grants)


def _canned(wanted: NewAcl) -> dict[str, str]:
    return {CANNED_HEADER: wanted.canned} if wanted.canned else {}


def _grants(wanted: NewAcl, owner: str) -> dict[str, Any]:
    if wanted.grants is None:
        return {}
    grants = [{"Grantee": _grantee(one.grantee), "Permission": one.permission} for one in wanted.grants]
    return {"AccessControlPolicy": {"Owner": {"ID": owner}, "Grants": grants}}


def _grantee(name: str) -> dict[str, str]:
    return {"Type": "Group", "URI": name} if name.startswith(GROUPS) else {"Type": "CanonicalUser", "ID": name}


def _version(ctx: AdminContext) -> dict[str, str]:
    return {"versionId": ctx.query.version_id} if ctx.query.version_id else {}
