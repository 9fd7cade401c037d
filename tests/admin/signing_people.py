"""A server of its own for tests of signing in, which must neither slow down nor lock out the others; and people who sign in to it."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyotp
import pytest
import requests

from tests.admin.admin_client import Api, unique
from tests.running import RunningServer

PASSWORD = "Correct-horse-1"
_addresses = (f"198.51.{number // 250}.{number % 250 + 1}" for number in itertools.count())


class Guarded:
    """The server, root's client, and a client from an address nobody else uses: the server believes X-Forwarded-For."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.used_code = ""
        self.root = self.client().sign_in(server.access_key, server.secret_key)

    def client(self, address: str = "", **headers: str) -> Api:
        """Somebody who has not signed in."""
        made = Api(self.server)
        made.http.headers.update({"X-Forwarded-For": address or next(_addresses), **headers})
        return made

    def person(self, **fields: Any) -> tuple[str, int]:
        """Make a user with PASSWORD; returns name and id."""
        made = self.root.ok.post("/users", {"username": unique("p"), "password": PASSWORD, **fields})
        return made["username"], made["id"]

    def signed_in(self, **fields: Any) -> Api:
        """A new user's client."""
        return self.client().sign_in(self.person(**fields)[0], PASSWORD)

    def log_in(self, name: str, password: str = PASSWORD, address: str = "") -> requests.Response:
        """One attempt."""
        return self.client(address).post("/auth/login", {"username": name, "password": password})

    @contextmanager
    def setting(self, **values: Any) -> Iterator[None]:
        """Change settings of the category ``security`` for a block."""
        before = {row["key"]: row["value"] for row in self.root.ok.get("/settings", category="security")["items"]}
        names = [f"security.{name}" for name in values]
        self.change(dict(zip(names, values.values(), strict=True)))
        try:
            yield
        finally:
            self.change({name: before[name] for name in names})

    def change(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            self.root.ok.put(f"/settings/{name}", {"value": value})

    def sql(self, text: str, *values: Any) -> list[Any]:
        """Look into the database, or move its clock."""
        connection = sqlite3.connect(self.server.data_dir / "maxiofs.db", timeout=10)
        try:
            with connection:
                return connection.execute(text, values).fetchall()
        finally:
            connection.close()

    def with_factor(self, client: Api, password: str = PASSWORD) -> tuple[str, list[str]]:
        """Switch two-factor authentication on; returns the secret and the backup codes. ``used_code`` has had its use."""
        secret = client.ok.post("/auth/2fa/setup", {"password": password})["secret"]
        self.used_code = code_of(secret)
        return secret, client.ok.post("/auth/2fa/enable", {"code": self.used_code})["backup_codes"]


def code_of(secret: str, steps: int = 0) -> str:
    """The app's code, so many steps from now."""
    return pyotp.TOTP(secret).at(int(time.time()) + 30 * steps)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with RunningServer(processes=1, environ={"MAXIOFS_TRUSTED_PROXIES": "127.0.0.1"}) as server:
        yield Guarded(server)


def refused(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The document of an error, which must be this one."""
    document: dict[str, Any] = answer.json() if answer.content else {}
    assert (answer.status_code, document.get("code")) == (status, code), answer.text
    return document
