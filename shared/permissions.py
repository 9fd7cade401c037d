"""What requests need to be allowed: actions on the named bucket, key or version, and the owner their sender expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

from shared.accounts import is_number
from shared.auth.engine import ANYONE, ENFORCED, Decision, decide
from shared.condition_keys import Asked, Named, Seen
from shared.context import Context
from shared.errors import AccessDenied, NoSuchKey, S3Error, SlowDown
from shared.meta import objects
from shared.meta.buckets import BucketInfo
from shared.meta.models import INSTALLATION
from shared.meta.objects import Found
from shared.meta.people import PrincipalInfo
from shared.protocol.copy_source import parse_copy_source
from shared.registry import Function

Rule = Callable[[Context], Iterable[tuple[str, str]]]
SHOWING = ("s3:ListBucket", "s3:GetBucketLocation")     # who may do one of these to a bucket is shown it
READING = frozenset({"GetObject", "HeadObject"})
STRANGER = PrincipalInfo(-1, "", "", False, INSTALLATION)
COPYING = frozenset({"CopyObject", "UploadPartCopy"})      # x-amz-copy-source says something about these; elsewhere it is a stray header


# ---- rules: what operations declare as ``allow`` --------------------------------------------------------------------------------------


def by_version(action: str, on_version: str) -> Rule:
    """Ask for ``action``, or for ``on_version`` when the request names a version."""

    def wanted(ctx: Context) -> Iterable[tuple[str, str]]:
        yield (on_version if "versionId" in ctx.query else action), f"{ctx.target.bucket}/{ctx.key.decode()}"

    return wanted


def all_of(*rules: Rule) -> Rule:
    """Ask for everything that each of the rules asks for."""
    return lambda ctx: (pair for rule in rules for pair in rule(ctx))


def signed(ctx: Context) -> Iterable[tuple[str, str]]:
    """Ask for nothing but a signature. Raises AccessDenied."""
    if ctx.caller is None:
        raise AccessDenied()
    return ()


def each_key(ctx: Context) -> Iterable[tuple[str, str]]:
    """Ask for nothing before the body is here: the function asks about each key. Nobody gets that far where nothing can be public."""
    if ctx.caller is None and ctx.bucket.policy is None and ctx.bucket.ownership == ENFORCED:
        yield "s3:DeleteObject", ctx.bucket.name


def wanted(ctx: Context, function: Function) -> Iterable[tuple[str, str]]:
    """The (action, resource) pairs that a request needs."""
    if callable(function.allow):
        return function.allow(ctx)
    if function.allow == (ANYONE,):
        return ((ANYONE, ""),)
    resource = ctx.target.bucket or "*"
    if ctx.target.key is not None:
        resource += "/" + ctx.target.key.decode()
    return ((action, resource) for action in function.allow)


# ---- asking ---------------------------------------------------------------------------------------------------------------------------


class RequestAccess:
    """Who asks in an S3 request, for the permission engine. ``version_id`` is that of the resource the request names."""

    __slots__ = ("_ctx", "_version_id", "access_key", "caller", "known")

    def __init__(self, ctx: Context, version_id: str | None = None) -> None:
        assert ctx.known is not None
        self._ctx = ctx
        self._version_id = version_id
        self.known = ctx.known
        self.caller = ctx.caller
        self.access_key = ctx.auth.access_key if ctx.auth is not None else None

    def about(self, resource: str) -> Asked:
        """Find out what ``bucket/key``, ``bucket`` or ``*`` is."""
        return Asked(self._ctx, self._named(resource))

    def _named(self, resource: str) -> Named:
        ctx = self._ctx
        name, slash, text = resource.partition("/")
        if name == "*" or (ctx.function is not None and ctx.function.name == "CreateBucket"):
            return Named(None)      # whoever has the bucket's name: to create one, one's own permission is what counts
        bucket = ctx.bucket_found if name == ctx.target.bucket else self.known.bucket(name)
        if not slash:
            return Named(bucket)
        return Named(bucket, text.encode(), self._version(name, text.encode()))

    def _version(self, name: str, key: bytes) -> str | None:
        """The version of a key that the request means: as its resource, or as the source of a copy."""
        ctx = self._ctx
        if _copies(ctx):
            source = parse_copy_source(ctx.headers.get("x-amz-copy-source", ""))
            if (source.bucket, source.key) == (name, key):
                return source.version_id
        if (name, key) != (ctx.target.bucket, ctx.target.key):
            return self._version_id
        return ctx.query.get("versionId") if ctx.operation is not None and ctx.operation.takes("versionId") else None


class SeenAccess(RequestAccess):
    """The same, when it is asked whether a key would be shown in a listing."""

    __slots__ = ("_key",)

    def __init__(self, ctx: Context, key: bytes) -> None:
        super().__init__(ctx)
        self._key = key

    def about(self, resource: str) -> Asked:
        """The bucket, listed by the key as prefix."""
        return Seen(self._ctx, self._named(resource).bucket, self._key)


class OwnAccess(RequestAccess):
    """The same, by what the caller has: as if no bucket said anything."""

    __slots__ = ()

    def about(self, resource: str) -> Asked:
        """Nothing that has a policy or an ACL."""
        return Asked(self._ctx, Named(None))


def _of_a_stranger(ctx: Context) -> RequestAccess:
    """The same, if somebody had sent the request to whom nobody has given anything."""
    other = copy(ctx)
    other.caller, other.auth = STRANGER, None
    return RequestAccess(other)


def _copies(ctx: Context) -> bool:
    return ctx.function is not None and ctx.function.name in COPYING


def judge(ctx: Context, wanted: Iterable[tuple[str, str]]) -> Decision:
    """Decide about (action, resource) pairs of this request."""
    return decide(RequestAccess(ctx), wanted)


def is_allowed(ctx: Context, action: str, key: bytes, version_id: str | None = None) -> bool:
    """Whether the caller may do this to one key of the bucket: for requests whose body names the keys.

    What was refused first is the reason that the access log shows.
    """
    decision = decide(RequestAccess(ctx, version_id), [(action, f"{ctx.bucket.name}/{key.decode()}")])
    if not decision.allowed:
        ctx.reason = ctx.reason or decision.reason
    return decision.allowed


def require(ctx: Context, *wanted: tuple[str, str]) -> None:
    """Refuse unless all the (action, resource) pairs are allowed: for what an operation learns only on its way that it needs.

    Raises AccessDenied; NoSuchKey when there is no such object and the caller may know.
    """
    decision = judge(ctx, wanted)
    if not decision.allowed:
        raise refusal(ctx, decision)


def refusal(ctx: Context, decision: Decision) -> S3Error:
    """What the client is told; the log is told why."""
    ctx.reason = decision.reason
    if decision.missing:
        return NoSuchKey(Key=decision.missing.partition("/")[2])
    if decision.implicit and _is_known_to_be_missing(ctx):
        return NoSuchKey(Key=ctx.key.decode())
    return AccessDenied()


def _is_known_to_be_missing(ctx: Context) -> bool:
    """Whether a read that nothing allows is of a key that is not there, as the caller could see in a listing.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (404 for who has s3:ListBucket, 403 for others)
    """
    if ctx.function is None or ctx.function.name not in READING or ctx.bucket_found is None or "versionId" in ctx.query:
        return False
    if not decide(SeenAccess(ctx, ctx.key), [("s3:ListBucket", ctx.bucket.name)]).allowed:
        return False
    found = objects.find(ctx.bucket.id, ctx.key)
    return found is None or found.is_marker


def check_judged(ctx: Context, bucket_id: int, key: bytes, found: Found) -> None:
    """Decide again when permissions depended on the tags or the ACL of a version, and by now the key has another one.

    Raises AccessDenied, NoSuchKey; SlowDown when it changes faster than it can be decided about.
    """
    if ctx.judged.get((bucket_id, key), found.stamp) == found.stamp:
        return
    assert ctx.function is not None
    require(ctx, *wanted(ctx, ctx.function))
    if ctx.judged.get((bucket_id, key), found.stamp) != found.stamp:
        raise SlowDown("The object changes too fast. Please try again.")


def require_owner(ctx: Context, bucket: BucketInfo, expected: str) -> None:
    """Raise AccessDenied unless ``expected`` is the number of the bucket's account, or the canonical id of its owner."""
    assert ctx.known is not None
    if is_number(expected) and ctx.known.account_number(bucket.tenant_id) == expected:
        return
    owner = ctx.known.principal(bucket.owner_id)
    if owner is None or owner.canonical_id != expected:
        raise AccessDenied()


