"""Tags and ACLs of an object that is overwritten at that very moment."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared import app, settings
from shared.errors import NoSuchKey, S3Error
from shared.meta import buckets, database, labels, objects


@pytest.fixture
def running(tmp_path: Path) -> Iterator[app.App]:
    """An installation in this process, with an object ``k`` in a bucket with ACLs."""
    with closing(app.build(settings.load({"data_dir": str(tmp_path)}, {}))) as built, database.session():
        built.invoke("s3.CreateBucket", {"Bucket": "bucket", "ObjectOwnership": "ObjectWriter"})
        built.invoke("s3.PutObject", {"Bucket": "bucket", "Key": "k"}, io.BytesIO(b"x"))
        yield built


def ask(running: app.App, what: str) -> objects.Found | None:
    more = {"tags": ("s3.PutObjectTagging", {"Tagging": {"TagSet": [{"Key": "a", "Value": "1"}]}}),
            "acl": ("s3.PutObjectAcl", {"ACL": "authenticated-read"})}[what]
    running.invoke("s3.PutPublicAccessBlock", {"Bucket": "bucket", "PublicAccessBlockConfiguration": {}})
    running.invoke(more[0], {"Bucket": "bucket", "Key": "k", **more[1]})
    return objects.find(_bucket_id(), b"k")


def _bucket_id() -> int:
    found = buckets.find("bucket")
    assert found is not None
    return found.id


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Do something between finding the version and labelling it, so many times."""

    def set_up(change: Any, times: int) -> None:
        real, left = labels.replace, [times]

        def replace(*args: Any, **more: Any) -> None:
            if left[0]:
                left[0] -= 1
                change()
            real(*args, **more)

        monkeypatch.setattr(labels, "replace", replace)

    return set_up


def overwrite() -> None:
    objects.put(_bucket_id(), objects.NewVersion(b"k", 0, "e", 1))


@pytest.mark.parametrize("what", ["tags", "acl"])
def test_the_new_object_is_labelled(running: app.App, meanwhile: Any, what: str) -> None:
    """It was there all the time, so nobody may be told that it is not."""
    meanwhile(overwrite, 1)
    found = ask(running, what)
    assert found is not None and found.etag == "e"
    assert {"tags": found.tags_json, "acl": found.acl_json}[what]


def test_one_that_is_overwritten_all_the_time_is_not_missing(running: app.App, meanwhile: Any) -> None:
    meanwhile(overwrite, 100)
    with pytest.raises(S3Error) as raised:
        ask(running, "tags")
    assert raised.value.status == 503


def test_a_deleted_one_is_missing(running: app.App, meanwhile: Any) -> None:
    meanwhile(lambda: objects.delete(_bucket_id(), b"k", None, 1), 1)
    with pytest.raises(NoSuchKey):
        ask(running, "tags")
