"""Ways to lose an acknowledged write, to delete what was not meant, or to send the wrong bytes: each was possible once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from functions.s3.object_get import get_object
from shared.blobs.disk import DiskEngine
from shared.blobs.engine import BlobCorrupt, new_blob_id
from shared.clock import now_ms
from shared.errors import StorageFull
from shared.meta import buckets, database, group, objects, people, uploads
from shared.meta.models import Blob, Lease, Principal
from shared.meta.objects import NewVersion
from shared.meta.uploads import Assembly, PartInfo, UploadInfo
from shared.store import Store
from tests.engines import postgres_server
from workflows import sweep
from workflows.registry import Run as Told

OWNER = 1
HOUR_MS = 3_600_000


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Path]:
    database.connect("", tmp_path)
    database.migrate()
    with database.session():
        yield tmp_path / "maxiofs.db"
    database.dispose()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DiskEngine]:
    made = DiskEngine(tmp_path)
    yield made
    made.close()


def payload(engine: DiskEngine, data: bytes) -> Any:
    """Verified bytes of a request."""
    if len(data) <= 16384:
        return SimpleNamespace(size=len(data), data=data, staged=None)
    staged = engine.stage(len(data))
    staged.write(data)
    return SimpleNamespace(size=len(data), data=b"", staged=staged)


def new(key: bytes, data: bytes) -> NewVersion:
    return NewVersion(key, len(data), hashlib.md5(data).hexdigest(), OWNER)


# ---- group commit -----------------------------------------------------------------------------------------------------------------


class Stubborn(Exception):
    """An error that cannot be copied, as any can when memory is short."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def test_nobody_is_told_of_success_when_the_shared_commit_failed(sqlite: Path) -> None:
    """The others of a group got no error when the error could not be copied for them: 200 for rows that were rolled back."""

    def breaks(conn: Any) -> None:
        conn.execute("ROLLBACK")        # as SQLite does by itself on a full disk or an I/O error
        raise Stubborn("a", "b")

    def insert(name: str) -> Any:
        return lambda conn: Lease.insert(name=name, holder="x", until_ms=1).execute() and name

    works = [insert("a"), breaks, insert("b")]
    outcomes: list[Any] = [None] * len(works)

    def run(index: int) -> None:
        try:
            outcomes[index] = group.durably(works[index])
        except Exception as error:
            outcomes[index] = error
        finally:
            database.hang_up()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    with group._leading:
        for number, thread in enumerate(threads):
            thread.start()
            deadline = time.monotonic() + 5
            while len(group._waiting) <= number and time.monotonic() < deadline:
                time.sleep(0.001)
    for thread in threads:
        thread.join(20)
    assert [type(outcome).__name__ for outcome in outcomes if not isinstance(outcome, Exception)] == []
    assert sqlite3.connect(sqlite).execute("select count(*) from lease").fetchone() == (0,)


# ---- PostgreSQL -------------------------------------------------------------------------------------------------------------------


def test_a_commit_waits_for_the_disk_whatever_the_server_defaults_to(tmp_path: Path) -> None:
    """With synchronous_commit off by default PostgreSQL forgets the last half second of acknowledged writes when it crashes."""
    try:
        with postgres_server() as running:
            url = running.fresh_database()
            for default, kept in (("off", "on"), ("local", "local"), ("on", "on")):
                with psycopg.connect(url, autocommit=True) as admin:
                    name = admin.info.dbname
                    admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = {default}')
                database.connect(url, tmp_path)
                with database.session() as conn:
                    assert conn.execute("SHOW synchronous_commit").fetchone() == (kept,)
                    with pytest.raises(ZeroDivisionError), database.transaction():
                        raise ZeroDivisionError
                    assert conn.execute("SHOW synchronous_commit").fetchone() == (kept,)
                database.dispose()
    except LookupError as missing:
        pytest.skip(str(missing))


# ---- reads ------------------------------------------------------------------------------------------------------------------------


def asking(engine: DiskEngine, bucket: buckets.BucketInfo, key: bytes, **headers: str) -> Any:
    """A request as GetObject sees it."""
    return SimpleNamespace(
        bucket=bucket, key=key, query={}, params={}, notes=[], judged={}, request=SimpleNamespace(method="GET", may_wait=True),
        headers={name.replace("_", "-"): value for name, value in headers.items()}, services=SimpleNamespace(store=Store(engine)),
        known=SimpleNamespace(configuration=lambda *_: None),
    )


def body_of(reply: Any) -> bytes:
    if isinstance(reply.body, bytes):
        return reply.body
    with reply.body:
        return bytes(reply.body.read())


def multipart(engine: DiskEngine, bucket: buckets.BucketInfo, key: bytes, data: bytes) -> None:
    upload_id = new_blob_id()
    uploads.create(UploadInfo(upload_id, bucket.id, key, OWNER, now_ms(), None, {}, {}, None, None))
    Store(engine).put_part(upload_id, PartInfo(1, len(data), "e" * 32, now_ms(), None, None, None), payload(engine, data))
    uploads.complete(
        upload_id, bucket.id, key, b"d" * 32, reply=lambda assembly, written: {},
        assemble=lambda upload, parts: Assembly([1], len(data), "f" * 32 + "-1", None, None),
    )


