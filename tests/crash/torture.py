"""Kill a working server again and again, and hold what is left against what clients were told.

    python -m tests.crash.torture --rounds 20 --seed 7
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from shared import check as checking
from shared.blobs.disk import DiskEngine
from shared.findings import Report
from shared.meta import buckets, database, tenants
from tests.crash.journal import Content, Pending, Tally
from tests.crash.load import CHAIN_KEY, LABELLED, PLAIN, VERSIONED, Client, Shared, label_of
from tests.crash.protected import ENCRYPTED, LOCKED, encrypt_by_default, encrypted_fault, locked_fault
from tests.crash.protected import prepare as prepare_protected
from tests.running import RunningServer
from tests.s3.raw import Answer, Raw

CLIENTS = 4
PROCESSES = 2           # of the S3 listener
LOAD_S = (0.3, 1.2)     # before the first kill
KILLS = ("all", "child", "supervisor", "children", "workflows", "all", "child")
SETTLE_S = 30
ENVIRON = {"MAXIOFS_RESERVE_BYTES": "0"}


class Lost(AssertionError):
    """The server lost, kept or changed something that it must not."""


class Torture:
    """One installation, its clients, and rounds of killing. ``say`` is told about each round."""

    def __init__(self, server: RunningServer, seed: int, database_url: str = "", say: Callable[[str], None] = lambda text: None) -> None:
        self.server, self.database_url, self.say = server, database_url, say
        self.choose = random.Random(seed)
        self.shared = Shared()
        self.clients = [Client(number, self.shared, seed) for number in range(CLIENTS)]
        self.tally = Tally()

    def prepare(self) -> None:
        """Make the buckets. They are a tenant's, so that each write also counts against a quota; the check of each round recounts it."""
        ask = Raw(self.server)
        for bucket in (PLAIN, VERSIONED, LABELLED):
            assert ask("PUT", f"/{bucket}").status == 200
        prepare_protected(ask)
        with self._maintenance(), database.session():
            tenant = tenants.create("crash", {"max_bytes": 1 << 50, "max_objects": 1 << 40})
            for bucket in (PLAIN, VERSIONED, LABELLED, ENCRYPTED, LOCKED):
                found = buckets.find(bucket)
                assert found is not None
                buckets.move(found.id, tenant.id)
        for client in self.clients:
            assert ask("PUT", f"/{LABELLED}/{client.label_key}", (("x-amz-tagging", "label=first"),)).status == 200
            client.label.acknowledged(label_of("first"))
        body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        assert ask("PUT", f"/{VERSIONED}?versioning", (), body).status == 200
        encrypt_by_default(ask, VERSIONED)

    def round(self, number: int) -> str:
        """Load, kill, restart, sweep, compare. Returns what was killed. Raises Lost."""
        started_s = time.monotonic()
        self.shared.round = number
        kind = KILLS[number % len(KILLS)] if number < len(KILLS) else self.choose.choice(KILLS)
        self._load_and_kill(kind)
        killed_s = time.monotonic()
        self._restart()
        self._repeat_completes()
        swept = self._sweep()
        self._compare()
        total = self._total()
        took = f"load {killed_s - started_s:.1f} s, rest {time.monotonic() - killed_s:.1f} s"
        self.say(f"round {number}: killed {kind}, {took}; {swept}; {total}")
        return kind

    def _total(self) -> Tally:
        total = Tally(kills=self.tally.kills, read_back=self.tally.read_back)
        for one in (client.tally for client in self.clients):
            total.operations += one.operations
            total.acknowledged += one.acknowledged
            total.refused += one.refused
            total.unknown += one.unknown
        return total

    # ---- killing --------------------------------------------------------------------------------------------------------------------

    def _load_and_kill(self, kind: str) -> None:
        stop, raised = threading.Event(), []

        def work(client: Client) -> None:
            try:
                client.run(self.server, stop)
            except BaseException as error:
                raised.append(error)

        threads = [threading.Thread(target=work, args=(client,)) for client in self.clients]
        for thread in threads:
            thread.start()
        try:
            time.sleep(self.choose.uniform(*LOAD_S))
            self._kill(kind)
            time.sleep(self.choose.uniform(0, 0.3))
            if kind in ("child", "workflows"):      # the others go on; let one more die under them
                self._kill(kind)
                time.sleep(self.choose.uniform(0, 0.5))
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        if raised:
            raise raised[0]

    def _kill(self, kind: str) -> None:
        roles = processes_by_role(self.server)
        chosen = {
            "child": self.choose.sample(roles.get("s3", []), min(1, len(roles.get("s3", [])))), "children": roles.get("s3", []),
            "workflows": roles.get("workflows", []) + roles.get("scheduler", []), "supervisor": [self.server.pid],
            "all": [self.server.pid, *(pid for pids in roles.values() for pid in pids)],
        }[kind]
        for pid in chosen:
            try:
                os.kill(pid, signal.SIGKILL)
                self.tally.kills += 1
            except ProcessLookupError:
                pass

    def _restart(self) -> None:
        """A server again, whole: by its supervisor, or by us when that is dead."""
        if not _is_alive(self.server.pid):
            deadline = time.monotonic() + SETTLE_S
            while left := [pid for pid in self.server.processes() if pid != self.server.pid]:
                if time.monotonic() > deadline:
                    raise Lost(f"processes {left} live on without their supervisor")
                time.sleep(0.05)
            self.server.kill()      # reaps it
            self.server.start()
        self._wait(lambda: len(processes_by_role(self.server).get("s3", [])) == PROCESSES, "the supervisor does not replace its children")

    def _wait(self, done: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + SETTLE_S
        while not done():
            if time.monotonic() > deadline:
                raise Lost(complaint)
            time.sleep(0.05)

    # ---- comparing ------------------------------------------------------------------------------------------------------------------

    def _ask(self, target: str, method: str = "GET", headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        self.tally.read_back += method == "GET"
        deadline = time.monotonic() + SETTLE_S
        while True:
            try:
                answer = Raw(self.server)(method, target, headers)
                if answer.status < 500:
                    return answer
                error: object = answer
            except (OSError, HTTPException) as broken:
                error = broken
            if time.monotonic() > deadline:
                raise Lost(f"{method} {target}: {error}")
            time.sleep(0.1)

    def _repeat_completes(self) -> None:
        """A Complete of unknown outcome, sent again, must succeed: it was done, or it can be done now."""
        for client in self.clients:
            client._raw = Raw(self.server)
            while client.unfinished:
                upload: Pending = client.unfinished.pop()
                client.complete(upload)
                if not upload.is_versioned:
                    client.plain[upload.key].is_frozen = False

    def _sweep(self) -> str:
        """Sweep without a delay; afterwards nothing may wait for a sweeper, and nothing may be wrong."""
        from workflows import runs

        with self._maintenance() as app:
            last = list(runs.watch(runs.start("sweep", {"delay_s": 0})))[-1]
            if last.state != "done":
                raise Lost(f"the sweep ended as {last}")
            report: Report = checking.check(app, repair=False, progress=lambda *_: None)
        if report.findings:
            raise Lost(str(report))
        if left := staged_files(self.server.data_dir):
            raise Lost(f"staging holds {left}")
        return str(last.message)

    @contextmanager
    def _maintenance(self) -> Iterator[Any]:
        """The installation, opened beside the server, as its command line does."""
        from shared import queue

        database.connect(self.database_url, self.server.data_dir)
        queue.configure("", self.server.data_dir)
        try:
            with closing(DiskEngine(self.server.data_dir)) as engine:
                yield SimpleNamespace(services=SimpleNamespace(engine=engine, settings=SimpleNamespace(sweep_delay_s=0)))
        finally:
            queue.close()
            database.dispose()

    def _read(self, bucket: str, key: str, version_id: str = "") -> Content | None:
        answer = self._ask(f"/{bucket}/{quote(key)}" + (f"?versionId={version_id}" if version_id else ""))
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Lost(f"{bucket}/{key}: {answer}")
        return Content(hashlib.md5(answer.body).hexdigest(), len(answer.body), answer.headers["etag"].strip('"'))

    def _compare(self) -> None:
        for client in self.clients:
            for key, plain in client.plain.items():
                found = self._read(PLAIN, key)
                if found not in plain.possible:
                    raise Lost(f"{PLAIN}/{key} holds {found}, and may hold {plain.possible}")
                plain.acknowledged(found)
            self._compare_label(client)
        self._compare_versions()
        self._compare_protected()
        self._compare_shared()
        self._compare_listing()

    def _compare_label(self, client: Client) -> None:
        found = label_of(self._ask(f"/{LABELLED}/{client.label_key}?tagging").xml.findtext(".//Value") or "")
        if found not in client.label.possible:
            raise Lost(f"{LABELLED}/{client.label_key} has the tag {found.etag}, and may have {client.label.possible}")
        client.label.acknowledged(found)

    def _compare_versions(self) -> None:
        listed = self._list_versions(VERSIONED)
        known = {key for client in self.clients for key in client.versioned}
        if strange := set(listed) - known:
            raise Lost(f"keys nobody wrote: {strange}")
        for client in self.clients:
            for key, journal in client.versioned.items():
                rows = listed.get(key, [])
                if fault := journal.fault(rows):
                    raise Lost(f"{VERSIONED}/{key}: {fault}")
                journal.settle(rows)
                current = self._read(VERSIONED, key)
                if current != (journal.versions[rows[0][0]] if rows else None):
                    raise Lost(f"{VERSIONED}/{key} shows {current}, and its newest version is {rows[:1]}")
                for version_id, content in journal.versions.items():
                    if content is not None and (found := self._read(VERSIONED, key, version_id)) != content:
                        raise Lost(f"{VERSIONED}/{key} version {version_id} holds {found} instead of {content}")

    def _compare_protected(self) -> None:
        def ask(method: str, target: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
            return self._ask(target, method, headers)

        listed = self._list_versions(LOCKED)
        for client in self.clients:
            if fault := encrypted_fault(client.protected, ask) or locked_fault(client.protected, listed, ask):
                raise Lost(fault)

    def _list_versions(self, bucket: str) -> dict[str, list[tuple[str, Content | None]]]:
        """Version ids and contents (ETag and size; None: a delete marker) of each key, newest first."""
        out: dict[str, list[tuple[str, Content | None]]] = {}
        marker = ""
        while True:
            page = self._ask(f"/{bucket}?versions{marker}").xml
            for row in page:
                if row.tag in ("Version", "DeleteMarker"):
                    content = None
                    if row.tag == "Version":
                        content = Content("", int(row.findtext("Size") or 0), (row.findtext("ETag") or "").strip('"'))
                    out.setdefault(row.findtext("Key") or "", []).append((row.findtext("VersionId") or "", content))
            if page.findtext("IsTruncated") != "true":
                return out
            marker = f"&key-marker={quote(page.findtext('NextKeyMarker') or '')}&version-id-marker={page.findtext('NextVersionIdMarker')}"

    def _compare_shared(self) -> None:
        found = self._read(PLAIN, CHAIN_KEY)
        if fault := self.shared.chain.fault(found):
            raise Lost(f"{PLAIN}/{CHAIN_KEY}: {fault}")
        self.shared.chain.settle(found)
        for key, race in self.shared.races.items():
            if fault := race.fault(self._read(PLAIN, key)):
                raise Lost(f"{PLAIN}/{key}: {fault}")
            self._ask(f"/{PLAIN}/{key}", "DELETE")
        self.shared.races.clear()

    def _compare_listing(self) -> None:
        """The listing shows what there is, and nothing else."""
        page = self._ask(f"/{PLAIN}?list-type=2").xml
        listed = {row.findtext("Key"): int(row.findtext("Size") or 0) for row in page.iter("Contents")}
        wanted = {
            key: content.size for client in self.clients for key, plain in client.plain.items() for content in plain.possible if content
        }
        if self.shared.chain.base:
            wanted[CHAIN_KEY] = self.shared.chain.base.size
        if listed != wanted:
            raise Lost(f"the listing differs: {set(listed.items()) ^ set(wanted.items())}")


def processes_by_role(server: RunningServer) -> dict[str, list[int]]:
    """The children of a server by what they do: s3, console, workflows, scheduler."""
    out: dict[str, list[int]] = {}
    for pid in server.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "--slot" in words:
            out.setdefault(words[words.index("--slot") + 1].rpartition("-")[0], []).append(pid)
    return out


def staged_files(data_dir: Path) -> list[str]:
    """What is in staging besides the lock files of living processes."""
    return [str(path.relative_to(data_dir)) for path in (data_dir / "staging").glob("*/*") if path.name != "lock"]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def torture(
    rounds: int, seed: int, database_url: str = "", data_dir: Path | None = None, say: Callable[[str], None] = lambda text: None,
) -> Tally:
    """Run that many rounds on a new installation; returns what was done. Raises Lost."""
    with RunningServer(database_url=database_url, processes=PROCESSES, environ=ENVIRON, data_dir=data_dir) as server:
        running = Torture(server, seed, database_url, say)
        running.prepare()
        for number in range(rounds):
            running.round(number)
        return running._total()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="torture", description="Kill a working server again and again; nothing acknowledged may be lost.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="the same choices again")
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL database; default: SQLite in the data folder")
    parser.add_argument("--data-dir", type=Path, help="an empty folder, kept afterwards; default: a temporary one")
    given = parser.parse_args()
    if given.data_dir:
        given.data_dir.mkdir(parents=True, exist_ok=True)
    print(f"{given.rounds} rounds with --seed {given.seed}", flush=True)
    started_s = time.monotonic()
    try:
        # A folder inside: the server's processes are known by its name, and this one has the given name in its own command line.
        folder = given.data_dir / "data" if given.data_dir else None
        total = torture(given.rounds, given.seed, given.database_url, folder, lambda text: print(text, flush=True))
    except AssertionError as lost:
        sys.exit(f"NOT WELL (--seed {given.seed}): {lost}")
    print(f"nothing lost in {given.rounds} rounds, {time.monotonic() - started_s:.0f} s: {total}")


if __name__ == "__main__":
    main()
