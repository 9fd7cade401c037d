"""Group commit: threads share transactions, and nothing else."""

import sqlite3
import threading
import time

import pytest

from shared.errors import NoSuchKey, ServiceUnavailable
from shared.meta import database, group
from shared.meta.models import Lease


@pytest.fixture
def sqlite(tmp_path):
    database.connect("", tmp_path)
    database.migrate()
    yield tmp_path / "maxiofs.db"
    database.dispose()


def together(*works):
    """Run works in threads that all wait before the first transaction begins; return results and errors in order."""
    outcomes = [None] * len(works)

    def run(index, work):
        try:
            outcomes[index] = group.durably(work)
        except Exception as error:
            outcomes[index] = error
        finally:
            database.hang_up()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    with group._leading:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 5
        while len(group._waiting) < len(works) and time.monotonic() < deadline:
            time.sleep(0.001)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return outcomes


def insert(name):
    return lambda conn: Lease.insert(name=name, holder="x", until_ms=1).execute() and name


def test_many_writes_share_a_transaction(sqlite, monkeypatch):
    begun = []
    real = group.transaction
    monkeypatch.setattr(group, "transaction", lambda: begun.append(1) or real())
    outcomes = together(*[insert(f"n{number}") for number in range(8)])
    assert outcomes == [f"n{number}" for number in range(8)]
    assert len(begun) == 1
    assert sqlite3.connect(sqlite).execute("select count(*) from lease").fetchone() == (8,)


def test_one_that_raises_takes_nothing_along(sqlite):
    def fails(conn):
        Lease.insert(name="half", holder="x", until_ms=1).execute()
        raise NoSuchKey(Key="k")

    outcomes = together(insert("a"), fails, insert("b"))
    assert [outcomes[0], outcomes[2]] == ["a", "b"]
    assert isinstance(outcomes[1], NoSuchKey) and outcomes[1].fields == {"Key": "k"}
    assert [row[0] for row in sqlite3.connect(sqlite).execute("select name from lease order by name")] == ["a", "b"]


def test_a_lone_one_that_raises_leaves_nothing(sqlite):
    def fails(conn):
        Lease.insert(name="half", holder="x", until_ms=1).execute()
        raise NoSuchKey(Key="k")

    with pytest.raises(NoSuchKey) as raised:
        group.durably(fails)
    assert raised.value.fields == {"Key": "k"}
    assert Lease.select().count() == 0


def test_when_the_commit_fails_all_of_them_hear_of_it(sqlite):
    def breaks(conn):
        conn.execute("ROLLBACK")        # as SQLite does by itself on a full disk
        raise sqlite3.OperationalError("database or disk is full")

    outcomes = together(insert("a"), breaks, insert("b"))
    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert sqlite3.connect(sqlite).execute("select count(*) from lease").fetchone() == (0,)


def test_a_database_locked_by_somebody_else_is_an_error_and_then_heals(sqlite, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 1)
    other = sqlite3.connect(sqlite, isolation_level=None)
    other.execute("begin immediate")
    started = time.monotonic()
    outcomes = together(insert("a"), insert("b"))
    assert all(isinstance(outcome, ServiceUnavailable) for outcome in outcomes)
    assert time.monotonic() - started < 20
    other.execute("rollback")
    assert together(insert("a"), insert("b")) == ["a", "b"]


def test_inside_a_transaction_the_work_joins_it(sqlite):
    with pytest.raises(ZeroDivisionError), database.transaction():
        group.durably(insert("a"))
        raise ZeroDivisionError
    assert Lease.select().count() == 0
