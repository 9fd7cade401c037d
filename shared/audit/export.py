"""Audit events as text: JSON lines and CSV, a piece at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from shared.audit.chain import Row
from shared.protocol.scalars import iso_date

PIECE_ROWS = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")      # what a spreadsheet would run; https://owasp.org/www-community/attacks/CSV_Injection


def view(row: Row) -> dict[str, Any]:
    """An event as people and programs get it: time as ISO 8601 beside its milliseconds, details as an object."""
    values = row._asdict()
    return {"id": row.id, "at": iso_date(row.at_ms), **{name: values[name] for name in Row._fields[1:-1]},
            "details": json.loads(row.details)}


def json_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    """One JSON object a line."""
    for piece in _pieces(rows):
        yield "".join(json.dumps(view(row), ensure_ascii=False) + "\n" for row in piece).encode()


def comma_separated(rows: Iterable[Row]) -> Iterator[bytes]:
    """CSV as of RFC 4180 with a line of names. A cell that a spreadsheet would take for a formula begins with an apostrophe.

    https://www.rfc-editor.org/rfc/rfc4180
    """
    names = ["id", "at", *Row._fields[1:]]
    yield _lines([names])
    for piece in _pieces(rows):
        yield _lines([[row.id, iso_date(row.at_ms), *map(_cell, row[1:])] for row in piece])


FORMATS = {"jsonl": json_lines, "csv": comma_separated}


def _cell(value: Any) -> Any:
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value


def _lines(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if len(piece) == PIECE_ROWS:
            yield piece
            piece = []
    if piece:
        yield piece
