"""Bucket policies: whether one names its own bucket only, and whether it makes the bucket public."""

from __future__ import annotations

from shared.auth.policy.conditions import Condition
from shared.auth.policy.model import Document, PolicyError
from shared.auth.policy.operators import network
from shared.auth.policy.patterns import ARN_FIELDS, Wild, glob, pieces_of

# Keys that tie a request to somebody known, when their values are fixed. A header is none: its sender says what it says, also that of a
# KMS key, which AWS counts because using such a key takes a permission of its own.
TYING = frozenset({
    "aws:principalaccount", "aws:principalarn", "aws:sourceaccount", "aws:sourcearn", "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce",
    "aws:userid", "s3:dataaccesspointaccount", "s3:dataaccesspointarn",
})
_TYING_OPERATORS = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})
_NOBODY = "anonymous"           # what aws:userid is of requests that are not signed
_NARROWEST = {4: 8, 6: 32}      # bits by version of IP: a range with a shorter prefix is as good as everybody


def check_resources(document: Document, bucket: str) -> None:
    """Raise PolicyError when a statement names no resource of the bucket, exactly or by wildcard."""
    for statement in document.statements:
        for text, line, column in statement.named:
            if not _reaches(text, bucket):
                raise PolicyError("a bucket policy can name its own bucket and the keys in it only", line, column)


def _reaches(text: str, bucket: str) -> bool:
    """Whether a resource pattern can mean the bucket or a key in it; a variable in the place of the bucket's name is taken to."""
    if text == "*":
        return True
    name = text.split(":", ARN_FIELDS - 1)[-1].partition("/")[0]
    before, star, _ = name.partition("*")
    pieces = pieces_of(before + star, wild=True, variables=False)
    return "${" in name or glob(tuple(piece for piece in pieces if isinstance(piece, str | Wild))).matches(bucket)


def is_public(document: Document) -> bool:
    """Whether a statement allows anything to everyone, without tying it to fixed principals or to networks that are narrow enough.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
    """
    return any(
        statement.effect == "allow"
        and statement.principals is not None
        and statement.principals.everyone
        and not any(_ties(condition) for condition in statement.conditions)
        for statement in document.statements
    )


def _ties(condition: Condition) -> bool:
    if condition.if_exists or condition.quantifier == "ForAllValues":
        return False
    if condition.operator == "IpAddress" and condition.key == "aws:sourceip":
        return all(_is_narrow(value) for value in condition.values)
    if condition.key not in TYING or condition.operator not in _TYING_OPERATORS:
        return False
    fixed = not any(set(value) & set("*?$") for value in condition.values)      # neither wildcards nor variables
    return fixed and not (condition.key == "aws:userid" and _NOBODY in map(str.casefold, condition.values))


def _is_narrow(value: str) -> bool:
    found = network(value)
    return found.prefixlen >= _NARROWEST[found.version]
