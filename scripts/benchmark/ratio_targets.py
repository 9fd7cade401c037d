"""Targets that are ratios: small requests, and large bodies, beside what a bare server or the bare machine does in the same round."""

from __future__ import annotations

import os
from contextlib import ExitStack
from statistics import median

import obstore

from scripts.benchmark import ceiling, floor, load, wrk
from scripts.benchmark.bare import BareServer
from scripts.benchmark.endpoints import Endpoint, costed
from scripts.benchmark.report import number, progress
from scripts.benchmark.sample import Sample, middle
from scripts.benchmark.target import BUCKET, Bench, Row, at_least, at_most

SMALL = 4096
KEYS = 2000
HANGING = BUSY = 8          # slow readers, and uploads at the same time
BUSY_ROUNDS = 3             # of 8 GiB
MOST_BUSY_S = 240.0         # how long a round may take
PROBES = 4                  # connections that ask for the small object meanwhile


def small_requests(bench: Bench) -> list[Row]:
    """GET, HEAD and PUT of 4 KiB."""
    payload, seconds = os.urandom(SMALL), bench.seconds
    taken: dict[str, list[Sample]] = {}
    transactions: list[float] = []
    with ExitStack() as stack:
        endpoint = stack.enter_context(bench.server("small"))
        bare = stack.enter_context(BareServer("wsgi", bench.processes))
        app = stack.enter_context(BareServer("app", bench.processes))
        transaction = floor.SmallPut(bench.folder / "sqlite")
        stack.callback(transaction.close)
        keys = [f"read/{number:05d}" for number in range(KEYS)]
        _fill(endpoint, keys, payload)
        gets = [f"GET {target}" for target in endpoint.presigned("GET", BUCKET, keys)]
        heads = endpoint.presigned("HEAD", BUCKET, keys)
        fresh = iter(range(1 << 30))

        def puts() -> Sample:
            new = [f"new/{next(fresh):09d}" for _ in range(int(4500 * seconds))]
            requests = [f"PUT {target}" for target in endpoint.presigned("PUT", BUCKET, new)]
            return wrk.drive(endpoint.url, requests, seconds, payload=payload, size_bytes=SMALL, once=True)

        measures = {
            "bare": lambda: ceiling.small(bare, seconds),
            "get": lambda: costed(endpoint.pids, lambda: wrk.drive(endpoint.url, gets, seconds, size_bytes=SMALL)),
            "app": lambda: ceiling.small(app, seconds),
            "bare-head": lambda: ceiling.heads(bare, seconds),
            "head": lambda: costed(endpoint.pids, lambda: load.drive(
                [load.Worker("heads", url=endpoint.url, targets=heads, connections=16, seconds=seconds)])),
            "app-head": lambda: ceiling.heads(app, seconds),
            "put": lambda: costed(endpoint.pids, puts),
        }
        for turn in range(bench.rounds + 1):        # the first warms up
            progress(f"small requests, {f'round {turn} of {bench.rounds}' if turn else 'warming up'}")
            before = transaction.per_s(seconds / 2)
            samples = {name: measure() for name, measure in measures.items()}
            tx = (before + transaction.per_s(seconds / 2)) / 2
            if turn:
                transactions.append(tx)
                for name, sample in samples.items():
                    taken.setdefault(name, []).append(sample)
        disk_ms = floor.fdatasync_ms(bench.folder)
    return [
        _ratio("GET 4 KiB", 0.35, taken["get"], taken["bare"], _also(taken["get"], taken["app"])),
        _ratio("HEAD 4 KiB", 0.35, taken["head"], taken["bare-head"], _also(taken["head"], taken["app-head"])),
        _put_row(taken["put"], transactions, disk_ms),
    ]


def _fill(endpoint: Endpoint, keys: list[str], payload: bytes) -> None:
    requests = [f"PUT {target}" for target in endpoint.presigned("PUT", BUCKET, keys)]
    wrk.drive(endpoint.url, requests, 60, payload=payload, once=True)
    for key in keys[-wrk.CONNECTIONS * 2:]:     # wrk stops with a few requests under way
        obstore.put(endpoint.store(BUCKET), key, payload)


def _ratio(name: str, wanted: float, ours: list[Sample], bare: list[Sample], also: str = "") -> Row:
    middle_ours, middle_bare = middle(ours), middle(bare)
    reached = f"{number(middle_ours.per_s)} of {number(middle_bare.per_s)}/s"
    row = at_least(name, wanted, [mine.per_s / its.per_s for mine, its in zip(ours, bare, strict=True)], reached, "the ceiling")
    row.detail += (f"; server CPU per request {number(middle_ours.cpu_us or 0)} and {number(middle_bare.cpu_us or 0)} µs; "
                   f"p50 {middle_ours.p50_ms:.2f}, p99 {middle_ours.p99_ms:.2f} ms; errors {middle_ours.errors}{also}; "
                   f"share of the busier process: ours {_shares(ours)}, bare {_shares(bare)}")
    return row


def _shares(samples: list[Sample]) -> str:
    return " ".join(f"{sample.busiest or 0:.2f}" for sample in samples)


def _also(ours: list[Sample], app: list[Sample]) -> str:
    ratio = median(mine.per_s / its.per_s for mine, its in zip(ours, app, strict=True))
    return f"; {ratio:.2f} × an application without WSGI ({number(middle(app).per_s)}/s)"


def _put_row(puts: list[Sample], transactions: list[float], disk_ms: float) -> Row:
    ours = middle(puts)
    reached = f"{number(ours.per_s)} of {number(median(transactions))}/s"
    ratios = [put.per_s / tx for put, tx in zip(puts, transactions, strict=True)]
    row = at_least("PUT 4 KiB, durable", 0.55, ratios, reached, "bare SQLite transactions")
    row.detail += (f"; server CPU per request {number(ours.cpu_us or 0)} µs; p50 {ours.p50_ms:.2f}, p99 {ours.p99_ms:.2f} ms; "
                   f"write and fdatasync {disk_ms:.2f} ms; errors {ours.errors}")
    return row


