"""Declarations: an operation is declared once, beside its code; routing, permission, metrics label and docs are derived from it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from shared.host.contract import Lane
from shared.protocol.codec import Operation
from shared.protocol.model import load_model

if TYPE_CHECKING:
    from shared.context import Context

Call = Callable[[Any], Any]     # an S3 function takes the Context, an admin function its arguments
Permissions = Callable[["Context"], Iterable[tuple[str, str]]]
F = TypeVar("F", bound=Call)

DOCUMENT_BYTES = 4 << 20    # of XML: a Complete with 10,000 parts and checksums is 2 MB, a DeleteObjects with 1,000 longest keys 3 MB


@dataclass(frozen=True)
class Function:
    """One thing a client can ask for.

    ``allow`` names the IAM actions it needs on its own bucket and key, or is a function of the request that yields (action, resource)
    pairs. ``lane``: ``slow`` for what may take long, such as a copy or a batch; ``now`` for what reads a row or two and waits for
    nothing else.
    """

    name: str
    kind: str                                   # "s3" or "admin"
    call: Call
    allow: tuple[str, ...] | Permissions
    operation: Operation | None = None          # of the S3 service model
    line: str = ""                              # "GET /api/v1/version", for admin functions
    lane: Lane | None = None                    # None: reads in "fast", everything else in "write"

    @property
    def id(self) -> str:
        """The name in manifests and for ``maxiofs invoke``: "s3.PutObject", "admin.version"."""
        return f"{self.kind}.{self.name}"


class AlreadyDeclared(Exception):
    """Two functions claim one name."""


_functions: dict[str, Function] = {}


def s3(name: str, *, allow: str | tuple[str, ...] | Permissions, lane: Lane | None = None) -> Callable[[F], F]:
    """Declare the S3 operation ``name`` of the service model.

    Raises KeyError when the model has no such operation, AlreadyDeclared, TypeError without ``allow``.
    """
    operation = load_model().operations[name]

    def declare(call: F) -> F:
        _add(Function(name, "s3", call, (allow,) if isinstance(allow, str) else allow, operation, lane=lane))
        return call

    return declare


def admin(line: str, *, allow: str) -> Callable[[F], F]:
    """Declare a console or operator action: ``line`` is its method and path."""

    def declare(call: F) -> F:
        _add(Function(call.__name__, "admin", call, (allow,), line=line))
        return call

    return declare


def _add(function: Function) -> None:
    if function.id in _functions:
        raise AlreadyDeclared(f"{function.id} is declared twice: {_functions[function.id].call.__module__}, {function.call.__module__}")
    _functions[function.id] = function


def load(patterns: Iterable[str] = ("*",)) -> dict[str, Function]:
    """Import every module below ``functions`` and return the declared functions whose id matches one of the glob patterns."""
    package = importlib.import_module("functions")
    for module in pkgutil.walk_packages(package.__path__, "functions."):
        importlib.import_module(module.name)
    wanted = list(patterns)
    return {name: function for name, function in sorted(_functions.items()) if any(fnmatchcase(name, pattern) for pattern in wanted)}
