"""Sealed secrets: what must not stand in the database in clear is encrypted with one master key.

An envelope is: version (1 byte, 1), key mark (4 bytes), nonce (12 bytes), AES-256-GCM ciphertext with its 16-byte tag. Version,
mark and the caller's context are authenticated, so an envelope moved to another row does not open.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from base64 import b64decode
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
VERSION = b"\x01"

_MARK_BYTES, _NONCE_BYTES, _TAG_BYTES = 4, 12, 16
_HEAD_BYTES = len(VERSION) + _MARK_BYTES


class KeyUnusable(Exception):
    """The master key itself is missing, of the wrong size or unreadable. The text says what to do."""


class SealBroken(Exception):
    """An envelope does not open: wrong master key, wrong context, or damaged."""


class MasterKey:
    """The key that seals and opens. Nonces are random: good for 2**32 envelopes, far beyond what one key will see."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise KeyUnusable(f"A master key has {KEY_BYTES} bytes, this one {len(key)}.")
        self._key = key
        self._cipher = AESGCM(key)
        self._head = VERSION + hmac.digest(key, b"maxiofs master key mark", "sha256")[:_MARK_BYTES]

    @classmethod
    def load_or_create(cls, path: Path, value: str | None = None) -> Self:
        """Take the key from ``value`` (64 hexadecimal digits or base64) if given, else from the file, made if absent.

        The file is written durably, with mode 0600, under a temporary name first: two processes that start together end with
        one key, and no reader sees half of it. Raises KeyUnusable.
        """
        if value:
            return cls(_decoded(value))
        try:
            key = _read(path)
            return cls(_create(path) if key is None else key)
        except OSError as error:
            raise KeyUnusable(f"The master key {path} cannot be read or written: {error.strerror}.") from error

    def derive(self, purpose: bytes) -> bytes:
        """A key of 32 bytes for one purpose. It tells nothing of this key, nor of the key for another purpose."""
        return hmac.digest(self._key, b"maxiofs key for " + purpose, "sha256")

    def exported(self) -> str:
        """The key itself as 64 hexadecimal digits: for a backup, and nothing else."""
        return self._key.hex()

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt. ``context`` says what this is and whose (``b"access-key:AKIA…"``); the same is needed to open."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._head + nonce + self._cipher.encrypt(nonce, plaintext, self._head + context)

    def open(self, envelope: bytes, context: bytes) -> bytes:
        """Decrypt what ``seal`` made with this key and this context. Raises SealBroken, and then gives no byte of it."""
        if len(envelope) < _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES:
            raise SealBroken("The sealed value is truncated.")
        if envelope[:1] != VERSION:
            raise SealBroken(f"The sealed value has version {envelope[0]}, which this program does not know.")
        if envelope[:_HEAD_BYTES] != self._head:
            raise SealBroken("The sealed value was made with another master key. Restore the key that belongs to this data.")
        nonce, sealed = envelope[_HEAD_BYTES:][:_NONCE_BYTES], envelope[_HEAD_BYTES + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, self._head + context)
        except InvalidTag:
            raise SealBroken("The sealed value is damaged or belongs elsewhere.") from None


def _decoded(value: str) -> bytes:
    text = value.strip()
    if re.fullmatch("[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        return b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise KeyUnusable("The master key must be 64 hexadecimal digits or 32 bytes in base64.") from None


def _read(path: Path) -> bytes | None:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != KEY_BYTES:
        raise KeyUnusable(f"The master key {path} is damaged: {len(key)} bytes instead of {KEY_BYTES}. Restore it from a backup.")
    return key


def put_back(path: Path, key: bytes) -> None:
    """Write a key that was lost to the file where it was. Raises KeyUnusable when another one is there meanwhile."""
    if _create(path, key) != key:
        raise KeyUnusable(f"There is another master key in {path}.")


def _create(path: Path, key: bytes | None = None) -> bytes:
    """Write a key, a new one by default; or read the one that another process has just linked into place."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES) if key is None else key)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(temporary)
    _sync_folder(path.parent)
    made = _read(path)
    if made is None:
        raise KeyUnusable(f"The master key {path} vanished while it was made.")
    return made


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
