"""Listening sockets: bound once, before anything else starts, with a clear sentence when that fails."""

from __future__ import annotations

import errno
import socket
import time

from shared.settings import Address

BACKLOG = 1024
PORT_PATIENCE_S = 1.0       # processes of a killed supervisor may hold the port for a moment


class StartError(Exception):
    """The server cannot start; the message is one line for people."""


def bind(address: Address, setting: str) -> socket.socket:
    """A listening socket. Raises StartError that says which setting to change."""
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartError(f"cannot listen on {address}: {error.strerror} (setting: {setting})") from error
    family, *_, target = min(found, key=lambda one: one[0] != socket.AF_INET)     # "localhost": most clients try 127.0.0.1
    patience_s = time.monotonic() + PORT_PATIENCE_S
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(target)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > patience_s:
                raise StartError(f"cannot listen on {address}: {_reason(error)} (setting: {setting})") from error
            time.sleep(0.05)


def _reason(error: OSError) -> str:
    return {errno.EADDRINUSE: "another program is using this port",
            errno.EACCES: "ports below 1024 need more rights; choose a higher one, or put a proxy in front",
            errno.EADDRNOTAVAIL: "this machine has no such address"}.get(error.errno or 0, error.strerror or str(error))


def bound(listener: socket.socket, address: Address) -> Address:
    """The address with the port that the system chose when it was 0."""
    return Address(address.host, listener.getsockname()[1])
