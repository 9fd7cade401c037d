"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

EVERY_S = 5.0           # between two plain lines

Report = Callable[[int, int | None, str], None]     # done, total (None: unknown), what is happening


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Report]:
    """Yields what to call with (done, total, message). Writes to stderr, so that results on stdout stay clean."""
    if quiet:
        yield _silence
    elif not sys.stderr.isatty():
        yield _plain_lines(title)
    else:
        from rich.console import Console  # late: processes of the server import this module too
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("{task.fields[message]}"))
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=None, message="")

            def report(done: int, total: int | None = None, message: str = "") -> None:
                bar.update(task, completed=done, total=total, message=message)

            yield report


def _silence(done: int, total: int | None = None, message: str = "") -> None:
    """For --json."""


def _plain_lines(title: str) -> Report:
    last_s = float("-inf")

    def report(done: int, total: int | None = None, message: str = "") -> None:
        nonlocal last_s
        finished = total is not None and done >= total
        if finished or time.monotonic() - last_s >= EVERY_S:
            last_s = time.monotonic()
            click.echo(f"{title}: {done}" + (f" of {total}" if total is not None else "") + (f", {message}" if message else ""),
                       err=True)

    return report
