"""What requests need to be allowed: actions on the named bucket, key or version, and the owner their sender expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shared.auth.engine import decide
from shared.context import Context
from shared.errors import AccessDenied


def by_version(action: str, on_version: str) -> Callable[[Context], Iterable[tuple[str, str]]]:
    """Ask for ``action``, or for ``on_version`` when the request names a version."""

    def wanted(ctx: Context) -> Iterable[tuple[str, str]]:
        yield (on_version if "versionId" in ctx.query else action), f"{ctx.target.bucket}/{ctx.key.decode()}"

    return wanted


def all_of(*rules: Callable[[Context], Iterable[tuple[str, str]]]) -> Callable[[Context], Iterable[tuple[str, str]]]:
    """Ask for everything that each of the rules asks for."""
    return lambda ctx: (pair for rule in rules for pair in rule(ctx))


def require_owner(ctx: Context, owner_id: int, expected: str) -> None:
    """Raise AccessDenied unless the owner's canonical id is the expected one."""
    assert ctx.known is not None
    owner = ctx.known.principal(owner_id)
    if owner is None or owner.canonical_id != expected:
        raise AccessDenied()


def is_allowed(ctx: Context, action: str, key: bytes) -> bool:
    """Whether the caller may do this to one key of the bucket: for requests whose body names the keys."""
    return decide(ctx.caller, [(action, f"{ctx.bucket.name}/{key.decode()}")]).allowed
