"""A bucket that becomes somebody else's, or another one, between the question whether the caller may and the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared import app, settings
from shared.bucket_errors import NoSuchBucket
from shared.errors import Conflict
from shared.meta import buckets, database, tenants, users

CALLS: dict[str, dict[str, Any]] = {
    "delete_a_bucket": {}, "put_versioning": {"status": "Enabled"}, "put_bucket_tags": {"tags": {"a": "1"}}, "put_bucket_owner": {},
    "put_acl_of_bucket": {"canned": "private"},
}


class World:
    """An installation in this process, with a bucket of ann's in the tenant acme, and bob in another one."""

    def __init__(self, running: app.App) -> None:
        self.running = running
        self.acme, self.other = tenants.create("acme").id, tenants.create("other").id
        self.ann, self.bob = users.create("ann", self.acme).id, users.create("bob", self.other).id
        self.bucket = buckets.create("bucket", self.ann)[0]

    def give_away(self) -> None:
        buckets.move(self.bucket.id, self.other)
        buckets.change(self.bucket, owner_id=self.bob)

    def make_anew(self) -> None:
        buckets.delete(self.bucket)
        buckets.create("bucket", self.bob)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(app.build(settings.load({"data_dir": str(tmp_path)}, {}))) as built, database.session():
        yield World(built)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("change", "error"), [("give_away", Conflict), ("make_anew", NoSuchBucket)])
def test_nothing_happens_to_what_the_caller_was_not_judged_by(
    world: World, name: str, change: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch,
) -> None:
    _just_before(getattr(world, change), monkeypatch)
    with pytest.raises(error):
        world.running.invoke(f"admin.{name}", {"bucket": "bucket", **(CALLS[name] or ({"owner_id": world.ann} if "owner" in name else {}))})
    found = buckets.find("bucket")
    assert found is not None
    assert (found.owner_id, found.tenant_id, found.versioning, found.tags) == (world.bob, world.other, 0, None)


def _just_before(change: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let something happen when the caller has been judged: before the transaction of the change begins."""
    from functions.admin import acls
    from functions.admin import buckets as module

    real, left = module.transaction, [change]

    def begin() -> Any:
        if left:
            left.pop()()
        return real()

    for one in (module, acls):
        monkeypatch.setattr(one, "transaction", begin)
