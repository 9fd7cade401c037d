"""Search in the admin API."""

from __future__ import annotations

import sqlite3
import time

import pytest

from shared.clock import now_ms
from tests.admin.admin_client import Api, unique
from tests.admin.people_world import new_user, policy_for, signed_in


def keys(api: Api, bucket: str, **query) -> list[str]:
    found, cursor, first = [], None, True
    while first or cursor:
        page = api.ok.get(f"/buckets/{bucket}/search", **query, **({"cursor": cursor} if cursor else {}))
        found += [one["key"] for one in page["items"]]
        cursor, first = page["next_cursor"], False
    return found


@pytest.fixture
def filled(api: Api, s3, bucket) -> str:
    """A bucket with three objects, and an index that has caught up: other tests leave it more than a search brings in by itself."""
    s3.put_object(Bucket=bucket, Key=REPORT, Body=b"1234567890", ContentType="application/pdf", Metadata={"by": "Ann Bell"})
    s3.put_object(Bucket=bucket, Key="photos/cat.jpg", Body=b"1", ContentType="image/jpeg", Tagging="colour=dark%20blue&n=1")
    s3.put_object(Bucket=bucket, Key="photos/dog.jpg", Body=b"12345", ContentType="image/jpeg", Tagging="colour=red")
    deadline = time.monotonic() + 30
    while len(keys(api, bucket)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return bucket


REPORT, CAT, DOG = "reports/Übersicht 2026.pdf", "photos/cat.jpg", "photos/dog.jpg"


@pytest.mark.parametrize(("query", "wanted"), [
    ({"q": "UBERSICHT"}, [REPORT]), ({"q": "2026 rep"}, [REPORT]), ({"q": "ann"}, [REPORT]), ({"q": "blue"}, [CAT]),
    ({"q": "colour"}, [CAT, DOG]),
    ({"q": "nothing"}, []), ({"q": "jpg", "prefix": "photos/d"}, [DOG]), ({"tag": "colour:dark blue"}, [CAT]), ({"tag": "colour:dark"}, []),
    ({"tag": ["colour:dark blue", "n:1"]}, [CAT]), ({"tag": ["colour:red", "n:1"]}, []), ({"content_type": "image/JPEG; x"}, [CAT, DOG]),
    ({"min_size": 5}, [REPORT, DOG]), ({"max_size": 5, "q": "photos"}, [CAT, DOG]), ({"min_size": 2, "max_size": 9}, [DOG]),
    ({"modified_after": 1 << 50}, []), ({"modified_before": 1}, []), ({}, [REPORT, CAT, DOG]), ({"q": "0b1"}, [])], ids=str)
def test_what_is_found(api: Api, filled, query, wanted):
    assert keys(api, filled, **query) == wanted
    assert keys(api, filled, **query, limit=1) == wanted


def test_what_was_just_done_is_found(api: Api, s3, filled):
    moment_ms = now_ms() - 1
    s3.put_object(Bucket=filled, Key="late", Body=b"", Metadata={"x": "marmalade"})
    assert keys(api, filled, q="marmalade") == keys(api, filled, q="marmalade", modified_after=moment_ms) == ["late"]
    s3.put_object_tagging(Bucket=filled, Key="late", Tagging={"TagSet": [{"Key": "k", "Value": "honey"}]})
    assert keys(api, filled, q="honey marm") == ["late"]
    s3.copy_object(Bucket=filled, Key="copy", CopySource=f"{filled}/late")
    s3.delete_object(Bucket=filled, Key="late")
    assert keys(api, filled, q="marmalade") == ["copy"]


def test_many_changes_are_followed_in_a_while(api: Api, s3, bucket):
    for number in range(450):
        s3.put_object(Bucket=bucket, Key=f"many {number}", Body=b"")
    deadline = time.monotonic() + 30
    while len(keys(api, bucket, q="many")) < 450:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(set(keys(api, bucket, q="many", limit=100))) == 450


@pytest.mark.parametrize("wrong", [
    {"q": "---"}, {"q": " ".join("abcdefghijklmnopqrstu")}, {"tag": "x"}, {"min_size": -1}, {"limit": 0}, {"q": "x" * 501}, {"size": 1},
    {"cursor": "x"}], ids=str)
def test_wrong_wishes(api: Api, bucket, wrong):
    answer = api.get(f"/buckets/{bucket}/search", **wrong)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["?" + next(iter(wrong))])


def test_nobody_finds_what_they_may_not_read(api: Api, s3, filled):
    """The key is for who lists; metadata and media type for who reads the object, tags for who reads those."""
    def client(*actions: str, on: str = "*", **more) -> Api:
        user, document = new_user(api), policy_for(*actions)
        document["Statement"][0] |= {"Resource": on, **more}
        api.ok.put(f"/users/{user['id']}/policies/" + api.ok.post("/policies", {"name": unique("p"), "document": document})["name"])
        return signed_in(api, user)

    lists, reads = client("s3:ListBucket"), client("s3:ListBucket", "s3:GetObject")
    reads_tags, sees_reports = client("s3:List*", "s3:Get*"), client("s3:ListBucket", Condition={"StringLike": {"s3:prefix": "reports/*"}})
    table = {
        "cat": ([CAT], [CAT], [CAT]), "ann": ([], [REPORT], [REPORT]), "blue": ([], [], [CAT]), "photos blue": ([], [], [CAT])}
    for q, wanted in table.items():
        assert tuple(keys(one, filled, q=q) for one in (lists, reads, reads_tags)) == wanted, q
    for query, wanted in (({"content_type": "image/jpeg"}, ([], [CAT, DOG], [CAT, DOG])), ({"tag": "colour:red"}, ([], [], [DOG]))):
        assert tuple(keys(one, filled, **query) for one in (lists, reads, reads_tags)) == wanted, query
    assert sees_reports.get(f"/buckets/{filled}/search", q="cat").status_code == 403
    assert keys(sees_reports, filled, prefix="reports/") == [REPORT]
    assert keys(sees_reports, filled, prefix="reports/", q="cat") == []


def test_a_search_answers_while_nobody_can_write(api: Api, s3, filled):
    """The disk may be full, or a backup may hold the database: what the index has is found all the same."""
    assert keys(api, filled, q="photos") == [CAT, DOG]
    s3.put_object(Bucket=filled, Key="photos/eel.jpg", Body=b"1")
    other = sqlite3.connect(api.server.data_dir / "maxiofs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert keys(api, filled, q="photos") == [CAT, DOG]
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert keys(api, filled, q="photos") == [CAT, DOG, "photos/eel.jpg"]
