"""Expired uploads, replies of completed ones, and old runs go; everything else stays."""

from types import SimpleNamespace

import pytest
from rows import row

from shared.blobs.engine import new_blob_id
from shared.clock import now_ms
from shared.meta import buckets, counters, runs, uploads
from shared.meta.content import NewBlob
from shared.meta.models import Blob, FinishedUpload, Part, Run, Segment, Upload
from workflows import expire_uploads as module
from workflows import prune_runs as pruning
from workflows.registry import Context
from workflows.registry import Run as Told
from workflows.turns import Runner

DAY_MS = 86_400_000


@pytest.fixture
def bucket(opened):
    return buckets.create("photos", 1)[0]


def begin(bucket_id, age_ms, parts=2):
    """An upload with parts of 5 bytes."""
    upload_id = new_blob_id()
    uploads.create(uploads.UploadInfo(upload_id, bucket_id, b"key", 1, now_ms() - age_ms, None, {}, {}, None, None))
    for number in range(1, parts + 1):
        uploads.put_part(upload_id, uploads.PartInfo(number, 5, "etag", now_ms(), None, None, None), NewBlob(new_blob_id(), 5))
    return upload_id


def answer(context, workflow):
    run_id = runs.enqueue(workflow)
    Runner(context).answer(run_id)
    assert row(run_id).state == "done", row(run_id).message
    return row(run_id)


def left():
    return {bytes(upload.id) for upload in Upload.select()}


def test_uploads_that_are_too_old_are_aborted_with_all_they_hold(context, bucket, rings):
    old, young = begin(bucket.id, 8 * DAY_MS), begin(bucket.id, 6 * DAY_MS)
    run = answer(context, "expire_uploads")
    assert left() == {young}
    assert {bytes(part.body_id) for part in Part.select()} == {bytes(part.body_id) for part in Segment.select()} == {young}
    assert Blob.select().where(Blob.refs == 0).count() == Blob.select().where(Blob.freed_ms.is_null(False)).count() == 2
    assert counters.totals(bucket.id).upload_bytes == 10
    assert run.message == "1 uploads aborted"
    assert old not in left()


def test_the_setting_says_how_old(context, engine, bucket, rings):
    begin(bucket.id, 61_000)
    young = begin(bucket.id, 0)
    answer(Context(SimpleNamespace(upload_expiry_s=60), engine), "expire_uploads")
    assert left() == {young}


def test_uploads_whose_bucket_is_gone_are_aborted_whatever_their_age(context, bucket, rings):
    begin(bucket.id, 0)
    begin(bucket.id, 0)
    buckets.delete(bucket)
    kept = begin(buckets.create("other", 1)[0].id, 0)
    answer(context, "expire_uploads")
    assert left() == {kept}


def test_replies_of_completed_uploads_are_kept_a_day(context, bucket, rings, monkeypatch):
    monkeypatch.setattr(module, "PAGE_ROWS", 2)
    for age_ms in (0, DAY_MS - 10_000, DAY_MS + 1, 3 * DAY_MS, 9 * DAY_MS):
        FinishedUpload.insert(
            id=new_blob_id(), bucket_id=bucket.id, key=b"k", parts_digest=b"d", reply="{}", finished_ms=now_ms() - age_ms
        ).execute()
    run = answer(context, "expire_uploads")
    assert FinishedUpload.select().count() == 2
    assert run.done == 3


def test_nothing_to_do_is_one_step(context, bucket, rings):
    begin(bucket.id, 0)
    assert answer(context, "expire_uploads").done == 0


def test_an_upload_its_client_completes_meanwhile_is_no_error(context, bucket, rings):
    begin(bucket.id, 8 * DAY_MS)
    following = module.expire_uploads(Told(1, {}, None, 1, 0, context))
    uploads.abort(next(iter(left())))
    following.effect()
    following.effect()
    assert left() == set()


def test_one_that_cannot_be_aborted_does_not_come_up_twice(context, bucket, rings, monkeypatch):
    for _ in range(3):
        begin(bucket.id, 8 * DAY_MS)
    tried = []
    monkeypatch.setattr(module.uploads, "abort", tried.append)
    answer(context, "expire_uploads")
    assert len(tried) == len(set(tried)) == 3


def test_runs_are_forgotten_a_month_after_their_end(context, rings, monkeypatch):
    monkeypatch.setattr(pruning, "PAGE_ROWS", 2)
    for n, age_days in enumerate((0, 29, 31, 32, 33, 365)):
        Run.insert(workflow="w", subject=str(n), state="done", due_ms=1, created_ms=1, finished_ms=now_ms() - age_days * DAY_MS).execute()
    unfinished = Run.insert(workflow="w", subject="x", due_ms=1, created_ms=1).execute()
    run = answer(context, "prune_runs")
    assert run.message == "4 runs removed"
    assert {found.subject for found in Run.select().where(Run.workflow == "w")} == {"0", "1", "x"}
    assert row(unfinished).state == "queued"
