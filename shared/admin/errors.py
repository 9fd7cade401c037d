"""What the admin API refuses, and the one JSON document it says it with: ``{code, message, request_id, fields}``.

S3 errors are told the same way: the class name is the code. ``fields`` names what was wrong: a path in the request → why. What the
metadata layer raises stands in shared/errors.py and can be imported from either place.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from shared.errors import AccessDenied, AlreadyExists, Conflict, NotFound, PreconditionFailed, QuotaExceeded, S3Error
from shared.request import Headers, Reply

__all__ = [
    "AccessDenied", "AlreadyExists", "Conflict", "ErrorDocument", "InvalidFields", "MalformedJSON", "NotFound", "NotSignedIn",
    "PreconditionFailed", "QuotaExceeded", "RequestTooLarge", "S3Error", "ShownAsPage", "TooManyRequests", "UnsupportedMediaType",
    "fields_of", "reply_of",
]

MOST_FIELDS = 50        # of one reply; a body of 1 MiB can have more faults than anybody wants to read


class NotSignedIn(S3Error):
    status, message = 401, "Sign in first: this needs a session or a bearer token."


class InvalidFields(S3Error):
    """Names are those of the request: ``name``, ``limits.max_bytes``, ``policies.0``; ``?limit`` for a parameter of the query."""

    status, message = 400, "Some fields are missing, unknown or wrong."

    def __init__(self, message: str | None = None, /, fields: dict[str, str] | None = None, **more: object) -> None:
        super().__init__(message, **(fields or {}), **more)

    def __str__(self) -> str:
        """For the command line, which shows no document."""
        return " ".join([self.message, *(f"{name}: {why}" for name, why in self.fields.items())])


class MalformedJSON(S3Error):
    status, message = 400, "The body is not a JSON document."


class RequestTooLarge(S3Error):
    status, message = 413, "The body is larger than 1 MiB."


class UnsupportedMediaType(S3Error):
    status, message = 415, "The body must be application/json."


class TooManyRequests(S3Error):
    """``headers["Retry-After"]`` says after how many seconds it is worth trying again."""

    status, message = 429, "Too many attempts. Please wait."


class ShownAsPage(S3Error):
    """An error for people who followed a link: ``page`` is what they see, HTML without scripts; ``policy`` its Content-Security-Policy."""

    page, policy = "", "default-src 'none'; frame-ancestors 'none'"


class ErrorDocument(BaseModel):
    """What every error says."""

    code: str = Field(description="What went wrong, for programs: the name of the error.")
    message: str = Field(description="What went wrong, for people.")
    request_id: str = Field(description="Finds the request in the server's log.")
    fields: dict[str, str] = Field(description="What was wrong in the request, by the path of the field; empty when nothing in particular.")


def fields_of(error: ValidationError, prefix: str = "") -> dict[str, str]:
    """The faults that pydantic found, by path. The values sent are not repeated: they may be secrets."""
    found: dict[str, str] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False)[:MOST_FIELDS]:
        path = ".".join(str(part) for part in one["loc"])
        found.setdefault(prefix + path, one["msg"].removeprefix("Value error, "))
    return found


def reply_of(error: S3Error, request_id: str) -> Reply:
    """The error as a reply."""
    if isinstance(error, ShownAsPage):
        page: Headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", error.policy), *error.headers.items()]
        return Reply(error.status, page, error.page.encode())
    document: dict[str, Any] = {"code": error.code, "message": error.message, "request_id": request_id, "fields": error.fields}
    headers: Headers = [("Content-Type", "application/json"), *error.headers.items()]
    if error.status == 401:     # RFC 9110, section 15.5.2. Not Basic: browsers would ask with a window of their own
        headers.append(("WWW-Authenticate", 'Bearer realm="maxiofs"'))
    return Reply(error.status, headers, json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace"))
