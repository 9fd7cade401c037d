"""Engines to test, and disks to break: small ones, read-only ones."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.blobs.disk import DiskEngine
from shared.blobs.engine import BlobEngine
from shared.blobs.memory import MemoryEngine

# A later engine adds its line here and passes the same suite.
ENGINES = {"disk": lambda folder: DiskEngine(folder / "data"), "memory": lambda folder: MemoryEngine()}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobEngine]:
    made = ENGINES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskEngine]:
    made = DiskEngine(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 3 MiB, really mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small filesystem needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
