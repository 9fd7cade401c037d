"""The benchmark tool works: one-second runs of each of its three ways, with figures that can be true."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark.matrix import Case, cases, of_size
from scripts.benchmark.sample import Sample, at_percentile, middle, of_latencies
from scripts.benchmark.target import Row
from scripts.benchmark.targets import write_docs
from tests.running import ROOT, RunningServer

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
PNG = b"\x89PNG"


def bench(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the tool as scripts/bench does."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "scripts.benchmark", *arguments], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=110,
    )
    assert done.returncode == expect, done.stderr[-4000:]
    return done


@needs_wrk
def test_compare_drives_a_given_server_and_our_own_in_turn(tmp_path: Path) -> None:
    figures, plot = tmp_path / "figures.json", tmp_path / "plot.png"
    with RunningServer() as running:
        done = bench(
            "--endpoint", f"other={running.url}", "--access-key", running.access_key, "--secret-key", running.secret_key, "--own",
            "--operations", "put,get,head,delete,copy", "--sizes", "4KiB,1MiB", "--seconds", "1", "--rounds", "1",
            "--json", str(figures), "--plot", str(plot),
        )
        left = running.client().list_buckets()["Buckets"]
    results = json.loads(figures.read_text())["results"]
    wanted = [("put", 4096), ("put", 1 << 20), ("get", 4096), ("get", 1 << 20), ("head", 4096), ("delete", 4096), ("copy", 1 << 20)]
    assert [(row["operation"], row["size"], row["server"]) for row in results] == [
        (operation, size, server) for operation, size in wanted for server in ("MaxIOFS", "other")
    ]
    assert all(row["errors"] == 0 and row["per_s"] > 1 and 0 < row["p50_ms"] <= row["p99_ms"] for row in results), results
    moved = {row["operation"]: row["mb_s"] / row["per_s"] for row in results if row["size"] == 1 << 20 and row["operation"] != "copy"}
    assert moved == pytest.approx({"put": 1.048576, "get": 1.048576})
    assert left == [], "the tool leaves nothing behind on a server that is not its own"
    assert plot.read_bytes().startswith(PNG)
    assert "other" in done.stdout and "put 1 MiB" in done.stdout


@pytest.mark.slow
@needs_wrk
def test_ceiling_measures_every_bare_thing(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    bench("ceiling", "--seconds", "1", "--rounds", "1", "--json", str(figures))
    found: dict[str, Any] = {row["what"]: row["figure"] for row in json.loads(figures.read_text())["ceilings"]}
    assert len(found) == 9 and all(figure > 0 for figure in found.values()), found
    assert found["MD5, one core"] > 50


@pytest.mark.slow
@needs_wrk
def test_targets_has_a_verdict_for_each_row(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = bench("targets", "--quick", "--rows", "copies,listing", "--seconds", "1", "--rounds", "1", "--json", str(figures))
    rows = json.loads(figures.read_text())["targets"]
    assert [row["name"] for row in rows] == [
        "1,000-key page of 20,000: flat", "1,000-key page of 20,000: delimiter", "1,000-key page of 20,000: deep prefix",
        "CopyObject of 5 GiB", "CompleteMultipartUpload of 1,000 parts",
    ]
    assert all(row["passed"] == (row["ratio"] >= 1) for row in rows)
    assert done.stdout.count("pass") + done.stdout.count("miss") == len(rows)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--operations", "fly"], "unknown: fly"),
        (["--sizes", "4 parsecs"], "not a list of sizes"),
        (["--endpoint", "http://127.0.0.1:1"], "give --access-key once"),
        (["targets", "--rows", "moon"], "unknown: moon"),
    ],
)
def test_wrong_use_is_told(arguments: list[str], says: str) -> None:
    assert says in " ".join(bench(*arguments, expect=2).stderr.split())


def test_the_wrapper_is_a_shell_script_that_can_be_run() -> None:
    wrapper = ROOT / "scripts" / "bench"
    assert os.access(wrapper, os.X_OK)
    subprocess.run(["bash", "-n", str(wrapper)], check=True)


def test_sizes_matter_to_some_operations_only() -> None:
    sizes = [4096, 64 << 20]
    assert cases(["put", "list", "copy", "multipart", "delete"], sizes) == [
        Case("put", 4096), Case("put", 64 << 20), Case("list", 4096), Case("copy", 64 << 20), Case("multipart", 64 << 20),
        Case("delete", 4096),
    ]
    assert [of_size(size) for size in (4096, 64 << 20, 5 << 30, 1000)] == ["4 KiB", "64 MiB", "5 GiB", "1000 B"]


def test_percentiles_are_of_the_nearest_rank() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert [at_percentile(ordered, percent) for percent in (50, 99, 99.9, 100)] == [50.0, 99.0, 100.0, 100.0]
    assert at_percentile([7.0], 50) == 7.0
    sample = of_latencies([0.004, 0.001, 0.002], 2.0, 3e6)
    assert (sample.per_s, sample.mb_s, sample.p50_ms, sample.p99_ms) == (1.5, 1.5, 2.0, 4.0)


def test_the_median_is_over_rounds_and_errors_add_up() -> None:
    rounds = [Sample(100, 1, 1e6, 1, 9, 1, 10), Sample(300, 1, 3e6, 3, 7, 0, 30), Sample(400, 2, 4e6, 2, 8, 2, 20)]
    assert middle(rounds) == Sample(200, 1.0, 2e6, 2, 8, 3, 20)


def test_rows_that_were_measured_replace_those_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- targets -->\n<!-- /targets -->\nafter\n")
    write_docs(page, [Row("GET", "≥ 1", "2", 2.0, True, load=0.5), Row("PUT", "≥ 1", "0.5", 0.5, False)])
    write_docs(page, [Row("PUT", "≥ 1", "3", 3.0, True)])
    assert page.read_text().splitlines() == [
        "before", "<!-- targets -->", "| what | target | reached | | load before |", "| --- | --- | --- | --- | --- |",
        "| GET | ≥ 1 | 2 | met | 0.5 |", "| PUT | ≥ 1 | 3 | met | 0.0 |", "<!-- /targets -->", "after",
    ]
    assert "<!-- targets -->" in (ROOT / "docs" / "performance.md").read_text()
