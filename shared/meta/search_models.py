"""The tables of the full-text index of current objects. Its words are in ``search_words``, which each engine has in its own way."""

from __future__ import annotations

from peewee import BigAutoField, BigIntegerField, BlobField

from shared.meta.models import Table


class SearchChange(Table):
    """A key whose current object changed, written by triggers in the transaction that changed it; the index has not followed yet."""

    id = BigAutoField()
    bucket_id = BigIntegerField()
    key = BlobField()


class SearchDocument(Table):
    """An object in the index: its ``id`` is that of its words."""

    id = BigAutoField()
    bucket_id = BigIntegerField()
    key = BlobField()

    class Meta:
        indexes = ((("bucket_id", "key"), True),)


ALL = (SearchChange, SearchDocument)
