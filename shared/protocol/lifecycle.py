"""Lifecycle rules: checked as AWS does, and matched against objects.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from shared.errors import InvalidArgument, InvalidRequest
from shared.protocol.filters import check_filter, check_prefix, fits, tags_of
from shared.protocol.scalars import milliseconds
from shared.protocol.xml_shapes import malformed

MAX_RULES: Final = 1000
MAX_ID_CHARACTERS: Final = 255
MAX_NEWER_VERSIONS: Final = 100
DAY_MS: Final = 86_400_000
LAST_DAY_MS: Final = 253_402_214_400_000     # of the year 9999: no client reads a later date
ACTIONS: Final = (
    "Expiration", "Transitions", "NoncurrentVersionExpiration", "NoncurrentVersionTransitions", "AbortIncompleteMultipartUpload",
    "DelMarkerExpiration",
)
# In the order in which objects may go down; the second is the least age in days that S3 takes for it.
STORAGE_CLASSES: Final = {
    "STANDARD_IA": 30, "INTELLIGENT_TIERING": 0, "ONEZONE_IA": 30, "GLACIER_IR": 0, "GLACIER": 0, "DEEP_ARCHIVE": 0,
}
MINIMUM_SIZES: Final = ("all_storage_classes_128K", "varies_by_storage_class")     # the first is what AWS takes when none is named

Rule = Mapping[str, Any]


def checked(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The rules of a LifecycleConfiguration; who has no ID is given one.

    Raises MalformedXML, InvalidRequest, InvalidArgument.
    """
    if len(rules) > MAX_RULES:
        raise malformed(f"there may be {MAX_RULES} rules")
    ids = [rule["ID"] for rule in rules if rule.get("ID")]
    if any(len(one) > MAX_ID_CHARACTERS for one in ids):
        raise InvalidArgument(f"ID length should not exceed allowed limit of {MAX_ID_CHARACTERS}", ArgumentName="ID")
    if len(set(ids)) != len(ids):
        raise InvalidArgument("Rule ID must be unique. Found same ID for more than one rule", ArgumentName="ID")
    for rule in rules:
        _check(rule)
    return [{**rule, "ID": rule.get("ID") or secrets.token_hex(16)} for rule in rules]


