"""Every configuration document of a bucket: what AWS refuses is refused with its code, and what was set before stays as it was."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.s3.configuration_documents import KINDS, MIB
from tests.s3.raw import Answer, Raw

AWS = "http://s3.amazonaws.com/doc/2006-03-01/"


class Place:
    """A bucket on which every document may be set, with one of each."""

    def __init__(self, raw: Raw, bucket: str, other: str, owner: str) -> None:
        self.raw, self.bucket = raw, bucket
        self.names = {"bucket": bucket, "other": other, "owner": owner}

    def document(self, kind: str, inside: str | None = None, attributes: str = "") -> bytes:
        root = KINDS[kind].root
        text = KINDS[kind].good if inside is None else inside
        return f"<{root}{attributes}>{text.format(**self.names)}</{root}>".encode()

    def put(self, kind: str, body: bytes, digest: bytes | None = None) -> Answer:
        md5 = base64.b64encode(hashlib.md5(body).digest() if digest is None else digest).decode()
        return self.raw("PUT", f"/{self.bucket}?{kind}{KINDS[kind].query}", [("Content-MD5", md5)], body)

    def shown(self, kind: str) -> bytes:
        answer = self.raw("GET", f"/{self.bucket}?{kind}{KINDS[kind].query}")
        assert answer.status == 200, answer
        return answer.body


@pytest.fixture(scope="module")
def place(s3: Any, raw: Raw) -> Place:
    names = [f"b-{os.urandom(8).hex()}" for _ in range(2)]
    for name in names:
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True, ObjectOwnership="ObjectWriter")
    made = Place(raw, *names, s3.list_buckets()["Owner"]["ID"])
    for kind in KINDS:
        answer = made.put(kind, made.document(kind))
        assert answer.status in (200, 204), (kind, answer)
    return made


def refuses(place: Place, kind: str, body: bytes, code: str, **how: Any) -> None:
    before = place.shown(kind)
    answer = place.put(kind, body, **how)
    assert (answer.status // 100, answer.code) == (4, code), (kind, body[:300], str(answer))
    assert place.shown(kind) == before, kind


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, one in KINDS.items() for name in one.bad])
def test_a_document_that_says_something_wrong(place, kind, name):
    inside, code = KINDS[kind].bad[name]
    refuses(place, kind, place.document(kind, inside), code)


@pytest.mark.parametrize("kind", KINDS)
def test_the_wrong_root(place, kind):
    root, good = KINDS[kind].root.encode(), place.document(kind)
    for body in (good.replace(root, b"Wrong"), good.replace(root, root.lower()), b"<a>" + good + b"</a>", b"<Error/>"):
        refuses(place, kind, body, KINDS[kind].broken)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_xml(place, kind):
    good = place.document(kind)
    deep = b"<a>" * 5000 + b"</a>" * 5000
    entity = b'<!DOCTYPE x [<!ENTITY e "Enabled">]>' + good
    for body in (b"{}", good[:-1], good + good, b"\xff\xfe", good.replace(b"<", b"<\0", 1), deep, entity):
        refuses(place, kind, body, KINDS[kind].broken)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_element_wherever_there_may_be_one(place, kind):
    whole = ElementTree.fromstring(place.document(kind))
    for element in [whole, *(one for one in whole.iter() if len(one) and one is not whole)]:
        odd = ElementTree.SubElement(element, "Odd")
        refuses(place, kind, ElementTree.tostring(whole), KINDS[kind].broken)
        element.remove(odd)


@pytest.mark.parametrize("kind", KINDS)
def test_a_megabyte(place, kind):
    good, root = place.document(kind), KINDS[kind].root.encode()
    refuses(place, kind, good.replace(b"</" + root, b" " * KINDS[kind].most + b"</" + root), "MaxMessageLengthExceeded")
    refuses(place, kind, good.replace(b"</" + root, b"<Odd>" + b"x" * (KINDS[kind].most - 65536) + b"</Odd></" + root),
            "MaxMessageLengthExceeded" if KINDS[kind].most == MIB else KINDS[kind].broken)


@pytest.mark.parametrize("kind", KINDS)
def test_a_digest_of_something_else(place, kind):
    refuses(place, kind, place.document(kind), "BadDigest", digest=hashlib.md5(b"other").digest())
    refuses(place, kind, place.document(kind), "InvalidDigest", digest=b"short")


@pytest.mark.parametrize("kind", KINDS)
def test_any_namespace_or_none_will_do(place, kind):
    before = place.shown(kind)
    for namespace in ("", f' xmlns="{AWS}"', ' xmlns="urn:odd"'):
        answer = place.put(kind, place.document(kind, attributes=namespace))
        assert answer.status in (200, 204), answer
        assert place.shown(kind) == before


@pytest.mark.parametrize("kind", KINDS)
def test_no_document_at_all(place, kind):
    refuses(place, kind, b"", KINDS[kind].empty)
