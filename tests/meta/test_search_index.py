"""The full-text index follows every way in which a current object changes. On both engines."""

import json

import pytest

from shared.meta import models, objects, search
from shared.meta.database import transaction
from shared.meta.models import VERSIONING_ENABLED, Object
from shared.meta.search_models import SearchChange, SearchDocument


def write(bucket, key, **more):
    return objects.put(bucket.id, objects.NewVersion(key=key.encode(), size=1, etag="e", owner_id=1, **more))


def found(bucket, *words, labels=(), limit=100):
    while search.catch_up(3):
        pass
    return [row.key.decode() for row in search.candidates(bucket.id, words, labels, 0, limit)]


def words_there():
    return models.db.execute_sql("SELECT count(*) FROM search_words").fetchone()[0]


@pytest.fixture
def filled(bucket):
    write(bucket, "Reports/Übersicht_2026.pdf", metadata={"author": "Ann Bell"}, headers={"Content-Type": "application/pdf; x=y"})
    write(bucket, "photos/cat.jpg", tags=json.dumps({"colour": "dark blue"}), headers={"Content-Type": "image/jpeg"})
    write(bucket, "notes")
    return bucket


@pytest.mark.parametrize(("words", "keys"), [
    (["ubersicht"], 0), (["ubersi", "2026"], 0), (["ann"], 0), (["author"], 0), (["pdf"], 0), (["cat"], 1), (["blue"], 1),
    (["colour", "jpg"], 1), (["cat", "ann"], None), (["at"], None), (["blues"], None)])
def test_words_of_key_metadata_and_tags_are_found_by_their_beginning(filled, words, keys):
    all_keys = ["Reports/Übersicht_2026.pdf", "photos/cat.jpg", "notes"]
    assert found(filled, *words) == ([] if keys is None else [all_keys[keys]])


def test_labels_are_found_whole(filled):
    assert found(filled, labels=[search.of_tag("colour", "dark blue")]) == ["photos/cat.jpg"]
    assert found(filled, labels=[search.of_tag("colour", "dark")]) == []
    assert found(filled, labels=[search.of_content_type("Application/PDF")]) == ["Reports/Übersicht_2026.pdf"]
    assert sorted(found(filled)) == ["Reports/Übersicht_2026.pdf", "notes", "photos/cat.jpg"]


def test_no_bucket_finds_what_is_in_another(filled, new_bucket):
    other = new_bucket()
    write(other, f"cat {search.of_bucket(filled.id)}")
    assert found(other, "cat") == [f"cat {search.of_bucket(filled.id)}"] and found(filled, "cat") == ["photos/cat.jpg"]


def test_the_index_follows_overwrites_tags_and_deletes(filled):
    write(filled, "notes", metadata={"a": "first"})
    assert found(filled, "first") == ["notes"]
    write(filled, "notes", metadata={"a": "second"})
    assert found(filled, "first") == [] and found(filled, "second") == ["notes"]
    with transaction():
        Object.update(tags=json.dumps({"x": "third"})).where(Object.key == b"notes").execute()
    assert found(filled, "third") == ["notes"]
    objects.delete(filled.id, b"notes", None, 1)
    assert found(filled, "second") == [] and words_there() == SearchDocument.select().count() == 2
    assert SearchChange.select().count() == 0 and not search.is_behind()


def test_the_index_follows_versions_that_come_to_light(new_bucket):
    bucket = new_bucket(versioning=VERSIONING_ENABLED)
    write(bucket, "k", metadata={"a": "old"})
    last = write(bucket, "k", metadata={"a": "new"}).version_id
    assert found(bucket, "old") == [] and found(bucket, "new") == ["k"]
    objects.delete(bucket.id, b"k", last, 1)
    assert found(bucket, "old") == ["k"] and found(bucket, "new") == []
    marker = objects.delete(bucket.id, b"k", None, 1).version_id
    assert found(bucket, "old") == []
    objects.delete(bucket.id, b"k", marker, 1)
    assert found(bucket, "old") == ["k"]


def test_what_is_undone_is_not_noted(filled):
    found(filled)
    with pytest.raises(KeyError), transaction():
        write(filled, "never")
        raise KeyError
    assert not search.is_behind()


def test_pages_go_on_where_they_ended(bucket):
    for number in range(7):
        write(bucket, f"same {number}")
    assert len(found(bucket, "same")) == 7
    seen, after = [], 0
    while page := search.candidates(bucket.id, ["same"], [], after, 3):
        seen += [row.key for row in page]
        after = page[-1].id
    assert sorted(seen) == [f"same {number}".encode() for number in range(7)]


@pytest.mark.parametrize("text", ["\x00", "'\"*()&|!:<->", "😀 ١٢٣ ǅ ﬁ", "日本語", "a" * 900, "NOT AND OR NEAR"])
def test_any_text_can_be_a_key_and_be_looked_for(bucket, text):
    write(bucket, text)
    assert found(bucket, *search.words_of(text)) == [text]
