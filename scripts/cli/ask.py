"""The commands that ask for something once: a function, a workflow, a check, new root credentials."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from scripts.cli.command import FAILED, USAGE, Context, Failure, plain, with_settings
from scripts.cli.progress import progress

FAILED_STATES = {"failed", "cancelled"}


def parse_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object. Raises Failure (usage) that says what is wrong with it."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Failure(f"{what} is not JSON: {error}", USAGE) from None
    if not isinstance(value, dict):
        raise Failure(f'{what} must be a JSON object, for example {{"Bucket": "first"}}', USAGE)
    return value


@contextmanager
def application(context: Context) -> Iterator[Any]:
    """The server's insides, in this process, without sockets."""
    from shared import app

    if not context.settings.data_dir.is_dir():
        raise Failure(f"there is no data folder {context.settings.data_dir} (setting: MAXIOFS_DATA_DIR)")
    with closing(app.build(context.settings)) as built:
        yield built


@click.command()
@click.argument("function")
@click.argument("payload", default="{}", metavar="[JSON]")
@click.option("--body", type=click.File("rb"), help="file whose bytes are the request body (- is standard input)")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="write the reply's Body to this file")
@with_settings
def invoke(context: Context, function: str, payload: str, body: BinaryIO | None, output: Path | None) -> None:
    """Call one function as root, without HTTP.

    \b
    maxiofs invoke s3.CreateBucket '{"Bucket": "first"}'
    maxiofs invoke s3.PutObject '{"Bucket": "first", "Key": "hello"}' --body hello.txt
    """
    given = parse_object(payload, "the payload")
    with application(context) as app:
        try:
            result = app.invoke(function, given, body.read() if body else b"")
        except LookupError as error:
            if type(error) is not LookupError:      # a KeyError inside the function is a bug, and shows as one
                raise
            raise Failure(str(error), USAGE) from None
        context.show({"result": _with_body(result, output)} if context.as_json else _with_body(result, output))


def _with_body(result: Any, output: Path | None) -> Any:
    """The result with its Body, if it has one, as text or as the size of the file that was written."""
    if not isinstance(result, dict) or "Body" not in result:
        return result
    body = result["Body"]
    content = body.read() if hasattr(body, "read") else body
    if output is None:
        return {**result, "Body": plain(content)}
    written = output.write_bytes(content if isinstance(content, (bytes, bytearray)) else str(content).encode())
    return {**result, "Body": f"{written} bytes in {output}"}


@click.command()
@click.argument("workflow")
@click.option("--input", "given", default="{}", metavar="JSON", help="what the workflow is given")
@click.option("--wait", is_flag=True, help="show progress until it ends; exit 1 when it failed")
@with_settings
def run(context: Context, workflow: str, given: str, wait: bool) -> None:
    """Start a workflow; a running server does the work."""
    from workflows import runs

    input_ = parse_object(given, "--input")
    with application(context):
        run_id = runs.start(workflow, input_)
        if not wait:
            context.show({"run": run_id, "workflow": workflow}, f"run {run_id} started")
            return
        last: Any = None
        with progress(workflow, quiet=context.as_json) as report:
            for last in runs.watch(run_id):
                report(last.done, last.total, last.message or last.state)
        state, message = (last.state, last.message) if last else ("unknown", "")
        context.show({"run": run_id, "workflow": workflow, "state": state, "message": message},
                     f"run {run_id}: {state}" + (f" ({message})" if message else ""))
        if state in FAILED_STATES or last is None:
            sys.exit(FAILED)


@click.command()
@click.option("--repair", is_flag=True, help="also correct what can be corrected without losing anything")
@click.option("--deep", is_flag=True, help="also read all bytes and compare them with their checksums")
@with_settings
def check(context: Context, repair: bool, deep: bool) -> None:
    """Compare what the database says with the bytes on disk. Reads only, unless --repair. Exit 1 when something is wrong."""
    from shared import check as checking

    with application(context) as app:
        with progress("check", quiet=context.as_json) as report:
            found = checking.check(app, repair, report, deep)
        context.show(found, str(found))
        if not found.ok:
            sys.exit(FAILED)


@click.group()
def root() -> None:
    """The root user."""


@root.command()
@with_settings
def reset(context: Context) -> None:
    """Replace root's credentials with new ones and print them, once. The old ones stop working at once."""
    if context.settings.root_access_key:
        raise Failure("root's credentials are set by MAXIOFS_ROOT_ACCESS_KEY and MAXIOFS_ROOT_SECRET_KEY: change them there")
    with application(context) as app:
        access_key, secret_key = app.reset_root()
    context.show({"access_key": access_key, "secret_key": secret_key},
                 f"Root credentials, shown only this once:\n\n  Access key  {access_key}\n  Secret key  {secret_key}\n")
