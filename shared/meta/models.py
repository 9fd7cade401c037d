"""The tables, as peewee models. The migrations create them; a test holds the two against each other.

Four ideas carry the schema (docs/architecture.md has the picture):

* Keys and bucket names are bytes in every engine: byte order, no collation, NUL safe.
* ``object`` holds what a GET finds and nothing else; ``version`` holds noncurrent versions and all delete markers. Listing current
  objects never walks history.
* ``seq`` counts **down**: the newest version of a key has the smallest, so ``(key, seq)`` ascending is listing order in both tables.
  Newest is decided by it, never by time.
* A version's bytes are one whole blob (``blob_id``) or a list of parts and segments (``body_id``), or nothing at all (size 0).
  Copies share blobs; ``blob.refs`` counts the versions and segments that point at it.
"""

from __future__ import annotations

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
    TextField,
)

db = DatabaseProxy()

COUNTER_SHARDS = 16     # rows that share a bucket's counters, so that writers of one bucket do not queue behind one row
INSTALLATION = 0         # the tenant id of what belongs to no tenant
PUBLIC_ACCESS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")   # bits 1, 2, 4, 8
ALL_BLOCKED = 15
NULL_VERSION = "null"   # the version id of everything written while versioning was not enabled

VERSIONING_OFF, VERSIONING_ENABLED, VERSIONING_SUSPENDED = 0, 1, 2
VERSIONING_NAMES = {VERSIONING_ENABLED: "Enabled", VERSIONING_SUSPENDED: "Suspended"}


class Table(Model):
    """One table of the metadata database."""

    class Meta:
        database = db
        legacy_table_names = False


class Change(Table):
    """One row. Its value grows with every change of identity or bucket configuration: caches compare it on each request."""

    id = SmallIntegerField(primary_key=True)
    value = BigIntegerField()


class Principal(Table):
    """A user. ``canonical_id`` is the 64-digit id that S3 replies show as owner; names are unique over the whole installation.

    ``tenant_id`` is INSTALLATION for those who belong to no tenant; ``email`` is in lower case; ``tags`` (a JSON object, None for none) are
    what policies ask for as aws:PrincipalTag.
    """

    canonical_id = TextField(unique=True)
    name = TextField(unique=True)
    is_root = BooleanField(default=False)
    created_ms = BigIntegerField()
    tenant_id = BigIntegerField(default=INSTALLATION, index=True)
    display_name = TextField(default="")
    email = TextField(null=True, unique=True)
    is_active = BooleanField(default=True)
    tags = TextField(null=True)
    revision = BigIntegerField(default=1)


class AccessKey(Table):
    """A key pair. The secret is sealed under the installation's master key with the access key id as context.

    ``scope`` (JSON, see shared/auth/scopes.py) narrows what its principal may do. ``last_used_ms`` is written in batches.
    """

    id = TextField(primary_key=True)
    principal_id = IntegerField(index=True)
    sealed_secret = BlobField()
    is_active = BooleanField(default=True)
    created_ms = BigIntegerField()
    name = TextField(default="")
    expires_ms = BigIntegerField(null=True)
    last_used_ms = BigIntegerField(null=True)
    scope = TextField(null=True)


class Bucket(Table):
    """A bucket. Names are unique over the whole installation. An id is the value of ``change`` at creation: never used again.

    ``policy`` is the JSON text as it was put, ``acl`` and ``tags`` JSON of ours; ``public_access`` holds the four switches of the public
    access block as bits (PUBLIC_ACCESS), or None where the bucket has no such configuration.
    """

    id = BigIntegerField(primary_key=True)
    name = BlobField(unique=True)
    owner_id = IntegerField()
    created_ms = BigIntegerField()
    versioning = SmallIntegerField(default=VERSIONING_OFF)
    tenant_id = BigIntegerField(default=INSTALLATION)
    policy = TextField(null=True)
    acl = TextField(null=True)
    ownership = TextField(null=True, default="BucketOwnerEnforced")
    public_access = SmallIntegerField(null=True, default=ALL_BLOCKED)
    tags = TextField(null=True)
    revision = BigIntegerField(default=1)
    object_lock = TextField(null=True)
    encryption = TextField(null=True)

    class Meta:
        indexes = ((("tenant_id", "name"), False), (("owner_id", "name"), False))     # ListBuckets pages by either


