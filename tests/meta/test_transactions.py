"""Transactions: nesting, failures in S3's words, waiting, and connections that come back."""

import os
import sqlite3
import subprocess
import sys
import threading
import time

import psycopg
import pytest

from shared.errors import ServiceUnavailable
from shared.meta import buckets, models
from shared.meta import database as metadata
from shared.meta.database import connection, repeated, transaction
from shared.meta.models import Change, db

HOLD = """
import fcntl, sqlite3, sys
path, kind = sys.argv[1:]
if kind == "sqlite":
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
else:
    queue = open(path + "-writers", "a")
    fcntl.flock(queue, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def value():
    connection()        # a failure may have closed it
    return Change.get().value


def set_value(number):
    Change.update(value=number).execute()


def test_a_transaction_commits_and_peewee_knows_of_it(database):
    with transaction() as conn:
        assert db.in_transaction()
        set_value(7)
        assert conn is connection()
    assert not db.in_transaction()
    assert value() == 7


def test_an_exception_undoes_everything_and_is_passed_on(database):
    with pytest.raises(KeyError), transaction():
        set_value(7)
        raise KeyError
    assert not db.in_transaction()
    assert value() == 0
    with transaction():
        set_value(8)
    assert value() == 8


def test_nested_transactions_join_the_outer_one(database):
    with pytest.raises(KeyError), transaction() as outer:
        with transaction() as inner:
            assert inner is outer
            set_value(7)
        raise KeyError
    assert value() == 0


def test_peewees_atomic_inside_is_a_savepoint(database):
    with transaction():
        set_value(7)
        with pytest.raises(KeyError), db.atomic():
            set_value(8)
            raise KeyError
        assert value() == 7
    assert value() == 7


def test_callbacks_run_after_the_commit_and_not_after_a_rollback(database):
    seen = []
    with transaction():
        db.after_commit(lambda: seen.append((db.in_transaction(), "committed")))
        assert not seen
    assert seen == [(False, "committed")]
    with pytest.raises(KeyError), transaction():
        db.after_commit(lambda: seen.append("never"))
        raise KeyError
    with transaction():
        pass
    assert len(seen) == 1


def test_a_broken_constraint_is_the_drivers_own_error(database):
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)), transaction() as conn:
        conn.execute("INSERT INTO change (id, value) VALUES (1, 1)")
    assert value() == 0


def test_a_swallowed_error_does_not_pass_for_a_commit(database):
    """PostgreSQL answers COMMIT of a failed transaction with a rollback and no error: 200 would have lost the write."""
    if database.is_sqlite:
        pytest.skip("SQLite undoes the statement alone")
    with pytest.raises(ServiceUnavailable), transaction() as conn:
        set_value(7)
        try:
            conn.execute("INSERT INTO change (id, value) VALUES (1, 1)")
        except psycopg.IntegrityError:
            pass
    assert value() == 0


def test_a_deadlock_is_tried_again(database):
    if database.is_sqlite:
        pytest.skip("SQLite has one writer")
    buckets.create("one-bucket", 1)
    buckets.create("two-bucket", 1)
    barrier, tries, results = threading.Barrier(2), [], []

    @repeated
    def change(first, second):
        tries.append(first)
        with transaction() as conn:
            conn.execute("UPDATE bucket SET owner_id = owner_id + 1 WHERE name = %s", (first,))
            if len(tries) <= 2:
                barrier.wait(10)
            conn.execute("UPDATE bucket SET owner_id = owner_id + 1 WHERE name = %s", (second,))

    def run(*names):
        try:
            results.append(change(*names))
        except Exception as error:
            results.append(error)
        finally:
            metadata.hang_up()

    names = (b"one-bucket", b"two-bucket")
    threads = [threading.Thread(target=run, args=order) for order in (names, names[::-1])]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert results == [None, None]
    assert len(tries) == 3
    assert {row.owner_id for row in models.Bucket.select()} == {3}


def _held_by_another_process(path, kind):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path), kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_file_held_by_somebody_else_is_answered_in_time(tmp_path):
    metadata.connect("", tmp_path)
    metadata.migrate()
    with metadata.session():
        holder = _held_by_another_process(tmp_path / "maxiofs.db", "sqlite")
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable), transaction():
            pass
        assert metadata.BUSY_TIMEOUT_S - 1 < time.monotonic() - started < metadata.BUSY_TIMEOUT_S + 3
        assert value() == 0         # readers are not held up
        holder.communicate(b"")
        with transaction():
            set_value(7)
        assert value() == 7
    metadata.dispose()


def test_writers_queue_behind_another_process_and_time_out(tmp_path):
    metadata.connect("", tmp_path)
    metadata.migrate()
    holder = _held_by_another_process(tmp_path / "maxiofs.db", "queue")
    results, started = [], time.monotonic()

    def write():
        try:
            with transaction():
                results.append("written")
        except ServiceUnavailable:
            results.append("busy")
        finally:
            metadata.hang_up()

    threads = [threading.Thread(target=write) for _ in range(3)]
    [thread.start() for thread in threads]
    for thread in threads:
        thread.join(metadata.QUEUE_TIMEOUT_S + 3)
    assert time.monotonic() - started > metadata.QUEUE_TIMEOUT_S - 1
    assert results == ["busy", "busy"]      # one thread waits in the kernel, for as long as the other process holds on
    holder.communicate(b"")
    [thread.join(5) for thread in threads]
    assert results == ["busy", "busy", "written"]
    metadata.dispose()


def test_a_key_held_by_a_stuck_process_is_answered_in_time(database):
    if database.is_sqlite:
        pytest.skip("SQLite has no row locks")
    with psycopg.connect(database.url) as other:
        other.execute("UPDATE change SET value = 1")
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            buckets.create("my-bucket", 1)
        assert time.monotonic() - started < metadata.LOCK_TIMEOUT_S + 5
        other.rollback()
    assert buckets.create("my-bucket", 1)[1]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_both_names_of_postgresql_are_understood(postgres_url, tmp_path, scheme):
    metadata.connect(scheme + postgres_url.removeprefix("postgresql"), tmp_path)
    metadata.migrate()
    with metadata.session():
        assert models.Change.select().count() == 1
    metadata.dispose()


def test_an_unknown_database_is_named(tmp_path):
    with pytest.raises(ValueError, match="mysql"):
        metadata.connect("mysql://localhost/x", tmp_path)


def test_connections_come_back_after_postgresql_was_restarted(postgres, tmp_path):
    metadata.connect(postgres.fresh_database(), tmp_path)
    metadata.migrate()
    connection()
    buckets.create("my-bucket", 1)
    postgres.stop()
    with pytest.raises((psycopg.OperationalError, ServiceUnavailable)):
        buckets.find("my-bucket")
    with pytest.raises(ServiceUnavailable):
        buckets.find("my-bucket")
    postgres.start()
    assert buckets.find("my-bucket") is not None        # no error in between: the lost connection is seen before it is used
    postgres.stop()
    postgres.start()
    assert buckets.create("other-bucket", 1)[1]         # a transaction as well begins on a live connection
    metadata.hang_up()
    metadata.dispose()


def test_the_settings_that_make_it_durable(tmp_path):
    metadata.connect("", tmp_path)
    metadata.migrate()
    with metadata.session() as conn:
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert conn.execute("PRAGMA synchronous").fetchone() == (2,)
    assert os.stat(tmp_path / "maxiofs.db").st_mode & 0o777 == 0o600
    metadata.dispose()


def test_every_connection_reads_what_was_committed_last(database):
    """READ COMMITTED, whatever the server's default says: what is read behind a lock must be fresh."""
    if not database.is_sqlite:
        with transaction() as conn:
            assert conn.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
