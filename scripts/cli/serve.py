"""The commands that run the server: all of it (`up`), or one kind of process."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from scripts.cli import banner
from scripts.cli.command import UNREACHABLE, Context, Failure, end_quietly_on_sigterm, with_settings
from shared import access_log, metrics
from shared.host import child, manifest
from shared.host.listening import StartError, bind, bound
from shared.host.processes import Supervisor, module_command
from shared.settings import BY_NAME, ROOT, Address, Settings

log = logging.getLogger("maxiofs.cli")
log.setLevel(logging.INFO)


@click.command()
@with_settings
def up(context: Context) -> None:
    """Run the whole server in the foreground.

    SIGTERM or Ctrl-C: no new connections; running requests get 30 s to finish. SIGHUP: the processes are replaced one by
    one and read their settings again (addresses stay); when started from a terminal, SIGHUP stops the server.
    """
    settings = context.settings
    access_log.configure(settings.log_format)
    _make_folders(settings.data_dir)
    with _only_one(settings.data_dir), contextlib.ExitStack() as open_sockets:
        addresses = {"s3": settings.listen, "console": settings.console_listen}
        sockets = {name: open_sockets.enter_context(bind(address, _listen_setting(name).env))
                   for name, address in addresses.items()}
        real = {name: bound(sockets[name], addresses[name]) for name in sockets}
        counts = metrics.folder(settings.data_dir)
        metrics.wipe(counts)
        environ = _child_environ(context, real)
        shown = banner.Banner(context, real, _prepare(environ, context.as_json))
        try:
            supervisor = Supervisor(
                manifest.read().values(), {name: [one] for name, one in sockets.items()}, auto=settings.processes,
                command=module_command, environ=environ, drain_timeout_s=settings.drain_timeout_s,
                on_ready=shown.show, on_death=functools.partial(metrics.forget, counts))
            code = supervisor.run()
        finally:
            shown.show_credentials_if_unseen()
    sys.exit(code)


def _listen_setting(listener: str) -> Any:
    return BY_NAME["listen" if listener == "s3" else "console_listen"]


def _make_folders(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (data_dir / "run").mkdir(exist_ok=True, mode=0o700)
        probe = data_dir / "run" / f"writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(f"cannot write to the data folder {data_dir}: {error.strerror} (setting: MAXIOFS_DATA_DIR)") from error


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the lock of the data folder: two supervisors would wipe each other's counts."""
    with (data_dir / "run" / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Failure(f"a server is already running on {data_dir} (process {file.read().strip() or 'unknown'})",
                          UNREACHABLE) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _child_environ(context: Context, addresses: Mapping[str, Address]) -> dict[str, str]:
    """The environment of the children: ours, with flags as variables and the addresses as they really are."""
    environ = dict(os.environ)
    changed = {name: str(value) for name, value in context.flags.items()}
    changed["data_dir"] = str(context.settings.data_dir)
    if context.settings.config:
        changed["config"] = str(context.settings.config)
    changed |= {_listen_setting(name).name: str(address) for name, address in addresses.items()}
    for name, value in changed.items():
        environ.pop(BY_NAME[name].env + "_FILE", None)
        environ[BY_NAME[name].env] = value
    inherited = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(ROOT)]
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *inherited])
    return environ


