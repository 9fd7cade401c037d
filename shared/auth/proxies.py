"""Reverse proxies: whose X-Forwarded-* headers are believed, and what the client saw before them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from shared.request import Request

DEFAULT_PORTS = ("80", "443")

_PREFIX = re.compile(r"(/[A-Za-z0-9._~%-]+)+")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")

# Room enough for the proxies of one installation, and a bound on what a scan from many addresses can make us keep.
_REMEMBERED_PEERS = 4096


class TrustedProxies:
    """Networks whose forwarding headers are true. Every header of anybody else is ignored.

    Each trusted hop is expected to append to (or replace) X-Forwarded-For, -Host, -Port, -Proto and -Prefix; the values counted
    from the right that trusted hops wrote are used, never what lies to their left. A proxy that passes a client's
    X-Forwarded-Host or -Prefix on unchanged must be told to set or drop it: docs/proxy.md.
    """

    def __init__(self, cidrs: Iterable[str] = ()) -> None:
        """Take addresses and networks such as ``127.0.0.1`` and ``fd00::/8``. Raises ValueError naming a bad one."""
        self._networks = [ip_network(cidr.strip(), strict=False) for cidr in cidrs if cidr.strip()]
        self._trusted_peer = lru_cache(_REMEMBERED_PEERS)(self._trusts)

    def client(self, request: Request) -> str:
        """The address of the client: the nearest one in X-Forwarded-For that is not a trusted proxy."""
        return self._path(request)[-1]

    def scheme(self, request: Request) -> str:
        """``http`` or ``https``, as the client connected."""
        proto = self._forwarded(request, "x-forwarded-proto").lower()
        return proto if proto in ("http", "https") else request.scheme

    def host(self, request: Request) -> str:
        """The host the client addressed, with its port if it sent one; the target is to be parsed with this."""
        host = request.lower.get("host", "")
        if not self._networks or not self._trusted_peer(request.peer):
            return host
        forwarded = self._forwarded(request, "x-forwarded-host")
        return forwarded if _HOST.fullmatch(forwarded) else host

    def hosts(self, request: Request) -> list[str]:
        """Hosts the client may have signed, most likely first, without doubles: as sent, and with and without a port."""
        sent = [self.host(request), request.lower.get("host", "")]
        port = self._forwarded(request, "x-forwarded-port")
        found: dict[str, None] = {}
        for host in sent:
            found[host] = None
            name, colon, own = _split_port(host)
            if colon and own in DEFAULT_PORTS:
                found[name] = None
            if not colon or port:
                found.update(dict.fromkeys(f"{name}:{other}" for other in (port, *DEFAULT_PORTS) if other.isdecimal()))
                if port in DEFAULT_PORTS:
                    found[name] = None
        return list(found)

    def prefixes(self, request: Request) -> list[str]:
        """Paths a proxy may have removed before ours, the empty one first."""
        prefix = self._forwarded(request, "x-forwarded-prefix").rstrip("/")
        return ["", prefix] if _PREFIX.fullmatch(prefix) else [""]

    def _path(self, request: Request) -> list[str]:
        """The peer, the proxies before it, and the client last: as far as the word of trusted proxies reaches."""
        path = [request.peer]
        if not self._networks or not self._trusted_peer(request.peer):
            return path
        for text in reversed(request.lower.get("x-forwarded-for", "").split(",")):
            address = _address(text)
            if address is None:
                break
            path.append(address)
            if not self._trusted_peer(address):
                break
        return path

    def _forwarded(self, request: Request, name: str) -> str:
        """What the outermost trusted hop wrote into this header, or the empty text."""
        value = request.lower.get(name, "")
        if not value or not self._networks or not self._trusted_peer(request.peer):
            return ""
        values = value.split(",")
        hops = max(1, len(self._path(request)) - 1)
        return values[-min(hops, len(values))].strip()

    def _trusts(self, peer: str) -> bool:
        try:
            address = _unmapped(ip_address(peer))
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _split_port(host: str) -> tuple[str, str, str]:
    """Name, colon, port. The colons inside a bracketed IPv6 address are its own."""
    name, colon, port = host.rpartition(":")
    return (name, colon, port) if colon and port.isdecimal() else (host, "", "")


def _address(text: str) -> str | None:
    """An X-Forwarded-For element without its port, in its shortest spelling; None when it is no address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(_unmapped(ip_address(text)))
    except ValueError:
        return None


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """``::ffff:10.0.0.1`` is how a dual-stack socket shows 10.0.0.1."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
