"""Two Linux calls Python lacks: claim blocks before writing, start writing back early; elsewhere both do nothing."""

from __future__ import annotations

import ctypes
import errno
import os

_KEEP_SIZE = 0x01  # FALLOC_FL_KEEP_SIZE: the file's size stays what was written
_START_WRITING = 0x02  # SYNC_FILE_RANGE_WRITE
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENODEV})

try:
    _libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True)
except OSError:
    _libc = None


def _call(names: tuple[str, ...], *kinds: type) -> ctypes._NamedFuncPointer | None:
    found = next((function for name in names if (function := getattr(_libc, name, None)) is not None), None)
    if found is not None:
        found.argtypes, found.restype = list(kinds), ctypes.c_int
    return found


# The 64-bit name first: a plain fallocate takes a 32-bit offset on 32-bit glibc.
_fallocate = _call(("fallocate64", "fallocate"), ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _call(("sync_file_range",), ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def preallocate(descriptor: int, size_bytes: int) -> bool:
    """Claim blocks for ``size_bytes`` without changing the file's size; False where the filesystem cannot.

    Not posix_fallocate: where the filesystem cannot, glibc's version writes a byte into every block. Blocks claimed beyond what
    is written stay until the file is truncated to its size. Raises OSError (ENOSPC, EDQUOT, EFBIG).
    https://man7.org/linux/man-pages/man2/fallocate.2.html
    """
    while _fallocate is not None:
        if _fallocate(descriptor, _KEEP_SIZE, 0, size_bytes) == 0:
            return True
        code = ctypes.get_errno()
        if code in _UNSUPPORTED:
            break
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return False


def start_writeback(descriptor: int) -> None:
    """Tell the kernel to begin writing the file's dirty pages and return; promises nothing, so errors are left to fdatasync.

    https://man7.org/linux/man-pages/man2/sync_file_range.2.html
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, 0, 0, _START_WRITING)
