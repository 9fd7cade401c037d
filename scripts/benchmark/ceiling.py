"""What this machine could do at most: bare servers, bare transactions, bare hashing."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from statistics import median

from rich.table import Table

from scripts.benchmark import floor, load, report, wrk
from scripts.benchmark.bare import BareServer
from scripts.benchmark.endpoints import Endpoint, costed, scratch_folder
from scripts.benchmark.sample import Sample

FILE_BYTES = 64 << 20
LARGE_CONNECTIONS = 4


@cache
def asked() -> list[str]:
    """Targets as long as those that a real server is asked for, since reading a request is part of the work."""
    nobody = Endpoint("nobody", "http://127.0.0.1:1", "AKIABENCHMARK0000000", "no-secret")
    return nobody.presigned("GET", "bench", [f"read/4096/{number:05d}" for number in range(500)])


def small(server: BareServer, seconds: float) -> Sample:
    """4 KiB replies to presigned GETs."""
    return costed(server.pids, lambda: wrk.drive(server.url, [f"GET {target}" for target in asked()], seconds, size_bytes=4096))


def heads(server: BareServer, seconds: float) -> Sample:
    """Replies to presigned HEADs."""
    return costed(server.pids, lambda: load.drive([load.Worker("heads", url=server.url, targets=asked(), connections=16, seconds=seconds)]))


def large(server: BareServer, seconds: float, size_bytes: int = FILE_BYTES) -> Sample:
    """A file, to four connections."""
    requests = [f"GET {target}" for target in asked()[:8]]
    return costed(server.pids, lambda: wrk.drive(server.url, requests, seconds, size_bytes=size_bytes, connections=LARGE_CONNECTIONS))


def random_file(folder: Path, size_bytes: int) -> Path:
    """A file of random bytes; made once, it is in the page cache from then on."""
    path = folder / f"file-{size_bytes}"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(max(1, size_bytes >> 20)):
            file.write(block[: min(size_bytes, 1 << 20)])
    return path


Row = tuple[str, float, str, Sample | None]     # what, figure, unit, more


def measure(seconds: float, rounds: int, processes: int, progress: Callable[[str], None]) -> list[Row]:
    """Every ceiling, in turn, ``rounds`` times; medians."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder("ceiling-"))
        file = random_file(folder, FILE_BYTES)
        servers = {kind: stack.enter_context(BareServer(kind, processes, file if "file" in kind else None))
                   for kind in ("app", "wsgi", "file", "waitress-file")}
        transaction = floor.SmallPut(folder / "sqlite")
        stack.callback(transaction.close)
        measures: dict[tuple[str, str], Callable[[], Sample | float]] = {
            ("GET 4 KiB: bare WSGI application on our host", "ops/s"): lambda: small(servers["wsgi"], seconds),
            ("HEAD: bare WSGI application on our host", "ops/s"): lambda: heads(servers["wsgi"], seconds),
            ("GET 4 KiB: bare application without WSGI on our host", "ops/s"): lambda: small(servers["app"], seconds),
            ("GET 64 MiB: bare file on our host", "MB/s"): lambda: large(servers["file"], seconds),
            ("GET 64 MiB: bare file on waitress", "MB/s"): lambda: large(servers["waitress-file"], seconds),
            ("SQLite: transactions of a 4 KiB PUT, one writer", "tx/s"): lambda: transaction.per_s(seconds),
            ("disk: write 4 KiB and fdatasync", "ms"): lambda: floor.fdatasync_ms(folder),
            ("disk: write 64 MiB and fsync", "MB/s"): lambda: floor.disk_mb_s(folder),
            ("MD5, one core", "MB/s"): lambda: floor.md5_mb_s(min(seconds, 2)),
        }
        taken: dict[tuple[str, str], list[Sample | float]] = {}
        for turn in range(rounds + 1):      # the first warms up: it does not count
            for name, call in measures.items():
                progress(f"{'warming up' if not turn else f'round {turn} of {rounds}'}: {name[0]}")
                if (value := call()) and turn:
                    taken.setdefault(name, []).append(value)
    return [_row(name, unit, values) for (name, unit), values in taken.items()]


def _row(name: str, unit: str, values: list[Sample | float]) -> Row:
    samples = [value for value in values if isinstance(value, Sample)]
    figures = [value for value in values if isinstance(value, float)]
    figures += [sample.mb_s if unit == "MB/s" else sample.per_s for sample in samples]
    return name, median(figures), unit, samples[-1] if samples else None


def show(rows: list[Row], json_path: Path | None, plot_path: Path | None) -> None:
    """Print them, and write what was asked for."""
    table = Table(title="Ceilings of this machine, medians")
    table.add_column("what")
    for title in ("figure", "", "p50 ms", "p99 ms", "server CPU µs"):
        table.add_column(title, justify="right")
    for name, figure, unit, sample in rows:
        more = [report.number(value or 0) for value in (sample.p50_ms, sample.p99_ms, sample.cpu_us)] if sample else ["", "", ""]
        table.add_row(name, report.number(figure), unit, *more)
    report.console.print(table)
    if json_path:
        found = [{"what": name, "figure": figure, "unit": unit} for name, figure, unit, _ in rows]
        report.write_json(json_path, {"machine": report.machine(), "ceilings": found})
    if plot_path:
        figures = [[figure for _, figure, _, _ in rows]]
        report.bars(plot_path, [f"{name}, {unit}" for name, _, unit, _ in rows], ["this machine"], [("ceilings", figures)])
