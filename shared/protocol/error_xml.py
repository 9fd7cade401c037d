"""Error pages, as AWS writes them."""

from __future__ import annotations

from shared.errors import S3Error
from shared.protocol.scalars import xml_text

_BARE = {304, 204}


def render_xml(error: S3Error, *, resource: str, request_id: str, host_id: str, head: bool) -> tuple[int, list[tuple[str, str]], bytes]:
    """(status, headers, body) for an error; ``head`` and 304 have no body.

    ``resource`` is the path as the client wrote it. The error's own fields stand between Message and Resource.
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses
    """
    headers = list(error.headers.items())
    if error.status in _BARE:
        return error.status, headers, b""
    headers.append(("Content-Type", "application/xml"))
    if head:
        return error.status, headers, b""
    elements = {"Code": error.code, "Message": error.message, **error.fields}
    elements.setdefault("Resource", resource)
    elements |= {"RequestId": request_id, "HostId": host_id}
    inner = "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in elements.items())
    return error.status, headers, f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode("utf-8", "replace")
