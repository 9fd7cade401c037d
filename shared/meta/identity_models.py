"""The tables of tenants, people and what they may do. Principals, access keys and buckets are in models.py, with all the rest.

``tenant_id`` is models.INSTALLATION for what belongs to no tenant. ``revision`` counts the changes of a row: the ETag of the admin API.
"""

from __future__ import annotations

from peewee import BigIntegerField, BlobField, BooleanField, CompositeKey, IntegerField, SmallIntegerField, TextField

from shared.meta.models import INSTALLATION, Table

TENANT_ACTIVE, TENANT_SUSPENDED, TENANT_DELETING = 0, 1, 2


class Tenant(Table):
    """A tenant, its limits (0: none) and what it uses. One conditional update spends ``bytes`` and ``objects`` (shared/meta/quotas.py).

    ``bytes`` counts every version and the parts of unfinished uploads, ``objects`` every version that is no delete marker.
    """

    name = TextField(unique=True)
    display_name = TextField(default="")
    description = TextField(default="")
    status = SmallIntegerField(default=TENANT_ACTIVE)
    max_bytes = BigIntegerField(default=0)
    max_objects = BigIntegerField(default=0)
    max_buckets = BigIntegerField(default=0)
    max_users = BigIntegerField(default=0)
    max_keys = BigIntegerField(default=0)
    bytes = BigIntegerField(default=0)
    objects = BigIntegerField(default=0)
    created_ms = BigIntegerField()
    revision = BigIntegerField(default=1)


class UserGroup(Table):
    """Users who share policies."""

    tenant_id = BigIntegerField(default=INSTALLATION)
    name = TextField()
    description = TextField(default="")
    created_ms = BigIntegerField()
    revision = BigIntegerField(default=1)

    class Meta:
        indexes = ((("tenant_id", "name"), True),)


class Membership(Table):
    """Who is in which group."""

    group_id = IntegerField()
    principal_id = IntegerField(index=True)

    class Meta:
        primary_key = CompositeKey("group_id", "principal_id")
        without_rowid = True


class Role(Table):
    """A named set of policies, to be assumed."""

    tenant_id = BigIntegerField(default=INSTALLATION)
    name = TextField()
    description = TextField(default="")
    created_ms = BigIntegerField()
    revision = BigIntegerField(default=1)

    class Meta:
        indexes = ((("tenant_id", "name"), True),)


class Policy(Table):
    """An identity policy: the JSON text as it was given. Built-in policies are code and have no row."""

    tenant_id = BigIntegerField(default=INSTALLATION)
    name = TextField()
    description = TextField(default="")
    document = TextField()
    created_ms = BigIntegerField()
    revision = BigIntegerField(default=1)

    class Meta:
        indexes = ((("tenant_id", "name"), True),)


class Attachment(Table):
    """A policy attached, by its name: to a ``user``, ``group`` or ``role`` (their ids) or a ``key`` (which it narrows).

    The name is looked up among the built-in ones, in the tenant of the target, then in the installation.
    """

    target_kind = TextField()
    target_id = TextField()
    policy = TextField(index=True)

    class Meta:
        primary_key = CompositeKey("target_kind", "target_id", "policy")
        without_rowid = True


class Login(Table):
    """How a principal signs in to the console. Hashes are argon2id; ``totp_sealed`` is sealed under the master key.

    ``failures`` are those in a row up to ``failed_ms``. ``totp_sealed`` without ``totp_since_ms`` was shown but is not confirmed yet;
    ``totp_step`` is the last time step whose code was used. ``old_hashes`` and ``backup_hashes`` are JSON lists.
    """

    principal_id = IntegerField(primary_key=True)
    password_hash = TextField(null=True)
    old_hashes = TextField(default="[]")
    changed_ms = BigIntegerField(null=True)
    must_change = BooleanField(default=False)
    failures = IntegerField(default=0)
    locked_until_ms = BigIntegerField(default=0)
    failed_ms = BigIntegerField(default=0)
    totp_sealed = BlobField(null=True)
    totp_since_ms = BigIntegerField(null=True)
    totp_step = BigIntegerField(default=0)
    backup_hashes = TextField(default="[]")


class Session(Table):
    """A console session (``cookie``) or a token for scripts (``bearer``). ``id`` and ``csrf`` are SHA-256 of what the client holds."""

    id = BlobField(primary_key=True)
    public_id = TextField(unique=True)
    principal_id = IntegerField(index=True)
    kind = TextField()
    name = TextField(default="")
    csrf = BlobField(null=True)
    created_ms = BigIntegerField()
    seen_ms = BigIntegerField()
    expires_ms = BigIntegerField(index=True)
    address = TextField(default="")
    agent = TextField(default="")


class Challenge(Table):
    """Somebody whose password was right and whose second factor is awaited. ``id`` is the SHA-256 of what the client holds."""

    id = BlobField(primary_key=True)
    principal_id = IntegerField()
    expires_ms = BigIntegerField(index=True)
    attempts = IntegerField(default=0)


class RateCount(Table):
    """How often something happened in a window of time: shared by all processes."""

    name = TextField(primary_key=True)
    window = BigIntegerField(index=True)
    count = IntegerField()


class Setting(Table):
    """A dynamic setting that was changed; ``value`` is JSON."""

    name = TextField(primary_key=True)
    value = TextField()
    updated_ms = BigIntegerField()
    updated_by = TextField(default="")


class Share(Table):
    """A link to one object. ``token`` is the SHA-256 of what the link carries; ``max_downloads`` 0 is no limit."""

    token = BlobField(unique=True)
    sealed_token = BlobField()
    bucket_id = BigIntegerField()
    key = BlobField()
    version_id = TextField(null=True)
    created_by = IntegerField(index=True)
    created_ms = BigIntegerField()
    expires_ms = BigIntegerField(null=True)
    password_hash = TextField(null=True)
    downloads = BigIntegerField(default=0)
    max_downloads = BigIntegerField(default=0)

    class Meta:
        indexes = ((("bucket_id", "key"), False),)


ALL = (
    Tenant, UserGroup, Membership, Role, Policy, Attachment, Login, Session, Challenge, RateCount, Setting, Share,
)
