"""A ZIP file made while it is sent: nothing is kept, nothing is compressed, and every name is safe to unpack."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

EARLIEST, LATEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)    # what a ZIP can tell
MOST_NAME = 200         # characters of one part of a name: file systems take 255 bytes
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


class Entry(NamedTuple):
    """A file that is to be in it. ``modified_s`` is UTC seconds; ``blocks`` is read once, when its turn has come."""

    name: str
    modified_s: float
    blocks: Iterable[bytes]


class _Sink(io.RawIOBase):
    """Takes what is written, until it is taken away. It cannot seek, so that sizes are written behind the bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, block: object) -> int:
        data = bytes(block)  # type: ignore[call-overload]
        self._held += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        held, self._held = bytes(self._held), bytearray()
        return held


def stream(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The bytes of the file. Entries are asked for one after the other; names that would be the same get numbers."""
    sink, used = _Sink(), dict[str, int]()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for entry in entries:
            when = time.gmtime(max(entry.modified_s, 0))[:6]
            about = zipfile.ZipInfo(_unused(safe_name(entry.name), used), min(max(when, EARLIEST), LATEST))
            about.external_attr = 0o644 << 16
            with archive.open(about, "w", force_zip64=True) as out:
                for block in entry.blocks:
                    out.write(block)
                    yield sink.take()
    yield sink.take()


def safe_name(key: str) -> str:
    """A path that stays below the folder it is unpacked in, on any system: no ``..``, no drive, no control characters."""
    parts = [_UNFIT.sub("_", part).rstrip(" .")[:MOST_NAME] or "_" for part in key.split("/") if part]
    return "/".join(parts) or "_"


def _unused(name: str, used: dict[str, int]) -> str:
    """The name, or with a number when it is used: as file systems see it that know no case.

    ``used`` knows the last number of each name, so that ten thousand keys that come to one name are not compared each with each.
    """
    stem, dot, ending = name.rpartition(".") if "." in name.rpartition("/")[2] else (name, "", "")
    first, made = name.casefold(), name
    number = used.get(first, 0)
    while number and made.casefold() in used:
        number += 1
        made = f"{stem} ({number}){dot}{ending}"
    used[first] = number or 1
    used.setdefault(made.casefold(), 1)
    return made
