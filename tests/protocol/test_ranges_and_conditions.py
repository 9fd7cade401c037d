"""Byte ranges and conditional requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidArgument, InvalidRange, NoSuchKey, NotModified, PreconditionFailed, S3Error
from shared.protocol.conditions import check_copy_source, check_read, parse_etags, write_condition
from shared.protocol.ranges import Span, parse_copy_range, parse_range


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=2-5", (2, 5)),
        ("bytes=2-", (2, 9)),
        ("bytes=0-99", (0, 9)),
        ("bytes=9-9", (9, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)),
        ("Bytes = 1 - 2 ", (1, 2)),
        ("bytes=0-" + "9" * 30, (0, 9)),
    ],
)
def test_ranges_of_ten_bytes(header, span):
    assert parse_range(header, 10) == span
    assert parse_range(header, 10).length == span[1] - span[0] + 1


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes",
        "0-1",
        "bytes=--1",
        "bytes=1.5-2",
        "bytes=٣-4",
        "bytes=0-" + "9" * 5000,
    ],
)
def test_what_is_no_range_is_ignored(header):
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_unsatisfiable(header, size):
    with pytest.raises(InvalidRange) as caught:
        parse_range(header, size)
    assert caught.value.fields == {"ActualObjectSize": str(size), "RangeRequested": header}
    assert caught.value.headers == {"Content-Range": f"bytes */{size}"}


def test_content_range():
    assert Span(2, 5).content_range(10) == "bytes 2-5/10"


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_span_is_what_slicing_gives(size, first, last):
    data = bytes(range(size))
    try:
        span = parse_range(f"bytes={first}-{last}", size)
    except InvalidRange:
        assert data[first : last + 1] == b""
    else:
        assert span is None if last < first else data[span.first : span.last + 1] == data[first : last + 1]


def test_copy_ranges():
    assert parse_copy_range("bytes=0-4", 5) == Span(0, 4)
    assert parse_copy_range("bytes=4-4", 5) == Span(4, 4)
    for header in ("bytes=0-5", "bytes=5-6"):
        with pytest.raises(InvalidRange):
            parse_copy_range(header, 5)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "0-2",
        "bytes=0",
        "bytes=hello-world",
        "bytes=0-bar",
        "bytes=hello-",
        "bytes=0-2,3-5",
        "bytes=0-",
        "bytes=-2",
        "bytes=3-2",
        "bytes=-1-2",
    ],
)
def test_improper_copy_ranges(header):
    with pytest.raises(InvalidArgument) as caught:
        parse_copy_range(header, 5)
    assert caught.value.fields["ArgumentName"] == "x-amz-copy-source-range"


# ---- conditions -----------------------------------------------------------------------------------------------------------------

MODIFIED_MS = 784111777_500  # Sun, 06 Nov 1994 08:49:37.5 GMT
BEFORE, SAME, AFTER = ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT")


@pytest.mark.parametrize(
    ("header", "listed"),
    [
        ('"a"', {"a"}),
        ("a", {"a"}),
        ('"a", "b"', {"a", "b"}),
        ("a,b", {"a", "b"}),
        ('W/"a"', {"a"}),
        ("*", {"*"}),
        ('"a,b"', {"a,b"}),
        ('"abc-2" ,W/"d"', {"abc-2", "d"}),
    ],
)
def test_etags(header, listed):
    etags = parse_etags(header)
    assert etags.listed == listed
    assert etags.any == ("*" in listed)


@pytest.mark.parametrize("header", [None, "", " ", ",", '""'])
def test_no_etags(header):
    assert parse_etags(header) is None or not parse_etags(header).has("a")


READS = [
    ({}, None),
    ({"if-match": '"e"'}, None),
    ({"if-match": "e"}, None),
    ({"if-match": 'W/"e"'}, None),
    ({"if-match": "*"}, None),
    ({"if-match": '"x", "e"'}, None),
    ({"if-match": '"x"'}, "If-Match"),
    ({"if-none-match": '"x"'}, None),
    ({"if-none-match": '"e"'}, 304),
    ({"if-none-match": '"x","e"'}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-none-match": ""}, None),
    ({"if-modified-since": BEFORE}, None),
    ({"if-modified-since": SAME}, 304),
    ({"if-modified-since": AFTER}, 304),
    ({"if-modified-since": "nonsense"}, None),
    ({"if-unmodified-since": BEFORE}, "If-Unmodified-Since"),
    ({"if-unmodified-since": SAME}, None),
    ({"if-unmodified-since": "nonsense"}, None),
    ({"if-match": '"e"', "if-unmodified-since": BEFORE}, None),
    ({"if-match": '"x"', "if-unmodified-since": AFTER}, "If-Match"),
    ({"if-none-match": '"e"', "if-modified-since": BEFORE}, 304),
    ({"if-none-match": '"x"', "if-modified-since": AFTER}, None),
    ({"if-match": '"x"', "if-none-match": '"e"'}, "If-Match"),
]


@pytest.mark.parametrize(("headers", "outcome"), READS)
def test_reads(headers, outcome):
    if outcome is None:
        check_read(headers, "e", MODIFIED_MS)
        return
    with pytest.raises(S3Error) as caught:
        check_read(headers, "e", MODIFIED_MS)
    if outcome == 304:
        assert isinstance(caught.value, NotModified)
        assert caught.value.headers == {"ETag": '"e"', "Last-Modified": SAME}
    else:
        assert isinstance(caught.value, PreconditionFailed)
        assert caught.value.fields == {"Condition": outcome}


@pytest.mark.parametrize(("headers", "outcome"), READS)
def test_copy_sources_fail_where_reads_would_not_send(headers, outcome):
    headers = {f"x-amz-copy-source-{name}": value for name, value in headers.items()}
    if outcome is None:
        check_copy_source(headers, "e", MODIFIED_MS)
        return
    with pytest.raises(PreconditionFailed) as caught:
        check_copy_source(headers, "e", MODIFIED_MS)
    assert caught.value.fields["Condition"].lower() in headers


def test_a_read_ignores_the_conditions_of_a_copy():
    check_read({"x-amz-copy-source-if-match": '"x"'}, "e", MODIFIED_MS)
    check_copy_source({"if-match": '"x"'}, "e", MODIFIED_MS)


@pytest.mark.parametrize(
    ("headers", "current", "error"),
    [
        ({"if-none-match": "*"}, None, None),
        ({"if-none-match": "*"}, "e", PreconditionFailed),
        ({"if-none-match": '"e"'}, "e", PreconditionFailed),
        ({"if-none-match": "x"}, "e", None),
        ({"if-match": '"e"'}, "e", None),
        ({"if-match": "e"}, "e", None),
        ({"if-match": "*"}, "e", None),
        ({"if-match": "*"}, None, NoSuchKey),
        ({"if-match": '"e"'}, None, NoSuchKey),
        ({"if-match": '"x"'}, "e", PreconditionFailed),
        ({"if-match": '"e"', "if-none-match": "*"}, "e", PreconditionFailed),
        ({"x-amz-if-match-size": "5"}, "e", None),
        ({"x-amz-if-match-size": "6"}, "e", PreconditionFailed),
        ({"x-amz-if-match-last-modified-time": SAME}, "e", None),
        ({"x-amz-if-match-last-modified-time": BEFORE}, "e", PreconditionFailed),
        ({"x-amz-if-match-size": "6"}, None, None),
    ],
)
def test_writes(headers, current, error):
    condition = write_condition(headers)
    if error is None:
        condition.check(current, modified_ms=MODIFIED_MS, size=5)
    else:
        with pytest.raises(error):
            condition.check(current, modified_ms=MODIFIED_MS, size=5)


@pytest.mark.parametrize("headers", [{}, {"if-none-match": ""}, {"if-match": " "}, {"if-modified-since": SAME}])
def test_unconditional_writes(headers):
    assert write_condition(headers) is None


def test_a_size_to_match_is_a_number():
    with pytest.raises(InvalidArgument):
        write_condition({"x-amz-if-match-size": "-5"})


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_is_survived(text):
    names = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
    try:
        check_read(dict.fromkeys(names, text), "e", MODIFIED_MS)
        write_condition(dict.fromkeys(names, text))
        parse_range(text, 10)
    except S3Error:
        pass
