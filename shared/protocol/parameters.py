"""Header and query values: how they are read, and which the service refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shared.errors import InvalidArgument
from shared.protocol import scalars, wire
from shared.protocol.scalars import Shape

Parse = Callable[[str], Any]
ABSENT: Final = object()  # a parameter whose empty value counts as none


def invalid(name: str, text: str, message: str) -> InvalidArgument:
    """The error for a header or query parameter whose value is not acceptable."""
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=text)


def _checked(name: str, parse: Parse, message: str) -> Parse:
    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            raise invalid(name, text, message) from None

    return read


def _bounded_parser(name: str) -> Parse:
    least, most, called, empty_is_none = wire.INTEGERS[name]

    def read(text: str) -> Any:
        if empty_is_none and not text:
            return ABSENT
        try:
            number = scalars.parse_integer(text, 63)
        except ValueError:
            number = None
        if name == "partNumber" and (number is None or not least <= number <= most):
            raise invalid(name, text, wire.PART_NUMBER_RULE)
        if number is None:
            raise invalid(name, text, f"Provided {name} not an integer or within integer range")
        if not least <= number <= most:
            raise invalid(name, text, f"Argument {called} must be an integer between {least} and {most}")
        return number

    return read


def _echo(name: str) -> Parse:
    def read(text: str) -> str:
        if not text.isprintable() and any(c < " " or c == "\x7f" for c in text):
            raise invalid(name, text, "Header value cannot contain control characters")
        return text if text.isascii() else text.encode("utf-8").decode("latin-1")

    return read


def query_parser(name: str, shape: Shape) -> Parse | None:
    """How the query parameter ``name`` is read; None when its text is its value. The parser raises InvalidArgument, or returns ABSENT."""
    if name in wire.INTEGERS:
        return _bounded_parser(name)
    if name.startswith(wire.ECHOED_PREFIX):
        return _echo(name)
    if name in wire.QUERY_VALUES:
        allowed, message = wire.QUERY_VALUES[name]
        return _checked(name, lambda text: _one_of(text, allowed), message)
    if name in wire.QUERY_NOT_EMPTY:
        return _checked(name, _not_empty, wire.QUERY_NOT_EMPTY[name])
    parse = scalars.parser(shape, "rfc822")
    return parse and _checked(name, parse, f"The value of {name} is not valid")


def _one_of(text: str, allowed: frozenset[str]) -> Any:
    if text not in allowed:
        raise ValueError(text)
    return text or ABSENT


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def header_parser(name: str, shape: Shape) -> Parse | None:
    """The same for the header ``name``."""
    if name.lower() in wire.INTEGERS:
        return _bounded_parser(name.lower())
    parse = scalars.parser(shape, "rfc822")
    if name.lower() in wire.LENIENT_DATES:
        return _date_or_absent
    return parse and _checked(name, parse, f"The value of {name} is not valid")


def _date_or_absent(text: str) -> Any:
    return scalars.parse_http_date(text) or ABSENT
