"""The admin API described in OpenAPI 3.1, from its declarations alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from shared.admin import errors, sessions
from shared.admin.context import ANYONE, SIGNED_IN
from shared.admin.errors import ErrorDocument
from shared.registry import Function, load
from shared.settings import version

PREFIX = "/api/v1/"
REFS = "#/components/schemas/{model}"
CSRF_HEADER = "X-CSRF-Token"
ABOUT = """\
Documents are JSON; names are snake_case. Unknown names and wrong types are refused (400), and `fields` of the error says which. Lists come
in pages: ask again with `cursor` set to `next_cursor`. Replies with a `revision` have it as their ETag: send it back as If-Match with a
change, and the change is refused (412) when somebody was faster. What belongs to another tenant is not found (404). Parts of a path are
percent-encoded: the key `a/b` is `a%2Fb`. Times are UTC; `_ms` are milliseconds since 1970, sizes are bytes.\
"""
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token from `POST /api/v1/auth/tokens`, for scripts."},
    "session": {"type": "apiKey", "in": "cookie", "name": sessions.COOKIE_NAME, "description": "What signing in gives, for browsers."},
    "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": "Goes with the cookie wherever something changes."},
}
SAFE = "GET "


@cache
def functions() -> tuple[Function, ...]:
    """The functions of the API, by path."""
    found = [function for function in load(["admin.*"]).values() if function.line.partition(" ")[2].startswith(PREFIX[:-1])]
    return tuple(sorted(found, key=lambda one: (path_of(one), one.line)))


def path_of(function: Function) -> str:
    """The path a function answers at, with {names}."""
    return function.line.partition(" ")[2]


def group_of(function: Function) -> str:
    """What the function is shown under: the module that declares it."""
    return function.call.__module__.rpartition(".")[2].replace("_", " ")


def collections() -> dict[str, str]:
    """The first part of each path → that path."""
    paths = sorted({path_of(function).removeprefix(PREFIX).partition("/")[0] for function in functions() if path_of(function) > PREFIX})
    return {path: PREFIX + path for path in paths}


@cache
def document() -> dict[str, Any]:
    """The whole description."""
    schemas, parts = _schemas()
    paths: dict[str, Any] = {}
    for function in functions():
        method = function.line.partition(" ")[0].lower()
        paths.setdefault(path_of(function), {})[method] = _operation(function, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "MaxIOFS admin API", "version": version(), "description": ABOUT, "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in sorted({group_of(function) for function in functions()})],
        "paths": paths,
        "components": {"schemas": parts, "securitySchemes": SCHEMES},
    }


def _schemas() -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """(function id, "takes" | "query" | "gives") → schema; and the named schemas that those refer to."""
    wanted: list[tuple[tuple[str, str], Any, TypeAdapter[Any]]] = [(("", "error"), "serialization", TypeAdapter(ErrorDocument))]
    for function in functions():
        for role, mode in (("takes", "validation"), ("query", "validation"), ("gives", "serialization")):
            model = getattr(function, role)
            if model is not None and not isinstance(model, str):
                wanted.append(((function.id, role), mode, TypeAdapter(model)))
    made, rest = TypeAdapter.json_schemas(wanted, ref_template=REFS)
    parts = dict(rest.get("$defs", {}))
    found = {key: schema for (key, _), schema in made.items()}
    for (_, role), schema in found.items():
        if role == "query":
            schema.update(parts.get(schema.pop("$ref", "").rpartition("/")[2], {}))
    for name in {function.query.__name__ for function in functions() if function.query is not None}:
        parts.pop(name, None)       # parameters are written out where they are used
    return found, parts


def _operation(function: Function, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    text = re.sub(r"``", "`", (function.call.__doc__ or "").strip())
    summary, _, rest = text.partition("\n")
    about = [" ".join(rest.split()), permission_of(function)]
    made: dict[str, Any] = {
        "operationId": function.name,
        "tags": [group_of(function)],
        "summary": summary.partition(" Raises ")[0],
        "description": " ".join(part for part in about if part),
        "parameters": [*_path_parameters(function), *_query_parameters(schemas.get((function.id, "query"), {}))],
        "responses": _responses(function, schemas),
        "security": _security(function),
    }
    if function.line.partition(" ")[0] in ("PUT", "PATCH") and _has_revision(function):
        made["parameters"].append({"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"},
                                   "description": "The ETag of the reply that the change is based on."})
    if function.takes is not None:
        needed = any(field.is_required() for field in getattr(function.takes, "model_fields", {}).values())
        made["requestBody"] = {"required": needed, "content": {"application/json": {"schema": schemas[function.id, "takes"]}}}
    if function.event:
        made["x-audit-event"] = function.event
    return made


def permission_of(function: Function) -> str:
    """Who may call it, as a sentence."""
    action = "" if callable(function.allow) else function.allow[0]
    if action == ANYONE:
        return "Anyone may ask."
    return "Whoever is signed in may ask." if action == SIGNED_IN else f"Needs `{action}`."


def _has_revision(function: Function) -> bool:
    return "revision" in getattr(function.gives, "model_fields", {})


def _security(function: Function) -> list[dict[str, list[str]]]:
    if function.allow == (ANYONE,):
        return []
    cookie: dict[str, list[str]] = {"session": []} if function.line.startswith(SAFE) else {"session": [], "csrf": []}
    return [{"bearer": []}, cookie]


def _path_parameters(function: Function) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", function.line):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, given in schema.get("properties", {}).items():
        one = {key: value for key, value in given.items() if key != "title"}
        about = one.pop("description", "")
        if "anyOf" in one:      # null is a parameter that is not given
            some = [kind for kind in one.pop("anyOf") if kind != {"type": "null"}]
            one.pop("default", None)
            one |= some[0] if len(some) == 1 else {"anyOf": some}
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": one,
               **({"description": about} if about else {})}


def _responses(function: Function, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done." if function.gives is None else "The reply."}
    if isinstance(function.gives, str):
        good["content"] = {function.gives: {"schema": {"type": "string"}}}
    elif function.gives is not None:
        good["content"] = {"application/json": {"schema": schemas[function.id, "gives"]}}
    if _has_revision(function):
        good["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "The revision, for If-Match."}}
    found: dict[int, list[str]] = {}
    for kind in _refusals(function):
        found.setdefault(kind.status, []).append(kind.code_name or kind.__name__)
    refused = {"application/json": {"schema": schemas["", "error"]}}
    bad = {str(status): {"description": ", ".join(dict.fromkeys(names)), "content": refused} for status, names in sorted(found.items())}
    return {str(function.status): good, **bad, "default": {"description": "Any other error.", "content": refused}}


def _refusals(function: Function) -> Iterator[type[errors.S3Error]]:
    """What a call can be refused with: what every such function can, and what its docstring says it raises."""
    yield errors.InvalidFields
    if function.allow != (ANYONE,):
        yield from (errors.NotSignedIn, errors.AccessDenied, sessions.PasswordChangeRequired, sessions.TwoFactorRequired)
        if not function.line.startswith(SAFE):
            yield from (sessions.CsrfTokenRequired, sessions.ForeignOrigin)
    if "{" in function.line:
        yield errors.NotFound
    if function.takes is not None:
        yield from (errors.MalformedJSON, errors.RequestTooLarge, errors.UnsupportedMediaType)
    yield errors.TooManyRequests
    raised = (function.call.__doc__ or "").partition("Raises ")[2]
    known = _known_refusals()
    yield from (known[name] for name in re.findall(r"\b[A-Z]\w+", raised) if name in known)


@cache
def _known_refusals() -> dict[str, type[errors.S3Error]]:
    """Every error by the name of its class."""
    found: dict[str, type[errors.S3Error]] = {}
    waiting: list[type[errors.S3Error]] = [errors.S3Error]
    while waiting:
        more = waiting.pop().__subclasses__()
        found |= {kind.__name__: kind for kind in more}
        waiting += more
    return found


WORDS = {"string": "text", "integer": "number", "boolean": "true or false", "object": "document"}


def kind_of(schema: dict[str, Any]) -> str:
    """A schema in a few words: ``text``, ``number``, ``list of User``, ``User or null``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " or ".join(f"`{value}`" for value in values)
    if several := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(kind_of(one) for one in several)
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"names with {kind_of(schema['additionalProperties'])}"
    return WORDS.get(kind, str(kind))
