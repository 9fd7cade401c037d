"""The AWS SDK for JavaScript: what ``node/sdk.mjs`` does with it, with bucket names in the path and in the host."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.programs import DOMAIN
from tests.running import RunningServer

NODE = Path(__file__).parent / "node"
OLDEST = 20     # what the SDK asks for
SCENARIOS = re.findall(r"^  async (\w+)\(\) \{$", (NODE / "sdk.mjs").read_text(), re.M)


@pytest.fixture(scope="module")
def node() -> str:
    """Node, new enough, with what the lock file lists."""
    found = shutil.which("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout if found else ""
    if not found or int(version.strip().lstrip("v").split(".")[0]) < OLDEST:
        pytest.skip(f"needs Node {OLDEST} or newer (Debian packages nodejs and npm); here is {version.strip() or 'none'}")
    if not (NODE / "node_modules").is_dir():
        pytest.skip(f"./scripts/test installs what {NODE.name}/package-lock.json lists")
    return found


@pytest.mark.parametrize("style", ["path", "host"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(named: RunningServer, node: str, scenario: str, style: str) -> None:
    settings = {
        "url": f"http://{DOMAIN}:{named.address[1]}", "region": named.region, "host": DOMAIN, "bucket": f"js-{scenario}-{style}",
        "access_key": named.access_key, "secret_key": named.secret_key, "path_style": style == "path",
    }  # fmt: skip
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "NODE_", "npm_"))}
    done = subprocess.run(
        [node, "sdk.mjs", scenario],
        cwd=NODE, input=json.dumps(settings), env=environ, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "passed"), done.stderr[-4000:]


def test_all_scenarios_were_found() -> None:
    assert len(SCENARIOS) == 7
