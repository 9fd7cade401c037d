"""Presigned URLs, Signature Version 4: whoever holds one may make that one request until it expires, as the owner of the key.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from shared.auth.canonical import ALGORITHM, SIGNATURE_PARAMETER, canonical_request, signature, signing_key, string_to_sign
from shared.auth.model import UNSIGNED_PAYLOAD

MAX_EXPIRES_S = 7 * 86400
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Signer(NamedTuple):
    """Whose request it will be."""

    access_key: str
    secret: str
    region: str


def presigned(signer: Signer, method: str, endpoint: str, path: str, query: Mapping[str, str], *, now_s: float, expires_s: int) -> str:
    """The URL. ``endpoint`` is ``http(s)://host[:port][/prefix]``, ``path`` the decoded path behind it, ``now_s`` UTC seconds."""
    parts = urlsplit(endpoint)
    host = parts.netloc.removesuffix(DEFAULT_PORTS.get(parts.scheme, ""))
    amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
    scope = f"{amz_date[:8]}/{signer.region}/s3/aws4_request"
    pairs = {
        **query, "X-Amz-Algorithm": ALGORITHM, "X-Amz-Credential": f"{signer.access_key}/{scope}", "X-Amz-Date": amz_date,
        "X-Amz-Expires": str(expires_s), "X-Amz-SignedHeaders": "host",
    }
    text = "&".join(sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs.items()))
    full = parts.path.rstrip("/") + quote(path, safe="/~")
    asked = canonical_request(method, full, text, lines=f"host:{host}\n", signed="host", payload_hash=UNSIGNED_PAYLOAD)
    key = signing_key(signer.secret, amz_date[:8], signer.region, "s3")
    made = signature(key, string_to_sign(amz_date, scope, asked))
    return f"{parts.scheme}://{parts.netloc}{full}?{text}&{SIGNATURE_PARAMETER}={made}"
