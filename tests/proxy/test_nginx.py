"""Behind a real nginx with TLS, set up as infra/nginx.conf says."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.clients.programs import AwsCli, Rclone
from tests.proxy.nginx import NAME, Nginx, free_port
from tests.running import RunningServer
from tests.s3.asking import checksum, refused, upload
from tests.s3.raw import SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED, UNSIGNED_CHUNKS_TRAILER, Answer, Raw, read_answer

MIB = 1 << 20


class Proxied:
    """A server behind nginx, and clients that know only nginx."""

    def __init__(self, server: RunningServer, nginx: Nginx, home: Path) -> None:
        self.server, self.nginx, self.url, self.home = server, nginx, nginx.url, home
        self.s3 = self.client()
        self.s3.create_bucket(Bucket="bucket")

    def client(self, **config):
        return self.server.client(endpoint=self.url, verify=str(self.nginx.certificate), **config)

    def tls(self, name: str = "localhost") -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.nginx.certificate))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.nginx.port), 30), server_hostname=name)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    port, folder = free_port(), tmp_path_factory.mktemp("nginx")
    environ = {"MAXIOFS_TRUSTED_PROXIES": "127.0.0.1", "MAXIOFS_PUBLIC_URL": f"https://localhost:{port}", "MAXIOFS_DOMAIN": NAME}
    local = free_port()
    with RunningServer(environ=environ, listen=f"127.0.0.1:{local}") as server:
        server.url = f"http://127.0.0.1:{local}"  # not the public one
        with Nginx(folder, port, server) as nginx:
            yield Proxied(server, nginx, folder)
            assert "emerg" not in nginx.errors()


class TlsRaw(Raw):
    """Hand-made requests through nginx."""

    def __init__(self, proxied: Proxied) -> None:
        super().__init__(proxied.server)
        self.proxied = proxied

    def signed(self, *arguments, **named):
        named["host"] = named.get("host") or f"localhost:{self.proxied.nginx.port}"
        return super().signed(*arguments, **named)

    def send(self, method, target, headers, body=b"", timeout_s: float = 30) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Connection: close", "", ""]
        with self.proxied.tls() as connection:
            connection.sendall("\r\n".join(lines).encode("latin-1") + body)
            return read_answer(connection, method)


@pytest.fixture(scope="module")
def raw(proxied: Proxied) -> TlsRaw:
    return TlsRaw(proxied)


@pytest.mark.parametrize(
    "key", ["plain", "a b", "a+b", "a//b", "//", "a/../b", "./a", "%2F", "%", "ü/日本語", "a%20b", "a&b=c;d", "~", "x" * 900, "q?x=1#y"]
)
def test_sigv4_over_any_key(proxied, key):
    proxied.s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    assert proxied.s3.get_object(Bucket="bucket", Key=key)["Body"].read() == key.encode()
    assert key in [one["Key"] for one in proxied.s3.list_objects_v2(Bucket="bucket", Prefix=key)["Contents"]]
    proxied.s3.delete_object(Bucket="bucket", Key=key)


def test_a_wrong_secret_is_still_wrong(proxied):
    with refused("SignatureDoesNotMatch", status=403):
        proxied.client(credentials=(proxied.server.access_key, "wrong")).list_buckets()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_for_the_public_url(proxied, version):
    client = proxied.client(signature_version=version)
    for operation, method in (("put_object", "PUT"), ("get_object", "GET"), ("head_object", "HEAD"), ("delete_object", "DELETE")):
        link = client.generate_presigned_url(operation, Params={"Bucket": "bucket", "Key": "signed ü"})
        assert link.startswith(proxied.url)
        answer = requests.request(
            method, link, data=b"data" if method == "PUT" else None, verify=str(proxied.nginx.certificate), timeout=30
        )
        assert answer.status_code in (200, 204), answer.text
        assert method != "GET" or answer.content == b"data"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_trailers_over_tls(proxied, algorithm):
    sent = {}
    client = proxied.client(inject_host_prefix=algorithm == "")  # a client of its own, for the hook
    client.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.update(request.headers))
    data = os.urandom(300_000)
    put = client.put_object(Bucket="bucket", Key=algorithm, Body=data, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == checksum(algorithm, data)
    stated = sent.get("x-amz-content-sha256") or sent.get("X-Amz-Content-SHA256")
    assert stated in (b"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), sent
    got = proxied.s3.get_object(Bucket="bucket", Key=algorithm, ChecksumMode="ENABLED")
    assert got["Body"].read() == data and got[f"Checksum{algorithm}"] == checksum(algorithm, data) and "ContentEncoding" not in got


@pytest.mark.parametrize("form", [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER])
def test_every_streaming_form_over_tls(proxied, raw, form):
    chunks = [os.urandom(65536), os.urandom(65536), b"end"]
    trailers = [("x-amz-checksum-sha256", checksum("SHA256", b"".join(chunks)))] if form.endswith("TRAILER") else []
    answer = raw.put_chunks("/bucket/streamed", chunks, form=form, trailers=trailers)
    assert answer.status == 200, answer
    assert proxied.s3.get_object(Bucket="bucket", Key="streamed")["Body"].read() == b"".join(chunks)


def test_metadata_with_underscores_and_odd_headers_arrives(proxied):
    metadata = {"under_score": "1", "dot.ted": "2", "long": "x" * 1500}
    proxied.s3.put_object(Bucket="bucket", Key="meta", Body=b"", Metadata=metadata, ContentEncoding="gzip", CacheControl="no-transform")
    got = proxied.s3.head_object(Bucket="bucket", Key="meta")
    assert got["Metadata"] == metadata and got["ContentEncoding"] == "gzip"


def test_ranges_conditions_and_multipart(proxied):
    parts = [os.urandom(5 * MIB), os.urandom(100)]
    done = upload(proxied.s3, "bucket", "parts", *parts)
    assert done["Location"] == f"{proxied.url}/bucket/parts"
    got = proxied.s3.get_object(Bucket="bucket", Key="parts", Range=f"bytes={5 * MIB - 5}-{5 * MIB + 4}")
    assert got["Body"].read() == parts[0][-5:] + parts[1][:5]
    with refused("304", status=304):
        proxied.s3.get_object(Bucket="bucket", Key="parts", IfNoneMatch=done["ETag"])
    with refused("PreconditionFailed", status=412):
        proxied.s3.put_object(Bucket="bucket", Key="parts", Body=b"", IfNoneMatch="*")


def test_the_log_has_the_clients_address_and_the_url_its_scheme(proxied, raw):
    answer = raw("GET", "/bucket")
    line = proxied.server.logged(answer.headers["x-amz-request-id"])
    assert line["remote"] == "127.0.0.1" and answer.status == 200


def test_clients_cannot_invent_forwarded_headers(proxied, raw):
    forged = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Host", "evil.example.com"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Prefix", "/evil"),
    ]
    answer = raw.send("GET", "/bucket", [*raw.signed("GET", "/bucket"), *forged])
    assert answer.status == 200, answer
    assert proxied.server.logged(answer.headers["x-amz-request-id"])["remote"] == "127.0.0.1"


def test_forwarded_headers_are_believed_from_trusted_proxies_only(server: RunningServer):
    """``server`` trusts nobody, so a forwarded Host does not help a signature for it."""
    plain = Raw(server)
    headers = [
        ("Host", server.host) if name == "Host" else (name, value) for name, value in plain.signed("GET", "/", host="s3.example.com")
    ]
    assert plain.send("GET", "/", [*headers, ("X-Forwarded-Host", "s3.example.com")]).status == 403


def test_virtual_host_style(proxied, raw):
    answer = raw("PUT", "/virtual", body=b"data", host=f"bucket.{NAME}")
    assert answer.status == 200, answer
    assert proxied.s3.get_object(Bucket="bucket", Key="virtual")["Body"].read() == b"data"


def test_100_continue(proxied, raw):
    data = os.urandom(2 * MIB)
    headers = raw.signed("PUT", "/bucket/continued", sha256=UNSIGNED)
    head = "".join(f"{name}: {value}\r\n" for name, value in [*headers, ("Content-Length", str(len(data))), ("Expect", "100-continue")])
    with proxied.tls() as connection:
        connection.sendall(f"PUT /bucket/continued HTTP/1.1\r\n{head}\r\n".encode())
        assert connection.recv(25).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(data)
        assert read_answer(connection, "PUT").status == 200
    assert proxied.s3.head_object(Bucket="bucket", Key="continued")["ContentLength"] == len(data)


def test_a_refused_upload_gets_its_error_through_the_proxy(proxied):
    wrong = proxied.client(credentials=(proxied.server.access_key, "wrong"))
    with refused("SignatureDoesNotMatch", status=403):
        wrong.put_object(Bucket="bucket", Key="refused", Body=os.urandom(200_000))


def test_many_requests_over_one_connection(proxied):
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(proxied.nginx.certificate)
        link = proxied.s3.generate_presigned_url("head_bucket", Params={"Bucket": "bucket"})
        for _ in range(100):
            assert session.head(link, timeout=10).status_code == 200


def test_the_console_is_reached_by_its_name(proxied):
    from tests.proxy.nginx import CONSOLE_NAME

    with proxied.tls(CONSOLE_NAME) as connection:
        connection.sendall(f"GET /api/v1/version HTTP/1.1\r\nHost: {CONSOLE_NAME}\r\nConnection: close\r\n\r\n".encode())
        answer = read_answer(connection)
    assert answer.status in (200, 401, 403) and "x-amz-request-id" not in answer.headers, answer


def carry(proxied: Proxied, tmp_path: Path, size: int) -> None:
    """Up with awscli (trailers, in parts), down with boto3 in one request, and a single PUT from a file."""
    file, digest = tmp_path / "file", hashlib.sha256()
    with file.open("wb") as out:
        for at in range(0, size, MIB):
            block = os.urandom(min(MIB, size - at))
            digest.update(block)
            out.write(block)

    class Aws(AwsCli):
        def s3(self, *words):
            bundle = self.environ | {"AWS_CA_BUNDLE": str(proxied.nginx.certificate)}
            import sys

            from tests.clients.programs import program

            return self.run(sys.executable, program("aws"), "--endpoint-url", proxied.url, "s3", *words, environ=bundle)

    aws = Aws(proxied.server, tmp_path)
    aws.up(file, "bucket", "in-parts")
    with file.open("rb") as data:
        proxied.s3.put_object(Bucket="bucket", Key="at-once", Body=data)
    for key in ("in-parts", "at-once"):
        got = hashlib.sha256()
        for block in proxied.s3.get_object(Bucket="bucket", Key=key)["Body"].iter_chunks(MIB):
            got.update(block)
        assert got.digest() == digest.digest(), key
    aws.down("bucket", "at-once", tmp_path / "back")
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == digest.digest()
    for key in ("in-parts", "at-once"):
        proxied.s3.delete_object(Bucket="bucket", Key=key)


def test_64_mib_up_and_down(proxied, tmp_path):
    carry(proxied, tmp_path, 64 * MIB + 1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_1_gib_up_and_down(proxied, tmp_path):
    carry(proxied, tmp_path, 1024 * MIB + 1)


def test_rclone_syncs_through_the_proxy(proxied, tmp_path):
    class Through(Rclone):
        def set_up(self) -> None:
            super().set_up()
            file = self.home / "rclone.conf"
            file.write_text(file.read_text().replace(self.server.url, proxied.url))

        def rclone(self, *words):
            return super().rclone("--ca-cert", proxied.nginx.certificate, *words)

    folder, back = tmp_path / "tree", tmp_path / "back"
    folder.mkdir()
    for name in ("a b", "ü", "c+d"):
        (folder / name).write_text(name)
    client = Through(proxied.server, tmp_path)
    proxied.s3.create_bucket(Bucket="rclone")
    client.mirror(folder, "rclone")
    client.mirror_back("rclone", back)
    assert sorted(one.name for one in back.iterdir()) == sorted(one.name for one in folder.iterdir())


def test_error_documents_pass_unchanged(raw):
    answer = raw("GET", "/no-such-bucket")
    assert answer.status == 404 and answer.code == "NoSuchBucket" and json.dumps(answer.headers["content-type"]) == '"application/xml"'
    assert urlsplit(answer.xml.findtext("Resource") or "").path == "/no-such-bucket"
