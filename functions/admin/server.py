"""The server itself: what it is and whether it works."""

from typing import Any

from shared.auth.engine import ANYONE
from shared.registry import admin
from shared.settings import version as server_version


@admin("GET /", allow=ANYONE)
def welcome(_: Any) -> dict[str, Any]:
    """Say what answers here. The console itself comes with a later release."""
    return {"name": "MaxIOFS", "version": server_version(), "endpoints": ["/api/v1/version", "/healthz", "/readyz", "/metrics"]}


@admin("GET /api/v1/version", allow=ANYONE)
def version(_: Any) -> dict[str, str]:
    """Return name and version of the server."""
    return {"name": "MaxIOFS", "version": server_version()}
