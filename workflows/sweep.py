"""Delete bytes that nothing refers to: by the reference table, never by listing alone.

Only rows are ever followed by a deletion. A file without a row first gets one that says "free"; from then on the upload it may
still belong to can't record it, because ids are unique. So a clock that jumps, or a machine that slept between the rename of a
file and the commit of its row, costs a failed upload at worst, never acknowledged bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from peewee import fn

from shared.blobs.engine import BlobEngine, BlobEntry, made_ms
from shared.clock import now_ms
from shared.errors import S3Error
from shared.meta import people, schedule
from shared.meta.models import Blob
from workflows.registry import Next, Run, workflow

log = logging.getLogger(__name__)

FREED_DELAY_S = 600     # how long readers that know a blob's id may still open it: a slow download of a deleted object goes on so long
PAGE_ROWS = 100
PAGE_FILES = 500        # only looked at; seldom is one written about
WALK = "sweep.files"    # when the files were last walked, in the schedule


@workflow("sweep", lease_s=120, every_s=300)
def sweep(run: Run) -> Next | None:
    """Delete blobs without references, files without a row, and what dead processes left half written.

    Takes {"delay_s": seconds} in place of both delays: 0 only on a quiet server, or uploads that are just being stored fail.
    Without it the files are walked only once per sweep_delay_s. Order: staging, files, freed rows; so one run with delay 0
    leaves nothing behind.
    """
    cursor = run.cursor or {"phase": "staging", "found": 0, "deleted": 0, "left": 0}
    step = {"staging": _sweep_staging, "files": _claim_orphans, "freed": _delete_freed}[cursor["phase"]]
    return step(run, cursor)


def _sweep_staging(run: Run, cursor: dict[str, Any]) -> Next:
    run.context.engine.sweep_staging()
    every_s = run.context.settings.sweep_delay_s
    walk = "delay_s" in run.input or schedule.is_due(schedule.last_runs().get(WALK), every_s)
    return _next(run, cursor | ({"phase": "files", "after": None} if walk else {"phase": "freed", "after": None}), 0)


def _claim_orphans(run: Run, cursor: dict[str, Any]) -> Next:
    """Look at one page of files, and give those without a row one without references."""
    after = bytes.fromhex(cursor["after"]) if cursor["after"] else None
    page = list(run.context.engine.walk(after, PAGE_FILES))
    changed_before_ms = now_ms() - _delay_s(run, run.context.settings.sweep_delay_s) * 1000
    orphans = _ours(_without_row([entry for entry in page if entry.modified_ms <= changed_before_ms]))
    cursor = cursor | {"found": cursor["found"] + len(orphans)}
    if len(page) == PAGE_FILES:
        return _next(run, cursor | {"after": page[-1].id.hex()}, len(page), effect=partial(_claim, orphans))

    def last_effect() -> None:
        _claim(orphans)
        schedule.mark(WALK)

    return _next(run, cursor | {"phase": "freed", "after": None}, len(page), effect=last_effect)


def _without_row(entries: list[BlobEntry]) -> list[BlobEntry]:
    if not entries:
        return []
    rows: Any = Blob.select(Blob.id).where(Blob.id.in_([entry.id for entry in entries])).tuples()
    known = {bytes(blob_id) for (blob_id,) in rows}
    return [entry for entry in entries if entry.id not in known]


def _ours(orphans: list[BlobEntry]) -> list[BlobEntry]:
    """Those that are not older than the database, by the time in their ids.

    What is older belongs to another one: somebody started a server with a new, empty database on a folder full of objects.
    """
    if not orphans:
        return []
    born_ms = people.born_ms()
    ours = [entry for entry in orphans if born_ms is not None and made_ms(entry.id) >= born_ms]
    if len(ours) < len(orphans):
        log.warning("%d files without a row are older than this database and stay: is it the right one?", len(orphans) - len(ours))
    return ours


def _claim(orphans: list[BlobEntry]) -> None:
    """Insert a free row for each, unless somebody was faster."""
    now = now_ms()
    rows = [
        {"id": entry.id, "size": entry.stored_bytes, "refs": 0, "created_ms": entry.modified_ms, "freed_ms": now} for entry in orphans
    ]
    if rows:
        Blob.insert_many(rows).on_conflict_ignore().execute()


def _delete_freed(run: Run, cursor: dict[str, Any]) -> Next | None:
    """Delete the files of a page of free blobs, then, with the cursor, their rows."""
    freed_before_ms = now_ms() - _delay_s(run, FREED_DELAY_S) * 1000
    free = (Blob.freed_ms <= freed_before_ms) & (Blob.refs == 0)
    behind = _behind(cursor["after"])
    rows: Any = (
        Blob.select(Blob.id, Blob.freed_ms, Blob.data.is_null()).where(free & behind)
        .order_by(Blob.freed_ms, Blob.id).limit(PAGE_ROWS).tuples()
    )
    page = [(bytes(blob_id), freed_ms, bool(has_file)) for blob_id, freed_ms, has_file in rows]
    if not page:
        return None
    if "total" not in cursor:
        cursor = cursor | {"total": run.done + Blob.select(fn.COUNT(Blob.id)).where(free).scalar()}
    gone = _delete_files(run.context.engine, page)
    counts = {"deleted": cursor["deleted"] + len(gone), "left": cursor["left"] + len(page) - len(gone)}
    after = [page[-1][1], page[-1][0].hex()]
    return _next(run, cursor | counts | {"after": after}, len(page), effect=partial(_remove_rows, gone))


def _behind(after: list[Any] | None) -> Any:
    if after is None:
        return Blob.freed_ms.is_null(False)
    freed_ms, blob_id = after[0], bytes.fromhex(after[1])
    return (Blob.freed_ms > freed_ms) | ((Blob.freed_ms == freed_ms) & (Blob.id > blob_id))


def _delete_files(engine: BlobEngine, page: list[tuple[bytes, int, bool]]) -> list[bytes]:
    """The ids whose file is gone now. One that can't be deleted does not hold up the others. Raises S3Error when none could."""
    gone, error = [], None
    for blob_id, _, has_file in page:
        try:
            if has_file:
                engine.delete(blob_id)
            gone.append(blob_id)
        except S3Error as refused:
            log.warning("blob %s can't be deleted: %s", blob_id.hex(), refused)
            error = refused
    if error is not None and not gone:
        raise error
    return gone


def _remove_rows(blob_ids: list[bytes]) -> None:
    Blob.delete().where(Blob.id.in_(blob_ids) & (Blob.refs == 0)).execute()


def _delay_s(run: Run, default_s: int) -> int:
    """The delay in force. Raises ValueError for one that is not a number of seconds."""
    delay_s = run.input.get("delay_s", default_s)
    if isinstance(delay_s, bool) or not isinstance(delay_s, int) or delay_s < 0:
        raise ValueError(f"delay_s must be a whole number of seconds, not {delay_s!r}")
    return delay_s


def _next(run: Run, cursor: dict[str, Any], looked_at: int, effect: Callable[[], None] | None = None) -> Next:
    """``total`` is known only once the files were walked."""
    message = f"{cursor['found']} files without a row found, {cursor['deleted']} blobs deleted"
    if cursor["left"]:
        message += f", {cursor['left']} could not be deleted"
    return Next(cursor, run.done + looked_at, cursor.get("total"), message, effect)
