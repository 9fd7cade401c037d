"""What is written to an object while it is renamed is not lost."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared import app, settings
from shared.admin import s3
from shared.meta import buckets, database, labels, objects
from tests.engines import postgres_server


@pytest.fixture(params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[app.App]:
    """An installation in this process, with an object ``old`` in a bucket."""
    if request.param == "sqlite":
        yield from _opened(tmp_path, "")
        return
    with postgres_server() as postgres:
        yield from _opened(tmp_path, postgres.fresh_database())


def _opened(data_dir: Path, url: str) -> Iterator[app.App]:
    with closing(app.build(settings.load({"data_dir": str(data_dir), "database_url": url}, {}))) as built, database.session():
        built.invoke("s3.CreateBucket", {"Bucket": "bucket"})
        built.invoke("s3.PutObject", {"Bucket": "bucket", "Key": "old", "Metadata": {"n": "1"}}, io.BytesIO(b"same"))
        yield built


def bucket_id() -> int:
    found = buckets.find("bucket")
    assert found is not None
    return found.id


def overwrite() -> None:
    """The same bytes, so that the ETag is the same, with other metadata."""
    found = objects.find(bucket_id(), b"old")
    objects.put(bucket_id(), objects.NewVersion(b"old", 0, "51037a4a37730f52c8732586d3aaa316", found.owner_id if found else 1,
                                                metadata={"n": "2"}))


def tag() -> None:
    found = objects.find(bucket_id(), b"old")
    assert found is not None
    labels.replace(bucket_id(), b"old", found, tags='{"t":"2"}')


@pytest.mark.parametrize("change", [overwrite, tag])
def test_a_change_between_copy_and_delete_is_not_lost(running: app.App, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    threads: list[threading.Thread] = []
    real = s3.make

    def work() -> None:
        with database.session():
            try:
                change()
                done.append("done")
            except Exception as error:
                done.append(type(error).__name__)

    def make(call: Any, bucket: Any = None) -> Any:
        made = real(call, bucket)
        if call.function.name == "CopyObject":
            threads.append(threading.Thread(target=work))
            threads[-1].start()
            threads[-1].join(1)
        return made

    monkeypatch.setattr(s3, "make", make)
    running.invoke("admin.rename_object", {"bucket": "bucket", "key": "old", "new_key": "new"})
    threads[0].join()
    found = [objects.find(bucket_id(), key) for key in (b"old", b"new")]
    seen = [(one.metadata, one.tags_json) for one in found if one is not None]
    if done == ["done"]:
        assert ({"n": "2"}, None) in seen or ({"n": "1"}, '{"t":"2"}') in seen, f"what was acknowledged is gone: {seen}"
    assert found[1] is not None and done
