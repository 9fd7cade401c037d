"""Filters of rules: prefix, tags and sizes that an object must have. Lifecycle, replication and the configurations by id share them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidRequest, S3Error
from shared.protocol import tags
from shared.protocol.xml_shapes import malformed

MAX_PREFIX_BYTES = 1024      # as long as a key

Filter = Mapping[str, Any]


def check_filter(chosen: Filter, *, one_only: bool = False) -> None:
    """Check a Filter as it was read.

    AWS takes one member, and And for several. Clients of other servers name several without And, and mean all of them, as And would;
    that is taken unless ``one_only``. Raises MalformedXML, InvalidRequest.
    """
    if one_only and len(chosen) > 1:
        raise malformed("choose one of " + ", ".join(chosen))
    both = chosen.get("And", {})
    if "And" in chosen and len([name for name in both if name != "Tags"]) + len(both.get("Tags", ())) < 2:
        raise malformed("an And has two members or more")
    pairs = tags_of(chosen)
    if len({key for key, _ in pairs}) < len(pairs):
        raise InvalidRequest("Duplicate Tag Keys are not allowed.")
    try:
        tags.checked([{"Key": key, "Value": value} for key, value in pairs], limit=tags.MAX_OBJECT_TAGS)
    except S3Error as error:
        raise InvalidRequest(error.message) from None
    for prefix in _all(chosen, "Prefix"):
        check_prefix(prefix)
    _check_sizes(chosen)


def check_prefix(prefix: str) -> None:
    """Raise InvalidRequest for a prefix that is longer than any key."""
    if len(prefix.encode()) > MAX_PREFIX_BYTES:
        raise InvalidRequest(f"The maximum size of a prefix is {MAX_PREFIX_BYTES}.")


def _check_sizes(chosen: Filter) -> None:
    more, less = _all(chosen, "ObjectSizeGreaterThan"), _all(chosen, "ObjectSizeLessThan")
    if any(size < 0 for size in more) or any(size <= 0 for size in less):
        raise InvalidRequest("'ObjectSizeGreaterThan' must not be negative, 'ObjectSizeLessThan' must be positive")
    if more and less and max(more) + 1 >= min(less):
        raise InvalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'")


def _all(chosen: Filter, name: str) -> list[Any]:
    return [one[name] for one in (chosen, chosen.get("And", {})) if name in one]


def tags_of(chosen: Filter) -> list[tuple[str, str]]:
    """The tags that a filter asks for, all of them."""
    named = [*_all(chosen, "Tag"), *(one for some in _all(chosen, "Tags") for one in some)]
    return [(one["Key"], one["Value"]) for one in named]


def fits(rule: Mapping[str, Any], key: str, size: int, object_tags: Mapping[str, str]) -> bool:
    """Whether a rule, by its Filter or its own Prefix, is about an object. ``size`` is in bytes."""
    chosen = rule.get("Filter", {})
    return (
        key.startswith(rule.get("Prefix", ""))
        and all(key.startswith(prefix) for prefix in _all(chosen, "Prefix"))
        and all(size > bound for bound in _all(chosen, "ObjectSizeGreaterThan"))
        and all(size < bound for bound in _all(chosen, "ObjectSizeLessThan"))
        and all(object_tags.get(name) == value for name, value in tags_of(chosen))
    )
