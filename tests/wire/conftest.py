"""Real servers on free ports."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wire_app import App, Running

from shared.host.contract import Limits
from shared.host.server import create_server


@pytest.fixture(params=["fast", "now"])
def start(tmp_path: Path, request: Any) -> Iterator[Callable[..., Running]]:
    """Start a server: ``start(app=…, fast=…, slow=…, **limits)``. Reads are answered by a worker thread, or by the I/O thread."""
    running: list[Running] = []

    def begin(app: Any = None, fast: int = 2, slow: int = 8, connection_limit: int = 1000, **limits: Any) -> Running:
        folder = tmp_path / f"staging{len(running)}"
        folder.mkdir()
        app = app or App(folder, reads=request.param)
        sock = socket.create_server(("127.0.0.1", 0))
        server = create_server(app, [sock], fast=fast, slow=slow, limits=Limits(**limits), connection_limit=connection_limit)
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
