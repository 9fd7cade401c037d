"""The S3 service model: from a request to the operation it asks for."""

from __future__ import annotations

import gzip
import json
import pathlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from shared.errors import InvalidArgument
from shared.protocol import parameters, wire
from shared.protocol.codec import Operation
from shared.protocol.scalars import Shape
from shared.protocol.xml_shapes import Shapes

_UNUSED = {"documentation", "documentationUrl", "contextParam", "authorizers", "examples"}


class Model:
    """The operations of a service and the way from a request to one of them. ``added`` are those that its model lacks."""

    def __init__(self, raw: Shape) -> None:
        shapes = Shapes(_extended(raw["shapes"]))
        self.operations: dict[str, Operation] = {
            name: Operation(shapes, name, one) for name, one in raw["operations"].items() if name not in wire.SKIPPED
        }
        self.added: dict[str, Operation] = {name: Operation(shapes, name, _added(raw, one)) for name, one in _additions(raw)}
        self._routes: dict[tuple[str, str], list[Operation]] = {}
        self._triggers: dict[tuple[str, str, str], list[Operation]] = {}  # by one query name the operation cannot do without
        for operation in sorted([*self.operations.values(), *self.added.values()], key=_demands, reverse=True):
            line = (operation.method, operation.level)
            self._routes.setdefault(line, []).append(operation)
            if trigger := next(iter(operation.literals), None) or next(iter(sorted(operation.needs)), None):
                self._triggers.setdefault((*line, trigger), []).append(operation)
        self.subresources: frozenset[str] = frozenset(wire.SUBRESOURCES).union(
            name for op in self.operations.values() for name, value in op.literals.items() if not value
        )
        self._telling = self.subresources.union(*(op.claims for op in (*self.operations.values(), *self.added.values())))
        self._bare = {line: [op for op in operations if not op.needs and not op.literals] for line, operations in self._routes.items()}

    def resolve(self, method: str, level: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Operation | None:
        """The operation a request asks for; None when nobody claims its line or its sub-resource.

        ``query`` holds decoded names, ``headers`` lower-case names. Unknown query names without meaning are ignored.
        Raises InvalidArgument for a PUT of half a part: ``partNumber`` without ``uploadId`` or the reverse.
        """
        line = (method, level)
        if not query or self._telling.isdisjoint(query):
            for op in self._bare.get(line, ()):
                if not op.routed_headers or all(name in headers for name in op.routed_headers):
                    return op
            return None
        candidates = [op for name in query for op in self._triggers.get((method, level, name), ())]
        candidates.sort(key=_demands, reverse=True)
        for op in (*candidates, *self._bare.get(line, ())):
            if op.matches(query, headers):
                if line == ("PUT", "object"):
                    _refuse_half_a_part(op, query)
                unclaimed = (name for name in query if name in self.subresources and name not in op.claims)
                return None if any(unclaimed) else op
        return None

    def name_of(self, method: str, level: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
        """What a request seems to ask for: an operation's name, else its sub-resource or line. For messages and labels."""
        try:
            if found := self.resolve(method, level, query, headers):
                return found.name
        except InvalidArgument:
            return "UploadPart"
        asked = [name for name in query if name in self.subresources]
        for op in self._routes.get((method, level), ()):
            if asked and asked[0] in op.literals:
                return op.name
        return f"{method} ?{asked[0]}" if asked else f"{method} {level}"


def _additions(raw: Shape) -> list[tuple[str, dict[str, str]]]:
    return list(wire.ADDED.items()) if "PutObject" in raw["operations"] else []


def _added(raw: Shape, one: dict[str, str]) -> Shape:
    """An addition as the model would have it."""
    like = raw["operations"].get(one.get("like", ""), {})
    given = {"input": like["input"]} if like else {}
    return {**given, "http": {"method": one["method"], "requestUri": one["uri"]}, "level": one.get("level")}


def _demands(op: Operation) -> tuple[int, int]:
    """The most demanding operation is tried first."""
    return len(op.claims), len(op.routed_headers)


def _refuse_half_a_part(op: Operation, query: Mapping[str, str]) -> None:
    present = [name for name in wire.PART_PARAMETERS if name in query]
    if len(present) == 1 and not op.literals:
        name = present[0]
        raise parameters.invalid(name, query[name], "This operation does not accept a query-string.")


def _extended(shapes: dict[str, Shape]) -> dict[str, Shape]:
    """Add the members other servers' clients send."""
    for name, members in wire.EXTENSIONS.items():
        for member, (shape, definition) in members.items():
            if definition is not None:
                shapes.setdefault(shape, definition)
            shapes[name]["members"].setdefault(member, {"shape": shape})
    return shapes


@lru_cache(maxsize=4)
def load_model(service: str = "s3") -> Model:
    """The model of a service, read once from the data botocore ships; botocore itself is not imported.

    Raises KeyError for a service whose request lines this codec does not speak.
    """
    return Model(read_model(service, wire.VERSIONS[service]))


def read_model(service: str, version: str) -> dict[str, Any]:
    """What botocore's data say of a service, without the parts for people."""
    found = find_spec("botocore")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("botocore is not installed")
    file = pathlib.Path(found.submodule_search_locations[0]) / "data" / service / version / "service-2.json.gz"
    raw: dict[str, Any] = json.loads(
        gzip.decompress(file.read_bytes()),
        object_hook=lambda part: {name: value for name, value in part.items() if name not in _UNUSED},
    )
    return raw
