"""Reading a version to hold its bytes against what is known of them: its checksums, and the seals of what is encrypted."""

from __future__ import annotations

from base64 import b64encode
from typing import NamedTuple

from shared.blobs.engine import BlobCorrupt, BlobMissing
from shared.encryption.envelope import load
from shared.encryption.ring import KeyMissing
from shared.errors import KMSDisabledException, KMSNotFoundException
from shared.meta import uploads
from shared.meta.objects import Found
from shared.protocol import checksums
from shared.protocol.sse import CUSTOMER
from shared.store import Store


class Claim(NamedTuple):
    """Bytes whose checksum is known, in base64. None: they are read all the same, since what is encrypted verifies itself."""

    first: int
    length: int
    algorithm: str
    checksum: str | None


def fault(store: Store, found: Found) -> str | None:
    """Why the bytes of a version are not known to be what they were: a kind of shared/findings.py; None when they are.

    Raises SourceGone when it is deleted meanwhile, OSError.
    """
    if (sse := load(found.sse_json)) is not None and sse.kind == CUSTOMER:
        return "customers"
    try:
        return None if all(_holds(store, found, claim) for claim in claims(found)) else "altered"
    except KMSDisabledException:
        return "key_off"
    except (KMSNotFoundException, KeyMissing):
        return "key_missing"
    except (BlobMissing, BlobCorrupt):
        return "altered"


def claims(found: Found) -> list[Claim]:
    """What is known: of the whole, or of its parts, and in any case something for each byte."""
    if found.checksum_algorithm and found.checksum and "-" not in found.checksum:
        return [Claim(0, found.size, found.checksum_algorithm, found.checksum)]
    if found.body_id is None:
        if "-" in found.etag:
            return [Claim(0, found.size, checksums.DEFAULT_ALGORITHM, None)]
        return [Claim(0, found.size, "MD5", b64encode(bytes.fromhex(found.etag)).decode())]
    return [
        Claim(part.start or 0, part.size, part.checksum_algorithm or checksums.DEFAULT_ALGORITHM, part.checksum)
        for part in uploads.parts(found.body_id)
    ]


def _holds(store: Store, found: Found, claim: Claim) -> bool:
    if not claim.length:
        return True
    algorithm = checksums.find(claim.algorithm).name
    made = store.checksum(found, claim.first, claim.first + claim.length - 1, algorithm)
    return claim.checksum is None or made == claim.checksum
