"""A browser's form with a file in it (multipart/form-data), taken apart as its bytes arrive.

https://www.rfc-editor.org/rfc/rfc7578
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from urllib.parse import unquote_to_bytes

from shared.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceeded, PreconditionFailed

MAX_FIELD_BYTES = 20_000    # of everything in front of the file, as AWS
FILE_FIELD = "file"
REPEATABLE = "x-amz-meta-"  # a field of such a name may come more than once: its values are joined, as those of a header are
ONE_FILE = "POST requires exactly one file upload per request."

_BOUNDARY = re.compile(r"multipart/form-data\s*;(?:.*;)?\s*boundary=(?:\"([^\"]{1,70})\"|([^\s;\",]{1,70}))\s*(?:;.*)?", re.IGNORECASE)
_DISPOSITION = re.compile(r"content-disposition:[ \t]*form-data[ \t]*(;.*)", re.IGNORECASE)
_PARAMETER = re.compile(r";[ \t]*([a-z]+\*?)[ \t]*=[ \t]*(?:\"((?:\\\"|[^\"])*)\"|([^;\s]*))", re.IGNORECASE)


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names. Raises PreconditionFailed for any other type, MalformedPOSTRequest without a boundary."""
    found = _BOUNDARY.fullmatch(content_type.strip())
    if found is not None:
        return (found[1] or found[2]).encode("latin-1")
    if content_type.lower().startswith("multipart/form-data"):
        raise MalformedPOSTRequest()
    raise PreconditionFailed(Condition="Bucket POST must be of the enclosure-type multipart/form-data")


class _Expect(Enum):
    BORDER = 1      # in front of the first part
    HEAD = 2        # of a part
    FIELD = 3       # its value
    FILE = 4
    NOTHING = 5     # behind the file, or the end


class FormReader:
    """Fields first, then the bytes of the file to ``write``; what follows the file is ignored, as AWS does.

    ``fields`` have lower-case names and latin-1 text as sent. ``file_name`` is the last component of what the browser calls the file,
    None as long as the file has not begun. Holds MAX_FIELD_BYTES and one block at most.
    """

    def __init__(self, boundary: bytes, write: Callable[[bytes], object]) -> None:
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self._delimiter = b"\r\n--" + boundary
        self._write = write
        self._expect, self._name = _Expect.BORDER, ""
        self._held = bytearray(b"\r\n")     # the first border has no line end in front of it
        self._taken = 0
        self.offset = 0         # of the file in the body

    @property
    def border_bytes(self) -> int:
        """How many bytes follow the file at least."""
        return len(self._delimiter) + 2

    @property
    def whole(self) -> bool:
        """Whether the file, or the form without one, has ended."""
        return self._expect is _Expect.NOTHING

    def feed(self, block: bytes | memoryview) -> None:
        """Use a piece of the body.

        Raises MalformedPOSTRequest, MaxPostPreDataLengthExceeded, InvalidArgument, and what ``write`` raises.
        """
        if self._expect is _Expect.NOTHING:
            return
        self._held += block
        self._taken += len(block)
        while self._step():
            pass
        if self._expect not in (_Expect.FILE, _Expect.NOTHING):
            self._check_length(self._taken)

    def finish(self) -> None:
        """Say that nothing follows. Raises MalformedPOSTRequest for a form that was cut off, InvalidArgument for one without a file."""
        if not self.whole:
            raise MalformedPOSTRequest()
        if self.file_name is None:
            raise InvalidArgument(ONE_FILE, ArgumentName=FILE_FIELD, ArgumentValue="0")

    def _check_length(self, taken: int) -> None:
        if taken > MAX_FIELD_BYTES:
            raise MaxPostPreDataLengthExceeded()

    def _step(self) -> bool:
        """Use what is held; whether there is more to use."""
        if self._expect is _Expect.FILE:
            return self._take_file()
        if self._expect is _Expect.HEAD:
            return self._take_head()
        return self._expect is not _Expect.NOTHING and self._take_value()

    def _take_value(self) -> bool:
        """A field's value, or what stands in front of the first border; then the border."""
        end = self._held.find(self._delimiter)
        behind = end + len(self._delimiter)
        if end < 0 or len(self._held) < behind + 2:
            return False
        if self._expect is _Expect.FIELD:
            self._keep(bytes(self._held[:end]).decode("latin-1"))
        is_last = self._is_last(behind)
        del self._held[:behind + 2]
        self._expect = _Expect.NOTHING if is_last else _Expect.HEAD
        return self._expect is _Expect.HEAD

    def _is_last(self, behind: int) -> bool:
        """Whether a border is the last one, by what stands behind it. Raises MalformedPOSTRequest where it only looks like one."""
        follows = bytes(self._held[behind:behind + 2])
        if follows not in (b"--", b"\r\n"):
            raise MalformedPOSTRequest()
        return follows == b"--"

    def _keep(self, value: str) -> None:
        name = self._name
        if name not in self.fields:
            self.fields[name] = value
        elif name.startswith(REPEATABLE):
            self.fields[name] += "," + value
        else:
            raise InvalidArgument(f"The form has more than one field {name}.", ArgumentName=name, ArgumentValue=value)

    def _take_head(self) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self._held[:end]).decode("latin-1").split("\r\n")
        del self._held[:end + 4]
        parameters = _parameters(lines)
        if "name" not in parameters:
            raise MalformedPOSTRequest()
        self._name = parameters["name"].lower()
        if self._name == FILE_FIELD:
            self.offset = self._taken - len(self._held)
            self._check_length(self.offset)
            self.file_name, self._expect = _file_name(parameters), _Expect.FILE
        else:       # whose value may be empty: then the border follows the head's own line end
            self._expect = _Expect.FIELD
        return True

    def _take_file(self) -> bool:
        end = self._held.find(self._delimiter)
        behind = end + len(self._delimiter)
        if end >= 0 and len(self._held) >= behind + 2:
            self._is_last(behind)       # it need not be: fields may follow, which nobody reads
            self._expect = _Expect.NOTHING
            self._write(bytes(self._held[:end]))
            self._held.clear()
        elif (sure := end if end >= 0 else len(self._held) - len(self._delimiter) + 1) > 0:     # the rest may be the beginning of a border
            block = bytes(self._held[:sure])
            del self._held[:sure]
            self._write(block)
        return False


def _parameters(lines: list[str]) -> dict[str, str]:
    found = next((match for line in lines if (match := _DISPOSITION.fullmatch(line))), None)
    if found is None:
        raise MalformedPOSTRequest()
    return {name.lower(): quoted.replace('\\"', '"') or plain for name, quoted, plain in _PARAMETER.findall(found[1])}


def _file_name(parameters: dict[str, str]) -> str:
    """What stands behind the last slash or backslash. Names that are not ASCII come as UTF-8, or encoded as RFC 5987 says."""
    name = parameters.get("filename", "")
    extended = parameters.get("filename*", "")
    if extended.lower().startswith("utf-8'"):
        name = unquote_to_bytes(extended.split("'", 2)[-1]).decode("latin-1")
    return re.split(r"[/\\]", name)[-1]
