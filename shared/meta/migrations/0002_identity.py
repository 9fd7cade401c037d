"""Tenants, people and permissions; ACLs and tags. Columns are added without touching a row, however many there are."""

from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    CompositeKey,
    DatabaseProxy,
    IntegerField,
    Model,
    SmallIntegerField,
    SqliteDatabase,
    TextField,
)

proxy = DatabaseProxy()


class Table(Model):
    class Meta:
        database = proxy
        legacy_table_names = False


class Tenant(Table):
    name = TextField(unique=True)
    display_name = TextField(default="")
    description = TextField(default="")
    status = SmallIntegerField(default=0)
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
    tenant_id = BigIntegerField(default=0)
    name = TextField()
    description = TextField(default="")
    created_ms = BigIntegerField()
    revision = BigIntegerField(default=1)

    class Meta:
        indexes = ((("tenant_id", "name"), True),)


class Membership(Table):
    group_id = IntegerField()
    principal_id = IntegerField(index=True)

    class Meta:
        primary_key = CompositeKey("group_id", "principal_id")
        without_rowid = True


class Role(Table):
    tenant_id = BigIntegerField(default=0)
    name = TextField()
    description = TextField(default="")
    created_ms = BigIntegerField()
    revision = BigIntegerField(default=1)

    class Meta:
        indexes = ((("tenant_id", "name"), True),)


class Policy(Table):
    tenant_id = BigIntegerField(default=0)
    name = TextField()
    description = TextField(default="")
    document = TextField()
    created_ms = BigIntegerField()
    revision = BigIntegerField(default=1)

    class Meta:
        indexes = ((("tenant_id", "name"), True),)


class Attachment(Table):
    target_kind = TextField()
    target_id = TextField()
    policy = TextField(index=True)

    class Meta:
        primary_key = CompositeKey("target_kind", "target_id", "policy")
        without_rowid = True


class Login(Table):
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
    id = BlobField(primary_key=True)
    principal_id = IntegerField()
    expires_ms = BigIntegerField(index=True)
    attempts = IntegerField(default=0)


class RateCount(Table):
    name = TextField(primary_key=True)
    window = BigIntegerField(index=True)
    count = IntegerField()


class Setting(Table):
    name = TextField(primary_key=True)
    value = TextField()
    updated_ms = BigIntegerField()
    updated_by = TextField(default="")


class Share(Table):
    token = BlobField(unique=True)
    sealed_token = BlobField()
    bucket_id = BigIntegerField()
    key = BlobField()
    version_id = TextField(null=True)
    created_by = IntegerField()
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


# What is added to the tables of 0001: integers and flags have a default that means what was true before.
COLUMNS = {
    "principal": {
        "tenant_id": "{bigint} NOT NULL DEFAULT 0", "display_name": "TEXT NOT NULL DEFAULT ''", "email": "TEXT",
        "is_active": "{boolean} NOT NULL DEFAULT {true}", "tags": "TEXT", "revision": "{bigint} NOT NULL DEFAULT 1",
    },
    "access_key": {"name": "TEXT NOT NULL DEFAULT ''", "expires_ms": "{bigint}", "last_used_ms": "{bigint}", "scope": "TEXT"},
    "bucket": {
        "tenant_id": "{bigint} NOT NULL DEFAULT 0", "policy": "TEXT", "acl": "TEXT", "ownership": "TEXT DEFAULT 'BucketOwnerEnforced'",
        "public_access": "{smallint} DEFAULT 15", "tags": "TEXT", "revision": "{bigint} NOT NULL DEFAULT 1",
    },
    "object": {"tags": "TEXT", "acl": "TEXT"},
    "version": {"tags": "TEXT", "acl": "TEXT"},
    "upload": {"tags": "TEXT", "acl": "TEXT"},
}
INDEXES = (
    'CREATE INDEX "principal_tenant_id" ON "principal" ("tenant_id")',
    'CREATE UNIQUE INDEX "principal_email" ON "principal" ("email")',
    'CREATE INDEX "bucket_tenant_id_name" ON "bucket" ("tenant_id", "name")',
    'CREATE INDEX "bucket_owner_id_name" ON "bucket" ("owner_id", "name")',
)


def up(migrator, db):
    """Create the tables of identity; add columns for it to those there are."""
    proxy.initialize(db)
    sqlite = isinstance(db, SqliteDatabase)
    for table in ALL:
        table._meta.without_rowid &= sqlite
    db.create_tables(ALL)
    types = ("INTEGER", "INTEGER", "INTEGER", "1") if sqlite else ("BIGINT", "SMALLINT", "BOOLEAN", "true")
    words = dict(zip(("bigint", "smallint", "boolean", "true"), types, strict=True))
    for table, columns in COLUMNS.items():
        for name, definition in columns.items():
            db.execute_sql(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {definition.format(**words)}')
    for index in INDEXES:
        db.execute_sql(index)
