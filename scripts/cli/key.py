"""`maxiofs key`: the key that seals what must not stand in the database in clear."""

from __future__ import annotations

import os
from pathlib import Path

import click

from scripts.cli.command import Context, Failure, with_settings

EXPLAINED = """Keep it where the data is not, and let nobody read it. Without the master key no access key, second factor or share link in
the database can be opened. Should it be lost, start the server with MAXIOFS_MASTER_KEY_FILE naming this backup."""


@click.group()
def key() -> None:
    """Access keys of users, and the master key that seals their secrets."""


@key.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_settings
def backup(context: Context, file: Path) -> None:
    """Write the master key to a new FILE, as 64 hexadecimal digits that MAXIOFS_MASTER_KEY_FILE can name.

    Losing the master key loses every secret that is sealed with it; objects are not. Back it up once, apart from the data.
    """
    from shared.app import open_master_key

    settings = context.settings
    if not settings.master_key and not (settings.data_dir / "master.key").exists():
        raise Failure(f"there is no master key in {settings.data_dir}: it is made when the server first starts")
    text = open_master_key(settings).exported()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Failure(f"{file} is there already, and nothing is overwritten: choose another name") from None
    with open(descriptor, "w") as target:
        target.write(text + "\n")
        target.flush()
        os.fsync(target.fileno())
    context.show({"file": str(file)}, f"The master key is in {file}.\n" + EXPLAINED)
