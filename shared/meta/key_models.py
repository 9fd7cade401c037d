"""The tables of the key ring: keys by name, whose versions wrap the data keys of blobs."""

from __future__ import annotations

from peewee import BigIntegerField, BlobField, BooleanField, CompositeKey, IntegerField, TextField

from shared.meta.models import INSTALLATION, Table


class EncryptionKey(Table):
    """A key that objects name as their KMS key. ``id`` is its name, unique over the installation; "" is the one of SSE-S3."""

    id = TextField(primary_key=True)
    tenant_id = BigIntegerField(default=INSTALLATION)
    description = TextField(default="")
    is_enabled = BooleanField(default=True)
    created_ms = BigIntegerField()


class EncryptionKeyVersion(Table):
    """A version of a key, sealed under the installation's master key. The highest one wraps, all of them unwrap."""

    key_id = TextField()
    version = IntegerField()
    sealed = BlobField()
    created_ms = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("key_id", "version")
        without_rowid = True


ALL = (EncryptionKey, EncryptionKeyVersion)
