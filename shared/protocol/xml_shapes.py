"""XML in and out, by the shapes of the service model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Protocol

from lxml import etree

from shared.errors import MalformedXML
from shared.protocol import scalars, wire
from shared.protocol.scalars import Shape, xml_text

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_XSI_PREFIX = "xsi:"


def malformed(detail: str) -> MalformedXML:
    """The error for a body we cannot use, naming (at most 120 characters of) what is wrong with it."""
    return MalformedXML(f"{MalformedXML.message}: {detail[:120]}")


def parse(body: bytes, root: str) -> etree._Element:
    """Parse a body whose root has this local name, in any namespace or none.

    Safe on hostile input: no entities, no document type, no network, libxml2's own depth limit. Comments and processing
    instructions are dropped. Raises MalformedXML.
    """
    if b"<!DOCTYPE" in body:  # before parsing; in other encodings the check after it decides
        raise malformed("a document type is not allowed")
    settings = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        tree = etree.fromstring(body, settings)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise malformed(str(getattr(error, "msg", error))) from None
    if tree.getroottree().docinfo.internalDTD is not None:
        raise malformed("a document type is not allowed")
    if local(tree) != root:
        raise malformed(f"expected <{root}>, found <{local(tree)}>")
    return tree


def local(node: etree._Element) -> str:
    """The name of an element without its namespace."""
    return str(node.tag).rpartition("}")[2]


def document(inner: str) -> bytes:
    """A whole XML document."""
    return (DECLARATION + inner).encode("utf-8")


class Xml(Protocol):
    """One shape in XML."""

    def read(self, node: etree._Element) -> Any:
        """The value an element holds. Raises MalformedXML."""
        ...

    def write(self, out: list[str], tag: str, value: Any, attributes: str = "") -> None:
        """Append the element to ``out``."""
        ...


class Scalar:
    """Text, a number, a date, a boolean, bytes in base64."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.parse = scalars.parser(shape, "iso8601")
        self.format = scalars.formatter(shape, "iso8601")
        self.enum = frozenset(shape["enum"]) if "enum" in shape and name not in wire.OPEN_ENUMS else None

    def read(self, node: etree._Element) -> Any:
        if len(node):
            raise malformed(f"unexpected <{local(node[0])}>")
        return self.value(node.text or "", local(node))

    def value(self, text: str, tag: str) -> Any:
        """The value of this text. Raises MalformedXML naming the tag."""
        if self.enum is not None and text not in self.enum:
            raise malformed(f"<{tag}> cannot be {text}")
        if self.parse is None:
            return text
        try:
            return self.parse(text)
        except ValueError:
            raise malformed(f"<{tag}> cannot be {text}") from None

    def text(self, value: Any) -> str:
        """The value as escaped text."""
        return xml_text(value if self.format is None else self.format(value))

    def write(self, out: list[str], tag: str, value: Any, attributes: str = "") -> None:
        out.append(f"<{tag}{attributes}>{self.text(value)}</{tag}>")


class Listing:
    """A list with an element around its items."""

    def __init__(self, item: Xml, tag: str) -> None:
        self.item, self.tag = item, tag

    def read(self, node: etree._Element) -> list[Any]:
        for child in node:
            if local(child) != self.tag:
                raise malformed(f"unexpected <{local(child)}>")
        return [self.item.read(child) for child in node]

    def write(self, out: list[str], tag: str, value: Iterable[Any], attributes: str = "") -> None:
        out.append(f"<{tag}{attributes}>")
        for one in value:
            self.item.write(out, self.tag, one)
        out.append(f"</{tag}>")


