"""kill -9 of any process at any moment, under load: nothing acknowledged is lost, nothing deleted is back, nothing is left over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.meta import database
from shared.meta.identity_models import Tenant
from tests.crash.journal import Plain, content_of
from tests.crash.load import Client, label_of
from tests.crash.protected import ENCRYPTED, lock_of, without_etag
from tests.crash.torture import ENVIRON, PROCESSES, Lost, Torture, staged_files, torture
from tests.engines import postgres_server
from tests.running import ROOT, RunningServer

pytestmark = pytest.mark.timeout(600)


@contextmanager
def an_empty_database(kind: str) -> Iterator[str]:
    """The URL of one: "" is SQLite in the data folder."""
    if kind == "sqlite":
        yield ""
        return
    try:
        with postgres_server() as postgres:
            yield postgres.fresh_database()
    except LookupError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(("kind", "rounds"), [
    ("sqlite", 5), ("postgresql", 3),
    pytest.param("sqlite", 20, marks=pytest.mark.slow), pytest.param("postgresql", 10, marks=pytest.mark.slow),
])
def test_nothing_acknowledged_is_lost(kind: str, rounds: int) -> None:
    seed = int.from_bytes(os.urandom(3))
    with an_empty_database(kind) as url:
        lines = [f"seed {seed}"]
        try:
            total = torture(rounds, seed, url, say=lines.append)
        except AssertionError as error:
            raise Lost("\n".join([*lines, str(error)])) from error
    assert total.kills >= rounds and total.acknowledged > 20 * rounds, f"too little happened: {total}"


def test_the_comparison_notices_what_is_lost() -> None:
    """The other tests here are worth what this one says."""
    with RunningServer(processes=PROCESSES, environ=ENVIRON) as server:
        running = Torture(server, 1)
        running.prepare()
        running._load_and_kill("child")
        running._restart()
        running._repeat_completes()
        running._compare()
        s3 = server.client()
        client = running.clients[0]
        key, journal = next(iter(client.plain.items()))
        held, journal.possible = journal.possible, {None}
        s3.put_object(Bucket="crash-plain", Key=key, Body=b"something else")
        with pytest.raises(Lost, match=key):
            running._compare()
        s3.delete_object(Bucket="crash-plain", Key=key)
        running._compare()
        running._sweep()
        assert held is not None
        s3.put_object_tagging(Bucket="crash-labelled", Key=client.label_key, Tagging={"TagSet": [{"Key": "label", "Value": "another"}]})
        with pytest.raises(Lost, match="has the tag another"):
            running._compare()
        client.label.possible = {label_of("another")}
        with running._maintenance(), database.session(), database.transaction():
            Tenant.update(bytes=Tenant.bytes + 1).execute()
        with pytest.raises(Lost, match="crash: off by -1 bytes, 0 objects"):
            running._sweep()
        with running._maintenance(), database.session(), database.transaction():
            Tenant.update(bytes=Tenant.bytes - 1).execute()
        versioned_key = next(iter(client.versioned))
        version = s3.put_object(Bucket="crash-versioned", Key=versioned_key, Body=b"nobody's")["VersionId"]
        with pytest.raises(Lost, match="nobody wrote"):
            running._compare()
        s3.delete_object(Bucket="crash-versioned", Key=versioned_key, VersionId=version)
        running._compare()
        _notices_what_is_unprotected(running, client)


def _notices_what_is_unprotected(running: Torture, client: Client) -> None:
    s3, protected = running.server.client(), client.protected
    key = next(key for key in protected.encrypted if key.startswith("default/"))
    other = content_of(b"other bytes than were acknowledged")
    s3.put_object(Bucket=ENCRYPTED, Key=key, Body=b"other bytes than were acknowledged", Tagging="md5=another")
    with pytest.raises(Lost, match=key):
        running._compare()
    protected.encrypted[key].acknowledged(without_etag(other))
    with pytest.raises(Lost, match="its tag is another"):
        running._compare()
    s3.put_object_tagging(Bucket=ENCRYPTED, Key=key, Tagging={"TagSet": [{"Key": "md5", "Value": other.md5}]})
    running._compare()
    protected.put_locked()
    running._compare()
    key, version_id = next((key, id) for key, journal in protected.versions.items() for id in journal.versions)
    held = protected.locks[version_id]
    protected.locks[version_id] = Plain({lock_of("GOVERNANCE", "2999-01-01T00:00:00Z", "OFF")})
    with pytest.raises(Lost, match="has the lock"):
        running._compare()
    protected.locks[version_id] = held
    running._compare()


def test_the_command_line_sweeps_and_checks_after_a_kill() -> None:
    with RunningServer(processes=PROCESSES, environ=ENVIRON) as server:
        running = Torture(server, 2)
        running.prepare()
        running._load_and_kill("all")
        running._restart()
        running._repeat_completes()
        environ = dict(os.environ, PYTHONPATH=str(ROOT), MAXIOFS_DATA_DIR=str(server.data_dir))
        command = [sys.executable, "-m", "scripts.cli"]
        subprocess.run([*command, "run", "sweep", "--wait", "--input", '{"delay_s": 0}'], env=environ, check=True, timeout=60)
        checked = subprocess.run([*command, "check", "--deep", "--json"], env=environ, check=True, timeout=60, capture_output=True)
        report = json.loads(checked.stdout)
        assert {found["kind"] for found in report["findings"]} <= {"customers"}      # only they can read what is under their keys
        assert report["ok"] and report["objects"] > 0
        assert staged_files(server.data_dir) == []
        running._compare()
