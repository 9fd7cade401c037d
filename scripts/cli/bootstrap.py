"""`maxiofs bootstrap`: what an installation is to have, from a file; and what it has, as one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from scripts.cli.ask import application
from scripts.cli.command import USAGE, Context, Failure, with_settings


@click.group()
def bootstrap() -> None:
    """Tenants, users, groups, policies, buckets and settings from a file: TOML or JSON, or a folder of such."""


file_argument = click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[FILE]")


@contextmanager
def _ready(context: Context, path: Path | None) -> Iterator[tuple[Any, Any]]:
    """(what the file wants, the master key), with the database connected."""
    from shared.app import open_master_key
    from shared.bootstrap import read
    from shared.meta import database

    chosen = path or context.settings.bootstrap
    if chosen is None:
        raise Failure("which file? name one, or set MAXIOFS_BOOTSTRAP", USAGE)
    wanted = read(chosen)
    with application(context), database.session():
        yield wanted, open_master_key(context.settings)


def _show(context: Context, changes: list[Any], nothing: str) -> None:
    context.show({"changes": [change._asdict() for change in changes]}, "\n".join(change.text() for change in changes) or nothing)


@bootstrap.command()
@file_argument
@with_settings
def plan(context: Context, path: Path | None) -> None:
    """Show what `apply` would change; change nothing."""
    from shared import bootstrap as shared

    with _ready(context, path) as (wanted, master_key):
        _show(context, shared.plan(wanted, master_key), "nothing to do")


@bootstrap.command()
@file_argument
@with_settings
def apply(context: Context, path: Path | None) -> None:
    """Make the installation as the file says: all of it, or nothing. What the file does not name stays. A second time changes nothing.

    `up` does this at each start with what MAXIOFS_BOOTSTRAP names, and does not start when it cannot be done.
    """
    from shared import bootstrap as shared

    with _ready(context, path) as (wanted, master_key):
        _show(context, shared.apply(wanted, master_key), "nothing to do")


@bootstrap.command()
@click.option("--secrets", is_flag=True, help="with access keys and their secrets: anybody who reads the file can use them")
@with_settings
def export(context: Context, secrets: bool) -> None:
    """Print what the installation has as a bootstrap file (JSON). Passwords, second factors and objects are not in it."""
    from shared.app import open_master_key
    from shared.bootstrap import exporting
    from shared.meta import database

    with application(context), database.session():
        found = exporting.export(open_master_key(context.settings), secrets=secrets)
    context.show(found, json.dumps(found, indent=2, ensure_ascii=False))
