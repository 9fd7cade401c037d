"""The audit log: events in a chain, its signed head and checkpoints, and an index over words."""

from peewee import BigIntegerField, BlobField, DatabaseProxy, IntegerField, Model, SmallIntegerField, SqliteDatabase, TextField

proxy = DatabaseProxy()


class Table(Model):
    class Meta:
        database = proxy
        legacy_table_names = False


class AuditEvent(Table):
    id = BigIntegerField(primary_key=True)
    at_ms = BigIntegerField(index=True)
    event_type = TextField(index=True)
    resource_type = TextField()
    resource_id = TextField()
    resource_name = TextField()
    action = TextField()
    status = TextField()
    principal_id = IntegerField(null=True, index=True)
    username = TextField()
    tenant_id = BigIntegerField()
    address = TextField()
    agent = TextField()
    request_id = TextField()
    details = TextField()
    hash = BlobField()
    words = TextField()

    class Meta:
        indexes = ((("tenant_id", "id"), False),)


class AuditHead(Table):
    id = SmallIntegerField(primary_key=True)
    last_id = BigIntegerField()
    last_hash = BlobField()
    base_id = BigIntegerField()
    base_hash = BlobField()
    checkpoint_id = BigIntegerField()
    checkpoint_ms = BigIntegerField()
    signature = BlobField()


class AuditCheckpoint(Table):
    id = BigIntegerField(primary_key=True)
    at_ms = BigIntegerField()
    hash = BlobField()
    signature = BlobField()


SQLITE = (
    "CREATE VIRTUAL TABLE audit_words USING fts5(words, content='audit_event', content_rowid='id')",
    "CREATE TRIGGER audit_event_added AFTER INSERT ON audit_event BEGIN"
    " INSERT INTO audit_words (rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER audit_event_removed AFTER DELETE ON audit_event BEGIN"
    " INSERT INTO audit_words (audit_words, rowid, words) VALUES ('delete', old.id, old.words); END",
)
POSTGRESQL = ("CREATE INDEX audit_event_words ON audit_event USING gin (array_to_tsvector(string_to_array(words, ' ')))",)


def up(migrator, db):
    """Create the tables and the index over words."""
    proxy.initialize(db)
    db.create_tables((AuditEvent, AuditHead, AuditCheckpoint))
    for statement in SQLITE if isinstance(db, SqliteDatabase) else POSTGRESQL:
        db.execute_sql(statement)