class Structure:
    """Named members; tables are built at first use."""

    def __init__(self, shapes: Shapes, shape: Shape) -> None:
        self.shapes, self.shape = shapes, shape
        self.union = bool(shape.get("union"))

    @cached_property
    def members(self) -> list[tuple[str, str, bool, Xml]]:
        """(member, element or attribute name, one of a flattened list?, its XML) of everything that lives in the body."""
        return [(name, *self.shapes.element(name, member)) for name, member in self.shape["members"].items() if "location" not in member]

    @cached_property
    def readers(self) -> dict[str, tuple[str, bool, Callable[[etree._Element], Any]]]:
        """Element name → (member, flattened?, reader)."""
        return {tag: (name, flat, xml.read) for name, tag, flat, xml in self.members if not tag.startswith(_XSI_PREFIX)}

    @cached_property
    def attributes(self) -> list[tuple[str, str, Scalar]]:
        """(member, ``xsi:`` attribute, its XML)."""
        return [(name, tag, xml) for name, tag, _, xml in self.members if tag.startswith(_XSI_PREFIX) and isinstance(xml, Scalar)]

    @cached_property
    def required(self) -> list[str]:
        """Members of the body that must be there."""
        return [name for name in self.shape.get("required", ()) if "location" not in self.shape["members"][name]]

    def read(self, node: etree._Element) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for child in node:
            tag = local(child)
            known = self.readers.get(tag)
            if known is None:
                raise malformed(f"unexpected <{tag}>")
            name, flat, read = known
            if flat:
                out.setdefault(name, []).append(read(child))
            elif name in out:
                raise malformed(f"<{tag}> appears twice")
            else:
                out[name] = read(child)
        if self.attributes:
            self._read_attributes(node, out)
        for name in self.required:
            if name not in out:
                raise malformed(f"<{name}> is missing in <{local(node)}>")
        if self.union and len(out) > 1:
            raise malformed("choose one of " + ", ".join(out))
        return out

    def _read_attributes(self, node: etree._Element, out: dict[str, Any]) -> None:
        for name, tag, xml in self.attributes:
            text = node.get(f"{{{wire.XSI}}}{tag[len(_XSI_PREFIX) :]}")
            if text is None:  # some clients leave it out: the member that is there tells
                text = next((kind for member, kind in wire.GRANTEE_TYPES.items() if member in out), None)
            if text is not None:
                out[name] = xml.value(str(text), tag)

    def write(self, out: list[str], tag: str, value: dict[str, Any], attributes: str = "") -> None:
        for name, attribute, xml in self.attributes:
            if value.get(name) is not None:
                attributes += f' xmlns:xsi="{wire.XSI}" {attribute}="{xml.text(value[name])}"'
        out.append(f"<{tag}{attributes}>")
        for name, member_tag, flat, member in self.members:
            item = value.get(name)
            if item is None or member_tag.startswith(_XSI_PREFIX):
                continue
            if flat:
                for one in item:
                    member.write(out, member_tag, one)
            else:
                member.write(out, member_tag, item)
        out.append(f"</{tag}>")


class Shapes:
    """The shapes of one service, turned into XML readers and writers as they are needed."""

    def __init__(self, raw: dict[str, Shape]) -> None:
        self.raw = raw
        self._made: dict[str, Xml] = {}

    def __getitem__(self, name: str) -> Shape:
        return self.raw[name]

    def xml(self, name: str) -> Xml:
        """How this shape is read and written."""
        if name not in self._made:
            self._made[name] = self._make(name, self.raw[name])
        return self._made[name]

    def structure(self, name: str) -> Structure:
        """The same for a shape known to be a structure."""
        made = self.xml(name)
        if not isinstance(made, Structure):
            raise TypeError(name)
        return made

    def _make(self, name: str, shape: Shape) -> Xml:
        if shape["type"] == "structure":
            return Structure(self, shape)
        if shape["type"] == "list":
            return Listing(self.xml(shape["member"]["shape"]), shape["member"].get("locationName", "member"))
        return Scalar(name, shape)

    def element(self, name: str, member: Shape) -> tuple[str, bool, Xml]:
        """(element name, one of a flattened list?, its XML) of a member.

        A flattened list has no element around it; its items are named by the member, else by the list, else like the member.
        """
        shape = self.raw[member["shape"]]
        if shape["type"] == "list" and (shape.get("flattened") or member.get("flattened")):
            tag = member.get("locationName") or shape["member"].get("locationName", name)
            return tag, True, self.xml(shape["member"]["shape"])
        return member.get("locationName", name), False, self.xml(member["shape"])
