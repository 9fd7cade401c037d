"""Bootstrap: bring the database to what the file wants, in the order in which things need each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared import acls, dynamic
from shared.auth import acl, policy
from shared.auth.engine import ENFORCED
from shared.auth.sealing import MasterKey
from shared.bootstrap.document import OFF, Bootstrap, BootstrapError, BucketEntry, PolicyEntry, TenantEntry, policy_text
from shared.bootstrap.outcome import Change
from shared.bootstrap.people import different, put_group, put_user, tenant_id_of
from shared.bucket_errors import InvalidBucketAclWithObjectOwnership
from shared.errors import AccessDenied, Conflict, NotFound, S3Error
from shared.meta import buckets, groups, policies, tenants, users
from shared.meta.buckets import BucketInfo
from shared.meta.identity_models import TENANT_ACTIVE, TENANT_SUSPENDED
from shared.meta.models import PUBLIC_ACCESS, VERSIONING_ENABLED, VERSIONING_SUSPENDED
from shared.meta.users import UserRow
from shared.protocol import tags

BY = "bootstrap"        # who changed a setting
_STATUS = {"active": TENANT_ACTIVE, "suspended": TENANT_SUSPENDED}
_VERSIONING = {"Enabled": VERSIONING_ENABLED, "Suspended": VERSIONING_SUSPENDED}


def reconcile(wanted: Bootstrap, master_key: MasterKey, hashes: Mapping[str, str]) -> list[Change]:
    """Do all that is to be done, inside the caller's transaction. Raises BootstrapError with the first thing that cannot be."""
    done: list[Change] = []
    differ = dynamic.put(wanted.settings, BY)
    done += [Change("updated", "setting", name, (f"{before} to {after}",)) for name, (before, after) in differ.items()]
    steps: list[tuple[str, str, Iterable[Change]]] = [
        *(("tenant", entry.name, _put_tenant(entry)) for entry in wanted.tenants),
        *(("policy", entry.name, _put_policy(entry)) for entry in wanted.policies),
        *(("group", entry.name, put_group(entry, groups.groups, "group")) for entry in wanted.groups),
        *(("role", entry.name, put_group(entry, groups.roles, "role")) for entry in wanted.roles),
        *(("user", entry.username, put_user(entry, master_key, hashes)) for entry in wanted.users),
        *(("bucket", entry.name, _put_bucket(entry)) for entry in wanted.buckets),
    ]
    for kind, name, step in steps:
        try:
            done += step
        except S3Error as error:
            if error.status >= 500:
                raise
            fields = "".join(f" ({field}: {why})" for field, why in error.fields.items())
            raise BootstrapError([f"{kind} {name}: {error.message}{fields}"]) from error
    return done


def _put_tenant(entry: TenantEntry) -> Iterator[Change]:
    there = tenants.by_name(entry.name)
    values = entry.model_dump(exclude={"name"}) | {"status": _STATUS[entry.status]}
    if there is None:
        tenants.create(entry.name, values)
        yield Change("created", "tenant", entry.name)
        return
    differ = {name: value for name, value in values.items() if name in entry.model_fields_set and getattr(there, name) != value}
    if differ:
        tenants.change(there.id, differ)
        yield Change("updated", "tenant", entry.name, tuple(differ))


def _put_policy(entry: PolicyEntry) -> Iterator[Change]:
    if entry.name in policy.BUILTIN:
        raise Conflict("A built-in policy has that name.")
    tenant_id, text = tenant_id_of(entry.tenant), policy_text(entry.document)
    there = policies.find(tenant_id, entry.name)
    if there is None:
        policies.create(tenant_id, entry.name, text, entry.description)
        yield Change("created", "policy", entry.name)
        return
    differ = different(entry, {"description": there.description})
    if json.loads(there.document) != json.loads(text):
        differ["document"] = text
    if differ:
        policies.change(tenant_id, entry.name, differ)
        yield Change("updated", "policy", entry.name, tuple(differ))


def _put_bucket(entry: BucketEntry) -> Iterator[Change]:
    owner = users.by_name(entry.owner)
    if owner is None:
        raise NotFound(f"There is no user {entry.owner}.")
    there, said = buckets.find(entry.name), _columns(entry)
    if there is None:
        columns = dynamic.bucket_defaults()._asdict() | said
        made, _ = buckets.create(entry.name, owner.id, **columns)
        _check_bucket(made, owner)
        yield Change("created", "bucket", entry.name)
        return
    if there.owner_id != owner.id:
        raise Conflict(f"The bucket is there already, and is not {entry.owner}'s.")
    differ = {name: value for name, value in said.items() if not _same(getattr(there, name), value)}
    if differ:
        _check_bucket(there._replace(**differ), owner)
        buckets.change(there, **differ)
        yield Change("updated", "bucket", entry.name, tuple(differ))


def _columns(entry: BucketEntry) -> dict[str, Any]:
    """The columns of models.Bucket that the entry says."""
    columns: dict[str, Any] = {}
    if entry.versioning:
        columns["versioning"] = _VERSIONING[entry.versioning]
    if entry.ownership:
        columns["ownership"] = None if entry.ownership == OFF else entry.ownership
    if entry.public_access == "off":
        columns["public_access"] = None
    elif entry.public_access is not None:
        switches = entry.public_access.as_s3()
        columns["public_access"] = sum(1 << place for place, name in enumerate(PUBLIC_ACCESS) if switches[name])
    if "tags" in entry.model_fields_set:
        columns["tags"] = tags.dump(tags.checked(tags.pairs(entry.tags), limit=tags.MAX_BUCKET_TAGS))
    if entry.policy is not None:
        columns["policy"] = None if entry.policy == OFF else policy_text(entry.policy)
    return columns


def _same(one: Any, other: Any) -> bool:
    """JSON is the same however it is written."""
    if one != other and isinstance(one, str) and isinstance(other, str) and one[:1] == other[:1] == "{":
        return bool(json.loads(one) == json.loads(other))
    return bool(one == other)


def _check_bucket(bucket: BucketInfo, owner: UserRow) -> None:
    """What the S3 operations refuse, a file may not do either. Raises AccessDenied, InvalidBucketAclWithObjectOwnership."""
    if bucket.policy and (bucket.public_access or 0) & acls.BLOCK_POLICY and policy.is_public(policy.parse(bucket.policy, "resource")):
        raise AccessDenied("The policy is public, and the public access block forbids that.")
    listed = acl.load(bucket.acl, owner.canonical_id)
    if bucket.ownership == ENFORCED and not acl.is_owners_alone(listed, owner.canonical_id):
        raise InvalidBucketAclWithObjectOwnership()
