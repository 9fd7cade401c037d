"""The process manifest: which processes make up a server, and which functions each of them hosts."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from shared.settings import ROOT

PATH = ROOT / "infra" / "processes.toml"
KINDS = ("functions", "workflows", "scheduler")
LISTENERS = ("s3", "console")
AUTO = "auto"


@dataclass(frozen=True)
class Process:
    """One entry of the manifest. ``listener`` is "" for processes that answer no requests; ``count`` may be AUTO."""

    name: str
    kind: str
    listener: str = ""
    functions: tuple[str, ...] = ()
    count: int | str = 1

    def hosts(self, function: str) -> bool:
        """Whether the function of this name (``s3.GetObject``) runs in this process."""
        return any(fnmatchcase(function, pattern) for pattern in self.functions)

    def slots(self, auto: int) -> list[str]:
        """A name for each copy that runs: s3-0, s3-1, …"""
        return [f"{self.name}-{number}" for number in range(auto if self.count == AUTO else int(self.count))]


def read(path: Path = PATH) -> dict[str, Process]:
    """Name → process, in the order of the file. Raises ValueError that names the entry and what is wrong with it."""
    table = tomllib.loads(path.read_text("utf-8")).get("processes", {})
    return {name: _checked(name, entry) for name, entry in table.items()}


def _checked(name: str, entry: dict[str, Any]) -> Process:
    def need(condition: bool, wanted: str) -> None:
        if not condition:
            raise ValueError(f"process {name}: {wanted}")

    need(name.isalnum() and name.isascii() and name.islower(), "its name must be lower-case letters and digits")
    unknown = set(entry) - {field.name for field in fields(Process)}
    need(not unknown, f"unknown {', '.join(sorted(unknown))}")
    process = Process(**{"name": name, "kind": "", **entry, "functions": tuple(entry.get("functions", ()))})
    need(process.kind in KINDS, f"kind must be one of {', '.join(KINDS)}")
    answers = process.kind == "functions"
    need((process.listener in LISTENERS) if answers else not process.listener,
         f"listener must be one of {', '.join(LISTENERS)}, and only for functions")
    need(bool(process.functions) == answers, "functions must be a list of names, and only for kind functions")
    need(process.count == AUTO or (type(process.count) is int and process.count >= 0), 'count must be a number or "auto"')
    return process
