"""What the multipart operations share: upload ids, and how parts add up to an object."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from binascii import unhexlify
from itertools import zip_longest
from typing import Any

from shared.blobs.engine import new_blob_id
from shared.context import Context
from shared.errors import (
    BadDigest,
    EntityTooLarge,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    MalformedXML,
    NoSuchUpload,
)
from shared.meta import uploads
from shared.meta.objects import Found
from shared.meta.uploads import Assembly, PartInfo, UploadInfo
from shared.protocol import checksums
from shared.protocol.ranges import Span

MIN_PART_BYTES = 5 << 20    # of all parts but the last
MAX_OBJECT_BYTES = 5 << 40
MAX_PARTS = 10_000
UPLOAD_ID_BYTES = 16

new_upload_id = new_blob_id     # time ordered as well: uploads of one key are listed in the order they began


def upload_of(ctx: Context) -> UploadInfo:
    """The upload a request names; its bucket and key must be the request's. Raises NoSuchUpload."""
    if ctx.upload is None:
        ctx.upload = uploads.find(parse_upload_id(ctx.query.get("uploadId", "")), ctx.bucket.id, ctx.key)
    return ctx.upload


def parse_upload_id(text: str) -> bytes:
    """An upload id out of its text form. Raises NoSuchUpload for anything that cannot be one."""
    try:
        upload_id = unhexlify(text)
    except ValueError:
        upload_id = b""
    if len(upload_id) != UPLOAD_ID_BYTES:
        raise NoSuchUpload(UploadId=text)
    return upload_id


def copied_etag(found: Found, span: Span) -> str:
    """The ETag of a part copied from ``span`` of a version: its MD5 when that is known, else 32 digits that stand for the bytes."""
    if span.length == found.size and "-" not in found.etag:
        return found.etag
    name = f"{found.etag} {found.size} {span.first}-{span.last}"
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def assemble(wanted: list[dict[str, Any]], upload: UploadInfo, stored: list[PartInfo]) -> Assembly:
    """Decide what a completed upload is made of. ``wanted`` are the parts of the request in its order.

    Of entries that repeat a number the last counts: a client that sent a part again may list both.
    Raises InvalidPartOrder, InvalidPart (missing, or another ETag or checksum), EntityTooSmall, EntityTooLarge.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    by_number = {part.number: part for part in stored}
    chosen: list[PartInfo] = []
    for entry, following in zip_longest(wanted, wanted[1:]):
        if following and following["PartNumber"] == entry["PartNumber"]:
            continue
        number = entry["PartNumber"]
        if chosen and number < chosen[-1].number:
            raise InvalidPartOrder(UploadId=upload.id.hex())
        part = by_number.get(number)
        if part is None or not _same(entry, part, upload):
            raise InvalidPart(UploadId=upload.id.hex(), PartNumber=number, ETag=str(entry.get("ETag", "")).strip('"'))
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < MIN_PART_BYTES:
            raise EntityTooSmall(ProposedSize=part.size, MinSizeAllowed=MIN_PART_BYTES, PartNumber=part.number, ETag=part.etag)
    size = sum(part.size for part in chosen)
    if size > MAX_OBJECT_BYTES:
        raise EntityTooLarge(ProposedSize=size, MaxSizeAllowed=MAX_OBJECT_BYTES)
    digest = hashlib.md5(b"".join(unhexlify(part.etag) for part in chosen), usedforsecurity=False)
    return Assembly([part.number for part in chosen], size, f"{digest.hexdigest()}-{len(chosen)}", *_whole_checksum(upload, chosen))


def _same(entry: dict[str, Any], part: PartInfo, upload: UploadInfo) -> bool:
    """Whether an entry names this part. Checksums of the upload's algorithm are compared, of another one refused; an upload without an
    algorithm of its own keeps none but ours.
    """
    if entry.get("ETag", "").strip('"').lower() != part.etag:
        return False
    announced = {name.removeprefix("Checksum"): value for name, value in entry.items() if name.startswith("Checksum")}
    if upload.checksum_algorithm and announced.keys() - {upload.checksum_algorithm}:
        return False
    value = announced.get(part.checksum_algorithm or "")
    return value is None or value == part.checksum


def _whole_checksum(upload: UploadInfo, chosen: list[PartInfo]) -> tuple[str | None, str | None]:
    """The object's checksum out of its parts': combined or composite; none when a copied part has none."""
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    values = [part.checksum for part in chosen if part.checksum and part.checksum_algorithm == algorithm]
    if len(values) < len(chosen):
        return None, None
    if upload.checksum_type == checksums.COMPOSITE:
        return algorithm, checksums.composite(algorithm, values)
    return algorithm, checksums.combine(algorithm, ((value, part.size) for value, part in zip(values, chosen, strict=True)))


def check_announced(ctx: Context, upload: UploadInfo, assembly: Assembly) -> None:
    """Compare the whole with what the Complete request says it must be. Raises InvalidRequest, BadDigest."""
    size = ctx.params.get("MpuObjectSize")
    if size is not None and int(size) != assembly.size:
        raise InvalidRequest(f"The provided 'x-amz-mp-object-size' header does not match what was computed: {assembly.size}")
    kind = ctx.params.get("ChecksumType")
    if kind and kind != (upload.checksum_type or checksums.FULL_OBJECT):
        raise InvalidRequest(
            f"The upload was created using the {upload.checksum_type or checksums.FULL_OBJECT} checksum mode. "
            "The complete request must use the same checksum mode."
        )
    for name in checksums.ALGORITHMS:
        announced = ctx.params.get(f"Checksum{name}")
        if announced and (assembly.checksum_algorithm != name or not _equal(announced, assembly.checksum)):
            raise BadDigest(f"The {name} you specified did not match the calculated checksum.")


def _equal(announced: str, made: str | None) -> bool:
    """Compare base64 checksums; a composite one may come without its count of parts."""
    if made is None:
        return False
    plain, _, count = announced.partition("-")
    made_plain, _, made_count = made.partition("-")
    try:
        return b64decode(plain, validate=True) == b64decode(made_plain) and count in ("", made_count)
    except ValueError:
        return False


def wanted_parts(ctx: Context) -> list[dict[str, Any]]:
    """The part list of a Complete request. Raises MalformedXML when it is empty, too long, or has entries without number or ETag."""
    parts: list[dict[str, Any]] = (ctx.params.get("MultipartUpload") or {}).get("Parts") or []
    if not 1 <= len(parts) <= MAX_PARTS or any("PartNumber" not in part or "ETag" not in part for part in parts):
        raise MalformedXML()
    return parts
