"""A killed test or benchmark leaves none of the processes that it started."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.running import ROOT, RunningServer

STARTERS = {
    "tests": "from tests.running import RunningServer; server = RunningServer(data_dir=folder, processes=1)",
    "benchmark": "from scripts.benchmark.endpoints import OwnServer; server = OwnServer(folder, 1)",
}
CODE = (
    "import pathlib, sys; folder = pathlib.Path(sys.argv[1]); {starter}; "
    "server.__enter__(); print('ready', flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize("name", STARTERS)
def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path, name: str):
    folder = tmp_path / "data"
    seen = RunningServer(data_dir=folder)       # never started: it only tells who works on the folder
    command = [sys.executable, "-c", CODE.format(starter=STARTERS[name]), str(folder)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    starter = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert starter.stdout.readline() == "ready\n"
        assert len(seen.processes()) > 2       # the starter, up, and its children
        starter.kill()
        starter.communicate()
        deadline = time.monotonic() + 20
        while left := seen.processes():
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.05)
    finally:
        starter.kill()
        starter.communicate()
        seen.kill()
