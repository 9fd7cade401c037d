"""Bootstrap, people: users with their keys, groups and roles, brought to what is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared import dynamic
from shared.auth import passwords
from shared.auth.policy import BUILTIN
from shared.auth.sealing import MasterKey
from shared.bootstrap.document import Bootstrap, BootstrapError, GroupEntry, KeyEntry, UserEntry
from shared.bootstrap.outcome import Change
from shared.clock import now_ms
from shared.errors import Conflict, NotFound
from shared.meta import attachments, groups, keys, logins, people, tenants, users
from shared.meta.administrators import identity_change
from shared.meta.models import INSTALLATION, AccessKey
from shared.meta.users import UserRow
from shared.protocol import tags

RULES = ("min_length", "require_uppercase", "require_numbers", "require_special")     # of passwords: the settings, in the order of Rules


def different(entry: Any, there: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that the entry says and that are not so: ``there`` has the columns by the entry's names."""
    return {name: getattr(entry, name) for name, value in there.items() if name in entry.model_fields_set and getattr(entry, name) != value}


def tenant_id_of(name: str | None) -> int:
    """The tenant of that name; INSTALLATION for none. Raises NotFound."""
    if name is None:
        return INSTALLATION
    found = tenants.by_name(name)
    if found is None:
        raise NotFound(f"There is no tenant {name}.")
    return found.id


def hash_passwords(wanted: Bootstrap) -> dict[str, str]:
    """Hashes of the passwords of those who have none yet, by user name. Raises BootstrapError."""
    rules = passwords.Rules(*(dynamic.get(f"security.password_{name}") for name in RULES))
    found, problems = {}, []
    for entry in wanted.users:
        there = users.by_name(entry.username)
        if not entry.password or (there and logins.find(there.id).password_hash):
            continue
        try:
            passwords.check_policy(entry.password, rules, entry.username)
            found[entry.username] = passwords.hashed(entry.password)
        except passwords.UnfitPassword as error:
            problems += [f"user {entry.username}: the password {problem}" for problem in error.problems]
    if problems:
        raise BootstrapError(problems)
    return found


def put_group(entry: GroupEntry, sets: groups.Sets, kind: attachments.Kind) -> Iterator[Change]:
    """Bring a group or role to what the entry says."""
    tenant_id = tenant_id_of(entry.tenant)
    there = sets.by_name(tenant_id, entry.name)
    if there is None:
        there = sets.create(entry.name, tenant_id, entry.description)
        yield Change("created", kind, entry.name)
    elif values := different(entry, {"description": there.description}):
        sets.change(there.id, values)
        yield Change("updated", kind, entry.name, tuple(values))
    yield from _put_policies(entry, kind, there.id, entry.name)


def _put_policies(entry: GroupEntry | UserEntry | KeyEntry, kind: attachments.Kind, target_id: int | str, name: str) -> Iterator[Change]:
    if "policies" in entry.model_fields_set and set(attachments.of(kind, target_id)) != set(entry.policies):
        if missing := [one for one in entry.policies if not _is_policy(one, kind, target_id)]:
            raise NotFound(f"There is no policy {missing[0]}.")
        attachments.replace(kind, target_id, entry.policies, BUILTIN, by_root=True)
        yield Change("updated", _noun(kind), name, ("policies",))


def _is_policy(name: str, kind: attachments.Kind, target_id: int | str) -> bool:
    from shared.meta import policies

    if name in BUILTIN:
        return True
    if kind == "key":
        key = keys.find(str(target_id))
        tenant_id = key.tenant_id if key else INSTALLATION
    else:
        finder: Any = {"user": users.find, "group": groups.groups.find, "role": groups.roles.find}[kind]
        tenant_id = finder(int(target_id)).tenant_id
    return policies.resolve(tenant_id, name) is not None


def _noun(kind: str) -> str:
    return "access_key" if kind == "key" else kind


