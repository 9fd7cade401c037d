"""Listing pages against a sorted list: every page, and every chain of pages."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import chunked

from shared.meta import listing, models, objects
from shared.meta.database import connection, transaction
from shared.meta.listing import BEFORE_ALL, END_OF_KEYS, after_prefix
from shared.meta.objects import NewVersion

ALPHABET = ["a", "/", "b", "é", "\x00", "//"]
keys_ = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=5).map(lambda parts: "".join(parts).encode())
raw = st.binary(max_size=0) | st.lists(st.sampled_from([b"a", b"/", b"\xff", b"\x00", "é".encode(), b"\xc3"]), max_size=3).map(b"".join)
odd_keys = keys_ | st.lists(st.sampled_from([b"a", b"/", b"\xff"]), min_size=1, max_size=4).map(b"".join)
delimiters = st.sampled_from([b"", b"/", b"/", b"a", b"//", "é".encode(), b"/a", b"\xff", b"aa/"])


def fill(bucket_id, rows):
    """Put rows in, without the bytes: (key, seq, is_marker, is_current)."""
    with transaction():
        models.Object.delete().execute()
        models.Version.delete().execute()
        common = {"bucket_id": bucket_id, "mtime_ms": 1, "size": 1, "etag": "e", "owner_id": 1}
        for table, current in ((models.Object, True), (models.Version, False)):
            values = [
                {**common, "key": key, "seq": seq, "version_id": f"v{-seq}", **({} if current else {"is_marker": marker})}
                for key, seq, marker, is_current in rows if is_current == current
            ]
            for batch in chunked(values, 500):
                table.insert_many(list(batch)).execute()


def oracle(rows, prefix, delimiter, after, limit):
    """What a page must be: (entries, truncated). An entry is (key, seq) or (common prefix, None). ``after`` is an entry or a key."""
    entries, seen = [], set()
    for key, seq in sorted(rows):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        common = key[: cut + len(delimiter)] if cut >= 0 else None
        if common is not None:
            if (common == after[0] and after[1] is None) or not is_behind((key, seq), after) or common in seen:
                continue
            seen.add(common)
            entries.append((common, None))
        elif is_behind((key, seq), after):
            entries.append((key, seq))
    return entries[:limit], bool(limit) and len(entries) > limit


def is_behind(entry, after):
    key, seq = after
    return entry[0] > key or not key or (seq is not None and entry[0] == key and entry[1] > seq)


def entries_of(page):
    found = [(row.key, row.seq) for row in page.rows] + [(prefix, None) for prefix in page.prefixes]
    assert [row.key for row in page.rows] == sorted(row.key for row in page.rows)
    assert page.prefixes == sorted(set(page.prefixes))
    return sorted(found, key=lambda entry: (entry[0], entry[1] if entry[1] is not None else BEFORE_ALL))


@pytest.fixture
def listed(database, bucket):
    if database.is_sqlite:
        connection().execute("PRAGMA synchronous = off")    # hundreds of fills: nothing here is about power loss
    return bucket


RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=120)


@RELAXED
@given(keys=st.sets(odd_keys, max_size=25), prefix=raw | keys_, delimiter=delimiters, after=raw | odd_keys, limit=st.integers(0, 8))
def test_a_page_of_current_objects(listed, keys, prefix, delimiter, after, limit):
    fill(listed.id, [(key, -1, False, True) for key in keys])
    page = listing.current_objects(listed.id, prefix, delimiter, after, limit)
    expected, truncated = oracle([(key, 0) for key in keys], prefix, delimiter, (after, None), limit)
    assert entries_of(page) == sorted(expected, key=lambda entry: entry[0])
    assert page.truncated == truncated


@RELAXED
@given(keys=st.sets(odd_keys, max_size=25), prefix=raw, delimiter=delimiters, limit=st.integers(1, 5))
def test_a_chain_of_pages_loses_nothing_and_repeats_nothing(listed, keys, prefix, delimiter, limit):
    fill(listed.id, [(key, -1, False, True) for key in keys])
    expected, _ = oracle([(key, 0) for key in keys], prefix, delimiter, (b"", None), 10**6)
    found, after = [], b""
    while True:
        page = listing.current_objects(listed.id, prefix, delimiter, after, limit)
        found += entries_of(page)
        if not page.truncated:
            break
        assert len(page.rows) + len(page.prefixes) == limit
        after = page.last[0]
    assert found == expected


histories = st.dictionaries(odd_keys, st.tuples(st.integers(1, 6), st.sampled_from(["current", "marker"])), max_size=10)


def rows_of(history):
    """(key, seq, is_marker, is_current) of every version: ``count`` of each key, the newest being current or a delete marker."""
    return [
        (key, -count + age, age == 0 and newest == "marker", age == 0 and newest == "current")
        for key, (count, newest) in history.items() for age in range(count)
    ]


@RELAXED
@given(history=histories, prefix=raw, delimiter=delimiters, limit=st.integers(1, 7))
def test_a_chain_of_version_pages(listed, history, prefix, delimiter, limit):
    rows = rows_of(history)
    fill(listed.id, rows)
    expected, _ = oracle([row[:2] for row in rows], prefix, delimiter, (b"", None), 10**6)
    newest = {key: -count for key, (count, _) in history.items()}
    found, after = [], (b"", None)
    while True:
        page = listing.all_versions(listed.id, prefix, delimiter, after, limit)
        found += entries_of(page)
        assert all(bool(row.is_latest) == (newest[row.key] == row.seq) for row in page.rows)
        if not page.truncated:
            break
        after = page.last
    assert found == expected


@RELAXED
@given(
    history=histories, prefix=raw, delimiter=delimiters, limit=st.integers(0, 7), after=st.tuples(odd_keys, st.none() | st.integers(-6, 0))
)
def test_a_version_page_from_any_marker(listed, history, prefix, delimiter, limit, after):
    rows = rows_of(history)
    fill(listed.id, rows)
    page = listing.all_versions(listed.id, prefix, delimiter, after, limit)
    expected, truncated = oracle([row[:2] for row in rows], prefix, delimiter, after, limit)
    assert entries_of(page) == expected
    assert page.truncated == truncated


def test_a_version_that_moved_up_between_two_pages_is_still_listed(new_bucket):
    """Tools list a page, delete it, and ask for the next: the page may end in the middle of a key."""
    bucket = new_bucket(versioning=models.VERSIONING_ENABLED)
    for _ in range(5):
        objects.put(bucket.id, NewVersion(key=b"k", size=0, etag="e", owner_id=1))
    first = listing.all_versions(bucket.id, b"", b"", (b"", None), 2)
    for row in first.rows:
        objects.delete(bucket.id, b"k", row.version_id, 1)
    for after in (first.last, (b"k", BEFORE_ALL)):
        second = listing.all_versions(bucket.id, b"", b"", after, 10)
        assert [row.seq for row in second.rows] == [-3, -2, -1]
        assert [bool(row.is_latest) for row in second.rows] == [True, False, False]


def test_a_marker_that_moved_up_between_two_pages_is_the_latest(new_bucket):
    bucket = new_bucket(versioning=models.VERSIONING_ENABLED)
    objects.put(bucket.id, NewVersion(key=b"k", size=0, etag="e", owner_id=1))
    objects.delete(bucket.id, b"k", None, 1)
    objects.delete(bucket.id, b"k", None, 1)
    first = listing.all_versions(bucket.id, b"", b"", (b"", None), 1)
    assert [(row.seq, bool(row.is_latest)) for row in first.rows] == [(-3, True)]
    objects.delete(bucket.id, b"k", first.rows[0].version_id, 1)
    second = listing.all_versions(bucket.id, b"", b"", first.last, 10)
    assert [(row.seq, bool(row.is_marker), bool(row.is_latest)) for row in second.rows] == [(-2, True, True), (-1, False, False)]


def test_a_key_shorter_than_the_delimiter_is_no_common_prefix(listed):
    """find() says -1, and so does len(marker) - len(delimiter)."""
    fill(listed.id, [(key, -1, False, True) for key in (b"a", b"ab", b"ac", b"b")])
    page = listing.current_objects(listed.id, b"", b"//", b"a", 10)
    assert [row.key for row in page.rows] == [b"ab", b"ac", b"b"]


@pytest.mark.parametrize("prefix, above", [
    (b"a", b"b"), (b"a\xff", b"b"), (b"\xff", END_OF_KEYS), (b"", END_OF_KEYS), (b"a\xfe", b"a\xff"),
])
def test_the_bound_above_a_prefix(prefix, above):
    assert after_prefix(prefix) == above


@pytest.mark.parametrize("delimiter", [b"", b"/"])
def test_pages_at_and_around_the_batch_borders(listed, delimiter):
    """Full-size pages over keys whose prefixes hold from none to thousands of keys."""
    random.seed(7)
    keys = {f"p{number:03d}/{child:04d}".encode() for number in range(60) for child in range(random.choice([1, 2, 3, 4, 5, 17, 90]))}
    keys |= {f"p{number:03d}.txt".encode() for number in range(0, 60, 3)} | {f"q{number:04d}".encode() for number in range(700)}
    fill(listed.id, [(key, -1, False, True) for key in keys])
    expected, _ = oracle([(key, 0) for key in keys], b"", delimiter, (b"", None), 10**6)
    for limit in (1, 3, 4, 5, 59, 60, 61, 1000):
        found, after = [], b""
        while True:
            page = listing.current_objects(listed.id, b"", delimiter, after, limit)
            found += entries_of(page)
            if not page.truncated:
                break
            after = page.last[0]
        assert found == expected, limit


def test_no_statement_of_a_listing_scans(database, listed):
    """Its cost is the page: SQLite must say SEARCH, never SCAN of a table, for each half."""
    if not database.is_sqlite:
        pytest.skip("read from SQLite's plan")
    fill(listed.id, rows_of({b"a": (3, "current")}))
    seen = []
    connection().set_trace_callback(seen.append)
    listing.all_versions(listed.id, b"", b"/", (b"a", -2), 10)
    listing.current_objects(listed.id, b"", b"/", b"", 10)
    connection().set_trace_callback(None)
    assert seen
    for statement in seen:
        plan = " | ".join(row[3] for row in connection().execute(f"EXPLAIN QUERY PLAN {statement}"))
        assert "SEARCH" in plan and "TEMP B-TREE" not in plan, plan
        assert "SCAN t" not in plan and "SCAN object" not in plan and "SCAN version" not in plan, plan
