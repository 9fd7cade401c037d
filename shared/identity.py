"""Who is who, in memory: access keys, principals, policies and buckets as of one value of the change counter."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

from shared import accounts
from shared.auth import acl, scopes
from shared.auth.acl import Acl
from shared.auth.model import Credential
from shared.auth.policy import BUILTIN, Bundle, Document, PolicyError, Who, is_public, parse
from shared.auth.sealing import MasterKey
from shared.clock import now_ms
from shared.last_used import LastUsed
from shared.meta import buckets, configurations, people, tenants
from shared.meta.buckets import BucketInfo
from shared.meta.identity_models import TENANT_ACTIVE
from shared.meta.models import INSTALLATION
from shared.meta.people import AttachedPolicy, KeyInfo, PrincipalInfo
from shared.meta.tenants import TenantRow

MOST_BUCKETS = 100_000      # kept in a process; reached only by scans over many buckets
MOST_CONFIGURED = 16 << 20  # characters of their configurations, of which one bucket may have millions

log = logging.getLogger("maxiofs.identity")


class Generation:
    """What was true at one value of the change counter. Filled as it is asked; thrown away whole when the counter moves."""

    def __init__(self, value: int, master_key: MasterKey) -> None:
        self.value = value
        self._master_key = master_key
        self._buckets: dict[str, BucketInfo] = {}
        self._credentials: dict[str, Credential] = {}
        self._principals: dict[int, PrincipalInfo] = {}
        self._tenants: dict[int, TenantRow] = {}
        self._numbers: dict[int, str] = {}
        self._whos: dict[int, Who] = {}
        self._documents: dict[int, Bundle] = {}
        self._boundaries: dict[str, tuple[Bundle, ...]] = {}
        self._acls: dict[str, Acl] = {}
        self._configurations: dict[int, dict[str, dict[str, Any]]] = {}
        self._configured = 0        # characters

    def bucket(self, name: str) -> BucketInfo | None:
        """Find a bucket by name."""
        found = self._buckets.get(name)
        if found is None and (found := buckets.find(name)) is not None and len(self._buckets) < MOST_BUCKETS:
            self._buckets[name] = found
        return found

    def learn(self, found: Iterable[BucketInfo]) -> None:
        """Keep buckets that somebody has just read: they need not be looked for one by one."""
        for bucket in found:
            if len(self._buckets) >= MOST_BUCKETS:
                return
            self._buckets.setdefault(bucket.name, bucket)

    def configuration(self, bucket: BucketInfo, kind: str) -> dict[str, Any] | None:
        """A configuration of a bucket that there is one of. The first question about a bucket in a generation asks for all of them."""
        found = self._configurations.get(bucket.id)
        if found is None:
            found, size = configurations.single(bucket.id)
            if len(self._configurations) >= MOST_BUCKETS or self._configured + size > MOST_CONFIGURED:
                self._configurations, self._configured = {}, 0
            self._configurations[bucket.id] = found
            self._configured += size
        return found.get(kind)

    def principal(self, principal_id: int) -> PrincipalInfo | None:
        """Find a principal by id."""
        found = self._principals.get(principal_id)
        if found is None and (found := people.principal(principal_id)) is not None:
            self._principals[principal_id] = found
        return found

    def tenant(self, tenant_id: int) -> TenantRow | None:
        """Find a tenant by id. What it uses is as of some moment past: only writes through the change counter are noticed."""
        found = self._tenants.get(tenant_id)
        if found is None and (found := tenants.find(tenant_id)) is not None:
            self._tenants[tenant_id] = found
        return found

    def who(self, principal: PrincipalInfo) -> Who:
        """A principal as policies name it."""
        found = self._whos.get(principal.id)
        if found is None:
            tenant = self.tenant(principal.tenant_id) if principal.tenant_id != INSTALLATION else None
            account = tenant.name if tenant else ""
            arn, number = f"arn:aws:iam::{account}:user/{principal.name}", self.account_number(principal.tenant_id)
            found = self._whos[principal.id] = Who(principal.canonical_id, arn, principal.name, account, number)
        return found

    def account_number(self, tenant_id: int) -> str:
        """The 12 digits that mean a tenant: its name, if that is 12 digits, else those of its id; "" when another tenant is named so.

        Policies that name a tenant of before there were numbers must not come to mean another one.
        """
        found = self._numbers.get(tenant_id)
        if found is None:
            tenant = self.tenant(tenant_id) if tenant_id != INSTALLATION else None
            if tenant is not None and accounts.is_number(tenant.name):
                found = tenant.name
            else:
                number = accounts.number_of(tenant_id)
                found = number if tenants.by_name(number) is None else ""
            self._numbers[tenant_id] = found
        return found

    # ---- access keys ----------------------------------------------------------------------------------------------------------------

    def credential(self, access_key: str) -> Credential | None:
        """Find a key pair, unsealed, and its principal; None unless both may be used now."""
        found = self._credentials.get(access_key)
        if found is None:
            key = people.access_key(access_key)
            if key is None or self._fault(key):
                return None
            secret = self._master_key.open(key.sealed_secret, key.id.encode()).decode()
            found = self._credentials[access_key] = Credential(key.id, secret, self.principal(key.principal_id), key.expires_ms)
        if found.expires_ms is not None and found.expires_ms <= now_ms():
            return None
        return found

    def refusal(self, access_key: str) -> str:
        """Why ``credential`` found nothing: for the log, never for the client."""
        key = people.access_key(access_key)
        return "there is no such access key" if key is None else self._fault(key)

    def _fault(self, key: KeyInfo) -> str:
        if not key.is_active:
            return "the access key is switched off"
        if key.expires_ms is not None and key.expires_ms <= now_ms():
            return "the access key has expired"
        principal = self.principal(key.principal_id)
        return "the user of the access key is gone" if principal is None else self.inactive(principal)

    def inactive(self, principal: PrincipalInfo) -> str:
        """Why a principal may not act at all; "" when they may."""
        if not principal.is_active:
            return "the user is suspended"
        return "" if self.tenant_is_active(principal.tenant_id) else "the tenant of the user is not active"

    def tenant_is_active(self, tenant_id: int) -> bool:
        """Whether a tenant is there and neither suspended nor being deleted; what belongs to none always is."""
        if tenant_id == INSTALLATION:
            return True
        tenant = self.tenant(tenant_id)
        return tenant is not None and tenant.status == TENANT_ACTIVE

    # ---- policies and ACLs ----------------------------------------------------------------------------------------------------------

    def documents(self, principal_id: int) -> Bundle:
        """The identity policies of a principal, also through groups."""
        found = self._documents.get(principal_id)
        if found is None:
            who = self.principal(principal_id)
            found = self._documents[principal_id] = _bundle_of(people.policies_of(who) if who else ())
        return found

    def key_documents(self, access_key: str) -> tuple[Bundle, ...]:
        """The bounds of an access key: each of them must allow what is done with it. None for a key that is not narrowed."""
        found = self._boundaries.get(access_key)
        if found is None:
            found = self._boundaries[access_key] = self._bounds(people.access_key(access_key))
        return found

    def _bounds(self, key: KeyInfo | None) -> tuple[Bundle, ...]:
        principal = self.principal(key.principal_id) if key else None
        if key is None or principal is None:
            return (_bundle((("the access key", NOTHING_AT_ALL),)),)
        bounds = [_bundle((("the scope of the access key", _scope(key.scope)),))] if key.scope is not None else []
        if attached := people.policies_of_key(key.id, principal.tenant_id):
            bounds.append(_bundle_of(attached))
        return tuple(bounds)

    def bucket_document(self, bucket: BucketInfo) -> Bundle | None:
        """The policy of a bucket; None when it has none."""
        return _bucket_policy(bucket.policy) if bucket.policy is not None else None

    def bucket_policy_is_public(self, bucket: BucketInfo) -> bool:
        """Whether the bucket's policy gives something to everybody."""
        return bucket.policy is not None and _is_public(bucket.policy)

    def bucket_acl(self, bucket: BucketInfo) -> Acl:
        """The access control list of a bucket."""
        found = self._acls.get(bucket.name)
        if found is None:
            found = self._acls[bucket.name] = self.acl(bucket.acl, bucket.owner_id)
        return found

    def acl(self, stored: str | None, owner_id: int) -> Acl:
        """An access control list as a row has it. One whose owner is gone grants nobody anything."""
        owner = self.principal(owner_id)
        return acl.load(stored, owner.canonical_id) if owner else Acl("", ())