def test_a_download_that_is_resumed_is_not_sewn_together_from_two_objects(sqlite: Path, engine: DiskEngine) -> None:
    """If-Range was ignored: whoever resumed a download of an object overwritten meanwhile got the tail of another one."""
    bucket, _ = buckets.create("bucket", OWNER)
    first, second = b"a" * 100, b"b" * 100
    Store(engine).put(bucket.id, new(b"k", first), payload(engine, first))
    etag = f'"{hashlib.md5(first).hexdigest()}"'
    date = next(value for name, value in get_object(asking(engine, bucket, b"k")).headers if name == "Last-Modified")
    for holds in (etag, date):
        reply = get_object(asking(engine, bucket, b"k", range="bytes=50-", if_range=holds))
        assert (reply.status, body_of(reply)) == (206, first[50:])
    Store(engine).put(bucket.id, new(b"k", second), payload(engine, second))
    for gone in (etag, f"W/{etag}", f'W/"{hashlib.md5(second).hexdigest()}"', "Sat, 01 Jan 2000 00:00:00 GMT", "nonsense"):
        reply = get_object(asking(engine, bucket, b"k", range="bytes=50-", if_range=gone))
        assert (reply.status, body_of(reply)) == (200, second), gone
    reply = get_object(asking(engine, bucket, b"k", if_range=etag))
    assert (reply.status, body_of(reply)) == (200, second)
    reply = get_object(asking(engine, bucket, b"k", range="bytes=200-", if_range=etag))      # no InvalidRange either
    assert (reply.status, body_of(reply)) == (200, second)


def test_an_object_replaced_between_its_row_and_its_parts_is_looked_up_again(
    sqlite: Path, engine: DiskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted and written anew it had the same place in line, and GET took the new object for the old one's missing bytes: 500."""
    bucket, _ = buckets.create("bucket", OWNER)
    old, fresh = os.urandom(20_000), os.urandom(30_000)
    multipart(engine, bucket, b"k", old)
    real, meanwhile = objects.find, [True]

    def find(*args: Any, **named: Any) -> Any:
        found = real(*args, **named)
        if meanwhile and meanwhile.pop():
            objects.delete(bucket.id, b"k", None, OWNER)
            multipart(engine, bucket, b"k", fresh)
        return found

    monkeypatch.setattr(objects, "find", find)
    assert body_of(get_object(asking(engine, bucket, b"k"))) == fresh


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=2-4"}])
def test_a_small_object_whose_bytes_are_not_all_there_is_an_error(sqlite: Path, engine: DiskEngine, headers: dict[str, str]) -> None:
    """A short row was sent as a shorter object, with 200 and the ETag of the whole one."""
    bucket, _ = buckets.create("bucket", OWNER)
    Store(engine).put(bucket.id, new(b"k", b"bytes"), payload(engine, b"bytes"))
    Blob.update(data=b"byt").execute()
    with pytest.raises(BlobCorrupt):
        get_object(asking(engine, bucket, b"k", **headers))


# ---- the disk ---------------------------------------------------------------------------------------------------------------------


def test_small_objects_leave_the_reserve_alone_too(sqlite: Path, engine: DiskEngine, tmp_path: Path) -> None:
    """Bodies that go into the database ate the reserve, until deletes failed as well and nothing could be freed any more."""
    bucket, _ = buckets.create("bucket", OWNER)
    Store(engine).put(bucket.id, new(b"k", b"bytes"), payload(engine, b"bytes"))
    tight = Store(DiskEngine(tmp_path, reserve_bytes=1 << 60))
    with pytest.raises(StorageFull):
        tight.put(bucket.id, new(b"more", b"bytes"), payload(engine, b"bytes"))
    with pytest.raises(StorageFull):
        tight.put(bucket.id, new(b"empty", b""), payload(engine, b""))
    assert objects.find(bucket.id, b"more") is None
    objects.delete(bucket.id, b"k", None, OWNER)
    assert objects.find(bucket.id, b"k") is None
    tight.engine.close()


def test_the_reserve_holds_between_two_looks_at_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written since the last look was counted nowhere: fast uploads went through the reserve by a tenth of a second's worth."""
    total = 100 * 65536
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)      # every look but a fresh one is believed
    held = lambda: sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())  # noqa: E731
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_blocks=total, f_frsize=1, f_bavail=total - held()))
    engine = DiskEngine(tmp_path, reserve_bytes=40 * 65536)
    stored = 0
    with pytest.raises(StorageFull):
        while stored < 100:
            payload(engine, bytes(65536)).staged.commit()
            stored += 1
    assert stored == 60
    monkeypatch.undo()
    engine.close()


# ---- the sweep --------------------------------------------------------------------------------------------------------------------


def swept(engine: DiskEngine) -> str:
    """Run the steps of a sweep without any delay; return its last message."""
    cursor, message = None, ""
    while True:
        context = SimpleNamespace(settings=SimpleNamespace(sweep_delay_s=3600), engine=engine)
        following = sweep.sweep(Told(1, {"delay_s": 0}, cursor, 1, 0, context))  # type: ignore[arg-type]
        if following is None:
            return message
        with database.transaction():
            if following.effect:
                following.effect()
        cursor, message = following.cursor, following.message or ""


def test_the_bytes_of_another_database_are_not_swept(sqlite: Path, engine: DiskEngine) -> None:
    """A server started with a new, empty database (a typing error in its URL) took every file for an orphan: all bytes gone in minutes."""
    staged = engine.stage(5)
    staged.write(b"bytes")
    stored = staged.commit()
    time.sleep(0.002)
    people.create_root()                # the database is born behind the file
    assert "0 files without a row found" in swept(engine)
    assert engine.size(stored) == 5
    Principal.update(created_ms=now_ms() - HOUR_MS).execute()
    assert "1 files without a row found" in swept(engine)
    assert not list(engine.walk())


def test_a_database_that_is_no_installation_yet_sweeps_nothing(sqlite: Path, engine: DiskEngine) -> None:
    """Workflows may be up before root was made."""
    staged = engine.stage(5)
    staged.write(b"bytes")
    stored = staged.commit()
    swept(engine)
    assert engine.size(stored) == 5
