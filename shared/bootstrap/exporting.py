"""Bootstrap, the way back: what an installation has, as a bootstrap document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from shared import dynamic
from shared.admin.bucket_models import PublicAccess
from shared.auth.sealing import MasterKey
from shared.bootstrap.document import OFF
from shared.meta import attachments, catalog, groups, keys, people, policies, tenants, users
from shared.meta.identity_models import TENANT_ACTIVE
from shared.meta.models import INSTALLATION, VERSIONING_NAMES
from shared.protocol import tags

PAGE_ROWS = 500


def export(master_key: MasterKey, *, secrets: bool) -> dict[str, Any]:
    """Everything but objects, passwords and second factors; secrets of access keys only when asked for. Root's own key is left out."""
    names = {INSTALLATION: ""} | {row.id: row.name for row in _all(tenants.page)}
    people_ = {row.id: row for row in _all(users.page)}
    found: dict[str, Any] = _bare({
        "settings": {name: one.value for name, one in dynamic.changed().items()},
        "tenants": [_tenant(row) for row in _all(tenants.page)],
        "policies": [{"name": row.name, "tenant": names[row.tenant_id], "description": row.description,
                      "document": json.loads(row.document)} for row in _all(policies.page)],
        "groups": [_group(row, names, "group") for row in _all(groups.groups.page)],
        "roles": [_group(row, names, "role") for row in _all(groups.roles.page)],
        "users": [_user(row, names, master_key, secrets) for row in people_.values() if not row.is_root],
        "buckets": [_bucket(one, people_) for one in _buckets() if one.owner_id in people_],
    })
    return found


def _all(page: Callable[[int, int], list[Any]]) -> Iterator[Any]:
    after = 0
    while rows := page(after, PAGE_ROWS):
        yield from rows
        after = rows[-1].id


def _buckets() -> Iterator[Any]:
    after = ""
    while rows := catalog.page(None, "", after, PAGE_ROWS):
        yield from rows
        after = rows[-1].name


def _bare(value: Any) -> Any:
    """Without what is empty: it says nothing."""
    if isinstance(value, dict):
        kept = {name: _bare(one) if name not in ("document", "policy", "public_access") else one for name, one in value.items()}
        return {name: one for name, one in kept.items() if one not in ("", None, [], {}, 0) or isinstance(one, bool)}
    return [_bare(one) for one in value] if isinstance(value, list) else value


def _tenant(row: Any) -> dict[str, Any]:
    limits = {name: getattr(row, name) for name in ("max_bytes", "max_objects", "max_buckets", "max_users", "max_keys")}
    status = "active" if row.status == TENANT_ACTIVE else "suspended"
    return {"name": row.name, "display_name": row.display_name, "description": row.description, "status": status, **limits}


def _group(row: Any, names: dict[int, str], kind: attachments.Kind) -> dict[str, Any]:
    return {"name": row.name, "tenant": names[row.tenant_id], "description": row.description, "policies": attachments.of(kind, row.id)}


def _user(row: Any, names: dict[int, str], master_key: MasterKey, secrets: bool) -> dict[str, Any]:
    return {
        "username": row.name, "tenant": names[row.tenant_id], "canonical_id": row.canonical_id, "display_name": row.display_name,
        "email": row.email, "status": "active" if row.is_active else "inactive", "policies": attachments.of("user", row.id),
        "groups": [group.name for group in groups.of_user(row.id)], "tags": tags.load(row.tags),
        "access_keys": [_key(key, master_key) for key in keys.page("", PAGE_ROWS, user_id=row.id)] if secrets else [],
    }


def _key(row: Any, master_key: MasterKey) -> dict[str, Any]:
    found = people.access_key(row.id)
    expires = datetime.fromtimestamp(row.expires_ms / 1000, UTC).isoformat() if row.expires_ms is not None else ""
    return {
        "access_key": row.id, "secret_key": master_key.open(found.sealed_secret, row.id.encode()).decode() if found else "",
        "name": row.name, "status": "active" if row.is_active else "inactive", "expires": expires,
        "scope": json.loads(row.scope) if row.scope else None, "policies": attachments.of("key", row.id),
    }


def _bucket(one: Any, people_: dict[int, Any]) -> dict[str, Any]:
    blocked = PublicAccess.of(one.public_access)
    return {
        "name": one.name, "owner": people_[one.owner_id].name, "versioning": VERSIONING_NAMES.get(one.versioning),
        "ownership": one.ownership or OFF, "public_access": blocked.model_dump() if blocked else OFF, "tags": tags.load(one.tags),
        "policy": json.loads(one.policy) if one.policy else None,
    }
