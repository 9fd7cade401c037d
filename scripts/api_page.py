"""The page docs/api.md: the admin API as its OpenAPI document describes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from shared.admin import openapi

MADE = "<!-- Made by `python -m scripts.docs`; a test fails when it is not current. Change the declarations instead. -->\n"
INTRO = """\
The API answers on the console's listener (`MAXIOFS_CONSOLE_LISTEN`), below `/api/v1`. A running server has the same as a page at
`/api/v1/docs` and, for programs, as OpenAPI 3.1 at `/api/v1/openapi.json`. Every function can also be called on the server itself, as root:
`maxiofs invoke admin.create_user '{"username": "ann"}'`, with the parts of the path, the parameters and the body's fields in one document.
"""
ERRORS = """\
Every error is `{"code", "message", "request_id", "fields"}`: `code` for programs, `message` for people, `request_id` as in the header
`X-Request-Id` and in the log, and in `fields` what was wrong in the request, by the path of the field; `?name` is a parameter of the query.
"""
SIGNING_IN = """\
`POST /api/v1/auth/login` gives browsers a session cookie, and a token that goes into the header `X-CSRF-Token` with whatever changes
something. Scripts send a bearer token: `Authorization: Bearer …`.

Actions under "needs" are those of policies. `admin:` ones are asked about `arn:maxiofs:::tenant/{tenant id}/{kind}/{id}`, `s3:` ones about
the bucket and key, by the same rules as on the S3 listener.
"""


def page() -> str:
    """The whole page."""
    document = openapi.document()
    lines = [
        "# Admin API", "", MADE, INTRO, document["info"]["description"], "", "## Signing in", "", SIGNING_IN, "## Errors", "", ERRORS,
        *_errors(document), "## Functions", "",
    ]
    for group in document["tags"]:
        lines += _group(group["name"], document)
    lines += ["## Documents", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _model(name, schema)
    return "\n".join(lines)


def _errors(document: dict[str, Any]) -> Iterator[str]:
    found: dict[str, set[str]] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, reply in operation["responses"].items():
                if status.startswith(("4", "5")):
                    found.setdefault(status, set()).update(reply["description"].split(", "))
    yield from ("| status | codes |", "| --- | --- |")
    yield from (f"| {status} | {', '.join(f'`{code}`' for code in sorted(codes))} |" for status, codes in sorted(found.items()))
    yield ""


def _group(name: str, document: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name.capitalize()}", "", "| request | function | needs | takes | gives | what it does |")
    yield "| --- | --- | --- | --- | --- | --- |"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] == [name]:
                yield _row(f"`{method.upper()} {path.removeprefix('/api/v1') or '/'}`", operation)
    yield ""


def _row(request: str, operation: dict[str, Any]) -> str:
    parameters = [f"`{one['name']}`" for one in operation["parameters"] if one["in"] == "query"]
    body = _content(operation.get("requestBody", {}).get("content", {}))
    takes = ", ".join(part for part in (body, f"?{' '.join(parameters)}" if parameters else "") if part)
    status, good = next(iter(operation["responses"].items()))
    gives = _content(good.get("content", {})) or "nothing"
    needs = re.search(r"Needs (`\S+`)\.$|(Anyone|Whoever is signed in) may ask\.$", operation["description"])
    assert needs is not None, operation["operationId"]
    about = operation["summary"].replace("|", "\\|")
    allowed = needs[1] or {"Anyone": "nothing"}.get(needs[2], "a session")
    return f"| {request} | `{operation['operationId']}` | {allowed} | {takes} | {status}: {gives} | {about} |"


def _content(content: dict[str, Any]) -> str:
    return "; ".join(_kind(one["schema"]) if kind == "application/json" else f"`{kind}`" for kind, one in content.items())


def _model(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "")
    if schema.get("description"):
        yield from (schema["description"].replace("``", "`"), "")
    needed = schema.get("required", ())
    if rows := schema.get("properties", {}):
        yield from ("| field | what | |", "| --- | --- | --- |")
        for field, one in rows.items():
            about = " ".join(part for part in ("Required." if field in needed else "", one.get("description", "")) if part)
            yield f"| `{field}` | {_kind(one)} | {about} |".replace("``", "`")
    else:
        yield _kind(schema)
    yield ""


def _kind(schema: dict[str, Any]) -> str:
    """The words of a schema, with links to the documents they name."""
    return re.sub(r"(?<![`\w])([A-Z]\w+)\b(?!`)", lambda found: f"[{found[1]}](#{found[1].lower()})", openapi.kind_of(schema))
