"""Canonical requests of Signature Version 4: the text both sides sign. Pure functions over what was sent.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
SIGNATURE_PARAMETER = "X-Amz-Signature"

_SPACES = re.compile("[ \t]+")


@lru_cache(maxsize=4096)
def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Derive the key that signs for one secret, day (YYYYMMDD), region and service."""
    key = ("AWS4" + secret).encode()
    for step in (day, region, service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def raw_query(query: str) -> str:
    """Sort the pairs as they were sent, without X-Amz-Signature; a missing ``=`` is added."""
    if not query:
        return ""
    pairs = sorted([pair.partition("=") for pair in query.split("&")])
    return "&".join([f"{name}={value}" for name, _, value in pairs if name != SIGNATURE_PARAMETER])


def encoded_query(query: str) -> str:
    """Decode the pairs, encode them as RFC 3986 asks (upper-case hexadecimal, ``+`` is a space), then sort."""
    pairs = []
    for pair in query.split("&"):
        name, _, value = (_again(part.replace("+", " "), safe="") for part in pair.partition("="))
        if pair and name != SIGNATURE_PARAMETER:
            pairs.append((name, value))
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)])


def encoded_path(path: str) -> str:
    """Decode the path once and encode it again, slashes kept: what clients sign who re-encode ``~`` or send lower-case hex."""
    return _again(path, safe="/")


def _again(text: str, safe: str) -> str:
    return quote(unquote_to_bytes(text.encode("latin-1")), safe=safe)


def target_forms(path: str, query: str) -> Iterator[tuple[str, str]]:
    """The (path, query) pairs a client may have signed, most likely first: as sent, re-encoded, one of each.

    Each names the same key and the same parameters, so accepting them all gives nothing away.
    """
    sent = path, raw_query(query)
    yield sent
    again = encoded_path(path), encoded_query(query)
    seen = {sent}
    for form in (again, (again[0], sent[1]), (sent[0], again[1])):
        if form not in seen:
            seen.add(form)
            yield form


def header_lines(headers: Mapping[str, str], names: Iterable[str]) -> str:
    """One ``name:value`` line per name, inner runs of blanks collapsed; a header that was not sent counts as empty."""
    lines = []
    for name in names:
        value = headers.get(name, "")
        if "  " in value or "\t" in value:
            value = _SPACES.sub(" ", value)
        lines.append(f"{name}:{value}\n")
    return "".join(lines)


def canonical_request(method: str, path: str, query: str, *, lines: str, signed: str, payload_hash: str) -> str:
    """Put the parts in order. ``lines`` are header lines, each with its line end; ``signed`` their names joined by ``;``."""
    return f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload_hash}"


def string_to_sign(amz_date: str, scope: str, canonical: str) -> str:
    """The text that is signed: algorithm, time, scope and the canonical request's digest."""
    return f"{ALGORITHM}\n{amz_date}\n{scope}\n{sha256(canonical.encode('latin-1')).hexdigest()}"


def signature(key: bytes, text: str) -> str:
    """Sign a text; 64 lower-case hexadecimal digits."""
    return hmac.digest(key, text.encode("latin-1"), "sha256").hex()
