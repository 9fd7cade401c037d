"""`maxiofs bucket` and `share`: buckets with their configuration, searching in them, and links to objects."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

import click

from scripts.cli.access import duration, size
from scripts.cli.admin import Admin, admin, show_rows
from scripts.cli.ask import follow, parse_object
from scripts.cli.command import USAGE, Context, Failure, with_settings
from scripts.cli.people import tenant_option

BUCKET_COLUMNS = ("name", "tenant_id", "owner_name", "versioning", "is_public", "objects", "versions", "bytes")
SHARE_COLUMNS = ("id", "bucket", "key", "created_by_name", "expires_ms", "has_password", "downloads", "max_downloads")
OBJECT_COLUMNS = ("key", "size", "modified_ms", "etag")
PAGE = 1000


@click.group()
def bucket() -> None:
    """Buckets: whose they are, how they are set up, what is in them. Objects themselves are for S3 clients."""


@bucket.command("list")
@tenant_option
@click.option("--prefix", metavar="TEXT", help="only names that begin so")
@with_settings
def list_buckets(context: Context, tenant: str | None, prefix: str | None) -> None:
    """List buckets."""
    with admin(context) as here:
        rows = here.every("list_all_buckets", tenant_id=here.tenant(tenant), prefix=prefix)
    show_rows(context, rows, BUCKET_COLUMNS)


@bucket.command("show")
@click.argument("name")
@with_settings
def show_bucket(context: Context, name: str) -> None:
    """Show a bucket, its configuration in short, and what it holds."""
    with admin(context) as here:
        context.show(here.ask("get_a_bucket", bucket=name))


@bucket.command("create")
@click.argument("name")
@click.option("--owner", metavar="USER", help="whose it is, and in whose tenant (default: root)")
@click.option("--versioning", is_flag=True, help="keep old versions")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="may be given several times")
@with_settings
def create_bucket(context: Context, name: str, owner: str | None, versioning: bool, tags: tuple[str, ...]) -> None:
    """Create a bucket."""
    if any("=" not in one for one in tags):
        raise Failure("a tag is NAME=VALUE", USAGE)
    labels = dict(one.split("=", 1) for one in tags)
    with admin(context) as here:
        owner_id = here.user(owner)["id"] if owner else None
        made = here.ask("create_a_bucket", name=name, versioning="Enabled" if versioning else None, tags=labels)
        if owner_id is not None:
            try:
                made = here.ask("put_bucket_owner", bucket=name, owner_id=owner_id)
            except Exception:       # a tenant that may not have another: nobody asked for a bucket of root's
                here.ask("delete_a_bucket", bucket=name)
                raise
    context.show(made, f"bucket {name} is made")


@bucket.command("owner")
@click.argument("name")
@click.argument("user")
@with_settings
def give_bucket(context: Context, name: str, user: str) -> None:
    """Give a bucket to another user, and to their tenant. Its ACL is removed; objects stay their owners'."""
    with admin(context) as here:
        context.show(here.ask("put_bucket_owner", bucket=name, owner_id=here.user(user)["id"]), f"bucket {name} is {user}'s")


@bucket.command("versioning")
@click.argument("name")
@click.argument("status", type=click.Choice(["Enabled", "Suspended"], case_sensitive=False))
@with_settings
def set_versioning(context: Context, name: str, status: str) -> None:
    """Keep old versions from now on, or keep no new ones."""
    with admin(context) as here:
        context.show(here.ask("put_versioning", bucket=name, status=status), f"versioning of {name} is {status}")


