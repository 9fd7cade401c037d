"""Small things the blob tests do all the time."""

import os
from pathlib import Path

from shared.blobs.engine import BlobEngine


def put(engine: BlobEngine, data: bytes) -> bytes:
    staged = engine.stage(len(data))
    staged.write(data)
    return staged.commit()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def files(folder: Path) -> list[str]:
    """Every file below, as paths relative to the folder; lock files left out."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock")
