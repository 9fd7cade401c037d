"""Conditional requests: If-Match and its family, for reads, copies and writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from shared.errors import InvalidArgument, NoSuchKey, NotModified, PreconditionFailed
from shared.protocol.scalars import http_date, milliseconds, parse_http_date

_ETAGS = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')
_COPY = "x-amz-copy-source-"


class Etags(NamedTuple):
    """The value of If-Match or If-None-Match."""

    any: bool
    listed: frozenset[str]

    def has(self, etag: str) -> bool:
        """Does an existing object with this etag (unquoted) match?"""
        return self.any or etag in self.listed


def parse_etags(header: str | None) -> Etags | None:
    """Read a list of etags, weak or strong, quoted or not, or ``*``. None when there is no header or nothing in it."""
    if not header or not (found := [quoted or bare for quoted, bare in _ETAGS.findall(header)]):
        return None
    return Etags("*" in found, frozenset(found))


def check_read(headers: Mapping[str, str], etag: str, modified_ms: int) -> None:
    """Decide a conditional GET or HEAD; ``headers`` have lower-case names, ``etag`` no quotes.

    If-Match outranks If-Unmodified-Since, If-None-Match outranks If-Modified-Since; unreadable dates are ignored; dates
    compare in whole seconds. Raises PreconditionFailed (with Condition), NotModified (with ETag and Last-Modified).
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html
    """
    _check_match(headers, "", etag, modified_ms)
    if _is_known(headers, "", etag, modified_ms):
        error = NotModified()
        error.headers |= {"ETag": f'"{etag}"', "Last-Modified": http_date(modified_ms // 1000)}
        raise error


def range_holds(headers: Mapping[str, str], etag: str, modified_ms: int) -> bool:
    """Whether a Range may be answered as one: False when If-Range names another object than this, which is then sent whole.

    Weak etags never match, and what can't be read does not either: a client would sew two objects together.
    https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5
    """
    wanted = headers.get("if-range", "").strip()
    if not wanted or wanted.strip('"') == etag:
        return True
    return _date_s(wanted) == modified_ms // 1000


def check_copy_source(headers: Mapping[str, str], etag: str, modified_ms: int, prefix: str = _COPY) -> None:
    """Decide ``x-amz-copy-source-if-*`` for the source of a copy, with another ``prefix`` for a rename.

    Raises PreconditionFailed (with Condition).

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    _check_match(headers, prefix, etag, modified_ms)
    if condition := _is_known(headers, prefix, etag, modified_ms):
        raise PreconditionFailed(Condition=condition)


def _check_match(headers: Mapping[str, str], prefix: str, etag: str, modified_ms: int) -> None:
    if (wanted := parse_etags(headers.get(prefix + "if-match"))) is not None:
        if not wanted.has(etag):
            raise PreconditionFailed(Condition=prefix + "If-Match")
    elif (since_s := _date_s(headers.get(prefix + "if-unmodified-since"))) is not None and modified_ms // 1000 > since_s:
        raise PreconditionFailed(Condition=prefix + "If-Unmodified-Since")


def _is_known(headers: Mapping[str, str], prefix: str, etag: str, modified_ms: int) -> str | None:
    """The condition that says the client has this already."""
    if (known := parse_etags(headers.get(prefix + "if-none-match"))) is not None:
        return prefix + "If-None-Match" if known.has(etag) else None
    since_s = _date_s(headers.get(prefix + "if-modified-since"))
    return prefix + "If-Modified-Since" if since_s is not None and modified_ms // 1000 <= since_s else None


def _date_s(header: str | None) -> int | None:
    parsed = parse_http_date(header) if header else None
    return None if parsed is None else milliseconds(parsed) // 1000


class WriteCondition(NamedTuple):
    """What must hold of the current object for a write or delete to happen."""

    match: Etags | None = None
    none_match: Etags | None = None
    modified_s: int | None = None  # x-amz-if-match-last-modified-time
    size: int | None = None  # x-amz-if-match-size, bytes

    def check(self, current_etag: str | None, *, modified_ms: int | None = None, size: int | None = None) -> None:
        """Compare with the current object: its etag without quotes, None when there is none (a delete marker is none).

        ``modified_ms`` and ``size`` matter to deletes only. Call it inside the transaction that writes. Raises NoSuchKey
        (If-Match, nothing there), PreconditionFailed.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
        """
        if current_etag is None:
            if self.match is not None:
                raise NoSuchKey()
            return
        if self.none_match is not None and self.none_match.has(current_etag):
            raise PreconditionFailed(Condition="If-None-Match")
        if self.match is not None and not self.match.has(current_etag):
            raise PreconditionFailed(Condition="If-Match")
        if self.modified_s is not None and modified_ms is not None and modified_ms // 1000 != self.modified_s:
            raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")
        if self.size is not None and size is not None and size != self.size:
            raise PreconditionFailed(Condition="x-amz-if-match-size")


def write_condition(headers: Mapping[str, str]) -> WriteCondition | None:
    """The condition a write or delete carries, None without one; ``headers`` have lower-case names. Raises InvalidArgument."""
    size = headers.get("x-amz-if-match-size")
    if size is not None and not re.fullmatch(r"[0-9]{1,19}", size):
        raise InvalidArgument("The size to match is not a number", ArgumentName="x-amz-if-match-size", ArgumentValue=size)
    condition = WriteCondition(
        parse_etags(headers.get("if-match")),
        parse_etags(headers.get("if-none-match")),
        _date_s(headers.get("x-amz-if-match-last-modified-time")),
        None if size is None else int(size),
    )
    return None if condition == WriteCondition() else condition
