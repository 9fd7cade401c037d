"""A running server, put together: prepare an installation once, then build, serve and call it in each process."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from shared import audit, metrics, queue
from shared.access_log import AccessLog
from shared.auth.keys import new_access_key, new_secret
from shared.auth.proxies import TrustedProxies
from shared.auth.sealing import KeyUnusable, MasterKey, SealBroken
from shared.blobs.disk import DiskEngine
from shared.encryption.ring import Ring
from shared.host import manifest
from shared.host.console import add_console_routes
from shared.host.flask_host import FunctionHost
from shared.host.server import Server, create_server
from shared.host.wsgi import WsgiApplication
from shared.identity import Identity
from shared.meta import database, logins, people, usage
from shared.pipeline import Pipeline
from shared.registry import load
from shared.services import Services
from shared.settings import Settings
from shared.store import Store


def prepare(settings: Settings) -> tuple[str, str] | None:
    """Bring an installation up to date: schema, master key, root and its key pair. Any process may do it, at any time.

    Returns (access key, secret) when they were generated just now: the only time anybody sees that secret.
    Raises WrongInstallation, KeyUnusable, NewerDatabase.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_file = settings.data_dir / "master.key"
    is_made_now = not settings.master_key and not key_file.exists()
    master_key = open_master_key(settings)
    database.connect(settings.database_url, settings.data_dir)
    record = settings.data_dir / "installation"
    with database.session():        # before anything changes in a database that may be a foreign one
        _check_installation(record)
    database.migrate()
    with database.session():
        root = people.create_root()
        key = people.key_of(root.id)
        if key is not None:
            _check_master_key(master_key, key, key_file if is_made_now else None)
        made = None
        if settings.root_access_key:
            _keep_given(master_key, root, key, settings.root_access_key, settings.root_secret_key)
        elif key is None:
            made = issue_root_key(master_key)
        _record_installation(record, root)
    return made


class WrongInstallation(Exception):
    """The database is not the one that this data folder belongs to; together they would lose data."""


def _check_installation(path: Path) -> None:
    """Compare what the data folder and the database say about whose they are. Raises WrongInstallation.

    To a foreign database every file here is an orphan, to be swept.
    """
    recorded = path.read_text().strip() if path.exists() else ""
    found = people.installation_id()        # after the file: another process may be making both just now
    if recorded and found != recorded:
        raise WrongInstallation(
            "The database is not the one this data folder was used with. Check MAXIOFS_DATABASE_URL and MAXIOFS_DATA_DIR; "
            f"if they are right, for example after restoring a backup of another installation, remove {path.name} from the data folder."
        )


def _record_installation(path: Path, root: people.PrincipalInfo) -> None:
    if path.exists():
        return
    with path.with_suffix(f".{os.getpid()}").open("w") as file:
        file.write(root.canonical_id + "\n")
        file.flush()
        os.fsync(file.fileno())
        Path(file.name).rename(path)


def _check_master_key(master_key: MasterKey, key: people.KeyInfo, made_now: Path | None) -> None:
    """Refuse to start with a key that does not open what is stored: every signed request would fail. Raises KeyUnusable.

    One that was made just now, because there was none, goes away again: the lost one is to be put back in its place.
    """
    try:
        master_key.open(key.sealed_secret, key.id.encode())
    except SealBroken:
        if made_now is not None:
            made_now.unlink(missing_ok=True)
        raise KeyUnusable(
            ("The master key is missing: without it the stored secrets do not open. " if made_now is not None else
             "The master key does not open the stored secrets. ")
            + "Put the right master.key back, or have `maxiofs key restore` do it from a recovery bundle. Or give up all secrets and all "
            "encrypted objects, and make new root credentials with `maxiofs root reset`, while MAXIOFS_ROOT_ACCESS_KEY is not set."
        ) from None


def open_master_key(settings: Settings) -> MasterKey:
    """The key that seals secrets at rest: from the setting, or a file in the data folder."""
    return MasterKey.load_or_create(settings.data_dir / "master.key", settings.master_key or None)


def _keep_given(master_key: MasterKey, root: people.PrincipalInfo, key: people.KeyInfo | None, access_key: str, secret: str) -> None:
    """Make the given pair root's only one, unless it is already."""
    if key and key.id == access_key and master_key.open(key.sealed_secret, key.id.encode()) == secret.encode():
        return
    people.replace_key(root.id, access_key, master_key.seal(secret.encode(), access_key.encode()))


