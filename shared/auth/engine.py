"""The permission engine: who may do what. Everything is denied unless something here allows it, and an explicit deny beats every allow.

The order, for one action on one resource:

1. what narrows the access key (its scope, policies attached to it) must allow it; that binds root's keys too;
2. root may do everything; a suspended user, or one of a suspended tenant, nothing;
3. a bucket of a suspended tenant is closed to all but global users;
4. a deny in the caller's policies or in the bucket's policy refuses;
5. an allow in the caller's policies counts in buckets of their own tenant; for a global user, in every bucket;
6. an allow in the bucket's policy counts for whomever it names; a public one only within the tenant under RestrictPublicBuckets;
7. where ACLs are switched on, they grant too, and they alone decide about what they govern for the owner of a bucket;
8. everything else is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from shared.auth.acl import READ, READ_ACP, WRITE, WRITE_ACP, Acl, grants
from shared.auth.policy import Asking, Bundle, Verdict, Who, evaluate
from shared.protocol import tags

ANYONE = "anyone"
ARN = "arn:aws:s3:::"
PRINCIPAL_TAG = "aws:principaltag/"
GLOBAL = 0                      # the tenant id of who belongs to no tenant
ENFORCED = "BucketOwnerEnforced"    # the ownership that switches ACLs off
IGNORE_PUBLIC_ACLS, RESTRICT_PUBLIC_BUCKETS = 2, 8      # bits of Bucket.public_access

# What ACLs govern: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#permissions
BUCKET_ACL = {
    "s3:ListBucket": READ, "s3:ListBucketVersions": READ, "s3:ListBucketMultipartUploads": READ,
    "s3:PutObject": WRITE, "s3:DeleteObject": WRITE, "s3:AbortMultipartUpload": WRITE, "s3:ListMultipartUploadParts": WRITE,
    "s3:GetBucketAcl": READ_ACP, "s3:PutBucketAcl": WRITE_ACP,
}
OBJECT_ACL = {
    "s3:GetObject": READ, "s3:GetObjectVersion": READ, "s3:GetObjectAttributes": READ, "s3:GetObjectVersionAttributes": READ,
    "s3:GetObjectAcl": READ_ACP, "s3:GetObjectVersionAcl": READ_ACP, "s3:PutObjectAcl": WRITE_ACP, "s3:PutObjectVersionAcl": WRITE_ACP,
}

WITH_TAGS = "s3:PutObjectTagging"

Context = Callable[[str], "tuple[str, ...] | None"]


class Caller(Protocol):
    """Somebody who has signed a request."""

    @property
    def id(self) -> int: ...
    @property
    def canonical_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def is_root(self) -> bool: ...
    @property
    def tenant_id(self) -> int: ...
    @property
    def tags(self) -> str | None: ...


class Bucket(Protocol):
    """A bucket as far as permissions depend on it."""

    @property
    def owner_id(self) -> int: ...
    @property
    def tenant_id(self) -> int: ...
    @property
    def ownership(self) -> str | None: ...
    @property
    def public_access(self) -> int | None: ...
    @property
    def acl(self) -> str | None: ...


class Known(Protocol):
    """Where policies and ACLs come from: shared.identity.Generation."""

    def who(self, principal: Any, /) -> Who: ...
    def documents(self, principal_id: int, /) -> Bundle: ...
    def key_documents(self, access_key: str, /) -> tuple[Bundle, ...]: ...
    def bucket_document(self, bucket: Any, /) -> Bundle | None: ...
    def bucket_policy_is_public(self, bucket: Any, /) -> bool: ...
    def bucket_acl(self, bucket: Any, /) -> Acl: ...
    def tenant_is_active(self, tenant_id: int, /) -> bool: ...
    def inactive(self, principal: Any, /) -> str: ...


class About(Protocol):
    """One resource that is asked about: its bucket (None: there is none), condition keys, and the ACL of the object version."""

    @property
    def bucket(self) -> Bucket | None: ...
    def context(self, key: str, /) -> tuple[str, ...] | None: ...
    def object_acl(self, action: str, /) -> Acl | None: ...


class Access(Protocol):
    """Who asks, by which key, in which generation; ``about`` looks a resource (``bucket/key``) up."""

    @property
    def known(self) -> Known: ...
    @property
    def caller(self) -> Caller | None: ...
    @property
    def access_key(self) -> str | None: ...
    def about(self, resource: str, /) -> About: ...


class Decision(NamedTuple):
    """Whether a request is allowed, and the statement that decided, for the log.

    ``missing`` names the resource when there is no such object and the caller may be told so. ``implicit``: nothing denies it, and nothing
    allows it.
    """

    allowed: bool
    reason: str
    missing: str = ""
    implicit: bool = False


ROOT_MAY = Decision(True, "root may do everything")
FREE = Decision(True, "asks for no permission")


def decide(access: Access, wanted: Iterable[tuple[str, str]]) -> Decision:
    """Decide about all the wanted (action, resource) pairs together; one that is not allowed denies the request.

    Resources are ``bucket``, ``bucket/key`` or ``*``.
    """
    caller, decision = access.caller, FREE
    bounds = access.known.key_documents(access.access_key) if access.access_key is not None else ()
    for action, resource in wanted:
        if action == ANYONE:
            continue
        if caller is not None and caller.is_root and not bounds:
            decision = ROOT_MAY
            continue
        decision = _one(access, bounds, action, resource)
        if not decision.allowed:
            return decision
    return decision


def _one(access: Access, bounds: tuple[Bundle, ...], action: str, resource: str) -> Decision:
    caller, about = access.caller, access.about(resource)
    asking = Asking(action, ARN + resource, access.known.who(caller) if caller is not None else None, about.context)
    for bound in bounds:
        verdict = evaluate(bound, asking)
        if verdict.effect != "allow":
            return _refused(verdict, f"the access key is narrowed and does not reach {action} on {resource}")
    if caller is not None and caller.is_root:
        return ROOT_MAY
    if caller is not None and (fault := access.known.inactive(caller)):     # no key of theirs works, but they may have a session
        return Decision(False, fault)
    bucket = about.bucket
    if bucket is not None and not access.known.tenant_is_active(bucket.tenant_id) and (caller is None or caller.tenant_id != GLOBAL):
        return Decision(False, "the tenant of the bucket is not active")
    mine = evaluate(access.known.documents(caller.id), asking) if caller is not None else NOTHING
    policy = access.known.bucket_document(bucket) if bucket is not None else None
    theirs = evaluate(policy, asking) if policy is not None else NOTHING
    for verdict in (mine, theirs):
        if verdict.effect == "deny":
            return Decision(False, verdict.reason)
    return _granted(access, about, asking, mine, theirs) or _nobody_allows(caller, mine, action, resource)


NOTHING = Verdict("", "no statement applies")


def _granted(access: Access, about: About, asking: Asking, mine: Verdict, theirs: Verdict) -> Decision | None:
    """The first grant there is, when nothing denies; None for none."""
    caller, bucket, action = access.caller, about.bucket, asking.action
    inside = caller is not None and (bucket is None or caller.tenant_id in (GLOBAL, bucket.tenant_id))
    if mine.effect == "allow" and inside and not _acl_alone(caller, about, action):
        return Decision(True, mine.reason)
    if bucket is None:
        return None
    restricted = (bucket.public_access or 0) & RESTRICT_PUBLIC_BUCKETS and access.known.bucket_policy_is_public(bucket)
    if theirs.effect == "allow" and (inside or not restricted):
        return Decision(True, theirs.reason)
    return None if bucket.ownership == ENFORCED else _by_acl(access, about, bucket, asking)


def _acl_alone(caller: Caller | None, about: About, action: str) -> bool:
    """Whether the caller's policies count for nothing: to its owner, a bucket with ACLs says by them who may do what they govern.

    A list that was never set gives the owner full control, so there is nothing to ask.
    """
    bucket = about.bucket
    if caller is None or bucket is None or bucket.ownership == ENFORCED or caller.id != bucket.owner_id:
        return False
    if action in BUCKET_ACL:
        return bucket.acl is not None
    if action not in OBJECT_ACL:
        return False
    found = about.object_acl(action)
    return found is not None and found.owner != caller.canonical_id


def _by_acl(access: Access, about: About, bucket: Bucket, asking: Asking) -> Decision | None:
    caller, action = access.caller, asking.action
    who = caller.canonical_id if caller is not None else None
    public = not (bucket.public_access or 0) & IGNORE_PUBLIC_ACLS
    if (permission := BUCKET_ACL.get(action)) is not None:
        found: Acl | None = access.known.bucket_acl(bucket)
    elif action == "s3:DeleteObjectVersion" and caller is not None and caller.id == bucket.owner_id:
        found, permission = access.known.bucket_acl(bucket), WRITE
    elif action == WITH_TAGS:       # of the object that is being written: who may write it may say what it is
        found, permission = about.object_acl(action), WRITE_ACP
    elif (permission := OBJECT_ACL.get(action)) is not None:
        found = about.object_acl(action)
        if found is None:       # no object, no list. Allowing it would be a race against somebody who is writing the object now
            listing = grants(access.known.bucket_acl(bucket), who, public=public)
            return Decision(False, "there is no such object", asking.resource.removeprefix(ARN)) if READ in listing else None
    else:
        return None
    if found is not None and permission in grants(found, who, public=public):
        return Decision(True, f"the ACL grants {permission}")
    return None


def _refused(verdict: Verdict, otherwise: str) -> Decision:
    return Decision(False, verdict.reason if verdict.effect == "deny" else otherwise)


def _nobody_allows(caller: Caller | None, mine: Verdict, action: str, resource: str) -> Decision:
    if caller is None:
        reason = f"nobody may {action} on {resource}"
    elif mine.effect == "allow":
        reason = f"{mine.reason}, which does not reach {resource}: another tenant's, or ACLs alone decide"
    else:
        reason = f"no statement allows {caller.name} {action} on {resource}"
    return Decision(False, reason, implicit=True)


# ---- the admin API ------------------------------------------------------------------------------------------------------------------


def decide_admin(known: Known, caller: Caller | None, action: str, resource: str, target_tenant_id: int) -> Decision:
    """Decide about an ``admin:`` action on ``arn:maxiofs:::tenant/{tenant id}/{kind}/{id}`` of the tenant ``target_tenant_id``.

    Nobody but a global user reaches another tenant or what belongs to the installation, whatever their policies say.
    """
    if caller is None:
        return Decision(False, f"nobody may {action} on {resource}")
    if fault := known.inactive(caller):
        return Decision(False, fault)
    if caller.is_root:
        return ROOT_MAY
    who = known.who(caller)
    verdict = evaluate(known.documents(caller.id), Asking(action, resource, who, lambda key: _about_caller(caller, who, key)))
    if verdict.effect == "deny":
        return Decision(False, verdict.reason)
    if verdict.effect == "allow" and caller.tenant_id in (GLOBAL, target_tenant_id):
        return Decision(True, verdict.reason)
    return _nobody_allows(caller, verdict, action, resource)


def _about_caller(caller: Caller, who: Who, key: str) -> tuple[str, ...] | None:
    """The condition keys of requests that are not S3's."""
    if key.startswith(PRINCIPAL_TAG):
        return tags.chosen(tags.load(caller.tags), key[len(PRINCIPAL_TAG):])
    now_s = time.time()
    return {
        "aws:username": (who.name,), "aws:userid": (who.canonical_id,), "aws:principalarn": (who.arn,), "aws:principaltype": ("User",),
        "aws:currenttime": (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s)),), "aws:epochtime": (str(int(now_s)),),
    }.get(key)
