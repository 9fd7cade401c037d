"""The access control list that a request asks for: read, resolved, and held against what the bucket takes.

What an ACL is and grants: shared/auth/acl.py.
"""

from __future__ import annotations

from typing import Any

from shared.auth import acl
from shared.auth.acl import Acl, Find
from shared.auth.engine import ENFORCED
from shared.context import Context
from shared.errors import AccessControlListNotSupported, AccessDenied, MissingSecurityHeader, S3Error, UnexpectedContent
from shared.meta import grantees
from shared.meta.buckets import BucketInfo
from shared.meta.models import INSTALLATION, PUBLIC_ACCESS

BLOCK_ACLS, IGNORE_ACLS, BLOCK_POLICY, RESTRICT_BUCKETS = (1 << place for place in range(len(PUBLIC_ACCESS)))

NO_TENANT = -1      # of who has not signed: nobody is in it


def canonical_id(ctx: Context, principal_id: int) -> str:
    """The canonical id of a principal; empty when there is none."""
    assert ctx.known is not None
    found = ctx.known.principal(principal_id)
    return found.canonical_id if found else ""


def finder(ctx: Context) -> Find:
    """Looks grantees up for the sender. By address, who belongs to a tenant finds its people only: others' are not there for them."""
    caller = ctx.caller
    if caller is not None and caller.tenant_id == INSTALLATION:
        return grantees.find
    tenant_id = NO_TENANT if caller is None else caller.tenant_id
    return lambda kind, value: grantees.find(kind, value, tenant_id)


def shown(of: Acl) -> dict[str, Any]:
    """An ACL as GetBucketAcl and GetObjectAcl answer it."""
    names = grantees.names({of.owner, *(grant.grantee for grant in of.grants if not grant.is_group)})
    return acl.to_xml(of, lambda one: names.get(one, ""))


def asked(ctx: Context, owner: str, bucket_owner: str | None) -> Acl:
    """The list that PutBucketAcl or PutObjectAcl brings, in its headers or in its body. ``owner`` owns the bucket or object.

    Raises UnexpectedContent (both), MissingSecurityHeader (neither), and what acl.from_headers and acl.from_xml raise.
    """
    document = ctx.params.get("AccessControlPolicy")
    by_headers = acl.from_headers(ctx.headers, owner, bucket_owner, finder(ctx))
    if by_headers is not None and document is not None:
        raise UnexpectedContent()
    if by_headers is not None:
        return by_headers
    if document is None:
        raise MissingSecurityHeader(MissingHeaderName=acl.CANNED_HEADER)
    return acl.from_xml(document, owner, finder(ctx))


def check(bucket: BucketInfo, new: Acl) -> None:
    """Raise AccessControlListNotSupported when the bucket has ACLs switched off, AccessDenied when it blocks public ones and this is."""
    if bucket.ownership == ENFORCED:
        raise AccessControlListNotSupported()
    if (bucket.public_access or 0) & BLOCK_ACLS and acl.is_public(new):
        raise AccessDenied()


def of_new_object(ctx: Context) -> str | None:
    """The list that the headers of a write ask for, as stored; None for the list of who owns it alone (``ctx.owner_id``).

    Where ACLs are switched off, a list is accepted only when it says what is so anyway: that the bucket's owner controls the object.
    Raises AccessControlListNotSupported, AccessDenied (a public list that the bucket blocks), and what acl.from_headers raises.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    bucket, bucket_owner = ctx.bucket, canonical_id(ctx, ctx.bucket.owner_id)
    writer = ctx.caller.canonical_id if ctx.caller is not None else bucket_owner
    new = acl.from_headers(ctx.headers, writer, bucket_owner, finder(ctx))
    if new is None:
        return None
    if bucket.ownership == ENFORCED and acl.is_owners_alone(new, bucket_owner):
        return None
    check(bucket, new)
    given_up = canonical_id(ctx, ctx.owner_id) != writer        # BucketOwnerPreferred: the bucket's owner owns it alone
    return None if given_up else acl.dump(new)


def gives_away(ctx: Context) -> bool:
    """Whether the headers of a write grant anything to others than the writer and the bucket's owner: that takes a permission of its own.

    What is not readable counts as giving away: the write is refused either way.
    """
    if not acl.named(ctx.headers):
        return False
    assert ctx.bucket_found is not None
    bucket_owner = canonical_id(ctx, ctx.bucket_found.owner_id)
    writer = ctx.caller.canonical_id if ctx.caller is not None else bucket_owner
    try:
        new = acl.from_headers(ctx.headers, writer, bucket_owner, lambda kind, value: value if kind == "id" else f"<{value}>")
    except S3Error:
        return True
    return new is None or any(grant.grantee not in (writer, bucket_owner) for grant in new.grants)
