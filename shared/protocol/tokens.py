"""Continuation tokens: the last name of a page, in a form that clients hand back as it is."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode

from shared.errors import InvalidArgument


def token_of(name: bytes) -> str:
    """The token of the page that follows ``name``."""
    return urlsafe_b64encode(name).decode()


def name_of(token: str) -> bytes:
    """The name a page starts behind. Raises InvalidArgument for a token that is none of ours."""
    try:
        name = b64decode(token.encode(), altchars=b"-_", validate=True)
    except ValueError:
        name = b""
    if not name:
        raise InvalidArgument("The continuation token provided is incorrect", ArgumentName="continuation-token", ArgumentValue=token)
    return name
