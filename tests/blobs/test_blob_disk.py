"""The disk engine: durable in the right order, nothing left behind, refusals in time."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from blob_files import descriptors, files, put

from shared.blobs import space, staging
from shared.blobs.disk import DiskEngine
from shared.blobs.engine import BlobCorrupt, BlobMissing, new_blob_id, storage_error
from shared.errors import InternalError, ServiceUnavailable, SlowDown, StorageFull

PROJECT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


def child(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


# ---- places ------------------------------------------------------------------------------------------------------------------


def test_a_blob_lies_under_the_tail_of_its_id_and_only_its_owner_may_look(disk, tmp_path):
    blob = put(disk, b"data")
    path = tmp_path / "data/blobs" / blob.hex()[-3:] / blob.hex()
    assert path.read_bytes() == b"data" and path.stat().st_mode & 0o777 == 0o600
    for folder in (path.parent, path.parent.parent, tmp_path / "data", tmp_path / "data/staging"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert files(tmp_path / "data/staging") == []


def test_another_process_sees_what_was_committed(disk, tmp_path):
    blob = put(disk, b"shared")
    assert DiskEngine(tmp_path / "data").open(blob).read() == b"shared"


def test_a_shard_folder_removed_by_hand_comes_back(disk, tmp_path):
    staged = disk.stage()
    staged.write(b"data")
    shard = tmp_path / "data/blobs" / staged.id.hex()[-3:]
    disk._durable.add(shard.name)  # it was there a moment ago
    assert disk.open(staged.commit()).read() == b"data"
    assert shard.is_dir()


def test_walk_passes_over_foreign_files_and_holds_one_page(disk, tmp_path, monkeypatch):
    monkeypatch.setattr("shared.blobs.disk.WALK_PAGE", 4)
    shard = tmp_path / "data/blobs/abc"
    shard.mkdir()
    names = sorted(new_blob_id().hex()[:-3] + "abc" for _ in range(11))
    for name in [*names, "0" * 32, "core", "x" * 32, names[0][:-1]]:
        (shard / name).write_bytes(b"")
    (tmp_path / "data/blobs/lost+found").mkdir()
    assert [entry.id.hex() for entry in disk.walk()] == names
    assert [entry.id.hex() for entry in disk.walk(None, 6)] == names[:6]
    walk = disk.walk()
    next(walk)
    (shard / names[2]).unlink()
    (shard / names[6]).unlink()
    assert [entry.id.hex() for entry in walk] == [name for name in names[1:] if name not in (names[2], names[6])]


# ---- nothing left behind -----------------------------------------------------------------------------------------------------


def test_no_descriptor_and_no_file_stays(disk, tmp_path):
    put(disk, b"warm")
    before = descriptors()
    for n in range(30):
        staged = disk.stage(n * MIB // 4)
        staged.write(b"x" * 1000)
        if n % 2:
            staged.discard()
        else:
            disk.open(staged.commit()).close()
    assert descriptors() == before and disk.staged_count == 0
    assert files(tmp_path / "data/staging") == []


def test_an_open_file_that_is_forgotten_closes_itself(disk):
    blob = put(disk, b"data")
    before = descriptors()
    disk.open(blob).read(1)
    assert descriptors() == before


def test_close_discards_what_is_staged_and_removes_the_folder(tmp_path):
    before = descriptors()
    engine = DiskEngine(tmp_path / "data")
    for _ in range(3):
        engine.stage(2 * MIB).write(b"half")
    engine.close()
    engine.close()
    assert descriptors() == before
    assert os.listdir(tmp_path / "data/staging") == []
    with pytest.raises(ValueError):
        engine.stage()


def test_blocks_claimed_beyond_the_end_are_given_back(disk, tmp_path):
    staged = disk.stage(64 * MIB)
    staged.write(b"short")
    blob = staged.commit()
    stat = (tmp_path / "data/blobs" / blob.hex()[-3:] / blob.hex()).stat()
    assert stat.st_size == 5 and stat.st_blocks * 512 <= 64 * 1024


def test_blocks_use_one_buffer(disk):
    staged = disk.stage()
    for _ in range(5):
        staged.write(b"x" * MIB)
    assert len({id(block.obj) for block in staged.blocks()}) == 1
    staged.discard()


def test_short_writes_are_finished(disk, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(memoryview(data)[:7])))
    staged = disk.stage()
    staged.write(bytes(range(100)))
    staged.write(memoryview(bytes(range(100, 200))))
    assert staged.size == 200
    monkeypatch.undo()
    assert disk.open(staged.commit()).read() == bytes(range(200))


def test_a_discard_from_another_thread_never_hurts_somebody_elses_file(disk):
    """Descriptors are reused at once: a write behind a discard would land in a stranger's file."""
    for _ in range(100):
        staged = disk.stage()
        failed = []

        def write(staged=staged, failed=failed):
            try:
                for _ in range(50):
                    staged.write(b"victim")
            except ValueError:
                failed.append(True)

        thread = threading.Thread(target=write)
        thread.start()
        staged.discard()
        other = disk.stage()
        other.write(b"innocent")
        thread.join()
        assert disk.open(other.commit()).read() == b"innocent"


