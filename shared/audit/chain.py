"""The hash chain and its signatures, as pure functions.

Each event's hash is SHA-256 over the hash before it and its own columns. Whoever can write to the database could make a new chain, so head
and checkpoints are signed with HMAC-SHA-256 under a key derived from the master key, which is in no database.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import NamedTuple

START = bytes(32)       # the hash before the first event


class Row(NamedTuple):
    """An event as it is stored, without hash and words; in the order in which it is hashed. ``details`` is JSON text."""

    id: int
    at_ms: int
    event_type: str
    resource_type: str
    resource_id: str
    resource_name: str
    action: str
    status: str
    principal_id: int | None
    username: str
    tenant_id: int
    address: str
    agent: str
    request_id: str
    details: str


class Head(NamedTuple):
    """Where the chain begins and ends. Ids in (base_id, last_id] are kept; ``base_hash`` is the hash of the last event removed."""

    last_id: int = 0
    last_hash: bytes = START
    base_id: int = 0
    base_hash: bytes = START
    checkpoint_id: int = 0
    checkpoint_ms: int = 0


def link(before: bytes, row: Row) -> bytes:
    """The hash of an event."""
    return hashlib.sha256(before + json.dumps(list(row), separators=(",", ":")).encode()).digest()


def sign_head(key: bytes, head: Head) -> bytes:
    """The signature of the head."""
    return _sign(key, b"head", head)


def sign_checkpoint(key: bytes, id_: int, at_ms: int, hash_: bytes) -> bytes:
    """The signature of a checkpoint."""
    return _sign(key, b"checkpoint", (id_, at_ms, hash_))


def _sign(key: bytes, what: bytes, values: Sequence[int | bytes]) -> bytes:
    text = json.dumps([value.hex() if isinstance(value, bytes) else value for value in values]).encode()
    return hmac.digest(key, b"maxiofs audit " + what + b"\0" + text, "sha256")


class Checkpoint(NamedTuple):
    """A checkpoint as it is written down outside of the database."""

    id: int
    at_ms: int
    hash: bytes
    signature: bytes

    def text(self) -> str:
        """One line."""
        return f"{self.id} {self.at_ms} {self.hash.hex()} {self.signature.hex()}"

    @classmethod
    def parse(cls, line: str) -> Checkpoint:
        """What ``text`` made. Raises ValueError."""
        id_, at_ms, hash_, signature = line.split()
        return cls(int(id_), int(at_ms), bytes.fromhex(hash_), bytes.fromhex(signature))
