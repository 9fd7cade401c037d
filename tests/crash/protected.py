"""Encrypted, locked and tagged writes among the load, and what must be true of them after a kill.

Each carries a tag that tells its bytes: whatever is read, the tag must fit. An encrypted key is always written in one way, so that it is
known how to read it. A locked version must be there for as long as its lock says so, with the lock that was acknowledged last: who loses a
lock lets somebody delete what the law wants kept.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.crash.journal import Content, Denied, Plain, Skipped, Unknown, Versioned, content_of
from tests.s3.raw import Answer

if TYPE_CHECKING:
    from tests.crash.load import Client

ENCRYPTED, LOCKED = "crash-encrypted", "crash-locked"
# A key name begins with the way that it is written in.
KEYS = {"default": 2, "customer": 2}
LOCKED_KEYS = 2
MOST_LOCKED = 10        # versions of one key
BYPASS = (("x-amz-bypass-governance-retention", "true"),)

Headers = tuple[tuple[str, str], ...]
Ask = Callable[..., Answer]


def without_etag(content: Content | None) -> Content | None:
    """What is encrypted with a customer's key has an ETag that says nothing."""
    return content._replace(etag="") if content else None


def lock_of(mode: str, until: str, hold: str) -> Content:
    """A lock as the journal has it."""
    text = f"{mode} {until} {hold}"
    return Content(text, 0, text)


def customer_headers(number: int, prefix: str = "x-amz-") -> Headers:
    """A client's own key."""
    key = hashlib.sha256(f"client {number}".encode()).digest()
    name = f"{prefix}server-side-encryption-customer-"
    return (
        (f"{name}algorithm", "AES256"), (f"{name}key", b64encode(key).decode()),
        (f"{name}key-MD5", b64encode(hashlib.md5(key).digest()).decode()),
    )  # fmt: skip


def prepare(ask: Ask) -> None:
    """Make the two buckets."""
    assert ask("PUT", f"/{ENCRYPTED}").status == 200
    encrypt_by_default(ask, ENCRYPTED)
    answer = ask("PUT", f"/{LOCKED}", (("x-amz-bucket-object-lock-enabled", "true"),))
    assert answer.status == 200, answer


def encrypt_by_default(ask: Ask, bucket: str) -> None:
    """Encrypt what is written into a bucket with the server's own keys, in parts too."""
    rule = "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
    body = f"<ServerSideEncryptionConfiguration><Rule>{rule}</Rule></ServerSideEncryptionConfiguration>".encode()
    answer = ask("PUT", f"/{bucket}?encryption", _md5(body), body)
    assert answer.status == 200, answer


def _md5(body: bytes) -> Headers:
    return (("Content-MD5", b64encode(hashlib.md5(body).digest()).decode()),)


def _tag(body: bytes) -> Headers:
    return (("x-amz-tagging", f"md5={hashlib.md5(body).hexdigest()}"),)


def _tag_fault(ask: Ask, target: str, content: Content) -> str:
    """What is wrong with the tag of what holds these bytes; a copy has its source's."""
    answer = ask("GET", target)
    found = answer.xml.findtext("TagSet/Tag/Value") if answer.status == 200 else str(answer)
    return "" if found == content.md5 else f"{target}: its tag is {found}, and its bytes are {content.md5}"


