"""Our targets: every row of the table in docs/performance.md, beside what it is compared with, in the same run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from rich.table import Table

from scripts.benchmark import encryption_targets, ratio_targets, report, server_targets
from scripts.benchmark.endpoints import scratch_folder
from scripts.benchmark.target import Bench, Row

GROUPS: dict[str, Callable[[Bench], list[Row]]] = {
    "small": ratio_targets.small_requests,
    "busy": ratio_targets.while_busy,
    "large": ratio_targets.large_bodies,
    "listing": server_targets.listings,
    "copies": server_targets.copies,
    "memory": server_targets.memory,
    "encryption": encryption_targets.encrypted,
}


def measure(seconds: float, rounds: int, processes: int, quick: bool, chosen: list[str]) -> list[Row]:
    """Measure the groups of rows that were chosen; all when none was."""
    rows: list[Row] = []
    for name, group in GROUPS.items():
        if not chosen or name in chosen:
            with scratch_folder(f"{name}-") as folder:
                report.progress(f"targets: {name}")
                load = os.getloadavg()[0]
                for row in group(Bench(folder, seconds, rounds, processes, quick)):
                    report.progress(f"{row.name}: {row.reached} ({row.detail})")
                    rows.append(replace(row, load=load))
    return rows


def show(rows: list[Row], json_path: Path | None, plot_path: Path | None) -> int:
    """Print the table, write what was asked for; returns how many targets were missed."""
    table = Table(title="Targets")
    for title in ("what", "target", "reached", "of target", "", "more"):
        table.add_column(title)
    for row in rows:
        verdict = "[green]pass[/green]" if row.passed else "[bold red]miss[/bold red]"
        table.add_row(row.name, row.target, row.reached, f"{row.ratio:.2f}", verdict, row.detail)
    report.console.print(table)
    if json_path:
        report.write_json(json_path, {"machine": report.machine(), "targets": [asdict(row) for row in rows]})
    if plot_path:
        shares = [[min(row.ratio, 5) for row in rows]]
        report.bars(plot_path, [row.name for row in rows], ["reached"], [("share of the target (1 is met)", shares)], line=1.0)
    return sum(not row.passed for row in rows)


_TABLE = re.compile(r"(<!-- targets -->\n)(.*?)(<!-- /targets -->)", re.S)
_HEAD = "| what | target | reached | | load before |\n| --- | --- | --- | --- | --- |\n"


def write_docs(path: Path, rows: list[Row]) -> None:
    """Put the rows into the table between the marks of a Markdown page; rows that were not measured now stay as they are."""
    text = path.read_text("utf-8")
    found = _TABLE.search(text)
    if found is None:
        raise ValueError(f"{path} has no <!-- targets --> … <!-- /targets -->")
    old = {line.split("|")[1].strip(): line for line in found[2].splitlines()[2:] if line.startswith("|")}
    cells = [(row.name, row.target, row.reached, "met" if row.passed else "**missed**", f"{row.load:.1f}") for row in rows]
    new = {row[0]: f"| {' | '.join(row)} |" for row in cells}
    path.write_text(text[:found.end(1)] + _HEAD + "\n".join((old | new).values()) + "\n" + text[found.start(3):], "utf-8")
