"""Encryption keys: what objects name as their KMS key, and the key that SSE-S3 uses. No key is ever shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.admin.context import AdminContext
from shared.admin.errors import AlreadyExists, Conflict
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.admin.names import Text
from shared.admin.reach import home, listed_tenant, required
from shared.encryption.ring import DEFAULT_KMS_KEY
from shared.meta import keyring, runs
from shared.meta.database import transaction
from shared.meta.keyring import SSE_S3, KeyRow
from shared.meta.models import INSTALLATION
from shared.registry import admin

KEYS, KEY = "/api/v1/encryption-keys", "/api/v1/encryption-keys/{key}"
SSE_S3_NAME = "sse-s3"      # what the API calls the key of SSE-S3

KeyName = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"),
    Field(description="Letters, digits, and - _ . inside. The same name is never another tenant's."),
]


class EncryptionKeyView(Model):
    """A key, without the key."""

    name: str
    tenant_id: int = Field(description="Whose buckets may use it. 0: all buckets.")
    description: str
    enabled: bool = Field(description="What is encrypted with a key that is not can be neither written nor read.")
    version: int = Field(description="Counts from 1; every rotation makes another one.")
    created_ms: int


class NewEncryptionKey(Model):
    """What is to be made."""

    name: KeyName
    description: Text = ""
    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: for all buckets; null: of the caller's tenant.")


class EncryptionKeyChange(Model):
    """What is to be different; what is left out stays."""

    description: Text = ""
    enabled: bool = True


class EncryptionKeyQuery(PageQuery):
    """Which keys."""

    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: those for all buckets.")


class KeyRotation(Model):
    """What a rotation began."""

    version: int = Field(description="The version that is used from now on.")
    run_id: int = Field(description="The run that puts the data keys of all objects into envelopes of this version.")


@admin(f"GET {KEYS}", allow="admin:ListEncryptionKeys", query=EncryptionKeyQuery, gives=Page[EncryptionKeyView], inside=True)
def list_encryption_keys(ctx: AdminContext) -> Page[EncryptionKeyView]:
    """Return the keys in order of their names, without that of SSE-S3. Who belongs to a tenant sees its keys."""
    tenant_id = listed_tenant(ctx, "admin:ListEncryptionKeys", "encryption-key", ctx.query.tenant_id)
    after = position_of(ctx.query.cursor, str) or ("",)
    page = page_of(keyring.page(str(after[0]), ctx.query.limit + 1, tenant_id), ctx.query.limit, lambda row: (row.id,))
    return Page(items=[_view(row) for row in page.items], next_cursor=page.next_cursor)


def _view(row: KeyRow) -> EncryptionKeyView:
    return EncryptionKeyView(
        name=row.id or SSE_S3_NAME, tenant_id=row.tenant_id, description=row.description, enabled=row.is_enabled, version=row.version,
        created_ms=row.created_ms,
    )


@admin(f"POST {KEYS}", allow="admin:CreateEncryptionKey", takes=NewEncryptionKey, gives=EncryptionKeyView, status=201,
       event="encryption_key_created", inside=True)
def create_encryption_key(ctx: AdminContext) -> EncryptionKeyView:
    """Make a random key with a name that requests may give as their KMS key. Keys are never deleted.

    Raises AlreadyExists, Conflict for a tenant's key of the name that means everybody's.
    """
    body: NewEncryptionKey = ctx.body
    tenant_id = home(ctx, "admin:CreateEncryptionKey", "encryption-key", body.tenant_id)
    ctx.about("encryption_key", body.name, body.name, tenant_id)
    if body.name == SSE_S3_NAME:
        raise AlreadyExists
    if body.name == DEFAULT_KMS_KEY and tenant_id != INSTALLATION:
        raise Conflict("The key of this name is for the buckets of all tenants, so it belongs to none.")
    ring = ctx.services.store.ring
    keyring.create(body.name, lambda version: ring.sealed_new(body.name, version), tenant_id=tenant_id, description=body.description)
    return _view(_found(ctx, "admin:CreateEncryptionKey", body.name))


def _found(ctx: AdminContext, action: str, name: str | None = None) -> KeyRow:
    """The key of the path, when the caller may do this to it. Raises NotFound, AccessDenied."""
    name = name or ctx.args["key"]
    row = keyring.find(SSE_S3 if name == SSE_S3_NAME else name) if name else None
    row = required(ctx, action, f"encryption-key/{name}", row)
    ctx.about("encryption_key", name, name, row.tenant_id)
    return row


@admin(f"GET {KEY}", allow="admin:GetEncryptionKey", gives=EncryptionKeyView, inside=True)
def get_encryption_key(ctx: AdminContext) -> EncryptionKeyView:
    """Return a key; `sse-s3` is the one that SSE-S3 uses, made when it is first needed."""
    return _view(_found(ctx, "admin:GetEncryptionKey"))


@admin(f"PUT {KEY}", allow="admin:UpdateEncryptionKey", takes=EncryptionKeyChange, gives=EncryptionKeyView, event="encryption_key_updated",
       inside=True)
def update_encryption_key(ctx: AdminContext) -> EncryptionKeyView:
    """Change the description, or switch the key off: then nothing that it encrypts is written or read, until it is switched on again."""
    row, values = _found(ctx, "admin:UpdateEncryptionKey"), ctx.body.model_dump(exclude_unset=True)
    ctx.details.update(values)
    if "enabled" in values:
        values["is_enabled"] = values.pop("enabled")
    if values:
        keyring.change(row.id, **values)
    return _view(keyring.find(row.id) or row)


@admin(f"POST {KEY}/rotate", allow="admin:RotateEncryptionKey", gives=KeyRotation, event="encryption_key_rotated", inside=True)
def rotate_encryption_key(ctx: AdminContext) -> KeyRotation:
    """Make a new version of a key. New objects use it at once; those there are follow in a run, which rewrites no bytes.

    Raises Conflict for a key that is switched off.
    """
    row = _found(ctx, "admin:RotateEncryptionKey")
    if not row.is_enabled:
        raise Conflict("The key is switched off, so nothing that it encrypts could follow. Switch it on first.")
    ring = ctx.services.store.ring
    with transaction():
        version = keyring.rotate(row.id, lambda number: ring.sealed_new(row.id, number))
        run_id = runs.enqueue("rewrap_keys", {"key": row.id, "tenant": row.tenant_id}, subject=row.id)
    ctx.details.update(version=version)
    return KeyRotation(version=version, run_id=run_id)
