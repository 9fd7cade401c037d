"""The metadata database on both engines: every test that takes ``database`` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.meta import buckets, database, models, tables
from shared.meta.buckets import BucketInfo
from tests.engines import PostgresServer, postgres_server


@dataclass
class Opened:
    """An opened, migrated and empty metadata database."""

    engine: str
    url: str
    data_dir: Path

    @property
    def is_sqlite(self) -> bool:
        return self.engine == "sqlite"

    def empty(self) -> None:
        """Remove every row, for tests that need many fresh starts."""
        with database.transaction():
            for table in tables.ALL:
                table.delete().execute()
            models.db.execute_sql("DELETE FROM search_words")
            models.Change.insert(id=1, value=0).execute()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: PostgresServer) -> str:
    """One migrated database for the session; tests empty it."""
    return postgres.fresh_database()


@pytest.fixture(name="database", params=["sqlite", "postgresql"])
def _open(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    engine = str(request.param)
    url = "" if engine == "sqlite" else request.getfixturevalue("postgres_url")
    database.connect(url, tmp_path)
    database.migrate()
    database.connection()
    opened = Opened(engine, url, tmp_path)
    if not opened.is_sqlite:
        opened.empty()
    yield opened
    database.hang_up()
    database.dispose()


@pytest.fixture
def new_bucket(database: Opened) -> Callable[..., BucketInfo]:
    """Make buckets: ``new_bucket(versioning=models.VERSIONING_ENABLED)``."""

    def make(name: str = "", versioning: int = models.VERSIONING_OFF) -> BucketInfo:
        name = name or f"bucket-{os.urandom(4).hex()}"
        made, created = buckets.create(name, 1)
        assert created
        if versioning != models.VERSIONING_OFF:
            buckets.set_versioning(made, versioning)
        found = buckets.find(name)
        assert found is not None
        return found

    return make


@pytest.fixture
def bucket(new_bucket: Callable[..., BucketInfo]) -> BucketInfo:
    return new_bucket()
