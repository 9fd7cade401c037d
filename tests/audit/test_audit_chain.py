"""Removing, changing or adding events shows, also the newest ones, also after retention."""

import contextlib
import threading
import time

import peewee
import pytest

from shared.audit import Event
from shared.audit import store as store_module
from shared.audit.chain import Checkpoint, link
from shared.audit.models import AuditEvent, AuditHead
from shared.audit.store import COLUMNS, ChainBroken, Store
from shared.audit.verify import verify
from shared.meta import database as metadata


def faults(store, given=None):
    return " | ".join(verify(store, given).faults)


def test_a_whole_log_has_no_fault(filled):
    verdict = verify(filled)
    assert verdict == (20, 1, 20, verdict.checkpoints, [])
    assert verdict.checkpoints >= 2, "one in the database and its copy in the file"


def test_an_empty_log_has_no_fault(store):
    assert verify(store) == (0, 1, 0, 0, [])


@pytest.mark.parametrize("change", [
    "username = 'somebody'", "status = 'failed'", "tenant_id = 7", "details = '{}' || ' '", "principal_id = 3", "at_ms = at_ms + 1",
    "resource_name = 'bob'",
])
def test_a_changed_event_shows(filled, sql, change):
    sql(f"UPDATE audit_event SET {change} WHERE id = 7")
    assert faults(filled) .startswith("event 7 was changed, or one before it")


def test_removed_events_in_the_middle_show(filled, sql):
    sql("DELETE FROM audit_event WHERE id BETWEEN 6 AND 8")
    assert faults(filled) == "events 6 to 8 are missing"


def test_the_newest_event_removed_shows(filled, sql):
    sql("DELETE FROM audit_event WHERE id = 20")
    assert faults(filled) == "event 20 is missing"


def test_the_oldest_event_removed_shows(filled, sql):
    sql("DELETE FROM audit_event WHERE id = 1")
    assert faults(filled) == "event 1 is missing"


def test_the_newest_removed_and_the_head_put_back_without_the_key_shows(filled, sql):
    sql("DELETE FROM audit_event WHERE id > 10")
    sql("UPDATE audit_head SET last_id = 10, last_hash = (SELECT hash FROM audit_event WHERE id = 10)")
    assert "signature of the head" in faults(filled)


def test_all_events_removed_with_the_head_shows(filled, sql):
    for table in ("audit_event", "audit_head", "audit_checkpoint"):
        sql(f"DELETE FROM {table}")
    assert "events up to 5 were recorded" in faults(filled), "the file of checkpoints is not in the database"


def test_a_log_made_anew_with_another_key_shows(filled, sql, tmp_path):
    sql("UPDATE audit_head SET signature = last_hash")
    assert "signature of the head" in faults(filled)


def test_a_database_put_back_to_an_earlier_state_shows(filled, monkeypatch, sql):
    """The head of then has a true signature: only what is kept outside knows of the events since."""
    with filled.session():
        row = AuditHead.select().tuples().get()
    monkeypatch.setattr(store_module, "CHECKPOINT_EVENTS", 1)
    filled.append([Event("user_deleted", "user", "1")])
    sql("DELETE FROM audit_event WHERE id = 21")
    sql("DELETE FROM audit_checkpoint WHERE id = 21")
    names = ("last_id", "last_hash", "base_id", "base_hash", "checkpoint_id", "checkpoint_ms", "signature")
    for name, value in zip(names, row[1:], strict=True):
        sql(f"UPDATE audit_head SET {name} = ?", bytes(value) if isinstance(value, memoryview) else value)
    text = faults(filled)
    assert text == "events up to 21 were recorded, says the checkpoint in audit-checkpoints:2, but the log ends at 20"
    lines = filled.checkpoints_path.read_text().splitlines()
    filled.checkpoints_path.write_text(lines[0] + "\n")
    assert faults(filled) == "", "with the file put back too, nothing here knows"
    assert "events up to 21 were recorded, says the checkpoint in your argument" in faults(filled, Checkpoint.parse(lines[1]))


def test_a_chain_computed_anew_shows(filled, sql):
    """Who can write can also hash; the checkpoints and the head hold other hashes."""
    with filled.session():
        rows = filled.rows(AuditEvent.select(*COLUMNS, AuditEvent.hash, AuditEvent.words).order_by(AuditEvent.id))
    hash_ = bytes(32)
    for row, _, _ in rows:
        changed = row._replace(username="somebody")
        hash_ = link(hash_, changed)
        sql("UPDATE audit_event SET username = ?, hash = ? WHERE id = ?", "somebody", hash_, row.id)
    found = faults(filled)
    assert "up to event 5 the log differs from the checkpoint in the database" in found
    assert "another hash than the head says" in found
    assert "was changed, or one before it" not in found, "the chain itself is whole"


def test_an_added_event_shows(filled, sql):
    sql("INSERT INTO audit_event SELECT 0, at_ms, event_type, resource_type, resource_id, resource_name, action, status, principal_id,"
        " username, tenant_id, address, agent, request_id, details, hash, words FROM audit_event WHERE id = 3")
    assert faults(filled) == "event 0 was added: the log begins at 1"


def test_words_taken_away_from_an_event_show(filled, sql):
    sql("UPDATE audit_event SET words = 'nothing' WHERE id = 4")
    assert faults(filled) == "event 4 is not found by its words: those were changed"


def test_after_retention_the_log_is_whole_and_removal_shows(filled, sql):
    assert filled.prune(before_ms=1008, limit=100) == 8
    verdict = verify(filled)
    assert (verdict.events, verdict.first_id, verdict.last_id, verdict.faults) == (12, 9, 20, [])
    sql("DELETE FROM audit_event WHERE id = 9")
    assert faults(filled) == "event 9 is missing"


