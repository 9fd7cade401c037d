"""Scopes of access keys: what is one, and what each lets through. Whatever it does not name it lets nobody do."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth import scopes
from shared.auth.policy import Asking, Bundle, evaluate
from shared.auth.scopes import ACTIONS, Scope, ScopeError


def allowed(scope: Scope, action: str, resource: str, prefix: str | None = None) -> bool:
    bundle = Bundle((("scope", scopes.document(scope.stored())),))
    context = {"s3:prefix": (prefix,)} if prefix is not None else {}
    return evaluate(bundle, Asking(action, f"arn:aws:s3:::{resource}", None, context.get)).effect == "allow"


def test_stored_and_read_again():
    scope = Scope(("photos",), ("2026/",), ("read",))
    assert scopes.read(json.loads(scope.stored())) == scope
    assert json.loads(Scope(("photos",)).stored()) == {"buckets": ["photos"]}


@pytest.mark.parametrize("wrong", [
    {}, [], None, "read", {"bucket": ["a"]}, {"buckets": []}, {"buckets": "a"}, {"buckets": [""]}, {"buckets": [1]}, {"actions": ["admin"]},
    {"buckets": ["a"] * 101}, {"buckets": ["a" * 1025]}, {"prefixes": ["a"]}, {"buckets": None},
])
def test_what_is_no_scope(wrong):
    with pytest.raises(ScopeError):
        scopes.read(wrong)
    with pytest.raises(ScopeError):
        scopes.document(json.dumps(wrong))


def test_stored_text_that_is_no_json():
    with pytest.raises(ScopeError):
        scopes.document("{")


WORDS = {"read": "s3:GetObject", "write": "s3:PutObject", "delete": "s3:DeleteObject"}


@pytest.mark.parametrize("word", WORDS)
def test_each_word_lets_its_own_through(word):
    for other, action in WORDS.items():
        assert allowed(Scope(actions=(word,)), action, "b/k") == (other == word)
    assert not allowed(Scope(actions=(word,)), "s3:ListBucket", "b")
    assert allowed(Scope(actions=("list",)), "s3:ListBucket", "b")


def test_a_scope_of_everything_changes_no_configuration():
    for action in ("s3:PutBucketPolicy", "s3:DeleteBucket", "s3:CreateBucket", "s3:PutBucketAcl", "s3:PutBucketVersioning"):
        assert not allowed(Scope(actions=ACTIONS), action, "b")
    assert not allowed(Scope(actions=ACTIONS), "s3:PutObjectAcl", "b/k")
    assert not allowed(Scope(actions=ACTIONS), "admin:CreateUser", "b")


def test_listing_all_buckets_is_for_keys_without_buckets():
    assert allowed(Scope(actions=("list",)), "s3:ListAllMyBuckets", "*")
    assert not allowed(Scope(buckets=("b",)), "s3:ListAllMyBuckets", "*")


names = st.text(st.sampled_from("ab/*?$.{}-é"), min_size=1, max_size=6)


@given(st.lists(names, min_size=1, max_size=3), st.lists(names, min_size=1, max_size=3), names, names)
def test_names_are_literal(buckets, prefixes, bucket, key):
    """Whatever is in a name: a key is reached when its bucket is named and it begins with one of the prefixes."""
    buckets, bucket = [name.replace("/", "-") for name in buckets], bucket.replace("/", "-")
    scope = Scope(tuple(buckets), tuple(prefixes), ("read", "list"))
    inside = bucket in buckets and any(key.startswith(prefix) for prefix in prefixes)
    assert allowed(scope, "s3:GetObject", f"{bucket}/{key}") == inside
    assert allowed(scope, "s3:ListBucket", bucket, prefix=key) == inside
    assert not allowed(scope, "s3:ListBucket", bucket)
