"""The server itself: what it is, whether it works, and what can be asked of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from shared import health
from shared.admin import openapi, reference
from shared.admin.context import ANYONE, AdminContext
from shared.admin.model import Model
from shared.errors import ServiceUnavailable
from shared.registry import admin
from shared.settings import version as server_version


class Version(Model):
    """Name and version of the server."""

    name: str
    version: str


class Welcome(Version):
    """What answers here."""

    endpoints: list[str]


class Root(Version):
    """The entry to the API."""

    api: str = Field(description="The version of the API: the part of the path behind /api/.")
    description: str
    documentation: str = Field(description="The readable reference.")
    openapi: str = Field(description="The same for programs.")
    endpoints: dict[str, str] = Field(description="The collections, by name.")


class Health(Model):
    """Whether the server works."""

    status: str = Field(description="`ok`")


@admin("GET /", allow=ANYONE, gives=Welcome)
def welcome(_: AdminContext) -> Welcome:
    """Say what answers here. The console itself comes with a later release."""
    return Welcome(name="MaxIOFS", version=server_version(), endpoints=["/api/v1", "/api/v1/docs", "/healthz", "/readyz", "/metrics"])


@admin("GET /api/v1", allow=ANYONE, gives=Root)
def api_root(_: AdminContext) -> Root:
    """Say what the API has: its collections, and where it is described."""
    return Root(
        name="MaxIOFS", version=server_version(), api="v1", description="The admin API of a self-hosted S3 server",
        documentation="/api/v1/docs", openapi="/api/v1/openapi.json", endpoints=openapi.collections(),
    )


@admin("GET /api/v1/", allow=ANYONE, gives=Root)
def api_root_with_slash(ctx: AdminContext) -> Root:
    """Say what the API has, as without the slash."""
    return api_root(ctx)


@admin("GET /api/v1/version", allow=ANYONE, gives=Version)
def version(_: AdminContext) -> Version:
    """Return name and version of the server."""
    return Version(name="MaxIOFS", version=server_version())


@admin("GET /api/v1/health", allow=ANYONE, gives=Health)
def api_health(ctx: AdminContext) -> Health:
    """Say whether the server can store and find. Raises ServiceUnavailable."""
    if not health.is_ready(ctx.services.engine):
        raise ServiceUnavailable()
    return Health(status="ok")


@admin("GET /api/v1/openapi.json", allow=ANYONE, gives=dict[str, Any])
def openapi_document(_: AdminContext) -> dict[str, Any]:
    """Return this API's description in OpenAPI 3.1."""
    return openapi.document()


@admin("GET /api/v1/docs", allow=ANYONE, gives="text/html; charset=utf-8")
def reference_page(ctx: AdminContext) -> str:
    """Return the reference as a page to read; it needs nothing from elsewhere."""
    ctx.reply_headers.append(("Content-Security-Policy", reference.POLICY))
    return reference.page(openapi.document())
