"""The reference of the admin API as one page to read: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from shared.admin.openapi import kind_of

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --code: #8882; --mark: #2563eb; }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0 0 .5rem } h2 { margin: 3rem 0 .5rem; border-bottom: 1px solid var(--line) }
nav a { margin-right: 1rem; white-space: nowrap } a { color: var(--mark) }
code { background: var(--code); border-radius: 3px; padding: .1em .3em; font-size: .9em; overflow-wrap: anywhere }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .5rem .8rem }
summary { cursor: pointer } summary b { display: inline-block; min-width: 4.5rem; color: var(--mark) }
summary span { color: var(--soft) }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem } caption { text-align: left; font-weight: 600 }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line) }
"""
POLICY = (
    "default-src 'none'; style-src 'sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def page(document: dict[str, Any]) -> str:
    """The description as HTML."""
    groups: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append("".join(_operation(method.upper(), path, operation)))
    info = document["info"]
    links = " ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in [*groups, "documents"])
    sections = "".join(f'<h2 id="{escape(name)}">{escape(name)}</h2>{"".join(parts)}' for name, parts in groups.items())
    models = "".join("".join(_model(name, schema)) for name, schema in sorted(document["components"]["schemas"].items()))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body><h1>{escape(info['title'])}</h1>"
        f'<p>Version {escape(info["version"])}. For programs: <a href="/api/v1/openapi.json">openapi.json</a></p>'
        f"<p>{_text(info['description'])}</p><nav>{links}</nav>{sections}"
        f'<h2 id="documents">documents</h2>{models}</body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    name = escape(operation["operationId"])
    yield f'<details id="{name}"><summary><b>{method}</b> <code>{escape(path)}</code> <span>{_text(operation["summary"])}</span></summary>'
    if operation["description"]:
        yield f"<p>{_text(operation['description'])}</p>"
    if operation["parameters"]:
        rows = [(one["name"], f"{one['in']}, {_kind(one['schema'])}", one.get("description", "")) for one in operation["parameters"]]
        yield _table("Parameters", rows)
    if "requestBody" in operation:
        yield f"<p>Takes {_content(operation['requestBody']['content'])}.</p>"
    rows = [(status, _content(reply.get("content", {})), reply["description"]) for status, reply in operation["responses"].items()]
    yield _table("Replies", rows)
    yield "</details>"


def _model(name: str, schema: dict[str, Any]) -> Iterator[str]:
    about = _text(schema.get("description", ""))
    yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code> <span>{about}</span></summary>'
    needed = schema.get("required", ())
    rows = [(field, _kind(one) + (", required" if field in needed else ""), one.get("description", ""))
            for field, one in schema.get("properties", {}).items()]
    yield _table("Fields", rows) if rows else f"<p>{_kind(schema)}</p>"
    yield "</details>"


def _table(caption: str, rows: list[tuple[str, str, str]]) -> str:
    lines = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{_text(about)}</td></tr>" for name, kind, about in rows)
    return f"<table><caption>{caption}</caption>{lines}</table>"


def _content(content: dict[str, Any]) -> str:
    return "; ".join(_kind(one["schema"]) if kind == "application/json" else escape(kind) for kind, one in content.items()) or "nothing"


def _kind(schema: dict[str, Any]) -> str:
    """The words of a schema, with links to the documents they name."""
    linked = re.sub(r"(?<![`\w])([A-Z]\w+)\b(?!`)", r'<a href="#\1">\1</a>', escape(kind_of(schema)))
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", linked)


def _text(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
