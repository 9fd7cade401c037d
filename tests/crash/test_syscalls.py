"""200 means durable: for each way to write, the order of system calls up to the reply.

kill -9 does not show this, since the page cache survives it.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.crash.torture import processes_by_role
from tests.crash.tracing import Call, CannotTrace, Trace, traced
from tests.running import RunningServer
from tests.s3.raw import Answer, Raw

SYNC, RENAME, SEND = "fsync|fdatasync", "rename|renameat|renameat2", "sendto|sendmsg|write|writev"
NAME = "[0-9a-f]{32}"
LARGE = b"x" * 100_000
ENCRYPTED = (("x-amz-server-side-encryption", "AES256"),)

Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server of its own with one S3 process, so that it is known whom to watch."""
    with RunningServer(processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def ask(server: RunningServer) -> Ask:
    """A bucket with something in it; all lanes were used once, so that threads and connections are there."""
    raw = Raw(server)
    assert raw("PUT", "/traced").status == 200
    for key, body in (("small", b"small"), ("large", LARGE), ("gone", b"x"), ("gone-large", LARGE)):
        assert raw("PUT", f"/traced/{key}", (), body).status == 200
    assert raw("PUT", "/traced/encrypted", ENCRYPTED, LARGE).status == 200     # the first one makes a key of the ring
    assert raw("PUT", "/traced-locked", (("x-amz-bucket-object-lock-enabled", "true"),)).status == 200
    return raw


Watch = Callable[..., Trace]


@pytest.fixture
def watch(server: RunningServer, ask: Ask, tmp_path: Path) -> Watch:
    """Send one request and return the trace of it."""

    def run(method: str, target: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"", status: int = 200) -> Trace:
        [pid] = processes_by_role(server)["s3"]
        try:
            with traced(pid, tmp_path / "trace", lambda trace: trace.count(SEND, r'"HTTP/1\.1 2') > 0) as trace:
                answer = ask(method, target, headers, body)
                assert answer.status == status, str(answer)
        except CannotTrace as reason:
            pytest.skip(f"no traces here: {reason}")
        return trace

    return run


def assert_committed_before_the_reply(trace: Trace, after: Call | None = None) -> None:
    """Pages into the log of the database, the log to the disk, and only then the reply."""
    written = trace.find("pwrite64|write", r"maxiofs\.db-wal>", after)
    synced = trace.find(SYNC, r"maxiofs\.db-wal>", written)
    [reply] = [call for call in trace.calls() if call.name in SEND.split("|") and '"HTTP/1.1 2' in call.text]
    assert reply.began > synced.ended, "the reply went out before the commit was on disk"
    last = [call for call in trace.calls() if _writes(call, r"maxiofs\.db-wal>") and call.began < reply.began][-1]
    assert trace.find(SYNC, r"maxiofs\.db-wal>", last).ended < reply.began, "something was committed after the last sync"


def assert_blob_is_durable(trace: Trace) -> Call:
    """The bytes to the disk, the name into its folder, the folder to the disk. Returns the last of the calls."""
    data = trace.find(SYNC, rf"/staging/[^/]+/{NAME}>")
    assert not [call for call in trace.calls() if _writes(call, f"/{_name(data)}>") and call.began > data.ended], "written after the sync"
    renamed = trace.find(RENAME, _name(data), data)
    folder = trace.find(SYNC, rf"/blobs/{_name(data)[-3:]}>", renamed)
    made = [call for call in trace.calls() if call.name in ("mkdir", "mkdirat") and "/blobs>" in call.text and not call.failed]
    for call in made:
        assert trace.find(SYNC, "/blobs>", call).ended < renamed.began, "the new folder itself was not on disk"
    return folder


def _writes(call: Call, pattern: str) -> bool:
    return call.name in ("write", "pwrite64", "writev") and bool(re.search(pattern, call.text))


def _name(call: Call) -> str:
    return call.text.rpartition(">")[0].rpartition("/")[2]


def test_small_put(watch: Watch) -> None:
    trace = watch("PUT", "/traced/small", (), b"inline")
    assert_committed_before_the_reply(trace)
    assert not trace.count(RENAME), "a small body has no file"


@pytest.mark.parametrize("key", ["new", "large"])
def test_staged_put(watch: Watch, key: str) -> None:
    trace = watch("PUT", f"/traced/{key}", (), LARGE)
    assert_committed_before_the_reply(trace, assert_blob_is_durable(trace))


def test_staged_put_in_chunks(server: RunningServer, ask: Ask, tmp_path: Path) -> None:
    [pid] = processes_by_role(server)["s3"]
    try:
        with traced(pid, tmp_path / "trace", lambda trace: trace.count(SEND, r'"HTTP/1\.1 200') > 0) as trace:
            assert Raw(server).put_chunks("/traced/chunked", [LARGE, LARGE]).status == 200
    except CannotTrace as reason:
        pytest.skip(f"no traces here: {reason}")
    assert_committed_before_the_reply(trace, assert_blob_is_durable(trace))


def test_multipart(watch: Watch, ask: Ask) -> None:
    trace = watch("POST", "/traced/parts?uploads")
    assert_committed_before_the_reply(trace)
    upload_id = ask("POST", "/traced/parts?uploads").xml.findtext("UploadId")
    trace = watch("PUT", f"/traced/parts?partNumber=1&uploadId={upload_id}", (), LARGE)
    assert_committed_before_the_reply(trace, assert_blob_is_durable(trace))
    trace = watch("PUT", f"/traced/parts?partNumber=2&uploadId={upload_id}", (("x-amz-copy-source", "/traced/large"),))
    assert_committed_before_the_reply(trace)
    assert not trace.count(RENAME), "a copied part moves no bytes"
    etag = hashlib.md5(LARGE).hexdigest()
    body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>".encode()
    trace = watch("POST", f"/traced/parts?uploadId={upload_id}", (), body)
    assert_committed_before_the_reply(trace)
    assert not trace.count(RENAME), "completing moves no bytes"


def test_copy(watch: Watch) -> None:
    trace = watch("PUT", "/traced/copy", (("x-amz-copy-source", "/traced/large"),))
    assert_committed_before_the_reply(trace)
    assert not trace.count(RENAME), "copying moves no bytes"


def test_labels(watch: Watch) -> None:
    body = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    headers = (("Content-MD5", b64encode(hashlib.md5(body).digest()).decode()),)
    assert_committed_before_the_reply(watch("PUT", "/traced/large?tagging", headers, body))
    assert_committed_before_the_reply(watch("DELETE", "/traced/large?tagging", status=204))


def test_encrypted_put(watch: Watch) -> None:
    trace = watch("PUT", "/traced/encrypted", ENCRYPTED, LARGE)
    assert_committed_before_the_reply(trace, assert_blob_is_durable(trace))
    assert not trace.count("write|pwrite64|writev", "x{16}"), "plaintext went to a file"


def test_encrypted_copy(watch: Watch) -> None:
    trace = watch("PUT", "/traced/encrypted-copy", (("x-amz-copy-source", "/traced/encrypted"), *ENCRYPTED))
    assert_committed_before_the_reply(trace)
    assert not trace.count(RENAME), "copying moves no bytes"


def test_locked_put_and_its_lock(watch: Watch) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lock = (("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", until), _md5(LARGE))
    trace = watch("PUT", "/traced-locked/k", lock, LARGE)
    assert_committed_before_the_reply(trace, assert_blob_is_durable(trace))
    body = b"<LegalHold><Status>ON</Status></LegalHold>"
    assert_committed_before_the_reply(watch("PUT", "/traced-locked/k?legal-hold", (_md5(body),), body))
    body = b"<Retention></Retention>"
    headers = (("x-amz-bypass-governance-retention", "true"), _md5(body))
    assert_committed_before_the_reply(watch("PUT", "/traced-locked/k?retention", headers, body))


def _md5(body: bytes) -> tuple[str, str]:
    return "Content-MD5", b64encode(hashlib.md5(body).digest()).decode()


@pytest.mark.parametrize("key", ["gone", "gone-large"])
def test_delete(watch: Watch, key: str) -> None:
    trace = watch("DELETE", f"/traced/{key}", status=204)
    assert_committed_before_the_reply(trace)
    assert not trace.count("unlink|unlinkat", NAME), "the sweeper unlinks, after the row is gone"


def test_delete_batch(watch: Watch) -> None:
    body = b"<Delete><Object><Key>large</Key></Object><Object><Key>small</Key></Object></Delete>"
    trace = watch("POST", "/traced?delete", (("Content-MD5", b64encode(hashlib.md5(body).digest()).decode()),), body)
    assert_committed_before_the_reply(trace)
    assert not trace.count("unlink|unlinkat", NAME)


def test_create_and_delete_bucket(watch: Watch) -> None:
    assert_committed_before_the_reply(watch("PUT", "/traced-too"))
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert_committed_before_the_reply(watch("PUT", "/traced-too?versioning", (), body))
    assert_committed_before_the_reply(watch("DELETE", "/traced-too", status=204))
