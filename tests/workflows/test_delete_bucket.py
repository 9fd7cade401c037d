"""Deleting a bucket with all it holds: nothing else goes, and no step minds being repeated or cut off."""

import json

import pytest
from rows import row
from test_delete_tenant import everything, fill, write

from shared import recount
from shared.errors import Conflict
from shared.meta import buckets, runs, tenants, users
from shared.meta.database import transaction
from shared.meta.models import Bucket, Object, Part, Upload, Version
from workflows import delete_bucket as module
from workflows import emptying
from workflows.registry import Run as Told
from workflows.turns import Runner


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(emptying, "PAGE_VERSIONS", 3)


@pytest.fixture
def doomed(context, rings):
    owner = users.create("owner", tenants.create("one").id)
    fill(owner.id, "kept")
    return fill(owner.id, "doomed")


def step(context, cursor, bucket, done=0):
    return module.delete_bucket(Told(1, {"bucket": bucket.id}, cursor, 1, done, context))


def do(following):
    with transaction():
        following.effect()


def test_all_of_the_bucket_goes_and_nothing_else(context, doomed):
    given = {"bucket": doomed.id}
    run_id = runs.enqueue("delete_bucket", given, json.dumps(given), again=False)
    Runner(context).answer(run_id)
    run = row(run_id)
    assert (run.state, run.done, run.message) == ("done", run.total, "doomed: 1 uploads, 8 versions deleted")
    assert [bytes(one.name) for one in Bucket.select()] == [b"kept"]
    assert {table: {one.bucket_id for one in table.select()} for table in (Object, Version, Upload)} == {
        table: {buckets.find("kept").id} for table in (Object, Version, Upload)}
    assert Part.select().count() > 0 and [found for found in recount.tenants() if not found.is_right] == []


def test_each_step_twice_leaves_the_same_as_once(context, doomed):
    cursor, done, steps = None, 0, 0
    while (following := step(context, cursor, doomed, done)) is not None:
        same = step(context, cursor, doomed, done)
        assert (same.cursor, same.done) == (following.cursor, following.done)
        do(following)
        once = everything()
        do(same)
        assert everything() == once
        cursor, done, steps = following.cursor, following.done, steps + 1
    assert steps > 4 and buckets.find("doomed") is None


def test_a_write_under_way_is_found_and_a_writer_who_never_stops_wins(context, doomed):
    cursor, tries = None, 0
    with pytest.raises(Conflict):
        while (following := step(context, cursor, doomed)) is not None:
            if following.cursor["buckets"] > tries:
                tries += 1
                write(doomed, b"late")
            do(following)
            cursor = following.cursor
    assert tries == module.MOST_TRIES and buckets.find("doomed") is not None
    assert step(context, cursor | {"buckets": 0}, doomed).effect is not None


def test_another_bucket_that_took_the_name_stays(context, doomed):
    cursor = None
    while not (following := step(context, cursor, doomed)).cursor["buckets"]:
        do(following)
        cursor = following.cursor
    buckets.delete(doomed)
    other, _ = buckets.create("doomed", doomed.owner_id)
    do(following)
    assert buckets.find("doomed") == other and step(context, following.cursor, doomed) is None


@pytest.mark.parametrize("wrong", [None, "1", True])
def test_what_is_no_bucket_is_refused(context, doomed, wrong):
    with pytest.raises(ValueError, match="bucket"):
        module.delete_bucket(Told(1, {"bucket": wrong}, None, 1, 0, context))
