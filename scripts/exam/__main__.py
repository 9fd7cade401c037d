"""./scripts/exam-s3tests: start a server, let a checkout of ceph/s3-tests examine it, and print what it passed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click

from scripts.benchmark.endpoints import ROOT, OwnServer, scratch_folder
from scripts.exam import accounts, report
from scripts.exam.core import CORE, FILES, LANES, Case, is_left_out
from scripts.exam.suite import Suite, Unfit, prepare_python

PROCESSES = 2       # of the server


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkout", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--ids", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="cases, one pytest id a line; default: the core")
@click.option("--only", default="", metavar="TEXT", help="of these, those whose id has the text")
@click.option("--lane", type=click.Choice(list(LANES)), default="fast", show_default=True, help="slow: what waits for lifecycle rules")
@click.option("--python", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="an interpreter with what the suite requires")
@click.option("--parallel", default=2, show_default=True, type=click.IntRange(1, 32), help="cases at a time")
@click.option("--timeout", "timeout_s", default=120, show_default=True, type=click.IntRange(1), metavar="SECONDS", help="of one case")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="write everything here")
@click.option("--logs", type=click.Path(path_type=Path, file_okay=False), help="keep the logs of the server and of pytest in this folder")
def exam(
    *, checkout: Path, ids: Path | None, only: str, lane: str, python: Path | None, parallel: int, timeout_s: int,
    json_path: Path | None, logs: Path | None,
) -> None:
    """Examine this tree's S3 surface with CHECKOUT, a clone of ceph/s3-tests. Ends with 1 when a case did not pass."""
    started_s = time.monotonic()
    with scratch_folder("exam-") as scratch:
        try:
            interpreter = python or prepare_python(checkout, ROOT / "bench-results", _say)
            suite = Suite(checkout.resolve(), interpreter.absolute(), scratch / "suite.conf", scratch, timeout_s)
            with _server(scratch) as endpoint:
                _make_kms_keys(scratch / "data")
                accounts.write_configuration(suite.configuration, endpoint.url, endpoint.region)
                cases = _chosen(suite, ids, only, lane)
                _say(f"{len(cases)} cases of s3-tests {suite.commit} against {endpoint.url}")
                verdicts = suite.run(cases, parallel)
        except Unfit as unfit:
            raise click.ClickException(str(unfit)) from None
        finally:
            if logs:
                _keep(scratch, logs)
    about = {"suite": suite.commit, "tree": _commit(), "lane": lane, "seconds": round(time.monotonic() - started_s)}
    if json_path:
        report.write_json(json_path, about, cases, verdicts)
    missed = report.misses(cases, verdicts)
    click.echo("\n".join([*missed, *([""] if missed else []), report.table(cases, verdicts)]))
    click.echo("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    sys.exit(1 if missed else 0)


def _server(scratch: Path) -> OwnServer:
    """Our server with the accounts of the exam."""
    bootstrap = scratch / "bootstrap.json"
    bootstrap.write_text(accounts.bootstrap())
    return OwnServer(scratch / "data", PROCESSES, MAXIOFS_BOOTSTRAP=str(bootstrap))


def _make_kms_keys(data_dir: Path) -> None:
    """Make the keys that the suite encrypts with, beside the running server. Raises Unfit."""
    for name in accounts.KMS_KEYS:
        command = [sys.executable, "-P", "-m", "scripts.cli", "invoke", "admin.create_encryption_key", json.dumps({"name": name})]
        environ = {**os.environ, "MAXIOFS_DATA_DIR": str(data_dir)}
        done = subprocess.run(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unfit(f"the key {name} can't be made:\n{done.stderr[-2000:]}")


def _chosen(suite: Suite, ids: Path | None, only: str, lane: str) -> list[Case]:
    """The cases to run. Raises Unfit when there are none."""
    if ids:
        wanted = [line.strip() for line in ids.read_text().splitlines() if line.strip()]
        cases = suite.cases(wanted, LANES[lane])
    else:
        marks = f"{CORE} and ({LANES[lane]})" if LANES[lane] else CORE
        cases = [case for case in suite.cases(FILES, marks) if not is_left_out(case)]
    cases = [case for case in cases if only in case.id]
    if not cases:
        raise Unfit("no case is left")
    return cases


def _keep(scratch: Path, logs: Path) -> None:
    """Copy the logs out of the scratch folder."""
    logs.mkdir(parents=True, exist_ok=True)
    for name in ("data.log", "pytest.log"):
        if (scratch / name).exists():
            (logs / name).write_bytes((scratch / name).read_bytes())


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    exam(prog_name="exam-s3tests")
