"""Blobs as files: root/blobs/<last 3 hex digits of the id>/<32 hex digits>, staged beside them on the same filesystem."""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from shared.blobs.engine import (
    BlobCorrupt,
    BlobEngine,
    BlobEntry,
    BlobMissing,
    Space,
    SpanLike,
    blob_name,
    storage_error,
    walk_order,
)
from shared.blobs.files import SpanFile
from shared.blobs.space import FreeSpace
from shared.blobs.staging import DiskStaged, StagingFolder, sweep
from shared.errors import ServiceUnavailable

WALK_PAGE = 1000  # names held in memory at a time

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_SHARD_NAME = re.compile(r"[0-9a-f]{3}")
_BLOB_NAME = re.compile(r"[0-9a-f]{32}")


class DiskEngine(BlobEngine):
    """Blobs on a local or shared POSIX filesystem. Writes stop ``reserve_bytes`` before the disk is full; deletes never do.

    A blob is visible only whole and only once its bytes are durable. Folders are 0700, files 0600. Thread-safe; several processes
    may use one root. The staging folder is made by the first write, so reading works on a read-only disk.
    """

    def __init__(self, root: Path | str, reserve_bytes: int = 0) -> None:
        self._root = os.fspath(root)
        self._area = os.path.join(self._root, "staging")
        blobs = os.path.join(self._root, "blobs")
        try:
            for folder in (self._root, blobs, self._area):
                _make_folder(folder)
            self._blobs = os.open(blobs, _FOLDER)
        except OSError as error:
            raise storage_error(error) from error
        self._space = FreeSpace(self._blobs, reserve_bytes)
        self._staging: StagingFolder | None = None
        self._durable: set[str] = set()  # shard folders whose own entry is known to be on disk
        self._lock = threading.Lock()
        self._closed = False

    # ---- writing -----------------------------------------------------------------------------------------------------------

    def stage(self, size_hint: int | None = None) -> DiskStaged:
        """Create the staging file; from 1 MiB on its blocks are claimed too, where the filesystem can."""
        return DiskStaged(self._staging_folder().descriptor, self._space, self._publish, size_hint)

    def _staging_folder(self) -> StagingFolder:
        folder = self._staging
        if folder is None:
            with self._lock:
                if self._closed:
                    raise ValueError("the engine is closed")
                try:
                    folder = self._staging = self._staging or StagingFolder(self._area)
                except OSError as error:
                    raise storage_error(error) from error
        return folder

    def _publish(self, name: str) -> None:
        """Move a synced staging file under its shard and sync the shard. Raises OSError, with the blob gone again."""
        shard = self._open_shard(name[-3:])
        try:
            os.rename(name, name, src_dir_fd=self._staging_folder().descriptor, dst_dir_fd=shard)
            try:
                os.fsync(shard)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=shard)
                raise
        finally:
            os.close(shard)

    def _open_shard(self, shard: str) -> int:
        # Not cached: with 4,096 shards a small cache hits nothing, and open plus close cost 3 µs beside two syncs.
        if shard in self._durable:
            with contextlib.suppress(FileNotFoundError):  # somebody tidied up an empty folder
                return os.open(shard, _FOLDER, dir_fd=self._blobs)
        with contextlib.suppress(FileExistsError):
            os.mkdir(shard, 0o700, dir_fd=self._blobs)
        # An existing folder counts only after a sync of ours: another process may have made it a moment ago.
        seen = [shard] if self._durable else os.listdir(self._blobs)
        os.fsync(self._blobs)
        self._durable.update(seen)
        return os.open(shard, _FOLDER, dir_fd=self._blobs)

    # ---- reading -----------------------------------------------------------------------------------------------------------

    def open(self, blob_id: bytes, span: SpanLike | None = None) -> SpanFile:
        """Open the file; two system calls."""
        try:
            descriptor = os.open(_path(blob_id), os.O_RDONLY, dir_fd=self._blobs)
        except FileNotFoundError:
            raise BlobMissing(blob_name(blob_id)) from None
        except OSError as error:
            raise storage_error(error) from error
        try:
            stored_bytes = os.fstat(descriptor).st_size
            first, end = (0, stored_bytes) if span is None else (span.first, span.last + 1)
            if not 0 <= first <= end:
                raise ValueError("a span ends before it starts")
            if end > stored_bytes:
                raise BlobCorrupt(f"blob {blob_name(blob_id)} has {stored_bytes} bytes, not {end}")
        except BaseException:
            os.close(descriptor)
            raise
        return SpanFile(descriptor, first, end - first)

    def size(self, blob_id: bytes) -> int:
        """Stored bytes, from the file's size."""
        try:
            return os.stat(_path(blob_id), dir_fd=self._blobs).st_size
        except FileNotFoundError:
            raise BlobMissing(blob_name(blob_id)) from None
        except OSError as error:
            raise storage_error(error) from error

    def delete(self, blob_id: bytes) -> None:
        """Unlink without a sync: should a crash bring the file back, it is an orphan for the sweeper."""
        try:
            os.unlink(_path(blob_id), dir_fd=self._blobs)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise storage_error(error) from error

    def walk(self, after: bytes | None = None, limit: int | None = None) -> Iterator[BlobEntry]:
        """Yield blobs by shard, then by name; files that are not ours are passed over."""
        resume = blob_name(after) if after is not None else ""
        left = float("inf") if limit is None else limit
        shards = sorted(name for name in os.listdir(self._blobs) if _SHARD_NAME.fullmatch(name) and name >= walk_order(resume)[0])
        for shard in shards:
            position = resume if shard == resume[-3:] else ""
            while left > 0 and (names := self._names(shard, position, int(min(left, WALK_PAGE)))):
                for entry in self._entries(shard, names):
                    yield entry
                    left -= 1
                position = names[-1]

    def _names(self, shard: str, after: str, limit: int) -> list[str]:
        """The ``limit`` smallest blob names behind ``after``, holding no more than that many."""
        try:
            with os.scandir(os.path.join(self._root, "blobs", shard)) as entries:
                found = (entry.name for entry in entries)
                ours = (name for name in found if name > after and name[-3:] == shard and _BLOB_NAME.fullmatch(name))
                return heapq.nsmallest(limit, ours)
        except FileNotFoundError:
            return []

    def _entries(self, shard: str, names: list[str]) -> Iterator[BlobEntry]:
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                stat = os.stat(f"{shard}/{name}", dir_fd=self._blobs)
                yield BlobEntry(bytes.fromhex(name), stat.st_mtime_ns // 1_000_000, stat.st_size)

    # ---- health ------------------------------------------------------------------------------------------------------------

    def admit(self, size_bytes: int) -> None:
        """Compare with the free space seen at most 0.1 s ago, minus what this process promised to uploads under way."""
        self._space.admit(size_bytes)

    def check(self) -> None:
        """Write and remove a probe in the staging folder, then look at the reserve."""
        try:
            self._probe()
            self._space.admit(0, fresh=True)
        except OSError as error:
            raise storage_error(error) from error

    def _probe(self) -> None:
        folder = self._staging_folder().descriptor
        if os.fstat(folder).st_dev != os.fstat(self._blobs).st_dev:
            raise ServiceUnavailable("Staging and blobs are on different filesystems.")
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self._blobs):
            raise ServiceUnavailable("The storage is not writable.")
        name = f"probe-{threading.get_ident()}"
        descriptor = os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=folder)
        try:
            os.write(descriptor, b"probe")
        finally:
            os.close(descriptor)
            os.unlink(name, dir_fd=folder)

    def space(self) -> Space:
        """The filesystem's size and what is available to this process, without the reserve taken off."""
        return self._space.look()

    @property
    def staged_count(self) -> int:
        """Uploads under way in this process."""
        return len(self._space.claims())

    def sweep_staging(self) -> int:
        """Remove the folders of dead processes; this one's and those of live processes are kept."""
        try:
            return sweep(self._area)
        except OSError as error:
            raise storage_error(error) from error

    def close(self) -> None:
        """Discard what is staged, remove this process's staging folder, close the descriptors."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for staged in self._space.claims():
            if isinstance(staged, DiskStaged):
                staged.discard()
        staging, self._staging = self._staging, None
        if staging is not None:
            staging.close()
        blobs, self._blobs = self._blobs, -1  # the number may soon be somebody else's file
        self._space.close()
        os.close(blobs)


def _path(blob_id: bytes) -> str:
    name = blob_name(blob_id)
    return f"{name[-3:]}/{name}"


def _make_folder(path: str) -> None:
    """Create the folder and its missing parents, and sync the entry of each new one."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(os.path.abspath(path))
    _make_folder(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    descriptor = os.open(parent, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
