"""The supervisor: keeps children running, lets them finish, and leaves none behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.host import manifest
from shared.host.listening import StartError, bind
from shared.host.manifest import Process
from shared.settings import ROOT, Address

HERE = Path(__file__).parent


def _default_signals():
    """Whoever runs the tests may ignore these (nohup, a shell's background job), and children inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Parent:
    """A running supervisor, seen from outside."""

    def __init__(self, note, mode="plain", drain_timeout_s=5, stdin=subprocess.DEVNULL):
        self.note = note
        note.touch()
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "supervising_parent.py"), mode, str(drain_timeout_s), str(note), str(HERE / "supervised_child.py")],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=_default_signals)

    def event(self):
        return json.loads(self.process.stdout.readline())

    def ready(self):
        event = self.event()
        assert event["event"] == "ready"
        self.port = event["port"]
        return self

    def connect(self, question):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(question)
        return connection

    def ask(self, question=b"who"):
        with self.connect(question) as connection:
            return int(b"".join(iter(lambda: connection.recv(100), b"")).split()[-1])

    def children(self):
        """Ids of all children that were ever started."""
        return [int(line) for line in self.note.read_text().split()]

    def end(self, number=signal.SIGTERM, timeout_s=10):
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*args, **options):
        started.append(Parent(tmp_path / f"children-{len(started)}", *args, **options))
        return started[-1]

    yield start
    for parent in started:
        parent.process.kill()
        parent.process.communicate()
        wait_until(lambda parent=parent: not any(map(alive, parent.children())), 5)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, timeout_s=8.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)


def test_all_children_share_one_socket_and_end_on_sigterm(start):
    parent = start().ready()
    assert parent.ask() in parent.children()
    assert len(parent.children()) == 2
    assert parent.end() == 0
    assert not any(map(alive, parent.children()))


def test_ctrl_c_ends_it_too(start):
    parent = start().ready()
    assert parent.end(signal.SIGINT) == 0


def test_a_child_that_dies_is_replaced(start):
    parent = start().ready()
    parent.connect(b"die").close()
    assert parent.event() in [{"event": "death", "slot": "s3-0"}, {"event": "death", "slot": "s3-1"}]
    wait_until(lambda: len(parent.children()) == 3)
    assert parent.ask() > 0
    assert parent.end() == 0
    assert "SIGKILL" in parent.process.stderr.read()


def test_a_child_that_keeps_dying_is_not_restarted_in_a_loop(start):
    parent = start().ready()
    started_s = time.monotonic()
    for _ in range(8):
        parent.connect(b"die").close()
        parent.event()
        wait_until(lambda: sum(map(alive, parent.children())) >= 1)
    time.sleep(0.2)
    assert parent.end() == 0
    errors = parent.process.stderr.read()
    assert "again in 0.1 s" in errors and "again in 0.4 s" in errors
    assert len(parent.children()) <= 10 and time.monotonic() - started_s < 30


def test_sigterm_lets_running_requests_finish_and_takes_no_new_ones(start):
    parent = start().ready()
    with parent.connect(b"slow") as connection:
        assert connection.recv(100) == b"wait "
        parent.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(parent.port))
        assert int(connection.recv(100)) in parent.children()
    assert parent.process.wait(5) == 0


def refused(port):
    """Whether nobody listens any more; a connection that just sits in a backlog does not count."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection:
            connection.settimeout(0.1)
            connection.recv(1)
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    except TimeoutError:
        pass
    return False


def test_children_that_do_not_finish_are_killed(start):
    parent = start("stubborn", drain_timeout_s=0.5).ready()
    started_s = time.monotonic()
    assert parent.end() == 0
    assert 0.4 < time.monotonic() - started_s < 4
    assert not any(map(alive, parent.children()))


def test_a_second_signal_does_not_wait(start):
    parent = start("stubborn", drain_timeout_s=60).ready()
    parent.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert parent.end(timeout_s=5) == 0
    assert not any(map(alive, parent.children()))


@pytest.mark.parametrize("mode", ["plain", "stubborn"])
def test_no_orphan_is_left_when_the_supervisor_is_killed(start, mode):
    parent = start(mode).ready()
    assert all(map(alive, parent.children()))
    assert parent.end(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not any(map(alive, parent.children())), 5)
    with bind(Address("127.0.0.1", parent.port), "MAXIOFS_LISTEN"):
        pass


def test_a_server_that_cannot_start_gives_up(start):
    parent = start("broken")
    assert parent.process.wait(10) == 3
    assert "before it was ready" in parent.process.stderr.read()


def test_sighup_replaces_every_child_while_the_socket_stays(start):
    parent = start().ready()
    first = parent.children()
    parent.process.send_signal(signal.SIGHUP)
    while any(map(alive, first)) or len(parent.children()) < 4:
        assert parent.ask() in parent.children()
    assert parent.end() == 0
    assert len(parent.children()) == 4


def test_sighup_from_a_closing_terminal_stops(start):
    terminal, stdin = os.openpty()
    parent = start(stdin=stdin).ready()
    os.close(stdin)
    assert parent.end(signal.SIGHUP) == 0
    os.close(terminal)


def test_a_port_in_use_is_told_with_its_setting():
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(StartError) as caught:
        bind(Address(*other.getsockname()), "MAXIOFS_LISTEN")
    assert "another program is using this port (setting: MAXIOFS_LISTEN)" in str(caught.value)


@pytest.mark.parametrize("address", [Address("192.0.2.1", 0), Address("no-such-host.invalid", 0)])
def test_an_address_that_is_not_ours_is_told(address):
    with pytest.raises(StartError, match="cannot listen on"):
        bind(address, "MAXIOFS_LISTEN")


def test_localhost_means_ipv4_and_ipv6_works():
    with bind(Address("localhost", 0), "") as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    if Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text():
        with bind(Address("::1", 0), "") as listener:
            assert listener.getsockname()[0] == "::1"


def test_the_manifest_of_the_project_can_be_read():
    found = manifest.read()
    assert {process.kind for process in found.values()} == set(manifest.KINDS)
    assert {process.listener for process in found.values() if process.listener} == set(manifest.LISTENERS)
    assert found["s3"].slots(3) == ["s3-0", "s3-1", "s3-2"] and found["scheduler"].slots(3) == ["scheduler-0"]
    assert found["s3"].hosts("s3.GetObject") and not found["s3"].hosts("admin.create_user")


@pytest.mark.parametrize("entry, sentence", [
    ('kind = "nonsense"', "kind must be"),
    ('kind = "functions"\nfunctions = ["s3.*"]', "listener must be"),
    ('kind = "workflows"\nlistener = "s3"', "listener must be"),
    ('kind = "functions"\nlistener = "s3"', "functions must be"),
    ('kind = "workflows"\ncount = "many"', "count must be"),
    ('kind = "workflows"\nport = 1', "unknown port"),
])
def test_a_wrong_manifest_says_what_is_wrong(tmp_path, entry, sentence):
    path = tmp_path / "processes.toml"
    path.write_text(f"[processes.x]\n{entry}\n")
    with pytest.raises(ValueError, match=f"process x: .*{sentence}"):
        manifest.read(path)


def test_a_process_without_copies_is_allowed():
    assert Process("x", "workflows", count=0).slots(4) == []
