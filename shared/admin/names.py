"""Names, descriptions and addresses as the admin API takes them: checked once, here."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

LONGEST_NAME = 128      # characters
LONGEST_TEXT = 1024
MOST_MS = 253_402_300_800_000       # the end of the year 9999, UTC

# Blanks inside only. Not the signs that mean something in ARNs, policies (variables and wildcards), paths and shells.
_EDGE = r"""[^\s/\\:*?"'<>|&;`${}\x00-\x1f\x7f-\x9f]"""
_INNER = _EDGE.replace(r"\s", r"\t\n\v\f\r")
_NAME = f"^{_EDGE}({_INNER}*{_EDGE})?$"
_NAME_RULE = "must have no blanks at its ends, and none of / \\ : * ? \" ' < > | & ; ` $ { } or control characters"


def _spelled(name: str) -> str:
    """One spelling of what can be written in several ways. Raises ValueError for what nobody could see or type."""
    name = unicodedata.normalize("NFC", name)
    if not re.fullmatch(_NAME, name):
        raise ValueError(_NAME_RULE)
    if not any(char.isalnum() for char in name):
        raise ValueError("must have a letter or a digit")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs") for char in name if char != " "):
        raise ValueError("must have no invisible characters")
    return name


def _written(text: str) -> str:
    """Raises ValueError for control characters other than line breaks and tabs."""
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in text):
        raise ValueError("must have no control characters")
    return text


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_NAME), AfterValidator(_spelled),
    Field(
        description="1 to 128 characters, at least one a letter or digit; no blanks at the ends, no signs that ARNs or paths use.",
        json_schema_extra={"pattern": _NAME},
    ),
]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_written)]
Label = Annotated[str, StringConstraints(max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Email = Annotated[
    str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"), AfterValidator(str.lower),
    Field(description="Kept in lower case; nobody else may have it."),
]
PersonTags = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], Annotated[str, StringConstraints(max_length=256)]],
    Field(max_length=50),
]
Moment = Annotated[int, Field(ge=0, lt=MOST_MS, description="UTC milliseconds.")]
