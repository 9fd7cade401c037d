"""Tenants, users, groups, roles, policies and keys in the database, on both engines: what is kept together, refused, and counted."""

from __future__ import annotations

import threading

import pytest

from shared.clock import now_ms
from shared.errors import AlreadyExists, Conflict, NotFound, PreconditionFailed, QuotaExceeded
from shared.meta import administrators, attachments, buckets, database, groups, keys, people, policies, tenants, users
from shared.meta.administrators import LastAdministrator
from shared.meta.groups import groups as user_groups
from shared.meta.groups import roles
from shared.meta.identity_models import Attachment, Login, Membership, Session
from shared.meta.models import INSTALLATION, AccessKey

pytestmark = pytest.mark.usefixtures("database")

BUILTIN = ("administrator", "tenant-admin", "readonly")
DOCUMENT = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture
def root():
    return people.create_root()


@pytest.fixture
def acme():
    return tenants.create("acme")


def a_key(user, number=1, **values):
    return keys.create(user.id, f"AKIA{number:016d}", b"sealed", **values)


def counter_moves(change):
    before = buckets.change_value()
    result = change()
    assert buckets.change_value() > before
    return result


# ---- tenants ------------------------------------------------------------------------------------------------------------------------


def test_a_tenant_is_what_was_said(acme):
    made = counter_moves(lambda: tenants.create("other", {"display_name": "Other", "max_bytes": 1 << 40}))
    assert (made.display_name, made.max_bytes, made.max_users, made.revision) == ("Other", 1 << 40, 0, 1)
    assert [row.name for row in tenants.page(0, 10)] == ["acme", "other"]
    assert [row.name for row in tenants.page(acme.id, 10)] == ["other"]
    with pytest.raises(AlreadyExists):
        tenants.create("acme")


def test_a_stale_revision_changes_nothing(acme):
    changed = tenants.change(acme.id, {"description": "first"}, acme.revision)
    with pytest.raises(PreconditionFailed):
        tenants.change(acme.id, {"description": "second"}, acme.revision)
    assert tenants.find(acme.id) == changed and changed.revision == 2
    with pytest.raises(NotFound):
        tenants.change(acme.id + 1000, {"description": "none"}, 1)


def test_a_tenant_in_use_stays(acme):
    user = users.create("ann", acme.id)
    with pytest.raises(Conflict):
        tenants.delete(acme.id)
    users.delete(user.id)
    group, policy = user_groups.create("g", acme.id), policies.create(acme.id, "p", DOCUMENT)
    attachments.attach("group", group.id, "p", BUILTIN)
    tenants.delete(acme.id)
    assert tenants.find(acme.id) is None and user_groups.find(group.id) is None and policies.find(acme.id, policy.name) is None
    assert Attachment.select().count() == 0


def test_limits_of_users_and_keys_hold(acme):
    tenants.change(acme.id, {"max_users": 1, "max_keys": 1})
    ann = users.create("ann", acme.id)
    with pytest.raises(QuotaExceeded):
        users.create("bob", acme.id)
    a_key(ann)
    with pytest.raises(QuotaExceeded):
        a_key(ann, 2)
    assert users.create("carl").tenant_id == INSTALLATION
    tenants.change(acme.id, {"max_users": 0, "max_keys": 0})
    assert a_key(users.create("bob", acme.id), 2).tenant_id == acme.id


def test_limits_hold_when_many_ask_at_once(acme):
    tenants.change(acme.id, {"max_users": 3})
    refused = []

    def create(number):
        with database.session():
            try:
                users.create(f"user{number}", acme.id)
            except QuotaExceeded:
                refused.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tenants.holdings(acme.id).users == 3 and len(refused) == 5


def test_nothing_new_in_a_tenant_that_is_being_deleted(acme):
    tenants.begin_deletion(acme.id)
    with pytest.raises(NotFound):
        users.create("ann", acme.id)
    assert not tenants.is_usable(acme.id) and tenants.is_usable(INSTALLATION)


# ---- users --------------------------------------------------------------------------------------------------------------------------


def test_a_user_is_what_was_said(acme):
    made = counter_moves(lambda: users.create("ann", acme.id, display_name="Ann", email="ann@example.org"))
    assert users.find(made.id) == users.by_name("ann") == made
    assert (made.email, made.is_active, made.is_root, made.revision, len(made.canonical_id)) == ("ann@example.org", True, False, 1, 64)
    assert users.create("bob", canonical_id="given").canonical_id == "given"


