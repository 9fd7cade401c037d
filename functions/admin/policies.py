"""Identity policies: what users, groups and roles may do, as documents in the JSON language of AWS."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from shared.admin.context import AdminContext
from shared.admin.errors import AccessDenied, AlreadyExists
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.admin.names import Name, Text
from shared.admin.reach import check_rewriting, home, listed_tenant, required, sees
from shared.auth.policy import BUILTIN, Document, PolicyError, parse
from shared.auth.policy.builtin import TEXTS
from shared.errors import MalformedPolicy
from shared.meta import attachments, policies
from shared.meta.models import INSTALLATION
from shared.meta.policies import PolicyRow
from shared.registry import admin

POLICY = "/api/v1/policies/{policy}"
MOST_TARGETS = 1000
_BUILTIN_ROWS = [
    PolicyRow(number - len(TEXTS), INSTALLATION, name, "Built in.", TEXTS[name], 0, 0) for number, name in enumerate(sorted(TEXTS))
]       # their ids are below all others, so that lists begin with them


class PolicyWarning(Model):
    """Something in a policy that has no effect, or hardly the one that was meant. Positions count from 1."""

    message: str
    line: int
    column: int


class IdentityPolicy(Model):
    """A policy."""

    name: str
    tenant_id: int = Field(description="0: the installation's.")
    description: str
    is_builtin: bool = Field(description="It is part of the server, and cannot be changed.")
    document: dict[str, Any]
    text: str = Field(description="The document as it was given.")
    warnings: list[PolicyWarning]
    created_ms: int
    revision: int


class PolicyTarget(Model):
    """Something that has a policy."""

    kind: str = Field(description="user, group, role or key.")
    id: str
    name: str
    tenant_id: int


class PolicyAndUse(IdentityPolicy):
    """A policy, and what has it."""

    attached: int = Field(description="To how many users, groups, roles and access keys.")
    attached_to: list[PolicyTarget] = Field(description="At most 1,000 of them.")


class NewIdentityPolicy(Model):
    """A new policy."""

    name: Name
    document: str | dict[str, Any] = Field(description="The policy as an object, or as JSON text: faults are told by their place.")
    description: Text = ""
    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: the installation's; null: the caller's tenant's.")


class PolicyChange(Model):
    """What is to be different; what is left out stays."""

    document: str | dict[str, Any] = Field(default="")
    description: Text = ""


class WhichPolicy(Model):
    """Whose policy of that name."""

    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: the installation's; null: the caller's tenant's.")


class PolicyQuery(WhichPolicy, PageQuery):
    """Which policies."""

    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: the installation's; null: all that one may see.")


@admin("GET /api/v1/policies", allow="admin:ListPolicies", query=PolicyQuery, gives=Page[IdentityPolicy], inside=True)
def list_policies(ctx: AdminContext) -> Page[IdentityPolicy]:
    """Return the built-in policies, then the others in order of their making. Who belongs to a tenant sees its policies."""
    tenant_id = listed_tenant(ctx, "admin:ListPolicies", "policy", ctx.query.tenant_id)
    after = int((position_of(ctx.query.cursor, int) or (-len(TEXTS) - 1,))[0])
    limit = ctx.query.limit + 1
    first = [row for row in _BUILTIN_ROWS if row.id > after]
    rows = first[:limit] + policies.page(max(after, 0), max(0, limit - len(first)), tenant_id=tenant_id)
    page = page_of(rows, ctx.query.limit, lambda row: (row.id,))
    return Page(items=[IdentityPolicy(**_values(row)) for row in page.items], next_cursor=page.next_cursor)


def _values(row: PolicyRow) -> dict[str, Any]:
    is_builtin = row.id <= 0
    read = BUILTIN[row.name] if is_builtin else parse(row.document, "identity")
    return {
        "name": row.name, "tenant_id": row.tenant_id, "description": row.description, "is_builtin": is_builtin,
        "document": json.loads(row.document.removeprefix("\ufeff")), "text": row.document, "created_ms": row.created_ms,
        "revision": row.revision,
        "warnings": [PolicyWarning(message=one.message, line=one.line, column=one.column) for one in read.warnings],
    }


@admin("POST /api/v1/policies", allow="admin:CreatePolicy", takes=NewIdentityPolicy, gives=IdentityPolicy, status=201,
       event="policy_created", inside=True)
def create_policy(ctx: AdminContext) -> IdentityPolicy:
    """Make a policy; it has no effect until it is attached.

    Raises MalformedPolicy, with line and column among its fields; AlreadyExists for a name that is built in, the tenant's or the
    installation's; NotFound for a tenant that is not there.
    """
    body: NewIdentityPolicy = ctx.body
    ctx.about("policy", body.name, body.name)   # in whose log it belongs, ``home`` says: nobody writes into another tenant's
    tenant_id = ctx.tenant_id = home(ctx, "admin:CreatePolicy", "policy", body.tenant_id)
    text, _ = _read(body.document)
    if body.name in BUILTIN:
        raise AlreadyExists(f"The policy {body.name} is built in.", name="taken")
    return IdentityPolicy(**_values(policies.create(tenant_id, body.name, text, body.description)))


def _read(document: str | dict[str, Any]) -> tuple[str, Document]:
    """The text to keep, and what it says. Raises MalformedPolicy."""
    text = document if isinstance(document, str) else json.dumps(document, indent=2, ensure_ascii=False)
    try:
        return text, parse(text, "identity")
    except PolicyError as error:
        raise MalformedPolicy(
            f"The policy is not valid: {error}.", document=error.message, line=error.line, column=error.column
        ) from None


@admin(f"GET {POLICY}", allow="admin:GetPolicy", query=WhichPolicy, gives=PolicyAndUse, inside=True)
def get_policy(ctx: AdminContext) -> PolicyAndUse:
    """Return a policy, and which users, groups, roles and access keys have it: of those that the caller may see."""
    row = _found(ctx, "admin:GetPolicy")
    used = attachments.users_of(row.name, None) if row.name in BUILTIN else policies.used_by(row)
    used = [target for target in used if sees(ctx, target.tenant_id)]
    targets = [PolicyTarget(**target._asdict()) for target in used[:MOST_TARGETS]]
    return PolicyAndUse(**_values(row), attached=len(used), attached_to=targets)


def _found(ctx: AdminContext, action: str) -> PolicyRow:
    """The policy of the path. Raises NotFound, AccessDenied; also for changes of what is built in."""
    name = ctx.args["policy"]
    tenant_id = ctx.user.tenant_id if ctx.query.tenant_id is None else ctx.query.tenant_id
    if name in BUILTIN:
        ctx.require(action, ctx.user.tenant_id, f"policy/{name}")
        if action != "admin:GetPolicy":
            raise AccessDenied("Built-in policies cannot be changed.")
        return next(row for row in _BUILTIN_ROWS if row.name == name)
    row = required(ctx, action, f"policy/{name}", policies.find(tenant_id, name))
    ctx.about("policy", row.name, row.name, row.tenant_id)
    return row


@admin(f"PUT {POLICY}", allow="admin:UpdatePolicy", query=WhichPolicy, takes=PolicyChange, gives=IdentityPolicy, event="policy_updated",
       inside=True)
def update_policy(ctx: AdminContext) -> IdentityPolicy:
    """Change a policy: it binds whoever has it at their next request.

    Raises MalformedPolicy, PreconditionFailed; AccessDenied for a built-in policy, and for one that is attached unless the caller is an
    administrator, of the installation or of the policy's tenant.
    """
    row, values = _found(ctx, "admin:UpdatePolicy"), ctx.body.model_dump(exclude_unset=True)
    if "document" in values:
        values["document"], _ = _read(values["document"])
        check_rewriting(ctx.user, row)
    ctx.details["changed"] = sorted(values)
    return IdentityPolicy(**_values(policies.change(row.tenant_id, row.name, values, ctx.if_match)))


@admin(f"DELETE {POLICY}", allow="admin:DeletePolicy", query=WhichPolicy, event="policy_deleted", inside=True)
def delete_policy(ctx: AdminContext) -> None:
    """Delete a policy that nothing has. Raises Conflict, which names what has it; PreconditionFailed; AccessDenied if built in."""
    row = _found(ctx, "admin:DeletePolicy")
    policies.delete(row.tenant_id, row.name, ctx.if_match)