def hidden(ctx: Context, error: S3Error) -> S3Error:
    """What to tell about a missing key or version: AccessDenied to those who could not learn from a listing that it is missing."""
    bucket, key = ctx.target.bucket, ctx.target.key
    if _copies(ctx) and error.fields.get("Key", "").encode() != key:
        source = parse_copy_source(ctx.headers["x-amz-copy-source"])
        bucket, key = source.bucket, source.key
    if key is None or bucket is None:
        return error
    decision = decide(SeenAccess(ctx, key), [("s3:ListBucket", bucket)])
    if decision.allowed:
        return error
    ctx.reason = f"{error.code}, hidden from who may not list: {decision.reason}"
    ctx.notes.clear()
    return AccessDenied()


def is_shown(ctx: Context, bucket: BucketInfo) -> bool:
    """Whether a list of buckets shows this one to the caller: their own, and those that they may list or locate.

    What a bucket gives to everybody does not count: nobody wants all public buckets in their list.
    """
    assert ctx.caller is not None
    return bucket.owner_id == ctx.caller.id or any(_is_meant(ctx, bucket, (action, bucket.name)) for action in SHOWING)


def _is_meant(ctx: Context, bucket: BucketInfo, pair: tuple[str, str]) -> bool:
    if not decide(RequestAccess(ctx), [pair]).allowed:
        return False
    if bucket.policy is None and bucket.acl is None:
        return True
    return decide(OwnAccess(ctx), [pair]).allowed or not decide(_of_a_stranger(ctx), [pair]).allowed
