"""A real nginx with a self-signed certificate, from infra/nginx.conf: only addresses, names and paths are changed."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.host.child import end_with_starter
from tests.running import ROOT, RunningServer

CONFIGURATION = ROOT / "infra" / "nginx.conf"
NAME, CONSOLE_NAME = "s3.example.com", "console.example.com"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and the names in the configuration: (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in ("localhost", NAME, f"*.{NAME}", CONSOLE_NAME)]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate, secret


class Nginx:
    """nginx in the foreground of a child process, for as long as the ``with`` block."""

    def __init__(self, folder: Path, port: int, server: RunningServer) -> None:
        found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if found is None:
            pytest.skip("nginx is not installed (Debian package nginx)")
        self._program, self._folder, self.port = found, folder, port
        self.certificate, self._key = make_certificate(folder)
        self.url = f"https://localhost:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "nginx.conf").write_text(self._main_file())
        (folder / "maxiofs.conf").write_text(self._ours(server))

    def _main_file(self) -> str:
        temporary = "".join(f"{kind}_temp_path {self._folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        return (
            f"{user} daemon off; worker_processes 2; pid {self._folder}/pid; error_log {self._folder}/error.log warn;"
            f"events {{}} http {{ access_log off; {temporary} include {self._folder}/maxiofs.conf; }}"
        )

    def _ours(self, server: RunningServer) -> str:
        text = CONFIGURATION.read_text()
        changes = {
            r"127\.0\.0\.1:8080": server.host,
            r"127\.0\.0\.1:8081": server.console_url.partition("//")[2],
            r"listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            r"/etc/maxiofs/tls/\w+\.crt": str(self.certificate),
            r"/etc/maxiofs/tls/\w+\.key": str(self._key),
            r"server_name s3\.example\.com": "server_name localhost 127.0.0.1 s3.example.com",
        }
        for pattern, replacement in changes.items():
            text, count = re.subn(pattern, replacement, text)
            assert count, f"infra/nginx.conf has no {pattern}: the tests would not test it"
        return text

    def __enter__(self) -> Nginx:
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [self._program, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf"), "-e", str(self._folder / "error.log")],
                stdout=output,
                stderr=output,
                preexec_fn=end_with_starter,
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self._folder / "output").read_text() + self.errors()
                    self.__exit__()
                    raise RuntimeError(f"nginx did not start: {said}") from None
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)

    def errors(self) -> str:
        """What nginx complained about."""
        log = self._folder / "error.log"
        return log.read_text() if log.exists() else ""
