"""Operations times sizes, over several servers in turn: A B A B …"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import obstore

from scripts.benchmark import load, wrk
from scripts.benchmark.endpoints import Endpoint, costed
from scripts.benchmark.sample import Sample, middle

OPERATIONS = ("put", "get", "head", "delete", "list", "multipart", "copy", "mixed")
WRK_BYTES = 64 << 10            # objects up to this size are asked for by wrk, larger ones by obstore
PREPARED_BYTES = 64 << 20       # of objects to read, of each size, for each second of a slice
MOST_PREPARED_BYTES = 256 << 20
MOST_KEYS = 2000
LISTED_KEYS = 10_000
MULTIPART_BYTES = 16 << 20      # smaller objects are no multipart uploads
PROCESSES, THREADS = 2, 2       # of obstore

Report = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    operation: str
    size: int

    @property
    def name(self) -> str:
        """As people say it."""
        return "list 1,000 keys" if self.operation == "list" else f"{self.operation} {of_size(self.size)}"


def of_size(size: int) -> str:
    """64 KiB, 1 MiB, …"""
    for unit, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << unit and size % (1 << unit) == 0:
            return f"{size >> unit} {name}"
    return f"{size} B"


def cases(operations: list[str], sizes: list[int]) -> list[Case]:
    """What to measure: sizes matter to put, get, mixed and multipart; one is enough for the others."""
    found = []
    for operation in operations:
        if operation in ("put", "get", "mixed"):
            found += [Case(operation, size) for size in sizes]
        elif operation == "multipart":
            found += [Case(operation, size) for size in sizes if size >= MULTIPART_BYTES]
        elif operation == "copy":
            found.append(Case(operation, max(sizes)))
        else:
            found.append(Case(operation, min(sizes)))
    return found


@dataclass
class Driver:
    """One server with what the cases need on it."""

    endpoint: Endpoint
    bucket: str
    fresh: int = 0
    keys: dict[int, list[str]] = field(default_factory=dict)
    listed: bool = False

    def prepare(self, wanted: list[Case], seconds: float) -> None:
        """Create the bucket and every object that will be read. What is written first touches fresh memory: it also warms up."""
        self.endpoint.create_bucket(self.bucket)
        for size in sorted({case.size for case in wanted if case.operation in ("get", "head", "copy", "mixed")}):
            prepared_bytes = min(MOST_PREPARED_BYTES, int(PREPARED_BYTES * seconds))
            count = max(2, min(MOST_KEYS, prepared_bytes // size))
            self.keys[size] = [f"read/{size}/{number:05d}" for number in range(count)]
            self._write(self.keys[size], size)
        if any(case.operation == "list" for case in wanted):
            self._write([f"listed/{number:05d}" for number in range(LISTED_KEYS)], 1)

    def _write(self, keys: list[str], size: int) -> None:
        payload = os.urandom(size)
        if size <= WRK_BYTES:
            wrk.drive(self.endpoint.url, self._signed("PUT", keys), 120, payload=payload, once=True)
        store = self.endpoint.store(self.bucket)
        there = {item["path"] for page in obstore.list(store, keys[0].rpartition("/")[0]) for item in page}
        for key in keys:        # wrk stops with a few requests under way
            if key not in there:
                obstore.put(store, key, payload, use_multipart=False)

    def _signed(self, method: str, keys: list[str]) -> list[str]:
        return [f"{method} {target}" for target in self.endpoint.presigned(method, self.bucket, keys)]

    def _new_keys(self, count: int) -> list[str]:
        self.fresh += count
        return [f"new/{number:09d}" for number in range(self.fresh - count, self.fresh)]

    def slice(self, case: Case, seconds: float) -> Sample:
        """One measurement."""
        if case.operation == "delete":
            doomed = self._new_keys(int(2500 * seconds))
            wrk.drive(self.endpoint.url, self._signed("PUT", doomed), seconds * 4, payload=os.urandom(case.size), once=True)
            requests = self._signed("DELETE", doomed)
            return costed(self.endpoint.pids, lambda: wrk.drive(self.endpoint.url, requests, seconds, once=True))
        action = {"head": self._head, "list": self._list}.get(case.operation)
        action = action or (self._small if case.size <= WRK_BYTES and case.operation != "copy" else self._large)
        return costed(self.endpoint.pids, lambda: action(case, seconds))

    def _small(self, case: Case, seconds: float) -> Sample:
        writes = {"put": 1.0, "get": 0.0, "mixed": 0.3}[case.operation]
        count = max(2000, int(4000 * seconds))
        new = self._signed("PUT", self._new_keys(int(count * writes)))
        requests = (self._signed("GET", self.keys[case.size]) * 4)[: count - len(new)] + new if writes < 1 else new
        random.shuffle(requests)
        payload = os.urandom(case.size) if writes else b""
        return wrk.drive(self.endpoint.url, requests, seconds, payload=payload, size_bytes=case.size)

    def _head(self, case: Case, seconds: float) -> Sample:
        targets = self.endpoint.presigned("HEAD", self.bucket, self.keys[case.size])
        return load.drive([load.Worker("heads", url=self.endpoint.url, targets=targets, connections=16, seconds=seconds)])

    def _list(self, case: Case, seconds: float) -> Sample:
        starts = [f"listed/{number:05d}" for number in range(0, LISTED_KEYS - 1000, 500)]
        queries = [f"list-type=2&max-keys=1000&prefix=listed%2F&start-after={start.replace('/', '%2F')}" for start in starts]
        targets = [self.endpoint.presigned_query(f"/{self.bucket}", query) for query in queries]
        return wrk.drive(self.endpoint.url, [f"GET {target}" for target in targets], seconds)

    def _large(self, case: Case, seconds: float) -> Sample:
        spec = {"endpoint": self.endpoint.as_client(), "bucket": self.bucket, "operation": case.operation, "size": case.size,
                "keys": self.keys.get(case.size, []), "threads": THREADS, "seconds": seconds}
        return load.drive([load.Worker("clients", tag=f"{case.operation}-{number}", **spec) for number in range(PROCESSES)])

    def clean(self) -> None:
        """Remove every object and the bucket."""
        store = self.endpoint.store(self.bucket)
        for page in obstore.list(store):
            obstore.delete(store, [item["path"] for item in page])
        self.endpoint.ask("DELETE", f"/{self.bucket}")


@contextmanager
def drivers(endpoints: list[Endpoint]) -> Iterator[list[Driver]]:
    """A driver for each server, with a bucket of its own that is removed from servers which are not ours."""
    made = [Driver(endpoint, f"bench-{int(time.time())}-{number}") for number, endpoint in enumerate(endpoints)]
    try:
        yield made
    finally:
        for driver in made:
            if not driver.endpoint.pids:
                driver.clean()


def measure(endpoints: list[Endpoint], wanted: list[Case], seconds: float, rounds: int, report: Report) -> dict[Case, list[Sample]]:
    """Every case on every server, ``rounds`` times, cases shuffled and servers in turn; medians, in the order of ``endpoints``."""
    taken: dict[tuple[Case, int], list[Sample]] = {}
    with drivers(endpoints) as made:
        for driver in made:
            report(f"preparing {driver.endpoint.name}")
            driver.prepare(wanted, seconds)
        for turn in range(rounds):
            for case in random.sample(wanted, len(wanted)):
                for number, driver in enumerate(made):
                    report(f"round {turn + 1} of {rounds}: {case.name} on {driver.endpoint.name}")
                    taken.setdefault((case, number), []).append(driver.slice(case, seconds))
    return {case: [middle(taken[case, number]) for number in range(len(endpoints))] for case in wanted}
