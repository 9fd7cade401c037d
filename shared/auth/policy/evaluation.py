"""The evaluator: explicit deny beats allow beats nothing.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.auth.policy.model import Asking, Document, Statement, Verdict
from shared.auth.policy.patterns import Arn

NOTHING = Verdict("", "no statement applies")
_MOST_ACTIONS = 1024        # of which a bundle keeps an index; actions come from our own declarations, this only bounds a mistake


def evaluate(documents: Sequence[tuple[str, Document]], asking: Asking) -> Verdict:
    """What the documents (name, document) say together: a deny if any statement that applies denies, else an allow, else nothing.

    Give the same Bundle each time: another sequence is indexed for this one call.
    """
    if not documents:
        return NOTHING
    bundle = documents if isinstance(documents, Bundle) else Bundle(documents)
    denies, allows = bundle.indexed(asking.action)
    return (denies and denies.first(asking)) or (allows and allows.first(asking)) or NOTHING


class Bundle(tuple[tuple[str, Document], ...]):
    """Named documents that are asked together often: keeps an index of their statements by action and resource, made when first needed."""

    _indexes: dict[str, tuple[_Index | None, _Index | None]]

    def __new__(cls, documents: Iterable[tuple[str, Document]] = ()) -> Bundle:
        """Bundle the documents; their names are what verdicts say."""
        made = super().__new__(cls, documents)
        made._indexes = {}
        return made

    def indexed(self, action: str) -> tuple[_Index | None, _Index | None]:
        """The statements that deny and those that allow the action, None where there are none."""
        found = self._indexes.get(action)
        if found is None:
            if len(self._indexes) >= _MOST_ACTIONS:
                self._indexes.clear()
            denies, allows = _Index(), _Index()
            for name, document in self:
                for statement in document.about(action):
                    (denies if statement.effect == "deny" else allows).add(name, statement)
            found = self._indexes[action] = (denies.ready(), allows.ready())
        return found

    def could_allow(self, action: str, beginning: str) -> bool:
        """Whether a statement allows the action, under whatever conditions, on something whose name begins so. Denies are not looked at."""
        _, allows = self.indexed(action)
        return allows is not None and allows.reaches(beginning)


class _Index:
    """Statements of one effect, by resource: found whole, or by the literal their pattern begins with.

    For every length such a beginning has, the resource's first characters are looked up; so the work depends on the number of
    different lengths, not on that of statements.
    """

    def __init__(self) -> None:
        self._exact: dict[str, list[tuple[Statement, Verdict]]] = {}
        self._headed: dict[str, list[tuple[Arn | None, Statement, Verdict]]] = {}
        self._lengths: tuple[int, ...] = ()

    def add(self, name: str, statement: Statement) -> None:
        verdict = Verdict(statement.effect, f"{name}: {statement.label} {'denies' if statement.effect == 'deny' else 'allows'}")
        if statement.not_resources:
            self._headed.setdefault("", []).append((None, statement, verdict))
            return
        for resource in statement.resources:
            if resource.exact:
                self._exact.setdefault(resource.head, []).append((statement, verdict))
            else:
                self._headed.setdefault(resource.head, []).append((resource, statement, verdict))

    def ready(self) -> _Index | None:
        self._lengths = tuple(sorted({len(head) for head in self._headed}))
        return self if self._exact or self._headed else None

    def reaches(self, beginning: str) -> bool:
        """Whether a resource that begins so could be meant."""
        heads = any(head.startswith(beginning) or beginning.startswith(head) for head in self._headed)
        return heads or any(resource.startswith(beginning) for resource in self._exact)

    def first(self, asking: Asking) -> Verdict | None:
        """The verdict of a statement that applies."""
        resource = asking.resource
        for statement, verdict in self._exact.get(resource, ()):
            if statement.concerns(asking):
                return verdict
        size, headed = len(resource), self._headed
        for length in self._lengths:
            if length > size:
                break
            for pattern, statement, verdict in headed.get(resource[:length], ()):
                if pattern is None:
                    meant: bool | None = not statement.leaves_out(asking)
                else:
                    meant = pattern.open_ended or pattern.matches(resource, asking)
                if meant and statement.concerns(asking):
                    return verdict
        return None