def put_user(entry: UserEntry, master_key: MasterKey, hashes: Mapping[str, str]) -> Iterator[Change]:
    """Bring a user with keys and memberships to what the entry says; keys that it does not name stay."""
    tenant_id = tenant_id_of(entry.tenant)
    there = users.by_name(entry.username)
    if there is None:
        there = users.create(entry.username, tenant_id, canonical_id=entry.canonical_id, display_name=entry.display_name,
                             email=entry.email, is_active=entry.status == "active", tags=tags.dump(entry.tags))
        yield Change("created", "user", entry.username)
    else:
        yield from _change_user(entry, there, tenant_id)
    yield from _put_password(entry, there.id, hashes)
    yield from _put_memberships(entry, there)
    yield from _put_policies(entry, "user", there.id, entry.username)
    for key in entry.access_keys:
        yield from _put_key(key, there.id, master_key)


def _change_user(entry: UserEntry, there: UserRow, tenant_id: int) -> Iterator[Change]:
    if there.tenant_id != tenant_id:
        raise Conflict("The user is there already, and of another tenant: users never change theirs.")
    if entry.canonical_id and there.canonical_id != entry.canonical_id:
        raise Conflict("The user is there already, with another canonical_id: it never changes.")
    values = different(entry, {"display_name": there.display_name, "email": there.email})
    if "tags" in entry.model_fields_set and tags.load(there.tags) != entry.tags:
        values["tags"] = tags.dump(entry.tags)
    if "status" in entry.model_fields_set and there.is_active != (entry.status == "active"):
        values["is_active"] = entry.status == "active"
    if values:
        users.change(there.id, values, by_root=True)
        yield Change("updated", "user", entry.username, tuple(values))


def _put_password(entry: UserEntry, user_id: int, hashes: Mapping[str, str]) -> Iterator[Change]:
    if not entry.password or logins.find(user_id).password_hash:
        return
    if entry.username in hashes:        # not in a plan
        logins.set_password(user_id, hashes[entry.username], must_change=entry.must_change_password, now_ms=now_ms())
    yield Change("updated", "user", entry.username, ("password",))


def _put_memberships(entry: UserEntry, user: UserRow) -> Iterator[Change]:
    if "groups" not in entry.model_fields_set:
        return
    there = {group.name: group.id for group in groups.of_user(user.id)}
    for name in sorted(set(entry.groups) - there.keys()):
        group = groups.groups.by_name(user.tenant_id, name)
        if group is None:
            raise NotFound(f"There is no group {name} in the tenant of the user.")
        groups.add_member(group.id, user.id)
    for name in sorted(there.keys() - set(entry.groups)):
        groups.remove_member(there[name], user.id, by_root=True)
    if there.keys() != set(entry.groups):
        yield Change("updated", "user", entry.username, ("groups",))


def _put_key(entry: KeyEntry, user_id: int, master_key: MasterKey) -> Iterator[Change]:
    there = keys.find(entry.access_key)
    scope = entry.scope.stored() if entry.scope else None
    if there is None:
        sealed = master_key.seal(entry.secret_key.encode(), entry.access_key.encode())
        keys.create(user_id, entry.access_key, sealed, name=entry.name, expires_ms=entry.expires_ms, scope=scope)
        if entry.status == "inactive":
            keys.change(entry.access_key, {"is_active": False})
        yield Change("created", "access_key", entry.access_key)
    else:
        if there.user_id != user_id:
            raise Conflict(f"The access key {entry.access_key} is somebody else's.")
        yield from _change_key(entry, there, scope, master_key)
    yield from _put_policies(entry, "key", entry.access_key, entry.access_key)


def _change_key(entry: KeyEntry, there: keys.KeyRow, scope: str | None, master_key: MasterKey) -> Iterator[Change]:
    said = entry.model_fields_set
    wanted = {"name": (entry.name, there.name), "is_active": (entry.status == "active", there.is_active),
              "expires_ms": (entry.expires_ms, there.expires_ms), "scope": (scope, there.scope)}
    names = {"is_active": "status", "expires_ms": "expires"}
    values = {name: new for name, (new, old) in wanted.items() if names.get(name, name) in said and new != old}
    if values:
        keys.change(there.id, values)
    found = people.access_key(there.id)
    fields = list(values)
    if found is None or master_key.open(found.sealed_secret, there.id.encode()) != entry.secret_key.encode():
        with identity_change(by_root=True):
            sealed = master_key.seal(entry.secret_key.encode(), there.id.encode())
            AccessKey.update(sealed_secret=sealed).where(AccessKey.id == there.id).execute()
        fields.append("secret_key")
    if fields:
        yield Change("updated", "access_key", there.id, tuple(fields))
