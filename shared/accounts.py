"""Accounts as AWS numbers them: the 12 digits that stand for a tenant beside its name.

Why so, and what becomes of a tenant whose name is 12 digits: docs/decisions/0011-account-numbers.md.
"""

from __future__ import annotations

import re

_NUMBER = re.compile("[0-9]{12}")


def number_of(tenant_id: int) -> str:
    """The digits made of a tenant's id; ids are never given again. Those of the installation are zeros."""
    return f"{tenant_id:012d}"


def is_number(text: str) -> bool:
    """Whether a text has the form of an account's number."""
    return _NUMBER.fullmatch(text) is not None


def arn_has_number(text: str) -> bool:
    """Whether an ARN, or a pattern for ARNs, spells an account's number out; wildcards elsewhere do not matter."""
    parts = text.split(":", 5)
    return len(parts) == 6 and is_number(parts[4])