def test_removing_the_oldest_is_not_taken_for_retention(filled, sql):
    filled.prune(before_ms=1008, limit=100)
    sql("DELETE FROM audit_event WHERE id < 12")
    sql("UPDATE audit_head SET base_id = 11")
    assert "signature of the head" in faults(filled)


def test_retention_keeps_everything_behind_the_first_event_it_keeps(filled):
    filled.append([Event("late", at_ms=1)])
    assert filled.prune(before_ms=1003, limit=100) == 3
    assert verify(filled).events == 18


def test_retention_goes_in_pages_and_may_remove_all(filled):
    assert [filled.prune(before_ms=1 << 60, limit=15) for _ in range(3)] == [15, 5, 0]
    filled.append([Event("after")])
    verdict = verify(filled)
    assert (verdict.events, verdict.first_id, verdict.faults) == (1, 21, [])


def test_retention_does_not_hide_that_something_is_missing(filled, sql):
    sql("DELETE FROM audit_event WHERE id = 8")
    with pytest.raises(ChainBroken):
        filled.prune(before_ms=1008, limit=100)
    assert "event 8 is missing" in faults(filled)


def test_the_checkpoint_file_is_read_by_its_owner_only(filled):
    assert filled.checkpoints_path.stat().st_mode & 0o777 == 0o600


def test_several_processes_make_one_chain(store, tmp_path):
    def run(name):
        for number in range(10):
            store.append([Event(f"{name}-{number}")])

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    verdict = verify(store)
    assert (verdict.events, verdict.faults) == (40, [])


def test_events_recorded_while_the_clock_was_wrong_do_not_hold_up_retention(store):
    future = 1 << 60
    store.append([Event(f"e{number}", at_ms=at_ms) for number, at_ms in enumerate([1000, 1001, future, future, 1002, 1003, future, 1004])])
    assert store.prune(before_ms=1003, limit=100) == 5
    assert store.prune(before_ms=1003, limit=100) == 0
    assert store.prune(before_ms=1005, limit=100) == 3
    store.append([Event(f"e{number}", at_ms=at_ms) for number, at_ms in enumerate([future, future, future, 1006, future])])
    assert store.prune(before_ms=1006, limit=2) == 0, "the next true one is to be kept"
    assert [store.prune(before_ms=1007, limit=2) for _ in range(3)] == [2, 2, 0], "the last one may be recent"
    verdict = verify(store)
    assert (verdict.events, verdict.faults) == (1, [])


def test_a_page_of_retention_costs_the_same_however_much_is_too_old(store):
    """Looking through all that is too old for each page of it takes the square of its number, and recording waits meanwhile."""
    if not store.is_sqlite:
        pytest.skip("only SQLite says how much it did")

    def steps():
        counted = []
        with store.session():
            store.database.connection().set_progress_handler(lambda: counted.append(1), 10)
            assert store.prune(before_ms=1_000_000, limit=5) == 5
        return len(counted)

    store.append([Event("e", at_ms=1000)] * 20)
    few = steps()
    store.append([Event("e", at_ms=1000)] * 5000)
    store.append([Event("e", at_ms=2_000_000)])
    assert steps() < 3 * few


def test_a_checkpoint_that_was_torn_by_a_full_disk_is_no_fault_and_spoils_no_other(filled, monkeypatch):
    monkeypatch.setattr(store_module, "CHECKPOINT_EVENTS", 1)
    whole = filled.checkpoints_path.read_text()
    with filled.checkpoints_path.open("a") as file:
        file.write(whole[:40])
    assert faults(filled) == ""
    filled.append([Event("next")])
    assert faults(filled) == ""
    assert [Checkpoint.parse(line).id for line in filled.checkpoints_path.read_text().splitlines()] == [5, 21]
    with filled.checkpoints_path.open("r+") as file:
        file.write("x")
    assert faults(filled) == "audit-checkpoints:1 is not a checkpoint"


def test_a_file_of_which_nothing_but_a_torn_line_is_left_begins_anew(filled, monkeypatch):
    monkeypatch.setattr(store_module, "CHECKPOINT_EVENTS", 1)
    filled.checkpoints_path.write_bytes(b"\0" * 500)
    filled.append([Event("next")])
    assert faults(filled) == ""
    assert Checkpoint.parse(filled.checkpoints_path.read_text()).id == 21


def test_a_checkpoint_made_while_the_log_is_verified_is_no_fault(filled, monkeypatch):
    monkeypatch.setattr(store_module, "CHECKPOINT_EVENTS", 1)
    real = Store.head

    def head(self):
        found = real(self)
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=filled.append, args=([Event("meanwhile")],))
            other.start(), other.join()
        return found

    monkeypatch.setattr(Store, "head", head)
    assert faults(filled) == ""


def test_a_process_that_stopped_while_it_wrote_does_not_stop_the_others(store, monkeypatch):
    if store.is_sqlite:
        pytest.skip("a file lock goes with its process, and a stopped one on this machine is restarted")
    monkeypatch.setattr(metadata, "LOCK_TIMEOUT_S", 1)
    monkeypatch.setattr(metadata, "IDLE_TIMEOUT_S", 2)
    store.append([Event("first")])
    reached, leave = threading.Event(), threading.Event()

    def stop():
        with contextlib.suppress(peewee.PeeweeException), store._transaction():
            reached.set()
            leave.wait(30)

    stopped = threading.Thread(target=stop)
    stopped.start()
    assert reached.wait(10)
    try:
        with pytest.raises((*metadata.DRIVER_ERRORS,)):
            store.append([Event("second")])
        time.sleep(2)
        store.append([Event("second")])
    finally:
        leave.set()
        stopped.join()
    assert verify(store).events == 2
