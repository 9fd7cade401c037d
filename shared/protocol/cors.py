"""Cross-origin rules: checked as AWS does, matched against what a browser asks, told to it in headers.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html
https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shared.errors import BadRequest, InvalidArgument, InvalidRequest
from shared.request import Headers

MAX_RULES: Final = 100
MAX_BYTES: Final = 64 << 10     # of the document
MAX_ID_CHARACTERS: Final = 255
MAX_ANNOUNCED: Final = 100       # headers in a request: each is held against the patterns of every rule, before anybody has signed
METHODS: Final = ("GET", "PUT", "POST", "DELETE", "HEAD")
VARY: Final = ("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")

Rule = Mapping[str, Any]


def checked(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The CORSRules of a configuration. Raises InvalidRequest, InvalidArgument for an overlong ID."""
    if len(rules) > MAX_RULES:
        raise InvalidRequest(f"The number of CORS rules should not exceed allowed limit of {MAX_RULES} rules.")
    ids = [rule["ID"] for rule in rules if rule.get("ID")]
    if any(len(one) > MAX_ID_CHARACTERS for one in ids):
        raise InvalidArgument(f"ID length should not exceed allowed limit of {MAX_ID_CHARACTERS}", ArgumentName="ID")
    if len(set(ids)) != len(ids):
        raise InvalidRequest("Rule ID must be unique. Found same ID for more than one rule.")
    for rule in rules:
        _check(rule)
    return [dict(rule) for rule in rules]


def _check(rule: Rule) -> None:
    for method in rule["AllowedMethods"]:
        if method not in METHODS:
            raise InvalidRequest(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for name, member in (("AllowedOrigin", "AllowedOrigins"), ("AllowedHeader", "AllowedHeaders")):
        for pattern in rule.get(member, ()):
            if pattern.count("*") > 1:
                raise InvalidRequest(f'{name} "{pattern}" can not have more than one wildcard.')
            if not pattern or not _is_header_text(pattern):
                raise InvalidRequest(f"{name} can not be empty or contain control characters.")
    for header in rule.get("ExposeHeaders", ()):
        if "*" in header:
            raise InvalidRequest(f'ExposeHeader "{header}" contains wildcard. We currently do not support wildcard for ExposeHeader.')
        if not header or not _is_header_text(header):
            raise InvalidRequest("ExposeHeader can not be empty or contain control characters.")
    if rule.get("MaxAgeSeconds", 0) < 0:
        raise InvalidRequest("MaxAgeSeconds must not be negative.")


def _is_header_text(text: str) -> bool:
    """Whether it may stand in a reply header: line ends would make headers of their own."""
    return text.isascii() and text.isprintable()


def granted(rules: Iterable[Rule], headers: Mapping[str, str], method: str) -> Headers | None:
    """What the first rule that fits lets the browser do, as reply headers; None when none fits.

    ``headers`` are a request's, by lower-case name, with an Origin. ``method`` is the one to be allowed. Each of the headers that the
    browser announces (Access-Control-Request-Headers) must be allowed by the same rule; more than MAX_ANNOUNCED never are.
    """
    origin = headers["origin"]
    wanted = [name for part in headers.get("access-control-request-headers", "").split(",") if (name := part.strip().lower())]
    if len(wanted) > MAX_ANNOUNCED:
        return None
    for rule in rules:
        pattern = next((one for one in rule["AllowedOrigins"] if _matches(one, origin)), None)
        allowed = [one.lower() for one in rule.get("AllowedHeaders", ())] if wanted else []
        if pattern is not None and method in rule["AllowedMethods"] and all(any(_matches(one, name) for one in allowed) for name in wanted):
            return _described(rule, pattern, origin, wanted)
    return None


def _described(rule: Rule, pattern: str, origin: str, wanted: list[str]) -> Headers:
    out = [
        ("Access-Control-Allow-Origin", "*" if pattern == "*" else origin),
        ("Access-Control-Allow-Methods", ", ".join(rule["AllowedMethods"])),
    ]
    if wanted:
        out.append(("Access-Control-Allow-Headers", ", ".join(wanted)))
    if rule.get("ExposeHeaders"):
        out.append(("Access-Control-Expose-Headers", ", ".join(rule["ExposeHeaders"])))
    if rule.get("MaxAgeSeconds") is not None:
        out.append(("Access-Control-Max-Age", str(rule["MaxAgeSeconds"])))
    if pattern != "*":
        out.append(("Access-Control-Allow-Credentials", "true"))
    return out


def _matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, where one asterisk stands for any characters or none."""
    before, star, after = pattern.partition("*")
    if not star:
        return text == pattern
    return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)


def asked_method(headers: Mapping[str, str]) -> str:
    """The method that a preflight request asks for. Raises BadRequest for what is no preflight."""
    if not headers.get("origin"):
        raise BadRequest("Insufficient information. Origin request header needed.")
    method = headers.get("access-control-request-method")
    if method not in METHODS:
        raise BadRequest(f"Invalid Access-Control-Request-Method: {method or 'null'}")
    return method
