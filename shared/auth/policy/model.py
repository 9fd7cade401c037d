"""The nouns of policies: documents and their statements, who asks for what, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from shared.auth.policy.conditions import Condition
    from shared.auth.policy.patterns import Arn, Glob
    from shared.auth.policy.principals import Principals

Kind = Literal["identity", "resource"]
Effect = Literal["allow", "deny"]


class PolicyError(ValueError):
    """A text that is no policy. ``line`` and ``column`` are 1-based and count characters; str() gives all three."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{message} (line {line}, column {column})")
        self.message = message
        self.line = line
        self.column = column


class Remark(NamedTuple):
    """A warning: the document stands, but a part of it can't mean what its writer hopes. Positions as in PolicyError."""

    message: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.message} (line {self.line}, column {self.column})"


class Who(NamedTuple):
    """The principal that asks. ``arn`` is ``arn:aws:iam::{account}:user/{name}``; ``account`` the tenant's name, "" of the installation.

    ``number`` is the account as 12 digits, which policies may write instead of the name; "" when no digits mean it.
    """

    canonical_id: str
    arn: str
    name: str
    account: str
    number: str = ""

    @property
    def numbered_arn(self) -> str:
        """The ARN with the account's number; "" without one."""
        return f"arn:aws:iam::{self.number}:user/{self.name}" if self.number else ""


class Asking:
    """One question: may ``who`` (None: nobody has signed) do ``action`` on ``resource``?

    ``context`` gives the values of a condition key, whose name it gets in lower case; None when the request has no such key. It is
    called only when a statement depends on the key, and once per key: one Asking may be put to any number of document sets.
    """

    __slots__ = ("_values", "action", "context", "resource", "who")

    def __init__(self, action: str, resource: str, who: Who | None, context: Callable[[str], tuple[str, ...] | None]) -> None:
        self.action = action
        self.resource = resource
        self.who = who
        self.context = context
        self._values: dict[str, tuple[str, ...]] = {}

    def values(self, key: str) -> tuple[str, ...]:
        """The values of a condition key (lower case); empty when the request has none."""
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = self.context(key) or ()
        return found


class Verdict(NamedTuple):
    """What a set of documents says. ``effect`` is "" when no statement applies; ``reason`` names the document and the statement."""

    effect: Literal["allow", "deny", ""]
    reason: str


class Named(NamedTuple):
    """A resource as the document writes it, and where."""

    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One statement, compiled. ``number`` counts from 1; ``principals`` is None in identity policies (whoever they are attached to)."""

    number: int
    sid: str
    effect: Effect
    principals: Principals | None
    actions: tuple[Glob, ...]       # in lower case
    not_actions: bool
    resources: tuple[Arn, ...]
    not_resources: bool
    conditions: tuple[Condition, ...]
    named: tuple[Named, ...]        # the resources as written

    @property
    def label(self) -> str:
        """The statement as verdicts name it."""
        return f'statement "{self.sid}"' if self.sid else f"statement {self.number}"

    def is_about(self, action: str) -> bool:
        """Whether the Action or NotAction element means this action (lower case)."""
        return any(pattern.matches(action) for pattern in self.actions) != self.not_actions

    def leaves_out(self, asking: Asking) -> bool:
        """Whether NotResource lists the resource. A variable without a value lists nothing, but never lets an Allow apply."""
        met = [pattern.matches(asking.resource, asking) for pattern in self.resources]
        return True in met or (self.effect == "allow" and None in met)

    def concerns(self, asking: Asking) -> bool:
        """Whether the principal and the conditions fit; action and resource are not looked at."""
        if self.principals is not None and not self.principals.include(asking.who):
            return False
        for condition in self.conditions:       # noqa: SIM110 - all() over a generator takes twice as long
            if not condition.holds(asking):
                return False
        return True


_MOST_ACTIONS = 1024        # remembered for a document; actions come from our own declarations, this only bounds a mistake


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A policy that has been read and found good; equal only to itself."""

    version: str
    id: str
    statements: tuple[Statement, ...]
    warnings: tuple[Remark, ...]
    _by_action: dict[str, tuple[Statement, ...]] = field(default_factory=dict, repr=False)

    def about(self, action: str) -> tuple[Statement, ...]:
        """The statements that mean this action (any case), remembered."""
        found = self._by_action.get(action)
        if found is None:
            if len(self._by_action) >= _MOST_ACTIONS:
                self._by_action.clear()
            lower = action.lower()
            found = self._by_action[action] = tuple(statement for statement in self.statements if statement.is_about(lower))
        return found
