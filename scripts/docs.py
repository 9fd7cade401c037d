"""Writes the pages that are derived from declarations: docs/s3-compatibility.md, docs/settings.md and docs/api.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scripts import api_page
from shared import dynamic
from shared.permissions import signed
from shared.protocol import unbuilt, wire
from shared.protocol.codec import Operation
from shared.protocol.model import load_model
from shared.registry import Function, load
from shared.settings import BYTES, MINIO, ROOT, SECONDS, SETTINGS, Setting

API = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_{}.html"
MADE = "<!-- Made by `python -m scripts.docs`; a test fails when it is not current. Change the declarations instead. -->\n"

# What operations that are not built belong to: a piece of their name → the part of docs/roadmap.md that brings them. The first that fits.
COMES = (
    (("Torrent", "Metadata", "Annotation", "Abac"), "declined"),
    (("",), "comes with more protocols"),
)
SAME_LINE = "its request line is answered as the newer operation's"
OTHER_PRODUCT = "declined"
NOT_IN_ROUTING = {
    "GetBucketLifecycle": SAME_LINE, "PutBucketLifecycle": SAME_LINE, "GetBucketNotification": SAME_LINE,
    "PutBucketNotification": SAME_LINE, "ListDirectoryBuckets": "its request line is ListBuckets'",
    "CreateSession": OTHER_PRODUCT, "WriteGetObjectResponse": OTHER_PRODUCT,
}
COMPATIBILITY = """\
{built} of the {total} operations in the S3 service model are built. Every other one answers `501 NotImplemented` with its name, to
callers who signed the request, and changes nothing. What comes and what is declined: [roadmap](roadmap.md).
"""
SETTINGS_ABOUT = """\
A setting is a flag of `./scripts/run`, an environment variable, or a line of `maxiofs.toml` in the data folder. The flag wins over
the environment, the environment over the file, the file over the default. An empty value means: not given. A name that does not
exist is an error that names the nearest one. `./scripts/maxiofs settings` shows every value in force and where it came from.

Sizes are bytes, or a number with {sizes}. Times are seconds, or a number with {times}.
Secrets have no flag, because flags show in the list of processes. Where `_FILE` is said, the variable with `_FILE` behind its
name gives the path of a file that holds the value.
"""
DYNAMIC_ABOUT = """\
These are changed in the console, with `PUT /api/v1/settings/{key}`, or with `./scripts/maxiofs settings set KEY=VALUE`. Every process
follows at its next request, and every change is in the audit log. Others will come with what carries them out.
"""
PATHS = {"service": "/", "bucket": "/Bucket", "object": "/Bucket/Key", "website": "/Key", "control": "/v20180820/tags/ARN", "query": "/"}
LEVELS = {"service": "The service", "bucket": "Buckets", "object": "Objects"}


def compatibility() -> str:
    """docs/s3-compatibility.md: every operation of the service model, with its state."""
    functions = {function.name: function for function in load(["s3.*"]).values()}
    operations, added = load_model().operations, load_model().added
    if set(NOT_IN_ROUTING) != wire.SKIPPED:
        raise LookupError(f"NOT_IN_ROUTING and wire.SKIPPED differ: {sorted(set(NOT_IN_ROUTING) ^ wire.SKIPPED)}")
    total = len(operations) + len(NOT_IN_ROUTING)
    lines = [
        "# S3 compatibility", "", MADE, COMPATIBILITY.format(built=len(functions.keys() & operations.keys()), total=total),
        "## Built", "", "| operation | request | needs | what it does |", "| --- | --- | --- | --- |",
        *(_built_row(functions[name], {**operations, **added}[name]) for name in sorted(functions)), "",
        *_not_built(operations, functions),
        "## In the model, not routed", "", "| operation | state |", "| --- | --- |",
        *(f"| {name} | {state} |" for name, state in sorted(NOT_IN_ROUTING.items())), "",
        *_headers(),
    ]
    return "\n".join(lines)


def _not_built(operations: dict[str, Operation], functions: dict[str, Function]) -> Iterator[str]:
    yield from ("## Not built: 501 with the operation's name", "")
    for level, title in LEVELS.items():
        missing = sorted(name for name, one in operations.items() if one.level == level and name not in functions)
        if missing:
            yield from (f"### {title}", "", "| operation | request | state |", "| --- | --- | --- |")
            yield from (f"| [{name}]({API.format(name)}) | {_line(operations[name])} | {state_of(name)} |" for name in missing)
            yield ""


def _headers() -> Iterator[str]:
    yield from (
        "## Request headers that are refused", "",
        "A header that asks for a feature to come is answered `501 NotImplemented` with its name. None is silently ignored.", "",
        "| header | accepted values |", "| --- | --- |",
    )
    for name in sorted({*unbuilt.PREFIXES, *unbuilt.HARMLESS}):
        prefix = "…" if name in unbuilt.PREFIXES else ""
        values = ", ".join(f"`{value}`" if value else "empty" for value in sorted(unbuilt.HARMLESS.get(name, ()))) or "none"
        yield f"| `{name}{prefix}` | {values} |"
    yield f"| `x-amz-storage-class` | {_words(unbuilt.STORAGE_CLASSES)}; else `InvalidStorageClass` |"
    yield ""


def _words(values: frozenset[str]) -> str:
    return ", ".join(f"`{value}`" for value in sorted(values))


def state_of(name: str) -> str:
    """What becomes of an operation that is not built."""
    return next(state for pieces, state in COMES if any(piece in name for piece in pieces))


def _built_row(function: Function, operation: Operation) -> str:
    about = (function.call.__doc__ or "").strip().partition("\n")[0].partition(" Raises ")[0].replace("|", "\\|").replace("``", "`")
    by_request = "a signature" if function.allow is signed else "depends on the request"
    needs = by_request if callable(function.allow) else ", ".join(f"`{action}`" for action in function.allow)
    return f"| {_linked(function)} | {_line(operation)} | {needs} | {about} |"


def _linked(function: Function) -> str:
    """An operation with AWS's page about it: of those that the service model lacks, the docstring has the address, or there is none."""
    page = API.format(function.name)
    if function.name in wire.ADDED:
        lines = (line.strip() for line in (function.call.__doc__ or "").splitlines())
        page = next((line for line in lines if line.startswith("https://")), "")
    return f"[{function.name}]({page})" if page else function.name


