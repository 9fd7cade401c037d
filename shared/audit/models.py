"""The tables of the audit log. They have a database file of their own, or stand beside the metadata in PostgreSQL."""

from __future__ import annotations

from peewee import BigIntegerField, BlobField, DatabaseProxy, IntegerField, Model, SmallIntegerField, TextField

db = DatabaseProxy()


class Table(Model):
    """One table of the audit log."""

    class Meta:
        database = db
        legacy_table_names = False


class AuditEvent(Table):
    """An event. Ids have no gaps; ``hash`` is over the row and the hash before it; ``words`` is what is searched, derived from the rest."""

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
    """One row: where the chain begins (behind what retention removed) and ends, signed."""

    id = SmallIntegerField(primary_key=True)
    last_id = BigIntegerField()
    last_hash = BlobField()
    base_id = BigIntegerField()
    base_hash = BlobField()
    checkpoint_id = BigIntegerField()
    checkpoint_ms = BigIntegerField()
    signature = BlobField()


class AuditCheckpoint(Table):
    """The hash that the chain had at event ``id``, signed. A copy of each is in a file and in the server's log."""

    id = BigIntegerField(primary_key=True)
    at_ms = BigIntegerField()
    hash = BlobField()
    signature = BlobField()
