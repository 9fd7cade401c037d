"""The doorbell: never in the way of a request, and no more than a doorbell."""

import contextlib
import json
import logging
import shutil
import socket
import sqlite3
import stat
import subprocess
import time

import pytest

from shared import queue
from shared.host.child import end_with_starter
from shared.meta import runs
from shared.meta.database import transaction
from shared.meta.models import Run


@pytest.fixture
def heard():
    """What the consumer's side was rung for."""
    return []


def messages(tmp_path):
    with sqlite3.connect(tmp_path / "queue.db") as connection:
        return [json.loads(data) for (data,) in connection.execute("SELECT data FROM task ORDER BY id")]


def test_a_commit_rings_with_nothing_but_the_run_id(opened, tmp_path):
    run_id = runs.enqueue("copy", {"secret": "no"})
    assert queue.flush(5)
    (message,) = messages(tmp_path)
    assert (message[1], message[6], message[7]) == ("shared.queue.ring", [run_id], {})
    assert "secret" not in json.dumps(message)


def test_a_rollback_does_not_ring(opened, tmp_path):
    runs.enqueue("other")
    with pytest.raises(ZeroDivisionError), transaction():
        runs.enqueue("copy")
        _ = 1 / 0
    assert queue.flush(5)
    assert len(messages(tmp_path)) == 1


def test_the_consumer_side_hears_the_run_id(opened, heard, tmp_path):
    """The queue is where the metadata is: SQLite, or PostgreSQL."""
    bell = queue.configure(opened, tmp_path)
    bell.answer = heard.append
    bell.ring(17)
    assert bell.flush(5)
    assert bell.waiting() == 1
    bell.huey.execute(bell.huey.dequeue())
    assert heard == [17]
    assert bell.waiting() == 0
    assert bell.huey.storage.result_store_size() == 0


def test_the_queue_file_is_for_its_owner_only(opened, tmp_path):
    (tmp_path / "queue.db").touch(mode=0o644)
    runs.enqueue("copy")
    assert queue.flush(5)
    for path in tmp_path.glob("queue.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_locked_queue_holds_up_neither_the_request_nor_other_writers(opened, tmp_path, caplog):
    runs.enqueue("first")
    assert queue.flush(5)
    with sqlite3.connect(tmp_path / "queue.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        started_s = time.monotonic()
        run_id = runs.enqueue("copy")
        with transaction():
            pass
        assert time.monotonic() - started_s < 1
        assert queue.flush(10), "the ring is given up after SQLite's timeout"
        other.execute("ROLLBACK")
    assert Run.get_by_id(run_id).state == "queued"
    assert [record.levelno for record in caplog.records if record.name == "shared.queue"] == [logging.WARNING]
    assert [message[6] for message in messages(tmp_path)] != [[run_id]]


def test_an_unreachable_queue_is_logged_once_and_rung_again_when_it_is_back(database_url, tmp_path, caplog):
    bell = queue.configure("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", tmp_path)
    for run_id in range(5):
        bell.ring(run_id)
    assert bell.flush(10)
    assert len([record for record in caplog.records if record.name == "shared.queue"]) == 1
    assert bell.waiting() == 0
    queue.close()


def test_ringing_without_a_queue_is_nothing():
    queue.close()
    queue.ring(1)
    assert queue.flush()
    with pytest.raises(RuntimeError):
        queue.doorbell()


@pytest.fixture
def redis_url(tmp_path):
    if not (program := shutil.which("redis-server")):
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=end_with_starter)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def test_a_ring_goes_through_redis(redis_url, tmp_path):
    queue.configure(redis_url, tmp_path)
    try:
        queue.ring(7)
        assert queue.flush()
        assert queue.doorbell().huey.pending_count() == 1
        assert queue.doorbell().huey.dequeue().args == [7]
    finally:
        queue.close()


def test_an_unknown_kind_of_queue_is_refused(tmp_path):
    with pytest.raises(ValueError, match="amqp"):
        _ = queue.Doorbell("amqp://host", tmp_path).huey


def test_a_full_memory_drops_rings_instead_of_growing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(queue, "MOST_WAITING", 3)
    bell = queue.Doorbell("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", tmp_path)
    monkeypatch.setattr(bell, "_pass_on", lambda: None)
    for run_id in range(10):
        bell.ring(run_id)
    assert bell._rings.qsize() == 3
    assert "3 rings are waiting" in caplog.text


def test_a_message_that_is_not_ours_runs_no_code(opened, tmp_path):
    """huey's own messages are pickles: whoever writes to the queue would run code here."""
    import pickle

    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("evil").touch, ())

    bell = queue.doorbell()
    bell.huey.storage.enqueue(pickle.dumps(Evil()))
    with pytest.raises(ValueError):
        bell.huey.dequeue()
    assert not (tmp_path / "evil").exists()
