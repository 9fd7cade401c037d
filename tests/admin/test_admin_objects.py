"""Objects in the admin API."""

from __future__ import annotations

import pytest
import requests

from tests.admin.admin_client import Api, segment
from tests.admin.people_world import PASSWORD

KEYS = ["plain", "a/b/c", "a//b", "/lead", "trail/", "ünï/日本", "%2F", "a b+c", "?q#f", "x\n\x01", "\0nul", "a/../b", "tags",
        "x" * 1024]


def refused(answer, status: int, code: str) -> dict:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()["fields"]


def path(bucket: str, key: str, rest: str = "") -> str:
    return f"/buckets/{bucket}/objects/{segment(key)}{rest}"


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_any_key_is_one_part_of_the_path(api: Api, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"1234", ContentType="text/x-test", Metadata={"who": "me"}, CacheControl="no-cache")
    found = api.ok.get(path(bucket, key))
    assert (found["key"], found["size"], found["content_type"]) == (key, 4, "text/x-test")
    assert found["metadata"] == {"who": "me"} and found["headers"]["Cache-Control"] == "no-cache" and found["is_latest"]
    assert [one["key"] for one in api.ok.get(path(bucket, key, "/versions"))["items"]] == [key]
    assert api.ok.put(path(bucket, key, "/tags"), {"tags": {"k": "v"}})["tags"] == {"k": "v"}
    assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "k", "Value": "v"}]
    url = api.ok.post(path(bucket, key, "/presigned-url"), {"endpoint": api.server.url})["url"]
    assert fetched(url) == b"1234"
    assert api.ok.delete(path(bucket, key))["version_id"] is None
    refused(api.get(path(bucket, key)), 404, "NoSuchKey")


def fetched(url: str) -> bytes:
    """What urllib gets: requests would tidy the path up."""
    from http.client import HTTPConnection

    host, _, rest = url.removeprefix("http://").partition("/")
    conn = HTTPConnection(host, timeout=10)
    conn.request("GET", "/" + rest)
    answer = conn.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return body


@pytest.mark.parametrize("key", ["", "x" * 1025])
def test_what_cannot_be_a_key_is_not_found(api: Api, bucket, key):
    assert api.get(path(bucket, key)).status_code == 404 or key == ""


