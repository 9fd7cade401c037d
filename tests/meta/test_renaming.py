"""Renaming in the database, on both engines: what a token remembers."""

from __future__ import annotations

import pytest

from shared.errors import IdempotencyParameterMismatch, NoSuchKey
from shared.meta import objects
from shared.meta.models import VERSIONING_ENABLED, FinishedUpload
from shared.meta.objects import NewVersion
from shared.meta.renaming import Token, rename


def move(bucket, source, target, token):
    def draft(found):
        return NewVersion(key=target, size=found.size, etag=found.etag, owner_id=1)

    return rename(bucket.id, source, target, 1, draft=draft, check=lambda etag, modified_ms: None, token=token)


def test_a_token_is_remembered_with_what_it_made_and_not_with_what_failed(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    token = Token(b"t" * 16, b"d" * 32)
    with pytest.raises(NoSuchKey):
        move(bucket, b"a", b"b", token)
    assert FinishedUpload.select().count() == 0
    objects.put(bucket.id, NewVersion(key=b"a", size=0, etag="e", owner_id=1))
    made = move(bucket, b"a", b"b", token)
    assert made is not None and objects.find(bucket.id, b"b").version_id == made.version_id
    assert move(bucket, b"a", b"b", token) is None
    with pytest.raises(IdempotencyParameterMismatch):
        move(bucket, b"b", b"c", Token(token.id, b"other" * 6 + b"xx"))
    assert objects.find(bucket.id, b"b").version_id == made.version_id
