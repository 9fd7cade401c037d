"""A small JSON client of the admin API, and names for what tests make."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import requests

from tests.running import RunningServer


class Api:
    """A small JSON client of one server: bearer token, cookie and CSRF token as signing in gave them.

    ``api.get("/users", limit=2)`` returns the requests.Response; paths are below /api/v1. ``api.ok.get(…)`` raises for a status of 400
    and more and returns the document.
    """

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.http = requests.Session()
        self.http.trust_env = False
        self.csrf = ""
        self.patient = True

    @property
    def ok(self) -> Certain:
        return Certain(self)

    def ask(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        """Send one request; ``body`` is a document, or bytes as they are."""
        sent = {**({"X-CSRF-Token": self.csrf} if self.csrf else {}), **(headers or {})}
        content: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        if isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
        url = self.server.console_url + ("" if path.startswith("/api/") else "/api/v1") + path
        answer = self.http.request(method, url, headers=sent, params=query, timeout=30, allow_redirects=False, **content)
        if answer.status_code == 429 and self.patient and not path.startswith(("/auth/login", "/auth/2fa")):     # tests are fast
            time.sleep(1.1)
            answer = self.http.request(method, url, headers=sent, params=query, timeout=30, allow_redirects=False, **content)
        return answer

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.ask("GET", path, **query)

    def post(self, path: str, body: Any = None, **query: Any) -> requests.Response:
        return self.ask("POST", path, body, **query)

    def put(self, path: str, body: Any = None, **query: Any) -> requests.Response:
        return self.ask("PUT", path, body, **query)

    def patch(self, path: str, body: Any = None, **query: Any) -> requests.Response:
        return self.ask("PATCH", path, body, **query)

    def delete(self, path: str, **query: Any) -> requests.Response:
        return self.ask("DELETE", path, **query)

    def at_once(self, path: str, number: int) -> list[requests.Response]:
        """That many GETs at the same time: one after another they may take longer than what a test counts within."""
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(lambda _: self.get(path), range(number)))

    def sign_in(self, username: str, password: str) -> Api:
        """Sign in with a cookie, or fail the test."""
        answer = self.post("/auth/login", {"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        self.csrf = answer.json().get("csrf_token") or ""
        return self


class Certain:
    """The same calls, for those that must succeed: they return the document (None for 204)."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            answer: requests.Response = getattr(self._api, name)(*arguments, **options)
            assert answer.status_code < 400, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
            return answer.json() if answer.content else None

        return call


def segment(text: str) -> str:
    """A name or key as one part of a path."""
    return quote(text, safe="")


def unique(prefix: str = "n") -> str:
    """A name nobody else uses."""
    return f"{prefix}-{os.urandom(6).hex()}"
