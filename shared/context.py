"""What a function is given: the request as understood so far, and the services it may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.clock import now_ms
from shared.request import Headers, Request

if TYPE_CHECKING:
    from shared.auth.model import Authenticated
    from shared.encryption.envelope import Envelope
    from shared.forms import Form
    from shared.host.contract import Body
    from shared.identity import Generation
    from shared.meta.buckets import BucketInfo
    from shared.meta.people import PrincipalInfo
    from shared.meta.uploads import UploadInfo
    from shared.protocol.codec import Operation
    from shared.protocol.target import Target
    from shared.registry import Function
    from shared.services import Services


@dataclass(eq=False, slots=True)
class Context:
    """One request on its way through the pipeline. Steps fill it from top to bottom; functions read it.

    ``params`` are the arguments boto3 users know (``{"Bucket": …, "Key": …}``). ``headers`` are lower-case and include what a presigned
    URL carries in its query. ``notes`` are reply headers that a step or function adds to whatever is answered; ``origin_notes`` those for
    the page that asks, which stay whatever becomes of the others.
    """

    services: Services
    request: Request
    target: Target
    query: dict[str, str]
    headers: dict[str, str]
    operation: Operation | None = None
    function: Function | None = None
    known: Generation | None = None
    auth: Authenticated | None = None
    caller: PrincipalInfo | None = None
    bucket_found: BucketInfo | None = None
    params: dict[str, Any] = field(default_factory=dict)
    body: Body | None = None
    form: Form | None = None        # of a PostObject, as soon as its fields were judged
    envelope: Envelope | None = None        # how what the request writes is encrypted: see shared/encryption/request.py
    is_envelope_settled: bool = False
    upload: UploadInfo | None = None        # which a part belongs to, once it was looked up
    notes: Headers = field(default_factory=list)
    origin_notes: Headers = field(default_factory=list)
    reason: str | None = None       # why it was refused: for the access log and for administrators, never for the client
    judge_again: bool = False       # a policy depends on what the body says, which is not here yet
    judged: dict[tuple[int, bytes], tuple[int, int] | None] = field(default_factory=dict)     # (bucket id, key) → stamp of the version
    copied_tags: dict[str, str] = field(default_factory=dict)       # that a copy takes along: what its headers say of tags does not count
    failed_keys: dict[str, str] = field(default_factory=dict)       # of a batch that succeeded: key → error code, for the audit log
    now_ms: int = field(default_factory=now_ms)

    @property
    def bucket(self) -> BucketInfo:
        """The bucket of the request; the pipeline has made sure that it is there."""
        assert self.bucket_found is not None
        return self.bucket_found

    @property
    def key(self) -> bytes:
        """The object key of the request."""
        assert self.target.key is not None
        return self.target.key

    @property
    def owner_id(self) -> int:
        """The principal who will own what this request creates: of an object, the bucket's owner where ACLs are off, and for nobody."""
        bucket = self.bucket_found
        if bucket is not None and (self.caller is None or self._is_the_buckets(bucket)):
            return bucket.owner_id
        assert self.caller is not None
        return self.caller.id

    def _is_the_buckets(self, bucket: BucketInfo) -> bool:
        if self.function is not None and self.function.name == "CreateBucket":     # and the bucket is somebody else's
            return False
        if bucket.ownership == "BucketOwnerPreferred":
            return self.headers.get("x-amz-acl") == "bucket-owner-full-control"
        return bucket.ownership == "BucketOwnerEnforced"
