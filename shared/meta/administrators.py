"""Global administrators: the installation never loses its last one.

One is an active user of no tenant who has the built-in policy ``administrator``, directly or through a group. Root is one always: it can
neither be removed nor switched off, so nobody is ever locked out. It is meant for the first day and for emergencies, though; so once there
are named administrators, only root itself may take the last of them away. Policies of other names do not count, whatever they allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.errors import S3Error
from shared.meta.buckets import bump
from shared.meta.database import transaction
from shared.meta.identity_models import Attachment, Membership
from shared.meta.models import INSTALLATION, Principal

ADMINISTRATOR = "administrator"


class LastAdministrator(S3Error):
    """The change would leave the installation without an administrator."""

    status, message = 409, "This would leave the installation without an active global administrator besides root."


def administrators() -> set[int]:
    """The ids of the active global administrators, root aside."""
    rows: Any = Attachment.select(Attachment.target_kind, Attachment.target_id).where(
        (Attachment.policy == ADMINISTRATOR) & Attachment.target_kind.in_(["user", "group"])
    ).tuples()
    named: dict[str, list[int]] = {"user": [], "group": []}
    for kind, target_id in rows:
        named[kind].append(int(target_id))
    members = Membership.select(Membership.principal_id).where(Membership.group_id.in_(named["group"]))
    found: Any = Principal.select(Principal.id).where(
        (Principal.tenant_id == INSTALLATION) & Principal.is_active & ~Principal.is_root
        & (Principal.id.in_(named["user"]) | Principal.id.in_(members))
    ).tuples()
    return {principal_id for (principal_id,) in found}


@contextmanager
def identity_change(*, by_root: bool = False) -> Iterator[Any]:
    """A transaction that changes people; yields this thread's raw connection.

    It moves the change counter first: the counter's row makes all such changes wait for each other, so that what is counted or looked up
    inside stays true until the commit. Raises LastAdministrator, and nothing has happened, when no named administrator is left at the
    end where there was one before, unless ``by_root``.
    """
    with transaction() as conn:
        bump(conn)
        before = bool(administrators())
        yield conn
        if before and not by_root and not administrators():
            raise LastAdministrator
