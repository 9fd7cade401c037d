"""Real servers on free ports."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from wire_app import App, Client

from shared.host.contract import Limits
from shared.host.server import create_server


class Running(SimpleNamespace):
    """A server in a thread of this process, its application and its folder."""

    def connect(self, rcvbuf: int | None = None) -> Client:
        client = Client(self.port, rcvbuf)
        self.clients.append(client)
        return client

    def staged(self) -> tuple[int, int]:
        """Files in the staging folder, and descriptors of this process that point into it."""
        links = [self._link(fd) for fd in os.listdir("/proc/self/fd")]
        return len(os.listdir(self.folder)), sum(str(self.folder) in link for link in links)

    def nothing_staged(self, within_s: float = 3.0) -> bool:
        return eventually(lambda: self.staged() == (0, 0), within_s)

    @staticmethod
    def _link(fd: str) -> str:
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            return ""


def eventually(check: Callable[[], Any], within_s: float = 3.0) -> bool:
    end = time.monotonic() + within_s
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start a server: ``start(app=…, fast=…, slow=…, **limits)``."""
    running: list[Running] = []

    def begin(app: Any = None, fast: int = 2, slow: int = 8, connection_limit: int = 1000, **limits: Any) -> Running:
        folder = tmp_path / f"staging{len(running)}"
        folder.mkdir()
        app = app or App(folder)
        sock = socket.create_server(("127.0.0.1", 0))
        server = create_server(
            app, [sock], fast=fast, slow=slow, limits=Limits(**limits), connection_limit=connection_limit
        )
        thread = threading.Thread(target=server.run, name="io", daemon=True)
        thread.start()
        running.append(Running(app=app, folder=folder, server=server, thread=thread, port=server.ports[0], clients=[]))
        return running[-1]

    yield begin
    for item in running:
        for client in item.clients:
            client.socket.close()
        if isinstance(item.app, App):
            item.app.hold.set()
            item.app.hold_gate.set()
        item.server.drain(3)
        item.thread.join(10)
        assert not item.thread.is_alive()


@pytest.fixture
def server(start: Callable[..., Running]) -> Running:
    return start()
