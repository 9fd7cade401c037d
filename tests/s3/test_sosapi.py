"""The two documents that Veeam's backup server reads, HEAD of the service, and browsers at the door."""

from __future__ import annotations

import shutil
from xml.etree import ElementTree

import pytest
import requests
from botocore.exceptions import ClientError

from shared.meta.identity_models import Tenant
from tests import people
from tests.running import RunningServer

FOLDER = ".system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/"


def read(s3, bucket: str, key: str) -> ElementTree.Element:
    got, head = s3.get_object(Bucket=bucket, Key=key), s3.head_object(Bucket=bucket, Key=key)
    body = got["Body"].read()
    for reply in (got, head):
        assert (reply["ContentType"], reply["ETag"], reply["ContentLength"]) == ("application/xml", '"sosapi-virtual-object"', len(body))
    return ElementTree.fromstring(body)


@pytest.mark.parametrize("prefix", ["", "Veeam/Backup/"])
def test_the_system_document(s3, bucket, prefix):
    found = read(s3, bucket, prefix + FOLDER + "system.xml")
    assert found.tag == "SystemInfo"
    assert [found.findtext(path) for path in ("ProtocolVersion", "ModelName", "ProtocolCapabilities/CapacityInfo",
                                              "ProtocolCapabilities/IAMSTS", "SystemRecommendations/KbBlockSize")] == [
        '"1.0"', "MaxIOFS", "true", "false", "4096"]


def test_the_capacity_is_the_disks(s3, server, bucket):
    found = read(s3, bucket, FOLDER + "capacity.xml")
    capacity, available, used = (int(found.findtext(name) or "") for name in ("Capacity", "Available", "Used"))
    disk = shutil.disk_usage(server.data_dir)
    assert capacity == disk.total and 0 < available < disk.free + (1 << 30) and used == capacity - available


def test_the_capacity_is_the_tenants_quota(server):
    tenant = people.make_tenant(server)
    with people.inside(server):
        Tenant.update(max_bytes=5_000_000).where(Tenant.id == tenant).execute()
    s3, name = people.make_user(server, policies=["readwrite"], tenant=tenant).client(server), people.unused("veeam")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"x" * 1000)
    found = read(s3, name, FOLDER + "capacity.xml")
    assert [found.findtext(part) for part in ("Capacity", "Available", "Used")] == ["5000000", "4999000", "1000"]


def test_they_are_not_listed_and_give_way_to_objects(s3, versioned):
    key = FOLDER + "system.xml"
    read(s3, versioned, key)
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    version = s3.put_object(Bucket=versioned, Key=key, Body=b"mine")["VersionId"]
    assert s3.get_object(Bucket=versioned, Key=key)["Body"].read() == b"mine"
    s3.delete_object(Bucket=versioned, Key=key)
    read(s3, versioned, key)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=versioned, Key=key, VersionId=version[::-1])
    assert caught.value.response["Error"]["Code"] in ("NoSuchVersion", "InvalidArgument")


@pytest.mark.parametrize("key", ["system.xml", f"x{FOLDER}system.xml", f"{FOLDER}system.xml/", f"{FOLDER}o.xml"])
def test_other_keys_are_missing(s3, bucket, key):
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key=key)
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"


def test_who_may_not_read_the_key_learns_nothing(server, bucket):
    assert requests.get(f"{server.url}/{bucket}/{FOLDER}capacity.xml", timeout=30).status_code == 403


# ---- at the door ------------------------------------------------------------------------------------------------------------------------


def test_head_of_the_service(server, raw):
    answer = raw("HEAD", "/")
    assert (answer.status, answer.body, answer.headers["x-amz-bucket-region"]) == (200, b"", "us-east-1")
    assert raw("HEAD", "/", sign=False).status == 403


@pytest.fixture(scope="module")
def door():
    with RunningServer(processes=1, environ={"MAXIOFS_CONSOLE_PUBLIC_URL": "https://console.test/ui", "MAXIOFS_DOMAIN": "s3.test",
                                             "MAXIOFS_WEBSITE_DOMAIN": "web.test"}) as running:
        yield running


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "User-Agent": "Mozilla/5.0"}


def ask(server, path: str, headers: dict[str, str], method: str = "GET") -> requests.Response:
    return requests.request(method, server.url + path, headers=headers, allow_redirects=False, timeout=30)


def test_a_browser_is_sent_to_the_console(door):
    for path in ("/", "/?utm=1"):
        reply = ask(door, path, BROWSER)
        assert (reply.status_code, reply.headers["Location"], reply.content) == (307, "https://console.test/ui/", b"")


@pytest.mark.parametrize(("path", "headers", "method"), [
    ("/", {"Accept": "*/*", "User-Agent": "Mozilla/5.0"}, "GET"),       # SDKs in a browser
    ("/", {"Accept": "*/*", "User-Agent": "curl/8.10.1"}, "GET"),
    ("/", {"Accept": "", "User-Agent": "MinIO (linux; amd64) minio-go/v7.0.99 mc/RELEASE"}, "GET"),
    ("/", {"Accept": "*/*", "User-Agent": "APN/1.0 Veeam/1.0 Backup/12.0"}, "GET"),
    ("/", {"Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "User-Agent": "Java/17.0.9"}, "GET"),
    ("/", BROWSER | {"X-Amz-Content-Sha256": "x"}, "GET"),
    ("/", BROWSER | {"Authorization": "AWS4-HMAC-SHA256 x"}, "GET"),
    ("/", BROWSER | {"x-amz-date": "x"}, "GET"),
    ("/?X-Amz-Signature=1", BROWSER, "GET"),
    ("/?AWSAccessKeyId=1", BROWSER, "GET"),
    ("/bucket", BROWSER, "GET"),
    ("/", BROWSER | {"Host": "bucket.s3.test"}, "GET"),
    ("/", BROWSER | {"Host": "bucket.web.test"}, "GET"),
    ("/", BROWSER, "HEAD"),
    ("/", BROWSER, "POST"),
])
def test_nobody_else_is(door, path, headers, method):
    assert ask(door, path, headers, method).status_code not in (301, 302, 303, 307, 308)


def test_a_client_of_s3_that_takes_html_too_is_not(door):
    client = door.client()
    client.meta.events.register("before-sign.s3.ListBuckets", lambda request, **_: request.headers.add_header("Accept", "text/html"))
    assert client.list_buckets()["Buckets"] == []


def test_on_the_same_machine_the_console_is_known_by_its_port(server):
    assert ask(server, "/", BROWSER).headers["Location"] == server.console_url + "/"
    assert ask(server, "/", BROWSER | {"Host": "elsewhere.test"}).status_code == 403     # nobody knows where it is from there
