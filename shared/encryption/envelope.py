"""Envelopes: the data key of a blob, wrapped for the version that points at it, by a key of the ring or the customer's.

    wrapped := 16 bytes salt, 48 bytes AES-256-GCM of the data key

The wrapping key of each envelope is HMAC-SHA-256(key, "data key", salt, blob id, encryption context), and is used once: no nonce can
repeat however many blobs there are, and an envelope opens for no other blob and with no other context.
"""

from __future__ import annotations

import hmac
import json
import secrets
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.blobs.engine import BlobCorrupt
from shared.encryption.ring import Ring
from shared.errors import InvalidRequest
from shared.meta.keyring import SSE_S3
from shared.protocol.sse import BY_KMS, CUSTOMER, CustomerKey, name_of

SALT_BYTES = 16
_NONCE = bytes(12)
NEEDS_KEY = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
)
OTHER_KEY = "The provided encryption parameters did not match the ones used originally."


class Sse(NamedTuple):
    """How a version is encrypted, as its column says. ``key`` is the KMS key as the client named it, ``check`` knows the customer's key."""

    kind: str
    key: str | None = None
    context: str | None = None
    bucket_key: bool = False
    check: str | None = None

    def dump(self) -> str:
        """As the column holds it."""
        return json.dumps({name: value for name, value in self._asdict().items() if value}, separators=(",", ":"))


def load(stored: str | None) -> Sse | None:
    """Read the column; None for a version that nobody asked to be encrypted."""
    return Sse(**json.loads(stored)) if stored else None


def made_check(customer: CustomerKey) -> str:
    """What tells the customer's key from another one, and nothing about it."""
    salt = secrets.token_bytes(SALT_BYTES)
    return (salt + _mark(customer, salt)).hex()


def _mark(customer: CustomerKey, salt: bytes) -> bytes:
    return hmac.digest(customer.key, b"check" + salt, "sha256")[:SALT_BYTES]


def check_customer(sse: Sse | None, customer: CustomerKey | None) -> None:
    """Hold the key that a request brings against the one the version needs, or needs not. Raises InvalidRequest."""
    if sse is None or sse.kind != CUSTOMER:
        if customer is not None:
            raise InvalidRequest("The encryption parameters are not applicable to this object.")
        return
    if customer is None:
        raise InvalidRequest(NEEDS_KEY)
    made = bytes.fromhex(sse.check or "")
    if not hmac.compare_digest(made[SALT_BYTES:], _mark(customer, made[:SALT_BYTES])):
        raise InvalidRequest(OTHER_KEY)


class Wrapped(NamedTuple):
    """A wrapped data key, and the version of the ring's key around it; None for the customer's."""

    key: bytes
    version: int | None


class Envelope:
    """Wraps and unwraps data keys of versions that are encrypted in one way. ``sse`` None: by the ring's own key, and nobody is told."""

    def __init__(self, ring: Ring, sse: Sse | None, customer: CustomerKey | None = None) -> None:
        self._ring = ring
        self._customer = customer if sse is not None and sse.kind == CUSTOMER else None
        self._of_customer = sse is not None and sse.kind == CUSTOMER
        self._name = name_of(sse.key or "") if sse is not None and sse.kind in BY_KMS else SSE_S3
        self._context = (sse.context or "") if sse is not None and sse.kind in BY_KMS else ""
        self._keys: dict[int, bytes] = {}      # asked of the ring once for all segments of a version
        self._current: int | None = None
        self.sse = sse

    def opens_those_of(self, other: Envelope) -> bool:
        """Whether data keys wrapped by the other one need no new envelope."""
        if self._of_customer or other._of_customer:
            return self._customer is not None and other._customer is not None and self._customer.key == other._customer.key
        return (self._name, self._context) == (other._name, other._context)

    @property
    def name(self) -> str | None:
        """The name of the ring's key; None for the customer's."""
        return None if self._of_customer else self._name

    @property
    def version(self) -> int | None:
        """The version of the ring's key that wraps now."""
        return self._wrapping()[0]

    def wrap(self, blob_id: bytes, data_key: bytes) -> Wrapped:
        """Put a data key into an envelope. Raises as Ring.wrapping; InvalidRequest without the customer's key."""
        version, key = self._wrapping()
        salt = secrets.token_bytes(SALT_BYTES)
        return Wrapped(salt + AESGCM(self._derived(key, salt, blob_id)).encrypt(_NONCE, data_key, None), version)

    def unwrap(self, blob_id: bytes, wrapped: bytes | None, version: int | None) -> bytes:
        """Take a data key out. Raises as ``wrap``; BlobCorrupt when the envelope is missing or does not open."""
        if wrapped is None or (version is None) != self._of_customer:
            raise BlobCorrupt("an encrypted blob without the envelope that its version needs")
        key = self._customers() if version is None else self._keys.get(version)
        if key is None:
            assert version is not None
            key = self._keys[version] = self._ring.unwrapping(self._name, version)
        salt, sealed = bytes(wrapped[:SALT_BYTES]), bytes(wrapped[SALT_BYTES:])
        try:
            return AESGCM(self._derived(key, salt, blob_id)).decrypt(_NONCE, sealed, None)
        except (InvalidTag, ValueError):
            raise BlobCorrupt("the envelope of a data key does not open") from None

    def _wrapping(self) -> tuple[int | None, bytes]:
        if self._of_customer:
            return None, self._customers()
        if self._current is None:
            self._current, key = self._ring.wrapping(self._name)
            self._keys[self._current] = key
        return self._current, self._keys[self._current]

    def _customers(self) -> bytes:
        if self._customer is None:
            raise InvalidRequest(NEEDS_KEY)
        return self._customer.key

    def _derived(self, key: bytes, salt: bytes, blob_id: bytes) -> bytes:
        return hmac.digest(key, b"data key" + salt + bytes(blob_id) + self._context.encode(), "sha256")
