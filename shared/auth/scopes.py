"""Scopes of access keys: a few words that narrow what a key may do, compiled into a policy document.

A scope never grants: what its key's user may not do, the key may not do either. It is kept as JSON, each member optional and never empty:
``{"buckets": ["photos"], "prefixes": ["2026/"], "actions": ["read", "list"]}``. Prefixes need buckets: in a pattern for any bucket, the
wildcard for its name would reach into its keys.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

from shared.auth.policy import Document, parse

MOST_NAMES = 100        # buckets, and prefixes, of one scope
MAX_NAME_BYTES = 1024

# What each word of a scope lets through. Nobody changes a bucket's configuration or an ACL with a scoped key.
ON_OBJECTS = {
    "read": (
        "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes", "s3:GetObjectTagging",
        "s3:GetObjectVersionTagging", "s3:GetObjectRetention", "s3:GetObjectLegalHold",
    ),
    "write": (
        "s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectVersionTagging", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging",
        "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObjectRetention", "s3:PutObjectLegalHold",
    ),
    "list": (),
    "delete": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
}
LISTINGS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads")     # what s3:prefix is known of
OF_ANY_BUCKET = ("s3:GetBucketLocation", "s3:GetBucketVersioning")     # clients ask before they do anything
ACTIONS = tuple(ON_OBJECTS)


class ScopeError(ValueError):
    """A scope that says nothing or something else than scopes can say; str() is for people."""


class Scope(NamedTuple):
    """What a key is limited to; an empty tuple is no limit. Names of buckets and prefixes of keys are literal, without wildcards."""

    buckets: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def stored(self) -> str:
        """The JSON that the ``scope`` column of an access key holds."""
        return json.dumps({name: list(value) for name, value in self._asdict().items() if value}, ensure_ascii=False)


def read(value: Any) -> Scope:
    """Check a scope as it came from JSON. Raises ScopeError, also for one that narrows nothing."""
    if not isinstance(value, dict) or not value:
        raise ScopeError("A scope is an object with buckets, prefixes or actions.")
    if unknown := value.keys() - set(Scope._fields):
        raise ScopeError(f"A scope has no {sorted(unknown)[0]}.")
    found = Scope(**{name: _names(name, names) for name, names in value.items()})
    if wrong := [action for action in found.actions if action not in ACTIONS]:
        raise ScopeError(f"The actions of a scope are {', '.join(ACTIONS)}, not {wrong[0]}.")
    if found.prefixes and not found.buckets:
        raise ScopeError("A scope with prefixes names the buckets they are in.")
    return found


def _names(what: str, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not 1 <= len(names) <= MOST_NAMES:
        raise ScopeError(f"{what} is a list of 1 to {MOST_NAMES} names: leave it out for no limit.")
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES:
            raise ScopeError(f"{what} is a list of names of 1 to {MAX_NAME_BYTES} bytes.")
    return tuple(dict.fromkeys(names))


@lru_cache(1024)
def document(stored: str) -> Document:
    """The policy that says what a key of this scope may do at most. Raises ScopeError for what no ``Scope`` has stored."""
    try:
        return parse(json.dumps(policy(read(json.loads(stored)))), "identity")
    except json.JSONDecodeError:
        raise ScopeError("The scope is not JSON.") from None


def policy(scope: Scope) -> dict[str, Any]:
    """A scope in the language of policies."""
    buckets = [_literal(name) for name in scope.buckets] or ["*"]
    prefixes = [_literal(name) for name in scope.prefixes]
    words = scope.actions or ACTIONS
    arns = [f"arn:aws:s3:::{bucket}" for bucket in buckets]
    statements: list[dict[str, Any]] = [_allow(OF_ANY_BUCKET, arns)]
    if actions := [action for word in words for action in ON_OBJECTS[word]]:
        statements.append(_allow(actions, [f"{arn}/{prefix}*" for arn in arns for prefix in prefixes or [""]]))
    if "list" in words:
        condition = {"Condition": {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}} if prefixes else {}
        statements.append(_allow(LISTINGS, arns) | condition)
        if not scope.buckets:
            statements.append(_allow(["s3:ListAllMyBuckets"], ["*"]))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: Any, resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}


def _literal(name: str) -> str:
    """A name whose wildcards and dollar signs stand for themselves.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars
    """
    return "".join(f"${{{one}}}" if one in "*?$" else one for one in name)