def test_objects_are_listed_in_pages_and_folders(api: Api, s3, bucket):
    for key in ("a/1", "a/2", "b", "c/1", "d"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    found, prefixes, cursor, pages = [], [], None, 0
    while pages == 0 or cursor:
        page = api.ok.get(f"/buckets/{bucket}/objects", delimiter="/", limit=2, cursor=cursor)
        found += [one["key"] for one in page["items"]]
        prefixes += page["prefixes"]
        cursor, pages = page["next_cursor"], pages + 1
    assert (found, prefixes, pages) == (["b", "d"], ["a/", "c/"], 2)
    assert [one["key"] for one in api.ok.get(f"/buckets/{bucket}/objects", prefix="a/")["items"]] == ["a/1", "a/2"]


def test_versions_are_listed_in_pages(api: Api, s3, versioned):
    for body in (b"1", b"22", b"333"):
        s3.put_object(Bucket=versioned, Key="k", Body=body)
    s3.put_object(Bucket=versioned, Key="k2", Body=b"x")
    s3.delete_object(Bucket=versioned, Key="k")
    for where, wanted in ((f"/buckets/{versioned}/versions", 5), (path(versioned, "k", "/versions"), 4)):
        found, cursor, pages = [], None, 0
        while pages == 0 or cursor:
            page = api.ok.get(where, limit=2, cursor=cursor)
            found += page["items"]
            cursor, pages = page["next_cursor"], pages + 1
        assert [one["size"] for one in found][:4] == [0, 3, 2, 1] and len(found) == wanted
        assert [one["is_delete_marker"] for one in found][:2] == [True, False] and found[0]["is_latest"]


def test_a_version_and_a_deleted_object_are_restored(api: Api, s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="k/é", Body=b"one")["VersionId"]
    second = s3.put_object(Bucket=versioned, Key="k/é", Body=b"two")["VersionId"]
    refused(api.post(path(versioned, "k/é", "/restore"), {"version_id": second}), 409, "Conflict")
    made = api.ok.post(path(versioned, "k/é", "/restore"), {"version_id": first})
    assert made["version_id"] not in (first, second) and s3.get_object(Bucket=versioned, Key="k/é")["Body"].read() == b"one"
    marker = api.ok.delete(path(versioned, "k/é"))
    assert marker["is_delete_marker"]
    assert api.ok.post(path(versioned, "k/é", "/restore"), {"version_id": marker["version_id"]})["version_id"] == made["version_id"]
    assert s3.get_object(Bucket=versioned, Key="k/é")["Body"].read() == b"one"
    refused(api.post(path(versioned, "k/é", "/restore"), {"version_id": "nothing"}), 404, "NoSuchVersion")
    refused(api.post(path(versioned, "none", "/restore"), {"version_id": first}), 404, "NoSuchVersion")


def test_rename(api: Api, s3, bucket):
    s3.put_object(Bucket=bucket, Key="old/ä", Body=b"x", Metadata={"m": "1"}, Tagging="t=1")
    s3.put_object(Bucket=bucket, Key="taken", Body=b"mine")
    refused(api.post(path(bucket, "old/ä", "/rename"), {"new_key": "taken"}), 412, "PreconditionFailed")
    assert "new_key" in refused(api.post(path(bucket, "old/ä", "/rename"), {"new_key": "old/ä"}), 400, "InvalidFields")
    refused(api.post(path(bucket, "none", "/rename"), {"new_key": "other"}), 404, "NoSuchKey")
    assert api.ok.post(path(bucket, "old/ä", "/rename"), {"new_key": "new ö"})["key"] == "new ö"
    assert s3.head_object(Bucket=bucket, Key="new ö")["Metadata"] == {"m": "1"}
    assert s3.get_object_tagging(Bucket=bucket, Key="new ö")["TagSet"] == [{"Key": "t", "Value": "1"}]
    refused(api.get(path(bucket, "old/ä")), 404, "NoSuchKey")
    assert s3.get_object(Bucket=bucket, Key="taken")["Body"].read() == b"mine"


def test_a_presigned_url_is_good_for_its_method_only(api: Api, bucket):
    made = api.ok.post(path(bucket, "up", "/presigned-url"), {"method": "PUT", "expires_s": 60, "endpoint": api.server.url})
    assert requests.put(made["url"], data=b"sent", timeout=10).status_code == 200
    assert requests.get(made["url"], timeout=10).status_code == 403
    got = api.ok.post(path(bucket, "up", "/presigned-url"), {"endpoint": api.server.url, "download_as": "naïve.txt"})
    answer = requests.get(got["url"], timeout=10)
    assert answer.content == b"sent" and "na%C3%AFve.txt" in answer.headers["Content-Disposition"]
    for wrong in ({"expires_s": 0}, {"expires_s": 604801}, {"method": "POST"}, {"endpoint": "ftp://x"}, {"endpoint": "http://u:p@x"}):
        assert next(iter(wrong)) in refused(api.post(path(bucket, "up", "/presigned-url"), wrong), 400, "InvalidFields")


def test_a_folder_is_added_up(api: Api, s3, bucket):
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"f/{number}", Body=b"x" * number)
    s3.put_object(Bucket=bucket, Key="g", Body=b"xxxx")
    assert api.ok.get(f"/buckets/{bucket}/folder-size", prefix="f/") == {"objects": 3, "bytes": 3, "next_cursor": None}
    assert api.ok.get(f"/buckets/{bucket}/folder-size")["bytes"] == 7


def test_too_many_or_wrong_tags(api: Api, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert "tags" in refused(api.put(path(bucket, "k", "/tags"), {"tags": {str(n): "" for n in range(11)}}), 400, "InvalidFields")
    refused(api.put(path(bucket, "k", "/tags"), {"tags": {"aws:x": "1"}}), 400, "InvalidTag")
    refused(api.put(path(bucket, "none", "/tags"), {"tags": {}}), 404, "NoSuchKey")


def test_where_the_requester_pays_administrators_still_see_everything(world, sign_in, s3, bucket):
    """They belong to another account than the bucket; there is no header here to say that they know."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    operator = sign_in(world.installation.admin["username"], PASSWORD)
    assert [one["key"] for one in operator.ok.get(f"/buckets/{bucket}/objects")["items"]] == ["k"]
