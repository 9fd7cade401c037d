"""Targets that are ratios of encrypted objects to plain ones: the same server, the same clients, in turns."""

from __future__ import annotations

import http.client
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import md5
from statistics import median
from urllib.parse import urlsplit

import obstore

from scripts.benchmark import load
from scripts.benchmark.endpoints import Endpoint, costed
from scripts.benchmark.report import number, progress
from scripts.benchmark.sample import Sample
from scripts.benchmark.server_targets import COPY_PART_BYTES, complete, copied_parts
from scripts.benchmark.target import BUCKET, Bench, Row, at_least

SEALED = "encrypted"        # the bucket that encrypts by default
BUCKETS = (BUCKET, SEALED)
RULE = (
    b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
    b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)
RANGE_BYTES = 1 << 20
RANGES = 40                 # in each round
WHOLE = "whole"


def encrypted(bench: Bench) -> list[Row]:
    """PUT and GET of 64 MiB with SSE-S3, and a range of 1 MiB in an object of 5 GiB: of one body, and of parts."""
    size = bench.scaled(64 << 20, 4 << 20)
    with bench.server("encryption") as endpoint:
        endpoint.create_bucket(SEALED)
        digest = b64encode(md5(RULE, usedforsecurity=False).digest()).decode()
        endpoint.ask("PUT", f"/{SEALED}?encryption=", {"Content-MD5": digest}, RULE)
        body = bench.file(size).read_bytes()
        for bucket in BUCKETS:
            obstore.put(endpoint.store(bucket), "large", body, use_multipart=False)
        taken: dict[str, list[Sample]] = {}
        for turn in range(bench.rounds + 1):
            progress(f"encrypted bodies, {f'round {turn} of {bench.rounds}' if turn else 'warming up'}")
            for operation in ("put", "get"):
                for bucket in BUCKETS if turn % 2 else reversed(BUCKETS):
                    sample = _bodies(endpoint, bucket, operation, size, bench.seconds)
                    if turn:
                        taken.setdefault(operation + bucket, []).append(sample)
        rows = [_row(f"{operation.upper()} 64 MiB, encrypted", taken[operation + SEALED], taken[operation + BUCKET])
                for operation in ("put", "get")]
        return [*rows, *_ranges(bench, endpoint)]


def _bodies(endpoint: Endpoint, bucket: str, operation: str, size: int, seconds: float) -> Sample:
    client = {"endpoint": endpoint.as_client(), "bucket": bucket, "operation": operation, "size": size, "keys": ["large"], "threads": 2}
    return costed(endpoint.pids, lambda: load.drive([load.Worker("clients", tag="new", seconds=seconds, **client)]))


def _row(name: str, ours: list[Sample], plain: list[Sample]) -> Row:
    speed, beside = median(one.mb_s for one in ours), median(one.mb_s for one in plain)
    ratios = [mine.mb_s / its.mb_s for mine, its in zip(ours, plain, strict=True)]
    row = at_least(name, 0.6, ratios, f"{number(speed)} of {number(beside)} MB/s", "the plain one")
    costs = [number(median(one.cpu_us or 0 for one in samples) / 1e3) for samples in (ours, plain)]
    row.detail += f"; server CPU {costs[0]} ms each, plain {costs[1]} ms; errors {sum(one.errors for one in ours)}"
    return row


def _ranges(bench: Bench, endpoint: Endpoint) -> list[Row]:
    size = bench.scaled(5 << 30, 64 << 20)
    path, part = bench.file(size), bench.file(COPY_PART_BYTES).read_bytes()
    for bucket in BUCKETS:
        progress(f"making objects of {size >> 20} MiB in the bucket {bucket}")
        [target] = endpoint.presigned("PUT", bucket, [WHOLE])
        load.drive([load.Worker("uploads", url=endpoint.url, targets=[target], path=str(path), repeat=False, seconds=0)])
        obstore.put(endpoint.store(bucket), "part", part, use_multipart=False)
        made = copied_parts(endpoint, "parts", "part", size // COPY_PART_BYTES, bucket)
        complete(endpoint, "parts", made, bucket)
    return [
        _range_row("1 MiB out of an encrypted 5 GiB", endpoint, WHOLE, size, bench.rounds),
        _range_row("1 MiB out of an encrypted 5 GiB in parts", endpoint, "parts", size, bench.rounds),
    ]


def _range_row(name: str, endpoint: Endpoint, key: str, size: int, rounds: int) -> Row:
    """Medians of single requests on one connection each, the two buckets in turns: request by request, so that nothing else differs."""
    ask = {bucket: _asking(endpoint, bucket, key) for bucket in BUCKETS}
    ratios, all_ms = [], dict[str, list[float]]()
    for turn in range(rounds + 1):
        took_ms = dict[str, list[float]]()
        for at in range(RANGES):
            first = (turn * RANGES + at) * 7919 * RANGE_BYTES // 3 % (size - RANGE_BYTES)
            for bucket in BUCKETS:
                took_ms.setdefault(bucket, []).append(ask[bucket](first))
        if turn:
            ratios.append(median(took_ms[SEALED]) / median(took_ms[BUCKET]))
            for bucket, few in took_ms.items():
                all_ms.setdefault(bucket, []).extend(few)
    ratio, spread = median(ratios), ", ".join(f"{one:.2f}" for one in ratios)
    reached = f"{ratio:.2f} ({median(all_ms[SEALED]):.2f} of {median(all_ms[BUCKET]):.2f} ms)"
    return Row(name, "≤ 2 × the plain one", reached, 2 / ratio, ratio <= 2, f"rounds: {spread}")


def _asking(endpoint: Endpoint, bucket: str, key: str) -> Callable[[int], float]:
    [target] = endpoint.presigned("GET", bucket, [key])
    connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=600)

    def ask(first: int) -> float:
        begun = time.perf_counter()
        connection.request("GET", target, headers={"Range": f"bytes={first}-{first + RANGE_BYTES - 1}"})
        reply = connection.getresponse()
        got = len(reply.read())
        if (reply.status, got) != (206, RANGE_BYTES):
            raise RuntimeError(f"a range was answered {reply.status} with {got} bytes")
        return (time.perf_counter() - begun) * 1e3

    return ask
