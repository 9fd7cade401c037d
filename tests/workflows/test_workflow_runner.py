"""The processes, whole: a huey consumer and schedulers as `maxiofs workflows` and `maxiofs scheduler` run them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rows import row

from shared import queue
from shared.meta import runs as meta_runs
from shared.meta.models import Lease, Run, Schedule
from workflows import runs

ROOT = Path(__file__).parents[2]
START = """
import sys
from shared import settings
from workflows import registry, {module}
from workflows.registry import Next, workflow

registry.declared()
for name in list(registry._workflows):
    del registry._workflows[name]

@workflow("count", lease_s=5, every_s={every_s})
def count(run):
    '''Count to a number, slowly.'''
    import time
    time.sleep(run.input.get("pause_s", 0))
    return Next({{"n": run.done + 1}}, run.done + 1, 10) if run.done < run.input.get("to", 3) else None

{module}.{function}(settings.load({{"data_dir": sys.argv[1], "database_url": sys.argv[2]}}, {{}}))
"""


@contextmanager
def process(module, function, tmp_path, url, every_s=None) -> Iterator[subprocess.Popen]:
    code = START.format(module=module, function=function, every_s=every_s)
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path), url], cwd=ROOT) as child:
        try:
            yield child
        finally:
            child.kill()


def workflows_process(tmp_path, url):
    return process("runner", "run_consumer", tmp_path, url)


def scheduler_process(tmp_path, url, every_s=None):
    return process("scheduler", "run_scheduler", tmp_path, url, every_s)


def stop(child):
    """SIGTERM; seconds until it had ended, which must be well."""
    started_s = time.monotonic()
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    return time.monotonic() - started_s


def eventually(condition, timeout_s=20):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "it did not come to pass"
        time.sleep(0.02)


def finished(run_id):
    return row(run_id).finished_ms is not None


@pytest.fixture
def counting(declare):
    declare("count", lambda run: None)


def test_a_run_is_rung_for_worked_and_watched_to_its_end(opened, counting, tmp_path):
    with workflows_process(tmp_path, opened) as child:
        run_id = runs.start("count", {"to": 4, "pause_s": 0.05})
        seen = list(runs.watch(run_id, 0.02))
        assert (seen[-1].done, seen[-1].total, seen[-1].state) == (4, 10, meta_runs.DONE)
        assert len({progress.done for progress in seen}) > 2
        started_s = time.monotonic()
        eventually(lambda: queue.doorbell().waiting() == 0)
        second = runs.start("count", {"to": 1})
        eventually(lambda: finished(second))
        assert time.monotonic() - started_s < 5, "an idle consumer of huey's own looks every 10 s"
        assert stop(child) < 10


def test_sigterm_ends_a_long_run_between_two_steps_and_the_next_process_goes_on(opened, counting, tmp_path):
    with workflows_process(tmp_path, opened) as child:
        run_id = runs.start("count", {"to": 8, "pause_s": 0.3})
        eventually(lambda: row(run_id).done >= 2)
        assert stop(child) < 10
    stopped_at = row(run_id)
    assert (stopped_at.state, stopped_at.leased_by) == (meta_runs.QUEUED, None)
    with workflows_process(tmp_path, opened) as child:
        eventually(lambda: finished(run_id))
        assert row(run_id).done == 8
        stop(child)


def test_rings_from_before_the_consumer_started_are_answered(opened, counting, tmp_path):
    run_ids = [meta_runs.enqueue("count", {}, str(n)) for n in range(20)]
    assert queue.flush(5)
    with workflows_process(tmp_path, opened):
        eventually(lambda: all(finished(run_id) for run_id in run_ids))


def test_a_run_whose_ring_was_lost_is_found_by_the_scheduler(opened, counting, tmp_path, monkeypatch):
    monkeypatch.setattr(queue.doorbell(), "ring", lambda run_id: None)
    run_id = runs.start("count")
    with workflows_process(tmp_path, opened), scheduler_process(tmp_path, opened) as scheduler:
        eventually(lambda: finished(run_id))
        assert stop(scheduler) < 10
    assert Lease.get().until_ms == 0, "the next one need not wait"


def test_a_runner_that_is_killed_is_replaced_by_another(opened, counting, tmp_path):
    run_id = runs.start("count", {"to": 6, "pause_s": 0.4})
    with workflows_process(tmp_path, opened) as first:
        eventually(lambda: row(run_id).done >= 2)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        done = row(run_id).done
        with workflows_process(tmp_path, opened), scheduler_process(tmp_path, opened):
            eventually(lambda: finished(run_id))
    assert row(run_id).state == meta_runs.DONE
    assert done >= 2 and row(run_id).done == 6


def test_of_two_scheduler_processes_one_acts_and_the_other_takes_over_when_it_is_killed(opened, counting, tmp_path):
    with scheduler_process(tmp_path, opened, every_s=1) as first:
        eventually(lambda: Lease.select().count() == 1)
        leader = Lease.get().holder
        with scheduler_process(tmp_path, opened, every_s=1):
            time.sleep(3)
            assert Lease.get().holder == leader
            assert Run.select().count() == 1
            os.kill(first.pid, signal.SIGKILL)
            eventually(lambda: Lease.get().holder != leader, 25)
            last_ms = Schedule.get().last_run_ms
            eventually(lambda: Schedule.get().last_run_ms > last_ms)
    assert Run.select().count() == 1, "unfinished, so not doubled"


def test_two_starts_with_the_same_input_are_one_run_and_with_another_input_are_two(opened, counting):
    first = runs.start("count", {"to": 1})
    assert runs.start("count", {"to": 1}) == first
    assert len({first, runs.start("count", {"to": 2}), runs.start("count")}) == 3


def test_starting_and_watching_what_does_not_exist(opened):
    with pytest.raises(LookupError, match="sweep"):
        runs.start("sweeep")
    with pytest.raises(LookupError, match="4711"):
        next(runs.watch(4711))


def test_a_process_that_cannot_reach_its_queue_waits_and_still_ends_on_sigterm(opened, tmp_path):
    code = """
import sys
from shared import settings
from workflows import runner
runner.run_consumer(settings.load({"data_dir": sys.argv[1], "queue_url": "postgresql://nobody@127.0.0.1:1/none"}, {}))
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "other")], cwd=ROOT, stderr=subprocess.PIPE) as child:
        assert b"the queue can't be opened yet" in child.stderr.readline()
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
