"""What the commands over the admin functions have in common: calling them as root, finding things by name, showing them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scripts.cli.ask import application
from scripts.cli.command import Context, Failure

PAGE = 1000
WIDTH_OF_A_PIPE = 1200      # characters; keys have up to 1,024


class Admin:
    """Calls admin functions as root, in this process; the server may be running or not."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def ask(self, function: str, /, **arguments: Any) -> Any:
        """Call ``admin.{function}``; arguments that are None are left out. Raises Failure that tells also which field is wrong, and why."""
        try:
            return self._app.invoke(f"admin.{function}", {key: value for key, value in arguments.items() if value is not None})
        except Exception as error:
            fields = getattr(error, "fields", None)
            if not fields or not hasattr(error, "code"):
                raise
            told = "; ".join(f"{field}: {why}" for field, why in fields.items())
            raise Failure(f"{error.code}: {getattr(error, 'message', error)} ({told})") from None

    def every(self, function: str, /, **arguments: Any) -> list[dict[str, Any]]:
        """All items of a list, page by page."""
        items: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.ask(function, limit=PAGE, cursor=cursor, **arguments)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def tenant(self, name: str | None) -> int | None:
        """A tenant's id by its name or id; 0 for "-", which stands for the installation; None for None. Raises Failure."""
        if name is None or name == "-":
            return None if name is None else 0
        return int(self._one("tenant", name, self.ask("list_tenants", name=name)["items"])["id"])

    def user(self, name: str) -> dict[str, Any]:
        """A user by name or id. Raises Failure."""
        return self._one("user", name, self.ask("list_users", username=name)["items"])

    def group(self, kind: str, name: str, tenant_id: int | None) -> dict[str, Any]:
        """A group, or a role, by name in its tenant, or by id. Raises Failure."""
        return self._one(kind, name, self.ask(f"list_{kind}s", name=name, tenant_id=tenant_id or 0)["items"])

    def key(self, key_id: str) -> dict[str, Any]:
        """An access key by its id. Raises Failure."""
        found = [one for one in self.every("list_all_access_keys") if one["access_key"] == key_id]
        return self._one("access key", key_id, found)

    def _one(self, kind: str, name: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
        if found:
            return found[0]
        if name.isascii() and name.isdigit() and kind in ("user", "group", "role", "tenant"):
            shown: dict[str, Any] = self.ask(f"get_{kind}", **{kind: name})
            return shown
        raise Failure(f"there is no {kind} {name}")


@contextmanager
def admin(context: Context) -> Iterator[Admin]:
    """The admin functions of this installation."""
    with application(context) as app:
        yield Admin(app)


def show_rows(context: Context, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print rows: all that is known of them as JSON, or some columns as a table."""
    if context.as_json:
        context.show({"items": rows})
        return
    from rich.console import Console  # late: processes of the server import this module too
    from rich.table import Table

    table = Table(*(column.removesuffix("_ms").replace("_", " ") for column in columns), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_moment(row[column]) if column.endswith("_ms") else _cell(row[column]) for column in columns))
    # A program that reads the table gets whole keys and names, however long.
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE).print(table)


def _moment(ms: int | None) -> str:
    return "-" if ms is None else time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(ms / 1000))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one["name"]) if isinstance(one, dict) else str(one) for one in value) or "-"
    if isinstance(value, dict):
        return "; ".join(f"{name} {_cell(one)}" for name, one in value.items() if one)
    return "-" if value in (None, "") else str(value)


def show_secret(context: Context, key: dict[str, Any], more: str = "") -> None:
    """Print an access key that was made just now, with the secret that nobody sees again."""
    text = f"access key: {key['access_key']}\nsecret key: {key['secret_key']}\nKeep the secret: it is not shown again.{more}"
    context.show(key, text)
