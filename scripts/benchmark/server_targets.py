"""Targets that are times inside the server, or memory: listings, copies, completed uploads, and what a process holds."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from statistics import median
from xml.sax.saxutils import escape

import obstore

from scripts.benchmark import fill, load, wrk
from scripts.benchmark.endpoints import Endpoint, memory_mb, server_pids
from scripts.benchmark.report import progress
from scripts.benchmark.sample import at_percentile
from scripts.benchmark.target import BUCKET, Bench, Row, at_most

COPY_PART_BYTES = 8 << 20       # what the AWS command line makes of a large file
PART_BYTES = 5 << 20            # the smallest part there may be
BODIES = 16


def listings(bench: Bench) -> list[Row]:
    """A page of 1,000 keys out of very many, without and with older versions behind them."""
    count = bench.scaled(1_000_000, 20_000)
    name = "listing"
    with bench.server(name):
        pass
    database = bench.folder / name / "maxiofs.db"
    times: list[dict[str, tuple[float, float, float]]] = []
    for turn in range(2):
        begun = time.monotonic()
        if turn == 0:
            fill.current_objects(database, BUCKET, count)
        else:
            fill.older_versions(database, BUCKET)
        progress(f"filled {count:,} keys{' with ten versions each' if turn else ''} in {time.monotonic() - begun:.0f} s")
        with bench.server(name) as endpoint:
            times.append(_pages(endpoint, count, bench.seconds))
    rows = []
    for what, wanted in (("flat", 3.0), ("delimiter", 15.0), ("deep prefix", 3.0)):
        (before, best, slow), after = times[0][what], times[1][what][0]
        detail = f"medians; without older versions the best took {best:.2f}, p99 {slow:.2f} ms"
        row = at_most(f"1,000-key page of {count:,}: {what}", wanted, max(before, after), "ms", detail)
        row.reached = f"{before:.2f} ms; with 10 versions {after:.2f} ms"
        rows.append(row)
    return rows


def _pages(endpoint: Endpoint, count: int, seconds: float) -> dict[str, tuple[float, float, float]]:
    """Milliseconds in the server for each kind of page, from different places of the bucket: median, best, 99th percentile.

    One client asks for page after page, as those that synchronise do.
    """
    folders = [f"dir{number:04d}%2F" for number in range(count // 1000)]
    random.shuffle(folders)
    kinds = {
        "flat": lambda folder: f"list-type=2&start-after={folder}",
        "delimiter": lambda folder: "delimiter=%2F&list-type=2",
        "deep prefix": lambda folder: f"list-type=2&prefix={folder}",
    }
    found = {}
    for what, query in kinds.items():
        requests = [f"GET {endpoint.presigned_query(f'/{BUCKET}', query(folder))}" for folder in folders[:200]]
        wrk.drive(endpoint.url, requests, 1, connections=4)         # both processes, warm
        offset = endpoint.log.stat().st_size if endpoint.log else 0
        wrk.drive(endpoint.url, requests, seconds, connections=1)
        times = sorted(logged_ms(endpoint, offset, "ListObjectsV2"))
        found[what] = median(times), times[0], at_percentile(times, 99)
    return found


def logged_ms(endpoint: Endpoint, offset: int, operation: str) -> list[float]:
    """What the access log says each request of this operation took, from a place in the log on."""
    assert endpoint.log is not None
    time.sleep(0.2)
    with endpoint.log.open("rb") as log:
        log.seek(offset)
        lines = [json.loads(line) for line in log if line.startswith(b"{") and b'"duration_ms"' in line]
    return [line["duration_ms"] for line in lines if line["operation"] == operation and line["status"] == 200]


def copies(bench: Bench) -> list[Row]:
    """CopyObject of a very large object, and CompleteMultipartUpload of very many parts; neither moves a byte."""
    with bench.server("copies") as endpoint:
        store = endpoint.store(BUCKET)
        obstore.put(store, "part-8", bench.file(COPY_PART_BYTES).read_bytes(), use_multipart=False)
        obstore.put(store, "part-5", bench.file(PART_BYTES).read_bytes(), use_multipart=False)
        pieces = bench.scaled((5 << 30) // COPY_PART_BYTES, 10)
        progress(f"making an object of {pieces} parts of 8 MiB by copying parts")
        complete(endpoint, "large", copied_parts(endpoint, "large", "part-8", pieces))
        took_ms = []
        for turn in range(8):
            _, took_s = endpoint.ask("PUT", f"/{BUCKET}/copy-{turn}", {"x-amz-copy-source": f"/{BUCKET}/large"})
            took_ms.append(took_s * 1e3)
        whole = f"the copy of {pieces} parts as the client sees it; first {took_ms[0]:.1f}, worst {max(took_ms):.1f} ms"
        parts = bench.scaled(1000, 20)
        completed_ms = []
        for turn in range(3):
            progress(f"completing an upload of {parts} parts, {turn + 1} of 3")
            made = copied_parts(endpoint, f"many-{turn}", "part-5", parts)
            completed_ms.append(complete(endpoint, f"many-{turn}", made) * 1e3)
    return [
        at_most("CopyObject of 5 GiB", 50, median(took_ms[1:]), "ms", whole),
        at_most("CompleteMultipartUpload of 1,000 parts", 200, median(completed_ms), "ms",
                f"worst {max(completed_ms):.0f} ms, as the client sees it"),
    ]


def copied_parts(endpoint: Endpoint, key: str, source: str, count: int, bucket: str = BUCKET) -> tuple[str, list[str]]:
    """Begin an upload and make ``count`` parts of it out of one object. Returns its id and the parts' ETags."""
    begun, _ = endpoint.ask("POST", f"/{bucket}/{key}?uploads=")
    upload_id = re.search(rb"<UploadId>(.*?)</UploadId>", begun)[1].decode()  # type: ignore[index]
    etags = []
    for number in range(1, count + 1):
        target = f"/{bucket}/{key}?partNumber={number}&uploadId={upload_id}"
        reply, _ = endpoint.ask("PUT", target, {"x-amz-copy-source": f"/{bucket}/{source}"})
        etags.append(re.search(rb"<ETag>(.*?)</ETag>", reply)[1].decode())  # type: ignore[index]
    return upload_id, etags


