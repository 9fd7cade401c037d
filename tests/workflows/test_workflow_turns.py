"""Turns at runs: steps, retries, failures, cancelling, lost leases, killed processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rows import row

from shared.clock import now_ms
from shared.errors import AccessDenied, ServiceUnavailable
from shared.meta import database, runs
from shared.meta.models import Run, Schedule
from shared.meta.runs import CANCELLED, DONE, FAILED, QUEUED
from workflows import registry, turns
from workflows.registry import Next
from workflows.turns import Runner

ROOT = Path(__file__).parents[2]


def count_to(limit, seen):
    def step(run):
        n = (run.cursor or {"n": 0})["n"]
        seen.append((n, run.attempt))
        return Next({"n": n + 1}, n + 1, limit, f"at {n + 1}") if n < limit else None

    return step


def ready(run_id):
    """Make a waiting run due now."""
    Run.update(due_ms=now_ms()).where(Run.id == run_id).execute()


def test_steps_are_called_until_none_and_progress_stays_in_the_row(context, rings, declare):
    seen = []
    declare("count", count_to(3, seen))
    run_id = runs.enqueue("count")
    Runner(context).answer(run_id)
    assert [n for n, _ in seen] == [0, 1, 2, 3]
    assert runs.progress(run_id) == (3, 3, DONE, "at 3")
    Runner(context).answer(run_id)      # a ring too many
    assert len(seen) == 4


def test_a_step_is_told_its_input_and_where_it_is(context, rings, declare):
    told = []

    def step(run):
        told.append(run)
        return Next({"x": 1}, 5) if run.cursor is None else None

    declare("tell", step)
    run_id = runs.enqueue("tell", {"version": "v1"})
    Runner(context).answer(run_id)
    assert [(run.id, run.input, run.cursor, run.attempt, run.done) for run in told] == [
        (run_id, {"version": "v1"}, None, 1, 0), (run_id, {"version": "v1"}, {"x": 1}, 1, 5),
    ]
    assert told[0].context is context


def test_what_may_heal_is_retried_at_the_cursor_with_growing_delays(context, rings, declare):
    class UnreachableError(Exception):
        pass

    seen = []

    def step(run):
        seen.append((run.cursor, run.attempt))
        if run.cursor is None:
            return Next({"n": 1}, 1)
        raise UnreachableError("no route\nat all")

    declare("reach", step, retries=2, backoff_s=10, retry_on=(UnreachableError,))
    run_id = runs.enqueue("reach")
    delays = []
    for _ in range(2):
        Runner(context).answer(run_id)
        delays.append(row(run_id).due_ms - now_ms())
        assert (row(run_id).state, row(run_id).message) == (QUEUED, "UnreachableError: no route")
        Runner(context).answer(run_id)      # too early: nothing happens
        ready(run_id)
    Runner(context).answer(run_id)
    assert seen == [(None, 1), ({"n": 1}, 1), ({"n": 1}, 2), ({"n": 1}, 3)]
    assert 7_000 < delays[0] < 13_000
    assert 14_000 < delays[1] < 26_000
    assert (row(run_id).state, row(run_id).message) == (FAILED, "gave up after 3 attempts: UnreachableError: no route")


@pytest.mark.parametrize("error", [ServiceUnavailable(), database.DRIVER_ERRORS[0]("database is locked")])
def test_a_busy_database_is_retried_without_being_declared(context, rings, declare, error):
    def step(run):
        raise error

    declare("busy", step)
    run_id = runs.enqueue("busy")
    Runner(context).answer(run_id)
    assert row(run_id).state == QUEUED


@pytest.mark.parametrize("error", [ValueError("bad\nnews"), AccessDenied()])
def test_anything_else_fails_at_once_with_one_line(context, rings, declare, error):
    def step(run):
        raise error

    declare("bad", step, retries=5)
    run_id = runs.enqueue("bad")
    Runner(context).answer(run_id)
    assert row(run_id).state == FAILED
    assert row(run_id).message == f"{type(error).__name__}: {error}".splitlines()[0]


def test_an_effect_is_committed_with_the_cursor_or_not_at_all(context, rings, declare):
    def step(run):
        if run.cursor:
            return None

        def effect():
            Schedule.insert(workflow="trace", last_run_ms=run.attempt).execute()
            if run.attempt == 1:
                raise ServiceUnavailable

        return Next({"n": 1}, 1, effect=effect)

    declare("write", step)
    run_id = runs.enqueue("write")
    Runner(context).answer(run_id)
    assert (Schedule.select().count(), row(run_id).cursor) == (0, None)
    ready(run_id)
    Runner(context).answer(run_id)
    assert (Schedule.get().last_run_ms, row(run_id).state) == (2, DONE)


def test_a_cancelled_run_stops_and_its_last_step_leaves_no_trace(context, rings, declare):
    seen = []

    def step(run):
        seen.append(run.cursor)
        if len(seen) == 2:
            runs.cancel(run.id)
        return Next({"n": len(seen)}, len(seen), effect=lambda: Schedule.insert(workflow=f"step {len(seen)}", last_run_ms=1).execute())

    declare("long", step)
    run_id = runs.enqueue("long")
    Runner(context).answer(run_id)
    assert len(seen) == 2
    assert (row(run_id).state, row(run_id).done) == (CANCELLED, 1)
    assert [found.workflow for found in Schedule.select()] == ["step 1"]


def test_a_runner_that_lost_its_lease_goes_quietly(context, rings, declare):
    def step(run):
        Run.update(lease_until_ms=0).execute()
        assert runs.lease(run.id, 60) is not None       # somebody else, as the clock sees it
        return Next({"mine": True}, 1)

    declare("slow", step)
    run_id = runs.enqueue("slow")
    Runner(context).answer(run_id)
    assert row(run_id).cursor is None
    assert row(run_id).attempts == 2


def test_a_turn_ends_with_the_lease_and_is_rung_for_again(context, rings, declare):
    def step(run):
        time.sleep(0.2)
        return Next({"n": run.done + 1}, run.done + 1)

    declare("endless", step, lease_s=1)
    run_id = runs.enqueue("endless")
    Runner(context).answer(run_id)
    assert 1 <= row(run_id).done <= 5
    assert (row(run_id).state, row(run_id).leased_by) == (QUEUED, None)
    assert rings == [run_id, run_id]


def test_a_stopping_process_hands_back_between_two_steps(context, rings, declare):
    stop = threading.Event()

    def step(run):
        assert not stop.is_set(), "it went on"
        stop.set()
        return Next({"n": 1}, 1)

    declare("stopped", step)
    run_id = runs.enqueue("stopped")
    Runner(context, stop).answer(run_id)
    assert (row(run_id).state, row(run_id).cursor, row(run_id).leased_by) == (QUEUED, '{"n": 1}', None)


def test_a_run_of_an_unknown_workflow_is_left_for_who_knows_it(context, rings):
    run_id = runs.enqueue("of a later release")
    Runner(context).answer(run_id)
    assert (row(run_id).state, row(run_id).attempts) == (QUEUED, 0)


def test_a_ring_for_a_run_that_never_was_is_nothing(context, rings):
    Runner(context).answer(4711)


def test_a_step_that_kills_its_process_is_given_up(context, rings, declare):
    declare("poison", count_to(1, seen := []), retries=1)
    run_id = runs.enqueue("poison")
    for _ in range(2):
        runs.lease(run_id, 60)                      # and never heard of again
        Run.update(lease_until_ms=0).execute()
    Runner(context).answer(run_id)
    assert seen == []
    assert (row(run_id).state, row(run_id).message[:15]) == (FAILED, "gave up: 2 time")


def test_the_backoff_is_bounded(declare):
    declare("far", count_to(1, []), backoff_s=100)
    assert turns.backoff_s(registry.find("far"), 1000) <= 1.25 * runs.LONGEST_DELAY_S


CHILD = """
import sys, time
from pathlib import Path
from shared.meta import database
from shared.meta.models import Schedule
from workflows.registry import Context, Next, workflow
from workflows.turns import Runner

