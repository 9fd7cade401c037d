"""What Prometheus reads at /metrics: counts and durations of every process, summed, beside the state of the store."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import struct
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from shared.settings import version

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric  # imported late: 60 ms and memory that most processes never need

    Cell = memoryview[float] | array[float]                 # one float64, at index 0

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, float("inf"))

_FILE_BYTES = 4 << 20   # sparse; a cell takes about 150 bytes of it
_CLAIM_BYTES = 64 << 10
_ENTRIES_AT = 8


class Usage(NamedTuple):
    """How much one bucket holds."""

    bucket: str
    objects: int
    size_bytes: int


def folder(data_dir: Path) -> Path:
    """Where the processes of one server keep their counts."""
    return data_dir / "run" / "metrics"


_slot = ""


def claim_slot(slot: str) -> None:
    """Say which place in the server this process has; before ``of_this_process``. Two live processes never share one."""
    global _slot
    _slot = slot


def of_this_process(data_dir: Path) -> Metrics:
    """New counts under the slot that was claimed."""
    return Metrics(folder(data_dir), _slot)


def wipe(directory: Path) -> None:
    """Forget every count of an earlier run. Only the supervisor, before it starts a process."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)


def forget(directory: Path, slot: str) -> None:
    """Drop what a dead process said about itself (requests in flight); its counts stay and its successor continues them."""
    for path in directory.glob(f"gauge_live*_{slot}.db"):
        path.unlink(missing_ok=True)


class CellFile:
    """A memory-mapped file of named float64 cells, in the form that prometheus-client's MultiProcessCollector reads.

    4 bytes: bytes used; 4 bytes padding; then entries of a 4-byte length, a JSON key padded to 8 bytes, the value, and a
    timestamp that is always 0. One process writes a file; any number reads it.
    https://github.com/prometheus/client_python/blob/master/prometheus_client/mmap_dict.py
    """

    def __init__(self, path: Path | None) -> None:
        self._descriptor = -1
        self._map = self._open(path) if path else mmap.mmap(-1, _FILE_BYTES)
        self._used = max(_ENTRIES_AT, struct.unpack_from("i", self._map)[0])
        self._claimed = self._used
        self._cells = dict(self._entries())

    def _open(self, path: Path) -> mmap.mmap:
        try:
            if not path.exists():
                fresh = path.with_suffix(".new")        # a reader must not meet an empty file
                fresh.write_bytes(bytes(_ENTRIES_AT))
                os.truncate(fresh, _FILE_BYTES)
                fresh.rename(path)
            self._descriptor = os.open(path, os.O_RDWR)
            return mmap.mmap(self._descriptor, 0)
        except OSError:         # a full disk is no reason not to start
            return mmap.mmap(-1, _FILE_BYTES)

    def _claim(self, end: int) -> bool:
        """Have the disk set aside what lies before ``end``: to touch a page it has no room for would kill the process."""
        if end > len(self._map):
            return False
        if end > self._claimed and self._descriptor >= 0 and hasattr(os, "posix_fallocate"):
            try:
                claimed = min(end + _CLAIM_BYTES, len(self._map))
                os.posix_fallocate(self._descriptor, 0, claimed)
            except OSError:
                return False
            self._claimed = claimed
        return True

    def cell(self, metric: str, sample: str, labels: dict[str, str], about: str) -> Cell:
        """The cell of this name, new (0.0) or as an earlier process of the same slot left it."""
        key = json.dumps([metric, sample, labels, about], sort_keys=True).encode()
        if key not in self._cells:
            padded = key + b" " * (8 - (len(key) + 4) % 8)
            entry = struct.pack("i", len(key)) + padded + bytes(16)
            end = self._used + len(entry)
            if not self._claim(end):
                return array("d", [0.0])        # counted, but seen by nobody: better than a failing request
            self._map[self._used:end] = entry
            self._cells[key] = self._view(end - 16)
            self._used = end
            self._map[:4] = struct.pack("i", end)       # last, so that a reader never sees half an entry
        return self._cells[key]

    def _view(self, position: int) -> memoryview[float]:
        return memoryview(self._map)[position:position + 8].cast("d")

    def _entries(self) -> Iterator[tuple[bytes, Cell]]:
        position = _ENTRIES_AT
        while position < self._used:
            length = struct.unpack_from("i", self._map, position)[0]
            key = self._map[position + 4:position + 4 + length]
            position += 4 + length + 8 - (length + 4) % 8
            yield key, self._view(position)
            position += 16


class _Histogram:
    """Cells of one duration histogram with one set of labels."""

    def __init__(self, file: CellFile, name: str, labels: dict[str, str], about: str) -> None:
        bounds = ("+Inf" if bound == float("inf") else str(bound) for bound in BOUNDS_S)
        self.buckets = [file.cell(name, f"{name}_bucket", {**labels, "le": bound}, about) for bound in bounds]
        self.sum = file.cell(name, f"{name}_sum", labels, about)

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS_S, seconds)][0] += 1
        self.sum[0] += seconds


