"""Folders as ZIP files."""

from __future__ import annotations

import io
import os
import time
import zipfile
from types import SimpleNamespace

import pytest

from functions.admin import downloads
from shared.errors import AccessDenied
from shared.zipped import Entry, safe_name, stream
from tests.admin.admin_client import Api


def opened(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_folder_comes_with_all_that_is_below_it(api: Api, s3, bucket):
    large = os.urandom(3_000_000)
    for key, body in (("a/f/1.txt", b"one"), ("a/f/ü/2", b""), ("a/f/large", large), ("a/f/folder/", b""), ("a/g", b"not this"),
                      ("a/f/../../etc/passwd", b"x")):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    answer = api.get(f"/buckets/{bucket}/download-zip", prefix="a/f/")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''f.zip"
    assert opened(answer.content) == {"1.txt": b"one", "ü/2": b"", "large": large, "_/_/etc/passwd": b"x"}


def test_a_whole_bucket_and_an_empty_folder(api: Api, s3, bucket):
    for key in ("open", "closed"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert opened(api.get(f"/buckets/{bucket}/download-zip").content) == {"open": b"x", "closed": b"x"}
    assert api.get("/buckets/no-such-bucket-here/download-zip").status_code == 404
    assert opened(api.get(f"/buckets/{bucket}/download-zip", prefix="none").content) == {}


@pytest.mark.parametrize(("key", "name"), [
    ("/etc/passwd", "etc/passwd"), ("../x", "_/x"), ("a/./b", "a/_/b"), ("C:\\x", "C__x"), ("a//b", "a/b"), ("...", "_"), ("", "_"),
    ("nul\0\n", "nul__"), ("ends. ", "ends"), ("x" * 1000, "x" * 200),
])
def test_names_are_safe_to_unpack(key, name):
    assert safe_name(key) == name


def test_names_that_would_be_the_same_get_numbers():
    made = b"".join(stream([Entry("a.txt", 0, [b"1"]), Entry("A.txt", 0, [b"2"]), Entry("/a.txt", 9e9, [b"3"]), Entry("..", 0, []),
                            Entry("_", 0, [])]))
    assert opened(made) == {"a.txt": b"1", "A (2).txt": b"2", "a (3).txt": b"3", "_": b"", "_ (2)": b""}


def test_many_keys_that_come_to_one_name_do_not_take_for_ever():
    started = time.monotonic()
    made = b"".join(stream(Entry("a" + chr(1 + number % 9), 0, []) for number in range(20_000)))
    assert len(made) > 20_000 and time.monotonic() - started < 10       # each compared with each: half a minute and more


def test_what_is_missing_is_named_up_to_a_bound(monkeypatch):
    def refused(*_):
        raise AccessDenied()

    rows = [SimpleNamespace(key=b"k%d" % number, size=1) for number in range(5)]
    monkeypatch.setattr(downloads, "MOST_MISSING", 2)
    monkeypatch.setattr(downloads.listing, "current_objects", lambda *_: SimpleNamespace(rows=rows, truncated=False, last=None))
    monkeypatch.setattr(downloads.s3, "prepare", refused)
    call = SimpleNamespace(bucket=SimpleNamespace(id=1, name="b"))
    assert [b"".join(one.blocks) for one in downloads._entries(None, call, "")] == [b"k0: AccessDenied\nk1: AccessDenied\nand 3 more\n"]
