"""When an object or an unfinished upload expires by its bucket's lifecycle rules, as replies say it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from shared.context import Context
from shared.protocol import lifecycle, tags
from shared.protocol.scalars import http_date

KIND = "lifecycle"      # of configuration


def of_object(ctx: Context, *, mtime_ms: int, size: int, tags_json: str | None) -> str | None:
    """The value of x-amz-expiration for a current version under the key of the request; None when no rule expires it.

    ``size`` is in bytes. Asks the database nothing when the bucket's rules are known.
    """
    if not (rules := _rules(ctx)):
        return None
    due = lifecycle.expiry(rules, ctx.key.decode(), size, tags.load(tags_json), mtime_ms)
    if due is None:
        return None
    return f'expiry-date="{http_date(due[0] // 1000)}", rule-id="{quote(due[1], safe="")}"'


def of_upload(ctx: Context, initiated_ms: int) -> dict[str, Any]:
    """AbortDate and AbortRuleId of an upload under the key of the request; nothing when no rule aborts it."""
    rules = _rules(ctx)
    due = lifecycle.abort_due(rules, ctx.key.decode(), initiated_ms) if rules else None
    return {"AbortDate": due[0], "AbortRuleId": due[1]} if due else {}


def _rules(ctx: Context) -> list[dict[str, Any]]:
    assert ctx.known is not None
    found = ctx.known.configuration(ctx.bucket, KIND)
    return found["Rules"] if found else []
