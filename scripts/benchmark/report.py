"""What people read: tables on the terminal, JSON and a plot in files."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.benchmark.matrix import Case
from scripts.benchmark.sample import Sample

console = Console(width=None if os.isatty(1) else 150)
errors = Console(stderr=True)


def machine() -> dict[str, Any]:
    """The machine in general words, and how busy it was."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": os.cpu_count(), "memory_gib": round(gib), "python": platform.python_version(),
            "load_average": os.getloadavg()[0], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def progress(text: str) -> None:
    """What is being measured now, and how busy the machine is besides."""
    errors.print(f"[dim]{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:4.1f}  {text}[/dim]", highlight=False)


def number(value: float) -> str:
    """Three significant figures, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def matrix_table(results: dict[Case, list[Sample]], names: list[str]) -> Table:
    """One line for each case and server; the ratio is to the first server."""
    table = Table(title="Requests, medians of the rounds")
    table.add_column("case")
    table.add_column("server")
    for title in ("ops/s", "MB/s", "p50 ms", "p99 ms", "server CPU µs", "errors", "ratio"):
        table.add_column(title, justify="right")
    for case, samples in results.items():
        for place, (name, sample) in enumerate(zip(names, samples, strict=True)):
            ratio = f"{sample.per_s / samples[0].per_s:.2f}" if place and samples[0].per_s else ""
            table.add_row(
                case.name if not place else "", name, number(sample.per_s), number(sample.mb_s) if sample.payload_bytes else "",
                number(sample.p50_ms), number(sample.p99_ms), number(sample.cpu_us) if sample.cpu_us else "",
                str(sample.errors or ""), ratio, end_section=place == len(names) - 1,
            )  # fmt: skip
    return table


def matrix_json(results: dict[Case, list[Sample]], names: list[str]) -> dict[str, Any]:
    """The same for programs."""
    rows = [
        {"operation": case.operation, "size": case.size, "server": name, **sample.as_dict(), "ratio": _ratio(sample, samples[0])}
        for case, samples in results.items() for name, sample in zip(names, samples, strict=True)
    ]
    return {"machine": machine(), "results": rows}


def _ratio(sample: Sample, first: Sample) -> float | None:
    return sample.per_s / first.per_s if first.per_s else None


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document for programs."""
    path.write_text(json.dumps(document, indent=2) + "\n")


def plot_matrix(path: Path, results: dict[Case, list[Sample]], names: list[str]) -> None:
    """Bars: requests per second of each case and server, beside the 99th percentile, both logarithmic."""
    bars(path, [case.name for case in results], names, [
        ("requests per second", [[samples[place].per_s for samples in results.values()] for place in range(len(names))]),
        ("99th percentile, ms", [[samples[place].p99_ms for samples in results.values()] for place in range(len(names))]),
    ])


Panel = tuple[str, list[list[float]]]       # its title, and the values of each name


def bars(path: Path, labels: list[str], names: list[str], panels: list[Panel], *, line: float | None = None) -> None:
    """Horizontal bars in panels side by side, one group for each label, one bar in it for each name."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    inches = (6 * len(panels) + 2, 1.5 + 0.32 * len(labels) * len(names))
    figure, axes = plt.subplots(1, len(panels), figsize=inches, squeeze=False, sharey=True)
    for axis, (title, series) in zip(axes[0], panels, strict=True):
        for place, (name, values) in enumerate(zip(names, series, strict=True)):
            height = 0.8 / len(names)
            drawn = axis.barh([row + place * height for row in range(len(labels))], values, height, label=name)
            axis.bar_label(drawn, [number(value) for value in values], padding=3, fontsize=8)
        axis.set_title(title)
        axis.set_yticks([row + 0.4 - 0.4 / len(names) for row in range(len(labels))], labels)
        if line is None:
            axis.set_xscale("log")
        else:
            axis.axvline(line, color="black", linewidth=1)
        axis.margins(x=0.15)
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].invert_yaxis()
    if len(names) > 1:
        axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
