"""Writers that agree by conditional puts alone, through Rust's object_store: what table formats over S3 stand on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

WRITERS, COMMITS = 4, 8


def together(work: Callable[[int], None]) -> None:
    """Run it in as many threads as there are writers; the first error is ours."""
    raised: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    if raised:
        raise raised[0]


@pytest.fixture
def stores(client_of, bucket):
    """A store, with connections of its own, for each writer."""
    return [client_of("obstore").store(bucket) for _ in range(WRITERS)]


def test_a_log_of_numbered_commits_has_no_gap_and_no_commit_twice(stores):
    """As a Delta log: the next number is whoever creates it, the others look again."""
    lost = [0] * WRITERS

    def commit(number: int) -> None:
        store, done, at = stores[number], 0, 0
        while done < COMMITS:
            try:
                obstore.put(store, f"_log/{at:020}.json", json.dumps([number, done]).encode(), mode="create")
                done += 1
            except AlreadyExistsError:
                lost[number] += 1
            at += 1

    together(commit)
    paths = sorted(one["path"] for page in obstore.list(stores[0], "_log") for one in page)
    assert paths == [f"_log/{at:020}.json" for at in range(WRITERS * COMMITS)]
    written = [tuple(json.loads(bytes(obstore.get(stores[0], path).bytes()))) for path in paths]
    assert sorted(written) == [(number, done) for number in range(WRITERS) for done in range(COMMITS)]
    assert [done for number, done in written if number == 0] == list(range(COMMITS))
    assert sum(lost), "the writers never met, so nothing was examined"


def test_a_pointer_that_all_move_by_its_etag_loses_no_move(stores):
    """As a branch of Icechunk: read, change, write if nobody did meanwhile."""
    obstore.put(stores[0], "ref/main", b"[]")
    refusals = [0] * WRITERS

    def move(number: int) -> None:
        store, done = stores[number], 0
        while done < COMMITS:
            found = obstore.get(store, "ref/main")
            etag, seen = found.meta["e_tag"], json.loads(bytes(found.bytes()))
            try:
                obstore.put(store, "ref/main", json.dumps([*seen, [number, done]]).encode(), mode={"e_tag": etag})
                done += 1
            except PreconditionError:
                refusals[number] += 1

    together(move)
    history = json.loads(bytes(obstore.get(stores[0], "ref/main").bytes()))
    assert len(history) == WRITERS * COMMITS
    assert all([done for who, done in history if who == number] == list(range(COMMITS)) for number in range(WRITERS))
    assert sum(refusals), "the writers never met, so nothing was examined"


def test_one_of_many_creates_in_parts_and_renames(stores):
    """The loser of a race for a name gets an error, and the winner's bytes stay."""
    winners: list[int] = []

    def create(number: int) -> None:
        obstore.put(stores[number], f"staged/{number}", bytes([number]) * (6 << 20))      # in parts above 5 MiB
        try:
            obstore.copy(stores[number], f"staged/{number}", "published", overwrite=True)
            obstore.put(stores[number], "winner", bytes([number]), mode="create")
            winners.append(number)
        except AlreadyExistsError:
            pass

    together(create)
    (winner,) = winners
    assert bytes(obstore.get(stores[0], "winner").bytes()) == bytes([winner])
    published = bytes(obstore.get(stores[0], "published").bytes())
    assert len(published) == 6 << 20 and len(set(published)) == 1, "bytes of two writers in one object"


def test_a_condition_on_what_is_gone(stores):
    etag = obstore.put(stores[0], "k", b"x")["e_tag"]
    obstore.delete(stores[0], "k")
    with pytest.raises((PreconditionError, NotFoundError)):
        obstore.put(stores[0], "k", b"y", mode={"e_tag": etag})
    with pytest.raises(FileNotFoundError):
        obstore.head(stores[0], "k")
