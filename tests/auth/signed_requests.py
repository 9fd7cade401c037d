"""Requests as botocore signs them, turned into what the server sees; a target that only splits and decodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import unquote_plus, urlsplit

from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shared.auth.model import Authenticated, Credential
from shared.auth.proxies import TrustedProxies
from shared.auth.sigv4 import authenticate
from shared.request import Request

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW_S = 1_369_353_600.0  # 2013-05-24T00:00:00Z, the day of Amazon's examples
REGION = "us-east-1"


@dataclass
class Target:
    """Split at the first question mark; names and values decoded, the first of each name kept."""

    raw_path: str
    raw_query: str
    query: dict[str, str] = field(default_factory=dict)
    host: str = ""

    def __post_init__(self) -> None:
        for pair in self.raw_query.split("&") if self.raw_query else []:
            name, _, value = pair.partition("=")
            self.query.setdefault(unquote_plus(name), unquote_plus(value))


def target_of(request: Request, proxies: TrustedProxies | None = None) -> Target:
    path, _, query = request.target.partition("?")
    return Target(path, query, host=(proxies or TrustedProxies()).host(request))


def judge(request: Request, **how) -> Authenticated:
    """Authenticate against one known key, at the time of the examples unless told otherwise."""
    how.setdefault("credential", lambda key: Credential(ACCESS_KEY, SECRET, "ann") if key == ACCESS_KEY else None)
    how.setdefault("now_s", NOW_S)
    how.setdefault("region", REGION)
    how.setdefault("proxies", TrustedProxies())
    target = how.pop("target", None) or target_of(request, how["proxies"])
    return authenticate(request, target, **how)


def signed(
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    form: str = "header",
    *,
    now_s: float = NOW_S,
    expires_s: int | str = 3600,
    body: bytes = b"",
    peer: str = "127.0.0.1",
    region: str = REGION,
    service: str = "s3",
    token: str | None = None,
    access_key: str = ACCESS_KEY,
    auth_path: str | None = None,
) -> Request:
    """Sign with botocore, then show the request as the server would see it. ``plain`` is the header form of other services."""
    asked = AWSRequest(method, url, headers=dict(headers or {}), data=body, auth_path=auth_path)
    credentials = Credentials(access_key, SECRET, token)
    signers = {
        "header": lambda: S3SigV4Auth(credentials, service, region),
        "plain": lambda: SigV4Auth(credentials, service, region),
        "query": lambda: S3SigV4QueryAuth(credentials, service, region, expires=expires_s),
        "query-v2": lambda: HmacV1QueryAuth(credentials, expires=expires_s),
        "header-v2": lambda: HmacV1Auth(credentials),
    }
    now = datetime.fromtimestamp(now_s, UTC)
    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: now), mock.patch("botocore.auth.time.time", lambda: now_s):
        signers[form]().add_auth(asked)
    split = urlsplit(asked.url)
    target = split.path + (f"?{split.query}" if split.query else "")
    sent = [("Host", split.netloc)] + [(name, value) for name, value in asked.headers.items() if name.lower() != "host"]
    if form == "query-v2":
        sent = [(name, value) for name, value in sent if name == "Host"]  # everything else is in the link
    return Request(method, target, [(name, value.strip()) for name, value in sent], peer=peer)


def changed(request: Request, **parts) -> Request:
    """The same request with other parts; headers given as a list replace all."""
    kept = {"method": request.method, "target": request.target, "headers": list(request.headers), "peer": request.peer}
    return Request(**{**kept, **parts})


def with_header(request: Request, name: str, value: str | None) -> Request:
    """The same request with this header set or, with None, left out."""
    rest = [(other, old) for other, old in request.headers if other.lower() != name.lower()]
    return changed(request, headers=rest + ([(name, value)] if value is not None else []))
