"""Run rows: enqueueing in the caller's transaction, leases by compare and set, ends and new beginnings."""

import threading
import time

import pytest
from rows import at_once, row

from shared.clock import now_ms
from shared.meta import runs
from shared.meta.database import transaction
from shared.meta.models import Run, Schedule
from shared.meta.runs import AGAIN, CANCELLED, DONE, FAILED, QUEUED, RUNNING, LeaseLost


def expire(run_id: int) -> None:
    Run.update(lease_until_ms=now_ms() - 1).where(Run.id == run_id).execute()


def test_a_run_and_its_ring_come_with_the_commit(rings):
    with transaction():
        run_id = runs.enqueue("copy", {"version": "v1"}, "v1")
        assert rings == []
    assert rings == [run_id]
    assert (row(run_id).workflow, row(run_id).input, row(run_id).state) == ("copy", '{"version": "v1"}', QUEUED)


def test_a_rollback_leaves_no_run_and_no_ring(rings):
    with pytest.raises(ZeroDivisionError), transaction():
        runs.enqueue("copy")
        _ = 1 / 0
    assert Run.select().count() == 0
    assert rings == []


def test_an_unfinished_run_of_the_same_subject_is_joined_and_keeps_its_input(rings):
    first = runs.enqueue("copy", {"n": 1}, "v1")
    assert runs.enqueue("copy", {"n": 2}, "v1") == first
    assert row(first).input == '{"n": 1}'
    assert runs.enqueue("copy", {}, "v2") != first
    assert runs.enqueue("other", {}, "v1") != first


def test_after_the_end_the_same_subject_gets_a_new_run(rings):
    first = runs.enqueue("copy", {}, "v1")
    runs.complete(runs.lease(first, 60))
    second = runs.enqueue("copy", {}, "v1")
    assert second != first
    assert row(first).state == DONE


def test_one_run_comes_of_many_threads_that_enqueue_at_once(rings):
    found = []
    at_once(*[lambda: found.append(runs.enqueue("copy", {}, "v1"))] * 8)
    assert Run.select().count() == 1
    assert len(set(found)) == 1


def test_one_of_many_threads_gets_the_lease(rings):
    run_id = runs.enqueue("copy")
    found = []
    at_once(*[lambda: found.append(runs.lease(run_id, 60))] * 8)
    assert len([leased for leased in found if leased is not None]) == 1


def test_a_runner_sees_what_an_uncommitted_caller_joined_for(rings):
    """Who joins a queued run holds its row: a runner that comes between waits for the commit, and sees its effect."""
    run_id = runs.enqueue("drain")
    joined, seen = threading.Event(), []

    def caller():
        with transaction():
            runs.enqueue("drain")
            joined.set()
            time.sleep(0.3)
            Schedule.insert(workflow="an event", last_run_ms=1).execute()

    def runner():
        joined.wait(5)
        runs.lease(run_id, 60)
        seen.append(Schedule.select().count())

    at_once(caller, runner)
    assert seen == [1]


def test_a_leased_run_is_not_leased_twice(rings):
    run_id = runs.enqueue("copy", {"a": 1})
    leased = runs.lease(run_id, 60)
    assert (leased.input, leased.cursor, leased.attempt) == ({"a": 1}, None, 1)
    assert runs.lease(run_id, 60) is None
    assert row(run_id).state == RUNNING