class Protected:
    """The encrypted and locked keys of one client, and what it does to them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.encrypted = {f"{way}/c{client.number}-{index}": Plain() for way, count in KEYS.items() for index in range(count)}
        self.versions = {f"c{client.number}/l{index}": Versioned() for index in range(LOCKED_KEYS)}
        self.locks: dict[str, Plain] = {}       # by version id
        self.maybe_locks: list[Content | None] = []     # of versions that were written without a word
        self.moves: list[tuple[int, Callable[[], None]]] = [
            (14, self.put_encrypted), (6, self.copy_encrypted), (8, self.put_locked), (4, self.delete_locked), (4, self.release),
            (4, self.hold), (3, self.remove_released),
        ]  # fmt: skip

    # ---- encrypted ------------------------------------------------------------------------------------------------------------------

    def headers(self, key: str, prefix: str = "x-amz-") -> Headers:
        """What writing or reading this key takes."""
        return customer_headers(self.client.number, prefix) if key.startswith("customer/") else ()

    def put_encrypted(self) -> None:
        """A body into the database or through staging, under a new data key."""
        key = self.client.choose.choice(list(self.encrypted))
        body = self.client._body(0, self.client.choose.choice((16384, 300_000)))
        content = without_etag(content_of(body))
        self.client._change(
            self.encrypted[key], content, lambda: self.client._ask("PUT", f"/{ENCRYPTED}/{key}", (*self.headers(key), *_tag(body)), body),
        )  # fmt: skip

    def copy_encrypted(self) -> None:
        """From one way to the other: the data key is wrapped anew, the bytes stay where they are."""
        known = [(key, *one.possible) for key, one in self.encrypted.items() if len(one.possible) == 1 and None not in one.possible]
        if not known:
            raise Skipped
        source, content = self.client.choose.choice(known)
        key = self.client.choose.choice([key for key in self.encrypted if key != source])
        headers = (
            ("x-amz-copy-source", f"/{ENCRYPTED}/{source}"), *self.headers(source, "x-amz-copy-source-"), *self.headers(key),
        )  # fmt: skip
        self.client._change(self.encrypted[key], content, lambda: self.client._ask("PUT", f"/{ENCRYPTED}/{key}", headers))

    # ---- locked ---------------------------------------------------------------------------------------------------------------------

    def _a_version(self, *, known: bool = True) -> tuple[str, str, Versioned]:
        """Key, version id and journal of a version that is there for sure, and whose lock is known for sure if so asked."""

        found = [
            (key, version_id, journal) for key, journal in self.versions.items() for version_id in journal.versions
            if version_id not in journal.maybe_removed and (not known or len(self.locks[version_id].possible) == 1)
        ]  # fmt: skip
        if not found:
            raise Skipped
        return self.client.choose.choice(found)

    def put_locked(self) -> None:
        """A version that is locked from its first moment."""
        key, journal = self.client.choose.choice(list(self.versions.items()))
        if len(journal.versions) >= MOST_LOCKED:
            self.release()
            self.remove_released()
            return
        mode, hold = self.client.choose.choice(("GOVERNANCE", "COMPLIANCE")), self.client.choose.choice(("ON", "OFF"))
        # Compliance ends with its date alone, and the load must not run out of versions to work on.
        until = _in(hours=24) if mode == "GOVERNANCE" else _in(seconds=self.client.choose.uniform(4, 9))
        body = self.client._body(0, 40_000)
        headers = (
            ("x-amz-object-lock-mode", mode), ("x-amz-object-lock-retain-until-date", until), ("x-amz-object-lock-legal-hold", hold),
            *_md5(body), *_tag(body),
        )  # fmt: skip
        content = content_of(body)
        try:
            answer = self.client._ask("PUT", f"/{LOCKED}/{key}", headers, body)
        except Unknown:
            journal.maybe.append(content)
            self.maybe_locks.append(lock_of(mode, until, hold))
            raise
        version_id = answer.headers["x-amz-version-id"]
        journal.versions[version_id] = content
        self.locks[version_id] = Plain({lock_of(mode, until, hold)})

    def delete_locked(self) -> None:
        """To be refused, while the lock holds."""
        key, version_id, _ = self._a_version()
        [lock] = self.locks[version_id].possible
        assert lock is not None
        if not _holds(lock):
            raise Skipped
        try:
            self.client._ask("DELETE", f"/{LOCKED}/{key}?versionId={version_id}")
        except Denied:
            return
        raise AssertionError(f"{LOCKED}/{key} version {version_id} was deleted under {lock.md5}")

    def _relock(self, version_id: str, lock: Content, send: Callable[[], object]) -> None:
        self.client._change(self.locks[version_id], lock, send)

    def release(self) -> None:
        """No retention any more, by whoever may bypass governance."""
        key, version_id, _ = self._a_version()
        mode, _until, hold = _parts(self.locks[version_id])
        if mode != "GOVERNANCE":
            return
        body = b"<Retention></Retention>"
        target = f"/{LOCKED}/{key}?retention&versionId={version_id}"
        self._relock(version_id, lock_of("", "", hold), lambda: self.client._ask("PUT", target, (*BYPASS, *_md5(body)), body))

    def hold(self) -> None:
        """The legal hold, the other way round."""
        key, version_id, _ = self._a_version()
        mode, until, hold = _parts(self.locks[version_id])
        wanted = "OFF" if hold == "ON" else "ON"
        body = f"<LegalHold><Status>{wanted}</Status></LegalHold>".encode()
        target = f"/{LOCKED}/{key}?legal-hold&versionId={version_id}"
        self._relock(version_id, lock_of(mode, until, wanted), lambda: self.client._ask("PUT", target, _md5(body), body))

    def remove_released(self) -> None:
        """A version that nothing holds goes, for good."""

        key, version_id, journal = self._a_version()
        [lock] = self.locks[version_id].possible
        assert lock is not None
        if _holds(lock, margin_s=-1):
            raise Skipped
        try:
            self.client._ask("DELETE", f"/{LOCKED}/{key}?versionId={version_id}")
        except Unknown:
            journal.maybe_removed.add(version_id)
            raise
        del journal.versions[version_id]
        journal.removed.add(version_id)


def _in(*, hours: float = 0, seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours, seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parts(journal: Plain) -> tuple[str, str, str]:
    [lock] = journal.possible
    assert lock is not None
    mode, until, hold = lock.md5.split(" ")
    return mode, until, hold


def _holds(lock: Content, margin_s: float = 1) -> bool:
    """Whether the lock forbids a delete for at least this long; a negative margin: whether it did until that long ago."""
    mode, until, hold = lock.md5.split(" ")
    return hold == "ON" or bool(mode and datetime.fromisoformat(until) > datetime.now(UTC) + timedelta(seconds=margin_s))


# ---- comparing ----------------------------------------------------------------------------------------------------------------------


def encrypted_fault(protected: Protected, ask: Ask) -> str:
    """What is wrong with the encrypted keys, "" for nothing; what was unknown is known after."""
    for key, journal in protected.encrypted.items():
        answer = ask("GET", f"/{ENCRYPTED}/{key}", protected.headers(key))
        if answer.status not in (200, 404):
            return f"{ENCRYPTED}/{key}: {answer}"
        found = None if answer.status == 404 else without_etag(content_of(answer.body))
        if found not in journal.possible:
            return f"{ENCRYPTED}/{key} holds {found}, and may hold {journal.possible}"
        if found and (fault := _tag_fault(ask, f"/{ENCRYPTED}/{key}?tagging", found)):
            return fault
        if found and key.startswith("customer/") and ask("GET", f"/{ENCRYPTED}/{key}").status != 400:
            return f"{ENCRYPTED}/{key} is read without its key"
        journal.acknowledged(found)
    return ""


def locked_fault(protected: Protected, listed: dict[str, list[tuple[str, Content | None]]], ask: Ask) -> str:
    """What is wrong with the locked versions and their locks, given the listing of their bucket."""
    for key, journal in protected.versions.items():
        rows = listed.get(key, [])
        if fault := journal.fault(rows):
            return f"{LOCKED}/{key}: {fault}"
        journal.settle(rows)
        for version_id, content in journal.versions.items():
            target = f"/{LOCKED}/{key}?versionId={version_id}"
            answer = ask("GET", target)
            if content_of(answer.body) != content:
                return f"{LOCKED}/{key} version {version_id}: {answer}"
            if content and (fault := _tag_fault(ask, f"/{LOCKED}/{key}?tagging&versionId={version_id}", content)):
                return fault
            found = _lock_in(answer)
            if found not in protected.locks.setdefault(version_id, Plain(set(protected.maybe_locks))).possible:
                return f"{LOCKED}/{key} version {version_id} has the lock {found.md5}, and may have {protected.locks[version_id].possible}"
            protected.locks[version_id].acknowledged(found)
            if _holds(found, margin_s=2) and ask("DELETE", target).status != 403:
                return f"{LOCKED}/{key} version {version_id} can be deleted under {found.md5}"
    protected.maybe_locks.clear()
    return ""


def _lock_in(answer: Answer) -> Content:
    """The lock that the headers of a reply show, in the journal's words."""
    shown = answer.headers
    until = shown.get("x-amz-object-lock-retain-until-date", "")
    if until:
        until = datetime.fromisoformat(until).strftime("%Y-%m-%dT%H:%M:%SZ")
    return lock_of(shown.get("x-amz-object-lock-mode", ""), until, shown.get("x-amz-object-lock-legal-hold", "OFF"))
