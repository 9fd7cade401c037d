"""Hot statements: built with peewee once per engine, then executed with parameters and no query building.

A query of peewee's costs 60 to 200 µs to build and a few to run; a GET has a budget of 100. ``P("key")`` marks where a parameter goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from peewee import Value

from shared.meta.models import db


class _Mark(str):
    """The name of a parameter, where its value will stand."""


def P(name: str) -> Value:
    """Stand in a query for the parameter ``name`` of the statement."""
    return Value(_Mark(name), converter=False)


class Text:
    """A query in SQL's own words, for what peewee has none for; ``:name`` marks a parameter."""

    def __init__(self, text: str) -> None:
        self._text = text

    def sql(self) -> tuple[str, list[_Mark]]:
        """The SQL and its parameters, as peewee's queries give them."""
        return re.sub(r":\w+", db.obj.param, self._text), [_Mark(name) for name in re.findall(r":(\w+)", self._text)]


class Statement:
    """A query with named parameters. Call it with a raw connection and the values; returns the driver's cursor."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._database: object = None
        self._sql = ""
        self._slots: list[tuple[str | None, Any]] = []

    def __call__(self, connection: Any, **values: Any) -> Any:
        if self._database is not db.obj:
            self._compile()
        return connection.execute(self._sql, [values[name] if name else constant for name, constant in self._slots])

    def _compile(self) -> None:
        sql, params = self._build().sql()
        self._sql = sql
        self._slots = [(str(param), None) if isinstance(param, _Mark) else (None, param) for param in params]
        self._database = db.obj
