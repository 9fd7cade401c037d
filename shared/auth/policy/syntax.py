"""JSON with positions: every value knows where it stands, so that a fault can be shown to who wrote it."""

from __future__ import annotations

import re
from typing import NoReturn

MAX_DEPTH = 10          # a policy needs six

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}


class Fault(Exception):
    """A fault at an offset of the text (characters); whoever knows the text makes a PolicyError of it."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


class Number(str):
    """A number as it was written: reading it as a float would lose digits."""

    __slots__ = ()


class Node:
    """A JSON value. ``at`` is the offset of its first character; a member of an object also has that of its name."""

    __slots__ = ("at", "name_at", "value")

    def __init__(self, value: str | bool | list[Node] | dict[str, Node] | None, at: int) -> None:
        self.value = value
        self.at = at
        self.name_at = at

    def fail(self, message: str) -> NoReturn:
        """Raise Fault at this value."""
        raise Fault(message, self.at)

    def fail_at_name(self, message: str) -> NoReturn:
        """Raise Fault at the name this member has in its object."""
        raise Fault(message, self.name_at)

    @property
    def kind(self) -> str:
        """What it is, for messages."""
        if isinstance(self.value, Number):
            return "a number"
        return {str: "a string", bool: "a boolean", list: "a list", dict: "an object"}.get(type(self.value), "null")


def read(text: str) -> Node:
    """Read one JSON value that fills the text. Takes linear time. Raises Fault: also for a name given twice in an object, and depth."""
    reader = _Reader(text)
    node = reader.value(0)
    reader.skip()
    if reader.at < len(text):
        raise Fault("there is text after the end of the document", reader.at)
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self) -> str:
        """Pass white space; the next character, "" at the end."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Node:
        first, at = self.skip(), self.at
        if first in ("{", "["):
            if depth >= MAX_DEPTH:
                raise Fault("values are nested too deeply", at)
            self.at += 1
            return Node(self.members(depth + 1) if first == "{" else self.items(depth + 1), at)
        if first == '"':
            return Node(self.string(), at)
        if number := _NUMBER.match(self.text, at):
            self.at = number.end()
            return Node(Number(number.group()), at)
        for word, value in _WORDS.items():
            if self.text.startswith(word, at):
                self.at += len(word)
                return Node(value, at)
        raise Fault("a value is missing" if first else "the document ends too early", at)

    def items(self, depth: int) -> list[Node]:
        found: list[Node] = []
        if self.skip() == "]":
            self.at += 1
            return found
        while True:
            found.append(self.value(depth))
            if self.comma_or("]"):
                return found

    def members(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        if self.skip() == "}":
            self.at += 1
            return found
        while True:
            if self.skip() != '"':
                raise Fault("a name in double quotes is missing", self.at)
            name_at, name = self.at, self.string()
            if name in found:
                raise Fault(f"{name!r:.100} is given twice", name_at)
            if self.skip() != ":":
                raise Fault("a colon is missing", self.at)
            self.at += 1
            found[name] = self.value(depth)
            found[name].name_at = name_at
            if self.comma_or("}"):
                return found

    def comma_or(self, end: str) -> bool:
        """Pass a comma (False) or the end of the list or object (True)."""
        found = self.skip()
        if found not in (",", end) or not found:
            raise Fault(f"a comma or {end} is missing", self.at)
        self.at += 1
        return found == end

    def string(self) -> str:
        parts: list[str] = []
        start, self.at = self.at, self.at + 1
        while True:
            plain = _PLAIN.match(self.text, self.at)
            assert plain is not None
            parts.append(plain.group())
            self.at = plain.end()
            stop = self.text[self.at : self.at + 1]
            if stop == '"':
                self.at += 1
                return "".join(parts)
            if stop != "\\":
                raise Fault("a control character must be escaped" if stop else "a string has no end", self.at if stop else start)
            parts.append(self.escape())

    def escape(self) -> str:
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in _ESCAPES:
            self.at += 2
            return _ESCAPES[letter]
        code = self.unit()
        if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", self.at):
            at = self.at
            low = self.unit()
            if not 0xDC00 <= low < 0xE000:
                raise Fault("half of a surrogate pair", at)
            return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
        if 0xD800 <= code < 0xE000:
            raise Fault("half of a surrogate pair", self.at - 6)
        return chr(code)

    def unit(self) -> int:
        r"""Pass one ``\uXXXX``."""
        digits = _HEX.match(self.text, self.at + 2) if self.text.startswith("\\u", self.at) else None
        if digits is None:
            raise Fault("not an escape of JSON", self.at)
        self.at = digits.end()
        return int(digits.group(), 16)
