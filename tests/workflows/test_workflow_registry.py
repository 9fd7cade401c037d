"""Declarations: names, numbers, and that the list of modules is whole."""

from pathlib import Path

import pytest

import workflows
from workflows import registry
from workflows.registry import workflow

FOLDER = Path(workflows.__file__).parent


def test_every_file_that_declares_a_workflow_is_listed_and_declares_the_one_it_is_named_after():
    declaring = {path.stem for path in FOLDER.glob("*.py") if "\n@workflow(" in path.read_text()}
    assert declaring == set(registry.MODULES) == set(registry.declared())


@pytest.mark.parametrize("name", sorted(registry.declared()))
def test_a_declaration_is_sane(name):
    flow = registry.find(name)
    assert flow.summary.endswith(".")
    assert 10 <= flow.lease_s <= registry.MOST_LEASE_S
    assert flow.retries >= 1


def test_the_workflows_of_this_release_run_as_often_as_documented():
    assert {name: flow.every_s for name, flow in registry.declared().items()} == {
        "sweep": 300, "expire_uploads": 3600, "prune_runs": 86_400, "audit_retention": 86_400, "index_search": 300,
        "delete_tenant": None, "delete_bucket": None, "rewrap_keys": None,
    }


def test_a_name_is_declared_once(declare):
    declare("twice", lambda run: None)
    with pytest.raises(ValueError, match="twice"):
        declare("twice", lambda run: None)


@pytest.mark.parametrize("options", [{"lease_s": 0}, {"lease_s": 3601}, {"retries": -1}, {"backoff_s": 0}, {"every_s": 0}])
def test_numbers_that_cannot_be_meant_do_not_import(declare, options):
    with pytest.raises(ValueError, match="odd"):
        declare("odd", lambda run: None, **options)


def test_a_step_without_a_docstring_does_not_import(declare):
    with pytest.raises(ValueError, match="docstring"):
        workflow("mute")(lambda run: None)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(LookupError, match="did you mean 'sweep'"):
        registry.find("swep")
