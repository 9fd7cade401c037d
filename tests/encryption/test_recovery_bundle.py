"""The recovery bundle: with it, its passphrase and the data, nothing that was encrypted is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import ROOT
from tests.admin.admin_client import Api
from tests.running import RunningServer

PASSPHRASE = "correct horse battery staple"
BODY = b"a secret of some length " * 2000


def key(data: Path, command: str, file: Path, *flags: str, passphrase: str = PASSPHRASE) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAXIOFS_")} | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-P", "-m", "scripts.cli", "key", command, str(file), "--data-dir", str(data), "--json", *flags]
    return subprocess.run(line, env=environ, input=passphrase + "\n", capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder with encrypted objects, and its bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    data, file = folder / "data", folder / "bundle.json"
    with RunningServer(data_dir=data) as server:
        api = Api(server).sign_in(server.access_key, server.secret_key)
        api.ok.post("/encryption-keys", {"name": "ledger"})
        s3 = server.client()
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="s3", Body=BODY, ServerSideEncryption="AES256")
        s3.put_object(Bucket="bucket", Key="kms", Body=BODY, ServerSideEncryption="aws:kms", SSEKMSKeyId="ledger")
        done = key(data, "bundle", file)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) | {"file": ""} == {"file": "", "keys": ["ledger", "sse-s3"], "versions": 2, "unopened": []}
    return data, file


def read_all(data: Path, **environ: str) -> list[bytes]:
    with RunningServer(data_dir=data, environ=environ) as server:
        return [server.client().get_object(Bucket="bucket", Key=name)["Body"].read() for name in ("s3", "kms")]


def test_a_lost_master_key(made):
    data, file = made
    lost = (data / "master.key").read_bytes()
    assert lost.hex() not in file.read_text() and file.stat().st_mode & 0o777 == 0o600
    (data / "master.key").unlink()
    for wrong in ("", "another passphrase"):
        refused = key(data, "restore", file, passphrase=wrong)
        assert refused.returncode == 1 and "passphrase" in refused.stderr and not (data / "master.key").exists()
    done = key(data, "restore", file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"master_key_put_back": True, "restored": 0, "resealed": 0, "unopened": []}
    assert (data / "master.key").read_bytes() == lost and (data / "master.key").stat().st_mode & 0o777 == 0o600
    assert read_all(data) == [BODY, BODY]


def test_a_fresh_machine_with_a_copy_of_the_data(made, tmp_path):
    """Without the master key nothing starts, nor is anything made that would be in the way of the bundle."""
    data, file = made
    copy = tmp_path / "copy"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("master.key", "run"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAXIOFS_")} | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-P", "-m", "scripts.cli", "up", "--data-dir", str(copy), "--listen", "127.0.0.1:0"]
    line += ["--console-listen", "127.0.0.1:0"]
    refused = subprocess.run(line, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode and "master key is missing" in refused.stderr and "maxiofs key restore" in refused.stderr
    assert not (copy / "master.key").exists()
    done = key(copy, "restore", file)
    assert json.loads(done.stdout)["master_key_put_back"] is True, done.stderr
    assert read_all(copy) == [BODY, BODY]


def test_keys_that_are_gone_from_the_database(made):
    import sqlite3

    data, file = made
    with sqlite3.connect(data / "maxiofs.db") as db:
        db.execute("DELETE FROM encryption_key")
        db.execute("DELETE FROM encryption_key_version")
    with RunningServer(data_dir=data) as server, pytest.raises(Exception, match="NotFoundException"):
        server.client().get_object(Bucket="bucket", Key="kms")
    assert json.loads(key(data, "restore", file).stdout)["restored"] == 2
    assert read_all(data) == [BODY, BODY]


def test_another_master_key_meanwhile(made):
    data, file = made
    before = (data / "master.key").read_bytes()
    (data / "master.key").write_bytes(b"n" * 32)
    refused = key(data, "restore", file)
    assert refused.returncode == 1 and "--keep-master-key" in refused.stderr
    assert json.loads(key(data, "restore", file, "--keep-master-key").stdout) == {
        "master_key_put_back": False, "restored": 0, "resealed": 2, "unopened": [],
    }
    assert key(data, "restore", file, "--keep-master-key").returncode == 0      # once more changes nothing
    (data / "master.key").write_bytes(before)
    assert json.loads(key(data, "restore", file).stdout)["resealed"] == 2
    assert read_all(data) == [BODY, BODY]


def test_a_bundle_from_before_a_rotation_says_what_it_does_not_bring_back(made, tmp_path):
    data, file = made
    copy = tmp_path / "copy"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("run"))
    with RunningServer(data_dir=copy) as server:
        Api(server).sign_in(server.access_key, server.secret_key).ok.post("/encryption-keys/ledger/rotate")
    (copy / "master.key").write_bytes(b"n" * 32)
    told = json.loads(key(copy, "restore", file, "--keep-master-key").stdout)
    assert (told["resealed"], told["unopened"]) == (2, ["ledger version 2"])


def test_what_was_given_up_does_not_keep_new_keys_out_of_a_bundle(made, tmp_path):
    """After `maxiofs root reset` versions from before stay in the ring for good, and nothing opens them."""
    data, _ = made
    copy, file = tmp_path / "copy", tmp_path / "new.json"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("run", "master.key"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAXIOFS_")} | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-P", "-m", "scripts.cli", "root", "reset", "--data-dir", str(copy), "--json"]
    subprocess.run(line, env=environ, check=True, capture_output=True, input="y\n", text=True)
    with RunningServer(data_dir=copy) as server:
        Api(server).sign_in(server.access_key, server.secret_key).ok.post("/encryption-keys/sse-s3/rotate")
        server.client().put_object(Bucket="bucket", Key="new", Body=BODY, ServerSideEncryption="AES256")
    told = json.loads(key(copy, "bundle", file).stdout)
    assert (told["keys"], told["versions"], told["unopened"]) == (["sse-s3"], 1, ["sse-s3 version 1", "ledger version 1"])
    lost = (copy / "master.key").read_bytes()
    (copy / "master.key").unlink()
    assert json.loads(key(copy, "restore", file).stdout)["master_key_put_back"] and (copy / "master.key").read_bytes() == lost


def test_a_bundle_of_another_installation(made, tmp_path):
    _, file = made
    with RunningServer(data_dir=tmp_path / "other"):
        pass
    refused = key(tmp_path / "other", "restore", file, "--keep-master-key")
    assert refused.returncode == 1 and "another installation" in refused.stderr


def test_what_is_no_bundle(made, tmp_path):
    data, file = made
    document = json.loads(file.read_text())
    for number, text in enumerate((
        "", "[]", "{}", *(json.dumps(document | one) for one in ({"n": 1 << 40}, {"r": 1 << 20}, {"created_ms": 1})),
        json.dumps(document | {"ciphertext": document["ciphertext"][:-8] + "AAAAAAA="}), json.dumps(document | {"salt": 5}),
    )):
        wrong = tmp_path / f"wrong{number}"
        wrong.write_text(text)
        refused = key(data, "restore", wrong)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr, text


def test_a_short_passphrase_and_a_file_that_is_there(made, tmp_path):
    data, file = made
    assert "12 characters" in key(data, "bundle", tmp_path / "short", passphrase="too short").stderr
    assert not (tmp_path / "short").exists()
    assert "nothing is overwritten" in key(data, "bundle", file).stderr
