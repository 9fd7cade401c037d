"""What the common kinds of request need: actions on the named bucket, key or version."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shared.context import Context


def by_version(action: str, on_version: str, *always: str) -> Callable[[Context], Iterable[tuple[str, str]]]:
    """Ask for ``action``, or for ``on_version`` when the request names a version; and for what is asked ``always``."""

    def wanted(ctx: Context) -> Iterable[tuple[str, str]]:
        resource = f"{ctx.target.bucket}/{ctx.key.decode()}"
        yield (on_version if "versionId" in ctx.query else action), resource
        for one in always:
            yield one, resource

    return wanted
