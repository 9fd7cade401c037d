"""Configurations of buckets as rows: replaced, counted, paged, and noticed by every process; on both engines."""

from __future__ import annotations

import pytest

from shared.bucket_errors import NoSuchBucket, TooManyConfigurations
from shared.errors import InvalidRequest
from shared.identity import Identity
from shared.meta import buckets, configurations
from tests.people import TEST_MASTER_KEY


def test_a_document_is_found_again_and_replaced(new_bucket):
    here, there = new_bucket(), new_bucket()
    for document in ({"a": [1, {"b": "ü"}]}, {"a": []}):
        configurations.put(here, "cors", document)
        assert configurations.find(here.id, "cors") == document
    assert configurations.find(there.id, "cors") is configurations.find(here.id, "lifecycle") is None
    assert configurations.delete(here, "cors") and not configurations.delete(here, "cors")
    assert configurations.find(here.id, "cors") is None


def test_a_generation_knows_what_was_there_when_it_was_asked_first(new_bucket):
    identity, here, there = Identity(TEST_MASTER_KEY), new_bucket(), new_bucket()
    configurations.put(here, "cors", {"a": 1})
    configurations.put(here, "metrics", {"Id": "m"}, "m")
    known = identity.current()
    assert [known.configuration(here, kind) for kind in ("cors", "lifecycle", "metrics")] == [{"a": 1}, None, None]
    assert known.configuration(there, "cors") is None
    configurations.put(here, "cors", {"a": 2})
    assert known.configuration(here, "cors") == {"a": 1} and identity.current().configuration(here, "cors") == {"a": 2}


def test_pages_are_in_order_of_name(new_bucket):
    here, there = new_bucket(), new_bucket()
    for name in ("b", "a", "c"):
        configurations.put(here, "metrics", {"Id": name}, name)
    configurations.put(there, "metrics", {"Id": "d"}, "d")
    assert [one["Id"] for one in configurations.page(here.id, "metrics", "", 2)] == ["a", "b"]
    assert [one["Id"] for one in configurations.page(here.id, "metrics", "b", 2)] == ["c"]


def test_one_too_many_is_refused_but_replacing_is_not(new_bucket):
    here = new_bucket()
    for name in ("a", "b", "b"):
        configurations.put(here, "metrics", {"Id": name}, name, most=2, full=TooManyConfigurations)
    with pytest.raises(TooManyConfigurations):
        configurations.put(here, "metrics", {}, "c", most=2, full=TooManyConfigurations)
    configurations.put(here, "analytics", {}, "c", most=2, full=TooManyConfigurations)


def test_every_change_moves_the_counter_and_the_revision(new_bucket):
    here = new_bucket()
    for change in (lambda: configurations.put(here, "cors", {}), lambda: configurations.delete(here, "cors")):
        before, revision = buckets.change_value(), buckets.find(here.name).revision
        change()
        assert buckets.change_value() > before and buckets.find(here.name).revision == revision + 1


def test_a_check_that_refuses_leaves_everything_as_it_was(new_bucket):
    here = new_bucket()
    configurations.put(here, "replication", {"kept": True})

    def refuse(bucket):
        assert bucket == buckets.find(here.name)
        raise InvalidRequest

    with pytest.raises(InvalidRequest):
        configurations.put(here, "replication", {}, check=refuse)
    assert configurations.find(here.id, "replication") == {"kept": True}


def test_documents_go_with_their_bucket(new_bucket):
    here = new_bucket()
    configurations.put(here, "cors", {})
    buckets.delete(buckets.find(here.name))
    assert configurations.find(here.id, "cors") is None
    for change in (lambda: configurations.put(here, "cors", {}), lambda: configurations.delete(here, "cors")):
        with pytest.raises(NoSuchBucket):
            change()
