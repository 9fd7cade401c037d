"""One event of the audit log, and its name for each kind of thing that happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SUCCESS, FAILED = "success", "failed"


class Event(NamedTuple):
    """Something that somebody did, or tried. ``details`` is JSON; it never holds a secret.

    ``status`` is SUCCESS or FAILED; ``action`` a verb such as create, delete, update, login. ``principal_id`` is None for nobody,
    ``tenant_id`` the tenant that it concerns (of the resource, else of who did it; models.INSTALLATION for none): its administrators see
    the event. ``at_ms`` 0 means now.
    """

    event_type: str
    resource_type: str = ""
    resource_id: str = ""
    resource_name: str = ""
    action: str = ""
    status: str = SUCCESS
    principal_id: int | None = None
    username: str = ""
    tenant_id: int = 0
    address: str = ""
    agent: str = ""
    request_id: str = ""
    details: Mapping[str, Any] = {}
    at_ms: int = 0
