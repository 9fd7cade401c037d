"""When keys were used last: noted by requests, written now and then, once a minute at most."""

from __future__ import annotations

import pytest

from shared.last_used import LastUsed
from shared.meta.models import AccessKey, Change
from tests import people


@pytest.fixture
def key(database):
    return people.make_user(None).access_key


def written(key):
    return AccessKey.select(AccessKey.last_used_ms).where(AccessKey.id == key).scalar()


def test_uses_are_written_when_flushed_and_move_no_change_counter(key):
    used, before = LastUsed(), Change.select(Change.value).scalar()
    used.note(key, 1_000_000)
    assert written(key) is None
    used.flush()
    assert written(key) == 1_000_000
    assert Change.select(Change.value).scalar() == before


def test_one_write_a_minute_whichever_process_it_is(key):
    one, other = LastUsed(), LastUsed()
    one.note(key, 1_000_000)
    one.flush()
    other.note(key, 1_059_999)
    other.flush()
    assert written(key) == 1_000_000
    other.note(key, 1_060_000)
    other.flush()
    assert written(key) == 1_060_000


def test_a_clock_that_goes_back_takes_nothing_back(key):
    used = LastUsed()
    for moment in (2_000_000, 1_000_000):
        used.note(key, moment)
        used.flush()
    assert written(key) == 2_000_000


def test_a_key_that_is_gone_and_a_database_that_fails_are_no_trouble(key, monkeypatch):
    used = LastUsed()
    used.note("AKIAGONE", 1)
    used.note(key, 5)
    used.flush()
    assert written(key) == 5
    used.note(key, 100_000_000)
    monkeypatch.setattr("shared.meta.people.note_use", lambda *_: 1 / 0)
    used.flush()
    used.flush()
    assert written(key) == 5


def test_the_thread_writes_by_itself(key):
    import time

    used = LastUsed(interval_s=0.05)
    used.note(key, 7)
    deadline = time.monotonic() + 5
    while written(key) != 7 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert written(key) == 7
