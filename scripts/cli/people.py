"""`maxiofs user`, `group`, `role` and `session`: people, what they share, and where they are signed in."""

from __future__ import annotations

import sys
from typing import Any

import click

from scripts.cli.admin import admin, show_rows, show_secret
from scripts.cli.command import USAGE, Context, Failure, with_settings

USER_COLUMNS = ("id", "username", "display_name", "tenant_id", "status", "policies", "groups")
SET_COLUMNS = ("id", "name", "tenant_id", "policies", "description")
tenant_option = click.option("--tenant", metavar="NAME", help="of this tenant; - for none")


def _tags(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    if bad := next((one for one in given if "=" not in one), None):
        raise click.BadParameter(f"{bad} is not NAME=VALUE")
    return {name: value for name, _, value in (one.partition("=") for one in given)} or None


tag_option = click.option(
    "--tag", "tags", multiple=True, metavar="NAME=VALUE", callback=_tags,
    help="policies ask for it as aws:PrincipalTag/NAME; may be given several times",
)


@click.group()
def user() -> None:
    """Users: the people and programs that may sign in and sign requests."""


@user.command("list")
@tenant_option
@click.option("--search", metavar="TEXT", help="a part of the name, the display name or the address")
@with_settings
def list_users(context: Context, tenant: str | None, search: str | None) -> None:
    """List users."""
    with admin(context) as here:
        rows = here.every("list_users", tenant_id=here.tenant(tenant), search=search)
    show_rows(context, rows, USER_COLUMNS)


@user.command("show")
@click.argument("name")
@with_settings
def show_user(context: Context, name: str) -> None:
    """Show a user, by name or id."""
    with admin(context) as here:
        context.show(here.user(name))


@user.command("create")
@click.argument("name")
@tenant_option
@click.option("--display-name", metavar="TEXT")
@click.option("--email", metavar="ADDRESS")
@click.option("--policy", "policies", multiple=True, metavar="NAME", help="attach it; may be given several times")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="put the user into it; may be given several times")
@tag_option
@click.option("--password-stdin", is_flag=True, help="read a password for the console from standard input")
@click.option("--must-change", "must_change_password", is_flag=True, help="… which is to be changed at the first sign-in")
@click.option("--key", is_flag=True, help="also make an access key, and print its secret")
@with_settings
def create_user(context: Context, name: str, tenant: str | None, password_stdin: bool, key: bool, **values: Any) -> None:
    """Create a user: it may nothing until it has a policy.

    \b
    maxiofs user create ann --policy readwrite --key
    """
    with admin(context) as here:
        tenant_id = here.tenant(tenant)
        values["groups"] = [here.group("group", one, tenant_id)["id"] for one in values["groups"]]
        values["password"] = _password() if password_stdin else None
        made = here.ask("create_user", username=name, tenant_id=tenant_id, access_key={} if key else None, **values)
    if key and not context.as_json:
        show_secret(context, made["access_key"])
    else:
        context.show(made, f"user {name} has the id {made['id']}")


def _password() -> str:
    """The first line of standard input: flags show in the list of processes."""
    if sys.stdin.isatty():
        return str(click.prompt("password", hide_input=True, confirmation_prompt=True, err=True))
    text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise Failure("there is no password on standard input", USAGE)
    return text


@user.command("update")
@click.argument("name")
@click.option("--display-name", metavar="TEXT")
@click.option("--email", metavar="ADDRESS")
@click.option("--status", type=click.Choice(["active", "inactive"]))
@tag_option
@with_settings
def update_user(context: Context, name: str, **values: Any) -> None:
    """Change a user. Who is made inactive is signed out, and their keys stop working. Tags that are given replace all there are."""
    with admin(context) as here:
        context.show(here.ask("update_user", user=here.user(name)["id"], **values))


@user.command("delete")
@click.argument("name")
@with_settings
def delete_user(context: Context, name: str) -> None:
    """Delete a user with keys, memberships and sessions. What they stored stays."""
    with admin(context) as here:
        found = here.user(name)
        here.ask("delete_user", user=found["id"])
        context.show({"deleted": found["id"]}, f"user {found['username']} is deleted")


@user.command("password")
@click.argument("name")
@click.option("--must-change", is_flag=True, help="it is to be changed at the next sign-in")
@with_settings
def set_password(context: Context, name: str, must_change: bool) -> None:
    """Give a user a new password, read from standard input, and end all their sessions."""
    with admin(context) as here:
        found = here.user(name)
        here.ask("give_password", user=found["id"], password=_password(), must_change=must_change)
        context.show({"user": found["id"]}, f"user {found['username']} has a new password")


@user.command("unlock")
@click.argument("name")
@with_settings
def unlock_user(context: Context, name: str) -> None:
    """Open an account that too many wrong passwords closed."""
    with admin(context) as here:
        found = here.user(name)
        here.ask("unlock_user", user=found["id"])
        context.show({"user": found["id"]}, f"user {found['username']} may sign in again")


@user.command("reset-2fa")
@click.argument("name")
@with_settings
def reset_factor(context: Context, name: str) -> None:
    """Switch the second factor off, for who lost the device."""
    with admin(context) as here:
        found = here.user(name)
        here.ask("reset_factor", user=found["id"])
        context.show({"user": found["id"]}, f"user {found['username']} signs in without a second factor")


@user.command("attach")
@click.argument("name")
@click.argument("policy")
@with_settings
def attach_to_user(context: Context, name: str, policy: str) -> None:
    """Attach a policy to a user."""
    with admin(context) as here:
        _show_policies(context, name, here.ask("attach_user_policy", user=here.user(name)["id"], policy=policy))


