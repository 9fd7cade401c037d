"""Patterns: text with wildcards and policy variables, compiled once and matched without backtracking."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from shared.auth.policy.model import Asking

ARN_FIELDS = 6
OURS = "arn:maxiofs:::"     # what the admin API works on; has no fields
_SPECIAL = {"*": "*", "?": "?", "$": "$"}


class Wild(Enum):
    """A wildcard: any number of characters, or exactly one."""

    MANY = "*"
    ONE = "?"


class Variable(NamedTuple):
    """The value of a condition key (lower case), or the default."""

    key: str
    default: str | None


Piece = str | Wild | Variable


def pieces_of(text: str, *, wild: bool, variables: bool) -> tuple[Piece, ...]:
    """Take a text apart: literal runs, wildcards, and ``${key}`` or ``${key, 'default'}``; ``${*}``, ``${?}``, ``${$}`` are literal.

    Raises ValueError for a variable that can't be read.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    found: list[Piece] = []
    at = 0
    for mark in re.finditer(r"[*?]|\$\{", text):
        if mark.start() < at:
            continue            # inside a variable
        piece: Piece
        if mark.group() == "${":
            if not variables:
                continue
            end = text.find("}", mark.end())
            if end < 0:
                raise ValueError("a policy variable has no closing brace")
            piece, after = _variable(text[mark.end() : end]), end + 1
        elif wild:
            piece, after = Wild(mark.group()), mark.end()
        else:
            continue
        found += (text[at : mark.start()], piece)
        at = after
    found.append(text[at:])
    return joined(found)


def joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """The same with neighbouring literals made one, and neighbouring ``*`` too; no empty literals."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, str) and isinstance(last, str):
            found[-1] = last + piece
        elif piece != "" and not (piece is Wild.MANY and last is Wild.MANY):
            found.append(piece)
    return tuple(found)


def _variable(inside: str) -> str | Variable:
    if inside in _SPECIAL:
        return _SPECIAL[inside]
    key, comma, default = inside.partition(",")
    key, default = key.strip(), default.strip()
    if not key or any(letter in key for letter in "${}'\"*?"):
        raise ValueError("a policy variable has no usable name")
    if not comma:
        return Variable(key.lower(), None)
    if len(default) < 2 or default[0] != "'" or default[-1] != "'":
        raise ValueError("the default of a policy variable must stand in single quotes")
    return Variable(key.lower(), default[1:-1])


class Glob:
    """A pattern of literals and wildcards. ``head`` is the literal it begins with; ``exact``: there is nothing else in it."""

    __slots__ = ("_ends", "_first", "_last", "_least", "_middle", "exact", "head")

    def __init__(self, pieces: tuple[str | Wild, ...]) -> None:
        self.head = pieces[0] if pieces and isinstance(pieces[0], str) else ""
        self.exact = pieces in ((), (self.head,))
        runs: list[list[str | Wild]] = [[]]
        for piece in pieces:
            if piece is Wild.MANY:
                runs.append([])
            else:
                runs[-1].append(piece)
        compiled = [_Run(run) for run in runs]
        self._first, self._middle, self._last = compiled[0], compiled[1:-1], compiled[-1]
        self._ends = len(compiled) == 1     # no "*": the first run is the whole
        self._least = sum(run.size for run in compiled)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches. The leftmost place of each run between two ``*`` is as good as any, so nothing is tried twice."""
        if self.exact:
            return text == self.head
        size = len(text)
        if size < self._least or not self._first.stands_at(text, 0):
            return False
        if self._ends:
            return size == self._least
        at, end = self._first.size, size - self._last.size
        for run in self._middle:
            at = run.find(text, at, end)
            if at < 0:
                return False
            at += run.size
        return self._last.stands_at(text, end)


