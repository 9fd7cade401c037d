"""The recovery bundle: the master key and the key ring in one file that a passphrase opens.

    {"format": "maxiofs-recovery-bundle", "version": 1, "created_ms": …, "installation": …, "kdf": "scrypt", "n": …, "r": …, "p": …,
     "salt": hex, "nonce": hex, "ciphertext": base64 of AES-256-GCM over the JSON of the contents}

Everything but the ciphertext is authenticated with it.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from shared.auth.sealing import KEY_BYTES, MasterKey, SealBroken
from shared.clock import now_ms
from shared.encryption.ring import context
from shared.meta import keyring
from shared.meta.keyring import KeyRow, SealedVersion

FORMAT, VERSION = "maxiofs-recovery-bundle", 1
MIN_PASSPHRASE = 12     # characters
SCRYPT = {"n": 1 << 17, "r": 8, "p": 1}     # 128 MiB and a third of a second for each guess
MOST_N = 1 << 20


class BundleUnfit(Exception):
    """The bundle can be neither made nor used. The text says why."""


@dataclass(frozen=True, repr=False)
class Contents:
    """What a bundle holds: the master key, the keys of the ring, and their versions opened: (name, number, key, made)."""

    installation: str
    master_key: bytes
    keys: list[KeyRow]
    versions: list[tuple[str, int, bytes, int]]


def read_installation(master_key: MasterKey, installation: str) -> Contents:
    """All keys of the installation whose database is connected, but for versions that its master key does not open: see ``unopened``."""
    opened = []
    for one in keyring.versions():
        with suppress(SealBroken):      # given up by `root reset`: it must not keep the others from being safe
            opened.append((one.key_id, one.version, master_key.open(one.sealed, context(one.key_id, one.version)), one.created_ms))
    names = sorted({name for name, *_ in opened})
    rows = [row for row in (keyring.find(name) for name in names) if row is not None]
    return Contents(installation, bytes.fromhex(master_key.exported()), rows, opened)


def seal(contents: Contents, passphrase: str) -> str:
    """The bundle as text. Raises BundleUnfit for a passphrase that is too short."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise BundleUnfit(f"The passphrase must have {MIN_PASSPHRASE} characters or more.")
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    head = {
        "format": FORMAT, "version": VERSION, "created_ms": now_ms(), "installation": contents.installation, "kdf": "scrypt", **SCRYPT,
        "salt": salt.hex(), "nonce": nonce.hex(),
    }
    told = {
        "master_key": contents.master_key.hex(), "keys": [row._asdict() for row in contents.keys],
        "versions": [[name, number, key.hex(), created_ms] for name, number, key, created_ms in contents.versions],
    }
    sealed = AESGCM(_derived(passphrase, head)).encrypt(nonce, json.dumps(told).encode(), _covered(head))
    return json.dumps(head | {"ciphertext": b64encode(sealed).decode()}, indent=1) + "\n"


def unseal(text: str, passphrase: str) -> Contents:
    """What a bundle holds. Raises BundleUnfit for another passphrase, and for what is no bundle, or was altered."""
    try:
        head = json.loads(text)
        sealed = b64decode(head.pop("ciphertext"), validate=True)
        if (head["format"], head["version"], head["kdf"]) != (FORMAT, VERSION, "scrypt") or not _is_bearable(head):
            raise BundleUnfit("This is no recovery bundle that this version can read.")
        key, nonce = _derived(passphrase, head), bytes.fromhex(head["nonce"])
        told = json.loads(AESGCM(key).decrypt(nonce, sealed, _covered(head)))
    except InvalidTag:
        raise BundleUnfit("The passphrase is another one, or the bundle is damaged.") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BundleUnfit("This is no recovery bundle, or it is damaged.") from None
    return Contents(
        head["installation"], bytes.fromhex(told["master_key"]), [KeyRow(**row) for row in told["keys"]],
        [(name, number, bytes.fromhex(key), created_ms) for name, number, key, created_ms in told["versions"]],
    )


def restore(contents: Contents, master_key: MasterKey) -> tuple[int, int]:
    """Put the keys of a bundle into the ring of the installation whose database is connected, sealed with ``master_key``.

    Versions that are missing come back, those that the master key does not open are replaced, all others stay: a ring never loses one.
    Returns how many came back and how many were replaced. Raises BundleUnfit when the ring has another key under the same name and number.
    """
    there = {(one.key_id, one.version): one for one in keyring.versions()}
    missing, broken = [], []
    for name, number, key, created_ms in contents.versions:
        sealed = SealedVersion(name, number, master_key.seal(key, context(name, number)), created_ms)
        found = there.get((name, number))
        if found is None:
            missing.append(sealed)
            continue
        try:
            same = master_key.open(found.sealed, context(name, number)) == key
        except SealBroken:
            broken.append(sealed)
            continue
        if not same:
            raise BundleUnfit(f"The key ring has another version {number} of the key {name or 'of SSE-S3'!r} than the bundle.")
    restored = keyring.restore(contents.keys, missing) if missing else 0
    if broken:
        keyring.reseal(broken)
    return restored, len(broken)


def unopened(master_key: MasterKey) -> list[tuple[str, int]]:
    """Names and numbers of the versions in the ring that ``master_key`` does not open."""
    return [(one.key_id, one.version) for one in keyring.versions() if not _opens(master_key, one)]


def _opens(master_key: MasterKey, one: SealedVersion) -> bool:
    try:
        master_key.open(one.sealed, context(one.key_id, one.version))
    except SealBroken:
        return False
    return True


def _is_bearable(head: dict[str, Any]) -> bool:
    """Whether nobody wants to use up this machine's memory."""
    return 2 <= head["n"] <= MOST_N and (head["r"], head["p"]) == (SCRYPT["r"], SCRYPT["p"])


def _derived(passphrase: str, head: dict[str, Any]) -> bytes:
    made = Scrypt(salt=bytes.fromhex(head["salt"]), length=KEY_BYTES, n=head["n"], r=head["r"], p=head["p"])
    return made.derive(passphrase.encode())


def _covered(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
