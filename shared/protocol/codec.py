"""One operation of the service model: a request into a dict, a dict into a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote

from shared.errors import InvalidArgument, MalformedACLError, MalformedPolicy, MalformedXML, MissingRequestBodyError
from shared.protocol import parameters, scalars, wire, xml_shapes
from shared.protocol.scalars import Shape, xml_text

Level = Literal["service", "bucket", "object", "website", "control", "query"]
LEVELS: tuple[Level, ...] = ("service", "bucket", "object")


class Operation:
    """One operation: which requests it takes, how they are read, how its result is written.

    ``method``, ``level`` ("service", "bucket", "object") and ``status`` (success) are the model's; ``takes_bytes`` is true when
    the request's payload is bytes and not XML; ``takes_body`` when it has any payload; ``checksum_required`` when a
    request without Content-MD5 or checksum must be refused.
    """

    def __init__(self, shapes: xml_shapes.Shapes, name: str, raw: Shape) -> None:
        self.name: str = name
        self.method: str = raw["http"]["method"]
        path, _, query = raw["http"]["requestUri"].partition("?")
        self.level: Level = raw.get("level") or LEVELS[path.count("{")]
        self.literals: dict[str, str] = {k: v for k, _, v in (pair.partition("=") for pair in query.split("&") if pair)}
        self.status: int = wire.STATUS.get(name, raw["http"].get("responseCode", 200))
        self.checksum_required: bool = name in wire.CHECKSUM_REQUIRED
        self._shapes = shapes
        self._input_name: str | None = raw.get("input", {}).get("shape")
        self._input: Shape = shapes[self._input_name] if self._input_name else {"members": {}}
        self._input_root: str | None = raw.get("input", {}).get("locationName")
        self._output_name: str | None = raw.get("output", {}).get("shape")
        self._output: Shape = shapes[self._output_name] if self._output_name else {"members": {}}
        self._read_tables()
        self._write_tables()

    def __repr__(self) -> str:
        return f"<{self.name}: {self.method} {self.level} {'&'.join(self.literals)}>"

    def matches(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Does a request on this operation's method and level carry all that it asks for?"""
        return (
            all(name in query and (not value or query[name] == value) for name, value in self.literals.items())
            and all(name in query for name in self.needs)
            and all(name in headers for name in self.routed_headers)
        )

    def takes(self, name: str) -> bool:
        """Whether this query parameter or header (lower-case name) says something to the operation. In others it is a stray."""
        return name in self._query or name in self._headers

    # ---- request → dict -----------------------------------------------------------------------------------------------------

    def _read_tables(self) -> None:
        self._path: list[tuple[str, str]] = []
        self._query: dict[str, tuple[str, parameters.Parse | None]] = {}
        self._headers: dict[str, tuple[str, parameters.Parse | None]] = {}
        self._prefixed: tuple[str, str] | None = None  # (member, lower-case prefix)
        for name, member in self._input["members"].items():
            where, wire_name = member.get("location"), member.get("locationName", name)
            if where == "uri":
                self._path.append((name, wire_name))
            elif where == "querystring":
                self._query[wire_name] = (name, parameters.query_parser(wire_name, self._shapes[member["shape"]]))
            elif where == "header":
                self._headers[wire_name.lower()] = (name, parameters.header_parser(wire_name, self._shapes[member["shape"]]))
            elif where == "headers":
                self._prefixed = (name, wire_name.lower())
        required = [self._input["members"][name] for name in self._input.get("required", ())]
        self.needs: frozenset[str] = frozenset(m["locationName"] for m in required if m.get("location") == "querystring")
        self.claims: frozenset[str] = self.needs | self.literals.keys()
        self._needs_headers = frozenset(m["locationName"].lower() for m in required if m.get("location") == "header")
        self.routed_headers: frozenset[str] = frozenset() if self.name in wire.NOT_ROUTED else self._needs_headers
        payload: str | None = self._input.get("payload")
        self._payload = payload
        self._payload_kind: str | None = self._shapes[self._input["members"][payload]["shape"]]["type"] if payload else None
        self.takes_bytes: bool = self._payload_kind == "blob"
        self.takes_body: bool = bool(payload or self._input_root)

    def read(self, path: Mapping[str, Any], query: Mapping[str, str], headers: Mapping[str, str], body: bytes = b"") -> dict[str, Any]:
        """Turn a request into the keyword arguments boto3 would have been given.

        ``query`` holds decoded text, ``headers`` lower-case names and latin-1 text as sent. A payload of bytes is left out.
        Dates are aware datetimes; header and query text is not checked against enumerations.

        Raises InvalidArgument, MalformedXML, MalformedACLError, MalformedPolicy, MissingRequestBodyError.
        """
        out: dict[str, Any] = {name: path[wire_name] for name, wire_name in self._path}
        for wire_name, text in query.items():
            if known := self._query.get(wire_name):
                name, parse = known
                value = text if parse is None else parse(text)
                if value is not parameters.ABSENT:
                    out[name] = value
        for low, text in headers.items():
            if known := self._headers.get(low):
                name, parse = known
                value = text if parse is None else parse(text)
                if value is not parameters.ABSENT:
                    out[name] = value
            elif self._prefixed and low.startswith(self._prefixed[1]):
                out.setdefault(self._prefixed[0], {})[low[len(self._prefixed[1]) :]] = text
        for low in self._needs_headers:
            if not headers.get(low):
                raise InvalidArgument(f"The {low} header is either missing or empty", ArgumentName=low, ArgumentValue="")
        if self.takes_body and not self.takes_bytes:
            self._read_body(body, out)
        return out

    def _read_body(self, body: bytes, out: dict[str, Any]) -> None:
        payload = self._payload
        if self._payload_kind == "string":
            try:
                out[str(payload)] = body.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise MalformedPolicy() from None
        elif not body.strip():
            if payload is None or payload in self._input.get("required", ()):
                raise MissingRequestBodyError()
        else:
            try:
                if payload is None:
                    tree = xml_shapes.parse(body, str(self._input_root))
                    out.update(self._shapes.structure(str(self._input_name)).read(tree))
                else:
                    member = self._input["members"][payload]
                    tree = xml_shapes.parse(body, member.get("locationName", payload))
                    out[payload] = self._shapes.xml(member["shape"]).read(tree)
            except MalformedXML as error:
                raise MalformedACLError(error.message) if self.name in wire.ACL_BODIES else error from None

    # ---- dict → reply -------------------------------------------------------------------------------------------------------

    def _write_tables(self) -> None:
        self._out_headers: dict[str, tuple[str, Callable[[Any], str] | None]] = {}
        self._out_prefixed: tuple[str, str] | None = None
        body_members = False
        for name, member in self._output["members"].items():
            where = member.get("location")
            if where == "header":
                self._out_headers[name] = (
                    member["locationName"],
                    scalars.formatter(self._shapes[member["shape"]], "rfc822"),
                )
            elif where == "headers":
                self._out_prefixed = (name, member["locationName"])
            else:
                body_members = True
        self._out_payload: str | None = self._output.get("payload")
        self._root: str | None = wire.ROOTS.get(self.name, self.name + "Result") if body_members else None

    def write(self, result: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        """Turn what boto3 would return into (status, headers, body).

        Header names are spelled as the model spells them, values are latin-1 text without line ends. Dates may be aware datetimes
        or UTC milliseconds. A result key the operation does not know is ignored.
        """
        headers: list[tuple[str, str]] = []
        for name, value in result.items():
            if value is None:
                continue
            if known := self._out_headers.get(name):
                wire_name, to_text = known
                headers.append((wire_name, header_text(value if to_text is None else to_text(value))))
            elif self._out_prefixed and name == self._out_prefixed[0]:
                prefix = self._out_prefixed[1]
                headers += [(prefix + key, header_text(text)) for key, text in value.items()]
        if self._root is None:
            return self.status, headers, b""
        body, content_type = self._write_body(result)
        if content_type and "ContentType" not in self._out_headers:
            headers.append(("Content-Type", content_type))
        return self.status, headers, body

    def _write_body(self, result: Mapping[str, Any]) -> tuple[bytes, str | None]:
        namespace = f' xmlns="{wire.XMLNS}"'
        if root := wire.TEXT_ROOTS.get(self.name):
            return xml_shapes.document(f"<{root}{namespace}>{xml_text(result.get(root) or '')}</{root}>"), "application/xml"
        out: list[str] = []
        if payload := self._out_payload:
            member = self._output["members"][payload]
            shape = self._shapes[member["shape"]]
            value = result.get(payload)
            if shape["type"] != "structure" or shape.get("eventstream"):
                if value is None:
                    return b"", None
                return (value.encode(), "application/json") if isinstance(value, str) else (value, None)
            self._shapes.xml(member["shape"]).write(out, member.get("locationName", payload), value or {}, namespace)
        else:
            if self.name in wire.URL_ENCODED and result.get("EncodingType") == "url":
                result = _url_encoded(result, wire.URL_ENCODED[self.name])
            self._shapes.xml(str(self._output_name)).write(out, str(self._root), result, namespace)
        return xml_shapes.document("".join(out)), "application/xml"


def header_text(text: str) -> str:
    """Text that can stand in a header: wider characters as their UTF-8 bytes, line ends and NUL as spaces."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8").decode("latin-1")
    return text


def _url_encoded(result: Mapping[str, Any], fields: tuple[str | tuple[str, str], ...]) -> dict[str, Any]:
    out = dict(result)
    for field in fields:
        if isinstance(field, str):
            if out.get(field) is not None:
                out[field] = quote(out[field], safe="/")
        elif out.get(field[0]):
            name, member = field
            out[name] = [{**item, member: quote(item[member], safe="/")} if member in item else item for item in out[name]]
    return out
