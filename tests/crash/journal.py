"""What clients were told: the journal that a server is held against after it was killed.

An operation is acknowledged, refused, or unknown (the connection broke, or a 5xx came). After an unknown one the key holds what it held or
what that operation would have left; nothing else. Reading everything back settles what was unknown, for the next round.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Unknown(Exception):
    """Nobody said whether it was done."""


class Refused(Exception):
    """It was not done, for sure."""


class Denied(Exception):
    """It may not be done, and was not."""


class Skipped(Exception):
    """There is nothing to do this to."""


class Content(NamedTuple):
    """Bytes by what identifies them. ``etag`` is the MD5 unless the object came in parts."""

    md5: str
    size: int
    etag: str


def random_bytes(choose: random.Random, size: int) -> bytes:
    """Bytes that occur only once."""
    return choose.randbytes(size)


def content_of(data: bytes) -> Content:
    """The content of an ordinary PUT."""
    md5 = hashlib.md5(data).hexdigest()
    return Content(md5, len(data), md5)


def content_of_parts(parts: list[bytes]) -> Content:
    """The content of a multipart upload."""
    whole, digests = hashlib.md5(), hashlib.md5()
    for part in parts:
        whole.update(part)
        digests.update(hashlib.md5(part).digest())
    return Content(whole.hexdigest(), sum(map(len, parts)), f"{digests.hexdigest()}-{len(parts)}")


@dataclass
class Plain:
    """A key of a bucket without versioning. ``possible``: what it may hold, None for nothing."""

    possible: set[Content | None] = field(default_factory=lambda: {None})
    is_frozen: bool = False         # a Complete of unknown outcome is to be repeated: leave the key alone until then

    def acknowledged(self, content: Content | None) -> None:
        """It holds this now."""
        self.possible = {content}

    def unknown(self, content: Content | None) -> None:
        """It may hold this now."""
        self.possible = self.possible | {content}


@dataclass
class Versioned:
    """A key of a versioned bucket. What was acknowledged, in order, and what may be there besides."""

    versions: dict[str, Content | None] = field(default_factory=dict)       # by version id, oldest first; None: a delete marker
    maybe: list[Content | None] = field(default_factory=list)               # written, without a word
    removed: set[str] = field(default_factory=set)
    maybe_removed: set[str] = field(default_factory=set)

    def fault(self, listed: list[tuple[str, Content | None]]) -> str:
        """What is wrong with a listing of the key, newest first; "" when nothing is. ETags are compared, not bytes."""
        ids = [version_id for version_id, _ in listed]
        if gone := [version_id for version_id in self.versions if version_id not in ids and version_id not in self.maybe_removed]:
            return f"acknowledged versions {gone} are lost"
        if back := self.removed & set(ids):
            return f"removed versions {back} are back"
        if [version_id for version_id in reversed(ids) if version_id in self.versions] != [
            version_id for version_id in self.versions if version_id in ids
        ]:
            return "the order of versions changed"
        for version_id, content in listed:
            if version_id in self.versions and _shown(self.versions[version_id]) != _shown(content):
                return f"version {version_id} changed"
        extra = Counter(_shown(content) for version_id, content in listed if version_id not in self.versions)
        if more := extra - Counter(map(_shown, self.maybe)):
            return f"versions nobody wrote: {more}"
        return ""

    def settle(self, listed: list[tuple[str, Content | None]]) -> None:
        """Take a faultless listing for what is."""
        known = {(content.etag, content.size): content for content in (*self.versions.values(), *self.maybe) if content}
        self.removed |= self.maybe_removed - {version_id for version_id, _ in listed}
        self.versions = {
            version_id: known[content.etag, content.size] if content else None for version_id, content in reversed(listed)
        }
        self.maybe, self.maybe_removed = [], set()


def _shown(content: Content | None) -> tuple[str, int] | None:
    return (content.etag, content.size) if content else None


@dataclass
class Chain:
    """One key that all clients overwrite with If-Match: each acknowledged write must be an ancestor of what is there in the end."""

    base: Content | None = None
    attempts: dict[str, tuple[str | None, Content, str]] = field(default_factory=dict)    # ETag -> (ETag before, content, outcome)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, before: str | None, content: Content, outcome: str) -> None:
        """An attempt ended as "acknowledged", "refused" or "unknown"."""
        with self.lock:
            self.attempts[content.etag] = (before, content, outcome)

    def fault(self, found: Content | None) -> str:
        """What is wrong with the key's content."""
        base = self.base.etag if self.base else None
        at, ancestors = found.etag if found else None, set()
        while at != base:
            if at is None or at not in self.attempts or self.attempts[at][2] == "refused":
                return f"{at} was never written, or refused"
            ancestors.add(at)
            at = self.attempts[at][0]
        lost = [etag for etag, (_, _, outcome) in self.attempts.items() if outcome == "acknowledged" and etag not in ancestors]
        return f"conditional writes {lost} were acknowledged and lost" if lost else ""

    def settle(self, found: Content | None) -> None:
        """Begin again from here."""
        self.base, self.attempts = found, {}


@dataclass
class Race:
    """A key that several clients create with If-None-Match: one may win."""

    winners: list[Content] = field(default_factory=list)
    maybe: list[Content] = field(default_factory=list)
    refused: int = 0

    def fault(self, found: Content | None) -> str:
        """What is wrong with the key's content."""
        if len(self.winners) > 1:
            return f"{len(self.winners)} clients were told that they created it"
        if self.winners:
            return "" if found == self.winners[0] else "somebody else's bytes stand where the winner's should"
        if found is None:
            return "it is not there, and yet somebody was refused because of it" if self.refused else ""
        return "" if found in self.maybe else "bytes nobody wrote"


@dataclass
class Pending:
    """An upload under way. ``parts``: acknowledged ones."""

    key: str
    upload_id: str
    parts: list[bytes]
    is_versioned: bool


@dataclass
class Tally:
    """How much was done."""

    operations: int = 0
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    kills: int = 0
    read_back: int = 0

    def __str__(self) -> str:
        return (
            f"{self.operations} operations ({self.acknowledged} acknowledged, {self.refused} refused, {self.unknown} of unknown outcome), "
            f"{self.kills} kills, {self.read_back} bodies read back"
        )
