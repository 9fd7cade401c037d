"""Upload forms: a form's fields say who sends it and what its file is to become; then it is an upload like any other.

The fields come before the file. As soon as they are here they are judged, and nothing of the file reaches the disk before that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlencode

from shared import intake
from shared.auth import post_policy
from shared.context import Context
from shared.errors import (
    EntityTooLarge,
    EntityTooSmall,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    KeyTooLongError,
    MalformedXML,
    MaxPostPreDataLengthExceeded,
    UserKeyMustBeSpecified,
)
from shared.host.contract import Admission, Body, MemorySink, Refusal, Sink
from shared.protocol import tags
from shared.protocol.form import MAX_FIELD_BYTES, FormReader, boundary_of
from shared.protocol.model import load_model
from shared.protocol.target import MAX_KEY_BYTES

POST_OBJECT = "PostObject"
FILE_NAME = "${filename}"

# What a form says about the object → the header with which PutObject would say it. No header of the request itself counts: the policy
# is about the fields.
_AS_HEADERS = {"acl": "x-amz-acl"} | {name: name for name in (
    "cache-control", "content-type", "content-disposition", "content-encoding", "content-language", "content-md5", "expires",
    "x-amz-acl", "x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-request-payer",
)}
_AS_HEADERS_PREFIXES = ("x-amz-meta-", "x-amz-checksum-", "x-amz-server-side-encryption", "x-amz-object-lock-", "x-amz-grant-")
_ABOUT_THE_CLIENT = ("host", "user-agent", "referer", "origin", "x-amz-request-payer")


class Form(NamedTuple):
    """What a judged form asks for besides its object: where the browser goes next, or with which status it is told."""

    redirect: str
    status: str
    least: int
    most: int


class FormSink:
    """Takes a form apart. Its file is held back until ``open`` says where to; until then it is at most one block."""

    def __init__(self, boundary: bytes) -> None:
        self.reader = FormReader(boundary, self._take)
        self.size = 0
        self.most = post_policy.MOST_BYTES
        self._held = bytearray()
        self.inner: Sink | None = None

    @property
    def waits(self) -> bool:
        """Whether the fields are here and the file is held back."""
        return self.inner is None and self.reader.file_name is not None

    def write(self, data: memoryview) -> None:
        """Take a piece of the form. Raises what FormReader.feed does, EntityTooLarge, and what the place of the file raises."""
        self.reader.feed(data)

    def _take(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self.most:
            raise EntityTooLarge(ProposedSize=self.size, MaxSizeAllowed=self.most)
        if self.inner is None:
            self._held += block
        else:
            self.inner.write(memoryview(block))

    def open(self, inner: Sink, most: int) -> None:
        """Let the file go to ``inner``, up to ``most`` bytes of it. Raises EntityTooLarge, and what ``inner`` raises."""
        held, self._held = self._held, bytearray()
        self.size, self.most, self.inner = 0, most, inner
        if held:
            self._take(bytes(held))

    def discard(self) -> None:
        """Forget everything."""
        self._held = bytearray()
        if self.inner is not None:
            self.inner.discard()


@dataclass
class FormAdmission(intake.Admitted):
    """The admission of a form: asks again when the fields are here."""

    judge: Callable[[FormSink], Admission | Refusal] | None = None

    def asks_again(self) -> bool:
        """When the file begins."""
        return isinstance(self.sink, FormSink) and self.sink.waits

    def ask_again(self) -> Admission | Refusal:
        """Judge the fields."""
        assert self.judge is not None and isinstance(self.sink, FormSink)
        return self.judge(self.sink)


def is_form(ctx: Context) -> bool:
    """Whether a request is an upload form; once it was judged it still is."""
    return ctx.function is not None and ctx.function.name == POST_OBJECT


def admit(ctx: Context, judge: Callable[[FormSink], Admission | Refusal]) -> FormAdmission:
    """Receive the fields of a form. Raises what ``check`` raises, MissingContentLength, EntityTooLarge."""
    boundary = check(ctx)
    intake.require_length(ctx)
    return FormAdmission(FormSink(boundary), context=ctx, judge=judge)


def check(ctx: Context) -> bytes:
    """The boundary of a form. Raises PreconditionFailed for what is no form, InvalidRequest for one whose request is signed itself."""
    boundary = boundary_of(ctx.headers.get("content-type", ""))
    if ctx.auth is not None and (ctx.auth.kind != "anonymous" or ctx.auth.payload.kind == "streaming"):
        raise InvalidRequest("A form is signed by its fields, not by its request.")
    return boundary


def understand(ctx: Context, reader: FormReader) -> None:
    """Make of a form's fields what the headers of a PutObject would have been, and find out who signed it.

    Raises what post_policy raises, UserKeyMustBeSpecified, KeyTooLongError, InvalidArgument (a key that is no UTF-8),
    MaxPostPreDataLengthExceeded.
    """
    assert ctx.known is not None
    settings, name = ctx.services.settings, reader.file_name or ""
    signed = reader.fields      # as they were sent: ${filename} is filled in behind the signature, and before the conditions
    try:
        auth = post_policy.authenticate(signed, credential=ctx.known.credential, region=settings.region, allow_v2=settings.presigned_v2)
    except InvalidAccessKeyId as error:
        ctx.reason = ctx.known.refusal(error.fields["AWSAccessKeyId"])
        raise
    fields = _filled_in(signed, name)
    least, most = 0, post_policy.MOST_BYTES
    ctx.auth, ctx.caller = auth, auth.principal
    if auth.access_key is not None:
        ctx.services.identity.last_used.note(auth.access_key, ctx.now_ms)
        policy = post_policy.read(fields["policy"])
        texts = {field: value.encode("latin-1").decode("utf-8", "replace") for field, value in fields.items()}
        post_policy.check(policy, texts, str(ctx.target.bucket), ctx.now_ms / 1000)
        least, most = policy.least, policy.most
    ctx.target, ctx.query = ctx.target._replace(key=_key(fields)), {}       # nobody has signed what the address says more
    ctx.headers = {**{low: ctx.headers[low] for low in _ABOUT_THE_CLIENT if low in ctx.headers}, **_headers(fields)}
    ctx.operation = load_model().operations["PutObject"]
    redirect = fields.get("success_action_redirect") or fields.get("redirect", "")
    ctx.form = Form(redirect, fields.get("success_action_status", ""), least, most)


def _filled_in(fields: dict[str, str], name: str) -> dict[str, str]:
    """The fields with the name of the file in them. Raises MaxPostPreDataLengthExceeded when that makes them too long."""
    more = len(name) - len(FILE_NAME)
    if sum(len(value) + value.count(FILE_NAME) * more for value in fields.values()) > MAX_FIELD_BYTES:
        raise MaxPostPreDataLengthExceeded()
    return {field: value if field == "policy" else value.replace(FILE_NAME, name) for field, value in fields.items()}


def _key(fields: dict[str, str]) -> bytes:
    key = fields.get("key", "").encode("latin-1")
    if not key:
        raise UserKeyMustBeSpecified()
    if len(key) > MAX_KEY_BYTES:
        raise KeyTooLongError(Size=len(key), MaxSizeAllowed=MAX_KEY_BYTES)
    with suppress(UnicodeDecodeError):
        key.decode()
        return key
    raise InvalidArgument("The key is not valid UTF-8.", ArgumentName="key")


def _headers(fields: dict[str, str]) -> dict[str, str]:
    out = {}
    for name, value in fields.items():
        header = _AS_HEADERS.get(name) or (name if name.startswith(_AS_HEADERS_PREFIXES) else None)
        if header is not None and value:
            out[header] = value.strip(" \t")
    if fields.get("tagging"):
        out[tags.HEADER] = _tags(fields["tagging"])
    return out


def _tags(text: str) -> str:
    """The ``tagging`` field, an XML document, as a header has it. Raises MalformedXML, and what tags.checked raises."""
    document = load_model().operations["PutObjectTagging"].read({"Bucket": "", "Key": ""}, {}, {}, text.encode("latin-1"))
    if "Tagging" not in document:
        raise MalformedXML()
    return urlencode(tags.checked(document["Tagging"]["TagSet"], limit=tags.MAX_OBJECT_TAGS), quote_via=quote)


def place(ctx: Context, sink: FormSink) -> None:
    """Choose where the file of a judged form goes, and let it go there. Raises what intake.sink_for raises, EntityTooLarge."""
    assert ctx.form is not None
    reader, size = sink.reader, ctx.request.content_length
    if reader.whole:
        size = sink.size
    elif size is not None:      # a bound: fields may follow the file
        size = max(sink.size, size - reader.offset - reader.border_bytes)
    sink.open(intake.sink_for(ctx, size), min(ctx.form.most, intake.most_bytes(ctx)))


def take_in(ctx: Context, judge: Callable[[Context, FormReader], None]) -> None:
    """Put the file of a form that is whole in the place of the request's body. ``judge`` has the fields judged that were not yet.

    Raises what a form that is no form raises, EntityTooSmall, and what ``judge`` and ``place`` raise.
    """
    body = ctx.body
    assert body is not None
    sink = body.sink if isinstance(body.sink, FormSink) else FormSink(check(ctx))
    if sink is not body.sink:
        sink.write(memoryview(body.data))
    sink.reader.finish()
    if ctx.form is None:
        judge(ctx, sink.reader)
    if sink.inner is None:
        place(ctx, sink)
    assert ctx.form is not None and sink.inner is not None
    if sink.size < ctx.form.least:
        raise EntityTooSmall(ProposedSize=sink.size, MinSizeAllowed=ctx.form.least)
    inner = sink.inner
    ctx.body = Body(inner, bytes(inner.data) if isinstance(inner, MemorySink) else b"", size=sink.size)
