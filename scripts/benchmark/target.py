"""What the rows of the table of targets have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scripts.benchmark.endpoints import Endpoint, OwnServer
from scripts.benchmark.report import progress

BUCKET = "targets"


@dataclass
class Row:
    """One target and what was reached. ``ratio`` is to what it is compared with, or to the bound; ``passed`` says whether it will do."""

    name: str
    target: str
    reached: str
    ratio: float
    passed: bool
    detail: str = ""
    load: float = 0.0       # average of the machine before the group began: above 1 something else was running


@dataclass
class Bench:
    """How to measure, and where."""

    folder: Path
    seconds: float
    rounds: int
    processes: int
    quick: bool

    def scaled(self, real: int, quick: int) -> int:
        """A size or a count: the real one, or a small one to try the tool."""
        return quick if self.quick else real

    @contextmanager
    def server(self, name: str) -> Iterator[Endpoint]:
        """Our own server with a data folder that stays until the end of the run, and a bucket."""
        with OwnServer(self.folder / name, self.processes) as endpoint:
            endpoint.create_bucket(BUCKET)
            yield endpoint

    def file(self, size_bytes: int) -> Path:
        """A file of random bytes, made once."""
        path = self.folder / f"file-{size_bytes}"
        if not path.exists():
            progress(f"making a file of {size_bytes >> 20} MiB")
            block = os.urandom(min(size_bytes, 1 << 20))
            with path.open("wb") as file:
                for _ in range(size_bytes // len(block)):
                    file.write(block)
        return path


def at_least(name: str, wanted: float, ratios: list[float], reached: str, against: str) -> Row:
    """A row whose median ratio must be at least ``wanted``."""
    ratio = median(ratios)
    spread = ", ".join(f"{one:.2f}" for one in ratios)
    return Row(name, f"≥ {wanted:.2f} × {against}", f"{ratio:.2f} ({reached})", ratio / wanted, ratio >= wanted, f"rounds: {spread}")


def at_most(name: str, wanted: float, reached: float, unit: str, detail: str = "") -> Row:
    """A row whose figure must be at most ``wanted``."""
    ratio = wanted / reached if reached else float("inf")
    return Row(name, f"≤ {wanted:g} {unit}", f"{reached:.3g} {unit}", ratio, reached <= wanted, detail)
