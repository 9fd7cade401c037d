"""A person who types the server's address into a browser is sent to the console; programs that speak S3 never are."""

from __future__ import annotations

from shared.protocol.target import bucket_of_host, host_name
from shared.request import Reply, Request
from shared.services import Services

_SIGNED = ("X-Amz-", "AWSAccessKeyId", "Signature")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def visit(request: Request, services: Services) -> Reply | None:
    """A redirect to the console for a page that a browser opens at ``/``; None for everything else."""
    headers = request.lower
    if request.method != "GET" or request.target.partition("?")[0] != "/":
        return None
    if "text/html" not in headers.get("accept", "") or "mozilla/" not in headers.get("user-agent", "").lower():
        return None         # both: Java's own client asks for text/html too
    if "authorization" in headers or any(name.startswith("x-amz-") for name in headers) or any(name in request.target for name in _SIGNED):
        return None
    host = services.proxies.host(request)
    settings = services.settings
    if bucket_of_host(host, settings.domain) or bucket_of_host(host, settings.website_domain) or host_name(host) in settings.website_domain:
        return None
    console = _console(services, host_name(host))
    return Reply(307, [("Location", console + "/"), ("Cache-Control", "no-store"), ("Vary", "Accept")]) if console else None


def _console(services: Services, host: str) -> str:
    """The console as the visitor reaches it: by its public URL, or on this machine by its port; "" when nobody knows."""
    settings = services.settings
    if settings.console_public_url:
        return settings.console_public_url.rstrip("/")
    address = settings.console_listen
    if not address.port or host not in _LOOPBACK:
        return ""
    return f"http://{f'[{host}]' if ':' in host else host}:{address.port}"
