"""What a process knows of people at one value of the change counter: keys, policies by name, bounds, and what makes them unfit."""

from __future__ import annotations

import json

import pytest

from shared.auth.policy import BUILTIN, Asking, evaluate
from shared.clock import now_ms
from shared.identity import Generation, Identity
from shared.meta import configurations
from shared.meta import people as rows
from shared.meta.buckets import bump
from shared.meta.identity_models import TENANT_DELETING, TENANT_SUSPENDED, Policy, Tenant
from shared.meta.models import AccessKey, Principal
from tests import people
from tests.people import TEST_MASTER_KEY, allow, deny


@pytest.fixture
def identity(database):
    return Identity(TEST_MASTER_KEY)


def effect(bundle, action="s3:GetObject", resource="arn:aws:s3:::b/k"):
    return evaluate(bundle, Asking(action, resource, None, lambda key: None)).effect


def test_policies_come_from_the_user_and_from_groups(identity):
    group = people.make_group(None, ["readonly"])
    person = people.make_user(None, policies=[allow("s3:PutObject"), "console"], groups=[group])
    names = [name for name, _ in identity.current().documents(person.id)]
    assert len(names) == 3 and {"policy readonly", "policy console"} < set(names)
    assert identity.current().documents(people.make_user(None).id) == ()


def test_a_name_is_built_in_or_the_tenants_or_the_installations(identity):
    tenant = people.make_tenant(None)
    for place, document in ((0, allow("s3:GetObject")), (tenant, deny("s3:GetObject"))):
        with people.inside(None) as conn:
            Policy.insert(id=bump(conn), tenant_id=place, name="both", document=json.dumps(document), created_ms=1).execute()
            Policy.insert(id=bump(conn), tenant_id=place, name="readonly", document="{}", created_ms=1).execute()
    inside, outside = people.make_user(None, policies=["both"], tenant=tenant), people.make_user(None, policies=["both"])
    assert effect(identity.current().documents(inside.id)) == "deny"
    assert effect(identity.current().documents(outside.id)) == "allow"
    assert identity.current().documents(people.make_user(None, policies=["readonly"]).id)[0][1] is BUILTIN["readonly"]


def test_another_tenants_policy_of_the_name_is_not_meant(identity):
    tenant, other = people.make_tenant(None), people.make_tenant(None)
    with people.inside(None) as conn:
        Policy.insert(id=bump(conn), tenant_id=other, name="theirs", document=json.dumps(allow("s3:*")), created_ms=1).execute()
    person = people.make_user(None, policies=["theirs"], tenant=tenant)
    assert identity.current().documents(person.id) == ()


def test_a_stored_policy_that_cannot_be_read_denies(identity):
    with people.inside(None) as conn:
        Policy.insert(id=bump(conn), tenant_id=0, name="broken", document="{", created_ms=1).execute()
    person = people.make_user(None, policies=["administrator", "broken"])
    assert effect(identity.current().documents(person.id)) == "deny"


def test_bounds_of_a_key(identity):
    plain = people.make_user(None)
    scoped = people.make_user(None, scope={"buckets": ["b"]}, key_policies=["readonly"])
    unreadable = people.make_user(None, scope={"planets": ["mars"]})
    known = identity.current()
    assert known.key_documents(plain.access_key) == ()
    assert [effect(bound) for bound in known.key_documents(scoped.access_key)] == ["allow", "allow"]
    assert [effect(bound, "s3:PutObject") for bound in known.key_documents(scoped.access_key)] == ["allow", ""]
    assert [effect(bound) for bound in known.key_documents(unreadable.access_key)] == [""]
    assert [effect(bound) for bound in known.key_documents("AKIAGONE")] == [""]


@pytest.mark.parametrize(("unfit", "reason"), [
    ({"active": False}, "the user is suspended"),
    ({"key_active": False}, "the access key is switched off"),
    ({"expires_ms": 1}, "the access key has expired"),
    ({"tenant": TENANT_SUSPENDED}, "the tenant of the user is not active"),
    ({"tenant": TENANT_DELETING}, "the tenant of the user is not active"),
])
def test_an_unfit_key_is_none(identity, unfit, reason):
    if "tenant" in unfit:
        unfit = {"tenant": people.make_tenant(None, status=unfit["tenant"])}
    person = people.make_user(None, **unfit)
    assert identity.current().credential(person.access_key) is None
    assert identity.current().refusal(person.access_key) == reason
    assert identity.current().refusal("AKIAGONE") == "there is no such access key"


def test_a_user_of_a_tenant_that_is_gone_is_nobody(identity):
    person = people.make_user(None, tenant=4711)
    assert identity.current().credential(person.access_key) is None


def test_what_changes_is_seen_by_every_process(identity):
    other = Identity(TEST_MASTER_KEY)
    tenant = people.make_tenant(None)
    person = people.make_user(None, tenant=tenant, policies=["readonly"])
    for known in (identity.current(), other.current()):
        found = known.credential(person.access_key)
        assert found is not None and found.secret == person.secret_key and found.principal.name == person.name
        assert effect(known.documents(person.id)) == "allow"
    people.detach(None, "user", person.id, "readonly")
    assert [effect(one.current().documents(person.id)) for one in (identity, other)] == ["", ""]
    for model, where, columns in (
        (AccessKey, AccessKey.id == person.access_key, {"is_active": False}), (Principal, Principal.id == person.id, {"is_active": False}),
        (Tenant, Tenant.id == tenant, {"status": TENANT_SUSPENDED}),
    ):
        before = model.select(*[getattr(model, name) for name in columns]).where(where).tuples().first()
        people.change(None, model, where, **columns)
        assert identity.current().credential(person.access_key) is other.current().credential(person.access_key) is None
        people.change(None, model, where, **dict(zip(columns, before, strict=True)))
        assert identity.current().credential(person.access_key) is not None


def test_a_key_expires_within_a_generation(identity, monkeypatch):
    person = people.make_user(None, expires_ms=now_ms() + 60_000)
    known: Generation = identity.current()
    assert known.credential(person.access_key) is not None
    monkeypatch.setattr("shared.identity.now_ms", lambda: now_ms() + 61_000)
    assert known.credential(person.access_key) is None


def test_compiled_policies_outlive_a_generation(identity):
    person = people.make_user(None, policies=[allow("s3:*")])
    before = identity.current().documents(person.id)
    people.make_user(None)
    assert identity.current().documents(person.id) is before


def test_how_policies_name_somebody(identity):
    tenant = people.make_tenant(None, "acme")
    person = people.make_user(None, "carl", tenant=tenant, display_name="Carl C.")
    info = rows.principal(person.id)
    assert info is not None and info.shown_name == "Carl C." and info._replace(display_name="").shown_name == "carl"
    who = (person.canonical_id, "arn:aws:iam::acme:user/carl", "carl", "acme", f"{tenant:012d}")
    assert identity.current().who(info) == who


def test_of_long_configurations_only_some_are_kept(identity, new_bucket, monkeypatch):
    monkeypatch.setattr("shared.identity.MOST_CONFIGURED", 3000)
    first, *others = (new_bucket(f"bucket-{number}") for number in range(4))
    for bucket in (first, *others):
        configurations.put(bucket, "cors", {"CORSRules": ["x" * 1000]})
    known = identity.current()
    found = known.configuration(first, "cors")
    assert known.configuration(first, "cors") is found
    for bucket in others:
        assert known.configuration(bucket, "cors") == found
    assert known.configuration(first, "cors") is not found
