"""Groups and roles in the admin API: the models and steps they have in common."""

from __future__ import annotations

from pydantic import Field

from shared.admin.context import AdminContext
from shared.admin.model import Model, Page, PageQuery, page_of, position_of
from shared.admin.names import LONGEST_NAME, Name, Text
from shared.admin.reach import check_gift, home, listed_tenant, required
from shared.meta import attachments
from shared.meta.groups import GroupRow, Sets
from shared.meta.models import INSTALLATION


class SetView(Model):
    """A named set of policies."""

    id: int
    name: str
    description: str
    tenant_id: int = Field(description="0: belongs to no tenant.")
    policies: list[str]
    created_ms: int
    revision: int


class NewSet(Model):
    """What is to be made."""

    name: Name
    description: Text = ""
    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: of no tenant; null: of the caller's.")


class SetChange(Model):
    """What is to be different; what is left out stays."""

    name: Name = Field(default="")
    description: Text = ""


class SetQuery(PageQuery):
    """Which of them."""

    tenant_id: int | None = Field(None, ge=INSTALLATION, description="0: those of no tenant.")
    name: str | None = Field(None, max_length=LONGEST_NAME, description="That very name.")


class Kind:
    """Groups, or roles: ``noun`` is Group or Role in the names of actions, ``group`` or ``role`` in paths and resources."""

    def __init__(self, noun: str, sets: Sets) -> None:
        self.noun, self.word, self.sets = noun, noun.lower(), sets

    def page(self, ctx: AdminContext) -> Page[SetView]:
        """A page of what the caller may see. Raises NotFound, AccessDenied."""
        query: SetQuery = ctx.query
        tenant_id = listed_tenant(ctx, f"admin:List{self.noun}s", self.word, query.tenant_id)
        after = position_of(query.cursor, int) or (0,)
        rows = self.sets.page(int(after[0]), query.limit + 1, tenant_id=tenant_id, name=query.name)
        page = page_of(rows, query.limit, lambda row: (row.id,))
        return Page(items=self.shown(page.items), next_cursor=page.next_cursor)

    def shown(self, rows: list[GroupRow]) -> list[SetView]:
        """Rows for a reply."""
        attached = attachments.of_many(self.sets.kind, [row.id for row in rows])
        return [SetView(**row._asdict(), policies=attached.get(str(row.id), [])) for row in rows]

    def create(self, ctx: AdminContext) -> SetView:
        """Make one. Raises AlreadyExists, NotFound, AccessDenied."""
        body: NewSet = ctx.body
        tenant_id = home(ctx, f"admin:Create{self.noun}", self.word, body.tenant_id)
        row = self.sets.create(body.name, tenant_id, body.description)
        ctx.about(self.word, row.id, row.name, tenant_id)
        return self.shown([row])[0]

    def found(self, ctx: AdminContext, action: str) -> GroupRow:
        """The one of the path, when the caller may do this to it. Raises NotFound, AccessDenied."""
        set_id = ctx.id(self.word)
        row = required(ctx, action, f"{self.word}/{set_id}", self.sets.find(set_id))
        ctx.about(self.word, row.id, row.name, row.tenant_id)
        return row

    def change(self, ctx: AdminContext) -> SetView:
        """Change the one of the path. Raises AlreadyExists, PreconditionFailed, NotFound, AccessDenied."""
        row, values = self.found(ctx, f"admin:Update{self.noun}"), ctx.body.model_dump(exclude_unset=True)
        ctx.details.update(values)
        return self.shown([self.sets.change(row.id, values, ctx.if_match)])[0]

    def delete(self, ctx: AdminContext) -> None:
        """Delete the one of the path: whoever had rights through it loses them. Raises as ``change``, LastAdministrator."""
        row = self.found(ctx, f"admin:Delete{self.noun}")
        check_gift(ctx.user, attachments.of(self.sets.kind, row.id), row.tenant_id)
        self.sets.delete(row.id, ctx.if_match, by_root=ctx.user.is_root)
