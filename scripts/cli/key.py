"""`maxiofs key`: the key that seals what must not stand in the database in clear, and the recovery bundle."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from scripts.cli.command import Context, Failure, with_settings

EXPLAINED = """Keep it where the data is not, and let nobody read it. Without the master key no access key, second factor or share link in
the database can be opened, and no object that the server encrypted. Should it be lost, start the server with MAXIOFS_MASTER_KEY_FILE
naming this backup."""


@click.group()
def key() -> None:
    """Access keys of users, and the master key that seals their secrets."""


@key.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_settings
def backup(context: Context, file: Path) -> None:
    """Write the master key to a new FILE, as 64 hexadecimal digits that MAXIOFS_MASTER_KEY_FILE can name.

    Losing the master key loses every secret that is sealed with it, and every object that the server encrypted. Back it up once, apart
    from the data; `maxiofs key bundle` writes it with the encryption keys, behind a passphrase.
    """
    from shared.app import open_master_key

    settings = context.settings
    if not settings.master_key and not (settings.data_dir / "master.key").exists():
        raise Failure(f"there is no master key in {settings.data_dir}: it is made when the server first starts")
    _write_new(file, open_master_key(settings).exported() + "\n")
    context.show({"file": str(file)}, f"The master key is in {file}.\n" + EXPLAINED)


def _write_new(file: Path, text: str) -> None:
    """Write a file that only its owner may read, durably. Raises Failure when it is there."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Failure(f"{file} is there already, and nothing is overwritten: choose another name") from None
    with open(descriptor, "w") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    folder = os.open(file.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):     # not every file system of a stick can
            os.fsync(folder)
    finally:
        os.close(folder)


_passphrase_file = click.option(
    "--passphrase-file", type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="its first line is the passphrase; else it is asked for, or read from standard input",
)


@key.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_passphrase_file
@with_settings
def bundle(context: Context, file: Path, passphrase_file: Path | None) -> None:
    """Write the master key and all encryption keys to a new FILE that a passphrase opens: the recovery bundle.

    With it and the data, everything that the server encrypted can be read again. Make a new one after each new key and each rotation,
    and keep it apart from the data, and the passphrase apart from it.
    """
    from shared.app import open_master_key, prepare
    from shared.encryption import bundle as bundles
    from shared.meta import database, people

    if file.exists():
        raise Failure(f"{file} is there already, and nothing is overwritten: choose another name")
    passphrase = _passphrase(passphrase_file, twice=True)
    prepare(context.settings)
    try:
        with database.session():
            master_key = open_master_key(context.settings)
            contents = bundles.read_installation(master_key, people.installation_id() or "")
            unopened = _named(bundles.unopened(master_key))
        text = bundles.seal(contents, passphrase)
    except bundles.BundleUnfit as unfit:
        raise Failure(str(unfit)) from None
    _write_new(file, text)
    names = sorted({name or "sse-s3" for name, *_ in contents.versions})
    context.show(
        {"file": str(file), "keys": names, "versions": len(contents.versions), "unopened": unopened},
        f"{file} has the master key and these encryption keys: {', '.join(names) or 'there are none yet'}."
        + (f" Not in it, since the master key does not open them: {', '.join(unopened)}." if unopened else ""),
    )


@key.command()
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@_passphrase_file
@click.option("--keep-master-key", is_flag=True, help="there is another master key by now, and it stays: seal the encryption keys with it")
@with_settings
def restore(context: Context, file: Path, passphrase_file: Path | None, keep_master_key: bool) -> None:
    """Put back from a recovery bundle what is missing: the master key, and encryption keys. What is there and opens is never replaced.

    Stop the server first. The bundle must be of this installation.
    """
    from shared.encryption import bundle as bundles
    from shared.meta import database, people

    settings = context.settings
    try:
        contents = bundles.unseal(file.read_text(), _passphrase(passphrase_file))
        database.connect(settings.database_url, settings.data_dir)
        database.migrate()
        with database.session():
            if people.installation_id() not in (None, contents.installation):
                raise bundles.BundleUnfit("The bundle is of another installation.")
            master_key, is_put_back = _master_key(context, contents.master_key, keep_master_key)
            restored, resealed = bundles.restore(contents, master_key)
            unopened = _named(bundles.unopened(master_key))
    except (bundles.BundleUnfit, UnicodeDecodeError) as unfit:
        raise Failure(str(unfit)) from None
    context.show(
        {"master_key_put_back": is_put_back, "restored": restored, "resealed": resealed, "unopened": unopened},
        ("The master key is back. " if is_put_back else "")
        + f"{restored} versions of encryption keys are back, {resealed} were sealed anew. "
        + (f"The bundle does not hold {', '.join(unopened)}: what they encrypt stays unreadable. " if unopened else "")
        + "Start the server now.",
    )


def _named(versions: list[tuple[str, int]]) -> list[str]:
    return [f"{name or 'sse-s3'} version {number}" for name, number in versions]


def _master_key(context: Context, bundled: bytes, keep: bool) -> tuple[Any, bool]:
    """The key to seal with, and whether it was put back just now. Raises Failure when there is another one."""
    from shared.app import open_master_key
    from shared.auth.sealing import put_back

    path, is_given = context.settings.data_dir / "master.key", bool(context.settings.master_key)
    is_missing = not is_given and not path.exists()
    if is_missing and not keep:
        put_back(path, bundled)
    found = open_master_key(context.settings)
    if found.exported() != bundled.hex() and not keep:
        raise Failure(
            "There is another master key already. To go on with it, and seal the encryption keys with it, add --keep-master-key; "
            "to go back to the one of the bundle, move the other one away first."
        )
    return found, is_missing and not keep


def _passphrase(file: Path | None, *, twice: bool = False) -> str:
    if file is not None:
        lines = file.read_text().splitlines()
        return lines[0] if lines else ""
    if sys.stdin.isatty():
        return str(click.prompt("passphrase", hide_input=True, confirmation_prompt=twice, err=True))
    return sys.stdin.readline().rstrip("\n")
