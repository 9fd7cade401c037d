"""A running server and clients of its admin API."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.admin import people_world
from tests.admin.admin_client import Api
from tests.running import RunningServer


@pytest.fixture(scope="session")
def anonymous(server: RunningServer) -> Api:
    """A client that has not signed in."""
    return Api(server)


@pytest.fixture(scope="session")
def api(server: RunningServer) -> Api:
    """Root's client, signed in with its access key and secret."""
    return Api(server).sign_in(server.access_key, server.secret_key)


@pytest.fixture
def sign_in(server: RunningServer) -> Callable[[str, str], Api]:
    """Sign in as somebody else: ``sign_in(username, password)``."""
    return lambda username, password: Api(server).sign_in(username, password)


@pytest.fixture(scope="session")
def world(api: Api) -> people_world.World:
    """Two tenants and the installation, each with people in it."""
    return people_world.make(api)
