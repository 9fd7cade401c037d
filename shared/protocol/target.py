"""The request target, taken apart without ever being normalised."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from shared.errors import InvalidURI, KeyTooLongError

MAX_KEY_BYTES = 1024
MAX_HOST_LENGTH = 300   # a DNS name has 253 at most, then a port; what strangers send beyond that is not remembered

_ABSOLUTE = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x20\x7f]|%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """Where a request goes.

    ``key`` is the decoded key, valid UTF-8 of 1 to 1024 bytes. ``raw_path`` and ``raw_query`` (without ``?``) are latin-1 text
    exactly as sent: what was signed. ``query`` holds the first value of each name, decoded. ``host`` is the authority the
    client named: the target's when absolute, else the Host header.
    """

    bucket: str | None
    key: bytes | None
    raw_path: str
    raw_query: str
    query: dict[str, str]
    host: str = ""
    site: Literal["", "host", "path"] = ""      # a page of a website, and what names its bucket
    is_control: bool = False                    # a bucket as S3 Control's resource
    action: str = ""                            # what the form of an IAM or STS request asks for

    @property
    def level(self) -> Literal["service", "bucket", "object", "website", "control", "query"]:
        """How deep the target reaches; the doors beside S3's are levels of their own."""
        if self.site:
            return "website"
        if self.is_control:
            return "control"
        if self.action:
            return "query"
        if self.key is not None:
            return "object"
        return "service" if self.bucket is None else "bucket"

    def for_key(self, key: bytes) -> Target:
        """The same request about another key. Raises KeyTooLongError."""
        if len(key) > MAX_KEY_BYTES:
            raise KeyTooLongError(Size=len(key), MaxSizeAllowed=MAX_KEY_BYTES)
        return self._replace(key=key)


def parse_target(target: str, host: str, domains: Sequence[str], sites: Sequence[str] = ()) -> Target:
    """Take a raw request target apart.

    ``//``, ``..``, ``%2F`` stay what they are; a plus is a plus in the path and a space in the query. A host below one of the
    ``domains`` names the bucket in front of it (virtual-host style); the domain itself, other hosts and addresses are path style.
    Likewise the ``sites``, whose buckets are shown as websites and take no query.

    Raises InvalidURI (bad percent-escapes, invalid UTF-8, control characters, a path without a bucket), KeyTooLongError.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    if not target.startswith("/"):
        match = _ABSOLUTE.match(target)
        if match is None:
            raise _invalid(target)
        host, target = match[1], target[match.end() :]
        if not target.startswith("/"):
            target = "/" + target
    raw_path, _, raw_query = target.partition("?")
    if _UNFIT.search(target):
        raise _invalid(raw_path)
    site = _site(host, sites) if sites else ""
    bucket = bucket_of_host(host, sites if site else domains)
    if bucket is not None:
        raw_key = raw_path[1:]
    else:
        raw_bucket, _, raw_key = raw_path[1:].partition("/")
        bucket = _text(raw_bucket, raw_path) or None
        if bucket is None and (raw_path != "/" or site):
            raise _invalid(raw_path)
    key = _key(raw_key, raw_path) if raw_key else None
    if site:
        return Target(bucket, key, raw_path, raw_query, {}, host, site)
    return Target(bucket, key, raw_path, raw_query, _query(raw_query, raw_path) if raw_query else {}, host)


def _invalid(raw: str) -> InvalidURI:
    return InvalidURI(URI=raw[:MAX_KEY_BYTES])


def _text(raw: str, raw_path: str) -> str:
    if "%" not in raw and raw.isascii():
        return raw
    try:
        return unquote_to_bytes(raw.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid(raw_path) from None


def _key(raw: str, raw_path: str) -> bytes:
    key = _text(raw, raw_path).encode("utf-8")
    if len(key) > MAX_KEY_BYTES:
        raise KeyTooLongError(Size=len(key), MaxSizeAllowed=MAX_KEY_BYTES)
    return key


def _query(raw: str, raw_path: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            name = _text(name.replace("+", " "), raw_path)
            if name not in out:
                out[name] = _text(value.replace("+", " "), raw_path)
    return out


def _site(host: str, sites: Sequence[str]) -> Literal["", "host", "path"]:
    if bucket_of_host(host, sites) is not None:
        return "host"
    return "path" if host_name(host) in sites else ""


def bucket_of_host(host: str, domains: Sequence[str]) -> str | None:
    """The bucket a virtual-host style host names: what stands before the longest fitting domain; None for path style."""
    return _bucket_of_host(host, tuple(domains)) if domains and len(host) <= MAX_HOST_LENGTH else None


@lru_cache(maxsize=1024)
def _bucket_of_host(host: str, domains: tuple[str, ...]) -> str | None:
    name = host_name(host)
    known = {host_name(one) for one in domains}
    below = [domain for domain in known if name.endswith("." + domain)]
    if not below or name in known or _is_address(name):
        return None
    return name[: -len(max(below, key=len)) - 1] or None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def host_name(host: str) -> str:
    """The name in a Host header: lower case, without port, without brackets or a final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")
