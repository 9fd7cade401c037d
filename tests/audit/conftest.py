"""An audit log on both engines, and ways to break into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.audit import Event
from shared.audit.store import Store
from tests.engines import PostgresServer, postgres_server

KEY = b"k" * 32


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(name="store", params=["sqlite", "postgresql"])
def _store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres").fresh_database()
    opened = Store(url, tmp_path, KEY)
    yield opened
    opened.close()


@pytest.fixture
def sql(store: Store) -> Callable[..., None]:
    """Change the database as somebody who is not us."""

    def execute(text: str, *params: object) -> None:
        with store.session():
            store.database.execute_sql(text.replace("?", store.database.param), params)

    return execute


@pytest.fixture
def filled(store: Store) -> Store:
    """A log of 20 events in 4 batches."""
    for batch in range(4):
        store.append([
            Event("user_created", "user", str(number), f"ann-{number}", "create", username="root", tenant_id=number % 2,
                  at_ms=1000 + number)
            for number in range(5 * batch, 5 * batch + 5)
        ])
    return store
