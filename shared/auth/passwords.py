"""Passwords: hashing with argon2id, comparing in equal time, and the rules a new one must follow.

One hash takes 50 to 80 ms of one core of 2026 and 32 MiB. At most HASHES_AT_ONCE run in a process, so that no flood of sign-ins takes
all of its memory; the others wait. https://www.rfc-editor.org/rfc/rfc9106
"""

from __future__ import annotations

import threading
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import ServiceUnavailable

MEMORY_KIB = 32 * 1024
ITERATIONS = 2
HASHES_AT_ONCE = 2
PATIENCE_S = 10         # for a turn; then the caller is told to come back
LONGEST = 256           # characters of a password

_hasher = PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=1, hash_len=32, salt_len=16)
_turns = threading.BoundedSemaphore(HASHES_AT_ONCE)


def _unpadded(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


# What is compared when there is nothing to compare with: as much work as a real hash, and no password is known to match it.
_DECOY = f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p=1${_unpadded(bytes(16))}${_unpadded(bytes(32))}"


class UnfitPassword(ValueError):
    """A new password breaks the rules. ``problems`` has half a sentence for each, beginning with "must"."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The password " + "; ".join(problems) + ".")
        self.problems = problems


class Rules(NamedTuple):
    """What a new password must have; the settings security.password_*."""

    min_length: int = 8
    uppercase: bool = True
    numbers: bool = True
    special: bool = False


DEFAULT_RULES = Rules()


def hashed(password: str) -> str:
    """The argon2id hash, with its salt and parameters, as text. Raises ServiceUnavailable when too many hashes are wanted at once."""
    with _turn():
        return _hasher.hash(_bytes(password))


def matches(password_hash: str | None, password: str) -> bool:
    """Whether this is the password. Without a hash it takes as long, and is False. Raises ServiceUnavailable, as ``hashed``."""
    with _turn():
        try:
            right = _hasher.verify(password_hash or _DECOY, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
    return right and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether it was made with other parameters than today's: at the next sign-in it is to be made again."""
    return _hasher.check_needs_rehash(password_hash)


def hashed_alike(words: list[str]) -> list[str]:
    """Hashes of several words with one salt, so that one hash finds which of them was given (``found_among``)."""
    if not words:
        return []
    first = hashed(words[0])
    return [first, *(_with_salt_of(first, word) for word in words[1:])]


def found_among(hashes: list[str], word: str) -> str | None:
    """Which of the hashes, all made by one ``hashed_alike``, is this word's. Takes as long when there are none."""
    mine = _with_salt_of(hashes[0] if hashes else _DECOY, word)
    return mine if mine in hashes else None


def check_policy(password: str, rules: Rules = DEFAULT_RULES, name: str = "") -> None:
    """Whether somebody called ``name`` may choose this password. Raises UnfitPassword with all that is wrong."""
    problems = [problem for wrong, problem in (
        (len(password) < rules.min_length, f"must have at least {rules.min_length} characters"),
        (len(password) > LONGEST, f"must have at most {LONGEST} characters"),
        (rules.uppercase and not any(char.isupper() for char in password), "must have an upper-case letter"),
        (rules.numbers and not any(char.isdecimal() for char in password), "must have a digit"),
        (rules.special and all(char.isalnum() for char in password), "must have a character that is neither letter nor digit"),
        (any(unicodedata.category(char) in ("Cc", "Cs") for char in password), "must have no control characters"),
        (bool(name) and password.casefold() == name.casefold(), "must not be the name of its user"),
    ) if wrong]
    if problems:
        raise UnfitPassword(problems)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=PATIENCE_S):
        raise ServiceUnavailable("Too many people are signing in. Please try again.")
    try:
        yield
    finally:
        _turns.release()


def _with_salt_of(example: str, word: str) -> str:
    salt = example.split("$")[4]
    with _turn():
        return _hasher.hash(_bytes(word), salt=b64decode(salt + "=" * (-len(salt) % 4)))


def _bytes(password: str) -> bytes:
    """One spelling of a text that keyboards spell differently. What is longer than any password is cut: it matches none."""
    return unicodedata.normalize("NFKC", password[: LONGEST + 1]).encode("utf-8", "surrogatepass")
