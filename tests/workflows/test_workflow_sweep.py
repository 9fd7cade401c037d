"""The sweeper: what nothing refers to goes, what anything refers to stays, also when steps repeat or clocks jump."""

import os

import pytest
from rows import row

from shared.clock import now_ms
from shared.errors import InternalError, ServiceUnavailable
from shared.meta import content, runs
from shared.meta.content import NewBlob
from shared.meta.database import transaction
from shared.meta.models import Blob, Run, Schedule
from workflows import sweep as module
from workflows.registry import Run as Told
from workflows.turns import Runner

HOUR_MS = 3_600_000


def stored(engine, data=b"bytes", age_ms=0):
    """A file in its place, last changed ``age_ms`` ago."""
    staged = engine.stage(len(data))
    staged.write(data)
    blob_id = staged.commit()
    when_s = (now_ms() - age_ms) / 1000
    (path,) = engine_files(engine, blob_id.hex())
    os.utime(path, (when_s, when_s))
    return blob_id


def engine_files(engine, name=""):
    import pathlib
    return [path for path in pathlib.Path(engine._root).glob("blobs/*/*") if path.is_file() and name in path.name]


def add_row(blob_id, refs=1, freed_ms=None, data=None):
    Blob.insert(id=blob_id, size=5, refs=refs, created_ms=now_ms(), freed_ms=freed_ms, data=data).execute()
    return blob_id


def sweep(context, **given):
    run_id = runs.enqueue("sweep", given)
    Runner(context).answer(run_id)
    assert row(run_id).state == "done", row(run_id).message
    return row(run_id)


def files(engine):
    return {entry.id for entry in engine.walk()}


def ids():
    return {bytes(blob_id) for (blob_id,) in Blob.select(Blob.id).tuples()}


def test_a_freed_blob_goes_after_some_minutes_file_and_row(context, engine, rings):
    used = add_row(stored(engine))
    just_freed = add_row(stored(engine), 0, now_ms() - (module.FREED_DELAY_S - 10) * 1000)
    freed = add_row(stored(engine), 0, now_ms() - (module.FREED_DELAY_S + 10) * 1000)
    run = sweep(context)
    assert files(engine) == ids() == {used, just_freed}
    assert freed not in ids()
    assert run.message == "0 files without a row found, 1 blobs deleted"
    assert (run.done, run.total) == (4, 4)      # three files looked at, one row


def test_a_file_without_a_row_goes_after_the_delay_and_some_minutes_later(context, engine, rings):
    young = stored(engine, age_ms=HOUR_MS - 10_000)
    old = stored(engine, age_ms=HOUR_MS + 10_000)
    sweep(context)
    assert files(engine) == {young, old}
    assert ids() == {old}
    Blob.update(freed_ms=Blob.freed_ms - (module.FREED_DELAY_S + 1) * 1000).execute()
    sweep(context)
    assert files(engine) == {young}
    assert ids() == set()


def test_delay_0_leaves_nothing_behind_in_one_run(context, engine, rings):
    used = add_row(stored(engine))
    for _ in range(3):
        stored(engine)
    add_row(stored(engine), 0, now_ms())
    run = sweep(context, delay_s=0)
    assert files(engine) == ids() == {used}
    assert run.message == "3 files without a row found, 4 blobs deleted"


def test_an_upload_that_was_slow_between_rename_and_commit_fails_instead_of_losing_its_bytes(context, engine, rings):
    """A clock that jumps ahead makes a file look old before its row is there."""
    slow = stored(engine, age_ms=2 * HOUR_MS)
    sweep(context)
    with pytest.raises(ServiceUnavailable), transaction() as connection:
        content.add_blob(connection, NewBlob(slow, 5), now_ms())
    with transaction() as connection:
        assert not content.share_blob(connection, slow)


def test_an_upload_that_was_faster_keeps_its_file(context, engine, rings):
    """Its row came between the look and the claim."""
    found = stored(engine, age_ms=2 * HOUR_MS)
    (entry,) = engine.walk()
    add_row(found)
    module._claim([entry])
    sweep(context, delay_s=0)
    assert files(engine) == ids() == {found}


def test_a_small_body_in_the_table_goes_without_touching_the_disk(context, engine, rings, monkeypatch):
    add_row(b"i" * 16, 0, 1, data=b"small")
    monkeypatch.setattr(engine, "delete", lambda blob_id: pytest.fail("it has no file"))
    sweep(context)
    assert ids() == set()


