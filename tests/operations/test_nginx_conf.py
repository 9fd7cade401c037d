"""infra/nginx.conf in a real nginx: what a client signs arrives as it was sent, and bodies pass through."""

import socket
import ssl
import threading

import pytest

from tests.operations.nginx_conf import PROGRAM, Nginx

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")
MEGABYTE = 1 << 20


class Backend:
    """Answers every request with the head it got; keeps heads, and lets tests look at bodies on their way."""

    def __init__(self):
        self.heads, self.connections, self.body_bytes = [], 0, 0
        self.go_on = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            while head := b"".join(iter(stream.readline, b"\r\n")):
                lines = head.decode("latin-1").splitlines()
                self.heads.append(lines)
                self._read_body(stream, {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]})
                if "/stream" in lines[0]:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                    self.go_on.wait(10)
                    connection.sendall(b"after")
                else:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nx-amz-meta-a_b: c\r\nETag: \"e\"\r\nContent-Length: 2\r\n\r\nok")

    def _read_body(self, stream, headers):
        if headers.get("transfer-encoding") == "chunked":
            while size := int(stream.readline(), 16):
                stream.read(size + 2)
                self.body_bytes += size
            stream.readline()
        left = int(headers.get("content-length", 0))
        while left:
            got = len(stream.read1(min(left, 65536)))
            self.body_bytes += got
            left -= got

    def header(self, name):
        """Values of the header with exactly this name in the last request."""
        return [line.partition(": ")[2] for line in self.heads[-1][1:] if line.partition(":")[0] == name]

    def close(self):
        self._listener.close()


@pytest.fixture
def backend():
    backend = Backend()
    yield backend
    backend.close()


@pytest.fixture
def nginx(tmp_path, backend):
    nginx = Nginx(tmp_path, backend.port, backend.port)
    yield nginx
    nginx.close()


@pytest.fixture
def connect(nginx):
    opened = []

    def connect(name="s3.example.com"):
        plain = socket.create_connection(("127.0.0.1", nginx.port), timeout=10)
        opened.append(ssl.create_default_context(cafile=str(nginx.certificate)).wrap_socket(plain, server_hostname=name))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def reply(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    while b"ok" not in body and b"first" not in body and b"HTTP/1.1 200" in head:
        body += connection.recv(65536)
    return head.decode(), body


def send(connection, line, *headers, body=b""):
    connection.sendall("\r\n".join([f"{line} HTTP/1.1", *headers, "", ""]).encode("latin-1") + body)


@pytest.mark.parametrize("target", [
    "/b/a//b", "/b/a%2Fb+c%20d", "/b/%c3%bc/", "/b/x/../y", "/b/./k", "//b//k", "/b/k?x-id=GetObject&a=%2f&Signature=%3d&b", "/metrics",
    "/b/k%3Fx%23y", "/b/~k%7E",
])
def test_the_target_arrives_as_it_was_sent(connect, backend, target):
    connection = connect()
    send(connection, f"GET {target}", "Host: s3.example.com")
    assert reply(connection)[1] == b"ok"
    assert backend.heads[-1][0] == f"GET {target} HTTP/1.1"


def test_headers_arrive_with_underscores_and_the_port(connect, backend, nginx):
    connection = connect()
    send(connection, "PUT /b/k", f"Host: bucket.s3.example.com:{nginx.port}", "x-amz-meta-under_score: a  b", "Content-Length: 0",
         "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil.example.com", "X-Forwarded-Proto: http", "X-Forwarded-Prefix: /evil")
    head, _ = reply(connection)
    assert 'x-amz-meta-a_b: c' in head and 'ETag: "e"' in head
    assert backend.header("Host") == [f"bucket.s3.example.com:{nginx.port}"]
    assert backend.header("x-amz-meta-under_score") == ["a  b"]
    assert backend.header("X-Forwarded-For") == ["127.0.0.1"]
    assert backend.header("X-Forwarded-Proto") == ["https"]
    assert backend.header("X-Forwarded-Host") == [f"bucket.s3.example.com:{nginx.port}"]
    assert backend.header("X-Forwarded-Port") == [str(nginx.port)]
    assert backend.header("X-Forwarded-Prefix") == []


def test_long_presigned_urls_and_much_metadata_pass(connect, backend):
    connection = connect()
    send(connection, "GET /b/k?X-Amz-Security-Token=" + "t" * 6000, "Host: s3.example.com", "x-amz-meta-long: " + "m" * 8000)
    assert reply(connection)[1] == b"ok"
    assert backend.header("x-amz-meta-long") == ["m" * 8000]


def test_an_upload_is_not_collected_first(connect, backend):
    connection = connect()
    send(connection, "PUT /b/k", "Host: s3.example.com", f"Content-Length: {2 * MEGABYTE}", body=b"x" * MEGABYTE)
    for _ in range(500):
        if backend.body_bytes >= MEGABYTE // 2:
            break
        threading.Event().wait(0.01)
    assert MEGABYTE // 2 <= backend.body_bytes < 2 * MEGABYTE
    connection.sendall(b"x" * MEGABYTE)
    assert reply(connection)[1] == b"ok"
    assert backend.body_bytes == 2 * MEGABYTE


def test_a_chunked_upload_stays_chunked(connect, backend):
    connection = connect()
    send(connection, "PUT /b/k", "Host: s3.example.com", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n")
    for _ in range(500):
        if backend.body_bytes:
            break
        threading.Event().wait(0.01)
    connection.sendall(b"0\r\n\r\n")     # nginx gives a length to bodies that it has whole
    assert reply(connection)[1] == b"ok"
    assert backend.header("Transfer-Encoding") == ["chunked"] and backend.body_bytes == 5


def test_a_download_is_not_collected_first(connect, backend):
    connection = connect()
    send(connection, "GET /stream", "Host: s3.example.com")
    assert reply(connection)[1] == b"first"
    backend.go_on.set()
    assert connection.recv(100) == b"after"


def test_expect_100_continue_is_answered(connect, backend):
    connection = connect()
    send(connection, "PUT /b/k", "Host: s3.example.com", "Content-Length: 5", "Expect: 100-continue")
    assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
    connection.sendall(b"hello")
    assert reply(connection)[1] == b"ok"


def test_connections_to_the_server_are_kept(connect, backend):
    for _ in range(3):
        connection = connect()
        for _ in range(3):
            send(connection, "GET /b/k", "Host: s3.example.com")
            assert reply(connection)[1] == b"ok"
    assert backend.connections == 1
    assert backend.header("Connection") == []


def test_the_console_has_its_own_name(connect, backend):
    connection = connect("console.example.com")
    send(connection, "GET /api/v1/buckets", "Host: console.example.com", "X-Forwarded-Prefix: /evil")
    assert reply(connection)[1] == b"ok"
    assert backend.header("X-Forwarded-Host") == ["console.example.com"] and backend.header("X-Forwarded-Prefix") == []
