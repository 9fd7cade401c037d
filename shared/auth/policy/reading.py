"""Reading a policy: from text to a compiled document, or to the place of the first fault.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import re

from shared.auth.policy.actions import known
from shared.auth.policy.conditions import Condition, read_conditions
from shared.auth.policy.model import Document, Effect, Kind, Named, PolicyError, Remark, Statement
from shared.auth.policy.patterns import ARN_FIELDS, OURS, Arn, Glob, Wild, glob, pieces_of
from shared.auth.policy.principals import Principals, read_principals
from shared.auth.policy.syntax import Fault, Node, read

MAX_BYTES = 20_480      # of UTF-8, white space included
CURRENT = "2012-10-17"
VERSIONS = ("2008-10-17", CURRENT)      # the older one, which knows no variables, is also that of a document that names none

_TOP = ("Version", "Id", "Statement")
_ELEMENTS = ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
_ACTION = re.compile(r"\*|(?:\*|[A-Za-z0-9-]+):[A-Za-z0-9*?]+")


def parse(text: str, kind: Kind) -> Document:
    """Read a policy document: an "identity" policy names no principal, a "resource" policy must.

    Strict where AWS is: a fault is an error rather than a statement that silently does nothing. ``warnings`` tell what is sound but
    can't have an effect: actions and condition keys nobody knows, actions on the wrong kind of resource. A byte order mark before the
    document is no fault. Raises PolicyError.
    """
    text = text.removeprefix("\ufeff")
    try:
        if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
            raise PolicyError(f"the policy is larger than {MAX_BYTES} bytes")
        return _Reading(text, kind).document()
    except UnicodeEncodeError as fault:
        raise _placed("half of a surrogate pair", text, fault.start) from None
    except Fault as fault:
        raise _placed(fault.message, text, fault.at) from None


def _placed(message: str, text: str, at: int) -> PolicyError:
    line, column = _place(text, at)
    return PolicyError(message, line, column)


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


class _Reading:
    """One document on its way."""

    def __init__(self, text: str, kind: Kind) -> None:
        self.text = text
        self.kind = kind
        self.version = VERSIONS[0]
        self.remarks: list[Remark] = []
        self.sids: set[str] = set()

    def remark(self, message: str, at: int) -> None:
        self.remarks.append(Remark(message, *_place(self.text, at)))

    @property
    def variables(self) -> bool:
        return self.version == CURRENT

    def document(self) -> Document:
        top = read(self.text)
        members = _members(top, "a policy", _TOP)
        if version := members.get("Version"):
            self.version = _text(version)
            if self.version not in VERSIONS:
                version.fail(f"the version must be {' or '.join(VERSIONS)}")
        name = _text(members["Id"]) if "Id" in members else ""
        statements = members.get("Statement") or top.fail("the policy has no Statement")
        nodes = _several(statements)
        found = tuple(self.statement(node, number) for number, node in enumerate(nodes, 1))
        return Document(self.version, name, found, tuple(self.remarks))

    def statement(self, node: Node, number: int) -> Statement:
        members = _members(node, "a statement", _ELEMENTS)
        effect = self.effect(members.get("Effect") or node.fail("the statement has no Effect"))
        element = _one_of(node, members, "Action")
        actions = tuple(self.action(one) for one in _several(element))
        target = _one_of(node, members, "Resource")
        resources = tuple(self.resource(one) for one in _several(target))
        named = tuple(Named(_text(one), *_place(self.text, one.at)) for one in _several(target))
        if "NotAction" not in members and "NotResource" not in members:
            self.check_levels(actions, resources, element)
        return Statement(
            number=number, sid=self.sid(members.get("Sid")), effect=effect, principals=self.principals(node, members, effect),
            actions=actions, not_actions="NotAction" in members, resources=resources, not_resources="NotResource" in members,
            conditions=self.conditions(members.get("Condition"), effect), named=named,
        )

    def sid(self, node: Node | None) -> str:
        sid = "" if node is None else _text(node)
        if node is not None and sid and sid in self.sids:
            node.fail(f"two statements have the Sid {sid!r:.100}")
        self.sids.add(sid)
        return sid

    def effect(self, node: Node) -> Effect:
        if node.value == "Allow":
            return "allow"
        if node.value == "Deny":
            return "deny"
        node.fail('the effect must be "Allow" or "Deny"')

    def principals(self, node: Node, members: dict[str, Node], effect: Effect) -> Principals | None:
        if self.kind == "identity":
            for name in ("Principal", "NotPrincipal"):
                if name in members:
                    members[name].fail_at_name(f"{name} has no place in a policy that is attached to its principals")
            return None
        element = _one_of(node, members, "Principal")
        others = "NotPrincipal" in members
        if others and effect == "allow":
            element.fail_at_name("NotPrincipal goes with Deny only: it would allow everybody else")
        return read_principals(element, others=others, remark=self.remark)

    def conditions(self, node: Node | None, effect: Effect) -> tuple[Condition, ...]:
        if node is None:
            return ()
        return read_conditions(node, denies=effect == "deny", variables=self.variables, remark=self.remark)

    def action(self, node: Node) -> Glob:
        text = _text(node)
        if not _ACTION.fullmatch(text):
            node.fail('an action is "*" or a vendor, a colon and a name, such as "s3:GetObject" or "s3:Get*"')
        # "*:*" says the same as "*"; without variables there are only literals and wildcards.
        pieces = pieces_of(text.lower(), wild=True, variables=False)
        found = glob(tuple(piece for piece in pieces if isinstance(piece, str | Wild)))
        if known(found) is None:
            self.remark(f"no request needs the action {text!r:.100}", node.at)
        return found

    def resource(self, node: Node) -> Arn:
        text = _text(node)
        fields = text.split(":", ARN_FIELDS - 1)
        if text != "*" and not text.startswith(OURS) and (len(fields) < ARN_FIELDS or fields[0] != "arn" or not fields[2] or not fields[5]):
            node.fail('a resource is "*" or an ARN, such as "arn:aws:s3:::bucket/key"')
        if self.variables and not text.startswith(OURS) and any("${" in field for field in fields[:-1]):
            node.fail("a policy variable may stand only after the fifth colon of a resource")
        if self.kind == "resource" and text != "*" and fields[2] != "s3":
            node.fail("a bucket policy can be about S3 resources only")
        try:
            return Arn(pieces_of(text, wild=True, variables=self.variables))
        except ValueError as fault:
            node.fail(str(fault))

    def check_levels(self, actions: tuple[Glob, ...], resources: tuple[Arn, ...], element: Node) -> None:
        """Remark when the actions work on keys and the resources are buckets, or the reverse."""
        works_on = frozenset[str]().union(*(known(action) or () for action in actions))
        s3 = [resource for resource in resources if resource.head.startswith("arn:aws:s3:::") and not resource.varies]
        if "service" in works_on or not works_on or len(s3) < len(resources):
            return
        if works_on == {"object"} and all("/" not in one.head and one.exact for one in s3):
            self.remark("the actions are about objects, but the resources are buckets", element.at)
        if works_on == {"bucket"} and all("/" in one.head for one in s3):
            self.remark("the actions are about buckets, but the resources are objects", element.at)


def _members(node: Node, what: str, names: tuple[str, ...]) -> dict[str, Node]:
    if not isinstance(node.value, dict):
        node.fail(f"{what} must be an object, not {node.kind}")
    for name, member in node.value.items():
        if name not in names:
            member.fail_at_name(f"{name!r:.100} is no element of {what}")
    return node.value


def _one_of(node: Node, members: dict[str, Node], name: str) -> Node:
    """The element or its Not… form: one of the two, never both."""
    if name in members and "Not" + name in members:
        members["Not" + name].fail_at_name(f"a statement has either {name} or Not{name}")
    return members.get(name) or members.get("Not" + name) or node.fail(f"the statement has neither {name} nor Not{name}")


def _several(node: Node) -> list[Node]:
    """A list of at least one, or the one value that stands for it."""
    if not isinstance(node.value, list):
        return [node]
    return node.value or node.fail("the list is empty")


def _text(node: Node) -> str:
    if type(node.value) is not str:
        node.fail(f"a string is wanted, not {node.kind}")
    return node.value
