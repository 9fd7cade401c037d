"""Buckets and their configuration as documents of the admin API."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from shared.admin.context import AdminContext
from shared.admin.model import Model, PageQuery
from shared.auth import acl
from shared.meta.buckets import BucketInfo
from shared.meta.catalog import Holds
from shared.meta.models import PUBLIC_ACCESS, VERSIONING_NAMES

ENFORCED, IGNORE_ACLS, RESTRICT = "BucketOwnerEnforced", 2, 8

Versioning = Literal["Off", "Enabled", "Suspended"]
Ownership = Literal["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]
Tags = dict[str, str]


class PublicAccess(Model):
    """What keeps a bucket from being public."""

    block_public_acls: bool = Field(True, description="Refuse ACLs that grant something to everybody.")
    ignore_public_acls: bool = Field(True, description="Give nothing to those whom ACLs call everybody.")
    block_public_policy: bool = Field(True, description="Refuse policies that make the bucket public.")
    restrict_public_buckets: bool = Field(True, description="Let nobody outside the tenant in by a public policy.")

    @classmethod
    def of(cls, bits: int | None) -> PublicAccess | None:
        """The switches that a bucket's bits stand for; None where there are none."""
        return None if bits is None else cls(**{name: bool(bits >> place & 1) for place, name in enumerate(cls.model_fields)})

    def as_s3(self) -> dict[str, bool]:
        """The same by the names of S3."""
        return dict(zip(PUBLIC_ACCESS, self.model_dump().values(), strict=True))


class BucketView(Model):
    """A bucket, its configuration in short, and what it holds."""

    name: str
    tenant_id: int = Field(description="0: it belongs to no tenant.")
    owner_id: int
    owner_name: str = Field(description="Empty when the owner is gone.")
    created_ms: int
    versioning: Versioning
    object_lock: bool = Field(description="Whether versions can be locked; then versioning stays enabled.")
    ownership: Ownership | None = Field(description="Null: ACLs count, and objects are their writers'.")
    public_access: PublicAccess | None = Field(description="Null: nothing is blocked.")
    has_policy: bool
    is_public: bool = Field(description="Whether its policy or ACL lets everybody in.")
    objects: int = Field(description="Current objects.")
    versions: int = Field(description="Noncurrent versions and delete markers.")
    bytes: int = Field(description="Of all versions.")
    revision: int


class BucketQuery(PageQuery):
    """Which buckets."""

    tenant_id: int | None = Field(None, ge=0, le=(1 << 62), description="Only this tenant's; 0: those of none.")
    prefix: str = Field("", max_length=63, description="Only names that begin so.")


class NewBucket(Model):
    """A bucket to be made. What is not said is as the settings `storage.default_…` have it."""

    name: str = Field(max_length=63)
    versioning: Literal["Enabled", "Suspended"] | None = None
    object_lock: bool = Field(False, description="Versions can be locked: for good, and with versioning enabled.")
    ownership: Ownership | None = None
    public_access: PublicAccess | None = None
    tags: Tags = Field({}, max_length=50)
    policy: dict[str, Any] | None = None


class VersioningView(Model):
    """Whether a bucket keeps old versions."""

    status: Versioning
    revision: int


class NewVersioning(Model):
    """Once enabled it can be suspended, but never be off again."""

    status: Literal["Enabled", "Suspended"]


class TagsView(Model):
    """Labels of a bucket."""

    tags: Tags
    revision: int


class NewTags(Model):
    """The whole set, which replaces the one there is; an empty one removes it."""

    tags: Tags = Field(max_length=50)


class PolicyView(Model):
    """The policy of a bucket."""

    policy: dict[str, Any] | None = Field(description="Null: there is none.")
    is_public: bool
    revision: int


class NewPolicy(Model):
    """A policy in the JSON language of AWS, which replaces the one there is."""

    policy: dict[str, Any]


class OwnershipView(Model):
    """Who owns what others write into a bucket, and whether ACLs count."""

    ownership: Ownership | None
    revision: int


class NewOwnership(Model):
    """The rule; null removes it."""

    ownership: Ownership | None


class PublicAccessView(Model):
    """The public access block of a bucket."""

    public_access: PublicAccess | None
    revision: int


class NewPublicAccess(Model):
    """All four switches; null removes them."""

    public_access: PublicAccess | None


class Force(Model):
    """Whether what it holds goes too."""

    force: bool = Field(False, description="Delete its objects, versions and uploads too, for good; with `admin:ForceDeleteBucket`.")


class BucketDeletion(Model):
    """What became of the wish to delete a bucket."""

    deleted: bool = Field(description="It is gone.")
    run_id: int | None = Field(description="The run that deletes it with all it holds: see `GET /api/v1/runs/{run}`. Null without one.")


class NewOwner(Model):
    """Whose the bucket is to be. An owner of another tenant takes the bucket there."""

    owner_id: int = Field(ge=1, le=(1 << 31) - 1)


def view(ctx: AdminContext, bucket: BucketInfo, held: Holds) -> BucketView:
    """The document of a bucket."""
    owner = ctx.known.principal(bucket.owner_id)
    return BucketView(
        name=bucket.name, tenant_id=bucket.tenant_id, owner_id=bucket.owner_id, owner_name=owner.name if owner else "",
        created_ms=bucket.created_ms, versioning=versioning(bucket), object_lock=bucket.object_lock is not None,
        ownership=bucket.ownership,     # type: ignore[arg-type]
        public_access=PublicAccess.of(bucket.public_access), has_policy=bucket.policy is not None, is_public=is_public(ctx, bucket),
        objects=held.objects, versions=held.versions, bytes=held.bytes, revision=bucket.revision,
    )


def versioning(bucket: BucketInfo) -> Versioning:
    """The state by its name."""
    return VERSIONING_NAMES.get(bucket.versioning, "Off")   # type: ignore[return-value]


def is_public(ctx: AdminContext, bucket: BucketInfo) -> bool:
    """Whether everybody is let in, by the policy or by an ACL that counts."""
    switches = bucket.public_access or 0
    by_policy = bucket.policy is not None and ctx.known.bucket_policy_is_public(bucket) and not switches & RESTRICT
    # Not known.bucket_acl, which has the list as it was when the call began: the bucket may have been changed by this very call.
    by_acl = bucket.ownership != ENFORCED and not switches & IGNORE_ACLS and acl.is_public(ctx.known.acl(bucket.acl, bucket.owner_id))
    return by_policy or by_acl


def policy_of(bucket: BucketInfo) -> dict[str, Any] | None:
    """The policy as a document."""
    found: dict[str, Any] | None = json.loads(bucket.policy) if bucket.policy is not None else None
    return found