class _Run:
    """Literals and ``?``: matches texts of one length only."""

    __slots__ = ("_literal", "_regex", "size")

    def __init__(self, pieces: list[str | Wild]) -> None:
        self.size = sum(len(piece) if isinstance(piece, str) else 1 for piece in pieces)
        self._literal: str | None = None
        if all(isinstance(piece, str) for piece in pieces):
            self._literal = "".join(piece for piece in pieces if isinstance(piece, str))
        else:       # an expression without repetition, so it can't backtrack
            self._regex = re.compile("".join(re.escape(piece) if isinstance(piece, str) else "." for piece in pieces), re.DOTALL)

    def stands_at(self, text: str, at: int) -> bool:
        if self._literal is not None:
            return text.startswith(self._literal, at)
        return self._regex.match(text, at) is not None

    def find(self, text: str, at: int, end: int) -> int:
        if self._literal is not None:
            return text.find(self._literal, at, end)
        found = self._regex.search(text, at, end)
        return found.start() if found else -1


glob = lru_cache(maxsize=8192)(Glob)     # also of resolved variables: one pattern for each user that asks


class Template:
    """A pattern that may hold variables. ``fold``: letters match in either case."""

    __slots__ = ("_fixed", "_fold", "head", "pieces")

    def __init__(self, pieces: tuple[Piece, ...], *, fold: bool = False) -> None:
        self.pieces = pieces
        self._fold = fold
        self._fixed: Glob | None = None
        self.head = pieces[0] if pieces and isinstance(pieces[0], str) else ""
        if not any(isinstance(piece, Variable) for piece in pieces):
            self._fixed = self._glob(piece for piece in pieces if not isinstance(piece, Variable))

    @property
    def exact(self) -> bool:
        """Whether only one text matches, whoever asks."""
        return self._fixed is not None and self._fixed.exact

    @property
    def varies(self) -> bool:
        """Whether it holds variables."""
        return self._fixed is None

    def matches(self, text: str, asking: Asking) -> bool | None:
        """Whether the whole text matches; None when a variable has no value, or more than one, and no default.

        What a variable stands for is literal: wildcards in it are characters.
        """
        found = self._fixed or self._resolved(asking)
        return None if found is None else found.matches(text.casefold() if self._fold else text)

    def _resolved(self, asking: Asking) -> Glob | None:
        found: list[str | Wild] = []
        for piece in self.pieces:
            if isinstance(piece, Variable):
                values = asking.values(piece.key)
                if len(values) > 1 or (not values and piece.default is None):
                    return None
                found.append(values[0] if values else piece.default or "")
            else:
                found.append(piece)
        return self._glob(found)

    def _glob(self, pieces: Iterable[str | Wild]) -> Glob:
        folded = (piece.casefold() if self._fold and isinstance(piece, str) else piece for piece in pieces)
        return glob(tuple(piece for piece in joined(folded) if not isinstance(piece, Variable)))


class Arn:
    """A pattern of ARNs: each of the six fields between colons matches for itself, so ``*`` never reaches over a colon of the first five.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
    """

    __slots__ = ("_fields", "_whole", "complete", "exact", "head", "open_ended", "varies")

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        fields = _fields(pieces)
        self.complete = len(fields) == ARN_FIELDS and fields[0] == ("arn",)
        self._whole = Template(pieces)
        self._fields: tuple[Template, ...] = ()
        literal = all(isinstance(piece, str) for field in fields[:-1] for piece in field)
        if len(fields) == ARN_FIELDS and not literal and not self._whole.head.startswith(OURS):
            self._fields = tuple(Template(field) for field in fields)       # otherwise the whole says the same, faster
        self.head, self.exact, self.varies = self._whole.head, self._whole.exact, self._whole.varies
        self.open_ended = not self._fields and pieces == (self.head, Wild.MANY)     # whatever begins with the head matches

    def matches(self, text: str, asking: Asking) -> bool | None:
        """As Template.matches."""
        if not self._fields:
            return self._whole.matches(text, asking)
        parts = text.split(":", ARN_FIELDS - 1)
        if len(parts) != ARN_FIELDS:
            return False
        found = [field.matches(part, asking) for field, part in zip(self._fields, parts, strict=True)]
        return None if None in found else all(found)


def _fields(pieces: tuple[Piece, ...]) -> list[tuple[Piece, ...]]:
    """The fields of an ARN; colons inside variables don't divide."""
    fields: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, str):
            first, *rest = piece.split(":", ARN_FIELDS - len(fields))
            fields[-1].append(first)
            fields += [[part] for part in rest]
        else:
            fields[-1].append(piece)
    return [joined(field) for field in fields]
