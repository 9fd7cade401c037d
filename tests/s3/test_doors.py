"""Doors that are closed, or seldom used: version 2 in the header, by boto3, s3cmd and by hand; and S3 Control with the account in the host.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests
from botocore.client import BaseClient

from tests import people
from tests.running import RunningServer
from tests.s3.asking import read, refused, upload
from tests.s3.raw import Raw
from tests.s3.test_control_tags import ACCOUNT, arn

DOMAIN = "s3.test"
KEYS = ["plain", "a b+c/ü%20~'", "x?acl&y", "//slashes//"]


@pytest.fixture(scope="module")
def open_server() -> Iterator[RunningServer]:
    """A server that takes version 2 in the header."""
    with RunningServer(processes=1, environ={"MAXIOFS_HEADER_V2": "true", "MAXIOFS_DOMAIN": DOMAIN}) as running:
        yield running


@pytest.fixture(params=["path", "virtual"])
def old(request, open_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> BaseClient:
    """boto3 as it was before 2014, in both styles."""
    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: ask(
        "127.0.0.1" if str(host).endswith(DOMAIN) else host, *more, **named))
    endpoint = f"http://{DOMAIN}:{open_server.address[1]}"
    return open_server.client(endpoint=endpoint, signature_version="s3", s3={"addressing_style": request.param})


def test_boto3_with_version_2(old):
    bucket = people.unused("old")
    old.create_bucket(Bucket=bucket)
    assert bucket in [one["Name"] for one in old.list_buckets()["Buckets"]]
    for key in KEYS:
        old.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"a": "b"}, ContentType="text/plain")
        assert read(old, bucket, key) == key.encode()
    assert [one["Key"] for one in old.list_objects_v2(Bucket=bucket, Prefix="a b")["Contents"]] == [KEYS[1]]
    old.put_object_tagging(Bucket=bucket, Key="plain", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    old.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": KEYS[1]})
    upload(old, bucket, "parts", b"one")
    assert read(old, bucket, "parts") == b"one"
    gone = old.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in KEYS]})
    assert len(gone["Deleted"]) == len(KEYS)


def test_a_wrong_secret_and_changed_requests_are_refused(open_server):
    wrong = open_server.client(credentials=(open_server.access_key, "x" * 40), signature_version="s3")
    with refused("SignatureDoesNotMatch", status=403):
        wrong.list_buckets()
    kept: list[dict[str, str]] = []
    client = open_server.client(signature_version="s3", user_agent_extra="kept")
    client.meta.events.register("before-send.s3", lambda request, **_: kept.append(
        {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}))
    client.list_buckets()
    headers = {name: value for name, value in kept[0].items() if name.lower() in ("authorization", "date", "x-amz-date")}
    assert requests.get(open_server.url, headers=headers, timeout=30).status_code == 200
    for url, more in ((open_server.url + "/bucket", {}), (open_server.url, {"x-amz-acl": "public-read"})):
        assert b"SignatureDoesNotMatch" in requests.get(url, headers=headers | more, timeout=30).content


def test_policies_tell_versions_apart(open_server):
    bucket, s3 = people.unused("old"), open_server.client()
    s3.create_bucket(Bucket=bucket)
    by_version_2 = {"StringEquals": {"s3:signatureversion": "AWS"}}
    statement = people.deny("s3:GetObject", on=f"{arn(bucket)}/*", Principal="*", Condition=by_version_2)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(statement))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    person = people.make_user(open_server, policies=["readwrite"])
    assert read(person.client(open_server), bucket, "k") == b"x"
    with refused("AccessDenied", status=403):
        read(person.client(open_server, signature_version="s3"), bucket, "k")


@pytest.mark.skipif(not shutil.which("s3cmd"), reason="s3cmd is not installed")
def test_s3cmd_with_version_2(open_server, tmp_path):
    (tmp_path / "file").write_bytes(b"data")
    host, bucket = open_server.host, people.unused("old")
    usual = ["s3cmd", "--config=/dev/null", "--no-ssl", "--signature-v2", f"--host={host}", f"--host-bucket={host}",
             f"--access_key={open_server.access_key}", f"--secret_key={open_server.secret_key}"]

    def run(*words: str) -> str:
        return subprocess.run([*usual, *words], check=True, capture_output=True, text=True, timeout=60).stdout

    run("mb", f"s3://{bucket}")
    run("put", str(tmp_path / "file"), f"s3://{bucket}/a b")
    assert "a b" in run("ls", f"s3://{bucket}")
    run("get", f"s3://{bucket}/a b", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"data"


def test_nobody_signs_with_version_2_unless_it_is_switched_on(server):
    with refused("InvalidRequest", status=400):
        server.client(signature_version="s3").list_buckets()


@pytest.mark.parametrize("with_a_domain", [True, False])
def test_s3_control_with_the_account_in_front_of_the_host(server, open_server, with_a_domain):
    running = open_server if with_a_domain else server
    s3, bucket = running.client(), people.unused("tags")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    ask, path = Raw(running), f"/v20180820/tags/{quote(arn(bucket), safe='')}"
    host = f"{ACCOUNT}.{DOMAIN}:{running.address[1]}"
    answer = ask("GET", path, [("x-amz-account-id", ACCOUNT)], host=host)
    assert (answer.status, b"<Tag><Key>a</Key><Value>b</Value></Tag>" in answer.body) == (200, True), answer
    assert ask("DELETE", path + "?tagKeys=a", [("x-amz-account-id", ACCOUNT)], host=host).status == 204
    with refused("NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket=bucket)
