"""The first schema: a frozen copy of shared/meta/models.py, as a migration must be."""

from peewee import (
    SQL,
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


class Change(Table):
    id = SmallIntegerField(primary_key=True)
    value = BigIntegerField()


class Principal(Table):
    canonical_id = TextField(unique=True)
    name = TextField(unique=True)
    is_root = BooleanField(default=False)
    created_ms = BigIntegerField()


class AccessKey(Table):
    id = TextField(primary_key=True)
    principal_id = IntegerField(index=True)
    sealed_secret = BlobField()
    is_active = BooleanField(default=True)
    created_ms = BigIntegerField()


class Bucket(Table):
    id = BigIntegerField(primary_key=True)
    name = BlobField(unique=True)
    owner_id = IntegerField()
    created_ms = BigIntegerField()
    versioning = SmallIntegerField(default=0)


class Counter(Table):
    bucket_id = BigIntegerField()
    shard = SmallIntegerField()
    objects = BigIntegerField(default=0)
    versions = BigIntegerField(default=0)
    bytes = BigIntegerField(default=0)
    upload_bytes = BigIntegerField(default=0)

    class Meta:
        primary_key = CompositeKey("bucket_id", "shard")
        without_rowid = True


class VersionRow(Table):
    bucket_id = BigIntegerField()
    key = BlobField()
    seq = BigIntegerField()
    version_id = TextField()
    mtime_ms = BigIntegerField()
    size = BigIntegerField()
    etag = TextField()
    owner_id = IntegerField()
    storage_class = TextField(null=True)
    checksum_algorithm = TextField(null=True)
    checksum = TextField(null=True)
    parts_count = IntegerField(null=True)
    blob_id = BlobField(null=True)
    wrapped_key = BlobField(null=True)
    key_version = IntegerField(null=True)
    body_id = BlobField(null=True)


class Object(VersionRow):
    headers = TextField(null=True)
    metadata = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("bucket_id", "key")
        without_rowid = True


class Version(VersionRow):
    is_marker = BooleanField(default=False)
    headers = TextField(null=True)
    metadata = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("bucket_id", "key", "seq")
        without_rowid = True
        indexes = ((("bucket_id", "key", "version_id"), True),)


class Blob(Table):
    id = BlobField(primary_key=True)
    size = BigIntegerField()
    refs = IntegerField()
    created_ms = BigIntegerField()
    freed_ms = BigIntegerField(null=True)
    codec = TextField(null=True)
    algorithm = TextField(null=True)
    chunk = IntegerField(null=True)
    data = BlobField(null=True)


Blob.add_index(Blob.index(Blob.freed_ms, where=SQL("freed_ms IS NOT NULL"), name="blob_freed_ms"))


class Upload(Table):
    id = BlobField(primary_key=True)
    bucket_id = BigIntegerField()
    key = BlobField()
    owner_id = IntegerField()
    initiated_ms = BigIntegerField(index=True)
    storage_class = TextField(null=True)
    headers = TextField(null=True)
    metadata = TextField(null=True)
    checksum_algorithm = TextField(null=True)
    checksum_type = TextField(null=True)

    class Meta:
        without_rowid = True
        indexes = ((("bucket_id", "key", "id"), True),)


class FinishedUpload(Table):
    id = BlobField(primary_key=True)
    bucket_id = BigIntegerField()
    key = BlobField()
    parts_digest = BlobField()
    reply = TextField()
    finished_ms = BigIntegerField(index=True)

    class Meta:
        without_rowid = True


class Part(Table):
    body_id = BlobField()
    number = IntegerField()
    size = BigIntegerField()
    etag = TextField()
    mtime_ms = BigIntegerField()
    checksum_algorithm = TextField(null=True)
    checksum = TextField(null=True)
    start = BigIntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("body_id", "number")
        without_rowid = True


class Segment(Table):
    body_id = BlobField()
    part_number = IntegerField()
    position = IntegerField()
    blob_id = BlobField()
    offset = BigIntegerField()
    length = BigIntegerField()
    wrapped_key = BlobField(null=True)
    key_version = IntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("body_id", "part_number", "position")
        without_rowid = True


class Run(Table):
    workflow = TextField()
    subject = TextField(default="")
    state = TextField(default="queued")
    input = TextField(default="{}")
    cursor = TextField(null=True)
    done = BigIntegerField(default=0)
    total = BigIntegerField(null=True)
    message = TextField(null=True)
    attempts = IntegerField(default=0)
    due_ms = BigIntegerField()
    leased_by = TextField(null=True)
    lease_until_ms = BigIntegerField(null=True)
    created_ms = BigIntegerField()
    finished_ms = BigIntegerField(null=True)


Run.add_index(Run.index(Run.workflow, Run.subject, unique=True, where=SQL("finished_ms IS NULL"), name="run_unfinished"))
Run.add_index(Run.index(Run.due_ms, where=SQL("finished_ms IS NULL"), name="run_due"))
Run.add_index(Run.index(Run.finished_ms, name="run_finished"))


class Schedule(Table):
    workflow = TextField(primary_key=True)
    last_run_ms = BigIntegerField()


class Lease(Table):
    name = TextField(primary_key=True)
    holder = TextField()
    until_ms = BigIntegerField()


ALL = (Change, Principal, AccessKey, Bucket, Counter, Object, Version, Blob, Upload, FinishedUpload, Part, Segment, Run, Schedule, Lease)


def up(migrator, db):
    """Create every table, and the one row of ``change``."""
    proxy.initialize(db)
    for table in ALL:
        table._meta.without_rowid &= isinstance(db, SqliteDatabase)     # other engines have no such thing
    db.create_tables(ALL)
    Change.insert(id=1, value=0).execute()
