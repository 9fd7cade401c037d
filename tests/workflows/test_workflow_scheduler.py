"""The scheduler: one of several acts, downtime is made up for, lost rings are rung again, clocks may jump."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import now_ms
from shared.meta import runs, schedule
from shared.meta.models import Lease, Run, Schedule
from workflows import scheduler as module
from workflows.scheduler import LEASE, LEASE_S, Every, Scheduler, mind_the_clock

DAY_MS = 86_400_000


@pytest.fixture
def hourly(declare, monkeypatch):
    """One workflow, once an hour, and no other."""
    from workflows import registry
    monkeypatch.setattr(registry, "_workflows", {})
    monkeypatch.setattr(registry, "MODULES", ())
    declare("hourly", lambda run: None, every_s=3600, lease_s=60)


@pytest.fixture
def leading(rings):
    scheduler = Scheduler()
    scheduler.hold_lease()
    assert scheduler.leads
    return scheduler


def started():
    return [found.workflow for found in Run.select().order_by(Run.id)]


def finish_all():
    for run in Run.select().where(Run.finished_ms.is_null()):
        runs.complete(runs.lease(run.id, 60))


def test_a_workflow_that_never_ran_starts_at_once_and_then_not_before_its_time(leading, hourly):
    leading.start_due()
    finish_all()
    leading.start_due()
    assert started() == ["hourly"]
    Schedule.update(last_run_ms=now_ms() - 3_600_001).execute()
    leading.start_due()
    assert started() == ["hourly", "hourly"]


def test_downtime_is_made_up_for_by_one_run_not_by_many(leading, hourly):
    Schedule.insert(workflow="hourly", last_run_ms=now_ms() - 30 * DAY_MS).execute()
    for _ in range(3):
        leading.start_due()
        finish_all()
    assert started() == ["hourly"]


def test_a_run_that_is_not_finished_yet_is_not_doubled_nor_started_over(leading, hourly):
    leading.start_due()
    (run,) = Run.select()
    leased = runs.lease(run.id, 60)
    Schedule.update(last_run_ms=0).execute()
    leading.start_due()
    runs.complete(leased)
    assert started() == ["hourly"]
    assert Run.get().state == runs.DONE


def test_of_two_schedulers_one_acts(rings, hourly):
    first, second = Scheduler(), Scheduler()
    for _ in range(2):
        for one in (first, second):
            one.hold_lease()
            one.start_due()
            one.ring_lost()
    assert (first.leads, second.leads) == (True, False)
    assert started() == ["hourly"]


def test_the_standby_takes_over_when_the_lease_runs_out_and_the_old_one_no_longer_acts(rings, hourly):
    first, second = Scheduler(), Scheduler()
    first.hold_lease()
    Lease.update(until_ms=now_ms() - 1).execute()
    second.hold_lease()
    assert second.leads
    assert first.leads, "it does not know yet"
    first.start_due()
    assert started() == [], "but cannot act"
    first.hold_lease()
    assert not first.leads
    second.start_due()
    assert started() == ["hourly"]


def test_two_that_think_they_lead_start_one_run(rings, hourly):
    from rows import at_once
    first, second = Scheduler(), Scheduler()
    first.hold_lease()
    second.holder = first.holder        # worse than anything that can happen
    second.hold_lease()
    at_once(first.start_due, second.start_due)
    assert started() == ["hourly"]


def test_what_another_scheduler_started_a_moment_ago_is_not_started_again(leading, hourly):
    """Whoever decided on an old look at the schedule looks again under the lock."""
    assert schedule.enqueue_due("hourly", 3600, LEASE, leading.holder) is not None
    finish_all()
    assert schedule.enqueue_due("hourly", 3600, LEASE, leading.holder) is None
    assert started() == ["hourly"]


def test_a_scheduler_that_stops_lets_the_next_one_in_at_once(rings):
    first, second = Scheduler(), Scheduler()
    first.hold_lease()
    first.release()
    second.hold_lease()
    assert second.leads and not first.leads
    first.release()
    assert Lease.get().until_ms > now_ms(), "a release by someone else does nothing"


def test_a_leader_whose_process_slept_does_not_trust_its_memory(leading, monkeypatch):
    later_s = time.monotonic() + LEASE_S + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: later_s)
    assert not leading.leads


def test_a_lease_from_before_the_clock_was_set_back_is_taken_over(rings):
    Scheduler().hold_lease()
    other = Scheduler()
    Lease.update(until_ms=now_ms() + 2 * LEASE_S * 1000 - 1000).execute()       # 14 s back: the holder may be alive
    other.hold_lease()
    assert not other.leads
    Lease.update(until_ms=now_ms() + DAY_MS).execute()
    other.hold_lease()
    assert other.leads


@pytest.mark.parametrize(("last_ms", "due"), [
    (None, True), (-3_600_000, True), (-3_599_000, False), (0, False), (+3_000_000, False), (+4_000_000, True), (+DAY_MS, True),
])
def test_when_a_workflow_is_due_also_after_the_clock_was_set_back(last_ms, due):
    assert schedule.is_due(None if last_ms is None else now_ms() + last_ms, 3600) is due


def test_lost_rings_are_rung_again_but_not_all_the_time(leading, hourly, rings, monkeypatch):
    lost, held = runs.enqueue("hourly", {}, "a"), runs.enqueue("hourly", {}, "b")
    runs.lease(held, 60)
    rings.clear()
    leading.ring_lost()
    leading.ring_lost()
    assert rings == [lost]
    Run.update(lease_until_ms=now_ms() - 1).where(Run.id == held).execute()
    leading.ring_lost()
    assert rings == [lost, held], "a lease that ran out"
    now_s = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s + module.RING_AGAIN_S)
    leading._leads_until_s = now_s + 1000
    leading.ring_lost()
    assert rings == [lost, held, lost, held]


def test_each_retry_is_rung_for_when_its_time_has_come(leading, hourly, rings):
    run_id = runs.enqueue("hourly")
    rings.clear()
    for n in range(3):
        leading.ring_lost()
        runs.retry(runs.lease(run_id, 60), "not yet", -1 - n)
    assert rings == [run_id] * 3
    time.sleep(0.01)
    runs.retry(runs.lease(run_id, 60), "not yet", 60)
    leading.ring_lost()
    assert rings == [run_id] * 3


def test_nobody_rings_at_a_house_where_nobody_answers(leading, hourly, rings, monkeypatch):
    runs.enqueue("hourly")
    rings.clear()
    monkeypatch.setattr(module.queue.doorbell(), "waiting", lambda: module.MOST_WAITING)
    leading.ring_lost()
    assert rings == []


def test_the_timer_lists_no_missed_beats_after_a_jump_of_50_years():
    trigger, now = Every(1), datetime.now(UTC)
    long_ago = now - timedelta(days=50 * 365)
    assert trigger.get_next_fire_time(long_ago, now) == now + timedelta(seconds=1)
    assert trigger.get_next_fire_time(now, now) == now + timedelta(seconds=1)
    assert trigger.get_next_fire_time(None, now) == now


def test_jobs_go_on_when_the_clock_is_set_back():
    timer = module._timer()
    beats = []
    job = timer.add_job(lambda: beats.append(1), Every(0.05))
    timer.start()
    try:
        job.modify(next_run_time=datetime.now(UTC) + timedelta(hours=1))    # what a job looks like after an hour's step back
        time.sleep(0.2)
        before = len(beats)
        mind_the_clock(timer)
        time.sleep(0.3)
        assert len(beats) > before + 1
    finally:
        timer.shutdown()


def test_a_database_that_is_away_is_one_line_not_a_dead_scheduler(rings, hourly, caplog, monkeypatch):
    from shared.errors import ServiceUnavailable

    def away():
        raise ServiceUnavailable
    module._quietly(away)()
    assert [record.getMessage() for record in caplog.records] == [f"scheduler: {ServiceUnavailable.message}"]
