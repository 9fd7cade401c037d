"""The key ring of this process: keys by name and version, opened with the master key as they are needed."""

from __future__ import annotations

import logging
import secrets
from typing import NamedTuple

from shared.auth.sealing import MasterKey, SealBroken
from shared.errors import InternalError, KMSDisabledException, KMSNotFoundException
from shared.meta import buckets, keyring
from shared.meta.keyring import SSE_S3, KeyRow
from shared.meta.models import INSTALLATION

KEY_BYTES = 32
DEFAULT_KMS_KEY = "default"       # what aws:kms without a key id means, where there is a key of that name

log = logging.getLogger("maxiofs.encryption")


class KeyMissing(InternalError):
    """A version of a key that something is encrypted with is not in the ring, or does not open with the master key."""

    code_name, message = "InternalError", "The key that this object is encrypted with is not available."


class RingKey(NamedTuple):
    """A key with its versions, opened; those that did not open are missing."""

    row: KeyRow
    versions: dict[int, bytes]

    def __repr__(self) -> str:      # no key in a log or a traceback
        return f"RingKey({self.row.id!r}, versions {sorted(self.versions)})"


class Ring:
    """Finds keys. What it remembers is as of one value of the change counter, so a key that is switched off stops everywhere."""

    def __init__(self, master_key: MasterKey) -> None:
        self._master_key = master_key
        self._known: tuple[int, dict[str, RingKey]] = -1, {}

    def find(self, name: str) -> RingKey | None:
        """A key by name."""
        value = buckets.change_value()
        at, known = self._known
        if at != value:
            known = {}
            self._known = value, known
        if (key := known.get(name)) is None and (key := self._read(name)) is not None:
            known[name] = key       # what is not there is not remembered: a client may think up any number of names
        return key

    def _read(self, name: str) -> RingKey | None:
        row = keyring.find(name)
        if row is None:
            return None
        opened = {}
        for one in keyring.versions(name):
            try:
                opened[one.version] = self._master_key.open(one.sealed, context(name, one.version))
            except SealBroken as error:
                log.error("version %d of the encryption key %r does not open: %s", one.version, name, error)
        return RingKey(row, opened)

    def usable(self, name: str, tenant_id: int) -> RingKey:
        """The key that a bucket of this tenant may use. Raises KMSNotFoundException, also for another tenant's, KMSDisabledException."""
        found = self.find(name)
        if found is None or name == SSE_S3 or found.row.tenant_id not in (INSTALLATION, tenant_id):
            raise KMSNotFoundException(f"Key '{name}' does not exist")
        if not found.row.is_enabled:
            raise KMSDisabledException(f"Key '{name}' is disabled.")
        return found

    def wrapping(self, name: str) -> tuple[int, bytes]:
        """The version of a key that wraps now, and the key. That of SSE-S3 is made when it is first needed.

        Raises KMSNotFoundException, KMSDisabledException, KeyMissing when the ring has it and it does not open.
        """
        found = self.find(name)
        if found is None and name == SSE_S3:
            keyring.ensure(SSE_S3, lambda version: self.sealed_new(SSE_S3, version))
            found = self.find(name)
        found = _enabled(found, name)
        return found.row.version, _version(found, found.row.version)

    def unwrapping(self, name: str, version: int) -> bytes:
        """One version of a key. Raises as ``wrapping``."""
        return _version(_enabled(self.find(name), name), version)

    def sealed_new(self, name: str, version: int) -> bytes:
        """A new random key, sealed to be stored as this version."""
        return self.sealed(name, version, secrets.token_bytes(KEY_BYTES))

    def sealed(self, name: str, version: int, key: bytes) -> bytes:
        """A key sealed to be stored as this version."""
        return self._master_key.seal(key, context(name, version))


def context(name: str, version: int) -> bytes:
    """What the seal of a version is bound to."""
    return f"encryption-key:{name}:{version}".encode()


def _enabled(found: RingKey | None, name: str) -> RingKey:
    if found is None:
        raise KMSNotFoundException(f"Key '{name}' does not exist")
    if not found.row.is_enabled:
        raise KMSDisabledException(f"Key '{name}' is disabled.")
    return found


def _version(found: RingKey, version: int) -> bytes:
    key = found.versions.get(version)
    if key is None:
        log.error("version %d of the encryption key %r is not in the key ring, or does not open", version, found.row.id)
        raise KeyMissing
    return key
