"""Byte ranges: of a read, of a copied part."""

from __future__ import annotations

import re
from typing import NamedTuple

from shared.errors import InvalidArgument, InvalidRange

# More digits than any object has bytes are still numbers; a thousand of them are an attack on int().
# So are thousands of blanks, unless each run of them is taken whole (possessive quantifiers): the header is in no signature.
_RANGE = re.compile(r"\s*+bytes\s*+=\s*+([0-9]{0,30}+)\s*+-\s*+([0-9]{0,30}+)\s*+\Z", re.IGNORECASE)
_COPY_RANGE = re.compile(r"bytes=([0-9]{1,30})-([0-9]{1,30})\Z")
_COPY_RULE = (
    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets "
    "of the first and last bytes to copy"
)


class Span(NamedTuple):
    """A run of bytes, both ends included, counted from 0."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Bytes in the span."""
        return self.last - self.first + 1

    def content_range(self, size: int) -> str:
        """The Content-Range header of a reply with this span of ``size`` bytes."""
        return f"bytes {self.first}-{self.last}/{size}"


def parse_range(header: str | None, size: int) -> Span | None:
    """The span a Range header asks for out of ``size`` bytes.

    None means the whole: no header, more than one range, or nothing that can be read as one (ignored, RFC 9110 section 14.2).
    Raises InvalidRange, with Content-Range, when the range starts behind the end or is an empty suffix.
    """
    if not header or (match := _RANGE.match(header)) is None:
        return None
    first, last = match.groups()
    if first:
        if last and int(last) < int(first):
            return None
        span = Span(int(first), min(int(last), size - 1) if last else size - 1)
    elif last:
        span = Span(max(size - int(last), 0), size - 1)
    else:
        return None
    if span.first >= size:
        raise _unsatisfiable(header, size)
    return span


def parse_copy_range(header: str, size: int) -> Span:
    """The span of ``x-amz-copy-source-range``: exactly ``bytes=first-last``.

    Raises InvalidArgument for any other form, InvalidRange when it reaches behind the source's end.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
    """
    match = _COPY_RANGE.match(header.strip())
    if match is None or int(match[1]) > int(match[2]):
        raise InvalidArgument(_COPY_RULE, ArgumentName="x-amz-copy-source-range", ArgumentValue=header)
    span = Span(int(match[1]), int(match[2]))
    if span.last >= size:
        raise _unsatisfiable(header, size)
    return span


def _unsatisfiable(header: str, size: int) -> InvalidRange:
    error = InvalidRange(ActualObjectSize=size, RangeRequested=header)
    error.headers["Content-Range"] = f"bytes */{size}"
    return error
