"""`maxiofs audit`: look into the audit log, write it out, and see whether anything is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import click

from scripts.cli.ask import application
from scripts.cli.command import FAILED, USAGE, Context, Failure, with_settings
from scripts.cli.progress import progress

FILTERS = {
    "tenant_id": "number of a tenant; 0: what concerns none", "username": "who did it", "event_type": "for example login_failed",
    "resource_type": "for example bucket", "resource_id": "id of what it was done to", "resource_name": "name of what it was done to",
    "action": "for example delete", "status": "success or failed", "address": "where from", "request_id": "id of the request",
    "since": "from this moment on, for example 2026-11-23 or 2026-11-23T09:00Z", "until": "before this moment",
    "text": "words that are in the event",
}


@click.group()
def audit() -> None:
    """The audit log: who did what, on what, from where, and how it ended."""


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for name, about in reversed(FILTERS.items()):
        command = click.option("--" + name.replace("_", "-"), name, metavar="TEXT", help=about)(command)
    return command


def _wanted(options: dict[str, str | None]) -> dict[str, Any]:
    """The filters that were given, as the admin API takes them. Raises Failure (usage)."""
    wanted: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        if "tenant_id" in wanted:
            wanted["tenant_id"] = int(wanted["tenant_id"])
        for name in ("since", "until"):
            if name in wanted:
                wanted[name + "_ms"] = _moment_ms(wanted.pop(name))
    except ValueError as error:
        raise Failure(str(error), USAGE) from None
    return wanted


def _moment_ms(text: str) -> int:
    from datetime import UTC, datetime

    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@audit.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="at most so many")
@click.option("--cursor", help="next_cursor of the page before")
@with_settings
def list_events(context: Context, limit: int, cursor: str | None, **filters: str | None) -> None:
    """Show events, newest first."""
    wanted = {**_wanted(filters), "limit": limit, **({"cursor": cursor} if cursor else {})}
    with application(context) as app:
        page = app.invoke("admin.list_audit_events", wanted)
    context.show(page, "\n".join(map(_line, page["items"])) or "no events")


def _line(event: dict[str, Any]) -> str:
    what = " ".join(filter(None, (event["resource_type"], event["resource_name"], event["resource_id"])))
    who = event["username"] or "nobody"
    return f"{event['id']}  {event['at']}  {event['status']}  {event['event_type']}  {who}  {event['address'] or '-'}  {what}"


@audit.command()
@_filters
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", type=click.File("wb"), default="-", help="the file to write (default: standard output)")
@with_settings
def export(context: Context, form: str, output: BinaryIO, **filters: str | None) -> None:
    """Write all events that fit, newest first, as JSON lines or CSV."""
    from shared import audit as recording
    from shared.audit import export as texts
    from shared.audit import search
    from shared.audit.recorder import store

    wanted = _wanted(filters)
    with application(context):
        recording.record(recording.Event("audit_exported", "system", "audit", username="root", agent="maxiofs",
                                         details={**wanted, "format": form}))
        for piece in texts.FORMATS[form](search.every(store(), search.Filter(**wanted))):
            output.write(piece)


@audit.command()
@click.option("--checkpoint", metavar="TEXT", help="a checkpoint from the server's log: the four words behind `audit checkpoint`")
@with_settings
def verify(context: Context, checkpoint: str | None) -> None:
    """Check that no event was changed or removed, not even the newest. Reads only. Exit 1 when something is wrong.

    The checkpoints in the data folder are compared too. Somebody who can put the database and that file back to an earlier state is
    found out by a checkpoint from the server's log, when logs are kept elsewhere: give the newest one.
    """
    from shared.audit import verify as checking
    from shared.audit.chain import Checkpoint
    from shared.audit.recorder import store

    try:
        given = Checkpoint.parse(checkpoint) if checkpoint else None
    except ValueError:
        raise Failure("that is no checkpoint: it has an id, a time, a hash and a signature", USAGE) from None
    with application(context), progress("audit verify", quiet=context.as_json) as report:
        verdict = checking.verify(store(), given, lambda done, total: report(done, total, ""))
    span = f"events {verdict.first_id} to {verdict.last_id}" if verdict.events else "no events"
    text = "\n".join([f"{span}, {verdict.checkpoints} checkpoints: " + (f"{len(verdict.faults)} faults" if verdict.faults else "whole"),
                      *verdict.faults])
    context.show({**verdict._asdict(), "ok": not verdict.faults}, text)
    if verdict.faults:
        sys.exit(FAILED)
