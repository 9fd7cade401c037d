"""What an exam found: a table by category, the misses one by one, and both as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.exam.core import Case, category_of, order_of
from scripts.exam.suite import KINDS, Verdict

LONGEST_WHY = 160


def table(cases: list[Case], verdicts: Mapping[str, Verdict]) -> str:
    """Passed and examined cases of each category, and in all. A skipped case counts as not passed."""
    total, passed = Counter(map(category_of, cases)), Counter(category_of(case) for case in cases if _passed(verdicts, case))
    rows = [(name, passed[name], total[name]) for name in sorted(total, key=order_of)]
    rows.append(("in all", passed.total(), total.total()))
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:{width}}  {good:4} / {of:4}  {100 * good / of:5.1f} %{'' if good == of else '  *'}" for name, good, of in rows)


def misses(cases: list[Case], verdicts: Mapping[str, Verdict]) -> list[str]:
    """One line for each case that did not pass, by category."""
    missed = sorted((case for case in cases if not _passed(verdicts, case)), key=lambda case: (order_of(category_of(case)), case.id))
    return [
        f"{category_of(case)}: {case.id.rpartition('::')[2]}: {KINDS[verdicts[case.id].outcome]} {verdicts[case.id].why[:LONGEST_WHY]}"
        for case in missed
    ]


def write_json(path: Path, about: Mapping[str, Any], cases: list[Case], verdicts: Mapping[str, Verdict]) -> None:
    """Write everything: what ``about`` says of the exam, and each case with its category, outcome, reason and seconds."""
    rows = [{"id": case.id, "category": category_of(case), **vars(verdicts[case.id])} for case in cases]
    passed = sum(_passed(verdicts, case) for case in cases)
    path.write_text(json.dumps({**about, "passed": passed, "total": len(cases), "cases": rows}, indent=1) + "\n", encoding="utf-8")


def _passed(verdicts: Mapping[str, Verdict], case: Case) -> bool:
    return verdicts[case.id].outcome == "passed"
