"""What an admin function is given: who asks, what for, and the one way to ask whether they may."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.auth import engine
from shared.auth.engine import ANYONE
from shared.errors import AccessDenied, NotFound, PreconditionFailed
from shared.meta.models import INSTALLATION
from shared.request import Headers, Request

if TYPE_CHECKING:
    from shared.identity import Generation
    from shared.meta.people import PrincipalInfo
    from shared.registry import Function
    from shared.services import Services

__all__ = ["ANYONE", "SIGNED_IN", "AdminContext", "resource_name"]

SIGNED_IN = "signed-in"
MOST_ID = 1 << 62       # row ids are 64-bit numbers; what is larger is nobody's


def resource_name(tenant_id: int, resource: str) -> str:
    """The name that policies know an admin resource by: ``resource`` is ``kind/id``, ``kind/*`` or ``*``."""
    return f"arn:maxiofs:::tenant/{tenant_id}/{resource}"


@dataclass(eq=False, slots=True)
class AdminContext:
    """One call of an admin function.

    ``args`` are the parts of the path by name, decoded. ``query`` and ``body`` are instances of the models that the declaration names,
    else None. ``if_match`` is the revision the client expects, None without If-Match (or with ``*``). ``details`` go into the audit
    event, ``reply_headers`` onto the reply; ``about`` says what the event is about when the last part of the path does not; ``event``
    is the declared one, and "" writes none. ``reason`` says why the caller was refused, for the logs and never for the client.
    """

    services: Services
    known: Generation
    function: Function
    request: Request
    caller: PrincipalInfo | None = None
    session: Any = None
    args: dict[str, str] = field(default_factory=dict)
    query: Any = None
    body: Any = None
    address: str = ""
    if_match: int | None = None
    reply_headers: Headers = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    event: str = ""
    resource: tuple[str, str, str] | None = None
    tenant_id: int | None = None
    asked: bool = False
    reason: str | None = None

    @property
    def request_id(self) -> str:
        """The id of the request, as the client is told."""
        return self.request.id

    @property
    def agent(self) -> str:
        """What the client calls itself, for sessions and the audit log."""
        return (self.request.header("user-agent") or "")[:256]

    @property
    def user(self) -> PrincipalInfo:
        """The caller of a function that is not for anyone."""
        assert self.caller is not None
        return self.caller

    @property
    def is_global(self) -> bool:
        """Whether the caller belongs to no tenant: only such see more than one."""
        return self.user.tenant_id == INSTALLATION

    def id(self, name: str) -> int:
        """A part of the path as a row id. Raises NotFound for what is none."""
        text = self.args[name]
        if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or not 0 < int(text) < MOST_ID:
            raise NotFound()
        return int(text)

    def about(self, kind: str, id: object, name: str = "", tenant_id: int | None = None) -> None:
        """Say what the audit event is about: ``kind`` is user, access_key, group, tenant, bucket, object, setting …"""
        self.resource = (kind, str(id), name)
        self.tenant_id = tenant_id if tenant_id is not None else self.tenant_id

    def allows(self, action: str, tenant_id: int, resource: str) -> bool:
        """Whether the caller may do this to ``resource`` (``user/7``, ``user/*``) of that tenant. For lists that show what one may see."""
        return self._decide(action, tenant_id, resource).allowed

    def _decide(self, action: str, tenant_id: int, resource: str) -> engine.Decision:
        self.asked = True
        return engine.decide_admin(self.known, self.caller, action, resource_name(tenant_id, resource), tenant_id)

    def require(self, action: str, tenant_id: int, resource: str) -> None:
        """Refuse unless ``allows``. Raises AccessDenied; NotFound when it is another tenant's: nobody learns what is there."""
        decision = self._decide(action, tenant_id, resource)
        if decision.allowed:
            return
        self.reason = decision.reason
        if not self.is_global and tenant_id != self.user.tenant_id:
            raise NotFound()
        raise AccessDenied()

    def check_revision(self, revision: int) -> None:
        """Refuse a change of what the client has not seen. Raises PreconditionFailed. Call it inside the change's transaction."""
        if self.if_match is not None and self.if_match != revision:
            raise PreconditionFailed(f"It was changed in the meantime: its revision is {revision}.")
