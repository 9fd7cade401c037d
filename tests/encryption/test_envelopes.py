"""Envelopes, the check of a customer's key, and bytes that are sealed on their way."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import md5
from types import SimpleNamespace
from typing import Any

import pytest

from shared.blobs.engine import BlobCorrupt
from shared.blobs.files import BytesFile
from shared.blobs.memory import MemoryEngine
from shared.blobs.sealed import SealedStaged, sealed
from shared.blobs.transforms import TransformedFile, stored_bytes
from shared.encryption.envelope import Envelope, Sse, check_customer, load, made_check
from shared.errors import InvalidRequest
from shared.protocol.sse import CUSTOMER, KMS, S3, CustomerKey, name_of, wanted

CHUNK = 65536


class FakeRing(SimpleNamespace):
    """Keys by name and version, without a database."""

    def wrapping(self, name: str) -> tuple[int, bytes]:
        return max(self.keys[name].items())

    def unwrapping(self, name: str, version: int) -> bytes:
        return bytes(self.keys[name][version])


@pytest.fixture
def ring() -> Any:
    return FakeRing(keys={"": {1: os.urandom(32)}, "a": {1: os.urandom(32)}, "b": {1: os.urandom(32)}})


def customer() -> CustomerKey:
    key = os.urandom(32)
    return CustomerKey(key, b64encode(md5(key).digest()).decode())


BLOB, OTHER = os.urandom(16), os.urandom(16)


def test_an_envelope_opens_for_its_blob_key_and_context_only(ring):
    data_key = os.urandom(32)
    envelope = Envelope(ring, Sse(KMS, "a", '{"x":"1"}'))
    wrapped = envelope.wrap(BLOB, data_key)
    assert data_key not in wrapped.key and wrapped.version == 1
    assert Envelope(ring, Sse(KMS, "alias/a", '{"x":"1"}')).unwrap(BLOB, *wrapped) == data_key
    for other, blob in (
        (envelope, OTHER), (Envelope(ring, Sse(KMS, "b", '{"x":"1"}')), BLOB), (Envelope(ring, Sse(KMS, "a")), BLOB),
        (Envelope(ring, None), BLOB), (Envelope(ring, Sse(CUSTOMER), customer()), BLOB),
    ):
        with pytest.raises(BlobCorrupt):
            other.unwrap(blob, *wrapped)
    for broken in (None, b"", wrapped.key[:-1], wrapped.key[:-1] + bytes([wrapped.key[-1] ^ 1])):
        with pytest.raises(BlobCorrupt):
            envelope.unwrap(BLOB, broken, 1)


def test_two_envelopes_of_one_key_differ(ring):
    data_key = os.urandom(32)
    assert Envelope(ring, None).wrap(BLOB, data_key).key != Envelope(ring, None).wrap(BLOB, data_key).key


def test_older_versions_open_and_the_newest_wraps(ring):
    old = Envelope(ring, Sse(S3)).wrap(BLOB, b"d" * 32)
    ring.keys[""][2] = os.urandom(32)
    envelope = Envelope(ring, Sse(S3))
    assert (envelope.unwrap(BLOB, *old), envelope.wrap(BLOB, b"d" * 32).version) == (b"d" * 32, 2)


def test_which_envelopes_serve_a_copy(ring):
    one, two = customer(), customer()
    kinds = [Envelope(ring, sse, key) for sse, key in (
        (None, None), (Sse(KMS, "a"), None), (Sse(KMS, "a", "{}"), None), (Sse(KMS, "b"), None), (Sse(CUSTOMER), one), (Sse(CUSTOMER), two),
    )]
    assert [[a.opens_those_of(b) for b in kinds] for a in kinds] == [[a is b for b in kinds] for a in kinds]
    assert Envelope(ring, Sse(S3)).opens_those_of(kinds[0])
    assert not Envelope(ring, Sse(CUSTOMER)).opens_those_of(Envelope(ring, Sse(CUSTOMER)))      # nobody knows


def test_the_check_of_a_customers_key(ring):
    mine, other = customer(), customer()
    sse = Sse(CUSTOMER, check=made_check(mine))
    assert load(sse.dump()) == sse and mine.key.hex() not in sse.dump()
    check_customer(sse, mine)
    check_customer(None, None)
    for which, key in ((sse, other), (sse, None), (None, mine), (Sse(S3), mine)):
        with pytest.raises(InvalidRequest):
            check_customer(which, key)
    with pytest.raises(InvalidRequest):
        Envelope(ring, sse).wrap(BLOB, b"d" * 32)


def test_no_key_is_shown():
    key = customer()
    assert repr(key.key) not in repr(key) and repr(key.key) not in repr(wanted({}) or key)


@pytest.mark.parametrize(("told", "name"), [
    ("a", "a"), ("alias/a", "a"), ("arn:aws:kms:eu-1:123456789012:key/a", "a"), ("arn:aws:kms:eu-1:123456789012:alias/a", "a"),
    ("arn:x", "x"),
])
def test_how_clients_call_a_key(told, name):
    assert name_of(told) == name


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 16 * CHUNK, 16 * CHUNK + 1, 40 * CHUNK + 5])
@pytest.mark.parametrize("step", [777, CHUNK, 300_000])
def test_what_is_staged_is_encrypted_and_reads_back(size, step):
    engine, body = MemoryEngine(), os.urandom(size)
    staged = SealedStaged(engine.stage())
    for at in range(0, size, step):
        staged.write(memoryview(body)[at:at + step])
    assert staged.size == size
    assert b"".join(bytes(block) for block in staged.blocks()) == body == b"".join(bytes(block) for block in staged.blocks())
    blob_id = staged.commit()
    assert engine.size(blob_id) == stored_bytes(size)
    assert size < 100 or body[:100] not in engine.open(blob_id).read()
    assert TransformedFile(engine.open(blob_id), blob_id, staged.recipe).read() == body
    with pytest.raises(ValueError, match="read already"):
        staged.write(b"more")


def test_a_small_body(ring):
    body = os.urandom(5000)
    blob_id, stored, recipe = sealed(body)
    assert len(stored) == stored_bytes(len(body)) and body[:50] not in stored
    assert TransformedFile(BytesFile(stored), blob_id, recipe).read() == body
    with pytest.raises(BlobCorrupt):
        TransformedFile(BytesFile(stored), OTHER, recipe).read()
