"""Staging on disk: a folder per process under a held lock, a file per upload, and the sweep of what dead processes left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from shared.blobs.engine import BLOCK_BYTES, Staged, blob_name, new_blob_id, storage_error
from shared.blobs.kernel import preallocate, start_writeback
from shared.blobs.space import FreeSpace
from shared.errors import InternalError, S3Error

LOCK_NAME = "lock"
PREALLOCATE_FROM_BYTES = 1 << 20  # below, one more system call costs more than an early refusal is worth
WRITEBACK_FROM_BYTES = 1 << 20  # from here on the disk writes while the digests are computed

_CREATE = os.O_CREAT | os.O_EXCL | os.O_RDWR
_LOCK = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW


class StagingFolder:
    """This process's own folder in the staging area. Whoever holds the flock of its lock file owns what is in it."""

    def __init__(self, area: str) -> None:
        self.area = area
        self.name, self._lock = _claim_folder(area)
        self.descriptor = os.open(os.path.join(area, self.name), os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        with contextlib.suppress(OSError):
            _remove_folder(self.area, self.name)
        os.close(self.descriptor)
        os.close(self._lock)


def _claim_folder(area: str) -> tuple[str, int]:
    for _ in range(100):
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        os.mkdir(os.path.join(area, name), 0o700)
        with contextlib.suppress(FileNotFoundError):  # a sweep took the folder before it had its lock: another name
            lock = _held_lock(os.path.join(area, name, LOCK_NAME))
            if lock is not None:
                return name, lock
    raise OSError("no staging folder could be claimed")


def _held_lock(path: str) -> int | None:
    """Create or open the lock file and take it; None when somebody else has it or removed it meanwhile."""
    lock = os.open(path, _LOCK, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except BlockingIOError:
        pass
    except OSError:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _remove_folder(area: str, name: str) -> None:
    """Remove a folder whose lock is held: the lock file goes last, so that a crash leaves it to the next sweep."""
    folder = os.path.join(area, name)
    for entry in os.listdir(folder):
        if entry != LOCK_NAME:
            os.unlink(os.path.join(folder, entry))
    os.unlink(os.path.join(folder, LOCK_NAME))
    with contextlib.suppress(OSError):  # its owner may be creating the lock this very moment, and keeps it then
        os.rmdir(folder)


def sweep(area: str) -> int:
    """Remove the folders in ``area`` whose process is dead; return how many. Live ones, also of other processes, are kept.

    Any number of sweeps may run at once. On a shared filesystem flock must work across machines.
    """
    removed = 0
    for name in os.listdir(area):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            lock = _held_lock(os.path.join(area, name, LOCK_NAME))
            if lock is None:
                continue
            try:
                _remove_folder(area, name)
                removed += 1
            finally:
                os.close(lock)
    return removed


class DiskStaged(Staged):
    """One file in the staging folder. The lock keeps a discard from another thread from closing a descriptor in use."""

    def __init__(self, folder: int, space: FreeSpace, publish: Callable[[str], None], size_hint: int | None) -> None:
        self.id = new_blob_id()
        self.granted_bytes = 0
        self._name = blob_name(self.id)
        self._folder = folder
        self._space = space
        self._publish = publish
        self._size = 0
        self._allocated_bytes = 0
        self._state: Literal["open", "committing", "closed"] = "closed"
        self._failed: S3Error | None = None
        self._turn = threading.Lock()
        self._descriptor = -1
        self._begin(size_hint or 0)

    def _begin(self, size_hint: int) -> None:
        self._space.claim(self, size_hint)
        try:
            self._descriptor = os.open(self._name, _CREATE, 0o600, dir_fd=self._folder)
            self._state = "open"
            if size_hint >= PREALLOCATE_FROM_BYTES and preallocate(self._descriptor, size_hint):
                self._allocated_bytes = size_hint
        except OSError as error:
            self._drop()
            raise storage_error(error) from error
        except BaseException:
            self._drop()
            raise

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    @property
    def unwritten_bytes(self) -> int:
        """Granted bytes the filesystem does not count as used yet."""
        return max(self.granted_bytes - max(self._size, self._allocated_bytes), 0)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; see ``Staged.write``. Beyond the size hint space is claimed as the bytes come."""
        length = data.nbytes if isinstance(data, memoryview) else len(data)
        with self._turn:
            self._require_open()
            try:
                if self._size + length > self.granted_bytes:
                    self._space.claim(self, self._size + length - self.granted_bytes)
                written = os.write(self._descriptor, data)
                self._size += written
                if written < length:
                    self._write_rest(memoryview(data).cast("B")[written:])
            except OSError as error:
                self._failed = storage_error(error)
                self._drop()
                raise self._failed from error
            except S3Error as error:
                self._failed = error
                self._drop()
                raise

    def _write_rest(self, rest: memoryview) -> None:
        while rest:
            written = os.write(self._descriptor, rest)
            self._size += written
            rest = rest[written:]

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[memoryview]:
        """Re-read through one reusable buffer, whatever the size of the upload."""
        end = self._size
        view = memoryview(bytearray(min(size, end)))
        if end >= WRITEBACK_FROM_BYTES:
            with self._turn:
                self._require_open()
                start_writeback(self._descriptor)
        at = 0
        while at < end:
            with self._turn:
                self._require_open()
                try:
                    have = os.preadv(self._descriptor, [view[: end - at]], at)
                except OSError as error:
                    raise storage_error(error) from error
            if not have:
                raise InternalError()  # somebody cut the file short
            at += have
            yield view[:have]

    def commit(self) -> bytes:
        """Make durable, in this order: file data, the name under its shard, the shard folder."""
        with self._turn:
            self._require_open()
            self._state = "committing"  # from here on the outcome is this thread's, and a discard does nothing
        try:
            if self._allocated_bytes > self._size:
                os.ftruncate(self._descriptor, self._size)  # gives back the blocks claimed beyond the end
            os.fdatasync(self._descriptor)
            self._publish(self._name)
        except OSError as error:
            # Never retried: after a failed fsync the kernel may call pages clean that are not on disk.
            self._drop()
            raise storage_error(error) from error
        except BaseException:
            self._drop()
            raise
        self._let_go()
        return self.id

    def discard(self) -> None:
        """Unlink and close; see ``Staged.discard``."""
        with self._turn:
            if self._state == "open":
                self._drop()

    def _require_open(self) -> None:
        if self._failed is not None:
            raise type(self._failed)(self._failed.message)
        if self._state != "open":
            raise ValueError("this staged blob was committed or discarded")

    def _drop(self) -> None:
        with contextlib.suppress(OSError):  # never created, or published already; the sweep takes what cannot be removed
            os.unlink(self._name, dir_fd=self._folder)
        self._let_go()

    def _let_go(self) -> None:
        self._state = "closed"
        self._space.release(self)
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # the data is synced or unwanted
                os.close(descriptor)
