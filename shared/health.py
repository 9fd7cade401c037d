"""Liveness and readiness, for load balancers and orchestrators: no signature, any host, GET or HEAD."""

from __future__ import annotations

import logging

from shared.blobs.engine import BlobEngine
from shared.errors import S3Error
from shared.meta import buckets, database
from shared.request import Reply, Request

LIVE = frozenset({"/healthz", "/health", "/minio/health/live"})
READY = frozenset({"/readyz", "/ready", "/minio/health/ready"})
PROBES = LIVE | READY

log = logging.getLogger("maxiofs.health")


def is_probe(request: Request) -> bool:
    """True for a health request. One that carries a signature is meant for a bucket of that name."""
    path, _, query = request.target.partition("?")
    if path not in PROBES or request.method not in ("GET", "HEAD") or "authorization" in request.lower:
        return False
    return "X-Amz-" not in query and "Signature=" not in query


def answer(request: Request, engine: BlobEngine) -> Reply:
    """200 with nothing to read, or 503 while the server could not do its work."""
    if request.target.partition("?")[0] in LIVE:
        return Reply(200)
    return Reply(200 if is_ready(engine) else 503)


def is_ready(engine: BlobEngine) -> bool:
    """Whether database and storage take requests. Below the space reserve reads and deletes still work, but not writes: not ready."""
    try:
        buckets.change_value()
        engine.check()
    except (S3Error, OSError, *database.DRIVER_ERRORS) as error:
        log.warning("not ready: %s", error)
        if isinstance(error, database.DRIVER_ERRORS):
            database.unavailable(error)
        return False
    return True