class _Operation:
    """Cells of one S3 operation, so that a request costs no look-up by label."""

    __slots__ = ("by_status", "durations", "errors", "received", "sent")

    def __init__(self, metrics: Metrics, name: str) -> None:
        label = {"operation": name}
        self.by_status = [metrics.counter("s3_operations", {**label, "status": f"{hundreds}xx"}, "S3 requests answered")
                          for hundreds in range(1, 6)]
        self.received = metrics.counter("s3_bytes_received", label, "Bytes of request bodies")
        self.sent = metrics.counter("s3_bytes_sent", label, "Bytes of response bodies")
        self.durations = metrics.histogram("s3_operation_duration_seconds", label, "Seconds from first byte to reply")
        self.errors: dict[str, Cell] = {}


class Metrics:
    """The counts of one process. ``slot`` names its place (``s3-0``), which a restarted process takes over.

    Without a slot (a command of the command line) it counts for itself alone.
    """

    def __init__(self, directory: Path, slot: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        self._lock = threading.Lock()
        forget(directory, slot)
        self._counters, self._histograms, self._gauges = (
            CellFile(directory / f"{kind}_{slot}.db" if slot else None) for kind in ("counter", "histogram", "gauge_livesum"))
        name = "maxiofs_s3_requests_in_flight"
        self._in_flight = self._gauges.cell(name, name, {}, "S3 requests being answered")
        self._operations: dict[str, _Operation] = {}
        self._tasks: dict[tuple[str, str], tuple[Cell, _Histogram]] = {}
        self.usage: Callable[[], Iterable[Usage]] = lambda: ()      # set by the application: what each bucket holds; few rows
        self.disk: Path = directory                                 # any path on the disk of the data

    def started(self) -> None:
        """A request is being answered; ``finished`` must follow exactly once."""
        with self._lock:
            self._in_flight[0] += 1

    def put_off(self) -> None:
        """Take a ``started`` back: the request will be started again."""
        with self._lock:
            self._in_flight[0] -= 1

    def finished(self, operation: str, status: int, code: str | None = None, *,
                 bytes_in: int = 0, bytes_out: int = 0, duration_s: float) -> None:
        """Count one answered request; ``code`` is the S3 error code. ``operation`` comes from a known set, never from the wire.

        About 1.1 µs, since cells are written in place.
        """
        with self._lock:
            of = self._operations.get(operation) or self._open(operation)
            self._in_flight[0] -= 1
            of.by_status[min(max(status // 100, 1), 5) - 1][0] += 1
            of.received[0] += bytes_in
            of.sent[0] += bytes_out
            of.durations.observe(duration_s)
            if code is not None:
                if code not in of.errors:
                    of.errors[code] = self.counter("s3_errors", {"operation": operation, "error_type": code}, "S3 errors sent")
                of.errors[code][0] += 1

    def task(self, task_type: str, status: str, duration_s: float) -> None:
        """Count one step of a workflow that ended with this status (a word, not a message)."""
        with self._lock:
            if (task_type, status) not in self._tasks:
                counter = self.counter("background_tasks", {"task_type": task_type, "status": status}, "Workflow steps ended")
                durations = self.histogram("background_task_duration_seconds", {"task_type": task_type}, "Seconds of a step")
                self._tasks[task_type, status] = counter, durations
            counter, durations = self._tasks[task_type, status]
            counter[0] += 1
            durations.observe(duration_s)

    def counter(self, name: str, labels: dict[str, str], about: str) -> Cell:
        """A cell that only grows, shown as ``maxiofs_<name>_total``. Keep label values few and known."""
        return self._counters.cell(f"maxiofs_{name}", f"maxiofs_{name}_total", labels, about)

    def histogram(self, name: str, labels: dict[str, str], about: str) -> _Histogram:
        """A histogram of seconds, shown as ``maxiofs_<name>``."""
        return _Histogram(self._histograms, f"maxiofs_{name}", labels, about)

    def render(self) -> bytes:
        """The page: all processes summed, then the buckets and the disk. Media type: CONTENT_TYPE."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry(auto_describe=False)
        MultiProcessCollector(registry, path=str(self.directory))     # type: ignore[no-untyped-call]
        registry.register(_Store(self))
        return generate_latest(registry)

    def _open(self, operation: str) -> _Operation:
        self._operations[operation] = _Operation(self, operation)
        return self._operations[operation]


class _Store:
    """Gauges that are read when asked for: buckets and disk."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily

        objects = GaugeMetricFamily("maxiofs_bucket_objects_total", "Objects in the bucket", labels=["bucket"])
        size = GaugeMetricFamily("maxiofs_bucket_bytes_total", "Bytes in the bucket", labels=["bucket"])
        for row in self._metrics.usage():
            objects.add_metric([row.bucket], row.objects)
            size.add_metric([row.bucket], row.size_bytes)
        disk = shutil.disk_usage(self._metrics.disk)
        build = GaugeMetricFamily("maxiofs_build_info", "Always 1; the labels tell", labels=["version"])
        build.add_metric([version()], 1)
        yield from (
            objects, size, build,
            GaugeMetricFamily("maxiofs_system_disk_total_bytes", "Size of the disk that holds the data", disk.total),
            GaugeMetricFamily("maxiofs_system_disk_used_bytes", "Used bytes of that disk", disk.used),
            GaugeMetricFamily("maxiofs_system_disk_free_bytes", "Bytes of that disk that the server may still use", disk.free),
            GaugeMetricFamily("maxiofs_system_disk_usage_percent", "Used part of that disk", 100 * disk.used / (disk.total or 1)),
        )
