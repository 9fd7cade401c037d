"""`maxiofs check`: it finds every kind of damage, repairs only what loses nothing, and can be used beside a busy server."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared import check as checking
from shared import recount
from shared.auth.sealing import MasterKey
from shared.blobs.disk import DiskEngine
from shared.blobs.engine import new_blob_id
from shared.clock import now_ms
from shared.encryption.ring import Ring
from shared.findings import KINDS, Report
from shared.meta import buckets, database, objects, uploads
from shared.meta.models import Blob, Counter, Object, Part, Segment, Version
from shared.meta.objects import NewVersion
from shared.meta.uploads import Assembly, PartInfo, UploadInfo
from shared.store import Store
from tests.engines import PostgresServer, postgres_server

OWNER = 1


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    try:
        with postgres_server() as running:
            yield running
    except LookupError as missing:
        pytest.skip(str(missing))


class Installation:
    """A store with something of everything in it, and a check of it."""

    def __init__(self, folder: Path) -> None:
        self.engine = DiskEngine(folder)
        self.store = Store(self.engine, Ring(MasterKey(bytes(32))))
        self.plain, _ = buckets.create("plain", OWNER)
        self.versioned, _ = buckets.create("versioned", OWNER)
        buckets.set_versioning(self.versioned, 1)
        for bucket in (self.plain, self.versioned):
            for key, size in (("small", 100), ("large", 50_000), ("large", 60_000), ("empty", 0)):
                self.put(bucket.id, key.encode(), os.urandom(size))
            self.copy(bucket.id, b"large", b"copy")
            objects.delete(bucket.id, b"small", None, OWNER)
            self.upload(bucket.id, b"parts", finish=True)
            self.copy(bucket.id, b"parts", b"parts-copy")
            self.upload(bucket.id, b"open", finish=False)

    def put(self, bucket_id: int, key: bytes, data: bytes) -> None:
        """An object, staged when large."""
        new = NewVersion(key, len(data), hashlib.md5(data).hexdigest(), OWNER)
        self.store.put(bucket_id, new, self.payload(data))

    def payload(self, data: bytes) -> Any:
        """Verified bytes of a request."""
        if len(data) <= 16384:
            return SimpleNamespace(size=len(data), data=data, staged=None)
        staged = self.engine.stage(len(data))
        staged.write(data)
        return SimpleNamespace(size=len(data), data=b"", staged=staged)

    def copy(self, bucket_id: int, source: bytes, key: bytes) -> None:
        """A copy within the bucket."""
        def find() -> objects.Found:
            found = objects.find(bucket_id, source)
            assert found is not None
            return found

        self.store.copy(find, bucket_id, lambda found: NewVersion(key, found.size, found.etag, OWNER), None)

    def upload(self, bucket_id: int, key: bytes, finish: bool) -> bytes:
        """A multipart upload of two parts, one of them inline."""
        upload_id = new_blob_id()
        uploads.create(UploadInfo(upload_id, bucket_id, key, OWNER, now_ms(), None, {}, {}, None, None))
        for number, size in ((1, 70_000), (2, 10)):
            self.store.put_part(upload_id, PartInfo(number, size, "e" * 32, now_ms(), None, None, None), self.payload(os.urandom(size)))
        if finish:
            uploads.complete(
                upload_id, bucket_id, key, b"d" * 32, reply=lambda assembly, written: {},
                assemble=lambda upload, parts: Assembly([1, 2], 70_010, "f" * 32 + "-2", None, None),
            )
        return upload_id

    def check(self, repair: bool = False, deep: bool = False, delay_s: int = 3600) -> Report:
        """What a check says; it must be fit for --json and for people."""
        app = SimpleNamespace(services=SimpleNamespace(engine=self.engine, settings=SimpleNamespace(sweep_delay_s=delay_s)))
        seen: list[tuple[int, int | None]] = []
        report = checking.check(app, repair, lambda done, total, message: seen.append((done, total)), deep)
        assert seen and seen[-1][0] == seen[-1][1] and seen == sorted(seen, key=lambda one: one[0])
        assert "objects" in str(report)
        return report

    def kinds(self, **options: Any) -> set[str]:
        """The kinds of findings but for what waits for the sweeper."""
        return {finding.kind for finding in self.check(**options).findings if finding.severity != "waiting"}


@pytest.fixture(params=["sqlite", "postgresql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    url = request.getfixturevalue("postgres").fresh_database() if request.param == "postgresql" else ""
    database.connect(url, tmp_path)
    database.migrate()
    with database.session():
        installation = Installation(tmp_path)
        yield installation
        installation.engine.close()
    database.dispose()


def test_nothing_is_wrong_with_a_healthy_store(made: Installation) -> None:
    report = made.check(deep=True)
    assert report.ok and not [finding for finding in report.findings if finding.severity != "waiting"], str(report)
    assert (report.objects, report.versions) == (10, 3)
    assert report.parts == 12 and report.blobs == 13 and report.bytes_read > 400_000
    assert report.count("freed") == 1, "the overwritten body of the bucket without versions"
    json.dumps([vars(finding) for finding in report.findings])


def test_pages_smaller_than_the_store_find_the_same(made: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "PAGE_ROWS", 2)
    monkeypatch.setattr(recount, "PAGE_BODIES", 1)
    monkeypatch.setattr(checking, "FILES", 2)
    report = made.check()
    assert report.ok and (report.objects, report.versions, report.parts, report.blobs) == (10, 3, 12, 13), str(report)


def large_object() -> Any:
    """A current object whose bytes are one file."""
    return Object.select(Object.blob_id).where(Object.key == b"large").tuples().first()


def _wrong_refs(made: Installation) -> None:
    Blob.update(refs=Blob.refs + 1).where(Blob.id == large_object()[0]).execute()


def _refs_too_low(made: Installation) -> None:
    Blob.update(refs=0, freed_ms=1).where(Blob.id == large_object()[0]).execute()


def _never_freed(made: Installation) -> None:
    Blob.insert(id=new_blob_id(), size=5, refs=0, created_ms=1).execute()


def _freed_in_use(made: Installation) -> None:
    Blob.update(freed_ms=1).where(Blob.id == large_object()[0]).execute()


def _counters(made: Installation) -> None:
    ours = (Counter.bucket_id == made.plain.id) & (Counter.shard == 0)
    Counter.update(objects=Counter.objects + 3, bytes=Counter.bytes - 1).where(ours).execute()


def _no_counters(made: Installation) -> None:
    Counter.delete().where(Counter.bucket_id == made.versioned.id).execute()


@pytest.mark.parametrize(("damage", "kind"), [
    (_wrong_refs, "refs"), (_refs_too_low, "refs"), (_never_freed, "refs"), (_freed_in_use, "refs"), (_counters, "counters"),
    (_no_counters, "counters"),
])
def test_miscounts_are_found_and_repaired(made: Installation, damage: Callable[[Installation], None], kind: str) -> None:
    before = _rows()
    damage(made)
    first = made.check()
    assert not first.ok and made.kinds() == {kind}, str(first)
    assert made.kinds() == {kind}, "reading changed something"
    repaired = made.check(repair=True)
    assert repaired.ok and repaired.count(kind) == 1 and "1 repaired" in str(repaired), str(repaired)
    again = made.check()
    assert again.ok and not made.kinds(), str(again)
    assert _rows() == before, "a repair touched what it must not"


def _rows() -> tuple[Any, ...]:
    """What must survive every repair: all versions, parts, segments."""
    return tuple(sorted(map(repr, model.select().tuples())) for model in (Object, Version, Part, Segment))


def _no_blob_row(made: Installation) -> None:
    Blob.delete().where(Blob.id == large_object()[0]).execute()


def _no_file(made: Installation) -> None:
    made.engine.delete(bytes(large_object()[0]))


def _short_file(made: Installation) -> None:
    name = bytes(large_object()[0]).hex()
    os.truncate(Path(made.engine._root) / "blobs" / name[-3:] / name, 100)


def _no_parts(made: Installation) -> None:
    Part.delete().where(Part.body_id == _body()).execute()


def _body() -> bytes:
    return bytes(Object.select(Object.body_id).where(Object.key == b"parts").tuples().first()[0])


def _no_segments(made: Installation) -> None:
    Segment.delete().where((Segment.body_id == _body()) & (Segment.part_number == 2)).execute()


def _misplaced_part(made: Installation) -> None:
    Part.update(start=7).where((Part.body_id == _body()) & (Part.number == 2)).execute()


def _long_segment(made: Installation) -> None:
    Segment.update(length=99).where((Segment.body_id == _body()) & (Segment.part_number == 2)).execute()


def _size(made: Installation) -> None:
    Object.update(size=Object.size + 1).where((Object.key == b"large") & (Object.bucket_id == made.plain.id)).execute()


def _no_owner(made: Installation) -> None:
    Object.delete().where((Object.key == b"parts") & (Object.bucket_id == made.plain.id)).execute()


def _two_owners(made: Installation) -> None:
    Object.update(body_id=_body()).where(Object.key == b"parts-copy").execute()


def _old_is_current(made: Installation) -> None:
    Version.update(seq=-1000).where((Version.key == b"large") & (Version.bucket_id == made.versioned.id)).execute()


def _current_in_history(made: Installation) -> None:
    Object.delete().where((Object.key == b"large") & (Object.bucket_id == made.versioned.id)).execute()


def _same_id(made: Installation) -> None:
    current = Object.select(Object.version_id).where((Object.key == b"large") & (Object.bucket_id == made.versioned.id)).tuples().first()
    Version.update(version_id=current[0]).where((Version.key == b"large") & (Version.bucket_id == made.versioned.id)).execute()


def _homeless(made: Installation) -> None:
    Object.update(bucket_id=4711).where((Object.key == b"empty") & (Object.bucket_id == made.plain.id)).execute()


def _unversioned(made: Installation) -> None:
    Version.update(bucket_id=made.plain.id).where(Version.is_marker).execute()


def _heavy_marker(made: Installation) -> None:
    Version.update(size=1).where(Version.is_marker).execute()


@pytest.mark.parametrize(("damage", "kinds"), [
    (_no_blob_row, {"blob_row_missing"}), (_no_file, {"blob_file_missing", "affected"}), (_short_file, {"blob_size", "affected"}),
    (_no_parts, {"no_content", "segment_part"}), (_no_segments, {"parts", "refs"}), (_misplaced_part, {"parts"}),
    (_long_segment, {"segment_range", "parts"}), (_size, {"size", "counters"}), (_no_owner, {"owners", "counters"}),
    (_two_owners, {"owners"}), (_old_is_current, {"history"}), (_current_in_history, {"history", "refs", "counters"}),
    (_same_id, {"twice"}),
    (_homeless, {"homeless", "counters"}), (_unversioned, {"unversioned", "counters"}), (_heavy_marker, {"marker", "counters"}),
])
def test_damage_is_found_and_a_repair_deletes_nothing(made: Installation, damage: Callable[[Installation], None], kinds: set[str]) -> None:
    damage(made)
    assert made.kinds() >= kinds, str(made.check())
    before, files = _rows(), len(list(made.engine.walk()))
    repaired = made.check(repair=True)
    assert _rows() == before and len(list(made.engine.walk())) == files
    left = made.kinds()
    assert left == made.kinds(repair=True) and left >= kinds - {"refs", "counters"}, str(repaired)
    assert not left & {"refs", "counters"}, "a repair must finish in one go"


def test_damage_within_a_file_is_found_only_by_reading(made: Installation) -> None:
    name = bytes(large_object()[0]).hex()
    with open(Path(made.engine._root) / "blobs" / name[-3:] / name, "r+b") as file:
        file.write(b"other bytes")
    assert not made.kinds()
    deep = made.check(deep=True)
    assert not deep.ok and deep.count("altered") == 2, str(deep)     # the object and its copy
    assert "plain/large" in str(deep) or "versioned/large" in str(deep)


def test_files_without_a_row_wait_until_they_are_overdue(made: Installation) -> None:
    staged = made.engine.stage(5)
    staged.write(b"lost!")
    blob_id = staged.commit()
    report = made.check()
    assert report.ok and report.count("orphans") == 1 and report.count("overdue") == 0
    name = blob_id.hex()
    os.utime(Path(made.engine._root) / "blobs" / name[-3:] / name, (1, 1))
    report = made.check()
    assert not report.ok and report.count("overdue") == 1


def test_uploads_to_a_bucket_that_is_gone_are_waiting_only(made: Installation) -> None:
    bucket, _ = buckets.create("gone", OWNER)
    made.upload(bucket.id, b"open", finish=False)
    buckets.delete(bucket)
    report = made.check()
    assert report.ok and report.count("uploads") == 1, str(report)


def test_many_findings_are_counted_but_not_all_named(made: Installation) -> None:
    Blob.insert_many([{"id": new_blob_id(), "size": 5, "refs": 0, "created_ms": 1} for _ in range(60)]).execute()
    [finding] = [finding for finding in made.check().findings if finding.kind == "refs"]
    assert finding.count == 60 and len(finding.examples) == 20 and "…" in str(finding)
    assert made.check(repair=True).ok
    assert made.check().count("freed") == 61


def test_a_busy_server_raises_no_false_alarm(made: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "PAGE_ROWS", 2)
    monkeypatch.setattr(recount, "PAGE_BODIES", 1)
    stop, raised, turns = threading.Event(), [], []

    def work(number: int) -> None:
        bucket_id = (made.plain, made.versioned)[number].id
        try:
            with database.session():
                while not stop.is_set():
                    for key in (b"busy-a", b"large", b"zz"):
                        made.put(bucket_id, key, os.urandom(20_000))
                    made.copy(bucket_id, b"large", b"busy-copy")
                    made.upload(bucket_id, b"busy-parts", finish=True)
                    made.copy(bucket_id, b"busy-parts", b"busy-parts-copy")
                    for key in (b"busy-a", b"busy-parts", b"zz"):
                        objects.delete(bucket_id, key, None, OWNER)
                    turns.append(number)
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 20
        while len(turns) < 8 and time.monotonic() < deadline:
            report = made.check()
            assert report.ok and report.count("refs") == 0, str(report)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not raised and len(turns) > 4, (raised, turns)
    assert made.check(deep=True).ok


def test_two_repairs_at_once_correct_once(made: Installation) -> None:
    _counters(made)
    _wrong_refs(made)
    both = threading.Barrier(2)

    def repair() -> None:
        with database.session():
            both.wait(10)
            made.check(repair=True)

    threads = [threading.Thread(target=repair) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not made.kinds()


def test_each_kind_says_what_it_means() -> None:
    for kind, (severity, meaning) in KINDS.items():
        assert severity in ("lost", "wrong", "waiting") and meaning and kind.islower()
