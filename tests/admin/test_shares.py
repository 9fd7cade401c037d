"""Share links: made and revoked in the admin API, followed by people who have nothing but the link."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from tests.admin.admin_client import Api, segment, unique
from tests.admin.people_world import new_user, policy_for, signed_in
from tests.running import RunningServer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def path(bucket: str, key: str = "k") -> str:
    return f"/buckets/{bucket}/objects/{segment(key)}/shares"


def followed(url: str, method: str = "GET", **options) -> requests.Response:
    return requests.request(method, url, timeout=20, allow_redirects=False, **options)


def fetched(url: str) -> bytes:
    """What somebody gets who follows a link without a password."""
    answer = followed(url)
    there = followed(answer.headers["Location"]) if answer.status_code == 303 else answer
    assert there.status_code == 200, there.text
    return there.content


def is_gone(url: str) -> bool:
    answer = followed(url)
    assert answer.status_code in (200, 303, 404), answer.text
    return answer.status_code == 404 and "does not work" in answer.text and answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.fixture
def filled(s3, bucket) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=b"what is shared", ContentType="text/html")
    return bucket


@pytest.fixture(scope="module")
def addressed() -> Iterator[tuple[Api, RunningServer]]:
    """A server whose S3 listener has a port that the console knows."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with RunningServer(processes=1, listen=f"127.0.0.1:{port}", environ={"MAXIOFS_PUBLIC_URL": f"http://127.0.0.1:{port}"}) as own:
        root = Api(own).sign_in(own.access_key, own.secret_key)
        root.ok.put("/settings/security.ratelimit_enabled", {"value": False})
        yield root, own


# ---- making, listing, revoking ----------------------------------------------------------------------------------------------------------


def test_the_same_link_comes_back_for_the_same_settings(api: Api, filled):
    made = api.ok.post(path(filled), {"expires_s": 3600})
    assert not made["existing"] and made["expires_ms"] - made["created_ms"] == 3_600_000 and made["created_by_name"] == "root"
    assert api.ok.post(path(filled), {"expires_s": 3600}) == made | {"existing": True}
    for other in ({}, {"expires_s": 3601}, {"expires_s": 3600, "max_downloads": 1}, {"expires_s": 3600, "version_id": "null"}):
        assert not api.ok.post(path(filled), other)["existing"], other
    with_password = api.ok.post(path(filled), {"password": "open sesame"})
    assert with_password["has_password"] and not with_password["existing"] and "sesame" not in str(with_password)
    assert api.ok.post(path(filled), {"password": "open sesame"})["id"] == with_password["id"]
    assert not api.ok.post(path(filled), {"password": "something else"})["existing"]


@pytest.mark.parametrize("wrong", [
    {"expires_s": 59}, {"expires_s": "3600"}, {"password": "abc"}, {"password": ""}, {"max_downloads": -1}, {"max_downloads": 1 << 60},
    {"version_id": ""}, {"more": 1}], ids=str)
