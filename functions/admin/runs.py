"""Runs of workflows in the admin API: how far is what takes longer than a request."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.admin.context import AdminContext
from shared.admin.model import Model
from shared.admin.reach import required
from shared.meta import runs
from shared.registry import admin

SEE_THE_LOG = "It failed. The log of the server says why."


class RunView(Model):
    """A run of a workflow."""

    id: int
    workflow: str
    tenant_id: int = Field(description="Whose buckets or people it works on; 0: the installation's.")
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    done: int = Field(description="So many things are done.")
    total: int | None = Field(description="Of so many; null: not known.")
    message: str | None = Field(description="Where it is, or why its last step failed. Null for who belongs to a tenant.")
    error: str | None = Field(description="Why it failed for good.")
    created_ms: int
    finished_ms: int | None = Field(description="Null: it has not ended. Runs are forgotten 30 days after their end.")


@admin("GET /api/v1/runs/{run}", allow="admin:GetRun", gives=RunView, inside=True)
def get_run(ctx: AdminContext) -> RunView:
    """Return how far a run is, such as one that deletes a bucket or a tenant with all it has. Raises NotFound."""
    run_id = ctx.id("run")
    row = required(ctx, "admin:GetRun", f"run/{run_id}", runs.find(run_id))
    progress = row.progress
    # What went wrong is told as the driver or the system said it, with addresses and paths: not for those whom we serve.
    message = progress.message if ctx.is_global else None
    error = (message or SEE_THE_LOG) if progress.state == runs.FAILED else None
    return RunView(
        id=row.id, workflow=row.workflow, tenant_id=row.tenant_id, state=progress.state,     # type: ignore[arg-type]
        done=progress.done, total=progress.total, message=message, error=error, created_ms=row.created_ms, finished_ms=row.finished_ms)
