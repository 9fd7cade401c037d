"""A real nginx with infra/nginx.conf and a self-signed certificate, for tests."""

import datetime
import ipaddress
import shutil
import socket
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.host.child import end_with_starter
from shared.settings import ROOT

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
NAMES = ["localhost", "s3.example.com", "*.s3.example.com", "console.example.com"]

MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def free_port():
    """A port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def make_certificate(certificate, key):
    """Write a certificate for NAMES and 127.0.0.1, signed by itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([*map(x509.DNSName, NAMES), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
              .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
              .not_valid_after(now + datetime.timedelta(days=30)).add_extension(names, critical=False)
              .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(private, hashes.SHA256()))
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def site(port, s3_port, console_port, certificate, key):
    """infra/nginx.conf with everything that is marked "yours" replaced. Every replaced line must be there."""
    text = (ROOT / "infra" / "nginx.conf").read_text()
    for old, new in (
        ("server 127.0.0.1:8080;", f"server 127.0.0.1:{s3_port};"),
        ("server 127.0.0.1:8081;", f"server 127.0.0.1:{console_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server_name s3.example.com *.s3.example.com;", "server_name s3.example.com *.s3.example.com localhost 127.0.0.1;"),
        ("/etc/maxiofs/tls/s3.crt", str(certificate)), ("/etc/maxiofs/tls/s3.key", str(key)),
        ("/etc/maxiofs/tls/console.crt", str(certificate)), ("/etc/maxiofs/tls/console.key", str(key)),
    ):
        assert old in text, f"infra/nginx.conf has no {old!r}"
        text = text.replace(old, new)
    return text


class Nginx:
    """Runs until close(). ``url`` is https; ``certificate`` is what clients must trust."""

    def __init__(self, folder, s3_port, console_port=9):
        self.folder = folder
        self.certificate = folder / "tls.crt"
        make_certificate(self.certificate, folder / "tls.key")
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        (folder / "site.conf").write_text(site(self.port, s3_port, console_port, self.certificate, folder / "tls.key"))
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        self._process = subprocess.Popen([PROGRAM, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         preexec_fn=end_with_starter)
        self._wait()

    def _wait(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except ConnectionRefusedError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.02)
        raise RuntimeError((self.folder / "error.log").read_text())

    def close(self):
        """Stop it; only the process that was started here."""
        self._process.terminate()
        self._process.wait(10)
