"""Clients made on demand, and files to send."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.programs import DOMAIN, PROGRAMS, Program
from tests.running import RunningServer

BLOCK = 1 << 20


@pytest.fixture
def client_of(server: RunningServer, tmp_path: Path) -> Callable[[str], Program]:
    """``client_of("rclone")``: that client, set up for the server."""

    def make(name: str) -> Program:
        home = tmp_path / f"home-{name}"
        home.mkdir(exist_ok=True)
        return PROGRAMS[name](server, home)

    return make


@pytest.fixture
def new_file(tmp_path: Path) -> Callable[..., Path]:
    """``new_file(size, seed)``: a file of random bytes, the same for the same seed."""

    def make(size: int, seed: int = 1, name: str = "") -> Path:
        path, source = tmp_path / (name or f"file-{size}-{seed}"), random.Random(seed)
        with path.open("wb") as file:
            for at in range(0, size, BLOCK):
                file.write(source.randbytes(min(BLOCK, size - at)))
        return path

    return make


@pytest.fixture(scope="module")
def named() -> Iterator[RunningServer]:
    """A server with a domain of its own: buckets are names below it."""
    with RunningServer(environ={"MAXIOFS_DOMAIN": DOMAIN}) as running:
        yield running