def complete(endpoint: Endpoint, key: str, upload: tuple[str, list[str]], bucket: str = BUCKET) -> float:
    """Complete an upload; returns seconds."""
    upload_id, etags = upload
    parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1))
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    return endpoint.ask("POST", f"/{bucket}/{key}?uploadId={escape(upload_id)}", body=body)[1]


def memory(bench: Bench) -> list[Row]:
    """What a process holds: idle, and while very large bodies come and go."""
    size = bench.scaled(1 << 30, 16 << 20)
    path = bench.file(size)
    with bench.server("memory") as endpoint:
        everyone = server_pids(endpoint)
        obstore.put(endpoint.store(BUCKET), "warm", b"x" * 4096)
        for _ in range(20):
            obstore.get(endpoint.store(BUCKET), "warm").bytes()
        time.sleep(3)
        idle = {pid: memory_mb(pid)["rss"] for pid in everyone}
        keys = [f"body/{number}" for number in range(BODIES)]
        seen: list[float] = []
        stop = threading.Event()
        watching = threading.Thread(target=_watch, args=(endpoint.pids, seen, stop))
        watching.start()
        try:
            progress(f"{BODIES} uploads of {size >> 20} MiB at once")
            targets = endpoint.presigned("PUT", BUCKET, keys)
            up = load.drive([load.Worker("uploads", url=endpoint.url, targets=targets, path=str(path), repeat=False, seconds=0)])
            progress(f"{BODIES} downloads of {size >> 20} MiB at once")
            targets = endpoint.presigned("GET", BUCKET, keys)
            down = load.drive([load.Worker("downloads", url=endpoint.url, targets=targets, repeat=False, seconds=0)])
        finally:
            stop.set()
            watching.join()
        after = [memory_mb(pid) for pid in endpoint.pids]
    peak = max(one["peak"] for one in after)
    anonymous = max(one["anonymous"] for one in after)
    idle_detail = "resident; every process: " + ", ".join(f"{value:.0f}" for value in sorted(idle.values()))
    busy_detail = (f"peak resident (VmHWM) of the larger S3 process; sampled {max(seen):.0f} MB, anonymous after {anonymous:.0f} MB; "
                   f"up {up.mb_s:.0f} MB/s, down {down.mb_s:.0f} MB/s, errors {up.errors + down.errors}")
    return [at_most("memory per process, idle", 100, max(idle.values()), "MB", idle_detail),
            at_most(f"memory per process during {BODIES} × 1 GiB up and down", 160, peak, "MB", busy_detail)]


def _watch(pids: list[int], seen: list[float], stop: threading.Event) -> None:
    while not stop.wait(0.1):
        seen += [memory_mb(pid)["rss"] for pid in pids]
