"""Small disks of one's own, for those who may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A disk of that size, in memory. Skips the test for those who may not mount."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    ) if os.geteuid() == 0 else None
    if mounted is None or mounted.returncode:
        pytest.skip("no disk can be mounted here" + (f": {mounted.stderr.strip()}" if mounted else ": not root"))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def immutable(*folders: Path) -> Iterator[None]:
    """Folders in which nothing can be made, renamed or removed, also by root. Skips the test where that can't be had."""
    done = subprocess.run(["chattr", "+i", *map(str, folders)], capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            pytest.skip(f"no folder can be made immutable here: {done.stderr.strip()}")
        yield
    finally:
        subprocess.run(["chattr", "-i", *map(str, folders)], capture_output=True, check=False)
