"""The load: clients that write, overwrite, copy and delete as fast as they are answered, each on keys of its own, and keep a journal."""

from __future__ import annotations

import hashlib
import http.client
import random
import threading
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.crash.journal import (
    Chain,
    Content,
    Denied,
    Pending,
    Plain,
    Race,
    Refused,
    Skipped,
    Tally,
    Unknown,
    Versioned,
    content_of,
    content_of_parts,
    random_bytes,
)  # fmt: skip
from tests.crash.protected import Protected
from tests.s3.raw import Answer, Raw

if TYPE_CHECKING:
    from tests.running import RunningServer

PLAIN, VERSIONED, LABELLED = "crash-plain", "crash-versioned", "crash-labelled"
KEYS = 8                # of each client in each bucket
PART_BYTES = 5 << 20
CHAIN_KEY = "chain"
MOST_VERSIONS = 12      # of one key, so that reading back stays short


def label_of(value: str) -> Content:
    """A tag as the journal has it."""
    return Content(value, 0, value)


class Shared:
    """What all clients have in common."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.races: dict[str, Race] = defaultdict(Race)
        self.lock = threading.Lock()
        self.round = 0


class Client:
    """One client: its keys, what it was told about them, and a thread's worth of load. Lives through all rounds."""

    def __init__(self, number: int, shared: Shared, seed: int) -> None:
        self.number, self.shared = number, shared
        self.choose = random.Random(f"{seed}-{number}")
        self.plain = {f"c{number}/k{index}": Plain() for index in range(KEYS)}
        self.versioned = {f"c{number}/v{index}": Versioned() for index in range(KEYS // 2)}
        self.label_key, self.label = f"c{number}", Plain()
        self.protected = Protected(self)
        self.pending: list[Pending] = []
        self.unfinished: list[Pending] = []     # a Complete was sent, and nobody said what became of it
        self.tally = Tally()
        self.races = 0
        self._raw: Raw | None = None
        self._moves: list[tuple[int, Callable[[], None]]] = [
            (30, self.put_small), (18, self.put_large), (6, self.put_chunked), (8, self.copy), (9, self.delete), (3, self.delete_batch),
            (6, self.begin_upload), (5, self.finish_upload), (1, self.abort_upload), (12, self.put_version), (4, self.mark_deleted),
            (7, self.remove_version), (4, self.copy_version), (6, self.chain_on), (4, self.race),
            (5, self.put_label), *self.protected.moves,
        ]

    def run(self, server: RunningServer, stop: threading.Event) -> None:
        """Work until stopped. Raises when an answer is one that can't be."""
        self._raw = Raw(server)
        weights = [weight for weight, _ in self._moves]
        self.races = 0
        while not stop.is_set():
            move = self.choose.choices(self._moves, weights)[0][1]
            try:
                move()
            except Skipped:
                pass
            except Refused as refused:
                assert move in (self.chain_on, self.race), f"{move.__name__}: what was acknowledged is not there: {refused}"
                self.tally.refused += 1
            except Unknown:
                self.tally.unknown += 1
                time.sleep(0.01)

    def _ask(self, method: str, target: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> Answer:
        assert self._raw is not None
        return self._judged(lambda raw: raw(method, target, headers, body))

    def _judged(self, send: Callable[[Raw], Answer]) -> Answer:
        """The answer when it was done. Raises Unknown or Refused otherwise."""
        assert self._raw is not None
        self.tally.operations += 1
        try:
            answer = send(self._raw)
        except (OSError, http.client.HTTPException) as error:
            raise Unknown from error
        if answer.status >= 500:
            raise Unknown(str(answer))
        if answer.status in (404, 409, 412):
            raise Refused(str(answer))
        if answer.status == 403:
            raise Denied(str(answer))
        if answer.status >= 300:
            raise AssertionError(f"an answer that can't be: {answer}")
        if b"<Error>" in answer.body[:200]:
            raise Unknown(str(answer))
        self.tally.acknowledged += 1
        return answer

    # ---- without versioning -------------------------------------------------------------------------------------------------------

    def _free_key(self) -> tuple[str, Plain]:
        keys = [key for key, journal in self.plain.items() if not journal.is_frozen]
        if not keys:
            raise Skipped
        key = self.choose.choice(keys)
        return key, self.plain[key]

    def _change(self, journal: Plain, content: Content | None, send: Callable[[], object]) -> None:
        try:
            send()
        except Unknown:
            journal.unknown(content)
            raise
        journal.acknowledged(content)

    def _body(self, least: int, most: int) -> bytes:
        return random_bytes(self.choose, self.choose.randint(least, most))

    def put_small(self) -> None:
        """A body that goes into the database."""
        key, journal = self._free_key()
        body = self._body(0, 16384)
        self._change(journal, content_of(body), lambda: self._ask("PUT", f"/{PLAIN}/{key}", (), body))

    def put_large(self) -> None:
        """A body that goes through staging."""
        key, journal = self._free_key()
        body = self._body(16385, 400_000)
        self._change(journal, content_of(body), lambda: self._ask("PUT", f"/{PLAIN}/{key}", (), body))

    def put_chunked(self) -> None:
        """A body in signed chunks."""
        key, journal = self._free_key()
        chunks = [self._body(65536, 65536), self._body(1, 60000)]
        self._change(journal, content_of(b"".join(chunks)), lambda: self._judged(lambda raw: raw.put_chunks(f"/{PLAIN}/{key}", chunks)))

    def copy(self) -> None:
        """A copy within the bucket of something known for sure."""
        key, journal = self._free_key()
        known = [(name, *one.possible) for name, one in self.plain.items() if len(one.possible) == 1 and None not in one.possible]
        if not known:
            raise Skipped
        source, content = self.choose.choice(known)
        headers = (("x-amz-copy-source", f"/{PLAIN}/{source}"), ("x-amz-metadata-directive", "REPLACE"))
        self._change(journal, content, lambda: self._ask("PUT", f"/{PLAIN}/{key}", headers))

    def delete(self) -> None:
        """A single delete."""
        key, journal = self._free_key()
        self._change(journal, None, lambda: self._ask("DELETE", f"/{PLAIN}/{key}"))

    def delete_batch(self) -> None:
        """Three keys in one request."""
        chosen = dict(self._free_key() for _ in range(3))
        names = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in chosen)
        body = f"<Delete>{names}</Delete>".encode()
        headers = (("Content-MD5", b64encode(hashlib.md5(body).digest()).decode()),)
        try:
            answer = self._ask("POST", f"/{PLAIN}?delete", headers, body)
        except Unknown:
            for journal in chosen.values():
                journal.unknown(None)
            raise
        deleted = {found.findtext("Key") for found in answer.xml.iter("Deleted")}
        for key, journal in chosen.items():
            (journal.acknowledged if key in deleted else journal.unknown)(None)

    def put_label(self) -> None:
        """A tag of an object that nobody writes otherwise."""
        value = random_bytes(self.choose, 16).hex()
        body = f"<Tagging><TagSet><Tag><Key>label</Key><Value>{value}</Value></Tag></TagSet></Tagging>".encode()
        headers = (("Content-MD5", b64encode(hashlib.md5(body).digest()).decode()),)
        self._change(self.label, label_of(value), lambda: self._ask("PUT", f"/{LABELLED}/{self.label_key}?tagging", headers, body))

    # ---- multipart ----------------------------------------------------------------------------------------------------------------

    def begin_upload(self) -> None:
        """An upload with its parts, left open."""
        if len(self.pending) >= 4:
            raise Skipped
        is_versioned = self.choose.random() < 0.3
        key = self.choose.choice(list(self.versioned)) if is_versioned else self._free_key()[0]
        bucket = VERSIONED if is_versioned else PLAIN
        answer = self._ask("POST", f"/{bucket}/{key}?uploads")
        upload = Pending(key, answer.xml.findtext("UploadId") or "", [], is_versioned)
        self.pending.append(upload)
        bodies = [self._body(1, 100_000)]
        if self.choose.random() < 0.15:
            bodies.insert(0, self._body(PART_BYTES, PART_BYTES))
        try:
            for body in bodies:
                self._put_part(upload, len(upload.parts) + 1, body)
                upload.parts.append(body)
        except Unknown:
            if not upload.parts:
                self.pending.remove(upload)
            raise
        if self.choose.random() < 0.3:
            self._replace_last_part(upload)

    def _put_part(self, upload: Pending, number: int, body: bytes) -> None:
        bucket = VERSIONED if upload.is_versioned else PLAIN
        self._ask("PUT", f"/{bucket}/{upload.key}?partNumber={number}&uploadId={upload.upload_id}", (), body)

    def _replace_last_part(self, upload: Pending) -> None:
        body = self._body(1, 50_000)
        try:
            self._put_part(upload, len(upload.parts), body)
        except Unknown:
            self.pending.remove(upload)     # nobody can say which ETag Complete has to name
            raise
        upload.parts[-1] = body

    def finish_upload(self) -> None:
        """Complete an upload that was begun, perhaps before the last kill."""
        ready = [upload for upload in self.pending if upload.parts and (upload.is_versioned or not self.plain[upload.key].is_frozen)]
        if not ready:
            raise Skipped
        upload = self.choose.choice(ready)
        self.pending.remove(upload)
        content = content_of_parts(upload.parts)
        try:
            answer = self.complete(upload)
        except Unknown:
            self.unfinished.append(upload)
            if upload.is_versioned:
                self.versioned[upload.key].maybe.append(content)
            else:
                self.plain[upload.key].unknown(content)
                self.plain[upload.key].is_frozen = True
            raise
        if upload.is_versioned:
            self.versioned[upload.key].versions[answer.headers["x-amz-version-id"]] = content
        else:
            self.plain[upload.key].acknowledged(content)

    def complete(self, upload: Pending) -> Answer:
        """Send CompleteMultipartUpload."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{hashlib.md5(body).hexdigest()}</ETag></Part>"
            for number, body in enumerate(upload.parts, 1)
        )
        bucket = VERSIONED if upload.is_versioned else PLAIN
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self._ask("POST", f"/{bucket}/{upload.key}?uploadId={upload.upload_id}", (), body)
        etag = (answer.xml.findtext("ETag") or "").strip('"')
        assert etag == content_of_parts(upload.parts).etag, f"completed as {etag}"
        return answer

    def abort_upload(self) -> None:
        """Drop an upload that was begun."""
        if not self.pending:
            raise Skipped
        upload = self.pending.pop(self.choose.randrange(len(self.pending)))
        bucket = VERSIONED if upload.is_versioned else PLAIN
        self._ask("DELETE", f"/{bucket}/{upload.key}?uploadId={upload.upload_id}")

    # ---- versions -----------------------------------------------------------------------------------------------------------------

    def _versioned_key(self) -> tuple[str, Versioned]:
        key = self.choose.choice(list(self.versioned))
        return key, self.versioned[key]

    def _write_version(self, journal: Versioned, content: Content | None, send: Callable[[], Answer]) -> None:
        try:
            answer = send()
        except Unknown:
            journal.maybe.append(content)
            raise
        journal.versions[answer.headers["x-amz-version-id"]] = content

    def put_version(self) -> None:
        """A new version."""
        key, journal = self._versioned_key()
        if len(journal.versions) >= MOST_VERSIONS:
            self.remove_version()
            return
        body = self._body(0, 40_000)
        self._write_version(journal, content_of(body), lambda: self._ask("PUT", f"/{VERSIONED}/{key}", (), body))

    def mark_deleted(self) -> None:
        """A delete marker."""
        key, journal = self._versioned_key()
        self._write_version(journal, None, lambda: self._ask("DELETE", f"/{VERSIONED}/{key}"))

    def copy_version(self) -> None:
        """A version copied on top of its own key."""
        key, journal = self._versioned_key()
        known = [
            (version_id, content) for version_id, content in journal.versions.items()
            if content and version_id not in journal.maybe_removed
        ]
        if not known or len(journal.versions) >= MOST_VERSIONS:
            raise Skipped
        version_id, content = self.choose.choice(known)
        headers = (("x-amz-copy-source", f"/{VERSIONED}/{key}?versionId={version_id}"),)
        self._write_version(journal, content, lambda: self._ask("PUT", f"/{VERSIONED}/{key}", headers))

    def remove_version(self) -> None:
        """One version, for good."""
        key, journal = self._versioned_key()
        known = [version_id for version_id in journal.versions if version_id not in journal.maybe_removed]
        if not known:
            raise Skipped
        version_id = self.choose.choice(known)
        try:
            self._ask("DELETE", f"/{VERSIONED}/{key}?versionId={version_id}")
        except Unknown:
            journal.maybe_removed.add(version_id)
            raise
        del journal.versions[version_id]
        journal.removed.add(version_id)

    # ---- together with the others ---------------------------------------------------------------------------------------------------

    def chain_on(self) -> None:
        """Read the chain's ETag and overwrite it if it is still the same."""
        try:
            before: str | None = self._ask("HEAD", f"/{PLAIN}/{CHAIN_KEY}").headers["etag"].strip('"')
        except Refused:
            before = None
        body = self._body(1, 30_000)
        headers = (("If-Match", f'"{before}"'),) if before else (("If-None-Match", "*"),)
        content, outcome = content_of(body), "unknown"
        self.shared.chain.note(before, content, outcome)        # somebody may read it before we hear of it
        try:
            self._ask("PUT", f"/{PLAIN}/{CHAIN_KEY}", headers, body)
            outcome = "acknowledged"
        except Refused:
            outcome = "refused"
            raise
        finally:
            self.shared.chain.note(before, content, outcome)

    def race(self) -> None:
        """Create the next key of a row that all clients go along."""
        self.races += 1
        with self.shared.lock:
            key = f"race/{self.shared.round}-{self.races}"
            race = self.shared.races[key]
        body = self._body(1, 30_000)
        try:
            self._ask("PUT", f"/{PLAIN}/{key}", (("If-None-Match", "*"),), body)
        except Refused:
            with self.shared.lock:
                race.refused += 1
            raise
        except Unknown:
            with self.shared.lock:
                race.maybe.append(content_of(body))
            raise
        with self.shared.lock:
            race.winners.append(content_of(body))
