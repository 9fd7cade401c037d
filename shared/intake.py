"""Taking a body in: decide where it goes before it comes, verify every digest and signature after, in one pass over it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import NamedTuple

from shared import dynamic
from shared.auth.model import Payload, Seed
from shared.auth.streaming import ChunkVerifier
from shared.blobs.engine import Staged
from shared.context import Context
from shared.encryption import request as encryption
from shared.errors import (
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidRequest,
    MaxMessageLengthExceeded,
    MissingContentLength,
    SignatureDoesNotMatch,
)
from shared.host.contract import MAX_BODY_BYTES, Admission, Body, MemorySink, Sink
from shared.protocol.checksums import ALGORITHMS, DEFAULT_ALGORITHM, BodyDigests, verify_small
from shared.registry import DOCUMENT_BYTES
from shared.room import require_room

LONG_BODY_BYTES = 1 << 20   # bodies above this are answered in the slow lane
STRAY_BYTES = 64 << 10      # of a body that the operation has no use for


class Received(NamedTuple):
    """A body that is what the client says it is. ``etag`` is its MD5 in hexadecimal, ``checksum`` base64."""

    size: int
    etag: str
    checksum_algorithm: str
    checksum: str
    data: bytes
    staged: Staged | None
    second: str = ""        # the checksum by the second algorithm that was asked for


@dataclass
class Admitted(Admission):
    """An admission that remembers the request as far as it was understood."""

    context: Context | None = None


def admit(ctx: Context, payload: Payload) -> Admitted:
    """Choose where an authorised body goes, before a byte of it is read.

    Raises MissingContentLength, EntityTooLarge, QuotaExceeded, StorageFull, and what a bad digest header raises.
    """
    assert ctx.operation is not None
    size = _announced_size(ctx, payload)
    if ctx.operation.takes_bytes:
        if size is None and not ctx.request.chunked:
            raise MissingContentLength()
        if size is not None:
            _require_size(ctx, size)
        BodyDigests(ctx.headers, sha256_hex=payload.sha256)     # for what it raises about a bad digest header
        sink = sink_for(ctx, size)
    else:
        limit = _longest_document(ctx) if ctx.operation.takes_body else STRAY_BYTES
        if (size or 0) > limit:
            raise MaxMessageLengthExceeded()
        sink = MemorySink(limit)
    is_streaming, is_short = payload.kind == "streaming", size is not None and size <= LONG_BODY_BYTES
    return Admitted(
        sink=sink, aws_chunked=is_streaming, signed_chunks=payload.signed_chunks, trailers=payload.trailers,
        decoded_length=size if is_streaming else None, lane="write" if is_short else "slow", context=ctx,
    )


def _longest_document(ctx: Context) -> int:
    return ctx.function.document_bytes if ctx.function else DOCUMENT_BYTES


def _require_size(ctx: Context, size: int) -> None:
    """Refuse a body beyond ``most_bytes``. Raises EntityTooLarge."""
    most = most_bytes(ctx)
    if size > most:
        raise EntityTooLarge(ProposedSize=size, MaxSizeAllowed=most)


def most_bytes(ctx: Context) -> int:
    """How long one upload may be, by the setting system.max_upload_size_mb."""
    most: int = dynamic.get("system.max_upload_size_mb", ctx.known.value if ctx.known else None) << 20
    return min(MAX_BODY_BYTES, most)


def sink_for(ctx: Context, size: int | None) -> Sink:
    """Where ``size`` bytes go, None for any number; encrypted on their way when they are to be.

    Raises QuotaExceeded, StorageFull, and what the request says wrongly about encryption.
    """
    if size is None:    # plain chunked transfer: staged, and counted as it comes
        ctx.services.engine.admit(0)
        return ctx.services.store.stage(None, encryption.of_body(ctx))
    if size <= ctx.services.settings.inline_bytes:
        return MemorySink(ctx.services.settings.inline_bytes, EntityTooLarge)
    require_room(ctx, size)
    ctx.services.engine.admit(size)
    return ctx.services.store.stage(size, encryption.of_body(ctx))


def _announced_size(ctx: Context, payload: Payload) -> int | None:
    """Decoded bytes that will come, None when nothing says."""
    if payload.kind != "streaming":
        return None if ctx.request.chunked else ctx.request.content_length
    text = ctx.headers.get("x-amz-decoded-content-length")
    if text is None:
        raise MissingContentLength()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidArgument("The decoded length is not a number.", ArgumentName="x-amz-decoded-content-length", ArgumentValue=text)
    return int(text)


def receive(ctx: Context, algorithm: str = DEFAULT_ALGORITHM, second: str | None = None) -> Received:
    """Verify the body of a PUT or part: length, chunk signatures, payload digest, checksums, Content-MD5. The first digest that
    does not match is the error.

    ``algorithm`` is the checksum to make when the request announces none; ``second`` one to make besides, in the same pass.

    Raises EntityTooLarge, IncompleteBody, SignatureDoesNotMatch, BadDigest, XAmzContentSHA256Mismatch, MalformedTrailerError,
    InvalidRequest.
    """
    body, auth = ctx.body, ctx.auth
    assert body is not None and auth is not None
    _require_size(ctx, body.size)       # of a chunked body nobody knew it before
    digests = BodyDigests(ctx.headers, sha256_hex=auth.payload.sha256, default=algorithm)
    other = ALGORITHMS[second].new() if second else None
    chain = _chain(body, auth.payload, auth.seed)
    staged = body.sink if isinstance(body.sink, Staged) else None
    for block in staged.blocks() if staged else (body.data,):
        digests.update(block)
        if chain:
            chain.update(block)
        if other:
            other.update(block)
    if chain:
        chain.finish()
    verified = digests.finish(body.trailers)
    if verified.size != body.size:
        raise IncompleteBody()
    data = b"" if staged else body.data
    if staged and staged.size <= ctx.services.settings.inline_bytes:     # its size was not known when it was staged
        data = b"".join(bytes(block) for block in staged.blocks())
        staged = None
    second_value = b64encode(other.digest()).decode() if other else ""
    return Received(verified.size, verified.md5_hex, verified.algorithm, verified.value, data, staged, second_value)


def _chain(body: Body, payload: Payload, seed: Seed | None) -> ChunkVerifier | None:
    if not payload.signed_chunks:
        return None
    if body.chunks is None or seed is None:     # nobody took the chunks apart, so nobody can vouch for them
        raise SignatureDoesNotMatch()
    return ChunkVerifier(seed, body.chunks, body.trailers if payload.trailers else None)


def document(ctx: Context) -> bytes:
    """The body of any other request, verified against the digests it announces. Raises as ``receive`` does."""
    body, auth = ctx.body, ctx.auth
    if body is None or auth is None:
        return b""
    if chain := _chain(body, auth.payload, auth.seed):
        chain.update(body.data)
        chain.finish()
    headers = ctx.headers
    if ctx.operation is not None and ctx.operation.name == "CompleteMultipartUpload":   # its checksums describe the object
        headers = {name: value for name, value in headers.items() if not name.startswith("x-amz-checksum-")}
    if body.trailers:
        digests = BodyDigests(headers)
        digests.update(body.data)
        digests.finish(body.trailers)
    else:
        verify_small(headers, body.data, auth.payload.sha256)
    return body.data


def refuse_undecoded(ctx: Context) -> None:
    """Refuse an aws-chunked body that the host did not take for one: it looks at the x-amz-content-sha256 header only.

    Raises InvalidRequest.
    """
    if ctx.auth is not None and ctx.auth.payload.kind == "streaming":
        raise InvalidRequest("An aws-chunked body must be announced by the x-amz-content-sha256 header.")


def require_digest(ctx: Context) -> None:
    """Some operations take no body that nothing vouches for. Raises InvalidRequest."""
    body = ctx.body
    if "content-md5" in ctx.headers or any(name.startswith("x-amz-checksum-") for name in ctx.headers) or (body and body.trailers):
        return
    raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


def require_length(ctx: Context) -> None:
    """An upload without any stated length is not an empty object. Raises MissingContentLength."""
    if ctx.request.content_length is None and not ctx.request.chunked:
        raise MissingContentLength()
