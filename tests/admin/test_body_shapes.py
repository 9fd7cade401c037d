"""Bodies whose shape is the attack: whatever a megabyte says, refusing it takes little more than a megabyte or two."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from functions.admin.auth import Credentials
from shared.admin import reading
from shared.admin.errors import InvalidFields, MalformedJSON


def nested(depth: int) -> bytes:
    """A megabyte of objects in objects, under long names."""
    name = b"a" * ((1 << 20) // depth - 8)
    return b"".join(b'{"' + name + b'":' for _ in range(depth)) + b"1" + b"}" * depth


WIDE = json.dumps({f"{number:x}": 1 for number in range(90_000)}, separators=(",", ":")).encode()


@pytest.mark.parametrize(("body", "megabytes"), [(nested(900), 8), (nested(200), 8), (nested(33), 8), (WIDE, 32)])
def test_what_is_deep_or_wide_is_refused_in_constant_memory(body, megabytes):
    tracemalloc.start()
    try:
        with pytest.raises(MalformedJSON):
            reading.document(body, Credentials)
        assert tracemalloc.get_traced_memory()[1] < megabytes << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("body", "path"), [
    (b'{"a": [{"b": "\\u0000"}]}', "a.0.b"), (b'{"a": {"\\ud800": 1}}', "a.\\ud800"), (b'{"a": [9223372036854775808]}', "a.0"),
])
def test_faults_are_told_by_their_path(body, path):
    with pytest.raises(InvalidFields) as caught:
        reading.document(body, Credentials)
    assert list(caught.value.fields) == [path]
