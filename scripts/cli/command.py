"""What every command has in common: settings as flags, --json, errors as one line, exit codes."""

from __future__ import annotations

import dataclasses
import functools
import json
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from shared.host.listening import StartError
from shared.settings import SETTINGS, Settings, SettingsError, load

OK = 0
FAILED = 1              # it was tried, and it did not work
USAGE = 2               # the command line or a setting is wrong; nothing was tried
UNREACHABLE = 3         # the database is not reachable, or something holds a lock: the same command may work later
EXIT_CODES = "Exit codes: 0 done · 1 failed · 2 wrong usage or settings · 3 not reachable or locked: try again later"

_DAMAGED_NAMES = {"BlobMissing", "BlobCorrupt"}     # by name: importing them would make every start slower
_CANNOT_START = {"NewerDatabase", "KeyUnusable", "WrongInstallation"}     # what shared.app.prepare refuses
_UNREACHABLE_NAMES = {"OperationalError", "InterfaceError", "ServiceUnavailable"}    # of peewee, sqlite3, psycopg, and ours


class Failure(Exception):
    """The command failed; the message is for people, and no bug is involved."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Context:
    """What a command works with."""

    settings: Settings
    flags: Mapping[str, str]        # as typed, by setting name: handed on to child processes
    as_json: bool

    def show(self, value: Any, text: str | None = None) -> None:
        """Print a result: JSON on one line with --json, else the text (or readable JSON)."""
        if self.as_json:
            click.echo(json.dumps(value, default=plain))
        else:
            click.echo(json.dumps(value, default=plain, indent=2, ensure_ascii=False) if text is None else text)


def plain(value: Any) -> Any:
    """What JSON makes of the values that functions return."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Add a flag for every setting but secrets, and --json; call with a Context as first argument."""
    @functools.wraps(function)
    def call(as_json: bool, **options: Any) -> None:
        flags = {row.name: options.pop(row.name) for row in SETTINGS if not row.secret}
        flags = {name: value for name, value in flags.items() if value not in (None, "")}
        try:
            function(Context(load(flags), flags, as_json), **options)
        except Exception as error:
            _fail(error, as_json)

    for row in reversed(SETTINGS):
        if not row.secret:
            call = click.option(row.flag, row.name, metavar="VALUE", help=f"{row.help} [{row.env}]")(call)
    return click.option("--json", "as_json", is_flag=True, help="print JSON, one document per line")(call)


def _fail(error: Exception, as_json: bool) -> NoReturn:
    """Report what is expected to go wrong in one line each; let everything else be a traceback: it is a bug."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, (click.ClickException, click.exceptions.Exit, click.Abort)):
        raise error
    if isinstance(error, SettingsError):
        messages, code = error.problems, USAGE
    elif isinstance(error, Failure):
        messages, code = [str(error)], error.exit_code
    elif names & _UNREACHABLE_NAMES:
        messages, code = [str(error).strip() or type(error).__name__], UNREACHABLE
        if error.__cause__ is not None:     # what clients of the server are not told, its operator wants to know
            messages[0] += f" ({error.__cause__})"
    elif names & _DAMAGED_NAMES:
        messages, code = [f"stored bytes are missing or damaged: {error} (try: maxiofs check)"], FAILED
    elif isinstance(error, (StartError, OSError)) or names & _CANNOT_START:
        messages, code = [str(error)], FAILED
    elif hasattr(error, "code") and hasattr(error, "status"):       # an S3 error: the caller asked for what cannot be
        messages, code = [f"{error.code}: {error}"], FAILED
    elif as_json:
        messages, code = traceback.format_exception(error), FAILED
    else:
        raise error
    if as_json:
        fail_as_json(messages, code)
    for message in messages:
        click.echo(f"maxiofs: {' '.join(message.split())}", err=True)
    sys.exit(code)


def fail_as_json(messages: list[str], code: int) -> NoReturn:
    """Print the one document that an error is with --json, and exit."""
    click.echo(json.dumps({"error": [message.strip() for message in messages], "exit_code": code}), err=True)
    sys.exit(code)


def end_quietly_on_sigterm() -> None:
    """Turn SIGTERM into SystemExit, so that what is open is closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
