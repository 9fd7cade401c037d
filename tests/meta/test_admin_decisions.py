"""Decisions about admin actions, and about whoever has a session but should no longer have one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from shared.auth.engine import decide, decide_admin
from shared.identity import Identity
from shared.meta import buckets
from shared.meta import people as rows
from shared.meta.identity_models import TENANT_SUSPENDED, Tenant
from shared.meta.models import Principal
from tests import people
from tests.people import TEST_MASTER_KEY, allow, deny


@pytest.fixture
def identity(database):
    rows.create_root()
    return Identity(TEST_MASTER_KEY)


def may(identity, person, action, tenant, resource="user/7"):
    known = identity.current()
    caller = known.principal(person.id) if person else None
    return decide_admin(known, caller, action, f"arn:maxiofs:::tenant/{tenant}/{resource}", tenant).allowed


def test_the_wall_between_tenants(identity):
    mine, other = people.make_tenant(None), people.make_tenant(None)
    for policy in ("tenant-admin", "administrator", allow("*")):
        boss = people.make_user(None, policies=[policy], tenant=mine)
        assert may(identity, boss, "admin:CreateUser", mine)
        assert not may(identity, boss, "admin:CreateUser", other)
        assert not may(identity, boss, "admin:UpdateUser", 0), "global administrators belong to no tenant"
    chief = people.make_user(None, policies=["administrator"])
    assert all(may(identity, chief, "admin:CreateUser", tenant) for tenant in (0, mine, other))


def test_nobody_and_people_without_policies_may_nothing(identity):
    assert not may(identity, None, "admin:ListUsers", 0)
    assert not may(identity, people.make_user(None), "admin:ListUsers", 0)
    assert not may(identity, people.make_user(None, policies=["readwrite"]), "admin:ListUsers", 0)
    assert may(identity, rows.root(), "admin:ListUsers", 0)


def test_a_deny_beats_an_allow(identity):
    chief = people.make_user(None, policies=["administrator", deny("admin:DeleteUser", on="arn:maxiofs:::tenant/0/*")])
    assert may(identity, chief, "admin:CreateUser", 0)
    assert not may(identity, chief, "admin:DeleteUser", 0)


def test_policies_may_ask_who_the_caller_is(identity):
    own = allow("admin:UpdateUser", Condition={"StringEquals": {"aws:username": "ann"}})
    ann, bob = (people.make_user(None, name, policies=[own]) for name in ("ann", "bob"))
    assert may(identity, ann, "admin:UpdateUser", 0)
    assert not may(identity, bob, "admin:UpdateUser", 0)


def test_a_session_of_somebody_suspended_may_nothing(identity):
    tenant = people.make_tenant(None)
    boss = people.make_user(None, policies=["administrator"], tenant=tenant)
    buckets.create("theirs", boss.id)

    def verdicts():
        known = identity.current()
        about = SimpleNamespace(bucket=known.bucket("theirs"), context=lambda key: None, object_acl=lambda action: None)
        access = SimpleNamespace(known=known, caller=known.principal(boss.id), access_key=None, about=lambda resource: about)
        return may(identity, boss, "admin:ListUsers", tenant), decide(access, [("s3:ListBucket", "theirs")]).allowed

    assert verdicts() == (True, True)
    people.change(None, Principal, Principal.id == boss.id, is_active=False)
    assert verdicts() == (False, False)
    people.change(None, Principal, Principal.id == boss.id, is_active=True)
    people.change(None, Tenant, Tenant.id == tenant, status=TENANT_SUSPENDED)
    assert verdicts() == (False, False)
