"""What the buckets hold: the largest by name, all others as one sum."""

from __future__ import annotations

import pytest

from shared.meta import counters, usage
from shared.meta.counters import Delta
from shared.meta.database import transaction


@pytest.fixture
def sizes(new_bucket):
    """Five buckets that hold 0 to 40 bytes, an object for each ten."""
    for number in range(5):
        made = new_bucket(f"bucket-{number}")
        with transaction() as conn:
            counters.add(conn, made.id, Delta(objects=number, bytes=10 * number))


def test_the_largest_come_first(sizes):
    assert usage.by_bucket() == [(f"bucket-{number}", number, 10 * number) for number in (4, 3, 2, 1, 0)]


def test_beyond_the_limit_the_others_are_one_sum(sizes):
    assert usage.by_bucket(limit=2) == [("bucket-4", 4, 40), ("bucket-3", 3, 30), (usage.OTHER, 3, 30)]


def test_as_many_buckets_as_the_limit_leave_no_others(sizes):
    assert len(usage.by_bucket(limit=5)) == 5
