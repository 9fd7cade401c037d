"""Calling an S3 function without HTTP: boto3's arguments become a request, and its reply becomes what boto3 would return.

The request takes every step of the pipeline but the signature, so nothing is accepted here that the server would refuse.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import urlencode

from botocore.awsrequest import HeadersDict
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from shared import intake
from shared.auth.model import Authenticated, Payload
from shared.context import Context
from shared.errors import InvalidRequest
from shared.host.contract import Body, MemorySink
from shared.meta import people
from shared.pipeline import NO_TARGET, Pipeline
from shared.protocol import wire
from shared.registry import Function
from shared.request import Reply, Request
from shared.services import Services

BLOCK_BYTES = 1 << 20


class UnfitArguments(ValueError):
    """The arguments are not those of the function: a name it does not know, one that is missing, a value of the wrong kind."""


def call(services: Services, functions: dict[str, Function], function: Function, arguments: Mapping[str, Any],
         body: BinaryIO | None = None) -> dict[str, Any]:
    """Call an S3 function as root. A ``Body`` among the results is a file to be read and closed.

    ``body`` is read to its end, for functions that take bytes. Raises UnfitArguments, and what the function raises.
    """
    if function.name not in _service().operation_names:
        raise UnfitArguments(f"{function.id} is for browsers, which call it by its line")
    given, body = _with_body(function, dict(arguments), body)
    _check(function, given)
    request, document = _request_of(function, given, body)
    ctx = Context(services, request, NO_TARGET, {}, {})
    ctx.auth, ctx.caller = Authenticated("header", Payload()), people.root()
    pipeline = Pipeline(services, functions)
    for step in pipeline.before_body:
        if step != pipeline.authenticate:
            step(ctx)
    if ctx.function is not function:
        raise InvalidRequest(f"These arguments do not make a {function.name} request.")
    return _answer_of(function, _called(ctx, function, document, body))


def _called(ctx: Context, function: Function, document: bytes, body: BinaryIO | None) -> Reply | dict[str, Any]:
    assert ctx.operation is not None
    path = {"Bucket": ctx.target.bucket, "Key": ctx.target.key}
    ctx.params = ctx.operation.read(path, ctx.query, ctx.headers, document)
    with ExitStack() as at_the_end:
        if body is not None:
            sink = intake.admit(ctx, Payload()).sink
            at_the_end.callback(sink.discard)
            size = 0
            while block := body.read(BLOCK_BYTES):
                sink.write(memoryview(block))
                size += len(block)
            ctx.body = Body(sink, bytes(sink.data) if isinstance(sink, MemorySink) else b"", size=size)
        return function.call(ctx) or {}


# ---- arguments → request ------------------------------------------------------------------------------------------------------------


@cache
def _service() -> Any:
    return ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")


def _with_body(function: Function, arguments: dict[str, Any], body: BinaryIO | None) -> tuple[dict[str, Any], BinaryIO | None]:
    """The arguments without Body, and the bytes to send: a file's, or text that was given as Body."""
    assert function.operation is not None
    if not function.operation.takes_bytes:
        if body is not None:
            raise UnfitArguments(f"{function.id} takes no body")
        return arguments, None
    text = arguments.pop("Body", None)
    if text is not None and (body is not None or not isinstance(text, str)):
        raise UnfitArguments("Body must be text" if body is None else "there are two bodies: a file, and Body among the arguments")
    return arguments, body or BytesIO((text or "").encode())


def _check(function: Function, arguments: dict[str, Any]) -> None:
    report = ParamValidator().validate(arguments, _service().operation_model(function.name).input_shape)
    if report.has_errors():
        raise UnfitArguments("; ".join(report.generate_report().splitlines()))


def _request_of(function: Function, arguments: dict[str, Any], body: BinaryIO | None) -> tuple[Request, bytes]:
    model = _service().operation_model(function.name)
    made = create_serializer("rest-xml", include_validation=False).serialize_to_request(arguments, model)
    path, _, query = made["url_path"].partition("?")
    pairs = [(name, value) for name, value in made["query_string"].items()] if made["query_string"] else []
    target = path + "?" + "&".join(part for part in (query, urlencode(pairs, doseq=True)) if part)
    headers = [(name, _latin(str(value))) for name, value in made["headers"].items()]
    document = b"" if body is not None else made["body"] or b""
    if document:
        headers.append(("Content-MD5", b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode()))
    size = len(document) if body is None else _size_of(body)
    return Request(made["method"], target.rstrip("?"), headers, content_length=size, chunked=size is None), document


def _latin(text: str) -> str:
    """Header text as it goes over the wire: UTF-8 bytes, each shown as a latin-1 character."""
    return text.encode().decode("latin-1")


def _size_of(body: BinaryIO) -> int | None:
    """How many bytes will come; None when only reading tells (a pipe)."""
    with suppress(OSError):
        if body.seekable():
            here = body.tell()
            size = body.seek(0, os.SEEK_END) - here
            body.seek(here)
            return size
    return None


# ---- reply → result -----------------------------------------------------------------------------------------------------------------


def _answer_of(function: Function, result: Reply | dict[str, Any]) -> dict[str, Any]:
    """The result in boto3's shape. botocore reads it from the reply, so it is what a client would see."""
    operation = function.operation
    assert operation is not None
    if operation.name in wire.TEXT_ROOTS and isinstance(result, dict):
        return result       # botocore cannot read these either
    reply = result if isinstance(result, Reply) else Reply(*operation.write(result))
    shape = _service().operation_model(operation.name).output_shape
    if shape is None:
        return {}
    headers = HeadersDict(reply.headers)
    expires = headers.pop("Expires", None)      # any text may be stored, not only dates
    body: Any = reply.body
    if "payload" in shape.serialization and shape.members[shape.serialization["payload"]].type_name == "blob":
        body = BytesIO(body) if isinstance(body, bytes) else body
        headers["Content-Length"] = str(len(reply.body) if isinstance(reply.body, bytes) else reply.length)
    parsed: dict[str, Any] = create_parser("rest-xml").parse({"status_code": reply.status, "headers": headers, "body": body}, shape)
    del parsed["ResponseMetadata"]
    return parsed | ({"ExpiresString": expires} if expires is not None else {})
