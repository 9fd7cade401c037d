"""The `maxiofs` command: run the server, look at it, and ask it for things."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata

import click

from scripts.cli import access, ask, audit, bootstrap, buckets, encryption, key, people, serve, settings
from scripts.cli.command import EXIT_CODES, FAILED, fail_as_json
from shared.settings import version as version_of_server


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def maxiofs() -> None:
    """MaxIOFS: a self-hosted S3 server.

    Every setting is a flag, an environment variable, and a line of maxiofs.toml in the data folder, in this order.
    Secrets have no flag, since flags show in the list of processes: use the variable, or the variable with _FILE.
    """


@maxiofs.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def version(as_json: bool) -> None:
    """Show the version of the server, and of what it stands on."""
    facts = {"maxiofs": version_of_server(), "python": platform.python_version()}
    facts |= {name: metadata.version(name) for name in ("botocore", "flask", "huey", "peewee", "waitress")}
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo(f"MaxIOFS {facts.pop('maxiofs')} (" + ", ".join(f"{name} {number}" for name, number in facts.items()) + ")")


for command in (serve.up, serve.functions, serve.workflows, serve.scheduler, serve.prepare,
                ask.invoke, ask.run, ask.check, ask.root, audit.audit, settings.settings, bootstrap.bootstrap, key.key,
                people.user, people.group, people.role, people.session, access.tenant, access.policy, buckets.bucket, buckets.share,
                encryption.encryption_key):
    maxiofs.add_command(command)


def main() -> None:
    """The entry point. What it writes is for the user it runs as, and nobody else."""
    os.umask(0o077)
    if "--json" not in sys.argv:
        maxiofs(prog_name="maxiofs")
        return
    try:
        sys.exit(maxiofs.main(prog_name="maxiofs", standalone_mode=False))
    except click.ClickException as error:       # a command line that makes no sense is an error like any other
        fail_as_json([error.format_message()], error.exit_code)
    except click.Abort:
        fail_as_json(["aborted"], FAILED)
