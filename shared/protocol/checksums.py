"""Checksums of bodies: what the client declares, what was computed, and how those of parts become those of objects.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from awscrt import checksums as crt

from shared.errors import BadDigest, InvalidDigest, InvalidRequest, MalformedTrailerError, XAmzContentSHA256Mismatch

Buffer = bytes | bytearray | memoryview
Headers = Mapping[str, str]

DEFAULT_ALGORITHM = "CRC64NVME"  # computed and stored when the client asks for none
FULL_OBJECT, COMPOSITE = "FULL_OBJECT", "COMPOSITE"
HEADER = "x-amz-checksum-"
NOT_VALUES = frozenset((HEADER + "algorithm", HEADER + "type", HEADER + "mode"))


class Digest(Protocol):
    """A running checksum, as hashlib has them."""

    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc:
    """A CRC of the given size, computed by ``step(block, so far)``."""

    def __init__(self, step: Callable[[Buffer, int], int], size: int) -> None:
        self._step, self._size, self._value = step, size, 0

    def update(self, data: Buffer) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _XXHash:
    def __init__(self, hash_: crt.XXHash) -> None:
        self._hash = hash_

    def update(self, data: Buffer) -> None:
        self._hash.update(bytes(data))  # it takes nothing but bytes; no copy when they already are

    def digest(self) -> bytes:
        return bytes(self._hash.finalize())


class Algorithm(NamedTuple):
    """One checksum algorithm. ``combine`` (CRCs only) joins the values of two neighbours, given the second one's length."""

    name: str
    size: int
    new: Callable[[], Digest]
    types: tuple[str, ...]  # of a multipart object, the default first
    combine: Callable[[int, int, int], int] | None = None

    @property
    def header(self) -> str:
        """The header or trailer that carries a value, in lower case."""
        return HEADER + self.name.lower()


def _plain(name: str, size: int, new: Callable[[], Digest]) -> Algorithm:
    return Algorithm(name, size, new, (COMPOSITE,))


_BOTH = (COMPOSITE, FULL_OBJECT)
ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", 4, lambda: _Crc(crt.crc32, 4), _BOTH, crt.combine_crc32),
        Algorithm("CRC32C", 4, lambda: _Crc(crt.crc32c, 4), _BOTH, crt.combine_crc32c),
        Algorithm("CRC64NVME", 8, lambda: _Crc(crt.crc64nvme, 8), (FULL_OBJECT,), crt.combine_crc64nvme),
        _plain("SHA1", 20, lambda: hashlib.sha1(usedforsecurity=False)),
        _plain("SHA256", 32, hashlib.sha256),
        _plain("SHA512", 64, hashlib.sha512),
        _plain("MD5", 16, lambda: hashlib.md5(usedforsecurity=False)),
        _plain("XXHASH64", 8, lambda: _XXHash(crt.XXHash.new_xxhash64())),
        _plain("XXHASH3", 8, lambda: _XXHash(crt.XXHash.new_xxhash3_64())),
        _plain("XXHASH128", 16, lambda: _XXHash(crt.XXHash.new_xxhash3_128())),
    )
}
_BY_HEADER = {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}


class Requested(NamedTuple):
    """The checksum a request announces. ``value`` is the raw digest from a header; None when it comes as a trailer."""

    algorithm: Algorithm
    value: bytes | None


class Verified(NamedTuple):
    """What a body turned out to be: MD5 in hexadecimal (the ETag of a plain object), algorithm and base64 value to store."""

    md5_hex: str
    algorithm: str
    value: str
    size: int


def find(name: str) -> Algorithm:
    """The algorithm of this name, in any case. Raises InvalidRequest naming it when there is none."""
    algorithm = ALGORITHMS.get(name.strip().upper())
    if algorithm is None:
        raise InvalidRequest(
            f"Checksum algorithm provided is unsupported: {name}. Please try again with any of the valid types: [{', '.join(ALGORITHMS)}]"
        )
    return algorithm


def type_of(value: str) -> str:
    """FULL_OBJECT, or COMPOSITE for a stored value that was made of the parts' checksums: only that has a hyphen."""
    return COMPOSITE if "-" in value else FULL_OBJECT


