"""The migrations make what models.py says, on both engines, and a database of a newer release is left alone."""

import importlib.util
import threading

import pytest
from peewee import SqliteDatabase

from shared.meta import database as metadata
from shared.meta import models, tables
from shared.meta.database import NewerDatabase, migrate


def _shape(db):
    """Tables with their columns, keys and indexes, as the engine itself tells."""
    shape = {}
    for table in sorted(db.get_tables()):
        if table == "schema_migration" or table.startswith("search_words"):     # which is each engine's own
            continue
        columns = [(column.name, str(column.data_type).lower(), column.null, column.primary_key) for column in db.get_columns(table)]
        indexes = sorted((tuple(index.columns), index.unique, (index.sql or "").partition(" WHERE ")[2]) for index in db.get_indexes(table))
        shape[table] = (columns, indexes, db.get_primary_keys(table))
    return shape


def _without_rowid(db):
    tables = db.execute_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'search_words%'")
    return {name for name, sql in tables if "WITHOUT ROWID" in sql.upper()}


def test_the_migrations_make_what_the_models_say(database, tmp_path):
    migrated = _shape(models.db)
    rowid = _without_rowid(models.db) if database.is_sqlite else None
    models.db.drop_tables(tables.ALL)
    flags = {table: table._meta.without_rowid for table in tables.ALL}
    try:
        for table in tables.ALL:
            table._meta.without_rowid &= database.is_sqlite
        models.db.create_tables(tables.ALL)
        assert _shape(models.db) == migrated
        assert set(migrated) == {table._meta.table_name for table in tables.ALL}
        if database.is_sqlite:
            assert _without_rowid(models.db) == rowid
    finally:
        for table, flag in flags.items():
            table._meta.without_rowid = flag
        models.db.execute_sql("DROP TABLE search_words")
        _migration("0003_links_and_search").add_index(models.db.obj)        # the triggers went with their table


def _migration(name):
    spec = importlib.util.spec_from_file_location(name, metadata.MIGRATIONS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_migrating_twice_changes_nothing(database):
    assert migrate() == []
    assert models.Change.select().count() == 1


def test_two_processes_may_migrate_at_the_same_time(tmp_path):
    metadata.connect("", tmp_path)
    results, errors = [], []

    def run():
        try:
            results.append(migrate())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    metadata.dispose()
    assert not errors
    assert sorted(map(len, results)) == [0, 0, 0, len(list(metadata.MIGRATIONS.glob("[0-9]*.py")))]


def test_a_database_of_a_newer_release_is_refused(database):
    models.db.execute_sql("INSERT INTO schema_migration (name, applied) VALUES ('9999_future', '2099-01-01 00:00:00')")
    try:
        with pytest.raises(NewerDatabase, match="9999_future"):
            migrate()
    finally:
        models.db.execute_sql("DELETE FROM schema_migration WHERE name = '9999_future'")


def test_listings_never_read_past_the_small_columns():
    """In SQLite a column behind a long one costs the pages between: headers, metadata and what came later come last in their tables."""
    for table in (models.Object, models.Version):
        assert [field.name for field in table._meta.sorted_fields][-6:] == ["headers", "metadata", "tags", "acl", "lock", "sse"]


def test_the_migration_stands_by_itself(tmp_path):
    """A migration that imported the models would change under the feet of old databases."""
    for path in metadata.MIGRATIONS.glob("[0-9]*.py"):
        assert "shared" not in path.read_text().replace("shared/meta/models.py", "")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    assert isinstance(SqliteDatabase(":memory:"), SqliteDatabase)