def _prepare(environ: Mapping[str, str], as_json: bool) -> banner.Credentials | None:
    """Run `prepare` in its own process, so that this one stays small: it only watches the others."""
    life, ours = os.pipe()
    try:
        command = [sys.executable, "-P", "-m", "scripts.cli", "prepare", "--life-fd", str(life), "--parent-pid", str(os.getpid()),
                   *(["--json"] if as_json else [])]
        done = subprocess.run(command, env=environ, pass_fds=(life,), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    finally:
        os.close(life)
        os.close(ours)
    if done.returncode:
        raise SystemExit(done.returncode if done.returncode > 0 else 1)       # it said why
    found = json.loads(done.stdout.splitlines()[-1])
    return banner.Credentials(**found) if found else None


def supervised(function: Callable[..., None]) -> Callable[..., None]:
    """Hidden options that the supervisor gives its children; without them the command runs alone."""
    @functools.wraps(function)
    def call(context: Context, life_fd: int | None, parent_pid: int, **options: Any) -> None:
        if life_fd is None:
            end_quietly_on_sigterm()
        else:
            child.follow_parent(life_fd, parent_pid)
        access_log.configure(context.settings.log_format)
        function(context, **options)

    call = click.option("--life-fd", type=int, hidden=True)(call)
    return click.option("--parent-pid", type=int, default=0, hidden=True)(call)


def placed(function: Callable[..., None]) -> Callable[..., None]:
    """Hidden options of a child that stays: its place in the server, and where to say that it is ready."""
    @functools.wraps(function)
    def call(context: Context, slot: str | None, ready_fd: int | None, **options: Any) -> None:
        name = options.get("process") or click.get_current_context().info_name
        metrics.claim_slot(slot or f"{name}-{os.getpid()}")
        function(context, ready=functools.partial(child.announce_ready, -1 if ready_fd is None else ready_fd), **options)

    call = click.option("--slot", hidden=True)(call)
    return click.option("--ready-fd", type=int, hidden=True)(call)


@click.command(hidden=True)
@with_settings
@supervised
def prepare(context: Context) -> None:
    """Bring the data folder up to date: migrations, root. Prints root's credentials as JSON when they were just made."""
    from shared import app

    made = app.prepare(context.settings)
    for name, source in context.settings.sources.items():
        if source.startswith("environment ("):
            log.info("the setting %s was taken from the %s", name, source)
    if context.settings.bootstrap:
        _bootstrap(context.settings)
    click.echo(json.dumps({"access_key": made[0], "secret_key": made[1]} if made else None))


def _bootstrap(settings: Settings) -> None:
    """Apply the bootstrap file before anything is served."""
    from shared import audit, bootstrap
    from shared.app import open_master_key
    from shared.meta import database

    assert settings.bootstrap is not None
    audit.configure(settings)
    try:
        with database.session():
            bootstrap.start(settings.bootstrap, open_master_key(settings))
    finally:
        audit.close()


@click.command()
@click.option("--process", required=True, metavar="NAME", help="which process of infra/processes.toml")
@click.option("--fd", "fds", type=int, multiple=True, hidden=True)
@with_settings
@supervised
@placed
def functions(context: Context, process: str, fds: tuple[int, ...], ready: Callable[[], None]) -> None:
    """Run one process that answers requests."""
    from shared import app

    of = manifest.read().get(process)
    if of is None or of.kind != "functions":
        names = ", ".join(name for name, one in manifest.read().items() if one.kind == "functions")
        raise click.BadParameter(f"{process!r} is none of {names}", param_hint="--process")
    sockets = [socket.socket(fileno=fd) for fd in fds] or [_own_socket(context.settings, of.listener)]
    running = app.build(context.settings)
    if running.new_root_key:
        banner.show_new_root(context, banner.Credentials(*running.new_root_key))
    try:
        running.serve(process, sockets, ready)
    finally:
        running.close()


def _own_socket(settings: Settings, listener: str) -> socket.socket:
    row = _listen_setting(listener)
    return bind(getattr(settings, row.name), row.env)


@click.command()
@with_settings
@supervised
@placed
def workflows(context: Context, ready: Callable[[], None]) -> None:
    """Run the process that does what happens later."""
    from workflows import runner

    ready()
    runner.run_consumer(context.settings)


@click.command()
@with_settings
@supervised
@placed
def scheduler(context: Context, ready: Callable[[], None]) -> None:
    """Run the process that starts what is due."""
    from workflows import scheduler as due

    ready()
    due.run_scheduler(context.settings)
