"""S3 Control as far as Terraform needs it: the tags of a bucket under ``/v20180820/tags/{arn}``.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_ListTagsForResource.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from shared.errors import InvalidRequest, MalformedXML, S3Error
from shared.protocol import xml_shapes
from shared.protocol.scalars import xml_text
from shared.protocol.target import Target

NAMESPACE = "http://awss3control.amazonaws.com/doc/2018-08-20/"
ACCOUNT_HEADER = "x-amz-account-id"

_PREFIX = "v20180820"
_TAGS = b"tags/"
_ACCOUNT = re.compile(r"[0-9]{12}")
_ARN = re.compile(r"arn:[a-z0-9-]+:s3:[a-z0-9-]*:[0-9]*:([^/:]+)")


def target_of(target: Target, headers: Mapping[str, str]) -> Target:
    """The bucket that a request of S3 Control is about; every other target as it is.

    The account header tells it from a key of a bucket that is called like that. Raises InvalidRequest for an ARN that is no bucket's.
    """
    if ACCOUNT_HEADER not in headers or target.key is None:
        return target
    if target.bucket == _PREFIX:
        rest = target.key
    elif target.bucket and _ACCOUNT.fullmatch(target.bucket) and target.key.startswith(_PREFIX.encode() + b"/"):
        rest = target.key[len(_PREFIX) + 1:]        # the account in front of the host, where buckets are too
    else:
        return target
    if not rest.startswith(_TAGS):
        return target
    found = _ARN.fullmatch(rest[len(_TAGS):].decode())
    if found is None:
        raise InvalidRequest("The resource is not the ARN of a bucket.")
    return target._replace(bucket=found[1], key=None, is_control=True)


def tags_in(body: bytes) -> list[dict[str, str]]:
    """The tags of a TagResource request. Raises MalformedXML."""
    out = []
    for holder in xml_shapes.parse(body, "TagResourceRequest"):
        if xml_shapes.local(holder) != "Tags":
            raise MalformedXML()
        for tag in holder:
            members: dict[str, Any] = {xml_shapes.local(part): part.text or "" for part in tag}
            if xml_shapes.local(tag) != "Tag" or members.keys() != {"Key", "Value"}:
                raise MalformedXML()
            out.append(members)
    return out


def keys_in(raw_query: str) -> list[str]:
    """The keys that an UntagResource names: tagKeys, once for each."""
    return [value for name, value in parse_qsl(raw_query, keep_blank_values=True) if name == "tagKeys"]


def listing(pairs: Iterable[Mapping[str, str]]) -> bytes:
    """The reply of ListTagsForResource."""
    inner = "".join(f"<Tag><Key>{xml_text(one['Key'])}</Key><Value>{xml_text(one['Value'])}</Value></Tag>" for one in pairs)
    return xml_shapes.document(f'<ListTagsForResourceResult xmlns="{NAMESPACE}"><Tags>{inner}</Tags></ListTagsForResourceResult>')


def render(error: S3Error, request_id: str, host_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """(status, headers, body) of an error: that of S3 in one element more, which SDKs look for."""
    inner = (f"<Error><Code>{xml_text(error.code)}</Code><Message>{xml_text(error.message)}</Message></Error>"
             f"<RequestId>{xml_text(request_id)}</RequestId><HostId>{xml_text(host_id)}</HostId>")
    body = xml_shapes.document(f'<ErrorResponse xmlns="{NAMESPACE}">{inner}</ErrorResponse>')
    return error.status, [*error.headers.items(), ("Content-Type", "application/xml")], body
