"""Workflows: declared once, with how they are retried and how often they run by themselves."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from shared.blobs.engine import BlobEngine
from shared.meta.runs import LONGEST_DELAY_S
from shared.settings import Settings

MODULES = (     # a test holds the list against the files
    "sweep", "expire_uploads", "prune_runs", "audit_retention", "index_search", "delete_tenant", "delete_bucket", "rewrap_keys",
)
MOST_LEASE_S = LONGEST_DELAY_S


@dataclass(frozen=True)
class Context:
    """What a step may use besides the database, which is connected."""

    settings: Settings
    engine: BlobEngine


@dataclass(frozen=True)
class Run:
    """What a step is told. ``attempt`` counts from 1 at each cursor; ``done`` is what the last step reported."""

    id: int
    input: dict[str, Any]
    cursor: dict[str, Any] | None
    attempt: int
    done: int
    context: Context


@dataclass(frozen=True)
class Next:
    """Where to go on, and what to show: ``done`` of ``total`` (None: not known).

    ``effect`` is called in the transaction that stores the cursor, and not at all when the run is no longer ours: writes belong
    there. It may be called twice for one step (after a failed commit), so it must not count on being the first.
    """

    cursor: dict[str, Any]
    done: int
    total: int | None = None
    message: str | None = None
    effect: Callable[[], None] | None = None


Step = Callable[[Run], Next | None]


@dataclass(frozen=True)
class Workflow:
    """A declared workflow. ``summary`` is the first line of the step's docstring."""

    name: str
    step: Step
    retries: int
    backoff_s: float
    lease_s: float
    every_s: float | None
    retry_on: tuple[type[Exception], ...]

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return (self.step.__doc__ or "").strip().partition("\n")[0]


_workflows: dict[str, Workflow] = {}


def workflow(
    name: str, *, retries: int = 3, backoff_s: float = 30, lease_s: float = 60, every_s: float | None = None,
    retry_on: tuple[type[Exception], ...] = (),
) -> Callable[[Step], Step]:
    """Declare a step function. It is called with a Run until it returns None; each return of Next is stored.

    A step does a bounded piece of work (100 rows, or one object), well inside ``lease_s``, and may run twice, at the same time
    as itself, and after a crash at any line. What it raises ends the run, except ``retry_on``, errors of the database, and S3
    errors that may heal: those are tried ``retries`` times more, after about ``backoff_s * 2**n`` seconds. With ``every_s`` the
    scheduler starts a run that often.

    Raises ValueError for a name that is taken and for numbers that can't be meant.
    """
    if name in _workflows:
        raise ValueError(f"there is a workflow named {name!r} already")
    if not 0 < lease_s <= MOST_LEASE_S or retries < 0 or backoff_s <= 0 or (every_s is not None and every_s < 1):
        raise ValueError(f"workflow {name!r}: retries from 0, backoff_s above 0, lease_s above 0 to {MOST_LEASE_S}, every_s from 1")

    def declare(step: Step) -> Step:
        if not step.__doc__:
            raise ValueError(f"workflow {name!r} has no docstring: it is what the console shows")
        _workflows[name] = Workflow(name, step, retries, backoff_s, lease_s, every_s, retry_on)
        return step

    return declare


def declared() -> dict[str, Workflow]:
    """Every workflow by name."""
    for module in MODULES:
        import_module(f"workflows.{module}")
    return _workflows


def find(name: str) -> Workflow:
    """The workflow of that name. Raises LookupError that names the nearest."""
    known = declared()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise LookupError(f"there is no workflow {name!r}: {hint}")
    return known[name]
