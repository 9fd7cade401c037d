"""People for tests: tenants, users with keys, groups and policies, put straight into the tables of a server or of an open database.

Every function takes the RunningServer whose database is meant, or None for the one that is connected already (the ``database`` fixture;
sealing then needs ``master_key``). Changes move the change counter, so a running server sees them at its next request.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.client import BaseClient

from shared.auth.keys import new_access_key, new_secret
from shared.auth.sealing import MasterKey
from shared.clock import now_ms
from shared.meta import database
from shared.meta.buckets import bump
from shared.meta.identity_models import TENANT_ACTIVE, Attachment, Membership, Policy, Tenant, UserGroup
from shared.meta.models import INSTALLATION, AccessKey, Bucket, Principal
from tests.running import RunningServer

TEST_MASTER_KEY = MasterKey(bytes(range(32)))       # for databases without a server

PolicyLike = str | Mapping[str, Any]        # the name of a policy, or a document to be made one


@dataclass
class Person:
    """A user and their first key."""

    id: int
    name: str
    canonical_id: str
    tenant_id: int
    access_key: str
    secret_key: str
    keys: list[tuple[str, str]] = field(default_factory=list)

    @property
    def arn(self) -> str:
        """How policies name a user of no tenant."""
        return f"arn:aws:iam:::user/{self.name}"

    def client(self, server: RunningServer, **config: Any) -> BaseClient:
        """An S3 client that signs with the first key."""
        return server.client(credentials=(self.access_key, self.secret_key), **config)


@contextmanager
def inside(server: RunningServer | None) -> Iterator[Any]:
    """A transaction in the server's database, at whose end every process notices that something changed. Not to be nested."""
    if server is None:
        with database.transaction() as conn:
            bump(conn)
            yield conn
        return
    database.connect(server._environ.get("MAXIOFS_DATABASE_URL", ""), server.data_dir)
    try:
        with database.session(), database.transaction() as conn:
            bump(conn)
            yield conn
    finally:
        database.dispose()


def unused(prefix: str) -> str:
    """A name that nobody has."""
    return f"{prefix}-{os.urandom(6).hex()}"


def allow(*actions: str, on: str | Iterable[str] = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    """A policy of one statement; ``more`` are its further members (Condition, Principal)."""
    resources = [on] if isinstance(on, str) else list(on)
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": resources, **more}]}


def deny(*actions: str, on: str | Iterable[str] = "*", **more: Any) -> dict[str, Any]:
    """The same, the other way round."""
    return allow(*actions, on=on, effect="Deny", **more)


def make_tenant(server: RunningServer | None, name: str = "", status: int = TENANT_ACTIVE) -> int:
    """Make a tenant and return its id."""
    with inside(server) as conn:
        tenant = bump(conn)     # ids come from the change counter, as everywhere
        Tenant.insert(id=tenant, name=name or unused("tenant"), created_ms=now_ms(), status=status).execute()
    return tenant


def make_user(
    server: RunningServer | None, name: str = "", policies: Iterable[PolicyLike] = (), tenant: int = INSTALLATION, *,
    scope: Mapping[str, Any] | None = None, key_policies: Iterable[PolicyLike] = (), expires_ms: int | None = None, active: bool = True,
    key_active: bool = True, canonical_id: str = "", display_name: str = "", email: str | None = None,
    groups: Iterable[int] = (), master_key: MasterKey | None = None,
) -> Person:
    """Make a user with one access key. ``policies`` are attached to the user, ``key_policies`` and ``scope`` narrow the key."""
    name, canonical_id = name or unused("user"), canonical_id or secrets.token_hex(32)
    with inside(server) as conn:
        person = Person(bump(conn), name, canonical_id, tenant, "", "")
        Principal.insert(
            id=person.id, canonical_id=canonical_id, name=name, created_ms=now_ms(), tenant_id=tenant, is_active=active,
            display_name=display_name, email=email,
        ).execute()
        for policy in policies:
            _attach(conn, "user", str(person.id), policy, tenant)
        for group in groups:
            Membership.insert(group_id=group, principal_id=person.id).execute()
        person.access_key, person.secret_key = _key(conn, server, person, scope, key_policies, expires_ms, key_active, master_key)
    return person


def make_key(
    server: RunningServer | None, person: Person, *, scope: Mapping[str, Any] | None = None, key_policies: Iterable[PolicyLike] = (),
    expires_ms: int | None = None, key_active: bool = True, master_key: MasterKey | None = None,
) -> tuple[str, str]:
    """Give a user one access key more; returns (id, secret)."""
    with inside(server) as conn:
        return _key(conn, server, person, scope, key_policies, expires_ms, key_active, master_key)


def _key(
    conn: Any, server: RunningServer | None, person: Person, scope: Mapping[str, Any] | None, policies: Iterable[PolicyLike],
    expires_ms: int | None, active: bool, master_key: MasterKey | None,
) -> tuple[str, str]:
    seal = master_key or (MasterKey.load_or_create(server.data_dir / "master.key") if server else TEST_MASTER_KEY)
    access_key, secret = new_access_key(), new_secret()
    AccessKey.insert(
        id=access_key, principal_id=person.id, sealed_secret=seal.seal(secret.encode(), access_key.encode()), is_active=active,
        created_ms=now_ms(), expires_ms=expires_ms, scope=None if scope is None else json.dumps(scope),
    ).execute()
    for policy in policies:
        _attach(conn, "key", access_key, policy, person.tenant_id)
    person.keys.append((access_key, secret))
    return access_key, secret


def make_group(server: RunningServer | None, policies: Iterable[PolicyLike] = (), tenant: int = INSTALLATION) -> int:
    """Make a group and return its id."""
    with inside(server) as conn:
        group = bump(conn)
        UserGroup.insert(id=group, tenant_id=tenant, name=unused("group"), created_ms=now_ms()).execute()
        for policy in policies:
            _attach(conn, "group", str(group), policy, tenant)
    return group


def attach(server: RunningServer | None, kind: str, target_id: str | int, policy: PolicyLike, tenant: int = INSTALLATION) -> str:
    """Attach a policy and return its name."""
    with inside(server) as conn:
        return _attach(conn, kind, str(target_id), policy, tenant)


def _attach(conn: Any, kind: str, target_id: str, policy: PolicyLike, tenant: int) -> str:
    name = policy if isinstance(policy, str) else unused("policy")
    if not isinstance(policy, str):
        Policy.insert(id=bump(conn), tenant_id=tenant, name=name, document=json.dumps(policy), created_ms=now_ms()).execute()
    Attachment.insert(target_kind=kind, target_id=target_id, policy=name).execute()
    return name


def detach(server: RunningServer | None, kind: str, target_id: str | int, name: str) -> None:
    """Take a policy away."""
    with inside(server):
        gone = Attachment.delete().where(
            (Attachment.target_kind == kind) & (Attachment.target_id == str(target_id)) & (Attachment.policy == name)
        ).execute()
    assert gone == 1


def change(server: RunningServer | None, model: Any, where: Any, **columns: Any) -> None:
    """Update rows."""
    with inside(server):
        assert model.update(**columns).where(where).execute()


def configure(server: RunningServer | None, bucket: str, **columns: Any) -> None:
    """Write columns of a bucket: policy (text or document), acl, ownership, public_access, tenant_id, owner_id."""
    if isinstance(columns.get("policy"), Mapping):
        columns["policy"] = json.dumps(columns["policy"])
    change(server, Bucket, Bucket.name == bucket.encode(), **columns)
