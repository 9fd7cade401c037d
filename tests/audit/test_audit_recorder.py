"""Recording never waits for the log's file; what is lost is counted."""

import sqlite3
import time

import pytest

from shared.audit import Event, recorder
from shared.audit.recorder import Recorder
from shared.audit.search import Filter, every
from shared.audit.store import Store
from shared.audit.verify import verify

KEY = b"k" * 32


@pytest.fixture
def running(tmp_path):
    made = Recorder(Store("", tmp_path, KEY))
    yield made
    made.close(5)


def events(of):
    return [row.event_type for row in every(of.store, Filter())][::-1]


def test_events_are_written_in_order_soon(running):
    for number in range(1200):
        running.put(Event(f"e{number}"))
    assert running.flush(10)
    assert events(running) == [f"e{number}" for number in range(1200)]
    assert verify(running.store).faults == []


def test_nobody_waits_while_somebody_else_holds_the_file(running, tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "RETRY_S", 0.1)
    running.put(Event("first"))
    assert running.flush(5)
    other = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    slowest_s = 0.0
    for number in range(300):
        started = time.perf_counter()
        running.put(Event(f"e{number}"))
        slowest_s = max(slowest_s, time.perf_counter() - started)
    assert slowest_s < 0.5, "the writer thread waits, not the request"
    assert not running.flush(0.3)
    other.execute("ROLLBACK")
    assert running.flush(15)
    assert len(events(running)) == 301


def test_what_does_not_fit_is_counted(running, monkeypatch, caplog):
    monkeypatch.setattr(recorder, "MOST_WAITING", 5)
    monkeypatch.setattr(recorder, "GATHER_S", 0.5)
    for number in range(8):
        running.put(Event(f"e{number}"))
    assert running.flush(5)
    assert events(running) == ["e0", "e1", "e2", "e3", "e4", "audit_events_lost"]
    row = next(every(running.store, Filter()))
    assert (row.status, row.details) == ("failed", '{"count":3}')
    assert "audit events are lost" in caplog.text
    assert running.lost == 0


def test_closing_writes_what_is_waiting(tmp_path):
    made = Recorder(Store("", tmp_path, KEY))
    for number in range(50):
        made.put(Event(f"e{number}"))
    made.close(5)
    again = Recorder(Store("", tmp_path, KEY))
    assert len(events(again)) == 50
    again.close(5)


def test_events_that_cannot_be_written_do_not_hold_up_the_next(running, caplog):
    running.put(Event("bad", principal_id=1 << 70))      # no database has such a number
    assert running.flush(5)
    running.put(Event("good"))
    assert running.flush(5)
    assert events(running) == ["good", "audit_events_lost"]
    assert "cannot be written" in caplog.text


def test_what_was_lost_before_is_still_counted_when_a_batch_cannot_be_written(running, monkeypatch):
    monkeypatch.setattr(recorder, "MOST_WAITING", 2)
    monkeypatch.setattr(recorder, "GATHER_S", 0.3)
    for number in range(5):
        running.put(Event(f"e{number}", principal_id=1 << 70 if number else None))       # e0 and e1 wait, three do not fit
    assert running.flush(5)
    running.put(Event("good"))
    assert running.flush(5)
    assert events(running) == ["good", "audit_events_lost"]
    assert next(every(running.store, Filter())).details == '{"count":5}'
