"""`maxiofs encryption-key`: the keys that objects are encrypted with. No key is ever shown."""

from __future__ import annotations

import click

from scripts.cli.admin import admin, show_rows
from scripts.cli.ask import follow
from scripts.cli.command import Context, with_settings
from scripts.cli.people import tenant_option

COLUMNS = ("name", "tenant_id", "enabled", "version", "created_ms", "description")


@click.group()
def encryption_key() -> None:
    """Encryption keys: what requests name as their KMS key, and sse-s3, which SSE-S3 uses. Make a new recovery bundle after each change."""


@encryption_key.command("list")
@tenant_option
@with_settings
def list_keys(context: Context, tenant: str | None) -> None:
    """List keys, without that of SSE-S3."""
    with admin(context) as here:
        rows = here.every("list_encryption_keys", tenant_id=here.tenant(tenant))
    show_rows(context, rows, COLUMNS)


@encryption_key.command("show")
@click.argument("name")
@with_settings
def show_key(context: Context, name: str) -> None:
    """Show what is known of a key; sse-s3 is there once something was encrypted with it."""
    with admin(context) as here:
        context.show(here.ask("get_encryption_key", key=name))


@encryption_key.command("create")
@click.argument("name")
@tenant_option
@click.option("--description", metavar="TEXT")
@with_settings
def create_key(context: Context, name: str, tenant: str | None, description: str | None) -> None:
    """Make a random key. The one named default is used by requests for aws:kms that name none."""
    with admin(context) as here:
        made = here.ask("create_encryption_key", name=name, tenant_id=here.tenant(tenant), description=description)
    context.show(made, f"encryption key {name} is made; a recovery bundle from before does not hold it")


@encryption_key.command("rotate")
@click.argument("name")
@click.option("--wait", is_flag=True, help="show the progress of the run that a running server works on, until it ends")
@with_settings
def rotate_key(context: Context, name: str, wait: bool) -> None:
    """Make a new version of a key: new objects use it, and a run gives the others new envelopes."""
    with admin(context) as here:
        begun = here.ask("rotate_encryption_key", key=name)
        if wait:
            follow(context, begun["run_id"], "rewrap_keys")
            return
    context.show(begun, f"encryption key {name} has version {begun['version']}; run {begun['run_id']} gives the objects new envelopes")


@encryption_key.command("disable")
@click.argument("name")
@with_settings
def disable_key(context: Context, name: str) -> None:
    """Switch a key off: what it encrypts can be neither read nor written, until it is on again."""
    _switch(context, name, on=False)


@encryption_key.command("enable")
@click.argument("name")
@with_settings
def enable_key(context: Context, name: str) -> None:
    """Switch a key on again."""
    _switch(context, name, on=True)


def _switch(context: Context, name: str, *, on: bool) -> None:
    with admin(context) as here:
        changed = here.ask("update_encryption_key", key=name, enabled=on)
    context.show(changed, f"encryption key {name} is {'on' if on else 'off'}")