@user.command("detach")
@click.argument("name")
@click.argument("policy")
@with_settings
def detach_from_user(context: Context, name: str, policy: str) -> None:
    """Take a policy away from a user."""
    with admin(context) as here:
        _show_policies(context, name, here.ask("detach_user_policy", user=here.user(name)["id"], policy=policy))


def _show_policies(context: Context, name: str, attached: dict[str, Any]) -> None:
    context.show(attached, f"{name} has: {', '.join(attached['policies']) or 'no policy'}")


# ---- groups and roles ------------------------------------------------------------------------------------------------------------------


def _sets(kind: str, about: str) -> click.Group:
    """The commands that groups and roles have in common."""
    commands = click.Group(kind, help=about)

    @commands.command("list", help=f"List {kind}s.")
    @tenant_option
    @with_settings
    def list_all(context: Context, tenant: str | None) -> None:
        with admin(context) as here:
            rows = here.every(f"list_{kind}s", tenant_id=here.tenant(tenant))
        show_rows(context, rows, SET_COLUMNS)

    @commands.command("show", help=f"Show a {kind}, by name or id.")
    @click.argument("name")
    @tenant_option
    @with_settings
    def show(context: Context, name: str, tenant: str | None) -> None:
        with admin(context) as here:
            context.show(here.group(kind, name, here.tenant(tenant)))

    @commands.command("create", help=f"Create a {kind}.")
    @click.argument("name")
    @tenant_option
    @click.option("--description", metavar="TEXT")
    @click.option("--policy", "policies", multiple=True, metavar="NAME", help="attach it; may be given several times")
    @with_settings
    def create(context: Context, name: str, tenant: str | None, description: str | None, policies: tuple[str, ...]) -> None:
        with admin(context) as here:
            made = here.ask(f"create_{kind}", name=name, tenant_id=here.tenant(tenant), description=description)
            if policies:
                made |= here.ask(f"set_{kind}_policies", **{kind: made["id"]}, policies=list(policies))
        context.show(made, f"{kind} {name} has the id {made['id']}")

    @commands.command("delete", help=f"Delete a {kind}.")
    @click.argument("name")
    @tenant_option
    @with_settings
    def delete(context: Context, name: str, tenant: str | None) -> None:
        with admin(context) as here:
            found = here.group(kind, name, here.tenant(tenant))
            here.ask(f"delete_{kind}", **{kind: found["id"]})
            context.show({"deleted": found["id"]}, f"{kind} {found['name']} is deleted")

    for verb, text in (("attach", f"Attach a policy to a {kind}."), ("detach", f"Take a policy away from a {kind}.")):
        commands.add_command(_policy_command(kind, verb, text))
    return commands


def _policy_command(kind: str, verb: str, text: str) -> click.Command:
    @click.command(verb, help=text)
    @click.argument("name")
    @click.argument("policy")
    @tenant_option
    @with_settings
    def change(context: Context, name: str, policy: str, tenant: str | None) -> None:
        with admin(context) as here:
            found = here.group(kind, name, here.tenant(tenant))
            _show_policies(context, name, here.ask(f"{verb}_{kind}_policy", **{kind: found["id"]}, policy=policy))

    return change


group = _sets("group", "Groups: users who share policies.")
role = _sets("role", "Roles: named sets of policies, to be assumed.")


@group.command("members")
@click.argument("name")
@tenant_option
@with_settings
def list_members(context: Context, name: str, tenant: str | None) -> None:
    """List the users of a group."""
    with admin(context) as here:
        rows = here.every("list_group_members", group=here.group("group", name, here.tenant(tenant))["id"])
    show_rows(context, rows, ("id", "username", "display_name", "status"))


@group.command("add")
@click.argument("name")
@click.argument("member")
@with_settings
def add_member(context: Context, name: str, member: str) -> None:
    """Put a user into a group of the user's tenant."""
    with admin(context) as here:
        found = here.user(member)
        made = here.ask("add_group_member", group=here.group("group", name, found["tenant_id"])["id"], user_id=found["id"])
        context.show(made, f"{found['username']} is in {made['name']}")


@group.command("remove")
@click.argument("name")
@click.argument("member")
@with_settings
def remove_member(context: Context, name: str, member: str) -> None:
    """Take a user out of a group."""
    with admin(context) as here:
        found = here.user(member)
        made = here.ask("remove_group_member", group=here.group("group", name, found["tenant_id"])["id"], user=found["id"])
        context.show(made, f"{found['username']} is not in {made['name']}")


# ---- sessions ------------------------------------------------------------------------------------------------------------------------


@click.group()
def session() -> None:
    """Sessions of the console, and tokens of scripts."""


@session.command("list")
@click.option("--user", "name", metavar="NAME", help="of this user")
@with_settings
def list_sessions(context: Context, name: str | None) -> None:
    """List sessions and tokens."""
    with admin(context) as here:
        rows = here.every("list_sessions", user=here.user(name)["id"] if name else None)
    show_rows(context, rows, ("id", "username", "kind", "name", "address", "seen_ms"))


@session.command("revoke")
@click.argument("id", required=False)
@click.option("--user", "name", metavar="NAME", help="all of this user")
@with_settings
def revoke(context: Context, id: str | None, name: str | None) -> None:
    """End a session or token, or all of a user."""
    if (id is None) == (name is None):
        raise Failure("give the id of a session, or --user", USAGE)
    with admin(context) as here:
        if name is not None:
            ended = here.ask("revoke_sessions_of_user", user=here.user(name)["id"])
            context.show(ended, f"{ended['revoked']} sessions and tokens are ended")
        else:
            here.ask("revoke_session", session=id)
            context.show({"revoked": 1}, "it is ended")