def declared_trailers(headers: Headers) -> list[str]:
    """The names in x-amz-trailer, in lower case."""
    return [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()]


def requested(headers: Headers, trailer_names: Sequence[str] | None = None) -> Requested | None:
    """The one checksum that headers (lower-case names) and declared trailers announce, or None.

    Raises InvalidRequest: several checksums, an unknown algorithm or trailer, a value that is no base64 of the right length,
    x-amz-sdk-checksum-algorithm without its checksum or with another one.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    names = declared_trailers(headers) if trailer_names is None else trailer_names
    sent = [name for name in headers if name.startswith(HEADER) and name not in NOT_VALUES]
    if len(sent) + len(names) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    found: Requested | None = None
    if sent:
        algorithm = _BY_HEADER.get(sent[0])
        if algorithm is None:
            raise InvalidRequest(f"The algorithm type you specified in x-amz-checksum- header is invalid: {sent[0]}")
        found = Requested(algorithm, raw_value(algorithm, headers[sent[0]], f"{algorithm.header} header"))
    elif names:
        algorithm = _BY_HEADER.get(names[0])
        if algorithm is None:
            raise InvalidRequest(f"The value specified in the x-amz-trailer header is not supported: {names[0]}")
        found = Requested(algorithm, None)
    _check_sdk_algorithm(headers.get("x-amz-sdk-checksum-algorithm"), found)
    return found


def _check_sdk_algorithm(name: str | None, found: Requested | None) -> None:
    if not name:
        return
    algorithm = find(name)
    if found is None:
        raise InvalidRequest(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
        )
    if found.algorithm is not algorithm:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")


def raw_value(algorithm: Algorithm, value: str, where: str) -> bytes:
    """Decode a base64 value. Raises InvalidRequest, naming ``where`` it stood, unless it has the algorithm's length."""
    raw = _digest_of(value, algorithm.size)
    if raw is None:
        raise InvalidRequest(f"Value for {where} is invalid.")
    return raw


def content_md5(headers: Headers) -> bytes | None:
    """The digest in Content-MD5, or None without that header. Raises InvalidDigest."""
    value = headers.get("content-md5")
    if value is None:
        return None
    raw = _digest_of(value, 16)
    if raw is None:
        raise InvalidDigest(**{"Content-MD5": value})
    return raw


def _digest_of(value: str, size: int) -> bytes | None:
    """The ``size`` bytes that base64 text stands for; None when it is something else."""
    try:
        raw = b64decode(value.strip(), validate=True)
    except ValueError:
        return None
    return raw if len(raw) == size else None


