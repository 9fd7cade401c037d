"""`maxiofs encryption-key`: keys are made, listed, rotated and switched, and never shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.settings import ROOT
from tests.running import RunningServer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with RunningServer(data_dir=tmp_path_factory.mktemp("keys") / "data") as server:
        yield server


def run(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAXIOFS_")} | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-P", "-m", "scripts.cli", "encryption-key", *words, "--data-dir", str(data)]
    return subprocess.run(line, env=environ, capture_output=True, text=True, check=False)


def test_from_made_to_rotated(running):
    data = running.data_dir
    made = json.loads(run(data, "create", "ledger", "--description", "accounting", "--json").stdout)
    assert made.keys() == {"name", "tenant_id", "description", "enabled", "version", "created_ms"}
    assert run(data, "create", "ledger").returncode and run(data, "show", "nothing").returncode
    s3, kms = running.client(), {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ledger"}
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"x" * 20_000, **kms)
    assert run(data, "disable", "ledger").returncode == 0
    with pytest.raises(Exception, match=r"KMS\.DisabledException"):
        s3.get_object(Bucket="bucket", Key="k")
    assert "switched off" in run(data, "rotate", "ledger").stderr
    assert run(data, "enable", "ledger").returncode == 0
    rotated = run(data, "rotate", "ledger", "--wait", "--json")
    assert rotated.returncode == 0, rotated.stderr
    assert json.loads(rotated.stdout)["state"] == "done"
    [listed] = json.loads(run(data, "list", "--json").stdout)["items"]
    assert (listed["name"], listed["version"], listed["enabled"]) == ("ledger", 2, True)
    assert "ledger" in run(data, "list").stdout
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"x" * 20_000
