"""Dynamic settings: one typed table, changed while the server runs, true in every process at its next request.

What is needed before the database is open (addresses, folders, secrets) is in shared/settings.py. A row stands here only when code enforces
it: tests/admin/test_settings_admin.py observes each on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from shared.clock import now_ms
from shared.meta import buckets, database
from shared.meta.identity_models import Setting as Stored
from shared.meta.models import PUBLIC_ACCESS, VERSIONING_ENABLED, VERSIONING_OFF

Value = bool | int | str
NO_CONTROLS = "none"     # no ownership controls at all: as ObjectWriter, and there is nothing to be read
OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")


class InvalidSetting(ValueError):
    """The value does not fit the setting. ``name`` is the setting, the text half a sentence about its value."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name = name


class Setting(NamedTuple):
    """One row of the table. ``low`` and ``high`` are inclusive bounds of an int, ``choices`` all that a string may be."""

    name: str
    default: Value
    help: str
    low: int = 0
    high: int = 1 << 31
    choices: tuple[str, ...] = ()

    @property
    def category(self) -> str:
        """What stands before the first dot."""
        return self.name.partition(".")[0]

    @property
    def kind(self) -> Literal["bool", "int", "string"]:
        """The type of its value."""
        return "bool" if isinstance(self.default, bool) else "int" if isinstance(self.default, int) else "string"

    def checked(self, value: object) -> Value:
        """The value, when it fits. Raises InvalidSetting."""
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            raise InvalidSetting(self.name, "must be true or false")
        if isinstance(self.default, int):
            if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
                return value
            raise InvalidSetting(self.name, f"must be a whole number from {self.low} to {self.high}")
        if isinstance(value, str) and (not self.choices or value in self.choices):
            return value
        raise InvalidSetting(self.name, f"must be one of {', '.join(self.choices)}" if self.choices else "must be text")


_WORDS = ("block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets")
_BLOCKS = tuple(        # in the order of their bits
    Setting(f"storage.default_{word}", True, f"new buckets have {switch} in their public access block")
    for word, switch in zip(_WORDS, PUBLIC_ACCESS, strict=True)
)
SETTINGS = (
    Setting("security.session_timeout", 86_400, "seconds after which a console session ends whatever happens", 60, 90 * 86_400),
    Setting("security.session_idle_timeout", 1_800, "seconds without a request after which a console session ends", 60, 90 * 86_400),
    Setting("security.max_failed_attempts", 5, "wrong passwords in a row that lock an account; 0: never", 0, 1_000),
    Setting("security.lockout_duration", 900, "seconds that an account stays locked", 1, 30 * 86_400),
    Setting("security.require_2fa_admin", False, "administrators sign in to the console with a second factor only"),
    Setting("security.password_min_length", 8, "characters that a new password has at least", 8, 128),
    Setting("security.password_require_uppercase", True, "a new password has an upper-case letter"),
    Setting("security.password_require_numbers", True, "a new password has a digit"),
    Setting("security.password_require_special", False, "a new password has a character that is neither letter nor digit"),
    Setting("security.password_history", 5, "passwords of the past that a user may not choose again; 0: none", 0, 24),
    Setting("security.ratelimit_enabled", True, "count sign-ins and API requests, and refuse too many"),
    Setting("security.ratelimit_login_per_minute", 5, "sign-ins of one address, and of one account, in a minute", 1, 10_000),
    Setting("security.ratelimit_api_per_second", 100, "admin API requests of one user in a second", 1, 100_000),
    Setting("audit.enabled", True, "keep the audit log; changes of settings are kept even when this is off"),
    Setting("audit.retention_days", 90, "days that audit events are kept; 0: for ever", 0, 36_500),
    Setting("audit.log_s3_operations", True, "audit S3 requests that write"),
    Setting("audit.log_s3_reads", False, "audit S3 requests that read, too: as many events as there are requests"),
    Setting("audit.log_console_operations", True, "audit sign-ins and what is done through the admin API"),
    Setting("storage.default_bucket_versioning", False, "new buckets have versioning enabled"),
    Setting("storage.default_object_ownership", "BucketOwnerEnforced", "ownership of new buckets", choices=(*OWNERSHIPS, NO_CONTROLS)),
    *_BLOCKS,
    Setting("system.maintenance_mode", False, "read-only: S3 requests that write are answered 503; the admin API goes on"),
    Setting("system.max_upload_size_mb", 5_120, "MiB that the body of one PutObject or UploadPart may have", 1, 5_120),
)
BY_NAME: Mapping[str, Setting] = {row.name: row for row in SETTINGS}


class Changed(NamedTuple):
    """What is known of a setting that was changed."""

    value: Value
    updated_ms: int
    updated_by: str


class BucketDefaults(NamedTuple):
    """What a new bucket is, unless its creator says otherwise: the columns of models.Bucket."""

    versioning: int
    ownership: str | None
    public_access: int | None


_known: tuple[int, dict[str, Value]] = (-1, {})     # replaced whole: another thread sees one generation or the next


def get(name: str, at: int | None = None) -> Any:
    """The value in force. ``at`` is the change counter's value when the caller knows it already (``ctx.known.value``): saves a query.

    Raises KeyError for a setting that there is not.
    """
    global _known
    value = buckets.change_value() if at is None else at
    generation, values = _known
    if generation != value:
        values = {row.name: row.default for row in SETTINGS} | {name: one.value for name, one in changed().items()}
        _known = (value, values)
    return values[name]


def forget() -> None:
    """Read the settings anew at the next ``get``: after a transaction was undone in which they were read."""
    global _known
    _known = (-1, {})


def bucket_defaults(at: int | None = None) -> BucketDefaults:
    """What the settings say of new buckets. ``at`` as for ``get``."""
    bits = sum(1 << bit for bit, row in enumerate(_BLOCKS) if get(row.name, at))
    versioning = VERSIONING_ENABLED if get("storage.default_bucket_versioning", at) else VERSIONING_OFF
    ownership = get("storage.default_object_ownership", at)
    return BucketDefaults(versioning, None if ownership == NO_CONTROLS else ownership, bits or None)


def changed() -> dict[str, Changed]:
    """The settings that were changed, by name. What no longer fits the table (of another release) is left out: its default is in force."""
    found = {}
    for name, text, updated_ms, updated_by in Stored.select(Stored.name, Stored.value, Stored.updated_ms, Stored.updated_by).tuples():
        try:
            found[name] = Changed(BY_NAME[name].checked(json.loads(text)), updated_ms, updated_by)
        except (KeyError, ValueError):
            continue
    return found


def put(values: Mapping[str, object], by: str) -> dict[str, tuple[Value, Value]]:
    """Change settings, all or none; returns {name: (before, after)} of those that differ now. ``by`` is the name of who does it.

    Raises KeyError for a setting that there is not, InvalidSetting.
    """
    checked = {name: BY_NAME[name].checked(value) for name, value in values.items()}
    with database.transaction() as conn:
        before = {name: one.value for name, one in changed().items()}
        differ = {name: (old, value) for name, value in checked.items() if (old := before.get(name, BY_NAME[name].default)) != value}
        for name, (_, value) in differ.items():
            row = {"value": json.dumps(value), "updated_ms": now_ms(), "updated_by": by}
            Stored.insert(name=name, **row).on_conflict(conflict_target=[Stored.name], update=row).execute()
        if differ:
            buckets.bump(conn)
    return differ
