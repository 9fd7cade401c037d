"""What the console's listener answers beside its functions: health and metrics."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from flask import Flask, Response, request

from shared import health
from shared.metrics import CONTENT_TYPE
from shared.protocol.target import host_name
from shared.services import Services


def add_console_routes(app: Flask, services: Services) -> None:
    """Add /healthz, /readyz with their aliases, and /metrics."""
    for path in sorted(health.PROBES):
        app.add_url_rule(path, f"health{path.replace('/', '.')}", lambda path=path: _probe(path, services), methods=["GET"])
    app.after_request(_hardened)
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(services), methods=["GET"])


def _hardened(response: Response) -> Response:
    """What is no function of ours gets the same headers."""
    from shared.admin.calls import ALWAYS, NOTHING_MORE

    for name, value in (*ALWAYS, NOTHING_MORE):
        response.headers.setdefault(name, value)
    return response


def _probe(path: str, services: Services) -> Response:
    ready = path in health.LIVE or health.is_ready(services.engine)
    return Response(status=200 if ready else 503)


def _metrics(services: Services) -> Response:
    """The Prometheus page: for the holder of the metrics token, or, while none is set, for this machine only."""
    if not _may_read_metrics(services.settings.metrics_token):
        return Response("metrics need the bearer token of MAXIOFS_METRICS_TOKEN\n", 403, mimetype="text/plain")
    return Response(services.metrics.render(), mimetype=None, content_type=CONTENT_TYPE)


def _may_read_metrics(token: str) -> bool:
    if token:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), token.encode())
    forwarded = any(name.lower().startswith("x-forwarded-") or name.lower() == "forwarded" for name, _ in request.headers)
    return not forwarded and _is_loopback(request.remote_addr or "") and _is_loopback(host_name(request.headers.get("Host", "")))


def _is_loopback(name: str) -> bool:
    """Also asked about the Host header: a page in a browser on this machine can reach us under a name of its own (DNS rebinding)."""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
