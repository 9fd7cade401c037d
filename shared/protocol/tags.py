"""Tags of buckets and objects: checked as AWS does, read from XML and from headers, kept as JSON.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from shared.errors import BadRequest, InvalidArgument, InvalidTag, S3Error

MAX_OBJECT_TAGS: Final = 10
MAX_BUCKET_TAGS: Final = 50
MAX_KEY_CHARACTERS: Final = 128
MAX_VALUE_CHARACTERS: Final = 256
HEADER: Final = "x-amz-tagging"
RESERVED: Final = "aws:"

_TEXT = re.compile(r"[\w +\-=.:/@\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*")     # letters, digits, spaces, a few marks
_NOT_A_QUERY = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."


def checked(tag_set: Iterable[Mapping[str, str]], *, limit: int, excess: type[S3Error] = BadRequest) -> dict[str, str]:
    """The tags of a TagSet (``[{"Key": …, "Value": …}]``), in key order.

    Raises ``excess`` for more than ``limit``; InvalidTag for a key that repeats, is empty, too long or reserved, or an unfit value.
    """
    pairs = [(one["Key"], one["Value"]) for one in tag_set]
    if len(pairs) > limit:
        raise excess(f"{'Object tags' if limit == MAX_OBJECT_TAGS else 'Tags'} cannot be greater than {limit}")
    out: dict[str, str] = {}
    for key, value in pairs:
        if key in out:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        if not key or len(key) > MAX_KEY_CHARACTERS or not _TEXT.fullmatch(key):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if key.lower().startswith(RESERVED):
            raise InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
        if len(value) > MAX_VALUE_CHARACTERS or not _TEXT.fullmatch(value):
            raise InvalidTag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        out[key] = value
    return dict(sorted(out.items()))


def from_header(text: str) -> dict[str, str]:
    """The object tags of an x-amz-tagging header: ``key=value&key=value``, percent-encoded UTF-8, as it came over the wire.

    Raises InvalidArgument for what is no such list, and what ``checked`` raises.
    """
    pairs: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, value = part.partition("=")
        key = _decoded(name, text)
        if not part or key in pairs:
            raise _unreadable(text)
        pairs[key] = _decoded(value, text)
    return checked([{"Key": key, "Value": value} for key, value in pairs.items()], limit=MAX_OBJECT_TAGS)


def _decoded(text: str, whole: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode()
    except UnicodeError:
        raise _unreadable(whole) from None


def _unreadable(text: str) -> InvalidArgument:
    return InvalidArgument(_NOT_A_QUERY, ArgumentName=HEADER, ArgumentValue=text)


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as a TagSet, in key order."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def dump(tags: Mapping[str, str]) -> str | None:
    """What the ``tags`` columns hold: a JSON object, None for no tags."""
    return json.dumps(tags, ensure_ascii=False, separators=(",", ":")) if tags else None


def load(stored: str | None) -> dict[str, str]:
    """The way back."""
    return json.loads(stored) if stored else {}


def chosen(tags: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """The values of the tags with this name in lower case, None for none: names of condition keys have no case."""
    return tuple(value for key, value in tags.items() if key.lower() == name) or None
