"""The bootstrap file: tenants, people, policies, buckets and settings that an installation is to have, as TOML or JSON.

What it names is made, or changed to be as it says; what it does not name stays. All of it happens in one transaction or nothing, and a
second time there is nothing left to do. A plan is the same transaction, undone.
"""

from __future__ import annotations

import logging
from pathlib import Path

from shared import audit, dynamic
from shared.auth.sealing import MasterKey
from shared.bootstrap.document import Bootstrap, BootstrapError, read
from shared.bootstrap.outcome import Change
from shared.bootstrap.people import hash_passwords
from shared.bootstrap.reconcile import reconcile
from shared.meta import database

__all__ = ["Bootstrap", "BootstrapError", "Change", "apply", "plan", "read", "start"]

log = logging.getLogger("maxiofs.bootstrap")
log.setLevel(logging.INFO)      # what it did is to be in the log


class _Undo(Exception):
    """Ends the transaction of a plan."""


def plan(wanted: Bootstrap, master_key: MasterKey) -> list[Change]:
    """What ``apply`` would change. The database is connected; passwords are not hashed. Raises BootstrapError."""
    changes: list[Change] = []
    try:
        with database.transaction():
            changes = reconcile(wanted, master_key, {})
            raise _Undo
    except _Undo:
        return changes
    finally:
        dynamic.forget()        # the change counter will have this value again, for something else


def apply(wanted: Bootstrap, master_key: MasterKey) -> list[Change]:
    """Make it so, in one transaction; returns what was changed. The database is connected. Raises BootstrapError: then nothing happened."""
    hashes = hash_passwords(wanted)     # before: it takes a moment for each
    try:
        with database.transaction():
            changes = reconcile(wanted, master_key, hashes)
    finally:
        dynamic.forget()
    for change in changes:
        audit.write(audit.Event(f"{change.kind}_{change.action}", change.kind, resource_name=change.name, action=change.verb,
                                username="bootstrap", details={"fields": change.fields}))
    return changes


def start(path: Path, master_key: MasterKey) -> None:
    """Apply what is at ``path`` when a server starts, and log what changed. Raises BootstrapError: then the server should not start."""
    changes = apply(read(path), master_key)
    for change in changes:
        log.info("bootstrap: %s", change.text())
    log.info("bootstrap: %s applied, %d changes", path, len(changes))
