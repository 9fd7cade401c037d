"""Give back what forgotten multipart uploads hold."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

from peewee import fn

from shared.clock import now_ms
from shared.errors import NoSuchUpload
from shared.meta import uploads
from shared.meta.models import Bucket, FinishedUpload, Upload
from workflows.registry import Next, Run, workflow

FINISHED_KEPT_MS = 86_400_000       # a Complete that is repeated within a day gets the same reply
PAGE_ROWS = 100


@workflow("expire_uploads", lease_s=120, every_s=3600)
def expire_uploads(run: Run) -> Next | None:
    """Abort uploads begun too long ago or whose bucket is gone, then forget completed ones after a day.

    One upload a step, in the transaction that stores the cursor; replies of completed ones 100 a step. Setting: upload_expiry_s.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
    """
    cursor = run.cursor or {"phase": "uploads", "after": "", "aborted": 0}
    if cursor["phase"] == "uploads":
        found = _next_expired(bytes.fromhex(cursor["after"]), run.context.settings.upload_expiry_s)
        if found is not None:
            return _abort(run, cursor["aborted"] + 1, found)
    return _forget_finished(run, cursor["aborted"])


def _next_expired(after: bytes, expiry_s: int) -> bytes | None:
    """The next upload, by id, that is too old or has no bucket. Behind ``after``, so that one that stays can't hold up the rest."""
    has_bucket = fn.EXISTS(Bucket.select(Bucket.id).where(Bucket.id == Upload.bucket_id))
    expired = (Upload.initiated_ms < now_ms() - expiry_s * 1000) | ~has_bucket
    row: Any = Upload.select(Upload.id).where((Upload.id > after) & expired).order_by(Upload.id).limit(1).tuples().first()
    return bytes(row[0]) if row else None


def _abort(run: Run, aborted: int, upload_id: bytes) -> Next:
    def effect() -> None:
        with contextlib.suppress(NoSuchUpload):     # its client was faster
            uploads.abort(upload_id)

    cursor = {"phase": "uploads", "after": upload_id.hex(), "aborted": aborted}
    return Next(cursor, run.done + 1, message=f"{aborted} uploads aborted", effect=effect)


def _forget_finished(run: Run, aborted: int) -> Next | None:
    is_old = FinishedUpload.finished_ms < now_ms() - FINISHED_KEPT_MS
    rows: Any = FinishedUpload.select(FinishedUpload.id).where(is_old).limit(PAGE_ROWS).tuples()
    old = [bytes(upload_id) for (upload_id,) in rows]
    if not old:
        return None
    cursor = {"phase": "finished", "aborted": aborted}
    message = f"{aborted} uploads aborted; replies of completed uploads forgotten"
    return Next(cursor, run.done + len(old), message=message, effect=partial(_remove, old))


def _remove(upload_ids: list[bytes]) -> None:
    FinishedUpload.delete().where(FinishedUpload.id.in_(upload_ids)).execute()