def _check(rule: Rule) -> None:
    if ("Filter" in rule) == ("Prefix" in rule):
        raise malformed("a rule has either a Filter or a Prefix")
    if "Filter" in rule:
        check_filter(rule["Filter"])
    check_prefix(rule.get("Prefix", ""))
    if not any(action in rule for action in ACTIONS):
        raise InvalidRequest("At least one action needs to be specified in a rule")
    _check_expiration(rule)
    _check_transitions(rule)
    _check_noncurrent(rule)
    if "AbortIncompleteMultipartUpload" in rule:
        _require_positive(rule["AbortIncompleteMultipartUpload"], "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
        if _is_tagged(rule) or _is_sized(rule):
            raise InvalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.")
    if "DelMarkerExpiration" in rule:
        _require_positive(rule["DelMarkerExpiration"], "Days", "DelMarkerExpiration")
        if _is_tagged(rule):
            raise InvalidRequest("DelMarkerExpiration cannot be specified with Tags.")


def _check_expiration(rule: Rule) -> None:
    expiration = rule.get("Expiration")
    if expiration is None:
        return
    given = [name for name in ("Date", "Days", "ExpiredObjectDeleteMarker") if name in expiration]
    if len(given) != 1:
        raise malformed("an Expiration has one of Date, Days and ExpiredObjectDeleteMarker")
    if "Days" in expiration:
        _require_positive(expiration, "Days", "Expiration")
    _require_midnight(expiration)
    if "ExpiredObjectDeleteMarker" in expiration and (_is_tagged(rule) or _is_sized(rule)):
        raise InvalidRequest("ExpiredObjectDeleteMarker cannot be specified with Tags or object sizes.")
    if "ExpiredObjectAllVersions" in expiration and "Days" not in expiration:
        raise malformed("ExpiredObjectAllVersions needs Days")


def _check_transitions(rule: Rule) -> None:
    transitions = rule.get("Transitions", ())
    for one in transitions:
        if ("Date" in one) == ("Days" in one) or "StorageClass" not in one:
            raise malformed("a Transition has a StorageClass and one of Date and Days")
        _require_midnight(one)
    _check_steps(transitions, "Days", "Transition")
    expiration = rule.get("Expiration", {})
    timed = [*transitions, *([expiration] if "Date" in expiration or "Days" in expiration else [])]
    if len({"Date" in one for one in timed}) > 1:
        raise InvalidRequest("Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule.")
    for name in ("Days", "Date"):
        latest = max((one[name] for one in transitions if name in one), default=None)
        if latest is not None and name in expiration and expiration[name] <= latest:
            raise InvalidArgument(f"'{name}' in the Expiration action must be greater than '{name}' in the Transition action")


def _check_noncurrent(rule: Rule) -> None:
    transitions = rule.get("NoncurrentVersionTransitions", ())
    for one in transitions:
        if "NoncurrentDays" not in one or "StorageClass" not in one:
            raise malformed("a NoncurrentVersionTransition has NoncurrentDays and a StorageClass")
        _check_newer(rule, one)
    _check_steps(transitions, "NoncurrentDays", "NoncurrentVersionTransition")
    expiration = rule.get("NoncurrentVersionExpiration")
    if expiration is None:
        return
    _require_positive(expiration, "NoncurrentDays", "NoncurrentVersionExpiration")
    _check_newer(rule, expiration)
    latest = max((one["NoncurrentDays"] for one in transitions), default=-1)
    if expiration["NoncurrentDays"] <= latest:
        raise InvalidArgument(
            "'NoncurrentDays' in the NoncurrentVersionExpiration action must be greater than 'NoncurrentDays' in the "
            "NoncurrentVersionTransition action"
        )


def _check_newer(rule: Rule, action: Rule) -> None:
    newer = action.get("NewerNoncurrentVersions")
    if newer is None:
        return
    if "Filter" not in rule:
        raise malformed("NewerNoncurrentVersions needs a Filter")
    if not 1 <= newer <= MAX_NEWER_VERSIONS:
        raise InvalidArgument(f"'NewerNoncurrentVersions' must be a positive integer up to {MAX_NEWER_VERSIONS}")


def _check_steps(transitions: Sequence[Rule], days: str, name: str) -> None:
    """Every storage class once, known, and not before its least age; what is further down comes later."""
    classes = [one["StorageClass"] for one in transitions]
    if unknown := [one for one in classes if one not in STORAGE_CLASSES]:
        raise malformed(f"<StorageClass> cannot be {unknown[0]}")
    if len(set(classes)) != len(classes):
        raise InvalidRequest(f"'StorageClass' must be different for '{name}' actions in same 'Rule'")
    for one in transitions:
        if days in one and one[days] < 0:
            raise InvalidArgument(f"'{days}' for {name} action must be nonnegative")
        if days in one and one[days] < STORAGE_CLASSES[one["StorageClass"]]:
            raise InvalidArgument(
                f"'{days}' in {name} action must be greater than or equal to {STORAGE_CLASSES[one['StorageClass']]} for storageClass "
                f"'{one['StorageClass']}'"
            )
    order = list(STORAGE_CLASSES)
    down = sorted((one for one in transitions if days in one), key=lambda one: order.index(one["StorageClass"]))
    for above, below in pairwise(down):
        if below[days] < above[days] + max(1, STORAGE_CLASSES[above["StorageClass"]]):
            raise InvalidArgument(
                f"'{days}' in the '{name}' action for StorageClass '{below['StorageClass']}' must be "
                f"{max(1, STORAGE_CLASSES[above['StorageClass']])} days more than for '{above['StorageClass']}'"
            )


def _require_positive(action: Rule, name: str, of: str) -> None:
    if name not in action:
        raise malformed(f"<{name}> is missing in <{of}>")
    if action[name] <= 0:
        raise InvalidArgument(f"'{name}' for {of} action must be a positive integer", ArgumentName=name, ArgumentValue=action[name])


def _require_midnight(action: Rule) -> None:
    if "Date" in action and milliseconds(action["Date"]) % DAY_MS:
        raise InvalidArgument("'Date' must be at midnight GMT", ArgumentName="Date")


def _is_tagged(rule: Rule) -> bool:
    return bool(tags_of(rule.get("Filter", {})))


def _is_sized(rule: Rule) -> bool:
    chosen = rule.get("Filter", {})
    return any(name in one for one in (chosen, chosen.get("And", {})) for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"))


# ---- stored rules, whose dates are UTC milliseconds ---------------------------------------------------------------------------------


def expiry(rules: Iterable[Rule], key: str, size: int, object_tags: Mapping[str, str], mtime_ms: int) -> tuple[int, str] | None:
    """When (UTC milliseconds) and by which rule a current version expires first; None for never. ``size`` is in bytes."""
    due = []
    for rule in rules:
        expiration = rule.get("Expiration", {})
        when = expiration.get("Date") if "Date" in expiration else midnight_after(mtime_ms, expiration.get("Days"))
        if when is not None and rule["Status"] == "Enabled" and fits(rule, key, size, object_tags):
            due.append((when, rule["ID"]))
    return min(due, default=None)


def abort_due(rules: Iterable[Rule], key: str, initiated_ms: int) -> tuple[int, str] | None:
    """When (UTC milliseconds) and by which rule an unfinished upload is aborted first; None for never."""
    due = []
    for rule in rules:
        when = midnight_after(initiated_ms, rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"))
        if when is not None and rule["Status"] == "Enabled" and fits(rule, key, 0, {}):
            due.append((when, rule["ID"]))
    return min(due, default=None)


def midnight_after(moment_ms: int, days: int | None) -> int | None:
    """So many days after a moment, at the next midnight UTC, as S3 rounds, LAST_DAY_MS at the latest; None for no days."""
    return None if days is None else min(-(-(moment_ms + days * DAY_MS) // DAY_MS) * DAY_MS, LAST_DAY_MS)
