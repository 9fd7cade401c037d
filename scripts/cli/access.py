"""`maxiofs tenant`, `policy` and the access keys of `key`: who shares the installation, what may be done, and with which keys."""

from __future__ import annotations

import re
import time
from typing import Any, TextIO

import click

from scripts.cli.admin import admin, show_rows, show_secret
from scripts.cli.ask import follow
from scripts.cli.command import USAGE, Context, Failure, with_settings
from scripts.cli.key import key
from scripts.cli.people import tenant_option

TENANT_COLUMNS = ("id", "name", "status", "current_buckets", "current_users", "current_storage_bytes", "max_storage_bytes")
KEY_COLUMNS = ("access_key", "user_id", "name", "status", "scope", "policies")
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def size(text: str | None) -> int | None:
    """A number of bytes, with K, M, G, T or P for powers of 1024. Raises Failure."""
    found = re.fullmatch(r"([0-9]{1,15})([kmgtp]?)(?:i?b)?", text.lower(), re.ASCII) if text is not None else None
    if text is not None and found is None:
        raise Failure(f"{text!r} is no size: 500G, 2T, 0 for no limit", USAGE)
    return int(found[1]) * UNITS[found[2]] if found else None


def duration(text: str) -> int:
    """A number of seconds, or of minutes, hours or days with m, h or d behind. Raises Failure."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text, re.ASCII)
    if found is None:
        raise Failure(f"{text!r} is no duration: 90d, 12h, 600", USAGE)
    return int(found[1]) * SECONDS[found[2] or "s"]


@click.group()
def tenant() -> None:
    """Tenants: who shares the installation, with which limits."""


@tenant.command("list")
@with_settings
def list_tenants(context: Context) -> None:
    """List tenants."""
    with admin(context) as here:
        show_rows(context, here.every("list_tenants"), TENANT_COLUMNS)


@tenant.command("show")
@click.argument("name")
@with_settings
def show_tenant(context: Context, name: str) -> None:
    """Show a tenant, by name or id, with its limits and what it uses."""
    with admin(context) as here:
        context.show(here.ask("get_tenant", tenant=here.tenant(name)))


def _limits(command: Any) -> Any:
    """The flags that say what a tenant may have; 0 is no limit."""
    for what in ("access-keys", "users", "buckets", "objects"):
        command = click.option(f"--max-{what}", type=click.IntRange(0), metavar="N", help="0: no limit")(command)
    command = click.option("--max-bytes", metavar="SIZE", help="of all versions, for example 500G; 0: no limit")(command)
    command = click.option("--description", metavar="TEXT")(command)
    return click.option("--display-name", metavar="TEXT")(command)


@tenant.command("create")
@click.argument("name")
@_limits
@with_settings
def create_tenant(context: Context, name: str, max_bytes: str | None, **values: Any) -> None:
    """Create a tenant."""
    limit = size(max_bytes)
    with admin(context) as here:
        made = here.ask("create_tenant", name=name, max_storage_bytes=limit, **values)
    context.show(made, f"tenant {name} has the id {made['id']}")


@tenant.command("update")
@click.argument("name")
@_limits
@with_settings
def update_tenant(context: Context, name: str, max_bytes: str | None, **values: Any) -> None:
    """Change what a tenant may have."""
    limit = size(max_bytes)
    with admin(context) as here:
        context.show(here.ask("update_tenant", tenant=here.tenant(name), max_storage_bytes=limit, **values))


@tenant.command("suspend")
@click.argument("name")
@with_settings
def suspend(context: Context, name: str) -> None:
    """Serve nobody of a tenant any more, until it is resumed."""
    _set_status(context, name, "suspended")


@tenant.command("resume")
@click.argument("name")
@with_settings
def resume(context: Context, name: str) -> None:
    """Serve a suspended tenant again."""
    _set_status(context, name, "active")


def _set_status(context: Context, name: str, status: str) -> None:
    with admin(context) as here:
        context.show(here.ask("update_tenant", tenant=here.tenant(name), status=status), f"tenant {name} is {status}")


@tenant.command("delete")
@click.argument("name")
@click.option("--force", is_flag=True, help="with its buckets, objects and users, for good: a run that a running server works on")
@click.option("--wait", is_flag=True, help="show the progress of that run until it ends")
@with_settings
def delete_tenant(context: Context, name: str, force: bool, wait: bool) -> None:
    """Delete a tenant that has neither buckets nor users, or with --force with all it has."""
    with admin(context) as here:
        done = here.ask("delete_tenant", tenant=here.tenant(name), force=force or None)
        if wait and not done["deleted"]:
            follow(context, done["run_id"], "delete_tenant")
            return
    context.show(done, f"tenant {name} is deleted" if done["deleted"] else f"run {done['run_id']} deletes the tenant {name}")


# ---- policies ------------------------------------------------------------------------------------------------------------------------


@click.group()
def policy() -> None:
    """Policies: what users, groups and roles may do."""


@policy.command("list")
@tenant_option
@with_settings
def list_policies(context: Context, tenant: str | None) -> None:
    """List policies, the built-in ones first."""
    with admin(context) as here:
        rows = here.every("list_policies", tenant_id=here.tenant(tenant))
    show_rows(context, rows, ("name", "tenant_id", "is_builtin", "description"))


@policy.command("show")
@click.argument("name")
@tenant_option
@with_settings
def show_policy(context: Context, name: str, tenant: str | None) -> None:
    """Show a policy, and what has it."""
    with admin(context) as here:
        found = here.ask("get_policy", policy=name, tenant_id=here.tenant(tenant))
    users = "".join(f"\n# {one['kind']} {one['name']}" for one in found["attached_to"])
    context.show(found, found["text"] + users)


@policy.command("put")
@click.argument("name")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@tenant_option
@click.option("--description", metavar="TEXT")
@with_settings
def put_policy(context: Context, name: str, file: TextIO, tenant: str | None, description: str | None) -> None:
    """Make a policy of a FILE (- is standard input), or replace what it says."""
    text = file.read()
    with admin(context) as here:
        tenant_id = here.tenant(tenant)
        there = [one for one in here.every("list_policies", tenant_id=tenant_id or 0) if one["name"] == name]
        if there:
            made = here.ask("update_policy", policy=name, tenant_id=tenant_id, document=text, description=description)
        else:
            made = here.ask("create_policy", name=name, tenant_id=tenant_id, document=text, description=description)
    warnings = "".join(f"\nwarning: {one['message']} (line {one['line']}, column {one['column']})" for one in made["warnings"])
    context.show(made, f"policy {name} is {'changed' if there else 'made'}{warnings}")


@policy.command("delete")
@click.argument("name")
@tenant_option
@with_settings
def delete_policy(context: Context, name: str, tenant: str | None) -> None:
    """Delete a policy that nothing has."""
    with admin(context) as here:
        here.ask("delete_policy", policy=name, tenant_id=here.tenant(tenant))
    context.show({"deleted": name}, f"policy {name} is deleted")


# ---- access keys ---------------------------------------------------------------------------------------------------------------------


@key.command("list")
@click.option("--user", "name", metavar="NAME", help="of this user")
@tenant_option
@with_settings
def list_keys(context: Context, name: str | None, tenant: str | None) -> None:
    """List access keys; never their secrets."""
    with admin(context) as here:
        if name is not None:
            rows = here.every("list_access_keys", user=here.user(name)["id"])
        else:
            rows = here.every("list_all_access_keys", tenant_id=here.tenant(tenant))
    show_rows(context, rows, KEY_COLUMNS)


@key.command("create")
@click.argument("user")
@click.option("--name", metavar="TEXT", help="what uses it")
@click.option("--expires-in", metavar="TIME", help="it stops working after so long: 90d, 12h")
@click.option("--bucket", "buckets", multiple=True, metavar="NAME", help="limit it to this bucket; as the next two, several times")
@click.option("--prefix", "prefixes", multiple=True, metavar="TEXT", help="limit it to objects whose keys begin so")
@click.option("--action", "actions", multiple=True, type=click.Choice(["read", "write", "list", "delete"]), help="limit it to this")
@with_settings
def create_key(context: Context, user: str, name: str | None, expires_in: str | None, **limits: tuple[str, ...]) -> None:
    """Make an access key for a user, and print its secret, once.

    \b
    maxiofs key create backup --bucket archive --action write --expires-in 365d
    """
    expires_ms = None if expires_in is None else int(time.time() * 1000) + duration(expires_in) * 1000
    scope = {what: list(values) for what, values in limits.items() if values}
    with admin(context) as here:
        made = here.ask("create_access_key", user=here.user(user)["id"], name=name, expires_ms=expires_ms, scope=scope or None)
    show_secret(context, made)


@key.command("rotate")
@click.argument("access_key")
@click.option("--overlap", default="1d", metavar="TIME", show_default=True, help="how long the old key goes on working")
@with_settings
def rotate_key(context: Context, access_key: str, overlap: str) -> None:
    """Make a successor with the same limits; the old key stops working after the overlap."""
    seconds = duration(overlap)
    with admin(context) as here:
        made = here.ask("rotate_access_key", **_path(here, access_key), overlap_s=seconds)
    show_secret(context, made, f"\n{access_key} stops working in {seconds} seconds.")


@key.command("enable")
@click.argument("access_key")
@with_settings
def enable_key(context: Context, access_key: str) -> None:
    """Switch an access key on again."""
    with admin(context) as here:
        context.show(here.ask("update_access_key", **_path(here, access_key), status="active"), f"{access_key} is on")


@key.command("disable")
@click.argument("access_key")
@with_settings
def disable_key(context: Context, access_key: str) -> None:
    """Switch an access key off: requests signed with it are refused from the next one on."""
    with admin(context) as here:
        context.show(here.ask("update_access_key", **_path(here, access_key), status="inactive"), f"{access_key} is off")


@key.command("delete")
@click.argument("access_key")
@with_settings
def delete_key(context: Context, access_key: str) -> None:
    """Delete an access key."""
    with admin(context) as here:
        here.ask("delete_access_key", **_path(here, access_key))
    context.show({"deleted": access_key}, f"{access_key} is deleted")


def _path(here: Any, access_key: str) -> dict[str, Any]:
    return {"user": here.key(access_key)["user_id"], "access_key": access_key}
