"""Full and read-only disks, locked and absent databases, damaged files, jumping clocks: a clear S3 error, and nothing lost."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.crash.mounts import immutable, small_disk
from tests.crash.torture import processes_by_role, staged_files
from tests.engines import PostgresServer, postgres_server
from tests.running import ROOT, RunningServer
from tests.s3.raw import UNSIGNED, Answer, Raw, read_answer

MIB = 1 << 20
LARGE = os.urandom(MIB)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server of this module's own, since its tests are hard on it."""
    with RunningServer(processes=2) as running:
        yield running


@pytest.fixture
def ask(server: RunningServer) -> Raw:
    """A bucket named faults."""
    raw = Raw(server)
    assert raw("PUT", "/faults").status == 200
    return raw


def eventually(what: Callable[[], bool], within_s: float) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + within_s
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def command(server: RunningServer, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on the data of a server."""
    environ = {**server._environ, "PYTHONPATH": os.pathsep.join([str(ROOT), server._environ.get("PYTHONPATH", "")])}
    full = [sys.executable, "-m", "scripts.cli", *words, "--data-dir", str(server.data_dir)]
    return subprocess.run(full, env=environ, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


def sweep(server: RunningServer) -> None:
    """Sweep at once, and hold metadata against bytes."""
    swept = command(server, "run", "sweep", "--wait", "--input", '{"delay_s": 0}')
    assert swept.returncode == 0, swept.stdout + swept.stderr
    checked = command(server, "check", "--json")
    assert json.loads(checked.stdout)["findings"] == [], checked.stdout + checked.stderr


def ready(server: RunningServer) -> int:
    """The status of /readyz."""
    return Raw(server)("GET", "/readyz", sign=False).status


# ---- disks ----------------------------------------------------------------------------------------------------------------------


def test_full_disk(tmp_path: Path) -> None:
    """Below the reserve uploads are refused before a byte of them is taken; reads and deletes go on; space that returns is used."""
    with small_disk(tmp_path / "disk", 64 * MIB) as disk, RunningServer(
        processes=2, data_dir=disk, environ={"MAXIOFS_RESERVE_BYTES": str(12 * MIB)}
    ) as server:
        ask = Raw(server)
        assert ask("PUT", "/full").status == 200
        stored, answer = [], ask("HEAD", "/full")
        while answer.status == 200 and len(stored) < 80:
            answer = ask("PUT", f"/full/{len(stored):03}", (), LARGE)
            if answer.status == 200:
                stored.append(f"{len(stored):03}")
        assert (answer.status, answer.code) == (507, "InsufficientStorage"), str(answer)
        assert 20 < len(stored) < 60
        assert ask("GET", "/full/000").body == LARGE
        assert staged_files(disk) == []
        (disk / "filler").write_bytes(LARGE * 2)        # into the reserve
        assert ready(server) == 503
        for key in stored[:30]:
            assert ask("DELETE", f"/full/{key}").status == 204
        sweep(server)
        (disk / "filler").unlink()
        time.sleep(0.2)         # how long a process believes what it saw of the disk
        assert ask("PUT", "/full/again", (), LARGE).status == 200
        assert eventually(lambda: ready(server) == 200, 5)
        assert ask("GET", f"/full/{stored[-1]}").body == LARGE


def test_a_disk_that_somebody_else_filled(tmp_path: Path) -> None:
    """Not a byte is left, not even for the database: a clear error, and no process dies of it."""
    with small_disk(tmp_path / "disk", 64 * MIB) as disk, RunningServer(
        processes=2, data_dir=disk, environ={"MAXIOFS_RESERVE_BYTES": str(MIB)}
    ) as server:
        ask = Raw(server)
        assert ask("PUT", "/full").status == 200
        for number in range(20):
            assert ask("PUT", f"/full/large{number}", (), LARGE).status == 200
            assert ask("PUT", f"/full/small{number}", (), b"s" * 9000).status == 200
        before = processes_by_role(server)
        filler = disk / "filler"
        descriptor = os.open(filler, os.O_CREAT | os.O_WRONLY)
        with pytest.raises(OSError, match="No space"):
            while True:
                os.write(descriptor, bytes(4096))
        os.close(descriptor)
        outcomes = set()
        for number in range(40):
            answer = ask("PUT", f"/full/more{number}", (), b"m" * 16000 if number % 2 else LARGE)
            outcomes.add((answer.status, answer.code))
            assert ask("GET", f"/full/large{number % 20}").body == LARGE
            assert ask("GET", f"/full/small{number % 20}").body == b"s" * 9000
        assert outcomes <= {(200, ""), (507, "InsufficientStorage")}, outcomes
        assert (507, "InsufficientStorage") in outcomes
        assert ready(server) == 503
        filler.unlink()
        assert eventually(lambda: ready(server) == 200, 5)
        time.sleep(0.2)         # how long a process believes what it saw of the disk
        assert ask("PUT", "/full/after", (), LARGE).status == 200
        assert ask("DELETE", "/full/large0").status == 204
        sweep(server)
        assert {role: set(pids) for role, pids in processes_by_role(server).items()} == {role: set(pids) for role, pids in before.items()}


def test_read_only_disk(server: RunningServer, ask: Raw) -> None:
    """Where no file can be made: 503 for uploads, reads go on, and nothing has to be restarted afterwards."""
    assert ask("PUT", "/faults/before", (), LARGE).status == 200
    folders = [folder for name in ("staging", "blobs") for folder in (server.data_dir / name, *(server.data_dir / name).iterdir())]
    with immutable(*folders):
        for _ in range(6):
            answer = ask("PUT", "/faults/during", (), LARGE)
            assert (answer.status, answer.code) == (503, "ServiceUnavailable"), str(answer)
            assert str(server.data_dir).encode() not in answer.body
        assert ask("GET", "/faults/before").body == LARGE
        assert ask("GET", "/faults/during").code == "NoSuchKey"
        assert ready(server) == 503
    assert eventually(lambda: ready(server) == 200, 5)
    assert ask("PUT", "/faults/during", (), LARGE).status == 200
    assert ask("GET", "/faults/during").body == LARGE
    sweep(server)


# ---- databases ------------------------------------------------------------------------------------------------------------------


def test_database_locked_for_ten_seconds(server: RunningServer, ask: Raw) -> None:
    """A person with sqlite3 holds the lock: writers wait or are told 503 within bounds, and all goes on by itself."""
    assert ask("PUT", "/faults/read", (), b"read me").status == 200
    other = sqlite3.connect(server.data_dir / "maxiofs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    locked_s = time.monotonic()

    def put(number: int) -> tuple[Answer, float]:
        began_s = time.monotonic()
        return Raw(server)("PUT", f"/faults/locked{number}", (), b"x" if number % 2 else LARGE), time.monotonic() - began_s

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(put, number) for number in range(4)]
        slowest_s = 0.0
        while time.monotonic() - locked_s < 10:
            began_s = time.monotonic()
            assert Raw(server)("GET", "/healthz", sign=False).status == 200
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            time.sleep(0.2)
        other.execute("ROLLBACK")
        other.close()
        for write in writes:
            answer, took_s = write.result(40)
            assert (answer.status, answer.code) in ((200, ""), (503, "ServiceUnavailable")), str(answer)
            assert took_s < 25
    assert slowest_s < 2, "the processes stood still"
    for number in range(12):
        assert ask("PUT", f"/faults/after{number}", (), b"y" if number % 2 else LARGE).status == 200
    assert ask("GET", "/faults/read").body == b"read me"


def test_reads_go_on_while_the_database_is_locked(server: RunningServer, ask: Raw) -> None:
    """With as many writers waiting as there are threads for small requests, GET still answers."""
    assert ask("PUT", "/faults/read", (), b"read me").status == 200
    other = sqlite3.connect(server.data_dir / "maxiofs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            write = pool.submit(lambda: Raw(server)("PUT", "/faults/one", (), b"x"))
            time.sleep(0.3)
            for _ in range(10):
                began_s = time.monotonic()
                assert ask("GET", "/faults/read").body == b"read me"
                assert time.monotonic() - began_s < 2
            other.execute("ROLLBACK")
            assert write.result(20).status == 200
    finally:
        other.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this module's own, to be stopped and started."""
    try:
        with postgres_server() as running:
            yield running
    except LookupError as missing:
        pytest.skip(str(missing))


def test_postgresql_goes_away_and_comes_back(postgres: PostgresServer) -> None:
    with RunningServer(processes=2, database_url=postgres.fresh_database()) as server:
        ask = Raw(server)
        assert ask("PUT", "/faults").status == 200
        for number in range(20):        # all threads get a connection
            assert ask("PUT", f"/faults/{number}", (), LARGE if number % 2 else b"small").status == 200
        postgres.stop()
        try:
            for number in range(8):
                began_s = time.monotonic()
                put = ("PUT", "/faults/new", ())
                answer = ask(*[("GET", "/faults/1"), (*put, b"x"), (*put, LARGE), ("DELETE", "/faults/2")][number % 4])
                assert (answer.status, answer.code) == (503, "ServiceUnavailable"), str(answer)
                assert time.monotonic() - began_s < 15
            assert ready(server) == 503
        finally:
            postgres.start()
        assert eventually(lambda: ready(server) == 200, 15)
        assert _refused(server) <= MOST_STALE
        assert _refused(server) == 0
        assert eventually(lambda: bool(processes_by_role(server).get("workflows")), 10)
        sweep(server)
        assert ask("GET", "/faults/1").body == LARGE


def test_postgresql_restarts_between_two_requests(postgres: PostgresServer) -> None:
    """The connections are dead, and nobody has noticed yet: the requests that do may fail once, and no more."""
    with RunningServer(processes=1, database_url=postgres.fresh_database()) as server:
        ask = Raw(server)
        assert ask("PUT", "/faults").status == 200
        for number in range(10):
            assert ask("PUT", f"/faults/{number}", (), LARGE if number % 2 else b"small").status == 200
        postgres.stop()
        postgres.start()
        assert _refused(server) <= MOST_STALE
        assert _refused(server) == 0


MOST_STALE = 0


def _refused(server: RunningServer) -> int:
    """How many of 120 requests in three lanes are answered with 503; all others must succeed."""
    ask, refused = Raw(server), 0
    for number in range(120):
        put = ("PUT", f"/faults/n{number}", ())
        answer = ask(*[("GET", "/faults/1"), (*put, b"x"), (*put, LARGE)][number % 3])
        assert answer.status == 200 or (answer.status, answer.code) == (503, "ServiceUnavailable"), str(answer)
        refused += answer.status == 503
    return refused


# ---- damaged files --------------------------------------------------------------------------------------------------------------


def blob_files(server: RunningServer) -> set[Path]:
    """All blobs on disk."""
    return set((server.data_dir / "blobs").glob("*/*"))


def test_missing_and_truncated_files(server: RunningServer, ask: Raw) -> None:
    """500 InternalError before any header: never other bytes, and never fewer. The check names what is lost."""
    known = blob_files(server)
    assert ask("PUT", "/faults/damaged", (), LARGE).status == 200
    [file] = blob_files(server) - known
    os.truncate(file, MIB - 1)
    for headers in ((), (("Range", "bytes=100-"),), (("Range", "bytes=-5"),)):
        answer = ask("GET", "/faults/damaged", headers)
        assert (answer.status, answer.code) == (500, "InternalError"), str(answer)
        assert file.name.encode() not in answer.body
    assert ask("HEAD", "/faults/damaged").status == 200
    report = json.loads(command(server, "check", "--json").stdout)
    assert {finding["kind"]: finding["examples"] for finding in report["findings"] if finding["severity"] == "lost"} == {
        "blob_size": [file.name], "affected": ["faults/damaged"],
    }
    file.unlink()
    answer = ask("GET", "/faults/damaged")
    assert (answer.status, answer.code) == (500, "InternalError"), str(answer)
    checked = command(server, "check", "--json", "--repair")
    assert checked.returncode == 1 and "blob_file_missing" in checked.stdout
    assert ask("DELETE", "/faults/damaged").status == 204
    sweep(server)


def test_a_missing_part_cuts_the_reply(server: RunningServer, ask: Raw) -> None:
    """When the damage shows only after the headers, the connection ends early: the client sees that it has not got everything."""
    s3 = server.client()
    known = blob_files(server)
    upload_id = s3.create_multipart_upload(Bucket="faults", Key="parts")["UploadId"]
    parts = []
    for number in (1, 2):
        sent = s3.upload_part(Bucket="faults", Key="parts", UploadId=upload_id, PartNumber=number, Body=LARGE * 5)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        first = first if number == 2 else blob_files(server) - known      # noqa: F821 - set in the first turn
    s3.complete_multipart_upload(Bucket="faults", Key="parts", UploadId=upload_id, MultipartUpload={"Parts": parts})
    [second] = blob_files(server) - known - first
    second.rename(second.with_name("away"))
    try:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer = ask("GET", "/faults/parts")
            assert answer.status == 500, f"{answer.status} with {len(answer.body)} bytes"
            raise ConnectionError("or so")
        assert ask("GET", "/faults/parts", (("Range", f"bytes=0-{5 * MIB - 1}"),)).body == LARGE * 5
        answer = ask("GET", "/faults/parts", (("Range", f"bytes={5 * MIB}-"),))
        assert (answer.status, answer.code) == (500, "InternalError")
    finally:
        second.with_name("away").rename(second)
    assert ask("GET", "/faults/parts").body == LARGE * 10
    assert ask("DELETE", "/faults/parts").status == 204
    sweep(server)


# ---- clocks ---------------------------------------------------------------------------------------------------------------------


def test_jumping_clock(tmp_path: Path) -> None:
    """A day ahead and back again: the newest version is the one written last, leases and runs go on, nothing is swept that is in use."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    environ = {"CRASH_CLOCK": str(clock), "PYTHONPATH": str(Path(__file__).parent / "jumping_clock"), "MAXIOFS_SWEEP_DELAY_S": "1"}
    with RunningServer(processes=1, environ=environ) as server:
        ask = Raw(server)
        assert ask("PUT", "/clock").status == 200
        body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        assert ask("PUT", "/clock?versioning", (), body).status == 200
        written = []
        for offset_s in (0, 86_400, -86_400, 3600, 0):
            clock.write_text(str(offset_s))
            content = LARGE + str(offset_s).encode()
            answer = ask("PUT", "/clock/key", (), content, at_s=time.time() + offset_s)
            assert answer.status == 200, str(answer)
            written.append((answer.headers["x-amz-version-id"], content))
            assert ask("GET", "/clock/key", at_s=time.time() + offset_s).body == content
            swept = command(server, "run", "sweep", "--wait")
            assert swept.returncode == 0, swept.stdout + swept.stderr
        listed = ask("GET", "/clock?versions").xml
        assert [row.findtext("VersionId") for row in listed.iter("Version")] == [version_id for version_id, _ in reversed(written)]
        for version_id, content in written:
            assert ask("GET", f"/clock/key?versionId={version_id}").body == content
        sweep(server)


def test_a_skewed_clock_is_said_so(server: RunningServer, ask: Raw) -> None:
    answer = ask("GET", "/faults/x", at_s=time.time() - 1000)
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")


# ---- processes ------------------------------------------------------------------------------------------------------------------


def test_a_killed_child_is_replaced_and_requests_go_on(server: RunningServer, ask: Raw) -> None:
    assert ask("PUT", "/faults/alive", (), b"alive").status == 200
    before = processes_by_role(server)["s3"]
    os.kill(before[0], signal.SIGKILL)
    for _ in range(30):
        assert ask("GET", "/faults/alive").body == b"alive"
    assert eventually(lambda: len(set(processes_by_role(server)["s3"]) - {before[0]}) == 2, 10)
    for pid in processes_by_role(server)["s3"]:
        if pid in before:
            os.kill(pid, signal.SIGKILL)
    assert ask("GET", "/faults/alive").body == b"alive"


def test_sigterm_lets_running_requests_finish() -> None:
    """64 MiB up and 64 MiB down, slowly, when SIGTERM comes: both arrive whole, up ends with 0, and nobody is left."""
    whole = LARGE * 64
    with RunningServer(processes=2, environ={"MAXIOFS_DRAIN_TIMEOUT_S": "30"}) as server:
        ask = Raw(server)
        assert ask("PUT", "/drain").status == 200
        assert ask("PUT", "/drain/down", (), whole).status == 200
        begun = [threading.Event(), threading.Event()]

        def upload() -> Answer:
            headers = Raw(server).signed("PUT", "/drain/up", (), sha256=UNSIGNED)
            fields = [f"{name}: {value}" for name, value in (*headers, ("Content-Length", len(whole)))]
            lines = ["PUT /drain/up HTTP/1.1", *fields, "", ""]
            with socket.create_connection(server.address, 60) as connection:
                connection.sendall("\r\n".join(lines).encode())
                for number in range(64):
                    connection.sendall(LARGE)
                    if number == 4:
                        begun[0].set()
                    time.sleep(0.03)
                return read_answer(connection, "PUT")

        def download() -> str:
            headers = Raw(server).signed("GET", "/drain/down")
            lines = ["GET /drain/down HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
            with socket.create_connection(server.address, 60) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
                connection.sendall("\r\n".join(lines).encode())
                response = http.client.HTTPResponse(connection)
                response.begin()
                digest = hashlib.md5()
                while block := response.read(MIB):
                    digest.update(block)
                    begun[1].set()
                    time.sleep(0.03)
                return digest.hexdigest()

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            up, down = pool.submit(upload), pool.submit(download)
            for event in begun:
                assert event.wait(20)
            process = server._process
            assert process is not None
            process.send_signal(signal.SIGTERM)
            assert eventually(lambda: _refuses(server.address), 5), "it still accepts connections"
            assert up.result(60).status == 200
            assert down.result(60) == hashlib.md5(whole).hexdigest()
        assert process.wait(35) == 0
        assert eventually(lambda: not server.processes(), 3)
        assert staged_files(server.data_dir) == []
        server._process = None
        server.start()
        assert server.client().get_object(Bucket="drain", Key="up")["Body"].read() == whole


def _refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return True
    return False


def test_a_multipart_object_is_copied_by_a_process_that_did_nothing_before(server: RunningServer) -> None:
    """Each process and thread opens its connections itself: whatever request comes first."""
    s3 = server.client()
    s3.create_bucket(Bucket="first")
    upload_id = s3.create_multipart_upload(Bucket="first", Key="parts")["UploadId"]
    etag = s3.upload_part(Bucket="first", Key="parts", UploadId=upload_id, PartNumber=1, Body=LARGE)["ETag"]
    s3.complete_multipart_upload(
        Bucket="first", Key="parts", UploadId=upload_id, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    open_id = s3.create_multipart_upload(Bucket="first", Key="open")["UploadId"]
    firsts: list[Callable[[], object]] = [
        lambda: s3.copy_object(Bucket="first", Key="copy", CopySource="first/parts"),
        lambda: s3.upload_part(Bucket="first", Key="open", UploadId=open_id, PartNumber=1, Body=LARGE),
        lambda: s3.upload_part_copy(Bucket="first", Key="open", UploadId=open_id, PartNumber=2, CopySource="first/parts"),
        lambda: s3.delete_objects(Bucket="first", Delete={"Objects": [{"Key": "copy"}]}),
    ]
    for first in firsts:
        for pid in (pids := processes_by_role(server)["s3"]):
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda old=pids: len(set(processes_by_role(server).get("s3", [])) - set(old)) == 2, 15)
        try:
            first()
        except ClientError as error:
            raise AssertionError(f"the first request of a process failed: {error}") from error