def test_a_discard_during_a_commit_does_nothing(disk, monkeypatch):
    staged = disk.stage()
    staged.write(b"kept")
    real = os.fdatasync

    def sync_and_discard(descriptor: int) -> None:
        staged.discard()
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync_and_discard)
    assert disk.open(staged.commit()).read() == b"kept"


@pytest.mark.parametrize("call", ["fdatasync", "rename", "fsync"])
def test_a_commit_that_fails_leaves_nothing(disk, tmp_path, monkeypatch, call):
    put(disk, b"the first commit also looks at the shards")
    kept = files(tmp_path / "data")
    before = descriptors()
    staged = disk.stage()
    staged.write(b"doomed")
    (tmp_path / "data/blobs" / staged.id.hex()[-3:]).mkdir(exist_ok=True)
    disk._durable.add(staged.id.hex()[-3:])

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(InternalError):
        staged.commit()
    monkeypatch.undo()
    assert files(tmp_path / "data") == kept and descriptors() == before and disk.staged_count == 0
    with pytest.raises(BlobMissing):
        disk.open(staged.id)
    staged.discard()


# ---- processes that die ------------------------------------------------------------------------------------------------------

STAGE_AND_WAIT = """
import sys
from shared.blobs.disk import DiskEngine
engine = DiskEngine(sys.argv[1])
staged = [engine.stage(3 << 20), engine.stage()]
for one in staged: one.write(b"half an upload")
print("ready", flush=True)
if sys.stdin.readline():
    print(staged[0].commit().hex(), flush=True)
"""


def test_the_sweep_removes_what_a_killed_process_staged_and_keeps_the_living(tmp_path):
    root = tmp_path / "data"
    engine = DiskEngine(root)
    mine = engine.stage()
    mine.write(b"mine")
    dead, alive = child(STAGE_AND_WAIT, root), child(STAGE_AND_WAIT, root)
    try:
        assert dead.stdout.readline() == alive.stdout.readline() == "ready\n"
        assert len(os.listdir(root / "staging")) == 3 and len(files(root / "staging")) == 5
        assert engine.sweep_staging() == 0
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert engine.sweep_staging() == 1
        assert len(os.listdir(root / "staging")) == 2 and len(files(root / "staging")) == 3
        out, _ = alive.communicate("go\n")
        assert engine.open(bytes.fromhex(out.strip())).read() == b"half an upload"
        assert engine.sweep_staging() == 1  # that one ended without cleaning up
        assert engine.open(mine.commit()).read() == b"mine"
    finally:
        for process in (dead, alive):
            process.kill()
            process.communicate()
        engine.close()
    assert os.listdir(root / "staging") == []


def test_the_sweep_takes_folders_half_made_or_half_swept(disk, tmp_path):
    area = tmp_path / "data/staging"
    disk.stage().write(b"mine")
    (area / "made-without-lock").mkdir()
    (area / "lock-lost").mkdir()
    (area / "lock-lost/file").write_bytes(b"x")
    (area / "stray-file").write_bytes(b"not ours to judge")
    assert disk.sweep_staging() == 2
    assert {path.name for path in area.iterdir()} == {"stray-file", disk._staging.name}


def test_a_folder_swept_before_its_lock_is_taken_is_replaced(tmp_path, monkeypatch):
    engine = DiskEngine(tmp_path / "data")
    real = staging._held_lock
    swept = []

    def swept_first(path: str) -> int | None:
        if not swept:
            swept.append(path)
            shutil.rmtree(os.path.dirname(path))
        return real(path)

    monkeypatch.setattr(staging, "_held_lock", swept_first)
    staged = engine.stage()
    staged.write(b"fine")
    assert engine.open(staged.commit()).read() == b"fine"
    engine.close()


def test_creating_and_sweeping_at_once_never_loses_a_live_upload(tmp_path):
    """Four sweepers run while engines come and go."""
    root = tmp_path / "data"
    sweeper = DiskEngine(root)
    done = threading.Event()
    errors: list[BaseException] = []

    def sweep() -> None:
        try:
            while not done.is_set():
                sweeper.sweep_staging()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            engine = DiskEngine(root)
            staged = engine.stage()
            staged.write(b"alive")
            assert engine.open(staged.commit()).read() == b"alive"
            engine.close()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert errors == []


