"""Declarations: an operation is declared once, beside its code; routing, permission, metrics label and docs are derived from it."""

from __future__ import annotations

import importlib
import pkgutil
import re
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

KINDS = ("admin", "s3")      # of functions, and the packages they are in
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})      # of admin functions
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
    line: str = ""                              # "GET /api/v1/users/{user}", for admin functions
    lane: Lane | None = None                    # None: reads in "fast", everything else in "write"
    takes: Any = None                           # the pydantic model of an admin function's body
    query: Any = None                           # … of its query
    gives: Any = None                           # … of its reply; any type pydantic knows
    status: int = 200                           # of its reply
    event: str = ""                             # under which the audit log has it
    document_bytes: int = DOCUMENT_BYTES        # how long the XML of an S3 operation may be
    inside: bool = False                        # it asks about what it finds itself; the reply is held back when it did not

    @property
    def id(self) -> str:
        """The name in manifests and for ``maxiofs invoke``: "s3.PutObject", "admin.version"."""
        return f"{self.kind}.{self.name}"


class AlreadyDeclared(Exception):
    """Two functions claim one name."""


_functions: dict[str, Function] = {}


def s3(
    name: str, *, allow: str | tuple[str, ...] | Permissions, lane: Lane | None = None, document_bytes: int = DOCUMENT_BYTES,
) -> Callable[[F], F]:
    """Declare the S3 operation ``name``, of the service model or of those added to it (shared/protocol/wire.py).

    Longer XML than ``document_bytes`` is refused before it is read.
    Raises KeyError when there is no such operation, AlreadyDeclared, TypeError without ``allow``.
    """
    model = load_model()
    operation = model.operations.get(name) or model.added[name]

    def declare(call: F) -> F:
        _add(Function(name, "s3", call, (allow,) if isinstance(allow, str) else allow, operation, lane=lane,
                      document_bytes=document_bytes))
        return call

    return declare


def admin(
    line: str, *, allow: str, takes: Any = None, query: Any = None, gives: Any = None, status: int = 200, event: str = "",
    inside: bool = False, lane: Lane | None = None,
) -> Callable[[F], F]:
    """Declare a console or operator action: ``line`` is its method and path, ``"GET /api/v1/users/{user}"``.

    ``allow`` is ANYONE, SIGNED_IN or an action. An ``admin:`` action is asked about everything of the caller's own tenant before the
    function is called; with ``inside`` only by the function, through ``ctx.require``. An ``s3:`` action is asked about where the function
    calls the S3 operation of that permission (shared/admin/s3.py). Models are pydantic's: ``takes`` the body, ``query`` the parameters,
    ``gives`` the reply (None: 204; text such as "text/csv": bytes of this media type, or an iterator of such).
    Raises AlreadyDeclared, ValueError for a path that cannot be.
    """
    method, _, path = line.partition(" ")
    if method not in METHODS or not re.fullmatch(r"(/[a-z0-9_.-]*|/\{[a-z_]+\})+", path):
        raise ValueError(f"not a method and a path with {{names}}: {line!r}")

    def declare(call: F) -> F:
        _add(Function(call.__name__, "admin", call, (allow,), line=line, takes=takes, query=query, gives=gives,
                      status=status if gives is not None else 204, event=event, inside=inside, lane=lane))
        return call

    return declare


def _add(function: Function) -> None:
    if function.id in _functions:
        raise AlreadyDeclared(f"{function.id} is declared twice: {_functions[function.id].call.__module__}, {function.call.__module__}")
    _functions[function.id] = function


def find(function_id: str) -> Function:
    """A declared function, for another one that does the same in the end. Raises KeyError when its module was not imported."""
    return _functions[function_id]


def load(patterns: Iterable[str] = ("*",)) -> dict[str, Function]:
    """Import the modules below ``functions`` and return the declared functions whose id matches one of the glob patterns.

    A process that hosts S3 functions alone imports no others: what the admin API stands on takes memory.
    """
    wanted = list(patterns)
    for kind in KINDS:
        if any(fnmatchcase(kind, pattern.partition(".")[0]) for pattern in wanted):
            package = importlib.import_module(f"functions.{kind}")
            for module in pkgutil.walk_packages(package.__path__, f"functions.{kind}."):
                importlib.import_module(module.name)
    return {name: function for name, function in sorted(_functions.items()) if any(fnmatchcase(name, pattern) for pattern in wanted)}
