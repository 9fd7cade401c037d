"""The documentation: what is derived is current, what is linked is there, and what is to be typed works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import unquote
from xml.dom import minidom

import botocore.session
import click
import pytest
from botocore.exceptions import ClientError

from scripts import docs
from scripts.cli.main import maxiofs
from shared.protocol import wire
from shared.registry import load
from shared.settings import BY_ENV, ROOT, SETTINGS

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TREE = ("functions", "infra", "scripts", "shared", "workflows", "pyproject.toml")


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"no section {title!r}"
    return found[1]


def without_code(text: str) -> str:
    return FENCE.sub("", text)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", without_code(page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# ---- what is derived ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", docs.PAGES)
def test_generated_pages_are_current(name):
    assert (ROOT / name).read_text("utf-8") == docs.PAGES[name](), "run: .venv/bin/python -m scripts.docs"


def test_every_setting_has_its_line():
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for row in SETTINGS:
        assert re.search(rf"^\| `{row.env}`.*{re.escape(row.help)}", text, re.M), row.env


def test_every_operation_of_the_model_has_its_line_and_state():
    text = (ROOT / "docs" / "s3-compatibility.md").read_text("utf-8")
    ours = {function.name for function in load(["s3.*"]).values()}
    everything = botocore.session.get_session().get_service_model("s3").operation_names
    built = ours & set(everything)
    assert len(everything) > 100 and ours - built == set(wire.ADDED)
    rows = {name: (heading, line) for heading, line, name in _rows(text) if name in everything}
    assert set(rows) == set(everything)
    for name, (heading, _) in rows.items():
        assert (heading == "Built") == (name in built), name
    assert f"{len(built)} of the {len(everything)} operations" in text
    assert f"[{len(built)} operations](docs/s3-compatibility.md)" in README


def _rows(text):
    for heading, body in re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", text, re.M | re.S):
        for line in body.splitlines():
            if found := re.match(r"\| \[?([A-Z][A-Za-z0-9]+)\]?\S* \|", line):
                yield heading, line, found[1]


def test_every_declared_function_says_what_it_does():
    for function in load().values():
        summary = (function.call.__doc__ or "").strip().partition("\n")[0]
        assert summary.endswith("."), f"{function.id}: {summary!r}"
        if function.kind == "s3":
            page = f"API/API_{function.name}.html" if function.name not in wire.ADDED else ""
            assert page in function.call.__doc__, f"{function.id} does not name AWS's page"


# ---- what is written by hand ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(without_code(page.read_text("utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_every_page_can_be_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = LINK.findall(without_code(page.read_text("utf-8")))
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links if "://" not in link and not link.startswith("#")]
    assert set(PAGES) <= seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_named_exist(page):
    names = set(re.findall(r"\bMAXIOFS_[A-Z0-9_]*[A-Z0-9]\b", page.read_text("utf-8")))
    assert names <= set(BY_ENV), names - set(BY_ENV)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_named_exist(page):
    text = page.read_text("utf-8")
    for line in re.findall(r"(?:\./scripts/maxiofs|`maxiofs|^maxiofs) ([^`#\n|]+)", text, re.MULTILINE):
        command: click.Command = maxiofs
        for word in line.split():
            if word.startswith("-"):
                known = {option for one in command.params for option in one.opts}
                assert word.rstrip(",.") in known | {"--help"}, f"{page.name}: {line!r}: no option {word}"
            elif isinstance(command, click.Group):
                assert word in command.commands, f"{page.name}: {line!r}: no command {word}"
                command = command.commands[word]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page):
    for name in re.findall(r"`((?:shared|functions|workflows|scripts|infra|tests|docs)/[\w./-]*)`", page.read_text("utf-8")):
        planned = name.endswith("bucket_abac.py")        # the worked example of docs/development.md
        assert planned or (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_commands_at_the_top_are_there_and_can_be_run():
    first = FENCE.search(README)
    assert first, "README.md begins with its two commands"
    commands = [line.split()[0] for line in first[2].splitlines()]
    assert commands == ["./scripts/run", "./scripts/test"]
    for command in commands:
        assert os.access(ROOT / command, os.X_OK), command


def test_pictures_are_well_formed_and_shown():
    shown = {(page.parent / link).resolve() for page in PAGES for link in LINK.findall(page.read_text("utf-8")) if link.endswith(".svg")}
    for picture in (ROOT / "docs" / "images").glob("*.svg"):
        root = minidom.parse(str(picture)).documentElement
        assert root.getElementsByTagName("title") and root.getElementsByTagName("desc"), f"{picture.name} says nothing to who can't see it"
        assert picture in shown, f"{picture.name} is on no page"


def test_schema_picture_names_every_table():
    from shared.meta.models import ALL

    text = (ROOT / "docs" / "images" / "schema.svg").read_text("utf-8")
    missing = [model._meta.table_name for model in ALL if not re.search(rf"\b{model._meta.table_name}\b", text)]
    assert not missing


def test_architecture_names_every_workflow_and_process():
    from shared.host import manifest
    from workflows import registry

    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for name in [*registry.declared(), *manifest.read()]:
        assert f"`{name}`" in text, name


def test_decisions_are_listed():
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text("utf-8")))
    assert listed == {path.name for path in folder.glob("[0-9]*.md")}


def test_metrics_that_are_named_are_shown(server, s3):
    s3.list_buckets()
    with pytest.raises(ClientError):
        s3.head_bucket(Bucket="no-such-bucket-here")
    with urllib.request.urlopen(server.console_url + "/metrics", timeout=30) as reply:
        page = reply.read().decode()
    table = section((ROOT / "docs" / "operations.md").read_text("utf-8"), "Metrics")
    for line in re.findall(r"^\| (`maxiofs_.*?) \|", table, re.M):
        full, *endings = re.findall(r"`(\w+)`", line)
        names = [full, *(ending if ending.startswith("maxiofs") else full.rpartition("_total_bytes")[0] + ending for ending in endings)]
        for name in names:
            assert re.search(rf"^# TYPE {name} ", page, re.M) or re.search(rf"^{name}[ {{]", page, re.M), name


# ---- what is to be typed --------------------------------------------------------------------------------------------------------


def test_the_first_five_minutes(server, tmp_path):
    blocks = [code for language, code in FENCE.findall(section(README, "First five minutes")) if language == "sh"]
    assert len(blocks) >= 4
    text = "\n".join(blocks)
    for name, value in (("ACCESS_KEY_ID", server.access_key), ("SECRET_ACCESS_KEY", server.secret_key), ("ENDPOINT_URL", server.url)):
        text, count = re.subn(rf"^export AWS_{name}=.*$", f"export AWS_{name}='{value}'", text, flags=re.M)
        assert count == 1, name
    command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=tmp_path, env=_environ(tmp_path), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Hello, store.") == 2, done.stdout          # read once with the key, once by the link
    assert "Hello from boto3 {'from': 'boto3'}" in done.stdout
    assert "PreconditionFailed" in done.stdout
    assert re.search(r"^greeting\t\w{32}\tTrue$", done.stdout, re.M)
    assert re.search(r"^ +4 notes/two.txt$", done.stdout, re.M)
    assert "0 differences found" in done.stderr


def test_the_worked_example(tmp_path):
    """docs/development.md, done in a copy of the tree: the file, its test with a real server, and the page that is made anew."""
    tree = tmp_path / "tree"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in TREE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, _parent_made(tree / name), **({"ignore": ignore} if copy is shutil.copytree else {}))
    for name in ("tests/conftest.py", "tests/running.py", "tests/s3/asking.py"):
        shutil.copy(ROOT / name, _parent_made(tree / name))
    text = (ROOT / "docs" / "development.md").read_text("utf-8")
    for path, code in re.findall(r"`([\w/]+\.py)`[^`]*?:\n\n```python\n(.*?)^```", text, re.M | re.S):
        assert not (tree / path).exists()
        _parent_made(tree / path).write_text(code)
    test = "tests/s3/test_bucket_abac.py"
    assert (tree / test).exists() and (tree / "functions/s3/bucket_abac.py").exists()
    run = {"cwd": tree, "env": _environ(tmp_path) | {"PYTHONPATH": str(tree)}, "capture_output": True, "text": True, "timeout": 110}
    done = subprocess.run([sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", test], **run)
    assert done.returncode == 0, done.stdout + done.stderr
    (tree / "docs").mkdir()
    done = subprocess.run([sys.executable, "-P", "-m", "scripts.docs"], **run)
    assert done.returncode == 0, done.stderr
    built = section((tree / "docs" / "s3-compatibility.md").read_text(), "Built")
    assert "| `GET /Bucket?abac` | `s3:GetBucketAbac` | Return whether tags of the bucket count: never. |" in built


def test_the_settings_file_that_is_shown_is_read(tmp_path):
    code = next(code for language, code in FENCE.findall((ROOT / "docs" / "settings.md").read_text()) if language == "toml")
    (tmp_path / "maxiofs.toml").write_text(code)
    command = [sys.executable, "-P", "-m", "scripts.cli", "settings", "--json", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=_environ(tmp_path) | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["reserve_bytes"]["value"] == str(2 << 30) and shown["reserve_bytes"]["source"] == "file"


def _parent_made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _environ(home: Path) -> dict[str, str]:
    """A person's environment: the clients on PATH, and nothing of ours."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "TMPDIR", "TZ")}
    return kept | {"PATH": path, "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