def test_wrong_wishes(api: Api, filled, wrong):
    answer = api.post(path(filled), wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidFields") and list(answer.json()["fields"]) == [next(iter(wrong))]


def test_what_is_not_there_is_not_shared(api: Api, filled, versioned, s3):
    assert api.post(path(filled, "none")).json()["code"] == "NoSuchKey"
    assert api.post(path(filled), {"version_id": "none"}).json()["code"] == "NoSuchVersion"
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    assert api.post(path(versioned)).json()["code"] == "NoSuchKey"
    assert api.post(path(versioned), {"version_id": marker}).json()["code"] == "MethodNotAllowed"


def test_links_are_listed_in_pages(api: Api, s3, bucket):
    ids = []
    for key in ("b/ü", "a", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        ids.append(api.ok.post(path(bucket, key), {})["id"])
    for where, wanted in ((f"/buckets/{bucket}/shares", ["a", "b/ü", "c"]), ("/shares", ["b/ü", "a", "c"])):
        found, cursor, first = [], None, True
        while first or cursor:
            page = api.ok.get(where, limit=2, **({"cursor": cursor} if cursor else {}))
            found += [one["key"] for one in page["items"] if one["bucket"] == bucket]
            cursor, first = page["next_cursor"], False
        assert found == wanted
    only = api.ok.get(f"/buckets/{bucket}/shares", key="b/ü")["items"]
    assert [one["id"] for one in only] == ids[:1] and only[0]["url"].startswith(api.server.console_url + "/share/")


def test_who_sees_and_revokes_what(api: Api, world, s3):
    """The bucket's owner and administrators all, others their own; and nobody but its maker is told the link itself."""
    bucket = unique("b")
    world.admin.ok.post("/buckets", {"name": bucket})
    world.root.server.client(credentials=(world.ours.key, world.ours.secret)).put_object(Bucket=bucket, Key="k", Body=b"x")
    own = world.user.ok.post(path(bucket), {})
    theirs = world.admin.ok.post(path(bucket), {})
    seen = {name: {one["id"]: one["url"] for one in client.ok.get(f"/buckets/{bucket}/shares")["items"]}
            for name, client in (("user", world.user), ("admin", world.admin), ("root", api))}
    assert seen == {"user": {own["id"]: own["url"]}, "admin": {own["id"]: None, theirs["id"]: theirs["url"]},
                    "root": {own["id"]: None, theirs["id"]: None}}
    stranger = signed_in(api, world.theirs.admin)
    for client, share, status in ((world.user, theirs, 404), (stranger, own, 404), (world.admin, own, 204), (world.admin, own, 404),
                                  (api, theirs, 204)):
        assert client.delete(f"/shares/{share['id']}").status_code == status
    assert is_gone(own["url"]) and is_gone(theirs["url"])
    for id in ("0", "x", "9" * 30, "-1"):
        assert api.delete(f"/shares/{id}").status_code == 404


# ---- following --------------------------------------------------------------------------------------------------------------------------


def test_the_object_comes_as_an_attachment(api: Api, filled):
    """Never as a page of the console's own origin, whatever it calls itself."""
    made = api.ok.post(path(filled), {"max_downloads": 5})
    answer = followed(made["url"] + "?utm_source=x&utm_source=y&empty")
    assert (answer.status_code, answer.content) == (200, b"what is shared")
    assert answer.headers["Content-Type"] == "application/octet-stream" and answer.headers["Content-Length"] == "14"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''k"
    assert "sandbox" in answer.headers["Content-Security-Policy"] and "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_large_object_comes_whole(api: Api, s3, bucket):
    body = bytes(range(256)) * 16_384
    s3.put_object(Bucket=bucket, Key="large", Body=body)
    assert followed(api.ok.post(path(bucket, "large"), {"max_downloads": 1})["url"]).content == body


@pytest.mark.parametrize("token", ["x", "A" * 43, "a%2Fb", "x" * 5000])
def test_no_such_link(api: Api, token):
    assert is_gone(f"{api.server.console_url}/share/{token}")


def test_a_crowd_gets_no_more_downloads_than_there_are(api: Api, filled):
    made = api.ok.post(path(filled), {"max_downloads": 3})
    assert followed(made["url"], "HEAD").status_code == 200, "asking about it counts for nothing"
    answers: list[int] = []
    crowd = [threading.Thread(target=lambda: answers.append(followed(made["url"]).status_code)) for _ in range(10)]
    [one.start() for one in crowd]
    [one.join() for one in crowd]
    assert sorted(answers) == [200] * 3 + [404] * 7
    now = next(one for one in api.ok.get(f"/buckets/{filled}/shares")["items"] if one["id"] == made["id"])
    assert now["downloads"] == 3 and now["is_expired"] and is_gone(made["url"])


def test_a_password_is_asked_for(addressed):
    api, own = addressed
    bucket, key = unique("b"), 'evil"><script>alert(1)</script>'
    own.client().create_bucket(Bucket=bucket)
    own.client().put_object(Bucket=bucket, Key=key, Body=b"secret")
    url = api.ok.post(path(bucket, key), {"password": "open sésame", "max_downloads": 1})["url"]
    wrong = [followed(url, "POST", data={"password": "wrong"}), followed(url, "POST", headers=FORM)]
    for answer in (followed(url), followed(url, "HEAD"), *wrong):
        assert answer.status_code == (200 if answer.request.method != "POST" else 403)
        assert b"secret" not in answer.content and "<script" not in answer.text and "Set-Cookie" not in answer.headers
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert re.search(r'<form method="post">.*name="password"', followed(url).text)
    right = followed(url, "POST", data={"password": "open sésame"})
    assert (right.status_code, right.content) == (200, b"secret")
    assert followed(url, "POST", data={"password": "open sésame"}).status_code == 404, "it was good for one"
    assert followed(url, "POST", json={"password": "x"}).status_code in (404, 415)


def test_without_a_limit_the_s3_listener_gives_the_object(addressed):
    api, own = addressed
    bucket = unique("b")
    own.client().create_bucket(Bucket=bucket)
    own.client().put_object(Bucket=bucket, Key="a b/ü+%", Body=b"over there", ContentType="text/html")
    plain, locked = (api.ok.post(path(bucket, "a b/ü+%"), wish)["url"] for wish in ({}, {"password": "sesame"}))
    for answer in (followed(plain), followed(locked, "POST", data={"password": "sesame"})):
        assert answer.status_code == 303 and answer.headers["Location"].startswith(own.url + "/")
        assert "X-Amz-Expires=60&" in answer.headers["Location"] and "Set-Cookie" not in answer.headers
        there = followed(answer.headers["Location"])
        assert (there.status_code, there.content) == (200, b"over there")
        assert there.headers["Content-Disposition"].startswith("attachment;")
    assert [one["downloads"] for one in api.ok.get(f"/buckets/{bucket}/shares")["items"]] == [1, 1]


def test_guessing_is_slowed_down(api: Api, filled):
    """Five wrong ones in a minute and no more, whatever the sixth is; the right one before gives its attempt back."""
    url = api.ok.post(path(filled), {"password": "open sesame", "max_downloads": 9})["url"]
    if time.time() % 60 > 45:
        time.sleep(61 - time.time() % 60)
    assert followed(url, "POST", data={"password": "open sesame"}).status_code == 200
    answers = [followed(url, "POST", data={"password": f"wrong {number}"}).status_code for number in range(6)]
    assert answers == [403] * 5 + [429]
    last = followed(url, "POST", data={"password": "open sesame"})
    assert last.status_code == 429 and 0 < int(last.headers["Retry-After"]) <= 60 and "<h1>" in last.text
    assert followed(url).status_code == 200, "the form itself is for everybody"


# ---- when it ends -----------------------------------------------------------------------------------------------------------------------


def test_a_link_ends_with_its_object(api: Api, s3, filled):
    url = api.ok.post(path(filled), {})["url"]
    s3.put_object(Bucket=filled, Key="k", Body=b"newer")
    assert fetched(url) == b"newer", "it follows the key"
    s3.delete_object(Bucket=filled, Key="k")
    assert is_gone(url)
    s3.put_object(Bucket=filled, Key="k", Body=b"something else")
    assert is_gone(url)
    assert api.ok.get(f"/buckets/{filled}/shares")["items"] == []


def test_a_link_to_a_version_ends_with_the_version(api: Api, s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"new")
    url = api.ok.post(path(versioned), {"version_id": old})["url"]
    s3.delete_object(Bucket=versioned, Key="k")
    assert fetched(url) == b"old"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=old)
    assert is_gone(url)


def test_no_link_survives_its_bucket(api: Api, s3, filled):
    url = api.ok.post(path(filled), {})["url"]
    s3.delete_object(Bucket=filled, Key="k")
    s3.delete_bucket(Bucket=filled)
    assert is_gone(url)
    s3.create_bucket(Bucket=filled)
    s3.put_object(Bucket=filled, Key="k", Body=b"another one's")
    assert is_gone(url)


def test_a_link_is_good_while_its_maker_may_read(api: Api, s3, filled):
    maker = new_user(api, policies=["readonly"])        # who has no key to sign with: it comes from the console
    url = signed_in(api, maker).ok.post(path(filled), {})["url"]
    assert fetched(url) == b"what is shared"
    user = f"/users/{maker['id']}"
    for away, back in (
        (lambda: api.ok.delete(f"{user}/policies/readonly"), lambda: api.ok.put(f"{user}/policies/readonly")),
        (lambda: api.ok.put(user, {"status": "inactive"}), lambda: api.ok.put(user, {"status": "active"})),
        (lambda: s3.put_bucket_policy(Bucket=filled, Policy=DENY % filled), lambda: s3.delete_bucket_policy(Bucket=filled)),
    ):
        away()
        assert is_gone(url)
        back()
        assert fetched(url) == b"what is shared"
    api.ok.delete(user)
    assert is_gone(url)


DENY = ('{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", '
        '"Resource": "arn:aws:s3:::%s/*"}]}')


def test_who_may_not_read_cannot_share(api: Api, filled):
    maker = new_user(api)
    policy = api.ok.post("/policies", {"name": unique("p"), "document": policy_for("s3:ListBucket")})["name"]
    api.ok.put(f"/users/{maker['id']}/policies/{policy}")
    client = signed_in(api, maker)
    assert client.post(path(filled)).json()["code"] == "AccessDenied"
    assert client.ok.get(f"/buckets/{filled}/shares")["items"] == []


def test_all_of_it_is_in_the_audit_log(addressed):
    api, own = addressed
    filled = unique("b")
    own.client().create_bucket(Bucket=filled)
    own.client().put_object(Bucket=filled, Key="k", Body=b"x")
    made = api.ok.post(path(filled), {"password": "open sesame", "max_downloads": 1})
    for password in ("wrong", "open sesame", "open sesame"):
        followed(made["url"], "POST", data={"password": password})
    api.ok.delete(f"/shares/{made['id']}")
    found = api.ok.get("/audit-logs", resource_name=f"{filled}/k")["items"]
    events = [(one["event_type"], one["status"], one["username"], one["details"].get("error")) for one in reversed(found)]
    assert events == [
        ("object_shared", "success", "root", None), ("object_downloaded", "failed", "", "WrongSharePassword"),
        ("object_downloaded", "success", "", None), ("object_downloaded", "failed", "", "NoSuchShare"),
        ("share_revoked", "success", "root", None)]
    assert {one["details"]["share_id"] for one in found} == {made["id"]}
    assert urlsplit(made["url"]).path.rpartition("/")[2] not in str(found) and "sesame" not in str(found)
    assert followed(made["url"]).status_code == 404 and len(api.ok.get("/audit-logs", resource_name=f"{filled}/k")["items"]) == len(found)