def test_an_expired_lease_is_taken_over_and_the_loser_cannot_write(rings):
    run_id = runs.enqueue("copy")
    slow = runs.lease(run_id, 60)
    expire(run_id)
    quick = runs.lease(run_id, 60)
    assert quick.attempt == 2
    runs.advance(quick, 60, {"at": "quick"}, done=7)
    happened = []
    for write in (
        lambda: runs.advance(slow, 60, {"at": "slow"}, done=1, effect=lambda: happened.append("effect")),
        lambda: runs.renew(slow, 60),
        lambda: runs.hand_back(slow),
        lambda: runs.retry(slow, "late", 1),
        lambda: runs.fail(slow, "late"),
        lambda: runs.complete(slow),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert happened == []
    assert (row(run_id).state, row(run_id).cursor, row(run_id).done) == (RUNNING, '{"at": "quick"}', 7)


def test_an_expired_lease_that_nobody_took_over_still_counts(rings):
    run_id = runs.enqueue("copy")
    leased = runs.lease(run_id, 60)
    expire(run_id)
    runs.advance(leased, 60, {"n": 1}, done=1)
    assert row(run_id).lease_until_ms > now_ms()


def test_an_effect_that_fails_leaves_the_cursor(rings):
    run_id = runs.enqueue("copy")
    leased = runs.lease(run_id, 60)
    with pytest.raises(ZeroDivisionError):
        runs.advance(leased, 60, {"n": 1}, done=1, effect=lambda: 1 / 0)
    assert row(run_id).cursor is None


def test_renewing_keeps_the_lease(rings):
    run_id = runs.enqueue("copy")
    leased = runs.lease(run_id, 1)
    runs.renew(leased, 500)
    assert row(run_id).lease_until_ms > now_ms() + 400_000


def test_what_was_handed_back_goes_on_at_once_and_is_no_attempt(rings):
    run_id = runs.enqueue("copy")
    leased = runs.advance(runs.lease(run_id, 60), 60, {"n": 1}, done=1)
    runs.hand_back(leased)
    assert rings == [run_id, run_id]
    again = runs.lease(run_id, 60)
    assert (again.cursor, again.attempt, again.done) == ({"n": 1}, 1, 1)


def test_a_retry_waits_and_counts(rings):
    run_id = runs.enqueue("copy")
    runs.retry(runs.lease(run_id, 60), "Unreachable: no route\nTraceback", 3600 * 24)
    assert row(run_id).message == "Unreachable: no route"
    assert row(run_id).due_ms <= now_ms() + runs.LONGEST_DELAY_S * 1000
    assert runs.lease(run_id, 60) is None
    Run.update(due_ms=now_ms()).execute()
    assert runs.lease(run_id, 60).attempt == 2


def test_what_was_put_off_before_the_clock_was_set_back_is_due(rings):
    run_id = runs.enqueue("copy")
    Run.update(due_ms=now_ms() + 365 * 86_400_000).execute()
    assert [run.id for run in runs.due({"copy": 60})] == [run_id]
    assert runs.lease(run_id, 60) is not None


def test_a_lease_from_before_the_clock_was_set_back_is_taken_over_but_a_small_step_back_is_not(rings):
    run_id = runs.enqueue("copy")
    runs.lease(run_id, 60)
    Run.update(lease_until_ms=now_ms() + 100_000).execute()       # 60 s of lease, the clock 40 s back
    assert runs.due({"copy": 60}) == []
    assert runs.lease(run_id, 60) is None
    Run.update(lease_until_ms=now_ms() + 86_400_000).execute()    # a day back
    assert [run.id for run in runs.due({"copy": 60})] == [run_id]
    assert runs.lease(run_id, 60).attempt == 2


def test_a_cancelled_run_is_over_and_its_step_cannot_write(rings):
    run_id = runs.enqueue("copy")
    leased = runs.lease(run_id, 60)
    assert runs.cancel(run_id) is True
    with pytest.raises(LeaseLost):
        runs.advance(leased, 60, {}, done=1)
    assert row(run_id).state == CANCELLED
    assert runs.lease(run_id, 60) is None
    assert runs.cancel(run_id) is False


def test_a_run_enqueued_while_it_runs_starts_over_after_its_end(rings):
    """What the second caller committed may be behind the cursor already."""
    run_id = runs.enqueue("drain")
    leased = runs.advance(runs.lease(run_id, 60), 60, {"at": 9}, done=9)
    assert runs.enqueue("drain") == run_id
    assert row(run_id).state == AGAIN
    assert runs.progress(run_id).state == RUNNING
    runs.complete(leased)
    fresh = runs.lease(run_id, 60)
    assert (fresh.cursor, fresh.attempt, fresh.done) == (None, 1, 0)
    runs.complete(fresh)
    assert row(run_id).state == DONE


@pytest.mark.parametrize("pause", [runs.hand_back, lambda leased: runs.retry(leased, "later", -1)])
def test_enqueued_again_is_not_forgotten_over_a_pause(rings, pause):
    run_id = runs.enqueue("drain")
    pause(runs.advance(runs.lease(run_id, 60), 60, {"at": 9}, done=9))
    runs.enqueue("drain")               # between two turns, half way through
    leased = runs.lease(run_id, 60)
    pause(leased)
    leased = runs.lease(run_id, 60)
    assert leased.cursor == {"at": 9}
    runs.complete(leased)
    assert runs.lease(run_id, 60).cursor is None


def test_a_run_that_fails_starts_over_when_it_was_enqueued_again(rings):
    run_id = runs.enqueue("drain")
    leased = runs.lease(run_id, 60)
    runs.enqueue("drain")
    runs.fail(leased, "bad")
    assert row(run_id).finished_ms is None
    runs.fail(runs.lease(run_id, 60), "bad")
    assert (row(run_id).state, row(run_id).message) == (FAILED, "bad")


def test_due_knows_only_known_workflows_and_leaves_out_what_is_in_hand(rings):
    free, held, expired = (runs.enqueue("copy", {}, subject) for subject in "abc")
    runs.enqueue("unknown")
    runs.lease(held, 60)
    runs.lease(expired, 60)
    expire(expired)
    later = runs.enqueue("copy", {}, "d")
    runs.retry(runs.lease(later, 60), "later", 60)
    assert sorted(run.id for run in runs.due({"copy": 60})) == sorted([free, expired])


def test_progress_of_a_run(rings):
    run_id = runs.enqueue("copy")
    runs.advance(runs.lease(run_id, 60), 60, {}, done=3, total=10, message="three of ten")
    assert runs.progress(run_id) == (3, 10, RUNNING, "three of ten")
    assert runs.progress(run_id + 1) is None


def test_finished_runs_are_forgotten_and_unfinished_ones_never(rings):
    first, second = runs.enqueue("copy", {}, "a"), runs.enqueue("copy", {}, "b")
    runs.complete(runs.lease(first, 60))
    assert runs.finished_before(now_ms() + 1, 10) == [first]
    runs.forget([first, second])
    assert [found.id for found in Run.select()] == [second]