@pytest.mark.parametrize(("again", "field"), [
    ({"name": "ann"}, "username"),
    ({"name": "bob", "email": "ann@example.org"}, "email"),
    ({"name": "bob", "canonical_id": "c1"}, "canonical_id"),
    ({"name": "Ann@Example.org"}, "username"),
    ({"name": "AKIA0000000000000001"}, "username"),
])
def test_nobody_takes_what_another_is_known_by(again, field):
    a_key(users.create("ann", email="ann@example.org", canonical_id="c1"))
    with pytest.raises(AlreadyExists) as refused:
        users.create(**again)
    assert list(refused.value.fields) == [field]


def test_an_address_that_is_anothers_name_is_refused():
    users.create("Ann@Example.org")
    bob = users.create("bob")
    with pytest.raises(AlreadyExists):
        users.change(bob.id, {"email": "ann@example.org"})


def test_ids_do_not_come_again():
    ann = users.create("ann")
    users.delete(ann.id)
    assert users.create("ann").id > ann.id


def test_pages_of_users(acme):
    made = [users.create(f"user{number}", acme.id, display_name=f"N° {number}") for number in range(5)]
    users.create("else%where")
    assert users.page(0, 3, tenant_id=acme.id) == made[:3]
    assert users.page(made[2].id, 3, tenant_id=acme.id) == made[3:]
    assert [row.name for row in users.page(0, 9, name="user3")] == ["user3"]
    assert [row.name for row in users.page(0, 9, search="SER4")] == ["user4"]
    assert [row.name for row in users.page(0, 9, search="%")] == ["else%where"]


def test_deleting_a_user_leaves_nothing_of_it(acme):
    ann, bob = users.create("ann", acme.id), users.create("bob", acme.id)
    group = user_groups.create("g", acme.id)
    for number, user in enumerate((ann, bob)):
        key = a_key(user, number)
        attachments.attach("key", key.id, "readonly", BUILTIN)
        attachments.attach("user", user.id, "readonly", BUILTIN)
        groups.add_member(group.id, user.id)
        Login.insert(principal_id=user.id).execute()
        Session.insert(
            id=bytes([number]), public_id=user.name, principal_id=user.id, kind="cookie", created_ms=0, seen_ms=0, expires_ms=1
        ).execute()
    counter_moves(lambda: users.delete(ann.id))
    assert users.find(ann.id) is None
    assert [table.select().count() for table in (AccessKey, Attachment, Membership, Login, Session)] == [1, 2, 1, 1, 1]
    with pytest.raises(NotFound):
        users.delete(ann.id)


def test_a_stale_revision_deletes_nothing():
    ann = users.create("ann")
    users.change(ann.id, {"display_name": "Ann"})
    with pytest.raises(PreconditionFailed):
        users.delete(ann.id, ann.revision)
    assert users.find(ann.id)


def test_who_is_switched_off_is_signed_out():
    ann = users.create("ann")
    Session.insert(id=b"1", public_id="1", principal_id=ann.id, kind="cookie", created_ms=0, seen_ms=0, expires_ms=1).execute()
    users.change(ann.id, {"display_name": "still"})
    assert Session.select().count() == 1
    users.change(ann.id, {"is_active": False})
    assert Session.select().count() == 0


def test_root_stays(root):
    with pytest.raises(Conflict):
        users.delete(root.id, by_root=True)
    with pytest.raises(Conflict):
        users.change(root.id, {"is_active": False}, by_root=True)


# ---- the last administrator -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ann(root):
    user = users.create("ann")
    attachments.attach("user", user.id, "administrator", BUILTIN)
    return user