def issue_root_key(master_key: MasterKey) -> tuple[str, str]:
    """Give root a new key pair; the old one stops working in every process at its next request."""
    access_key, secret = new_access_key(), new_secret()
    people.replace_key(people.create_root().id, access_key, master_key.seal(secret.encode(), access_key.encode()))
    return access_key, secret


def reset_root(settings: Settings) -> tuple[str, str]:
    """Issue new root credentials and return (access key, secret). Root's password and second factor, which may be lost too, are void."""
    try:
        made = prepare(settings)
    except KeyUnusable:     # the old secrets are lost anyway: that is what this command is for
        made = None
    with database.session():
        logins.remove(people.create_root().id)
        return made or issue_root_key(open_master_key(settings))


def build(settings: Settings) -> App:
    """Open an installation in this process. Raises what ``prepare`` raises."""
    made = prepare(settings)
    services = assemble(settings)
    queue.configure(settings.queue_url, settings.data_dir)
    audit.configure(settings)
    return App(services, made)


def assemble(settings: Settings) -> Services:
    """The services of this process, over a database that is connected already."""
    counts = metrics.of_this_process(settings.data_dir)
    master_key = open_master_key(settings)
    engine = DiskEngine(settings.data_dir, settings.reserve_bytes)
    counts.usage = lambda: [metrics.Usage(*row) for row in usage.by_bucket()]
    counts.disk = settings.data_dir
    return Services(
        settings=settings, engine=engine, store=Store(engine, Ring(master_key)), identity=Identity(master_key),
        proxies=TrustedProxies(settings.trusted_proxies), metrics=counts, log=AccessLog(settings.log_format),
        master_key=master_key,
    )


class App:
    """One process's server."""

    def __init__(self, services: Services, new_root_key: tuple[str, str] | None) -> None:
        self.services = services
        self.new_root_key = new_root_key

    def host(self, patterns: tuple[str, ...] = ("*",)) -> FunctionHost:
        """The Flask application over the functions that match."""
        functions = load(patterns)
        return FunctionHost(functions, Pipeline(self.services, functions))

    def serve(self, process: str, sockets: list[socket.socket], ready: Callable[[], None] = lambda: None) -> None:
        """Answer requests on bound sockets until SIGTERM, then let running ones finish. ``ready`` is called just before the first."""
        entry = manifest.read()[process]
        host = self.host(entry.functions)
        settings = self.services.settings
        if entry.listener == "console":
            add_console_routes(host, self.services)
        server = create_server(
            host.pipeline if entry.listener == "s3" else WsgiApplication(host, refusal=host.refuse, lane=host.lane),
            sockets,
            fast=settings.threads_fast,
            write=settings.threads_write,
            slow=settings.threads_slow,
            inline_bytes=settings.inline_bytes,
            shares_sockets=len(entry.slots(settings.processes)) > 1,
        )
        _drain_on_sigterm(server, settings.drain_timeout_s)
        _allow_many_files()
        ready()
        server.run()

    def invoke(self, function_id: str, arguments: dict[str, Any], body: BinaryIO | None = None) -> Any:
        """Call a function as root, without HTTP. ``arguments`` and result are those of boto3; a result's Body is a file.

        Raises LookupError for an unknown function, direct.UnfitArguments, and what the function raises.
        """
        from shared import direct  # late: needs botocore's readers, which no process of the server does

        functions = load()
        if function_id not in functions:
            raise LookupError(f"there is no function {function_id}; known: {', '.join(functions)}")
        function = functions[function_id]
        with database.session():
            if function.operation is not None:
                return direct.call(self.services, functions, function, arguments, body)
            if body is not None:
                raise direct.UnfitArguments(f"{function_id} takes no body")
            from shared.admin.calls import Calls

            return Calls(self.services).invoke(function, arguments)

    def close(self) -> None:
        """Release files, locks and connections."""
        queue.close()
        audit.close()
        self.services.engine.close()
        database.dispose()


def _allow_many_files() -> None:
    """Raise the limit of open files as far as this user may: each connection and each upload takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _drain_on_sigterm(server: Server, timeout_s: float) -> None:
    def drain(*_: object) -> None:
        server.drain(timeout_s)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, drain)
