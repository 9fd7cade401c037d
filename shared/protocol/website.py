"""Website configurations: checked as AWS does; which rule redirects a request, and where to; errors as web pages.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from shared.errors import InvalidArgument, InvalidRequest, S3Error
from shared.protocol.codec import header_text
from shared.protocol.xml_shapes import malformed

MAX_RULES = 50
MOVED = 301

_HOST = re.compile(r"[A-Za-z0-9_.\[\]:-]{1,300}")
_STATUS = re.compile(r"[1-9][0-9]{2}")
_NOT_A_REDIRECT = frozenset({"300", "304", "306"})


class Redirect(NamedTuple):
    """Where a request is sent."""

    status: int
    location: str


class Asked(NamedTuple):
    """A request as redirects see it. ``base`` stands in front of every key: "" or, when the path names the bucket, ``/bucket``."""

    scheme: str
    host: str
    key: str
    base: str = ""


# ---- checking -----------------------------------------------------------------------------------------------------------------------


def checked(configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration as it is stored. Raises InvalidArgument, InvalidRequest, MalformedXML.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html
    """
    index, error, everything = (configuration.get(name) for name in ("IndexDocument", "ErrorDocument", "RedirectAllRequestsTo"))
    rules = configuration.get("RoutingRules")
    if everything is not None:
        if index is not None or error is not None or rules:
            raise InvalidArgument("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
                                  ArgumentName="RedirectAllRequestsTo", ArgumentValue="not null")
        _check_host(everything)
        return {"RedirectAllRequestsTo": everything}
    if index is None:
        raise InvalidArgument("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
                              ArgumentName="IndexDocument", ArgumentValue="null")
    suffix = index["Suffix"]
    if not suffix or "/" in suffix:
        raise InvalidArgument("The IndexDocument Suffix is not well formed", ArgumentName="IndexDocument", ArgumentValue=suffix)
    if error is not None and not error["Key"]:
        raise InvalidArgument("The ErrorDocument Key is not well formed", ArgumentName="ErrorDocument", ArgumentValue="")
    if rules == []:
        raise malformed("<RoutingRules> is empty")
    if rules is not None and len(rules) > MAX_RULES:
        raise InvalidRequest(f"{len(rules)} routing rules provided, the number of routing rules in a website configuration is limited "
                             f"to {MAX_RULES}.")
    for rule in rules or ():
        _check_rule(rule)
    return configuration


def _check_rule(rule: Mapping[str, Any]) -> None:
    condition, redirect = rule.get("Condition"), rule["Redirect"]
    if condition is not None:
        if not condition:
            raise InvalidRequest("Condition cannot be empty. To redirect all requests without a condition, the condition element "
                                 "shouldn't be present.")
        status = condition.get("HttpErrorCodeReturnedEquals")
        if status is not None and not (_STATUS.fullmatch(status) and status[0] in "45"):
            raise InvalidRequest(f"The provided HTTP error code ({status}) is not valid. Valid codes are 4XX or 5XX.")
    if not redirect:
        raise InvalidRequest("Redirect cannot be empty. At least one of its elements must be present.")
    if "ReplaceKeyWith" in redirect and "ReplaceKeyPrefixWith" in redirect:
        raise InvalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    status = redirect.get("HttpRedirectCode")
    if status is not None and (not _STATUS.fullmatch(status) or status[0] != "3" or status in _NOT_A_REDIRECT):
        raise InvalidRequest(f"The provided HTTP redirect code ({status}) is not valid. Valid codes are 3XX except 300.")
    _check_host(redirect)


def _check_host(redirect: Mapping[str, str]) -> None:
    name, protocol = redirect.get("HostName"), redirect.get("Protocol")
    if name is not None and not _HOST.fullmatch(name):
        raise InvalidRequest(f"The host name ({name[:100]}) is not valid.")
    if protocol is not None and protocol not in ("http", "https"):
        raise InvalidRequest("Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.")


# ---- redirecting --------------------------------------------------------------------------------------------------------------------


def redirect_all(configuration: Mapping[str, Any], asked: Asked) -> Redirect | None:
    """Where every request goes, when the configuration says so."""
    target = configuration.get("RedirectAllRequestsTo")
    if target is None:
        return None
    return Redirect(MOVED, _location(target.get("Protocol") or asked.scheme, target["HostName"], "", asked.key))


def routed(configuration: Mapping[str, Any], asked: Asked, status: int | None) -> Redirect | None:
    """The redirect of the first rule that fits: before anything is read (``status`` None), or after an error with this status."""
    for rule in configuration.get("RoutingRules") or ():
        condition = rule.get("Condition") or {}
        wanted, prefix = condition.get("HttpErrorCodeReturnedEquals"), condition.get("KeyPrefixEquals", "")
        if (int(wanted) if wanted else None) == status and asked.key.startswith(prefix):
            return _redirect(rule["Redirect"], asked, prefix)
    return None


def _redirect(target: Mapping[str, str], asked: Asked, prefix: str) -> Redirect:
    host, key, base = target.get("HostName"), asked.key, asked.base
    if "ReplaceKeyWith" in target:
        key = target["ReplaceKeyWith"]
    elif "ReplaceKeyPrefixWith" in target:
        key = target["ReplaceKeyPrefixWith"] + key[len(prefix):]
    location = _location(target.get("Protocol") or asked.scheme, host or asked.host, "" if host else base, key)
    return Redirect(int(target.get("HttpRedirectCode") or MOVED), location)


def _location(scheme: str, host: str, base: str, key: str) -> str:
    return f"{scheme}://{host}{base}/{quote(key, safe='/~!$&()*+,;=:@?#%') if _is_address(key) else quote(key, safe='/~')}"


def _is_address(key: str) -> bool:
    """A rule may replace a key with an address that has a query or a fragment, which is written as such already."""
    return key.isascii() and ("?" in key or "#" in key)


def to_folder(asked: Asked) -> Redirect:
    """A key that is a folder with an index document: its address ends with a slash."""
    path = f"{asked.base}/{quote(asked.key, safe='/~')}/"
    return Redirect(302, f"{asked.scheme}://{asked.host}{path}" if path.startswith("//") else path)    # that would be another host


def of_object(value: str, asked: Asked) -> Redirect:
    """What an object's x-amz-website-redirect-location says: a path of this site, or a whole address."""
    return Redirect(MOVED, header_text(asked.base + value if value.startswith("/") else value))


# ---- errors as pages ----------------------------------------------------------------------------------------------------------------


def page(error: S3Error, request_id: str, host_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """(status, headers, body) of an error for people: what the error document would say, as a list."""
    status = error.status
    if status == HTTPStatus.NOT_MODIFIED:       # is about the page that the browser has: nothing here may take the place of its headers
        return status, list(error.headers.items()), b""
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = str(status)
    facts = {"Code": error.code, "Message": error.message, **error.fields, "RequestId": request_id, "HostId": host_id}
    lines = "\n".join(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in facts.items())
    body = (f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n'
            f"<ul>\n{lines}\n</ul>\n</body>\n</html>\n")
    headers = [*error.headers.items(), ("Content-Type", "text/html; charset=utf-8"), *error_headers(error)]
    return status, headers, body.encode("utf-8", "replace")


def error_headers(error: S3Error) -> list[tuple[str, str]]:
    """What programs are told about an error that people see as a page."""
    details = [(f"x-amz-error-detail-{name}", header_text(value)) for name, value in error.fields.items() if name == "Key"]
    return [("x-amz-error-code", error.code), ("x-amz-error-message", header_text(error.message)), *details]
