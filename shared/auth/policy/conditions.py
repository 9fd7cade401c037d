"""The Condition element: when a statement applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

from shared.accounts import arn_has_number, is_number
from shared.auth.policy.actions import is_known_key
from shared.auth.policy.model import Asking
from shared.auth.policy.operators import OPERATORS, Test
from shared.auth.policy.syntax import Node, Number

Quantifier = Literal["", "ForAllValues", "ForAnyValue"]

RESOURCE_NUMBER = "number of the account of the resource"    # asked of a request beside s3:ResourceAccount: no condition can have it

# Keys whose value names an account: whether a policy's value gives its number, and the request's value with the number in it.
_WITH_ACCOUNT: dict[str, tuple[Callable[[str], bool], Callable[[Asking], str]]] = {
    "aws:principalaccount": (is_number, lambda asking: asking.who.number if asking.who else ""),
    "aws:principalarn": (arn_has_number, lambda asking: asking.who.numbered_arn if asking.who else ""),
    "s3:resourceaccount": (is_number, lambda asking: "".join(asking.values(RESOURCE_NUMBER))),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key, which is in lower case. ``values`` are the policy's, as written; ``denies``: its statement does."""

    operator: str
    quantifier: Quantifier
    if_exists: bool
    negated: bool
    key: str
    values: tuple[str, ...]
    tests: tuple[Test, ...]
    denies: bool

    def holds(self, asking: Asking) -> bool:
        """Whether it is met.

        A key the request lacks meets negated operators, IfExists and ForAllValues only. Under ForAllValues and ForAnyValue an empty
        value counts as none. Without them, several values meet a positive operator when one does, a negated one when all do.
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
        """
        found = asking.values(self.key)
        if self.operator == "Null":
            return self._meets("false" if found else "true", asking)
        if self.quantifier:
            found = tuple(value for value in found if value)
        if not found:
            return self.if_exists or self.quantifier == "ForAllValues" or (self.negated and not self.quantifier)
        if self.quantifier == "ForAllValues" or (self.negated and not self.quantifier):
            return all(self._meets(value, asking) for value in found)
        if len(found) == 1:
            return self._meets(found[0], asking)
        return any(self._meets(value, asking) for value in found)

    def _meets(self, value: str, asking: Asking) -> bool:
        """Whether one value of the request does. A variable without a value matches nothing, and never lets an Allow apply."""
        unknown = False
        for test in self.tests:
            met = test(value, asking)
            if met:
                return not self.negated
            unknown = unknown or met is None
        return self.negated and (self.denies or not unknown)


def read_conditions(node: Node, *, denies: bool, variables: bool, remark: Callable[[str, int], None]) -> tuple[Condition, ...]:
    """Read a whole Condition element. Raises Fault."""
    if not isinstance(node.value, dict):
        node.fail(f"a condition must be an object, not {node.kind}")
    found: list[Condition] = []
    for name, member in node.value.items():
        quantifier, base, if_exists = _operator(name, member)
        if not isinstance(member.value, dict):
            member.fail(f"an operator needs an object of keys, not {member.kind}")
        for key, value in member.value.items():
            if ":" not in key:
                value.fail_at_name(f"{key!r:.100} is no condition key: it has no vendor, such as aws: or s3:")
            if not is_known_key(key):
                remark(f"no request has the condition key {key!r:.100}", value.name_at)
            texts = _texts(value)
            tests = tuple(_by_number(key.lower(), text, _test(base, text, at, variables)) for text, at in texts)
            values = tuple(text for text, _ in texts)
            found.append(Condition(base, quantifier, if_exists, OPERATORS[base].negated, key.lower(), values, tests, denies))
    return tuple(found)


def _operator(name: str, member: Node) -> tuple[Quantifier, str, bool]:
    quantifier: Quantifier = ""
    before, colon, base = name.partition(":")
    if not colon:
        base = before
    elif before == "ForAllValues":
        quantifier = "ForAllValues"
    elif before == "ForAnyValue":
        quantifier = "ForAnyValue"
    else:
        _unknown(name, member)
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    if base not in OPERATORS:
        _unknown(name, member)
    if base == "Null" and (if_exists or quantifier):
        member.fail_at_name("Null itself asks whether the key exists: it takes neither IfExists nor a set operator")
    return quantifier, base, if_exists


def _unknown(name: str, member: Node) -> NoReturn:
    member.fail_at_name(f"{name!r:.100} is no condition operator")


def _texts(node: Node) -> list[tuple[str, int]]:
    nodes = node.value if isinstance(node.value, list) else [node]
    if not nodes:
        node.fail("a condition without values can't be met")
    found: list[tuple[str, int]] = []
    for one in nodes:
        if isinstance(one.value, bool):
            found.append(("true" if one.value else "false", one.at))
        elif isinstance(one.value, str | Number):
            found.append((str(one.value), one.at))
        else:
            one.fail(f"a value must be a string, a number or a boolean, not {one.kind}")
    return found


def _test(base: str, text: str, at: int, variables: bool) -> Test:
    try:
        return OPERATORS[base].make(text, variables)
    except ValueError as fault:
        Node(text, at).fail(f"{base}: {fault}")


def _by_number(key: str, text: str, test: Test) -> Test:
    """Let a value that spells out the number of an account match the account so named, or the one with that number.

    A pattern of any other kind is compared with names only: what it matched before there were numbers is all that it matches.
    """
    spells, numbered = _WITH_ACCOUNT.get(key, (None, None))
    if spells is None or numbered is None or not spells(text):
        return test

    def either(value: str, asking: Asking) -> bool | None:
        met = test(value, asking)
        number = numbered(asking)
        return test(number, asking) if not met and number else met

    return either
