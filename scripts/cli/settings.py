"""`maxiofs settings`: what the server is started with, and what can be changed while it runs."""

from __future__ import annotations

import json
from typing import Any

import click

from scripts.cli.ask import application
from scripts.cli.command import USAGE, Context, Failure, with_settings


@click.group(invoke_without_command=True)
@with_settings
def settings(context: Context) -> None:
    """Show every setting of the start, where its value came from, and what it means. Its commands are about dynamic settings."""
    if click.get_current_context().invoked_subcommand:
        return
    rows = context.settings.rows()
    if context.as_json:
        context.show({row.pop("name"): row for row in rows})
        return
    _table(("setting", "value", "from", "meaning"), [(row["env"], row["value"] or "-", row["source"], row["help"]) for row in rows])


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console  # late: processes of the server import this module too
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@settings.command("list")
@click.argument("category", required=False)
@with_settings
def list_dynamic(context: Context, category: str | None) -> None:
    """Show the settings that can be changed while the server runs."""
    with application(context) as app:
        items = app.invoke("admin.list_settings", {"category": category} if category else {})["items"]
    if context.as_json:
        context.show({"items": items})
        return
    _table(("setting", "value", "default", "meaning"),
           [(item["key"], json.dumps(item["value"]), json.dumps(item["default"]), item["description"]) for item in items])


@settings.command()
@click.argument("key")
@with_settings
def get(context: Context, key: str) -> None:
    """Show one of them."""
    with application(context) as app:
        found = app.invoke("admin.get_setting", {"key": key})
    context.show(found, json.dumps(found["value"]))


@settings.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE…")
@with_settings
def change(context: Context, changes: tuple[str, ...]) -> None:
    """Change some of them, all or none; every process follows at its next request.

    \b
    maxiofs settings set system.maintenance_mode=true
    """
    with application(context) as app:
        items = app.invoke("admin.update_settings", {"settings": dict(map(_change, changes))})["items"]
    context.show({"items": items}, "\n".join(f"{item['key']} = {json.dumps(item['value'])}" for item in items))


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Failure(f"{text!r} is not KEY=VALUE", USAGE)
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value       # a text without quotes
