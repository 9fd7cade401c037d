"""The protocols of IAM and STS: ``POST /`` with a form that names an action, and replies and errors in a form of their own.

One action is built: shared/protocol/wire.py. Each other one is refused by name, so that tools which ask for one learn it at once and do
not try again.
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from urllib.parse import parse_qs

from shared.errors import InvalidAction, S3Error
from shared.protocol.model import read_model
from shared.protocol.scalars import xml_text
from shared.protocol.target import Target

NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_LONGEST_NAME = 128
_LONGEST_FORM = 4096    # bytes that are looked at before anybody has signed: of the actions that are built none takes more


def is_query_api(method: str, target: Target) -> bool:
    """Whether a request speaks one of the two: S3 has no operation there."""
    return method == "POST" and target.bucket is None and target.raw_path == "/"


def target_of(target: Target, method: str, form: bytes) -> Target:
    """The target with the action that the form of such a request names; every other target, and one with a long form, as it is."""
    if not is_query_api(method, target) or len(form) > _LONGEST_FORM:
        return target
    return target._replace(action=_named(form)[0])


def _named(form: bytes) -> tuple[str, str]:
    """(action, version) of a form."""
    fields = parse_qs(form.decode("latin-1"), max_num_fields=10_000) if form.count(b"&") < 10_000 else {}
    action, version = (fields.get(name, [""])[0][:_LONGEST_NAME] for name in ("Action", "Version"))
    return action, version


def refusal(form: bytes) -> InvalidAction:
    """The error that tells a signed request its action is not offered. ``form`` is empty when the body has not come yet."""
    action, version = _named(form)
    if not action:
        return InvalidAction("The request names no action.")
    service = next((name for name in VERSIONS if action in _actions(name)), None)
    if service is None:
        return InvalidAction(f"Could not find operation {action} for version {version or 'NO_VERSION_SPECIFIED'}")
    return InvalidAction(f"The action {action} of {service.upper()} is not offered yet. The admin API has what it is about.")


@cache
def _actions(service: str) -> frozenset[str]:
    return frozenset(read_model(service, VERSIONS[service])["operations"])


def answer(action: str, members: Mapping[str, str], request_id: str) -> bytes:
    """The reply of an action of STS whose result is texts."""
    inner = "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in members.items())
    return (f'<{action}Response xmlns="{STS_NAMESPACE}"><{action}Result>{inner}</{action}Result>'
            f"<ResponseMetadata><RequestId>{xml_text(request_id)}</RequestId></ResponseMetadata></{action}Response>").encode()


def render(error: S3Error, request_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """(status, headers, body) for an error, as both protocols write it."""
    kind = "Sender" if error.status < 500 else "Receiver"
    text = (f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{kind}</Type><Code>{xml_text(error.code)}</Code>'
            f"<Message>{xml_text(error.message)}</Message></Error><RequestId>{xml_text(request_id)}</RequestId></ErrorResponse>")
    return error.status, [*error.headers.items(), ("Content-Type", "text/xml")], text.encode()
