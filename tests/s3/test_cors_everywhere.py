"""Cross-origin rules hold on every way to a bucket: by host and by path, presigned, on websites, in forms; on refusals of every kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.running import RunningServer
from tests.s3.raw import Raw

PAGE = "https://page.test"
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
API, SITES = "s3.test", "web.test"
READABLE = {"Access-Control-Allow-Origin": PAGE, "Access-Control-Expose-Headers": "ETag", "Vary": VARY}
SOSAPI = ".system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/system.xml"


@pytest.fixture(scope="module")
def host() -> Iterator[RunningServer]:
    """A server that knows buckets by their host."""
    with RunningServer(environ={"MAXIOFS_WEBSITE_DOMAIN": SITES, "MAXIOFS_DOMAIN": API}) as running:
        yield running


@pytest.fixture(scope="module")
def shown(host) -> str:
    """A bucket, versioned, that everybody may read but not list; a page may use it."""
    s3, name = host.client(), f"b-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_public_access_block(Bucket=name)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    rule = {"AllowedOrigins": [PAGE], "AllowedMethods": ["GET", "HEAD", "PUT", "POST"], "AllowedHeaders": ["*"], "ExposeHeaders": ["ETag"]}
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    s3.put_bucket_website(Bucket=name, WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}, "ErrorDocument": {"Key": "e"}})
    for key in ("k", "i", "e", "gone"):
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    s3.delete_object(Bucket=name, Key="gone")
    return name


def ask(host, target: str, method: str = "GET", **how: Any) -> requests.Response:
    headers = {"Origin": PAGE, **how.pop("headers", {})}
    return requests.request(method, host.url + target, headers=headers, allow_redirects=False, timeout=30, **how)


def readable(reply: requests.Response) -> bool:
    return all(reply.headers.get(name) == value for name, value in READABLE.items())


def preflight(host, target: str, method: str = "GET", **headers: str) -> requests.Response:
    return ask(host, target, "OPTIONS", headers={"Access-Control-Request-Method": method, **headers})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("key", "status"), [("k", 200), ("nothing", 403), ("gone", 403), ("k?versionId=none", 403), ("k?acl", 403)])
def test_nobody_is_told_whatever_the_answer(host, shown, method, key, status):
    """What is missing is hidden from who may not list; the page may read even that."""
    reply = ask(host, f"/{shown}/{key}", method)
    assert reply.status_code == status and readable(reply), reply.headers


@pytest.mark.parametrize(("key", "status"), [("nothing", 404), ("gone", 404), (SOSAPI, 200), ("k?torrent", 501), ("k?versionId=none", 404)])
def test_the_owner_is_told_whatever_the_answer(host, shown, key, status):
    answer = Raw(host)("GET", f"/{shown}/{key}", [("Origin", PAGE)])
    assert answer.status == status and answer.headers["access-control-allow-origin"] == PAGE, answer
    assert [value for name, value in answer.raw_headers if name.lower() == "vary"] == [VARY]


def test_not_modified_is_told(host, shown):
    etag = ask(host, f"/{shown}/k").headers["ETag"]
    reply = ask(host, f"/{shown}/k", headers={"If-None-Match": etag})
    assert reply.status_code == 304 and readable(reply)


def test_by_host(host, shown):
    there = {"Host": f"{shown}.{API}"}
    assert readable(ask(host, "/k", headers=there)) and readable(ask(host, "/nothing", headers=there))
    reply = preflight(host, "/k", "PUT", **there, **{"Access-Control-Request-Headers": "x-amz-acl"})
    assert (reply.status_code, reply.headers["Access-Control-Allow-Headers"]) == (200, "x-amz-acl") and readable(reply)
    assert preflight(host, "/k", "DELETE", **there).status_code == 403


def test_on_a_website(host, shown):
    there = {"Host": f"{shown}.{SITES}"}
    for path, status in (("/", 200), ("/k", 200), ("/nothing", 403)):      # the last with the error document
        for method in ("GET", "HEAD"):
            reply = ask(host, path, method, headers=there)
            assert reply.status_code == status and readable(reply), (path, reply.headers)
            assert ask(host, path, method, headers={**there, "Origin": "https://other"}).headers["Vary"] == VARY
    reply = preflight(host, "/k", **there)
    assert reply.status_code == 200 and readable(reply)
    assert preflight(host, "/k", "DELETE", **there).status_code == 403


def test_presigned(host, shown):
    s3 = host.client()
    link = s3.generate_presigned_url("get_object", Params={"Bucket": shown, "Key": "k"}).removeprefix(host.url)
    for wrong, status in ((link, 200), (link + "0", 403), (link.replace("/k?", "/nothing?"), 403)):
        reply = ask(host, wrong)
        assert reply.status_code == status and readable(reply)
    link = s3.generate_presigned_url("put_object", Params={"Bucket": shown, "Key": "up"}).removeprefix(host.url)
    assert preflight(host, link, "PUT").status_code == 200
    for data in (b"x", b"x" * 100_000):
        reply = ask(host, link, "PUT", data=data)
        assert reply.status_code == 200 and readable(reply)


@pytest.mark.parametrize("size", [7, 100_000])
def test_a_form(host, shown, size):
    made = host.client().generate_presigned_post(shown, "form")
    reply = ask(host, f"/{shown}", "POST", data=made["fields"], files={"file": b"x" * size})
    assert reply.status_code == 204 and readable(reply)
    reply = ask(host, f"/{shown}", "POST", data={**made["fields"], "key": "other"}, files={"file": b"x" * size})
    assert reply.status_code == 403 and readable(reply)


def test_a_configuration_that_is_refused(host, shown):
    reply = Raw(host)("PUT", f"/{shown}?tagging", [("Origin", PAGE)], b"<a/>")
    assert (reply.status, reply.code, reply.headers["access-control-allow-origin"]) == (400, "MalformedXML", PAGE)


def test_without_an_origin_caches_are_warned_and_nothing_is_granted(host, shown):
    for key in ("k", "nothing"):
        reply = requests.get(f"{host.url}/{shown}/{key}", timeout=30)
        assert reply.headers["Vary"] == VARY and not [name for name in reply.headers if name.startswith("Access-Control-")]
