"""A pytest plugin for the suite's own environment: writes down which cases there are and what became of each. Needs nothing of ours.

EXAM_CASES names a file for the cases of a collection, EXAM_RESULTS one that a line of JSON is added to for each phase of each case.
"""

from __future__ import annotations

import json
import os
from typing import Any

LONGEST_REASON = 400


def pytest_collection_finish(session: Any) -> None:
    """Write the id and the marks of every case that was chosen."""
    if path := os.environ.get("EXAM_CASES"):
        cases = [{"id": item.nodeid, "marks": sorted({mark.name for mark in item.iter_markers()})} for item in session.items]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(cases, file)


def pytest_runtest_logreport(report: Any) -> None:
    """Add one phase (setup, call, teardown) of a case. With several processes only the one that gathers them writes."""
    path = os.environ.get("EXAM_RESULTS")
    if not path or "PYTEST_XDIST_WORKER" in os.environ:
        return
    line = {"id": report.nodeid, "when": report.when, "outcome": report.outcome, "seconds": round(report.duration, 3), "why": _why(report)}
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _why(report: Any) -> str:
    """The first line of what went wrong or why it was skipped; "" for what passed."""
    if report.passed:
        return ""
    told = report.longrepr
    if isinstance(told, tuple):
        return str(told[-1])[:LONGEST_REASON]
    crash = getattr(told, "reprcrash", None)
    text = crash.message if crash else str(told)
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:LONGEST_REASON]