@workflow("crawl", lease_s=60)
def crawl(run):
    '''Write one row a step; hang at the third.'''
    n = run.done
    if n == 5:
        return None
    if n == 2 and sys.argv[4] == "hang":
        print("hanging", flush=True)
        time.sleep(60)
    return Next({"n": n + 1}, n + 1, 5, effect=lambda: Schedule.insert(workflow=f"step {n}", last_run_ms=run.attempt).execute())

database.connect(sys.argv[1], Path(sys.argv[2]))
Runner(Context(None, None)).answer(int(sys.argv[3]))
"""


def test_a_killed_process_loses_no_step_and_repeats_none_that_was_stored(opened, rings, tmp_path):
    run_id = runs.enqueue("crawl")
    command = [sys.executable, "-c", CHILD, opened, str(tmp_path), str(run_id)]
    with subprocess.Popen([*command, "hang"], cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"hanging\n"
        os.kill(child.pid, signal.SIGKILL)
    assert row(run_id).done == 2
    subprocess.run([*command, "go"], cwd=ROOT, check=True, timeout=30)
    assert row(run_id).done == 2, "the dead process still has the lease"
    Run.update(lease_until_ms=now_ms() - 1).execute()
    assert [run.id for run in runs.due({"crawl": 60})] == [run_id]
    subprocess.run([*command, "go"], cwd=ROOT, check=True, timeout=30)
    assert (row(run_id).state, row(run_id).done) == (DONE, 5)
    assert {found.workflow: found.last_run_ms for found in Schedule.select()} == {
        "step 0": 1, "step 1": 1, "step 2": 2, "step 3": 1, "step 4": 1,
    }
