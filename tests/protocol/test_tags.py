"""Tags: what is accepted, how the header is read, what is stored."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadRequest, InvalidArgument, InvalidTag
from shared.protocol import tags


def tag_set(*given_pairs):
    return [{"Key": key, "Value": value} for key, value in given_pairs]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("a", "b"), ("k" * 128, "v" * 256), ("empty", ""), ("Über", "größe 日本"), ("a:b/c", "x=1+2-3_4.5@6"), ("a b", " "),
        ("Aws", "aws:x"), ("٣", "½"),
    ],
)
def test_a_tag_is_accepted(key, value):
    assert tags.checked(tag_set((key, value)), limit=10) == {key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "v"), ("k" * 129, "v"), ("k", "v" * 257), ("aws:k", "v"), ("AWS:k", "v"), ("a*", "v"), ("k", "a&b"), ("k\n", "v"),
        ("k", "\0"), ("k", "<x>"),
    ],
)
def test_a_tag_is_refused(key, value):
    with pytest.raises(InvalidTag):
        tags.checked(tag_set((key, value)), limit=10)


def test_keys_do_not_repeat_but_differ_by_case():
    with pytest.raises(InvalidTag):
        tags.checked(tag_set(("k", "1"), ("k", "1")), limit=10)
    assert len(tags.checked(tag_set(("k", "1"), ("K", "1")), limit=10)) == 2


@pytest.mark.parametrize("limit", [tags.MAX_OBJECT_TAGS, tags.MAX_BUCKET_TAGS])
def test_the_number_of_tags_is_limited(limit):
    many = [(f"k{number}", "v") for number in range(limit + 1)]
    assert len(tags.checked(tag_set(*many[:-1]), limit=limit)) == limit
    with pytest.raises(BadRequest):
        tags.checked(tag_set(*many), limit=limit)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}), ("a=b", {"a": "b"}), ("foo=bar&bar", {"bar": "", "foo": "bar"}), ("a=1=2", {"a": "1=2"}), ("a+b=c%20d", {"a b": "c d"}),
        ("%C3%BC=%2B", {"ü": "+"}), ("k=", {"k": ""}), ("\xc3\xbc=x", {"ü": "x"}),
    ],
)
def test_the_header_is_read(text, found):
    assert tags.from_header(text) == found


@pytest.mark.parametrize("text", ["a=1&a=2", "&", "a=1&", "a=1&&b=2", "%ff=1", "a=%C3", "\xff=1", "a=1&%61=2"])
def test_a_header_that_is_no_list_of_tags_is_refused(text):
    with pytest.raises(InvalidArgument):
        tags.from_header(text)


@pytest.mark.parametrize(
    ("text", "error"), [("=v", InvalidTag), ("aws:x=1", InvalidTag), ("&".join(f"k{n}=1" for n in range(11)), BadRequest)]
)
def test_the_header_s_tags_are_checked_too(text, error):
    with pytest.raises(error):
        tags.from_header(text)


def test_nothing_is_stored_for_no_tags():
    assert tags.dump({}) is None
    assert tags.load(None) == {}


CHARACTERS = st.one_of(st.characters(categories=("L", "Nd")), st.sampled_from(" +-=._:/@"))
KEYS = st.text(CHARACTERS, min_size=1, max_size=128).filter(lambda key: not key.lower().startswith("aws:"))
TAGS = st.dictionaries(KEYS, st.text(CHARACTERS, max_size=256), max_size=10)


@given(TAGS, st.sampled_from([quote, quote_plus]))
def test_any_tags_come_back_from_header_store_and_document(given_tags, encode):
    header = "&".join(f"{encode(key, safe='')}={encode(value, safe='')}" for key, value in given_tags.items())
    found = tags.from_header(header)
    assert found == given_tags
    assert tags.load(tags.dump(found)) == given_tags
    assert tags.checked(tags.pairs(found), limit=10) == given_tags
    assert list(found) == sorted(found)


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_header_is_read_or_refused(text):
    try:
        found = tags.from_header(text)
    except (InvalidArgument, InvalidTag, BadRequest):
        return
    assert len(found) <= tags.MAX_OBJECT_TAGS