def _line(operation: Operation) -> str:
    path = PATHS[operation.level]
    literals = [f"{name}={value}" if value else name for name, value in sorted(operation.literals.items())]
    query = "&".join([*literals, *(f"{name}=…" for name in sorted(operation.needs))])
    headers = "".join(f", `{name}`" for name in sorted(operation.routed_headers))
    return f"`{operation.method} {path}{'?' if query else ''}{query}`{headers}"


def settings() -> str:
    """docs/settings.md: every setting."""
    lines = [
        "# Settings", "", MADE, SETTINGS_ABOUT.format(sizes=_units(BYTES), times=_units(SECONDS)),
        "| variable | flag and name in the file | default | meaning |", "| --- | --- | --- | --- |",
        *(_setting_row(row) for row in SETTINGS), "",
        "The file is TOML, with the names without `MAXIOFS_`, in lower case:", "",
        "```toml", 'listen = "0.0.0.0:8080"', 'trusted_proxies = ["10.0.0.0/8"]', 'reserve_bytes = "2GiB"', "```", "",
        "For who comes from MinIO, these variables mean the same where ours are not set; which were used is logged at start: "
        + ", ".join(f"`{name}`" for name in MINIO) + ".", "",
        "## While the server runs", "", DYNAMIC_ABOUT, "| setting | default | values | meaning |", "| --- | --- | --- | --- |",
        *(f"| `{row.name}` | `{_json(row.default)}` | {_values(row)} | {row.help} |" for row in dynamic.SETTINGS), "",
    ]
    return "\n".join(lines)


def _json(value: object) -> str:
    return json.dumps(value)


def _values(row: dynamic.Setting) -> str:
    if row.kind == "int":
        return f"{row.low} to {row.high}"
    return ", ".join(f"`{one}`" for one in row.choices) if row.choices else "`true`, `false`"


def _units(units: dict[str, int]) -> str:
    return ", ".join(f"`{_unit(unit)}`" for unit in units)


def _unit(unit: str) -> str:
    """As people write it; either is understood."""
    return unit.capitalize().replace("ib", "iB") if unit in BYTES else unit


def _setting_row(row: Setting) -> str:
    flag = f"`{row.name}`, no flag" if row.secret else f"`{row.flag}`, `{row.name}`"
    env = f"`{row.env}`" + (", `_FILE`" if row.readable else "")
    return f"| {env} | {flag} | {_default(row)} | {row.help} |"


def _default(row: Setting) -> str:
    value: Any = row.default
    if callable(value):
        return "number of cores"
    if isinstance(value, Path):
        return f"`{value.relative_to(ROOT)}`"
    if row.name.endswith("_bytes"):
        return f"`{_in_units(value, BYTES)}`"
    if row.name.endswith("_s"):
        return f"`{_in_units(value, SECONDS)}`"
    shown = row.shown(value)
    return f"`{shown}`" if shown else "—"


def _in_units(value: int, units: dict[str, int]) -> str:
    """The value with its largest unit that leaves a whole number."""
    unit, factor = max(((unit, factor) for unit, factor in {"": 1, **units}.items() if value % factor == 0), key=lambda one: one[1])
    return f"{value // factor}{_unit(unit)}"


PAGES: dict[str, Callable[[], str]] = {
    "docs/s3-compatibility.md": compatibility, "docs/settings.md": settings, "docs/api.md": api_page.page,
}


def main(arguments: list[str]) -> int:
    """Write the pages; with --check only say which are not current, and return 1 when one is not."""
    stale = [name for name, make in PAGES.items() if not (ROOT / name).exists() or (ROOT / name).read_text("utf-8") != make()]
    for name in stale:
        if "--check" in arguments:
            print(f"{name} is not current: python -m scripts.docs")
        else:
            (ROOT / name).write_text(PAGES[name](), "utf-8")
            print(f"{name} written")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