class BodyDigests:
    """Everything that must be known about a body, in one pass over it; each digest is computed once.

    Make it before the body is read: a bad header is refused then. Give it the decoded body with ``update``, then ``finish``.
    """

    def __init__(self, headers: Headers, *, sha256_hex: str | None = None, default: str = DEFAULT_ALGORITHM) -> None:
        """``sha256_hex`` is a signed payload's digest; ``default`` the algorithm to use when the request announces none.

        Raises InvalidRequest, InvalidDigest: see ``requested`` and ``content_md5``.
        """
        self._md5_wanted = content_md5(headers)
        self._sha256_wanted = sha256_hex
        self.requested = requested(headers)
        self._algorithm = self.requested.algorithm if self.requested else find(default)
        self._digests: dict[str, Digest] = {}
        for name in ("MD5", self._algorithm.name, *(["SHA256"] if sha256_hex else [])):
            if name not in self._digests:
                self._digests[name] = ALGORITHMS[name].new()
        self._updates = [digest.update for digest in self._digests.values()]
        self._size = 0

    def update(self, block: Buffer) -> None:
        """Take the next bytes of the body."""
        self._size += len(block)
        for update in self._updates:
            update(block)

    def finish(self, trailers: Sequence[tuple[str, str]] = ()) -> Verified:
        """Compare with what was announced; ``trailers`` are the trailing headers as received.

        Raises BadDigest, XAmzContentSHA256Mismatch, InvalidRequest (a malformed trailer value), MalformedTrailerError (a declared
        trailer that did not come, one that was not declared).
        """
        announced = self._announced(trailers)
        made = {name: digest.digest() for name, digest in self._digests.items()}
        if self._md5_wanted is not None and not hmac.compare_digest(made["MD5"], self._md5_wanted):
            raise BadDigest(ExpectedDigest=self._md5_wanted.hex(), CalculatedDigest=b64encode(made["MD5"]).decode())
        if self._sha256_wanted is not None and made["SHA256"].hex() != self._sha256_wanted:
            raise XAmzContentSHA256Mismatch(ClientComputedContentSHA256=self._sha256_wanted, S3ComputedContentSHA256=made["SHA256"].hex())
        value, name = made[self._algorithm.name], self._algorithm.name
        if announced is not None and not hmac.compare_digest(value, announced):
            raise BadDigest(f"The {name} you specified did not match the calculated checksum.")
        return Verified(made["MD5"].hex(), name, b64encode(value).decode(), self._size)

    def _announced(self, trailers: Sequence[tuple[str, str]]) -> bytes | None:
        lower = [(name.strip().lower(), value) for name, value in trailers]
        sent = [(name, value) for name, value in lower if name != "x-amz-trailer-signature"]
        declared = self.requested if self.requested and self.requested.value is None else None
        if [name for name, _ in sent] != ([declared.algorithm.header] if declared else []):
            raise MalformedTrailerError()
        if declared is None:
            return self.requested.value if self.requested else None
        header = declared.algorithm.header
        return raw_value(declared.algorithm, sent[0][1], f"{header} trailing header")


def checked_type(algorithm: str | None, type_: str | None) -> tuple[str, str]:
    """Settle (algorithm, type) of a new multipart upload from x-amz-checksum-algorithm and x-amz-checksum-type.

    Raises InvalidRequest: an unknown algorithm or type, a type without an algorithm, a type the algorithm cannot have.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
    """
    if not algorithm:
        if type_:
            raise InvalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
        return DEFAULT_ALGORITHM, FULL_OBJECT
    found = find(algorithm)
    if not type_:
        return found.name, found.types[0]
    if type_ not in (FULL_OBJECT, COMPOSITE):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    if type_ not in found.types:
        raise InvalidRequest(f"The {type_} checksum type cannot be used with the {found.name.lower()} checksum algorithm.")
    return found.name, type_


def check_part(algorithm: str, announced: Requested | None) -> None:
    """Refuse a part whose checksum is of another algorithm than its upload's. Raises InvalidRequest."""
    if announced is not None and announced.algorithm.name != algorithm:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, "
            f"actual checksum Type: {announced.algorithm.name.lower()}"
        )


def combine(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """The whole object's value (base64) from its parts' (base64 value, length in bytes), in order; reads no byte again.

    Raises InvalidRequest for an algorithm that cannot be combined.
    """
    found = find(algorithm)
    if found.combine is None:
        raise InvalidRequest(f"The FULL_OBJECT checksum type cannot be used with the {found.name.lower()} checksum algorithm.")
    whole = 0  # the CRC of no bytes
    for value, length in parts:
        whole = found.combine(whole, int.from_bytes(b64decode(value), "big"), length)
    return b64encode(whole.to_bytes(found.size, "big")).decode()


def composite(algorithm: str, values: Sequence[str]) -> str:
    """The checksum of the parts' checksums (base64, in order): base64, a hyphen, and how many there were."""
    digest = find(algorithm).new()
    for value in values:
        digest.update(b64decode(value))
    return f"{b64encode(digest.digest()).decode()}-{len(values)}"


def verify_small(headers: Headers, body: bytes, sha256_hex: str | None = None) -> None:
    """Check a whole small body (an XML document) against the digests its request announces; costs nothing without any.

    Not for CompleteMultipartUpload, whose x-amz-checksum- headers speak of the object.
    Raises as BodyDigests does.
    """
    if sha256_hex is None and "content-md5" not in headers and not any(name.startswith(HEADER) for name in headers):
        requested(headers)
        return
    digests = BodyDigests(headers, sha256_hex=sha256_hex)
    digests.update(body)
    digests.finish()