@bucket.command("policy")
@click.argument("name")
@click.argument("file", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--delete", "gone", is_flag=True, help="remove it")
@with_settings
def bucket_policy(context: Context, name: str, file: TextIO | None, gone: bool) -> None:
    """Show a bucket's policy; with a FILE (- is standard input) replace it."""
    if gone and file is not None:
        raise Failure("give a file, or --delete", USAGE)
    wanted = parse_object(file.read(), "the policy") if file is not None else None
    with admin(context) as here:
        if gone:
            here.ask("delete_policy_of_bucket", bucket=name)
            context.show({"deleted": name}, f"bucket {name} has no policy")
        elif wanted is not None:
            made = here.ask("put_policy_of_bucket", bucket=name, policy=wanted)
            context.show(made, f"bucket {name} has the policy" + (", and is public" if made["is_public"] else ""))
        else:
            found = here.ask("get_policy_of_bucket", bucket=name)
            context.show(found, json.dumps(found["policy"], indent=2, ensure_ascii=False) if found["policy"] else "there is no policy")


@bucket.command("delete")
@click.argument("name")
@click.option("--force", is_flag=True, help="with all it holds, for good: a run that a running server works on")
@click.option("--wait", is_flag=True, help="show the progress of that run until it ends")
@with_settings
def delete_bucket(context: Context, name: str, force: bool, wait: bool) -> None:
    """Delete an empty bucket, or with --force one with all it holds."""
    with admin(context) as here:
        done = here.ask("delete_a_bucket", bucket=name, force=force or None)
        if wait and not done["deleted"]:
            follow(context, done["run_id"], "delete_bucket")
            return
    context.show(done, f"bucket {name} is deleted" if done["deleted"] else f"run {done['run_id']} deletes the bucket {name}")


@bucket.command("search")
@click.argument("name")
@click.argument("words", nargs=-1)
@click.option("--prefix", metavar="TEXT", help="only keys that begin so")
@click.option("--tag", multiple=True, metavar="NAME=VALUE", help="only what is labelled so; may be given several times")
@click.option("--type", "content_type", metavar="TYPE", help="only this media type")
@click.option("--min-size", metavar="SIZE", help="for example 10M")
@click.option("--max-size", metavar="SIZE")
@click.option("--most", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="show no more than so many")
@with_settings
def search_bucket(context: Context, name: str, words: tuple[str, ...], tag: tuple[str, ...], most: int, **query: str | None) -> None:
    """Search current objects by words of their keys, metadata and tags, and by what they are like.

    \b
    maxiofs bucket search photos garden --tag year=2026 --min-size 1M
    """
    if any("=" not in one for one in tag):
        raise Failure("a tag is NAME=VALUE", USAGE)
    asked: dict[str, Any] = {**query, "q": " ".join(words), "tag": [one.replace("=", ":", 1) for one in tag]}
    asked |= {bound: size(query[bound]) for bound in ("min_size", "max_size")}
    with admin(context) as here:
        rows, more = _some(here, "search_objects", most, bucket=name, **asked)
    show_rows(context, rows, OBJECT_COLUMNS)
    if more and not context.as_json:
        click.echo(f"there may be more than these {len(rows)}: --most shows them", err=True)


def _some(here: Admin, function: str, most: int, **arguments: Any) -> tuple[list[dict[str, Any]], bool]:
    """The first items of a list, and whether there may be others."""
    rows, cursor = list[dict[str, Any]](), None
    while len(rows) < most:
        page = here.ask(function, limit=min(PAGE, most - len(rows)), cursor=cursor, **arguments)
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return rows, cursor is not None


# ---- share links ---------------------------------------------------------------------------------------------------------------------


@click.group()
def share() -> None:
    """Share links: an object for whoever has the link. Those made here are root's."""


@share.command("list")
@click.argument("bucket")
@click.option("--key", metavar="KEY", help="only links to this object")
@with_settings
def list_shares(context: Context, bucket: str, key: str | None) -> None:
    """List the links into a bucket, whoever made them."""
    with admin(context) as here:
        rows = here.every("list_shares_of_bucket", bucket=bucket, key=key)
    show_rows(context, rows, SHARE_COLUMNS)


@share.command("create")
@click.argument("bucket")
@click.argument("key")
@click.option("--version", "version_id", metavar="ID", help="that version; otherwise the link follows the key")
@click.option("--expires-in", metavar="TIME", help="it stops working after so long: 90d, 12h")
@click.option("--max-downloads", type=click.IntRange(0), metavar="N", help="0: no limit")
@click.option("--password-stdin", is_flag=True, help="read a password for visitors from standard input")
@with_settings
def create_share(context: Context, bucket: str, key: str, expires_in: str | None, password_stdin: bool, **values: Any) -> None:
    """Make a link to an object, and print it."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    expires_s = None if expires_in is None else duration(expires_in)
    with admin(context) as here:
        made = here.ask("share_object", bucket=bucket, key=key, expires_s=expires_s, password=password, **values)
    context.show(made, made["url"])


@share.command("revoke")
@click.argument("id", type=int)
@with_settings
def revoke_share(context: Context, id: int) -> None:
    """Make a link useless at once."""
    with admin(context) as here:
        here.ask("revoke_share", share=id)
    context.show({"revoked": id}, f"link {id} is revoked")
