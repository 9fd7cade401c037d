"""What a start refuses before it does harm: a foreign database, a lost master key."""

import pytest

from shared import app
from shared.auth.sealing import KeyUnusable
from shared.meta import database
from shared.settings import load


@pytest.fixture(autouse=True)
def closed():
    yield
    database.dispose()


def settings(folder, **more):
    return load({"data_dir": str(folder), **more}, {})


def test_the_first_start_makes_credentials_and_the_second_does_not(tmp_path):
    made = app.prepare(settings(tmp_path))
    assert made and made[0].startswith("AKIA") and len(made[1]) == 40
    assert app.prepare(settings(tmp_path)) is None


def test_a_data_folder_is_not_used_with_a_foreign_database(tmp_path):
    """To an empty database every file would be an orphan."""
    app.prepare(settings(tmp_path / "data"))
    with pytest.raises(app.WrongInstallation, match="MAXIOFS_DATABASE_URL"):
        app.prepare(settings(tmp_path / "data", database_url=f"sqlite://{tmp_path}/typo.db"))
    assert app.prepare(settings(tmp_path / "data")) is None


def test_a_database_may_have_a_second_data_folder(tmp_path):
    url = f"sqlite://{tmp_path}/shared.db"
    key = "11" * 32
    first, second = (load({"data_dir": str(tmp_path / name), "database_url": url}, {"MAXIOFS_MASTER_KEY": key}) for name in "ab")
    assert app.prepare(first)
    assert app.prepare(second) is None


def test_a_lost_master_key_is_said_at_start(tmp_path):
    app.prepare(settings(tmp_path))
    (tmp_path / "master.key").unlink()
    with pytest.raises(KeyUnusable, match="root reset"):
        app.prepare(settings(tmp_path))
    access_key, secret = app.reset_root(settings(tmp_path))
    assert access_key.startswith("AKIA") and secret
    assert app.prepare(settings(tmp_path)) is None


def test_a_failed_start_binds_the_data_folder_to_nothing(tmp_path):
    app.prepare(settings(tmp_path / "a"))
    with pytest.raises(KeyUnusable):
        app.prepare(settings(tmp_path / "b", database_url=f"sqlite://{tmp_path}/a/maxiofs.db"))
    assert app.prepare(settings(tmp_path / "b"))


def test_given_root_credentials_do_not_overwrite_those_of_another_installation(tmp_path):
    """An empty data folder (not mounted, mistyped) with the database of an installation whose secrets it cannot open."""
    app.prepare(settings(tmp_path / "a"))
    given = {"root_access_key": "AKIAEXAMPLEEXAMPLE12", "root_secret_key": "s" * 40}
    with pytest.raises(KeyUnusable):
        app.prepare(settings(tmp_path / "b", database_url=f"sqlite://{tmp_path}/a/maxiofs.db", **given))
    assert app.prepare(settings(tmp_path / "a")) is None


def test_a_foreign_database_is_not_migrated(tmp_path):
    app.prepare(settings(tmp_path / "data"))
    database.dispose()
    with pytest.raises(app.WrongInstallation):
        app.prepare(settings(tmp_path / "data", database_url=f"sqlite://{tmp_path}/typo.db"))
    with database.session():
        assert not database.db.obj.get_tables()
