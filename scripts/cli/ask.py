"""The commands that ask for something once: a function, a workflow, a check, new root credentials."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from scripts.cli.banner import Credentials, show_new_root
from scripts.cli.command import FAILED, USAGE, Context, Failure, plain, with_settings
from scripts.cli.progress import progress

FAILED_STATES = {"failed", "cancelled"}
MOST_SHOWN_BYTES = 1 << 20      # of a Body that is printed; a larger one goes to a file
BLOCK_BYTES = 1 << 20


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

    _require_data(context)
    with closing(app.build(context.settings)) as built:
        if built.new_root_key:
            show_new_root(context, Credentials(*built.new_root_key))
        yield built


def _require_data(context: Context) -> None:
    if not context.settings.data_dir.is_dir():
        raise Failure(f"there is no data folder {context.settings.data_dir} (setting: MAXIOFS_DATA_DIR)")


@click.command()
@click.argument("function")
@click.argument("payload", default="{}", metavar="[JSON]")
@click.option("--body", type=click.File("rb"), help="file whose bytes are the request body (- is standard input)")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="write the reply's Body to this file")
@with_settings
def invoke(context: Context, function: str, payload: str, body: BinaryIO | None, output: Path | None) -> None:
    """Call one function as root, without HTTP. Arguments and result are those of boto3; of admin functions, those of the API.

    \b
    maxiofs invoke admin.create_user '{"username": "ann", "policies": ["readonly"]}'
    maxiofs invoke s3.CreateBucket '{"Bucket": "first"}'
    maxiofs invoke s3.PutObject '{"Bucket": "first", "Key": "hello"}' --body hello.txt
    maxiofs invoke s3.GetObject '{"Bucket": "first", "Key": "hello"}' --output hello.txt
    """
    given = parse_object(payload, "the payload")
    with application(context) as app:
        from shared.direct import UnfitArguments

        try:
            result = app.invoke(function, given, body)
        except UnfitArguments as error:
            raise Failure(str(error), USAGE) from None
        except LookupError as error:
            if type(error) is not LookupError:      # a KeyError inside the function is a bug, and shows as one
                raise
            raise Failure(str(error), USAGE) from None
        shown = _with_body(result, output)
        context.show({"result": shown} if context.as_json else shown)


def _with_body(result: Any, output: Path | None) -> Any:
    """The result with its Body, if it has one, as text or as the size of the file that was written."""
    if not isinstance(result, dict) or not hasattr(result.get("Body"), "read"):
        if output is not None:
            raise Failure(f"the function has run, but its reply has no Body: {output} was not written")
        return result
    with closing(result["Body"]) as body:
        if output is not None:
            with output.open("wb") as file:
                shutil.copyfileobj(body, file, BLOCK_BYTES)
                return {**result, "Body": f"{file.tell()} bytes in {output}"}
        content = body.read(MOST_SHOWN_BYTES + 1)
        if len(content) > MOST_SHOWN_BYTES:
            raise Failure("the Body is too large to be shown: choose a file with --output", USAGE)
        return {**result, "Body": plain(content)}


@click.command()
@click.argument("workflow")
@click.option("--input", "given", default="{}", metavar="JSON", help="what the workflow is given")
@click.option("--wait", is_flag=True, help="show progress until it ends; exit 1 when it failed")
@with_settings
def run(context: Context, workflow: str, given: str, wait: bool) -> None:
    """Start a workflow; a running server does the work. Without one --wait waits for it."""
    from workflows import registry, runs
    from workflows.lifetime import installation

    input_ = parse_object(given, "--input")
    try:
        registry.find(workflow)
    except LookupError as error:
        raise Failure(str(error), USAGE) from None
    _require_data(context)
    with installation(context.settings):
        run_id = runs.start(workflow, input_)
        if not wait:
            context.show({"run": run_id, "workflow": workflow}, f"run {run_id} started")
            return
        follow(context, run_id, workflow)


def follow(context: Context, run_id: int, workflow: str) -> None:
    """Show the progress of a run until it ends; exit 1 when it failed."""
    from workflows import runs

    last: Any = None
    with progress(workflow, quiet=context.as_json) as report:
        for last in runs.watch(run_id):
            report(last.done, last.total, last.message or _meaning(last.state))
    context.show({"run": run_id, "workflow": workflow, "state": last.state, "done": last.done, "message": last.message},
                 f"run {run_id}: {last.state}" + (f" ({last.message})" if last.message else ""))
    if last.state in FAILED_STATES:
        sys.exit(FAILED)


def _meaning(state: str) -> str:
    return "waiting for a running server" if state == "queued" else state


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
    from shared import app
    from shared.meta import database

    _require_data(context)
    try:
        made = Credentials(*app.reset_root(context.settings))
    finally:
        database.dispose()
    context.show(made._asdict(), made.text())
