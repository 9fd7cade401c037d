"""Notification configurations: checked as AWS does.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, Final, NamedTuple

from shared.errors import InvalidArgument

MAX_CONFIGURATIONS: Final = 100
MAX_ID_CHARACTERS: Final = 255
MAX_FILTER_BYTES: Final = 1024

# Member of the document → (the member with its destination, the service the ARN names).
KINDS: Final = {
    "TopicConfigurations": ("TopicArn", "sns"),
    "QueueConfigurations": ("QueueArn", "sqs"),
    "LambdaFunctionConfigurations": ("LambdaFunctionArn", "lambda"),
}
EVENTS: Final = {
    "ObjectCreated": ("*", "Put", "Post", "Copy", "CompleteMultipartUpload"),
    "ObjectRemoved": ("*", "Delete", "DeleteMarkerCreated"),
    "ObjectRestore": ("*", "Post", "Completed", "Delete"),
    "Replication": (
        "*", "OperationFailedReplication", "OperationNotTracked", "OperationMissedThreshold", "OperationReplicatedAfterThreshold",
    ),
    "LifecycleExpiration": ("*", "Delete", "DeleteMarkerCreated"),
    "ObjectTagging": ("*", "Put", "Delete"),
    "ObjectAcl": ("Put",),
    "ReducedRedundancyLostObject": ("",),
    "LifecycleTransition": ("",),
    "IntelligentTiering": ("",),
}
_KNOWN = frozenset(f"s3:{family}:{name}".removesuffix(":") for family, names in EVENTS.items() for name in names)
_ARN = re.compile(r"arn:[\w-]+:(\w+):[^:\s]*:[^:\s]*:\S+")


class _Wanted(NamedTuple):
    """What one configuration is about."""

    id: str
    events: tuple[str, ...]
    prefix: str
    suffix: str


def checked(document: Mapping[str, Any]) -> dict[str, Any]:
    """A NotificationConfiguration; who has no Id is given one. Raises InvalidArgument."""
    out = {kind: [{**one, "Id": one.get("Id") or secrets.token_hex(16)} for one in document[kind]] for kind in KINDS if document.get(kind)}
    every = [_wanted(one, *KINDS[kind]) for kind, some in out.items() for one in some]
    if len(every) > MAX_CONFIGURATIONS:
        raise InvalidArgument(f"A bucket has at most {MAX_CONFIGURATIONS} notification configurations.")
    if len({one.id for one in every}) < len(every):
        raise InvalidArgument("Same ID used for multiple configurations. IDs must be unique", ArgumentName="Id")
    for one, other in combinations(every, 2):
        if _overlap(one, other):
            raise InvalidArgument(
                f"Configurations overlap. Configurations on the same bucket cannot share a common event type. : {one.id}, {other.id}"
            )
    return out | {name: document[name] for name in ("EventBridgeConfiguration",) if name in document}


def _wanted(one: Mapping[str, Any], destination: str, service: str) -> _Wanted:
    if len(one["Id"]) > MAX_ID_CHARACTERS:
        raise InvalidArgument(f"ID length should not exceed allowed limit of {MAX_ID_CHARACTERS}", ArgumentName="Id")
    arn = _ARN.fullmatch(one[destination])
    if arn is None or arn[1] != service:
        raise InvalidArgument("The ARN is not well formed", ArgumentName=destination, ArgumentValue=one[destination])
    for event in one["Events"]:
        if event not in _KNOWN:
            raise InvalidArgument("The event is not supported for notifications", ArgumentName="Event", ArgumentValue=event)
    names = _filter_rules(one.get("Filter", {}).get("Key", {}).get("FilterRules", ()))
    return _Wanted(one["Id"], tuple(set(one["Events"])), names.get("prefix", ""), names.get("suffix", ""))


def _filter_rules(rules: Iterable[Mapping[str, str]]) -> dict[str, str]:
    out: dict[str, str] = {}
    for rule in rules:
        name, value = rule.get("Name", "").lower(), rule.get("Value", "")
        if name not in ("prefix", "suffix"):
            raise InvalidArgument("filter rule name must be either prefix or suffix", ArgumentName="FilterRule.Name", ArgumentValue=name)
        if name in out:
            raise InvalidArgument(f"Cannot specify more than one {name} rule in a filter.", ArgumentName="FilterRule.Name")
        if len(value.encode()) > MAX_FILTER_BYTES:
            raise InvalidArgument(f"Size of filter rule value cannot exceed {MAX_FILTER_BYTES} bytes in UTF-8 representation")
        out[name] = value
    return out


def _overlap(one: _Wanted, other: _Wanted) -> bool:
    """Whether an event of some key would go both ways."""
    return (
        any(_same(event, another) for event in one.events for another in other.events)
        and (one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix))
        and (one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix))
    )


def _same(event: str, another: str) -> bool:
    return event == another or any(
        all_of.endswith(":*") and single.startswith(all_of[:-1]) for all_of, single in ((event, another), (another, event))
    )
