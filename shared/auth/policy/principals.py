"""The Principal element: whom a statement of a resource policy is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.auth.policy.model import Who
from shared.auth.policy.syntax import Node

TYPES = ("AWS", "CanonicalUser", "Service", "Federated")
_CANONICAL = re.compile("[0-9a-f]{64}")
_PEOPLE = {"iam": ("user/", "role/"), "sts": ("assumed-role/", "federated-user/")}


@dataclass(frozen=True, slots=True)
class Principals:
    """``everyone`` includes nobody: requests that are not signed. ``others``: NotPrincipal, everyone but these."""

    everyone: bool
    arns: frozenset[str]
    ids: frozenset[str]             # canonical ids
    accounts: frozenset[str]        # names of tenants, "" is the installation; and numbers of accounts
    others: bool

    def include(self, who: Who | None) -> bool:
        """Whether the statement is about this principal. An account stands for each of its principals."""
        listed = self.everyone or (
            who is not None
            and (who.arn in self.arns or who.canonical_id in self.ids or who.account in self.accounts or self._number(who))
        )
        return listed != self.others

    def _number(self, who: Who) -> bool:
        """Whether the account's number lists them. Who has none must not be taken for the installation, whose name is empty."""
        return bool(who.number) and (who.number in self.accounts or who.numbered_arn in self.arns)


def read_principals(node: Node, *, others: bool, remark: Callable[[str, int], None]) -> Principals:
    """Read ``"*"`` or ``{"AWS": …, "CanonicalUser": …}``. Raises Fault.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    found = _Found()
    if isinstance(node.value, dict):
        if not node.value:
            node.fail("no principal is named")
        for kind, member in node.value.items():
            found.take(kind, member, remark)
    elif node.value == "*":
        found.everyone = True
    else:
        node.fail('a principal is "*" or an object such as {"AWS": "arn:aws:iam::tenant:user/name"}')
    return Principals(found.everyone, frozenset(found.arns), frozenset(found.ids), frozenset(found.accounts), others)


class _Found:
    def __init__(self) -> None:
        self.everyone = False
        self.arns: set[str] = set()
        self.ids: set[str] = set()
        self.accounts: set[str] = set()

    def take(self, kind: str, member: Node, remark: Callable[[str, int], None]) -> None:
        if kind not in TYPES:
            member.fail_at_name(f"{kind!r:.100} is no kind of principal: {', '.join(TYPES)}")
        nodes = member.value if isinstance(member.value, list) else [member]
        if not nodes:
            member.fail("no principal is named")
        for node in nodes:
            if type(node.value) is not str or not node.value:
                node.fail(f"a principal must be a string, not {node.kind if node.value != '' else 'empty'}")
            if kind == "AWS":
                self.take_aws(node, node.value)
            elif kind == "CanonicalUser":
                if "*" in node.value or "?" in node.value:
                    node.fail("a canonical id takes no wildcard")
                self.ids.add(node.value)
            else:
                remark(f"no request comes from a {kind} principal here, so nobody is meant", node.at)

    def take_aws(self, node: Node, name: str) -> None:
        if name == "*":
            self.everyone = True
            return
        if "*" in name or "?" in name:
            node.fail('a principal takes no wildcard: name it whole, or everyone by "*"')
        if not name.startswith("arn:"):
            self.ids.add(name)
            if not _CANONICAL.fullmatch(name):      # no tenant gets somebody's rights by bearing their canonical id as its name
                self.accounts.add(name)
            return
        parts = name.split(":", 5)
        if len(parts) == 6 and parts[2] == "iam" and parts[5] == "root":
            self.accounts.add(parts[4])
        elif len(parts) == 6 and parts[5].startswith(_PEOPLE.get(parts[2], ("\0",))):
            self.arns.add(name)
        else:
            node.fail("not the ARN of a user, role or account")
