"""Upload forms taken apart: the same fields and the same file, however the body is cut into blocks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceeded, PreconditionFailed
from shared.protocol.form import MAX_FIELD_BYTES, FormReader, boundary_of

BOUNDARY = b"b-1"
END = b"\r\n--b-1--\r\n"


def part(name, value, more=""):
    return f'--b-1\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def file_part(data, name="a.txt", more=""):
    return part("file", data, f'; filename="{name}"{more}').removesuffix(b"\r\n")


def taken(*blocks):
    """What a reader makes of a form: its fields, the name of its file, the file."""
    written = []
    reader = FormReader(BOUNDARY, written.append)
    for block in blocks:
        reader.feed(block)
    reader.finish()
    return reader.fields, reader.file_name, b"".join(written)


def cut(body, places):
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[first:last] for first, last in pairwise(edges)]


# Much of it looks like the beginning of a border.
CONTENT = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"\r\n--b", b"\r\n--b-", b"b-1", b"x", b"\r\n\r\n", b"\x00\xff"])).map(b"".join)


@given(CONTENT.filter(lambda data: b"\r\n--b-1" not in data), st.integers(1, 40), st.integers(0, 39))
def test_a_body_may_be_cut_anywhere(data, block, first):
    body = part("Key", b"k") + part("empty", b"") + file_part(data) + b"\r\n" + part("behind", b"ignored") + END.removeprefix(b"\r\n")
    assert taken(*cut(body, range(first, len(body), block))) == ({"key": "k", "empty": ""}, "a.txt", data)


def test_byte_by_byte():
    body = part("key", b"k") + file_part(b"\r\n--b-\r\n--b\r\n-" * 3) + END
    assert taken(*(body[at:at + 1] for at in range(len(body)))) == ({"key": "k"}, "a.txt", b"\r\n--b-\r\n--b\r\n-" * 3)


def test_a_field_comes_once_and_metadata_may_come_more_often():
    with pytest.raises(InvalidArgument, match="more than one field key"):
        taken(part("key", b"a") + part("Key", b"b") + file_part(b"") + END)
    fields, *_ = taken(part("x-amz-meta-a", b"1") + part("X-Amz-Meta-A", b"2") + file_part(b"") + END)
    assert fields == {"x-amz-meta-a": "1,2"}


@pytest.mark.parametrize(("name", "more", "expected"), [
    ("a.txt", "", "a.txt"), ("dir/a.txt", "", "a.txt"), (r"C:\dir\a.txt", "", "a.txt"), ("", "", ""), ("a/", "", ""),
    (r"a\"b", "", 'a"b'), ("a;b", "", "a;b"), ("x", "; filename*=UTF-8''%c3%bc%2Fb", "b"), ("x", "; filename*=utf-8'de'%c3%bc", "\xc3\xbc"),
])
def test_the_name_of_the_file(name, more, expected):
    assert taken(file_part(b"", name, more) + END)[1] == expected


def test_fields_are_bounded_and_files_are_not():
    head = part("key", b"k" * (MAX_FIELD_BYTES - 200))
    assert len(taken(head + file_part(b"x" * 100_000) + END)[2]) == 100_000
    for long in (part("key", b"k" * MAX_FIELD_BYTES) + file_part(b"") + END, b"x" * (MAX_FIELD_BYTES + 1)):
        with pytest.raises(MaxPostPreDataLengthExceeded):
            taken(*cut(long, range(0, len(long), 1000)))


@pytest.mark.parametrize("body", [
    b"", b"--b-1", part("key", b"k"), file_part(b"x"), file_part(b"x") + b"\r\n--b-1", file_part(b"x") + b"\r\n--b-1x\r\n",
    b"--b-1\r\nContent-Type: text/plain\r\n\r\nx" + END, b'--b-1\r\nContent-Disposition: form-data; filename="a"\r\n\r\nx' + END,
])
def test_what_is_cut_off_or_no_form(body):
    with pytest.raises(MalformedPOSTRequest):
        taken(body)


def test_a_form_without_a_file():
    with pytest.raises(InvalidArgument, match="exactly one file"):
        taken(part("key", b"k").removesuffix(b"\r\n") + END)


@pytest.mark.parametrize(("text", "expected"), [
    ("multipart/form-data; boundary=b-1", b"b-1"), ('Multipart/Form-Data; charset=utf-8; boundary="b 1"; x=y', b"b 1"),
    ("multipart/form-data", MalformedPOSTRequest), ("multipart/form-data; boundary=", MalformedPOSTRequest),
    ("multipart/form-data; boundary=" + "b" * 71, MalformedPOSTRequest), ("text/plain; boundary=b", PreconditionFailed),
    ("", PreconditionFailed),
])
def test_boundaries(text, expected):
    if isinstance(expected, bytes):
        assert boundary_of(text) == expected
    else:
        with pytest.raises(expected):
            boundary_of(text)
