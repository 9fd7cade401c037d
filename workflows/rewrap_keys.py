"""After the rotation of a key: data keys get new envelopes. No blob is read or written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from shared.app import open_master_key
from shared.blobs.engine import BlobCorrupt
from shared.encryption.envelope import Envelope, load
from shared.encryption.ring import KeyMissing, Ring
from shared.meta import wrapped
from shared.meta.content import Rewrapped, SegmentKey
from shared.meta.wrapped import Place, VersionKeys
from workflows.registry import Next, Run, workflow

PAGE_VERSIONS = 500
PAGE_SEGMENTS = 10_000      # of all versions of a step: one alone may have so many
STAGES = ("object", "version", "upload")

log = logging.getLogger("maxiofs.encryption")
Change = Callable[[], object]


@workflow("rewrap_keys", lease_s=300)
def rewrap_keys(run: Run) -> Next | None:
    """Put data keys that an older version of a key of the ring wraps into envelopes of the newest one, a page in each step.

    Takes {"key": name}, "" for the key of SSE-S3. An envelope that somebody else replaced meanwhile is left alone, so a step may run
    twice. What is written while it runs may use the version before: that stays readable, since no version of a key is ever removed.
    One that does not open is counted, and stays. Raises KMSDisabledException for a key that is switched off.
    """
    rewrapping = _Rewrapping(Ring(open_master_key(run.context.settings)), str(run.input.get("key", "")))
    cursor = run.cursor or {"stage": 0, "after": None, "changed": 0, "broken": 0}
    stage = STAGES[cursor["stage"]]
    after = rewrapping.uploads(cursor["after"]) if stage == "upload" else rewrapping.versions(stage, cursor["after"])
    changed, broken = cursor["changed"] + rewrapping.changed, cursor["broken"] + rewrapping.broken
    if after is None and stage == STAGES[-1]:
        return None
    place = {"stage": cursor["stage"] + (after is None), "after": after, "changed": changed, "broken": broken}
    message = f"{changed} data keys rewrapped" + (f", {broken} do not open" if broken else "")
    return Next(place, run.done + rewrapping.seen, None, message, rewrapping.apply)


class _Rewrapping:
    """One step: reads a page, and collects what is to be written."""

    def __init__(self, ring: Ring, name: str) -> None:
        self._ring, self._name = ring, name
        self._envelopes: dict[str | None, Envelope] = {}
        self.changes: list[Change] = []
        self.seen = self.changed = self.broken = 0

    def apply(self) -> None:
        """Write all of it."""
        for change in self.changes:
            change()

    def versions(self, table: str, after: Any) -> Any:
        """A page of versions from behind ``after``; returns where the next one begins, None at the end."""
        place = Place(after[0], bytes.fromhex(after[1]), after[2]) if after else None
        page = wrapped.versions(table, place, PAGE_VERSIONS)
        segments = 0
        for row in page:
            place, self.seen = row.place, self.seen + 1
            segments += self._version(table, row)
            if segments >= PAGE_SEGMENTS:
                break
        done = len(page) < PAGE_VERSIONS and (not page or place == page[-1].place)
        return None if done or place is None else [place.bucket_id, place.key.hex(), place.seq]

    def uploads(self, after: Any) -> Any:
        """The same for an upload: one in each step."""
        for upload_id, sse in wrapped.uploads(bytes.fromhex(after or ""), 1):
            self.seen += 1
            self._body(upload_id, sse)
            return upload_id.hex()
        return None

    def _version(self, table: str, row: VersionKeys) -> int:
        if row.body_id is not None:
            return self._body(row.body_id, row.sse)
        if row.blob_id is None or row.wrapped_key is None:
            return 0
        if again := self._again(row.sse, row.blob_id, row.wrapped_key, row.key_version):
            self.changes.append(partial(wrapped.replace, table, row, *again))
        return 0

    def _body(self, body_id: bytes, sse: str | None) -> int:
        if not self._is_ours(sse):
            return 0
        keys = wrapped.segments(body_id)
        made = [one for one in (self._segment(key, sse) for key in keys) if one is not None]
        if made:
            self.changes.append(partial(wrapped.replace_segments, body_id, made))
        return len(keys)

    def _segment(self, key: SegmentKey, sse: str | None) -> Rewrapped | None:
        again = self._again(sse, key.blob_id, key.wrapped_key, key.key_version)
        return Rewrapped(key.part_number, key.position, *again, key.wrapped_key) if again else None

    def _is_ours(self, sse: str | None) -> bool:
        return self._envelope(sse).name == self._name

    def _envelope(self, sse: str | None) -> Envelope:
        if sse not in self._envelopes:
            if len(self._envelopes) > PAGE_VERSIONS:        # contexts may be as many as objects
                self._envelopes.clear()
            self._envelopes[sse] = Envelope(self._ring, load(sse))
        return self._envelopes[sse]

    def _again(self, sse: str | None, blob_id: bytes, key: bytes | None, version: int | None) -> tuple[bytes, int | None] | None:
        envelope = self._envelope(sse)
        if envelope.name != self._name or version is None or version == envelope.version:
            return None
        try:
            data_key = envelope.unwrap(bytes(blob_id), key, version)
        except (BlobCorrupt, KeyMissing) as error:      # lost already; it need not keep the others from a newer key
            log.error("the data key of blob %s cannot be rewrapped: %s", bytes(blob_id).hex(), error)
            self.broken += 1
            return None
        self.changed += 1
        made = envelope.wrap(bytes(blob_id), data_key)
        return made.key, made.version
