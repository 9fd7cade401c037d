"""A database, a queue and an engine of their own for each test."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from shared import queue
from shared.blobs.disk import DiskEngine
from shared.meta import database, people
from workflows import registry
from workflows.registry import Context, workflow

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "")      # a server where databases may be created, as postgresql://user@host:port


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES else ["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    name = "test_" + secrets.token_hex(6)
    with psycopg.connect(POSTGRES + "/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"{POSTGRES}/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def opened(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The database, migrated, and a queue."""
    database.connect(database_url, tmp_path)
    database.migrate()
    queue.configure("", tmp_path)
    with database.session():
        yield database_url
    queue.close()
    database.dispose()


class Rings(list):
    """Every ring since the test began, as they left the request side."""


@pytest.fixture
def rings(opened: str, monkeypatch: pytest.MonkeyPatch) -> Rings:
    heard = Rings()
    monkeypatch.setattr(queue.doorbell(), "ring", heard.append)
    return heard


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DiskEngine]:
    made = DiskEngine(tmp_path)
    yield made
    made.close()


@pytest.fixture
def context(opened: str, engine: DiskEngine) -> Context:
    people.create_root()        # the sweep takes no file that is older than the database
    return Context(SimpleNamespace(sweep_delay_s=3600, upload_expiry_s=7 * 86400), engine)


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Declare a workflow for this test only."""
    monkeypatch.setattr(registry, "_workflows", dict(registry.declared()))

    def now(name: str, step: registry.Step, **options: object) -> None:
        step.__doc__ = step.__doc__ or "A step of a test."
        workflow(name, **options)(step)

    return now