# ---- disks that are full or read-only ----------------------------------------------------------------------------------------


def test_a_full_disk_while_writing(small_disk):
    """Two processes' worth of promises that do not fit together: the kernel says ENOSPC."""
    one, two = DiskEngine(small_disk), DiskEngine(small_disk)
    kept = put(one, b"k" * 500_000)
    first, second = [engine.stage(MIB - 1) for engine in (one, two)], [engine.stage(MIB - 1) for engine in (one, two)]
    failures = 0
    for staged in (*first, *second):
        try:
            for _ in range(15):
                staged.write(b"x" * 65536)
        except StorageFull as error:
            failures += 1
            assert isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC
            with pytest.raises(StorageFull):
                staged.write(b"more")
            with pytest.raises(StorageFull):
                staged.commit()
    assert failures >= 1
    for staged in (*first, *second):
        staged.discard()
    assert one.open(kept).read() == b"k" * 500_000
    assert len(files(small_disk)) == 1  # a failed upload gave its space back
    for engine in (one, two):
        engine.close()


def test_a_full_disk_shows_before_the_body_is_received(small_disk, monkeypatch):
    one, two = DiskEngine(small_disk), DiskEngine(small_disk)
    monkeypatch.setattr(space, "FRESH_S", 60.0)
    two.admit(0)  # has seen an empty disk, and believes it
    first = one.stage(2 * MIB)
    with pytest.raises(StorageFull) as caught:
        two.stage(2 * MIB)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert two.staged_count == 0 and len(files(small_disk)) == 1
    first.discard()
    monkeypatch.undo()
    for engine in (one, two):
        engine.close()