WAYS = {
    "delete": lambda ann, group, **by: users.delete(ann.id, **by),
    "switch off": lambda ann, group, **by: users.change(ann.id, {"is_active": False}, **by),
    "detach": lambda ann, group, **by: attachments.detach("user", ann.id, "administrator", **by),
    "replace": lambda ann, group, **by: attachments.replace("user", ann.id, ["readonly"], BUILTIN, **by),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_last_administrator_stays_one(ann, way):
    with pytest.raises(LastAdministrator):
        WAYS[way](ann, None)
    assert administrators.administrators() == {ann.id} and users.find(ann.id).is_active
    WAYS[way](ann, None, by_root=True)
    assert administrators.administrators() == set()


@pytest.mark.parametrize("way", WAYS)
def test_an_administrator_beside_another_may_go(ann, way):
    bob = users.create("bob")
    attachments.attach("user", bob.id, "administrator", BUILTIN)
    WAYS[way](ann, None)
    assert administrators.administrators() == {bob.id}


@pytest.mark.parametrize("way", [
    lambda group, user: groups.remove_member(group.id, user.id),
    lambda group, user: user_groups.delete(group.id),
    lambda group, user: attachments.detach("group", group.id, "administrator"),
    lambda group, user: users.delete(user.id),
])
def test_the_last_administrator_through_a_group_stays_one(root, way):
    user, group = users.create("ann"), user_groups.create("admins")
    attachments.attach("group", group.id, "administrator", BUILTIN)
    groups.add_member(group.id, user.id)
    with pytest.raises(LastAdministrator):
        way(group, user)
    assert administrators.administrators() == {user.id}


def test_switched_off_and_tenants_people_are_no_administrators(ann, acme):
    bob, carl = users.create("bob"), users.create("carl", acme.id)
    for user in (bob, carl):
        attachments.attach("user", user.id, "administrator", BUILTIN)
    users.change(bob.id, {"is_active": False})
    with pytest.raises(LastAdministrator):
        users.delete(ann.id)


# ---- groups, roles, members -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sets", [user_groups, roles])
def test_groups_and_roles(sets, acme):
    made = counter_moves(lambda: sets.create("dev", acme.id, "developers"))
    assert sets.find(made.id) == sets.by_name(acme.id, "dev") == made
    with pytest.raises(AlreadyExists):
        sets.create("dev", acme.id)
    other = sets.create("dev")
    assert [row.id for row in sets.page(0, 9, tenant_id=acme.id)] == [made.id]
    changed = sets.change(made.id, {"name": "ops"}, made.revision)
    assert (changed.name, changed.revision) == ("ops", 2)
    with pytest.raises(PreconditionFailed):
        sets.delete(made.id, made.revision)
    with pytest.raises(AlreadyExists):
        sets.create("qa") and sets.change(other.id, {"name": "qa"})
    counter_moves(lambda: sets.delete(made.id))
    assert sets.find(made.id) is None
    with pytest.raises(NotFound):
        sets.create("dev", 10_000)


def test_members_are_of_the_groups_tenant(acme):
    group, ann, stranger = user_groups.create("g", acme.id), users.create("ann", acme.id), users.create("bob")
    groups.add_member(group.id, ann.id)
    groups.add_member(group.id, ann.id)
    with pytest.raises(NotFound):
        groups.add_member(group.id, stranger.id)
    assert [member.name for member in groups.members(group.id, 0, 9)] == ["ann"]
    assert groups.sizes([group.id]) == {group.id: 1}
    assert [row.id for row in groups.of_user(ann.id)] == [group.id]
    assert (user_groups.find(group.id).revision, users.find(ann.id).revision) == (2, 2)
    groups.remove_member(group.id, ann.id)
    with pytest.raises(NotFound):
        groups.remove_member(group.id, ann.id)


# ---- policies and where they are attached ---------------------------------------------------------------------------------------------


def test_a_name_means_the_tenants_policy_then_the_installations(acme):
    everywhere = policies.create(INSTALLATION, "p", DOCUMENT)
    assert policies.resolve(acme.id, "p") == everywhere
    with pytest.raises(AlreadyExists):      # it would replace what somebody above attached
        policies.create(acme.id, "p", DOCUMENT)
    own = policies.create(acme.id, "own", DOCUMENT)
    assert policies.resolve(acme.id, "own") == own and policies.resolve(INSTALLATION, "own") is None
    assert [row.name for row in policies.page(0, 9, tenant_id=acme.id)] == ["own"]


def test_a_policy_in_use_stays(acme):
    policies.create(acme.id, "p", DOCUMENT)
    ann = users.create("ann", acme.id)
    attachments.attach("user", ann.id, "p", BUILTIN)
    with pytest.raises(Conflict) as refused:
        policies.delete(acme.id, "p")
    assert refused.value.fields == {f"user/{ann.id}": "user ann has it"}
    attachments.detach("user", ann.id, "p")
    counter_moves(lambda: policies.delete(acme.id, "p"))
    assert policies.find(acme.id, "p") is None


def test_who_has_an_installations_policy(acme):
    other = tenants.create("other")
    own, everywhere = policies.create(acme.id, "own", DOCUMENT), policies.create(INSTALLATION, "p", DOCUMENT)
    people = users.create("ann", acme.id), users.create("bob", other.id), users.create("carl")
    for user in people:
        attachments.attach("user", user.id, "p", BUILTIN)
    attachments.attach("user", people[0].id, "own", BUILTIN)
    assert [target.name for target in policies.used_by(everywhere)] == ["ann", "bob", "carl"]
    assert [target.name for target in policies.used_by(own)] == ["ann"]


def test_no_name_is_a_tenants_policy_and_the_installations(acme):
    policies.create(acme.id, "p", DOCUMENT)
    policies.create(INSTALLATION, "q", DOCUMENT)
    policies.create(tenants.create("other").id, "p", DOCUMENT)
    for tenant_id, name in ((INSTALLATION, "p"), (acme.id, "q")):
        with pytest.raises(AlreadyExists):
            policies.create(tenant_id, name, DOCUMENT)


def test_only_policies_that_are_there_are_attached(acme):
    policies.create(acme.id, "p", DOCUMENT)
    bob = users.create("bob")
    for name in ("nothing", "p"):
        with pytest.raises(NotFound):
            attachments.attach("user", bob.id, name, BUILTIN)
    for kind in ("user", "group", "role", "key"):
        with pytest.raises(NotFound):
            attachments.attach(kind, 10_000 if kind != "key" else "AKIANONE", "readonly", BUILTIN)
    assert Attachment.select().count() == 0


def test_what_a_user_has(acme):
    ann, group = users.create("ann", acme.id), user_groups.create("g", acme.id)
    groups.add_member(group.id, ann.id)
    attachments.attach("group", group.id, "readonly", BUILTIN)
    counter_moves(lambda: attachments.replace("user", ann.id, ["tenant-admin", "readonly"], BUILTIN))
    attachments.replace("user", ann.id, ["tenant-admin"], BUILTIN)
    assert attachments.of("user", ann.id) == ["tenant-admin"]
    assert attachments.held_by(ann.id) == {"tenant-admin", "readonly"}
    before = users.find(ann.id).revision
    with pytest.raises(PreconditionFailed):
        attachments.replace("user", ann.id, [], BUILTIN, expected=before - 1)
    with pytest.raises(NotFound):
        attachments.detach("user", ann.id, "readonly")
    assert users.find(ann.id).revision == before


# ---- keys -------------------------------------------------------------------------------------------------------------------------------


def test_a_key_is_what_was_said():
    ann = users.create("ann")
    made = counter_moves(lambda: a_key(ann, name="ci", expires_ms=now_ms() + 60_000, scope="{}"))
    assert keys.find(made.id) == made and (made.name, made.is_active, made.scope) == ("ci", True, "{}")
    with pytest.raises(AlreadyExists):
        a_key(ann)
    with pytest.raises(NotFound):
        keys.create(10_000, "AKIAOTHER", b"sealed")
    assert keys.find("AKIA\0") is None
    assert counter_moves(lambda: keys.change(made.id, {"is_active": False})).is_active is False
    counter_moves(lambda: keys.delete(made.id))
    with pytest.raises(NotFound):
        keys.delete(made.id)


def test_pages_of_keys(acme):
    ann, bob = users.create("ann", acme.id), users.create("bob")
    made = [a_key(ann, 1), a_key(bob, 2), a_key(ann, 3)]
    assert keys.page("", 2) == made[:2] and keys.page(made[1].id, 2) == made[2:]
    assert keys.page("", 9, user_id=ann.id) == keys.page("", 9, tenant_id=acme.id) == [made[0], made[2]]


def test_a_rotated_key_ends_after_the_overlap(acme):
    ann = users.create("ann", acme.id)
    tenants.change(acme.id, {"max_keys": 1})
    old = a_key(ann, name="ci", scope='{"buckets": ["b"]}')
    attachments.attach("key", old.id, "readonly", BUILTIN)
    new = counter_moves(lambda: keys.rotate(old.id, "AKIANEW", b"other", 60_000))
    assert (new.name, new.scope, new.expires_ms, attachments.of("key", new.id)) == (old.name, old.scope, None, ["readonly"])
    ends_ms = keys.find(old.id).expires_ms
    assert now_ms() + 50_000 < ends_ms <= now_ms() + 60_000
    with pytest.raises(QuotaExceeded):      # one beyond the limit, not one for each rotation
        keys.rotate(new.id, "AKIANEXT", b"other", 60_000)
    keys.delete(old.id)
    assert keys.rotate(new.id, "AKIANEXT", b"other", 60_000)


def test_a_successor_lives_as_long_and_the_old_key_no_longer_than_before():
    old = a_key(users.create("ann"), expires_ms=now_ms() + 30_000)
    new = keys.rotate(old.id, "AKIANEW", b"other", 60_000)
    assert new.expires_ms - new.created_ms == pytest.approx(old.expires_ms - old.created_ms, abs=1000)
    assert keys.find(old.id).expires_ms == old.expires_ms


@pytest.mark.parametrize("values", [{"is_active": False}, {"expires_ms": 1}])
def test_a_key_that_does_not_work_is_not_rotated(values):
    old = a_key(users.create("ann"))
    keys.change(old.id, values)
    with pytest.raises(Conflict):
        keys.rotate(old.id, "AKIANEW", b"other", 60_000)
    assert keys.find("AKIANEW") is None


def test_an_expired_key_comes_back_only_within_the_limit(acme):
    ann = users.create("ann", acme.id)
    tenants.change(acme.id, {"max_keys": 1})
    old = a_key(ann, 1, expires_ms=1)
    a_key(ann, 2)
    assert keys.change(old.id, {"name": "expired still"}).name == "expired still"
    with pytest.raises(QuotaExceeded):
        keys.change(old.id, {"expires_ms": None})
