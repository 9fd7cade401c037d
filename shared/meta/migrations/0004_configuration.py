"""Configurations of buckets; object lock and encryption of objects, versions and uploads; keys that wrap data keys."""

from peewee import BigIntegerField, BlobField, BooleanField, CompositeKey, DatabaseProxy, IntegerField, Model, SqliteDatabase, TextField

proxy = DatabaseProxy()


class Table(Model):
    class Meta:
        database = proxy
        legacy_table_names = False


class BucketConfiguration(Table):
    bucket_id = BigIntegerField()
    kind = TextField()
    name = TextField(default="")
    document = TextField()

    class Meta:
        primary_key = CompositeKey("bucket_id", "kind", "name")
        without_rowid = True


class EncryptionKey(Table):
    id = TextField(primary_key=True)
    tenant_id = BigIntegerField(default=0)
    description = TextField(default="")
    is_enabled = BooleanField(default=True)
    created_ms = BigIntegerField()


class EncryptionKeyVersion(Table):
    key_id = TextField()
    version = IntegerField()
    sealed = BlobField()
    created_ms = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("key_id", "version")
        without_rowid = True


ALL = (BucketConfiguration, EncryptionKey, EncryptionKeyVersion)
COLUMNS = {
    "bucket": ("object_lock", "encryption"),
    "object": ("lock", "sse"),
    "version": ("lock", "sse"),
    "upload": ("lock", "sse"),
}


def up(migrator, db):
    """Create the tables; add the columns, all without a value."""
    proxy.initialize(db)
    for table in ALL:
        table._meta.without_rowid &= isinstance(db, SqliteDatabase)
    db.create_tables(ALL)
    for table, columns in COLUMNS.items():
        for name in columns:
            db.execute_sql(f'ALTER TABLE "{table}" ADD COLUMN "{name}" TEXT')
