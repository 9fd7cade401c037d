"""The conformance suite: what every engine promises."""

import threading
import time

import pytest
from blob_files import put

from shared.blobs.engine import BlobCorrupt, BlobEngine, BlobMissing, Span, new_blob_id, walk_order
from shared.blobs.memory import MemoryEngine
from shared.errors import StorageFull


def test_what_was_written_reads_back(engine):
    staged = engine.stage()
    staged.write(b"one ")
    staged.write(bytearray(b"two "))
    staged.write(memoryview(b"--three--")[2:7])
    assert staged.size == 13
    blob = staged.commit()
    assert blob == staged.id and len(blob) == 16
    with engine.open(blob) as file:
        assert file.read() == b"one two three"
    assert engine.size(blob) == 13


@pytest.mark.parametrize("hint", [None, 0, 5, 4 << 20])
def test_the_size_is_what_was_written_not_what_was_announced(engine, hint):
    staged = engine.stage(hint)
    staged.write(b"exact")
    blob = staged.commit()
    assert engine.size(blob) == 5
    assert engine.open(blob).read() == b"exact"


def test_an_empty_blob(engine):
    blob = engine.stage(0).commit()
    assert engine.size(blob) == 0
    assert engine.open(blob).read() == b""
    assert engine.open(blob, Span(0, -1)).read() == b""


def test_blocks_re_read_everything_in_order_and_again(engine):
    data = bytes(range(256)) * 9000
    staged = engine.stage(len(data))
    for at in range(0, len(data), 70_001):
        staged.write(data[at : at + 70_001])
    for _ in range(2):
        assert b"".join(bytes(block) for block in staged.blocks()) == data
    assert b"".join(bytes(block) for block in staged.blocks(1000)) == data
    assert list(engine.stage().blocks()) == []
    assert engine.open(staged.commit()).read() == data


def test_a_blob_does_not_exist_before_its_commit(engine):
    staged = engine.stage(3)
    staged.write(b"abc")
    with pytest.raises(BlobMissing):
        engine.open(staged.id)
    assert list(engine.walk()) == []
    staged.discard()


def test_discard_is_idempotent_and_final(engine):
    staged = engine.stage(3)
    staged.write(b"abc")
    staged.discard()
    staged.discard()
    for use in (staged.commit, lambda: staged.write(b"d"), lambda: next(staged.blocks())):
        with pytest.raises(ValueError):
            use()
    with pytest.raises(BlobMissing):
        engine.size(staged.id)


def test_discard_after_commit_keeps_the_blob(engine):
    staged = engine.stage(3)
    staged.write(b"abc")
    blob = staged.commit()
    staged.discard()
    assert engine.open(blob).read() == b"abc"
    with pytest.raises(ValueError):
        staged.commit()


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 9), (3, 7), (9, 9), (0, -1), (10, 9), (4, 3)])
def test_a_span_limits_the_file(engine, first, last):
    data = b"0123456789"
    file = engine.open(put(engine, data), Span(first, last))
    inside = data[first : last + 1]
    assert file.read() == inside and file.read() == b"" and file.tell() == len(inside)
    assert file.seek(0, 2) == len(inside) == file.length
    assert file.seek(0) == 0 and file.read(2) == inside[:2] and file.tell() == len(inside[:2])
    if len(inside) > 2:
        assert file.seek(-1, 1) == 1 and file.read(1) == inside[1:2]
        assert file.seek(-2, 2) == len(inside) - 2 and file.read(100) == inside[-2:]
    assert file.seek(1000) == 1000 and file.read(5) == b""
    with pytest.raises(ValueError):
        file.seek(-1)
    file.close()
    file.close()
    with pytest.raises(ValueError):
        file.read()


@pytest.mark.parametrize("span", [Span(0, 10), Span(10, 10), Span(11, 10)])
def test_a_span_beyond_the_blob_means_it_was_cut_short(engine, span):
    with pytest.raises(BlobCorrupt):
        engine.open(put(engine, b"0123456789"), span)


@pytest.mark.parametrize("span", [Span(5, 3), Span(-1, 3)])
def test_a_span_that_is_none_is_refused(engine, span):
    with pytest.raises(ValueError):
        engine.open(put(engine, b"0123456789"), span)