class BucketConfiguration(Table):
    """A configuration of a bucket that is stored, answered and enforced as a document: CORS, lifecycle, website …

    ``kind`` is the sub-resource (``cors``), ``name`` the id where a bucket may have several of a kind (inventory, metrics), else "".
    ``document`` is JSON of the model's shape.
    """

    bucket_id = BigIntegerField()
    kind = TextField()
    name = TextField(default="")
    document = TextField()

    class Meta:
        primary_key = CompositeKey("bucket_id", "kind", "name")
        without_rowid = True


class Counter(Table):
    """What a bucket holds, summed over its shards; changed in the transaction that changes the bucket.

    ``objects`` counts rows of ``object``, ``versions`` rows of ``version``, ``bytes`` the sizes of both,
    ``upload_bytes`` the parts of unfinished uploads.
    """

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
    """The columns that current objects and noncurrent versions have in common.

    ``etag`` is without quotes. ``headers``, ``metadata`` and ``tags`` are JSON objects: system headers by name, user metadata by
    lower-case name; ``acl`` is JSON as for buckets, None where it is private to the owner; ``lock`` (shared/protocol/lock.py) and ``sse``
    (shared/encryption) are JSON too, None for neither. Each table declares them last, because in SQLite a listing would otherwise read
    through them to the columns behind. ``checksum`` is base64, with ``-parts`` when composite.
    """

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
    """The current version of a key, unless that is a delete marker."""

    headers = TextField(null=True)
    metadata = TextField(null=True)
    tags = TextField(null=True)
    acl = TextField(null=True)
    lock = TextField(null=True)
    sse = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("bucket_id", "key")
        without_rowid = True


class Version(VersionRow):
    """A noncurrent version, or a delete marker wherever it stands."""

    is_marker = BooleanField(default=False)
    headers = TextField(null=True)
    metadata = TextField(null=True)
    tags = TextField(null=True)
    acl = TextField(null=True)
    lock = TextField(null=True)
    sse = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("bucket_id", "key", "seq")
        without_rowid = True
        indexes = ((("bucket_id", "key", "version_id"), True),)


class Blob(Table):
    """A run of bytes, on the blob engine or, when small, here in ``data``.

    ``freed_ms`` is set when the last reference is gone. An ordinary rowid table: 4 KiB rows in a WITHOUT ROWID tree read three times
    slower (docs/decisions/0001-schema.md).
    """

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
    """A multipart upload under way. ``id`` is time ordered, so that (bucket, key, id) is listing order."""

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
    tags = TextField(null=True)
    acl = TextField(null=True)
    lock = TextField(null=True)
    sse = TextField(null=True)

    class Meta:
        without_rowid = True
        indexes = ((("bucket_id", "key", "id"), True),)


class FinishedUpload(Table):
    """A completed upload, or a rename with a token, kept a day: the same request again gives the same reply.

    ``parts_digest`` is the SHA-256 of the part list, or of whatever else was asked for; ``reply`` the JSON of what was answered.
    """

    id = BlobField(primary_key=True)
    bucket_id = BigIntegerField()
    key = BlobField()
    parts_digest = BlobField()
    reply = TextField()
    finished_ms = BigIntegerField(index=True)

    class Meta:
        without_rowid = True


class Part(Table):
    """A part of an upload; once completed, a part of the version whose ``body_id`` is the upload's id.

    ``start`` is its first byte there, None before.
    """

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
    """Where the bytes of a part are: ``length`` bytes of a blob from ``offset``, in order of ``position``.

    ``wrapped_key`` is the blob's data key, wrapped for the version that owns this segment.
    """

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
    """One run of a workflow: the truth that the queue only rings about."""

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
    """When a workflow last ran by itself; compared with its interval at start, so that downtime is made up for."""

    workflow = TextField(primary_key=True)
    last_run_ms = BigIntegerField()


class Lease(Table):
    """Who alone may do something, and until when."""

    name = TextField(primary_key=True)
    holder = TextField()
    until_ms = BigIntegerField()


ALL = (
    Change, Principal, AccessKey, Bucket, BucketConfiguration, Counter, Object, Version, Blob, Upload, FinishedUpload, Part, Segment, Run,
    Schedule, Lease,
)