def test_what_dead_processes_were_writing_goes(context, engine, rings, monkeypatch):
    asked = []
    monkeypatch.setattr(engine, "sweep_staging", lambda: asked.append(1) or 1)
    sweep(context)
    assert asked == [1]


def test_many_pages_of_files_and_rows(context, engine, rings, monkeypatch):
    monkeypatch.setattr(module, "PAGE_FILES", 7)
    monkeypatch.setattr(module, "PAGE_ROWS", 4)
    used = {add_row(stored(engine, b"x")) for _ in range(10)}
    for _ in range(15):
        stored(engine, b"x")
    for n in range(6):
        add_row(stored(engine, b"x"), 0, 1000 + n // 3)      # several freed in the same millisecond
    run = sweep(context, delay_s=0)
    assert files(engine) == ids() == used
    assert (run.done, run.total) == (31 + 21, 31 + 21)


def test_the_files_are_walked_only_once_per_delay(context, engine, rings, monkeypatch):
    walks = []
    walk = engine.walk
    monkeypatch.setattr(engine, "walk", lambda after, limit: walks.append(1) or walk(after, limit))
    sweep(context)
    sweep(context)
    assert len(walks) == 1
    sweep(context, delay_s=3600)
    assert len(walks) == 2, "asked for by a person"
    Schedule.update(last_run_ms=now_ms() - HOUR_MS).execute()
    sweep(context)
    assert len(walks) == 3


def test_a_blob_that_cannot_be_deleted_keeps_its_row_and_does_not_hold_up_the_others(context, engine, rings, monkeypatch):
    monkeypatch.setattr(module, "PAGE_ROWS", 2)
    bad, *_ = (add_row(stored(engine), 0, n) for n in range(1, 6))
    delete = engine.delete

    def refusing(blob_id):
        if blob_id == bad:
            raise InternalError
        delete(blob_id)

    monkeypatch.setattr(engine, "delete", refusing)
    run = sweep(context)
    assert files(engine) == ids() == {bad}
    assert run.message.endswith("4 blobs deleted, 1 could not be deleted")


def test_a_disk_that_refuses_everything_is_tried_again_later(context, engine, rings, monkeypatch):
    blob_id = add_row(stored(engine), 0, 1)
    monkeypatch.setattr(engine, "delete", lambda blob_id: (_ for _ in ()).throw(InternalError()))
    run_id = runs.enqueue("sweep")
    Runner(context).answer(run_id)
    assert (row(run_id).state, row(run_id).attempts) == ("queued", 1)
    assert ids() == {blob_id}


def test_every_step_may_run_twice(context, engine, rings):
    """The same cursor, twice, effects included: the same state."""
    used, _, _ = add_row(stored(engine)), stored(engine), add_row(stored(engine), 0, 1)
    cursor, done = None, 0
    for _ in range(10):
        told = Told(1, {"delay_s": 0}, cursor, 1, done, context)
        states = []
        for _ in range(2):
            following = module.sweep(told)
            if following is not None and following.effect is not None:
                with transaction():
                    following.effect()
            states.append((files(engine), ids()))
        assert states[0] == states[1]
        if following is None and module.sweep(told) is None:
            break
        # The first call's outcome is what a crash would have kept; the second one found the work done.
        cursor, done = (following.cursor, following.done) if following is not None else (told.cursor, done)
    assert files(engine) == ids() == {used}


def test_a_row_that_got_a_reference_is_not_removed(context, rings):
    add_row(b"r" * 16, refs=1, freed_ms=1)
    module._remove_rows([b"r" * 16])
    assert len(ids()) == 1


@pytest.mark.parametrize("delay_s", [-1, "0", 1.5, True, None])
def test_a_delay_that_is_no_number_of_seconds_fails_at_once(context, rings, delay_s):
    run_id = runs.enqueue("sweep", {"delay_s": delay_s})
    Runner(context).answer(run_id)
    assert (row(run_id).state, row(run_id).message.split(":")[0]) == ("failed", "ValueError")


def test_the_freed_rows_are_found_by_their_index(context, rings, opened):
    if opened:
        pytest.skip("SQLite's planner is asked")
    free = (Blob.freed_ms <= 5) & (Blob.refs == 0) & module._behind([3, "00"])
    sql, parameters = Blob.select(Blob.id).where(free).order_by(Blob.freed_ms, Blob.id).limit(100).sql()
    plan = " ".join(step[-1] for step in Run._meta.database.execute_sql("EXPLAIN QUERY PLAN " + sql, parameters))
    assert "blob_freed_ms" in plan
    assert "SCAN" not in plan