class Identity:
    """The current generation, renewed when the change counter says so: one tiny query on each request."""

    def __init__(self, master_key: MasterKey) -> None:
        self._master_key = master_key
        self._generation = Generation(-1, master_key)
        self.last_used = LastUsed()

    def current(self) -> Generation:
        """The generation that is true now. What it answers stays true until the counter moves."""
        value = buckets.change_value()
        generation = self._generation
        if generation.value != value:
            generation = self._generation = Generation(value, self._master_key)
        return generation


# ---- compiled documents, which outlive generations ------------------------------------------------------------------------------------

NOTHING_AT_ALL = Document("2012-10-17", "", (), ())     # as a bound, it lets nothing through


@lru_cache(512)
def _document(text: str, kind: Literal["identity", "resource"]) -> Document | None:
    try:
        return parse(text, kind)
    except PolicyError as error:
        log.error("a stored policy can no longer be read, so whomever it is about may do nothing: %s", error)
        return None


@lru_cache(1024)
def _bundle(named: tuple[tuple[str, Document], ...]) -> Bundle:
    return Bundle(named)


def _bundle_of(attached: Iterable[AttachedPolicy]) -> Bundle:
    """A policy that is gone says nothing; one that cannot be read might have denied, so it denies everything."""
    named = []
    for name, text in attached:
        document = BUILTIN.get(name)
        if document is None and text is not None:
            document = _document(text, "identity") or _nobody()
        if document is not None:
            named.append((f"policy {name}", document))
    return _bundle(tuple(named))


@lru_cache(1)
def _nobody() -> Document:
    return parse('{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}', "identity")


@lru_cache(1024)
def _bucket_policy(text: str) -> Bundle:
    return _bundle((("the bucket policy", _document(text, "resource") or _nobody()),))


@lru_cache(1024)
def _is_public(text: str) -> bool:
    document = _document(text, "resource")
    return document is not None and is_public(document)


def _scope(stored: str) -> Document:
    try:
        return scopes.document(stored)
    except (scopes.ScopeError, PolicyError) as error:
        log.error("the scope of an access key cannot be read, so the key may do nothing: %s", error)
        return NOTHING_AT_ALL