def large_bodies(bench: Bench) -> list[Row]:
    """GET and PUT of 64 MiB."""
    size, seconds = bench.scaled(64 << 20, 4 << 20), bench.seconds
    path = bench.file(size)
    taken: dict[str, list[Sample]] = {}
    hashed: list[float] = []
    written: list[float] = []
    with ExitStack() as stack:
        endpoint = stack.enter_context(bench.server("large"))
        waitress = stack.enter_context(BareServer("waitress-file", bench.processes, path))
        host = stack.enter_context(BareServer("file", bench.processes, path))
        obstore.put(endpoint.store(BUCKET), "large", path.read_bytes(), use_multipart=False)
        gets = [f"GET {target}" for target in endpoint.presigned("GET", BUCKET, ["large"])]
        client = {"endpoint": endpoint.as_client(), "bucket": BUCKET, "operation": "put", "size": size, "keys": [], "threads": 2}
        measures = {
            "waitress": lambda: ceiling.large(waitress, seconds, size),
            "get": lambda: costed(endpoint.pids, lambda: wrk.drive(
                endpoint.url, gets, seconds, size_bytes=size, connections=ceiling.LARGE_CONNECTIONS)),
            "host": lambda: ceiling.large(host, seconds, size),
            "put": lambda: costed(endpoint.pids, lambda: load.drive(
                [load.Worker("clients", tag=f"put-{place}", seconds=seconds, **client) for place in range(2)])),
        }
        for turn in range(bench.rounds + 1):
            progress(f"large bodies, {f'round {turn} of {bench.rounds}' if turn else 'warming up'}")
            before = floor.md5_mb_s()
            samples = {name: measure() for name, measure in measures.items()}
            if turn:
                hashed.append((before + floor.md5_mb_s()) / 2)
                written.append(floor.disk_mb_s(bench.folder))
                for name, sample in samples.items():
                    taken.setdefault(name, []).append(sample)
    ours, bare, hosted, put = (middle(taken[name]) for name in ("get", "waitress", "host", "put"))
    get_row = at_least("GET 64 MiB", 0.85, [mine.mb_s / its.mb_s for mine, its in zip(taken["get"], taken["waitress"], strict=True)],
                       f"{number(ours.mb_s)} of {number(bare.mb_s)} MB/s", "waitress sending the same file")
    get_row.detail += f"; a bare file on our host {number(hosted.mb_s)} MB/s; errors {ours.errors}"
    put_row = at_least("PUT 64 MiB, four at a time", 0.55, [mine.mb_s / md5 for mine, md5 in zip(taken["put"], hashed, strict=True)],
                       f"{number(put.mb_s)} of {number(median(hashed))} MB/s", "MD5 of one core")
    put_row.detail += f"; the disk alone {number(median(written))} MB/s (write 64 MiB, fsync)"
    put_row.detail += f"; server CPU {number((put.cpu_us or 0) / 1e3)} ms each"
    put_row.detail += f"; p50 {number(put.p50_ms)}, p99 {number(put.p99_ms)} ms; errors {put.errors}"
    return [get_row, put_row]


def while_busy(bench: Bench) -> list[Row]:
    """The small GET from the first byte of the uploads until the last of them is hashed and stored, while readers hang."""
    size = bench.scaled(1 << 30, 64 << 20)
    with bench.server("busy") as endpoint:
        keys = [f"read/{number:05d}" for number in range(KEYS)]
        _fill(endpoint, keys, os.urandom(SMALL))
        obstore.put(endpoint.store(BUCKET), "large", bench.file(64 << 20).read_bytes(), use_multipart=False)
        gets = [f"GET {target}" for target in endpoint.presigned("GET", BUCKET, keys)]
        quiet = wrk.drive(endpoint.url, gets, bench.seconds, connections=PROBES)
        path, taken = bench.file(size), []
        hung = endpoint.presigned("GET", BUCKET, ["large"] * HANGING)
        hanging = load.Worker("hangs", url=endpoint.url, targets=hung, seconds=MOST_BUSY_S * 4)
        try:
            hanging.go()
            for turn in range(1 if bench.quick else BUSY_ROUNDS):
                progress(f"a small GET while {BUSY} uploads of {size >> 20} MiB are hashed and {HANGING} readers hang, {turn + 1}")
                targets = endpoint.presigned("PUT", BUCKET, [f"busy/{number}" for number in range(BUSY)])
                uploading = load.Worker("uploads", url=endpoint.url, targets=targets, path=str(path), repeat=False, seconds=0).go()
                taken.append(costed(endpoint.pids, lambda up=uploading: wrk.drive(  # type: ignore[misc]
                    endpoint.url, gets, MOST_BUSY_S, connections=PROBES, until=up.result)))
        finally:
            hanging.kill()
    sample = middle(taken)
    rounds = ", ".join(f"{one.p99_ms:.1f}" for one in taken)
    detail = (f"rounds: {rounds} ms; p50 {sample.p50_ms:.2f} ms at {number(sample.per_s)}/s from {PROBES} connections; without the others "
              f"p99 {quiet.p99_ms:.2f} ms at {number(quiet.per_s)}/s; uploads {number(BUSY * size / taken[0].seconds / 1e6)} MB/s; "
              f"errors {sum(one.errors for one in taken)}")
    name = "p99 of a 4 KiB GET while 8 uploads of 1 GiB are hashed and 8 slow readers hang"
    return [at_most(name, 20, sample.p99_ms, "ms", detail)]
