"""Verifying that every event that was ever recorded is still there, as it was.

Found are: changed, removed and added events; newest events that were removed (the head is signed); a database that was put back to
an earlier state (checkpoints are kept outside of it). Not found: the same with the file of checkpoints put back too. Against that stand
the copies of the checkpoints in the server's log, one of which can be given.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shared.audit.chain import Checkpoint, Head, link, sign_checkpoint, sign_head
from shared.audit.models import AuditCheckpoint, AuditEvent
from shared.audit.rows import words_of
from shared.audit.store import COLUMNS, Store

PAGE_ROWS = 1_000
MOST_FAULTS = 100       # listed; more would say no more


class Verdict(NamedTuple):
    """What was found. ``faults`` is empty when the log is whole; ids from ``first_id`` to ``last_id`` were looked at."""

    events: int
    first_id: int
    last_id: int
    checkpoints: int
    faults: list[str]


def verify(store: Store, given: Checkpoint | None = None, report: Callable[[int, int], None] = lambda done, total: None) -> Verdict:
    """Read the whole log and check it. ``given`` is a checkpoint kept elsewhere; ``report`` is told (events done, events in all).

    Events that come meanwhile are not looked at; when retention runs meanwhile it begins again.
    """
    with store.session():
        while True:
            verdict, base_id = _Check(store, given, report).run()
            found = store.head()
            if found is None or found[0].base_id == base_id:
                return verdict


class _Check:
    """One pass over the log."""

    def __init__(self, store: Store, given: Checkpoint | None, report: Callable[[int, int], None]) -> None:
        self._store, self._given, self._report = store, given, report
        self._faults: list[str] = []
        self._events = 0

    def run(self) -> tuple[Verdict, int]:
        written = list(self._all_checkpoints())     # before the head, which others move on: none may be ahead of it
        found = self._store.head()
        head = found[0] if found else Head()
        if found and not hmac.compare_digest(sign_head(self._store.key, head), found[1]):
            self._fault("the signature of the head does not fit: it was changed, or made with another master key")
        if not found and AuditEvent.select(AuditEvent.id).limit(1).scalar() is not None:
            self._fault("the head is missing")
            head = Head(last_id=AuditEvent.select(AuditEvent.id).order_by(AuditEvent.id.desc()).limit(1).scalar())
        checkpoints = self._checkpoints(written, head)
        self._walk(head, checkpoints)
        total = sum(map(len, checkpoints.values()))
        return Verdict(self._events, head.base_id + 1, head.last_id, total, self._faults), head.base_id

    def _fault(self, text: str) -> None:
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(text)

    def _checkpoints(self, written: list[tuple[str, Checkpoint]], head: Head) -> dict[int, list[tuple[str, Checkpoint]]]:
        """The checkpoints whose signature fits, by the event that they are about."""
        found: dict[int, list[tuple[str, Checkpoint]]] = {}
        for where, one in written:
            if not hmac.compare_digest(sign_checkpoint(self._store.key, one.id, one.at_ms, one.hash), one.signature):
                self._fault(f"the signature of checkpoint {one.id} in {where} does not fit")
            elif one.id > head.last_id:
                self._fault(f"events up to {one.id} were recorded, says the checkpoint in {where}, but the log ends at {head.last_id}")
            else:
                found.setdefault(one.id, []).append((where, one))
        return found

    def _all_checkpoints(self) -> Iterator[tuple[str, Checkpoint]]:
        for row in AuditCheckpoint.select().order_by(AuditCheckpoint.id).tuples():
            yield "the database", Checkpoint(row[0], row[1], bytes(row[2]), bytes(row[3]))
        path = self._store.checkpoints_path
        lines = path.read_text(errors="replace").split("\n") if path.exists() else [""]
        for number, line in enumerate(lines[:-1], 1):       # the last one is empty; or being written just now; or torn, and cut off soon
            try:
                yield f"{path.name}:{number}", Checkpoint.parse(line)
            except ValueError:
                self._fault(f"{path.name}:{number} is not a checkpoint")
        if self._given:
            yield "your argument", self._given

    def _walk(self, head: Head, checkpoints: dict[int, list[tuple[str, Checkpoint]]]) -> None:
        hash_, last = head.base_hash, head.base_id
        self._compare(last, hash_, checkpoints)
        query = AuditEvent.select(*COLUMNS, AuditEvent.hash, AuditEvent.words).order_by(AuditEvent.id).limit(PAGE_ROWS)
        after = -1
        while page := self._store.rows(query.where((AuditEvent.id > after) & (AuditEvent.id <= head.last_id))):
            for row, stored, words in page:
                if row.id <= head.base_id:
                    self._fault(f"event {row.id} was added: the log begins at {head.base_id + 1}")
                    continue
                if row.id > last + 1:
                    self._missing(last + 1, row.id - 1)
                elif link(hash_, row) != stored:
                    self._fault(f"event {row.id} was changed, or one before it")
                if words != words_of(row):
                    self._fault(f"event {row.id} is not found by its words: those were changed")
                hash_, last = stored, row.id
                self._events += 1
                self._compare(last, hash_, checkpoints)
            after = page[-1][0].id
            self._report(self._events, head.last_id - head.base_id)
        if last < head.last_id:
            self._missing(last + 1, head.last_id)
        elif hash_ != head.last_hash:
            self._fault(f"the chain ends at event {last} with another hash than the head says: events were changed")

    def _missing(self, first: int, last: int) -> None:
        self._fault(f"event {first} is missing" if first == last else f"events {first} to {last} are missing")

    def _compare(self, id_: int, hash_: bytes, checkpoints: dict[int, list[tuple[str, Checkpoint]]]) -> None:
        for where, one in checkpoints.get(id_, ()):
            if one.hash != hash_:
                self._fault(f"up to event {id_} the log differs from the checkpoint in {where}: events were changed")
