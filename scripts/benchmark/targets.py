"""Our targets: every row of the table in docs/performance.md, beside what it is compared with, in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from scripts.benchmark import ratio_targets, report, server_targets
from scripts.benchmark.endpoints import scratch_folder
from scripts.benchmark.target import Bench, Row

GROUPS: dict[str, Callable[[Bench], list[Row]]] = {
    "small": ratio_targets.small_requests,
    "busy": ratio_targets.while_busy,
    "large": ratio_targets.large_bodies,
    "listing": server_targets.listings,
    "copies": server_targets.copies,
    "memory": server_targets.memory,
}


def measure(seconds: float, rounds: int, processes: int, quick: bool, chosen: list[str]) -> list[Row]:
    """Measure the groups of rows that were chosen; all when none was."""
    rows: list[Row] = []
    for name, group in GROUPS.items():
        if not chosen or name in chosen:
            with scratch_folder(f"{name}-") as folder:
                report.progress(f"targets: {name}")
                for row in group(Bench(folder, seconds, rounds, processes, quick)):
                    report.progress(f"{row.name}: {row.reached} ({row.detail})")
                    rows.append(row)
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
