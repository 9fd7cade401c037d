"""`maxiofs key backup`: with the backup a server whose key is lost opens its secrets again."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from scripts.cli.main import maxiofs
from shared.settings import ROOT
from tests.running import RunningServer


def backup(data_dir, file, *flags):
    command = [sys.executable, "-P", "-m", "scripts.cli", "key", "backup", str(file), "--data-dir", str(data_dir), *flags]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAXIOFS_")} | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_a_server_starts_from_the_backup(tmp_path):
    data, file = tmp_path / "data", tmp_path / "backup"
    with RunningServer(data_dir=data) as server:
        server.client().create_bucket(Bucket="one")
        done = backup(data, file)
        assert done.returncode == 0 and "MAXIOFS_MASTER_KEY_FILE" in done.stdout, done.stderr
        server.stop()
    assert file.stat().st_mode & 0o777 == 0o600
    assert bytes.fromhex(file.read_text().strip()) == (data / "master.key").read_bytes()
    (data / "master.key").unlink()
    with RunningServer(data_dir=data, environ={"MAXIOFS_MASTER_KEY_FILE": str(file)}) as server:
        assert [one["Name"] for one in server.client().list_buckets()["Buckets"]] == ["one"]
    (data / "master.key").unlink(missing_ok=True)
    with pytest.raises(RuntimeError, match="master key"), RunningServer(data_dir=data):
        pass


def test_nothing_is_overwritten_and_no_key_is_made(tmp_path):
    file = tmp_path / "backup"
    file.write_text("precious")
    (tmp_path / "data").mkdir()
    assert backup(tmp_path / "data", tmp_path / "other").returncode == 1
    assert not (tmp_path / "data" / "master.key").exists()
    (tmp_path / "data" / "master.key").write_bytes(b"k" * 32)
    done = backup(tmp_path / "data", file)
    assert (done.returncode, file.read_text()) == (1, "precious")
    assert "k" * 32 not in done.stdout + done.stderr


def test_a_lost_key_is_no_dead_end_where_root_is_given(tmp_path):
    given = {"MAXIOFS_DATA_DIR": str(tmp_path), "MAXIOFS_ROOT_ACCESS_KEY": "AKIAROOT", "MAXIOFS_ROOT_SECRET_KEY": "x" * 40}
    unset = {"MAXIOFS_DATA_DIR": str(tmp_path), "MAXIOFS_ROOT_ACCESS_KEY": "", "MAXIOFS_ROOT_SECRET_KEY": ""}

    def run(environ, *arguments):
        return CliRunner().invoke(maxiofs, [*arguments, "--json"], env=environ)

    assert run(given, "user", "list").exit_code == 0
    (tmp_path / "master.key").unlink()
    refused = run(given, "user", "list")
    assert refused.exit_code == 1 and "maxiofs root reset" in refused.stderr and "MAXIOFS_ROOT_ACCESS_KEY" in refused.stderr
    assert run(given, "root", "reset").exit_code == 1, "what the message says is needed"
    assert run(unset, "root", "reset").exit_code == 0
    assert run(given, "user", "list").exit_code == 0, "and the given pair is root's again"
