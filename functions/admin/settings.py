"""Dynamic settings: what can be changed while the server runs, and is true in every process at its next request."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, StrictBool, StrictInt, StrictStr

from shared import dynamic
from shared.admin.context import AdminContext
from shared.admin.errors import InvalidFields, NotFound
from shared.admin.model import Model
from shared.meta.models import INSTALLATION
from shared.registry import admin

Value = StrictBool | StrictInt | StrictStr


class SettingView(Model):
    """A setting and its value in force."""

    key: str
    value: Value
    type: str = Field(description="bool, int or string.")
    category: str
    description: str
    default: Value
    editable: bool = Field(default=True, description="Always true: what cannot be changed while the server runs is not listed.")
    minimum: int | None = Field(None, description="Of an int, inclusive.")
    maximum: int | None = Field(None, description="Of an int, inclusive.")
    choices: list[str] | None = Field(None, description="All that a string may be.")
    updated_ms: int | None = Field(None, description="When it was changed; null when it never was.")
    updated_by: str | None = None


class SettingList(Model):
    """All settings that were asked for."""

    items: list[SettingView]


class SettingQuery(Model):
    """Which settings."""

    category: str | None = Field(None, max_length=64)


class Categories(Model):
    """What stands before the first dot of settings."""

    items: list[str]


class NewValue(Model):
    """What a setting is to be."""

    value: Value


class NewValues(Model):
    """What several settings are to be: all are changed, or none."""

    settings: dict[str, Value] = Field(min_length=1, max_length=100)


@admin("GET /api/v1/settings", allow="admin:GetSettings", query=SettingQuery, gives=SettingList, inside=True)
def list_settings(ctx: AdminContext) -> SettingList:
    """Return all settings, or those of one category."""
    ctx.require("admin:GetSettings", INSTALLATION, "setting/*")
    changed = dynamic.changed()
    wanted = ctx.query.category
    return SettingList(items=[_view(row, changed) for row in dynamic.SETTINGS if wanted in (None, row.category)])


@admin("GET /api/v1/settings/categories", allow="admin:GetSettings", gives=Categories, inside=True)
def list_setting_categories(ctx: AdminContext) -> Categories:
    """Return the categories that settings are in."""
    ctx.require("admin:GetSettings", INSTALLATION, "setting/*")
    return Categories(items=list(dict.fromkeys(row.category for row in dynamic.SETTINGS)))


@admin("GET /api/v1/settings/{key}", allow="admin:GetSettings", gives=SettingView, inside=True)
def get_setting(ctx: AdminContext) -> SettingView:
    """Return one setting. Raises NotFound."""
    key = ctx.args["key"]
    ctx.require("admin:GetSettings", INSTALLATION, f"setting/{key}")
    return _view(_row(key), dynamic.changed())


@admin("PUT /api/v1/settings/{key}", allow="admin:UpdateSettings", takes=NewValue, gives=SettingView, event="setting_updated", inside=True)
def update_setting(ctx: AdminContext) -> SettingView:
    """Change one setting; every process follows at its next request.

    Raises NotFound; InvalidFields for a value of the wrong type or out of bounds.
    """
    key = ctx.args["key"]
    ctx.require("admin:UpdateSettings", INSTALLATION, f"setting/{key}")
    _row(key)
    ctx.about("setting", key, key, INSTALLATION)
    _put(ctx, {key: ctx.body.value}, {key: "value"})
    return _view(_row(key), dynamic.changed())


@admin("POST /api/v1/settings/bulk", allow="admin:UpdateSettings", takes=NewValues, gives=SettingList, event="settings_bulk_updated",
       inside=True)
def update_settings(ctx: AdminContext) -> SettingList:
    """Change several settings, all or none. Raises InvalidFields, which also names settings that there are not."""
    wanted = ctx.body.settings
    for key in wanted:
        ctx.require("admin:UpdateSettings", INSTALLATION, f"setting/{key}")
    ctx.about("setting", "", "", INSTALLATION)
    if unknown := {f"settings.{key}": "There is no such setting." for key in wanted if key not in dynamic.BY_NAME}:
        raise InvalidFields(fields=unknown)
    _put(ctx, wanted, {key: f"settings.{key}" for key in wanted})
    changed = dynamic.changed()
    return SettingList(items=[_view(_row(key), changed) for key in wanted])


def _put(ctx: AdminContext, values: Mapping[str, object], fields: Mapping[str, str]) -> None:
    """Change them, and note what changed for the audit log. ``fields`` names each in the request."""
    problems = {}
    for key, value in values.items():
        try:
            dynamic.BY_NAME[key].checked(value)
        except dynamic.InvalidSetting as error:
            problems[fields[key]] = f"It {error}."
    if problems:
        raise InvalidFields(fields=problems)
    differ = dynamic.put(values, ctx.user.name)
    ctx.details["changes"] = {key: {"before": before, "after": after} for key, (before, after) in differ.items()}


def _row(key: str) -> dynamic.Setting:
    if key not in dynamic.BY_NAME:
        raise NotFound("There is no such setting.")
    return dynamic.BY_NAME[key]


def _view(row: dynamic.Setting, changed: Mapping[str, dynamic.Changed]) -> SettingView:
    found = changed.get(row.name)
    is_int = row.kind == "int"
    return SettingView(
        key=row.name, value=found.value if found else row.default, type=row.kind, category=row.category, description=row.help,
        default=row.default, minimum=row.low if is_int else None, maximum=row.high if is_int else None, choices=list(row.choices) or None,
        updated_ms=found.updated_ms if found else None, updated_by=found.updated_by if found else None,
    )
