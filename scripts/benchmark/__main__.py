"""./scripts/bench: measure one or several S3 servers, the machine's ceilings, or our targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from scripts.benchmark import ceiling, matrix, report, targets, wrk
from scripts.benchmark.endpoints import Endpoint, OwnServer, scratch_folder

UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
HIGH_LOAD = 1.0


def sizes_of(_: object, __: object, text: str) -> list[int]:
    """``4KiB,1MiB`` in bytes."""
    found = [re.fullmatch(r"(\d+)\s*([a-z]*)", word.strip().lower()) for word in text.split(",")]
    if not all(match and match[2] in UNITS for match in found):
        raise click.BadParameter(f"{text!r} is not a list of sizes such as 4KiB,1MiB")
    return sorted(int(match[1]) * UNITS[match[2]] for match in found if match)


def operations_of(_: object, __: object, text: str) -> list[str]:
    """Names of operations, checked."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in matrix.OPERATIONS]:
        raise click.BadParameter(f"unknown: {', '.join(unknown)}; there are {', '.join(matrix.OPERATIONS)}")
    return names


def groups_of(_: object, __: object, text: str) -> list[str]:
    """Names of groups of targets, checked."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in targets.GROUPS]:
        raise click.BadParameter(f"unknown: {', '.join(unknown)}; there are {', '.join(targets.GROUPS)}")
    return names


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", type=click.Choice(["compare", "ceiling", "targets"]), default="compare")
@click.option("--endpoint", "urls", multiple=True, metavar="[NAME=]URL", help="a running server; repeatable, they are driven in turn")
@click.option("--access-key", "access_keys", multiple=True, help="of the endpoint in the same place; one for all is enough")
@click.option("--secret-key", "secret_keys", multiple=True)
@click.option("--region", default="us-east-1", show_default=True)
@click.option("--own", is_flag=True, help="drive a server of our own too; without --endpoint always")
@click.option("--operations", default=",".join(matrix.OPERATIONS), callback=operations_of, show_default=True)
@click.option("--sizes", default="4KiB,64KiB,1MiB,64MiB", callback=sizes_of, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(1, 600), help="of one measurement")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 50), help="medians are over these")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1, 64), help="of our own server")
@click.option("--rows", default="", metavar="GROUPS", callback=groups_of, help=f"targets: only some of {', '.join(targets.GROUPS)}")
@click.option("--quick", is_flag=True, help="targets: with small objects and few keys, to try the tool; the figures mean nothing")
@click.option("--docs", "docs_path", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="targets: put the rows into the table of this page (docs/performance.md)")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="write the figures here")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path, dir_okay=False), help="draw them here (PNG, SVG, PDF)")
def main(*, what: str, urls: tuple[str, ...], access_keys: tuple[str, ...], secret_keys: tuple[str, ...], region: str, own: bool,
         operations: list[str], sizes: list[int], seconds: float, rounds: int, processes: int, rows: list[str], quick: bool,
         docs_path: Path | None, json_path: Path | None, plot_path: Path | None) -> None:
    """Measure S3 servers (compare), what this machine could do at most (ceiling), or our own targets (targets)."""
    try:
        wrk.require()
    except wrk.WrkMissing as missing:
        raise click.ClickException(str(missing)) from None
    if report.machine()["load_average"] > HIGH_LOAD:
        report.progress("the machine is busy with something else: trust ratios, not figures, or try again later")
    if what == "ceiling":
        ceiling.show(ceiling.measure(seconds, rounds, processes, report.progress), json_path, plot_path)
    elif what == "targets":
        if docs_path and quick:
            raise click.UsageError("--quick makes no figures for --docs")
        reached = targets.measure(seconds, rounds, processes, quick, rows)
        missed = targets.show(reached, json_path, plot_path)
        if docs_path:
            targets.write_docs(docs_path, reached)
        raise SystemExit(1 if missed and not quick else 0)
    else:
        given = endpoints_of(urls, access_keys, secret_keys, region)
        with servers(given, own or not given, processes) as endpoints:
            results = matrix.measure(endpoints, matrix.cases(operations, sizes), seconds, rounds, report.progress)
        names = [endpoint.name for endpoint in endpoints]
        report.console.print(report.matrix_table(results, names))
        if json_path:
            report.write_json(json_path, report.matrix_json(results, names))
        if plot_path:
            report.plot_matrix(plot_path, results, names)


def endpoints_of(urls: tuple[str, ...], access_keys: tuple[str, ...], secret_keys: tuple[str, ...], region: str) -> list[Endpoint]:
    """Endpoints with their keys: as many keys as endpoints, or one for all. Raises UsageError otherwise."""
    for keys, option in ((access_keys, "--access-key"), (secret_keys, "--secret-key")):
        if urls and len(keys) not in (1, len(urls)):
            raise click.UsageError(f"give {option} once, or once for each --endpoint")
    found = []
    for place, text in enumerate(urls):
        name, _, url = text.rpartition("=") if re.match(r"[\w.-]+=", text) else ("", "", text)
        key, secret = (keys[place if len(keys) > 1 else 0] for keys in (access_keys, secret_keys))
        found.append(Endpoint(name or url.partition("://")[2] or url, url.rstrip("/"), key, secret, region))
    return found


@contextmanager
def servers(given: list[Endpoint], own: bool, processes: int) -> Iterator[list[Endpoint]]:
    """The servers to drive; our own one comes first."""
    with ExitStack() as stack:
        if own:
            folder = stack.enter_context(scratch_folder("compare-"))
            given = [stack.enter_context(OwnServer(folder / "data", processes)), *given]
        yield given


if __name__ == "__main__":
    main(prog_name="bench")