def test_the_file_is_a_python_file(engine):
    import io

    blob = put(engine, b"line one\nline two\n" * 1000)
    with io.BufferedReader(engine.open(blob)) as file:
        assert next(file) == b"line one\n" and file.readable() and file.seekable() and not file.writable()
    buffer = bytearray(8)
    assert engine.open(blob).readinto(buffer) == 8 and buffer == b"line one"
    assert engine.open(blob).readall() == b"line one\nline two\n" * 1000


def test_missing_blobs(engine):
    with pytest.raises(BlobMissing):
        engine.open(new_blob_id())
    with pytest.raises(BlobMissing):
        engine.size(new_blob_id())
    engine.delete(new_blob_id())
    for use in (engine.open, engine.size, engine.delete):
        with pytest.raises(ValueError):
            use(b"too short")


def test_delete_is_idempotent_and_open_files_stay_readable(engine):
    blob = put(engine, b"still here")
    file = engine.open(blob)
    engine.delete(blob)
    engine.delete(blob)
    assert file.read() == b"still here"
    with pytest.raises(BlobMissing):
        engine.open(blob)


def test_walk_sees_every_blob_once_in_order_and_resumes_anywhere(engine):
    before_ms = time.time_ns() // 1_000_000
    blobs = {put(engine, b"x" * n): n for n in range(60)}
    entries = list(engine.walk())
    assert {entry.id: entry.stored_bytes for entry in entries} == blobs
    assert all(before_ms - 50 <= entry.modified_ms <= time.time_ns() // 1_000_000 + 50 for entry in entries)
    order = [entry.id for entry in entries]
    assert order == sorted(order, key=lambda blob: walk_order(blob.hex()))
    for index in (0, 1, 30, 58, 59):
        assert [entry.id for entry in engine.walk(order[index])] == order[index + 1 :]
        assert [entry.id for entry in engine.walk(order[index], 7)] == order[index + 1 : index + 8]
    assert list(engine.walk(None, 0)) == []
    engine.delete(order[30])
    assert [entry.id for entry in engine.walk(order[30], 2)] == order[31:33]  # resuming behind one that is gone
    assert list(engine.walk(b"\xff" * 16)) == []


def test_ids_sort_by_time_and_do_not_repeat():
    assert new_blob_id(1_000) < new_blob_id(1_001) < new_blob_id()
    assert len({new_blob_id(5) for _ in range(10_000)}) == 10_000
    assert abs(int.from_bytes(new_blob_id()[:6], "big") - time.time() * 1000) < 5_000


def test_threads_do_not_mix_their_blobs(engine):
    blobs: dict[bytes, bytes] = {}

    def work(mark: bytes) -> None:
        for n in range(20):
            data = mark * (n * 500 + 1)
            staged = engine.stage(len(data) if n % 2 else None)
            staged.write(data[: n * 100])
            staged.write(data[n * 100 :])
            if n % 5 == 4:
                staged.discard()
            else:
                blobs[staged.commit()] = data

    threads = [threading.Thread(target=work, args=(bytes([65 + n]),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(blobs) == 6 * 16
    assert {entry.id for entry in engine.walk()} == set(blobs)
    for blob, data in blobs.items():
        assert engine.open(blob).read() == data


def test_a_healthy_engine_admits_and_checks(engine):
    engine.admit(1000)
    engine.check()
    total, free = engine.space()
    assert 0 < free <= total
    assert engine.sweep_staging() == 0


def test_the_interface_refuses_by_default():
    bare = BlobEngine()
    for use in (bare.stage, bare.walk, bare.check, bare.space, bare.sweep_staging, bare.close):
        with pytest.raises(NotImplementedError):
            use()


def test_memory_has_a_capacity():
    engine = MemoryEngine(100)
    put(engine, b"x" * 60)
    with pytest.raises(StorageFull):
        engine.stage(41)
    staged = engine.stage()
    with pytest.raises(StorageFull):
        staged.write(b"y" * 41)
    with pytest.raises(StorageFull):
        staged.write(b"y")
    put(engine, b"z" * 40)
    with pytest.raises(StorageFull):
        engine.check()
