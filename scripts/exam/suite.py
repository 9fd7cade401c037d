"""The suite in its own environment: an interpreter for it, the list of its cases, and a run of chosen ones."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.exam.core import ALONE, Case

HERE = Path(__file__).resolve().parent
EXTRAS = ("pytest-timeout", "pytest-xdist")
KINDS = {"failed": "FAILED", "skipped": "SKIPPED", "error": "ERROR", "missing": "NOT RUN"}


class Unfit(Exception):
    """The suite can't be run as asked."""


@dataclass
class Verdict:
    """What became of a case: "passed", "failed", "error" (outside of the case itself), "skipped" or "missing"; one line why."""

    outcome: str = "missing"
    why: str = ""
    seconds: float = 0.0


@dataclass
class Suite:
    """A checkout, an interpreter that has what it requires, and its configuration."""

    checkout: Path
    python: Path
    configuration: Path
    scratch: Path
    timeout_s: int = 120
    say: Callable[[str], None] = field(default=lambda text: None)

    @property
    def commit(self) -> str:
        """The commit of the checkout, with a mark when files differ from it."""
        asked = subprocess.run(
            ["git", "-C", str(self.checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return asked.stdout.strip() or "unknown"

    def cases(self, chosen: Iterable[str], marks: str) -> list[Case]:
        """The cases of some files or ids that an expression of marks is true for. Raises Unfit when pytest can't gather them."""
        path = self.scratch / "cases.json"
        path.unlink(missing_ok=True)
        done = self._pytest(["--collect-only", "-q", *(["-m", marks] if marks else []), *self._listed(chosen)], EXAM_CASES=str(path))
        if not path.exists():
            raise Unfit("the suite's cases can't be gathered:\n" + (self.scratch / "pytest.log").read_text(errors="replace")[-3000:])
        if done not in (0, 5):
            raise Unfit("some cases are not there:\n" + (self.scratch / "pytest.log").read_text(errors="replace")[-3000:])
        return [Case(found["id"], found["marks"]) for found in json.loads(path.read_text())]

    def run(self, cases: Collection[Case], processes: int) -> dict[str, Verdict]:
        """Run cases, some beside each other, and those that bear no company before them. By id; what did not end is "missing"."""
        path = self.scratch / "results.jsonl"
        path.unlink(missing_ok=True)
        alone = [case for case in cases if case.function in ALONE]
        together = [case for case in cases if case.function not in ALONE]
        for chosen, words in ((alone, []), (together, ["-n", str(processes)] if processes > 1 else [])):
            if chosen:
                self._pytest(
                    ["-q", "--tb=short", f"--timeout={self.timeout_s}", *words, *self._listed(case.id for case in chosen)],
                    EXAM_RESULTS=str(path),
                )
        verdicts = {case.id: Verdict() for case in cases}
        if path.exists():
            _judge(verdicts, path)
        return verdicts

    def _listed(self, ids: Iterable[str]) -> list[str]:
        path = self.scratch / "ids.txt"
        path.write_text("\n".join(ids) + "\n")
        return [f"@{path}"]

    def _pytest(self, words: list[str], **environ: str) -> int:
        """Run pytest in the checkout, which stays as it is; what it prints is added to pytest.log. Returns its exit status."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAXIOFS_", "PYTEST_", "S3TEST_"))}
        ours |= environ | {
            "S3TEST_CONF": str(self.configuration), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "127.0.0.1",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip
        with (self.scratch / "pytest.log").open("ab") as log:
            return subprocess.run(
                [str(self.python), "-m", "pytest", "-p", "recorder", "-p", "no:cacheprovider", *words],
                cwd=self.checkout, env=ours, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False,
            ).returncode  # fmt: skip


def _judge(verdicts: dict[str, Verdict], path: Path) -> None:
    """Put the phases of each case together: passed is who passed in all of them."""
    for line in path.read_text(encoding="utf-8").splitlines():
        phase = json.loads(line)
        verdict = verdicts.get(phase["id"])
        if verdict is None:
            continue
        verdict.seconds = round(verdict.seconds + phase["seconds"], 3)
        if phase["outcome"] == "failed" and verdict.outcome != "failed":
            verdict.outcome, verdict.why = "failed" if phase["when"] == "call" else "error", phase["why"]
        elif phase["outcome"] == "skipped":
            verdict.outcome, verdict.why = "skipped", phase["why"]
        elif phase["when"] == "call" and verdict.outcome == "missing":
            verdict.outcome = "passed"


def prepare_python(checkout: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """Make, or find, an environment with what the checkout's requirements name. Raises Unfit when it can't be made."""
    requirements = checkout / "requirements.txt"
    mark = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    home = folder / f"s3-tests-{mark}"
    python = home / "bin" / "python"
    if (home / "complete").exists():
        return python
    say(f"making an environment for the suite in {home} ...")
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "-r", str(requirements), *EXTRAS]
    for command in ([sys.executable, "-m", "venv", "--clear", str(home)], install):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unfit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    (home / "complete").touch()
    return python
