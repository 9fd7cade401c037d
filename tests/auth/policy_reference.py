"""A second evaluator of policies, written from the documentation alone: slow, without any compilation or index, sharing no code.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime
from fractions import Fraction

NEW = "2012-10-17"


def effect_of(documents, action, resource, who, context):
    """``deny``, ``allow`` or "". Documents are what ``json.loads`` gives; ``who`` is None or (canonical id, arn, name, account, number)."""
    effects = set()
    for document in documents:
        statements = document["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            if applies(statement, document.get("Version") == NEW, action, resource, who, context):
                effects.add(statement["Effect"])
    return "deny" if "Deny" in effects else "allow" if "Allow" in effects else ""


def listed(value):
    return value if isinstance(value, list) else [value]


def applies(statement, new, action, resource, who, context):
    denies = statement["Effect"] == "Deny"
    if "Principal" in statement and not is_listed(statement["Principal"], who):
        return False
    if "NotPrincipal" in statement and is_listed(statement["NotPrincipal"], who):
        return False
    name = "Action" if "Action" in statement else "NotAction"
    is_in = any(alike(tokens(pattern.lower(), False, context, True), action.lower()) for pattern in listed(statement[name]))
    if is_in != (name == "Action"):
        return False
    name = "Resource" if "Resource" in statement else "NotResource"
    found = [arn_alike(pattern, resource, new, context) for pattern in listed(statement[name])]
    if name == "Resource":
        if True not in found:
            return False
    elif True in found or (None in found and not denies):       # an unknown variable never lets an Allow apply
        return False
    return all(
        holds(operator, key, listed(values), new, context, denies)
        for operator, keys in statement.get("Condition", {}).items() for key, values in keys.items()
    )


def is_listed(principal, who):
    if principal == "*":
        return True
    for kind, names in principal.items():
        for name in listed(names):
            if kind == "AWS" and name == "*":
                return True
            if who is None:
                continue
            canonical_id, arn, user, account, number = who
            if kind == "CanonicalUser" and name == canonical_id:
                return True
            if kind == "AWS" and name in (canonical_id, arn, account or None, f"arn:aws:iam::{account}:root"):
                return True
            if kind == "AWS" and number and name in (number, f"arn:aws:iam::{number}:root", f"arn:aws:iam::{number}:user/{user}"):
                return True
    return False


def tokens(text, new, context, wild):
    """The characters of a pattern as (kind, character); None when a variable has no value."""
    found, at = [], 0
    while at < len(text):
        if new and text[at : at + 2] == "${":
            end = text.index("}", at)
            inside, at = text[at + 2 : end], end + 1
            if inside in ("*", "?", "$"):
                value = inside
            else:
                key, comma, default = inside.partition(",")
                values = context(key.strip().lower()) or ()
                if len(values) == 1:
                    value = values[0]
                elif not values and comma:
                    value = default.strip()[1:-1]
                else:
                    return None
            found += [("is", letter) for letter in value]
        else:
            letter = text[at]
            at += 1
            found.append(("many" if letter == "*" else "one", "") if wild and letter in "*?" else ("is", letter))
    return found


def alike(pattern, text):
    """Match by the table of which prefixes match which. None is handed on."""
    if pattern is None:
        return None
    row = [True] + [False] * len(text)
    for kind, letter in pattern:
        new = [row[0] and kind == "many"] + [False] * len(text)
        for at in range(1, len(text) + 1):
            if kind == "many":
                new[at] = row[at] or new[at - 1]
            else:
                new[at] = row[at - 1] and (kind == "one" or text[at - 1] == letter)
        row = new
    return row[-1]


def arn_alike(pattern, text, new, context):
    """Field by field; variables stand in the last field only (that is how these tests use them)."""
    if pattern == "*":
        return True
    if pattern.startswith("arn:maxiofs:::"):
        return alike(tokens(pattern, new, context, True), text)
    patterns, fields = pattern.split(":", 5), text.split(":", 5)
    if len(patterns) != len(fields):
        return False
    found = [alike(tokens(one, new, context, True), field) for one, field in zip(patterns, fields, strict=True)]
    return None if None in found else all(found)


def holds(operator, key, wanted, new, context, denies):
    values = context(key.lower()) or ()
    if operator == "Null":
        return ("false" if values else "true") in [as_text(one).lower() for one in wanted]
    quantifier, _, base = operator.rpartition(":")
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    negated = "Not" in base
    if quantifier:
        values = [value for value in values if value != ""]
    if not values:
        if if_exists:
            return True
        return {"ForAllValues": True, "ForAnyValue": False, "": negated}[quantifier]

    def one(value):
        found = [same(base.replace("Not", ""), as_text(want), value, new, context) for want in wanted]
        if negated:
            return True not in found and (denies or None not in found)
        return True in found

    if quantifier == "ForAllValues":
        return all(one(value) for value in values)
    if quantifier == "ForAnyValue":
        return any(one(value) for value in values)
    return all(one(value) for value in values) if negated else any(one(value) for value in values)


def as_text(value):
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def same(base, want, value, new, context):
    """One value of the policy against one of the request, for a positive operator."""
    if base == "StringEquals":
        return alike(tokens(want, new, context, False), value)
    if base in ("StringEqualsIgnoreCase", "Bool"):
        pattern = tokens(want, new, context, False)
        return None if pattern is None else "".join(letter for _, letter in pattern).lower() == value.lower()
    if base == "StringLike":
        return alike(tokens(want, new, context, True), value)
    if base.startswith("Arn"):
        return arn_alike(want, value, new, context)
    if base == "BinaryEquals":
        return base64.b64decode(want) == base64.b64decode(value)
    if base == "IpAddress":
        return in_range(want, value)
    read = number if base.startswith("Numeric") else moment
    left, right = read(value), read(want)
    if left is None:
        return False
    return {
        "Equals": left == right, "LessThan": left < right, "LessThanEquals": left <= right,
        "GreaterThan": left > right, "GreaterThanEquals": left >= right,
    }[base.removeprefix("Numeric").removeprefix("Date")]


def number(text):
    try:
        return Fraction(text)
    except ValueError:
        return None


def moment(text):
    if text.isdigit() and len(text) != 4:
        return Fraction(text)
    try:
        found = datetime.fromisoformat(text + "-01-01" * (len(text) == 4))
    except ValueError:
        return None
    return Fraction((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def in_range(want, value):
    """By hand: the first bits of the address are those of the range."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    base, _, prefix = want.partition("/")
    first = ipaddress.ip_address(base)
    if address.version != first.version:
        return False
    bits = first.max_prefixlen
    drop = bits - int(prefix or bits)
    return int(address) >> drop == int(first) >> drop
