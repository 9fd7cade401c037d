"""Reading a request of the admin API: its query, its JSON body and its If-Match, or the refusal that says what is wrong."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.admin.errors import InvalidFields, MalformedJSON, NotFound, PreconditionFailed, UnsupportedMediaType, fields_of
from shared.admin.model import Form
from shared.request import Request

MOST_PARAMETERS = 100
MOST_NUMBER = (1 << 63) - 1         # what both databases hold
MOST_DEPTH = 32                     # of a body; a policy needs six
MOST_MEMBERS = 1000                 # of one object: each that is unknown costs a fault to tell
_UNFIT = "A NUL or half a character cannot be in it."
_ETAG = re.compile(r'"([0-9]{1,18})"')


@lru_cache(512)
def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Reads and writes values of a type."""
    return TypeAdapter(kind)


def path_value(name: str, raw: str) -> str:
    """One part of a path, decoded. Raises NotFound for what names nothing: no UTF-8, or a NUL outside an object's key."""
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise NotFound() from None
    if "\0" in text and name != "key":
        raise NotFound()
    return text


def query_of(text: str, model: type[BaseModel] | None) -> Any:
    """The parameters as an instance of the model. Raises InvalidFields, with a question mark before each name."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise InvalidFields("The query is not UTF-8, or has too many parameters.") from None
    if model is None:
        if pairs:
            raise InvalidFields(fields={"?" + name: "There is no such parameter." for name, _ in pairs})
        return None
    given: dict[str, Any] = {}
    passes_over = model.model_config.get("extra") == "ignore"
    for name, value in pairs:
        if passes_over and name not in model.model_fields:
            continue
        if "\0" in value and name not in ("key", "prefix", "after"):
            raise InvalidFields(fields={"?" + name: "A NUL cannot be in it."})
        if name in model.model_fields and _is_list(model.model_fields[name].annotation):
            given.setdefault(name, []).append(value)
        elif name in given:
            raise InvalidFields(fields={"?" + name: "It is there twice."})
        else:
            given[name] = value
    try:
        made = model.model_validate(given)
    except ValidationError as error:
        raise InvalidFields(fields=fields_of(error, "?")) from None
    for name in given:
        if isinstance(number := getattr(made, name), int) and abs(number) > MOST_NUMBER:
            raise InvalidFields(fields={"?" + name: "The number is too large."})
    return made


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list


def body_of(request: Request, body: bytes, model: Any) -> Any:
    """The body as an instance of the model; no body at all is an empty document.

    Raises InvalidFields, MalformedJSON, UnsupportedMediaType.
    """
    if model is None:
        if body:
            raise InvalidFields("This request takes no body.")
        return None
    media_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if isinstance(model, type) and issubclass(model, Form):
        return _form(body, media_type, model)
    if body and media_type != "application/json":
        raise UnsupportedMediaType()
    return document(body or b"{}", model)


def _form(body: bytes, media_type: str, model: type[Form]) -> Form:
    if media_type != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("The body must be application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
        return model.model_validate(dict(pairs))
    except ValidationError as error:        # before ValueError, which it is
        raise InvalidFields(fields=fields_of(error)) from None
    except ValueError:
        raise InvalidFields("The form is not UTF-8, or has too many fields.") from None


def document(text: bytes, model: Any) -> Any:
    """A JSON document as an instance of the model. Raises InvalidFields, MalformedJSON."""
    try:
        plain = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedJSON(f"The body is not a JSON document: {error}" if isinstance(error, json.JSONDecodeError) else None) from None
    _refuse_what_no_database_holds(plain, ())
    try:
        return adapter_of(model).validate_json(text, strict=True)
    except ValidationError as error:
        raise InvalidFields(fields=fields_of(error)) from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_MEMBERS:
        raise ValueError("an object has too many members")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _refuse_what_no_database_holds(value: Any, path: tuple[str, ...]) -> None:
    """NUL, halves of characters, and numbers beyond 64 bits. Raises InvalidFields; MalformedJSON for what is nested too deeply.

    ``path`` is put together for a fault only: the paths of a deep document with long names would take hundreds of times its size.
    """
    if len(path) > MOST_DEPTH:
        raise MalformedJSON("The body is nested too deeply.")
    if isinstance(value, str):
        if _is_unfit(value):
            raise InvalidFields(fields={".".join(path): _UNFIT})
    elif isinstance(value, int):
        if abs(value) > MOST_NUMBER:
            raise InvalidFields(fields={".".join(path): "The number is too large."})
    elif isinstance(value, dict):
        for name, one in value.items():
            if _is_unfit(name):
                raise InvalidFields(fields={".".join((*path, ascii(name)[1:-1])): _UNFIT})
            _refuse_what_no_database_holds(one, (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            _refuse_what_no_database_holds(one, (*path, str(number)))


def _is_unfit(text: str) -> bool:
    return "\0" in text or re.search("[\ud800-\udfff]", text) is not None


def revision_wanted(request: Request) -> int | None:
    """What If-Match expects; None when anything will do. Raises PreconditionFailed for a tag that no reply of ours had."""
    text = (request.header("if-match") or "").strip()
    if text in ("", "*"):
        return None
    found = _ETAG.fullmatch(text)
    if found is None:
        raise PreconditionFailed("If-Match does not have the ETag of any reply.")
    return int(found[1])
