"""docs/identity.md: every example is read as the server reads it, and is asked what the table behind it says."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pytest

from shared.admin.issuing import NewAccessKey
from shared.auth import scopes
from shared.auth.policy import BUILTIN, Asking, Bundle, Document, Who, evaluate, parse
from shared.settings import ROOT

PAGE = (ROOT / "docs" / "identity.md").read_text("utf-8")
EXAMPLE = re.compile(r"^```json\n(.*?)^```\n\n((?:^\|[^\n]*\|\n)+)", re.M | re.S)
ROW = re.compile(
    r"^\| `(?P<action>[\w:]+)` \| `(?P<on>[^`]+)` \| (?:`(?P<key>[^=`]+)=(?P<value>[^`]*)`)? ?\| (?P<answer>allowed|refused) \|$"
)


class Question(NamedTuple):
    """A line of a table."""

    text: str
    action: str
    on: str
    key: str | None
    value: str | None
    answer: str


def questions() -> list[Any]:
    """All lines of all tables, each with its example."""
    found = []
    for text, table in EXAMPLE.findall(PAGE):
        for line in table.splitlines()[2:]:
            row = ROW.match(line)
            assert row, line
            found.append(pytest.param(Question(text, **row.groupdict()), id=re.sub(r"[^\w:/=]+", " ", line).strip()))
    return found


def document_of(text: str) -> Document:
    """The example as a policy: of an identity, of a bucket when it names a Principal, or what the scope of a new access key allows."""
    value = json.loads(text)
    if "Statement" not in value:
        made = NewAccessKey.model_validate(value)
        assert made.scope is not None
        return scopes.document(scopes.read(value["scope"]).stored())
    statements = value["Statement"] if isinstance(value["Statement"], list) else [value["Statement"]]
    read = parse(text, "resource" if any("Principal" in one for one in statements) else "identity")
    assert not read.warnings
    return read


def ask(question: Question) -> str:
    name, context = "carol", {}
    if question.key == "user":
        name = question.value or ""
    elif question.key is not None:
        context[question.key.lower()] = (question.value or "",)
    who = Who("c" * 64, f"arn:aws:iam::acme:user/{name}", name, "acme")
    context["aws:username"] = (name,)
    resource = ("arn:maxiofs:::" if question.action.startswith("admin:") else "arn:aws:s3:::") + question.on
    verdict = evaluate(Bundle((("example", document_of(question.text)),)), Asking(question.action, resource, who, context.get))
    return "allowed" if verdict.effect == "allow" else "refused"


@pytest.mark.parametrize("question", questions())
def test_examples_say_what_the_page_says(question: Question):
    assert ask(question) == question.answer


def test_every_example_has_its_table_with_both_answers():
    blocks = re.findall(r"^```json\n", PAGE, re.M)
    examples = EXAMPLE.findall(PAGE)
    assert len(blocks) == len(examples) >= 8
    for text, table in examples:
        assert "| allowed |" in table and "| refused |" in table, text


def test_the_built_in_policies_are_all_told():
    assert set(re.findall(r"`([\w-]+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", PAGE.partition("## Tenants")[0], re.M)))) == set(BUILTIN)
