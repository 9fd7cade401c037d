"""The shape of the code: who may import whom, what every module begins with, and how large things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.registry import admin, load, s3
from shared.settings import ROOT
from workflows import registry

CODE = ("functions", "workflows", "shared", "scripts")
MODULES = sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
TOP_LEVEL = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "LICENSE", "README.md", "docs", "frontend", "functions", "infra", "pyproject.toml",
    "requirements-test.lock", "requirements.lock", "scripts", "shared", "tests", "workflows",
}

# Who may import whom: the longest prefix of a module that is here decides what else of the project it may import.
# What every layer may stand on.
LOW = {"shared.errors", "shared.bucket_errors", "shared.request", "shared.accounts", "shared.clock", "shared.listed", "shared.settings"}
MAY_IMPORT = {
    "functions": {"functions", "shared"},
    "workflows": {"workflows", "shared"},
    "scripts": {"scripts", "workflows", "shared"},
    "shared": {"shared"},
    "shared.meta": {"shared.meta", "shared.queue", *LOW},
    "shared.blobs": {"shared.blobs", *LOW},
    "shared.protocol": {"shared.protocol", *LOW},
    "shared.auth": {"shared.auth", "shared.protocol", *LOW},
    "shared.errors": set(),
    "shared.bucket_errors": {"shared.errors"},
    "shared.request": {"shared.errors"},
    "shared.accounts": set(),
    "shared.clock": set(),
    "shared.listed": set(),
    "shared.settings": {"shared.errors"},
}
# A migration stands for ever as it was written, so it must not import what changes.
MAY_IMPORT["shared.meta.migrations"] = {"shared.meta.models"}

LONGEST_FILE = 420      # lines; the aim is 250. A file that grows beyond has two subjects
LONGEST_FUNCTION = 70   # lines with its docstring; the aim is 40
FILE_AIM, FUNCTION_AIM = 250, 40


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module of the project that a module imports, anywhere in it, with the line."""
    here = name_of(path)
    package = here if path.name == "__init__.py" else here.rpartition(".")[0]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *([node.module] if node.module else [])]) \
                if node.level else str(node.module)
            found = [f"{base}.{alias.name}" if _is_module(f"{base}.{alias.name}") else base for alias in node.names]
        else:
            continue
        yield from ((name, node.lineno) for name in found if name.partition(".")[0] in (*CODE, "tests"))


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def faults(path: Path) -> list[str]:
    """What a module imports and may not."""
    here = name_of(path)
    allowed = MAY_IMPORT[max((prefix for prefix in MAY_IMPORT if _within(here, prefix)), key=len)]
    # `from shared import queue` names the package too: only the deepest part counts, and that is what imports() gives.
    return [f"{here}:{line} imports {name}" for name, line in imports(path) if not any(_within(name, one) for one in allowed)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path):
    assert faults(path) == []


def test_the_rule_would_find_a_fault(tmp_path, monkeypatch):
    for folder in ("shared/meta", "shared/blobs"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text("")
    guilty = tmp_path / "shared" / "meta" / "guilty.py"
    guilty.write_text("from shared import blobs\nimport functions.s3.buckets\ndef f():\n    from ..blobs import engine\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert len(faults(guilty)) == 3


def test_functions_name_workflows_only_by_string():
    for path in (ROOT / "functions").rglob("*.py"):
        assert not [name for name, _ in imports(path) if _within(name, "workflows")]


def test_botocore_is_data_to_every_process_of_the_server():
    """Its code costs time and memory at start. Only `maxiofs invoke` uses it."""
    importing = "import sys, shared.app, workflows.runner, workflows.scheduler; from shared.registry import load; load()"
    found = "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('boto3', 'botocore', 'rich', 'prometheus_client')))"
    done = subprocess.run([sys.executable, "-c", f"{importing}; {found}"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_opens_with_a_caption(path):
    text = ast.get_docstring(parsed(path), clean=False)
    assert text, "no docstring"
    caption, _, rest = text.partition("\n")
    assert caption[0].strip() and caption.rstrip().endswith((".", "…")), f"not a sentence: {caption!r}"
    assert not rest or rest.startswith("\n"), "the caption is one line, then a blank one"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.name)
def test_every_test_module_says_what_it_is_about(path):
    assert ast.get_docstring(parsed(path))


def test_a_declaration_without_a_permission_does_not_import():
    with pytest.raises(TypeError):
        s3("GetBucketAcl")
    with pytest.raises(TypeError):
        admin("GET /api/v1/nothing")


@pytest.mark.parametrize("function", load().values(), ids=lambda function: function.id)
def test_every_function_names_its_permission(function):
    if callable(function.allow):
        return
    assert function.allow and all(isinstance(action, str) and action for action in function.allow)
    if function.kind == "s3":
        assert all(action.startswith("s3:") for action in function.allow), "an S3 function is never for anyone"


def test_every_workflow_says_what_it_does():
    for flow in registry.declared().values():
        assert flow.summary.endswith("."), flow.name


def test_the_top_level_is_the_house():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    assert names <= TOP_LEVEL, f"not in the house: {sorted(names - TOP_LEVEL)}"


def test_the_environment_is_read_in_one_place():
    """Settings come from shared/settings.py; the command line hands the environment on to its children."""
    readers = {"shared.settings", "scripts.cli.serve"}
    for path in MODULES:
        if name_of(path) in readers or _within(name_of(path), "scripts.benchmark") or _within(name_of(path), "scripts.exam"):
            continue
        found = [node.lineno for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
                 and isinstance(node.value, ast.Name) and node.value.id == "os"]
        assert not found, f"{name_of(path)} reads the environment at {found}"


def test_names_say_what_things_are():
    """No manager, helper, util or handle_: they say nothing. handle_ in shared/host overrides waitress's own names."""
    for path in MODULES:
        words = name_of(path).replace(".", "_").split("_")
        assert not {"manager", "helper", "helpers", "util", "utils"} & set(words), path
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                lower = node.name.lower()
                assert not lower.endswith(("manager", "helper", "util", "utils")), f"{path}: {node.name}"
                assert not lower.startswith("handle_") or _within(name_of(path), "shared.host"), f"{path}: {node.name}"


def test_files_and_functions_are_short(record_property):
    """Fails far above the aim; what is above the aim is reported (pytest -rA, junit)."""
    long_files = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    long_functions = {
        f"{name_of(path)}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES for node in ast.walk(parsed(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    for title, sizes, aim in (("file", long_files, FILE_AIM), ("function", long_functions, FUNCTION_AIM)):
        for name, lines in sorted(sizes.items(), key=lambda one: -one[1]):
            if lines > aim:
                record_property(f"long {title}", f"{name}: {lines}")
                print(f"{title} above the aim of {aim} lines: {name}: {lines}")
    assert not {name: lines for name, lines in long_files.items() if lines > LONGEST_FILE}
    assert not {name: lines for name, lines in long_functions.items() if lines > LONGEST_FUNCTION}