def test_the_reserve_stops_writes_and_never_deletes(small_disk, monkeypatch):
    monkeypatch.setattr(space, "FRESH_S", 0.0)
    engine = DiskEngine(small_disk, reserve_bytes=MIB)
    engine.check()
    blob = put(engine, b"x" * (MIB + MIB // 2))
    engine.admit(100_000)
    with pytest.raises(StorageFull):
        engine.admit(MIB)
    with pytest.raises(StorageFull):
        engine.stage(MIB)
    growing = engine.stage()  # of unknown size: refused when it gets there
    with pytest.raises(StorageFull):
        for _ in range(40):
            growing.write(b"x" * 65536)
    assert files(small_disk / "staging") == []
    other = put(DiskEngine(small_disk), b"y" * (MIB // 2 + 1))  # a process without reserve
    with pytest.raises(StorageFull):
        engine.check()
    with pytest.raises(StorageFull):
        engine.admit(0)
    engine.delete(blob)
    engine.delete(other)
    engine.check()
    engine.admit(MIB)


def test_promises_count_until_they_are_written_or_withdrawn(small_disk, monkeypatch):
    monkeypatch.setattr(space, "FRESH_S", 0.0)
    engine = DiskEngine(small_disk)
    staged = [engine.stage(MIB - 4096) for _ in range(2)]  # not preallocated: below 1 MiB
    with pytest.raises(StorageFull):
        engine.admit(2 * MIB)
    staged[0].write(b"x" * (MIB - 4096))
    with pytest.raises(StorageFull):
        engine.admit(2 * MIB)
    engine.admit(MIB // 2)  # what is written is not counted twice
    for one in staged:
        one.discard()
    engine.admit(2 * MIB)
    engine.close()


def test_a_read_only_disk_reads_and_refuses(small_disk):
    before = DiskEngine(small_disk)
    blob = put(before, b"readable")
    staged = before.stage(10)
    staged.write(b"w")
    staged.discard()
    before.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    engine = DiskEngine(small_disk)
    assert engine.open(blob).read() == b"readable" and len(list(engine.walk())) == 1
    for use in (engine.check, engine.stage, lambda: engine.delete(blob)):
        with pytest.raises(ServiceUnavailable):
            use()
    engine.close()


def test_a_folder_that_may_not_be_written_is_not_ready(tmp_path):
    """As an ordinary user: root may write anywhere."""
    code = """
import os, sys
from shared.blobs.disk import DiskEngine
from shared.errors import ServiceUnavailable
engine = DiskEngine(sys.argv[1])
engine.check()
os.chmod(sys.argv[1] + "/blobs", 0o500)
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.chown(sys.argv[1], 65534, 65534)
    for path, folders, _ in os.walk(sys.argv[1]):
        os.chown(path, 65534, 65534)
    os.setuid(65534)
for use in (engine.check, lambda: engine.stage().commit()):
    try: use()
    except ServiceUnavailable: print("refused")
"""
    (tmp_path / "data").mkdir()
    process = child(code, tmp_path / "data")
    assert process.communicate()[0] == "refused\n" * 2


def test_a_file_size_limit_is_a_full_disk(tmp_path):
    code = """
import resource, sys
from shared.blobs.disk import DiskEngine
from shared.errors import StorageFull
engine = DiskEngine(sys.argv[1])
staged = engine.stage()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try: staged.write(b"x" * 150_000)
except StorageFull: print("full")
"""
    assert child(code, tmp_path / "data").communicate()[0] == "full\n"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, ServiceUnavailable),
        (errno.EACCES, ServiceUnavailable),
        (errno.EMFILE, SlowDown),
        (errno.EIO, InternalError),
    ],
)
def test_every_refusal_of_the_system_is_an_s3_error_without_a_path(code, kind):
    error = storage_error(OSError(code, "secret", "/var/secret"))
    assert type(error) is kind and "secret" not in error.message


# ---- durability --------------------------------------------------------------------------------------------------------------

TWO_PUTS = """
import sys
from shared.blobs.disk import DiskEngine
from shared.blobs import staging
ids = iter([bytes(14) + b"\\x01\\x23", bytes(13) + b"\\xff\\x01\\x23"])
staging.new_blob_id = lambda: next(ids)
engine = DiskEngine(sys.argv[1])
for data in (b"first", b"second"):
    staged = engine.stage(len(data)); staged.write(data); staged.commit()
    print("acknowledged", flush=True)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_commit_syncs_file_then_name_then_folder(tmp_path):
    """kill -9 proves nothing about durability, the page cache survives it: only the system calls show it."""
    log, root = tmp_path / "log", tmp_path / "data"
    calls = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,write"
    process = child(TWO_PUTS, root, prefix=("strace", "-f", "-y", "-e", f"trace={calls}", "-o", str(log)))
    assert process.communicate()[0] == "acknowledged\n" * 2
    first, second, done = (0).to_bytes(14, "big") + b"\x01\x23", bytes(13) + b"\xff\x01\x23", "acknowledged"
    trace = log.read_text()
    staged = r"[^>]*staging/[^>]*"

    def commit(blob: bytes) -> list[str]:
        name = blob.hex()
        return [
            rf"fdatasync\(\d+<{staged}/{name}>\)\s+= 0",
            rf'rename\w*\(\d+<{staged}>, "{name}", \d+<{root}/blobs/123>, "{name}"\)\s+= 0',
            rf"fsync\(\d+<{root}/blobs/123>\)\s+= 0",
            rf'write\(1<[^>]*>, "{done}',
        ]

    made = [rf'mkdir\w*\([^"]*"{root}", 0700\)\s+= 0', rf"fsync\(\d+<{tmp_path}>\)\s+= 0"]
    made += [rf'mkdir\w*\([^"]*"{root}/blobs", 0700\)\s+= 0', rf"fsync\(\d+<{root}>\)\s+= 0"]
    shard = [rf'mkdir\w*\(\d+<{root}/blobs>, "123", 0700\)\s+= 0', rf"fsync\(\d+<{root}/blobs>\)\s+= 0"]
    new = commit(first)
    at = 0
    for step in [*made, new[0], *shard, *new[1:], *commit(second)]:
        found = re.compile(step).search(trace, at)
        assert found, f"missing or out of order: {step}\n{trace}"
        at = found.end()
    assert len(re.findall(rf"fsync\(\d+<{root}/blobs>\)", trace)) == 1  # the second blob finds its shard durable


# ---- reads that come short, kernels that cannot ------------------------------------------------------------------------------


def test_short_reads_are_finished(disk, monkeypatch):
    file = disk.open(put(disk, bytes(range(200))))
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, at: real(descriptor, min(size, 7), at))
    assert file.read() == bytes(range(200))


def test_a_file_cut_short_while_open_is_corrupt(disk, tmp_path):
    blob = put(disk, b"x" * 1000)
    file = disk.open(blob)
    os.truncate(tmp_path / "data/blobs" / blob.hex()[-3:] / blob.hex(), 500)
    with pytest.raises(BlobCorrupt):
        file.read()


def test_where_blocks_cannot_be_claimed_the_promise_counts_instead(small_disk, monkeypatch):
    monkeypatch.setattr("shared.blobs.kernel._fallocate", None)
    monkeypatch.setattr("shared.blobs.kernel._sync_file_range", None)
    engine = DiskEngine(small_disk)
    staged = engine.stage(2 * MIB)
    with pytest.raises(StorageFull):
        engine.stage(2 * MIB)
    staged.write(b"x" * (2 * MIB))
    assert sum(len(block) for block in staged.blocks()) == 2 * MIB
    assert engine.size(staged.commit()) == 2 * MIB
    engine.close()
