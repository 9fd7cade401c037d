"""The bootstrap file itself: its shape, reading it, and everything that can be wrong with it before the database is asked."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, StringConstraints

from shared import dynamic
from shared.admin.bucket_models import Ownership, PublicAccess, Tags
from shared.admin.issuing import MOST_POLICIES, KeyScope
from shared.admin.model import Model
from shared.admin.names import Email, Label, Name, PersonTags, Text
from shared.admin.reading import document
from shared.auth import policy
from shared.auth.passwords import LONGEST
from shared.bootstrap.yaml_file import load_yaml
from shared.errors import S3Error
from shared.protocol import tags
from shared.protocol.names import check_bucket_name
from shared.settings import SettingsError

YAML_ENDINGS = (".yaml", ".yml")
ENDINGS = (*YAML_ENDINGS, ".toml", ".json")
OFF = "off"
Limit = Annotated[int, Field(ge=0, le=1 << 62, description="0: no limit.")]
Names = Annotated[list[Name], Field(max_length=MOST_POLICIES)]


class BootstrapError(SettingsError):
    """The bootstrap file cannot be applied; ``problems`` has one sentence for each fault, and nothing was changed."""


class TenantEntry(Model):
    """A tenant."""

    name: Name
    display_name: Label = ""
    description: Text = ""
    status: Literal["active", "suspended"] = "active"
    max_bytes: Limit = 0
    max_objects: Limit = 0
    max_buckets: Limit = 0
    max_users: Limit = 0
    max_keys: Limit = 0


class PolicyEntry(Model):
    """An identity policy; without a tenant it is the installation's. ``document`` is an object, or its JSON text."""

    name: Name
    tenant: Name | None = None
    description: Text = ""
    document: dict[str, Any] | str


class GroupEntry(Model):
    """A group or a role with exactly these policies, if any are said."""

    name: Name
    tenant: Name | None = None
    description: Text = ""
    policies: Names = Field(default=[])


class KeyEntry(Model):
    """An access key of a user. ``secret_key_file`` is beside the bootstrap file, unless its path is absolute."""

    access_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{3,128}$")]
    secret_key: Annotated[str, StringConstraints(pattern=r"^[!-~]{8,128}$")] = ""
    secret_key_file: str = ""
    name: Label = ""
    status: Literal["active", "inactive"] = "active"
    expires: datetime | None = None
    scope: KeyScope | None = None
    policies: Names = Field(default=[])

    @property
    def expires_ms(self) -> int | None:
        """UTC milliseconds; a moment without a time zone is UTC."""
        moment = self.expires and (self.expires if self.expires.tzinfo else self.expires.replace(tzinfo=UTC))
        return int(moment.timestamp() * 1000) if moment else None


class UserEntry(Model):
    """A user. The password is the first one: a user who has one keeps it."""

    username: Name
    tenant: Name | None = None
    canonical_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = ""
    display_name: Label = ""
    email: Email | None = None
    status: Literal["active", "inactive"] = "active"
    password: Annotated[str, StringConstraints(max_length=LONGEST)] = ""
    password_file: str = ""
    must_change_password: bool = False
    tags: PersonTags = Field(default={})
    policies: Names = Field(default=[])
    groups: Names = Field(default=[])
    access_keys: list[KeyEntry] = Field(default=[], max_length=100)


class BucketEntry(Model):
    """A bucket. Where nothing is said, a new one is as the settings storage.default_… have it. ``off`` removes what there is."""

    name: str
    owner: Name = "root"
    versioning: Literal["Enabled", "Suspended"] | None = None
    ownership: Ownership | Literal["off"] | None = None
    public_access: PublicAccess | Literal["off"] | None = None
    tags: Tags = Field(default={})
    policy: dict[str, Any] | str | None = None


class Bootstrap(Model):
    """A whole bootstrap file; several are one after another."""

    settings: dict[str, bool | int | str] = Field(default={})
    tenants: list[TenantEntry] = Field(default=[])
    policies: list[PolicyEntry] = Field(default=[])
    groups: list[GroupEntry] = Field(default=[])
    roles: list[GroupEntry] = Field(default=[])
    users: list[UserEntry] = Field(default=[])
    buckets: list[BucketEntry] = Field(default=[])


def policy_text(given: dict[str, Any] | str) -> str:
    """A policy as it is stored."""
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


# ---- reading ----------------------------------------------------------------------------------------------------------------------


def read(path: Path) -> Bootstrap:
    """Read a file, or every .toml and .json file of a folder in order of name, as one. Raises BootstrapError with every problem found."""
    problems: list[str] = []
    whole = Bootstrap()
    for file in _files(path, problems):
        part = _read(file, problems)
        if part is not None:
            problems += [f"{file}: {problem}" for problem in _faults(part, file.parent)]
            for name in Bootstrap.model_fields:
                value = getattr(whole, name)
                value.update(getattr(part, name)) if isinstance(value, dict) else value.extend(getattr(part, name))
    problems += [f"{path}: {problem}" for problem in _twice(whole)]
    if problems:
        raise BootstrapError(problems)
    return whole


def _files(path: Path, problems: list[str]) -> list[Path]:
    try:
        if not path.is_dir():
            path.stat()
            return [path]
        return sorted(one for one in path.iterdir() if one.suffix in ENDINGS and not one.name.startswith("."))
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
        return []


def _read(file: Path, problems: list[str]) -> Bootstrap | None:
    try:
        text = file.read_text("utf-8")
        if file.suffix != ".json":
            text = json.dumps(_load(text, file.suffix), default=_moment)
        made: Bootstrap = document(text.encode(), Bootstrap)
        return made
    except (OSError, ValueError, yaml.YAMLError, TypeError, RecursionError) as error:
        problems.append(f"{file}: cannot be read: {error}")
    except S3Error as error:
        problems += [f"{file}: {field}: {why}" for field, why in error.fields.items()] or [f"{file}: {error}"]
    return None


def _load(text: str, suffix: str) -> object:
    return load_yaml(text) if suffix in YAML_ENDINGS else tomllib.loads(text)


def _moment(value: object) -> str:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in it")


def _faults(part: Bootstrap, folder: Path) -> Iterator[str]:
    """What is wrong in a file by itself. Secrets are read from their files on the way."""
    for name, value in part.settings.items():
        try:
            dynamic.BY_NAME[name].checked(value)
        except KeyError:
            yield f"settings: there is no setting {name}"
        except dynamic.InvalidSetting as error:
            yield f"settings.{name} {error}"
    for entry in part.policies:
        yield from _in_policy(f"policy {entry.name}", policy_text(entry.document), "identity")
    for user in part.users:
        yield from _in_user(user, folder)
    for bucket in part.buckets:
        yield from _in_bucket(bucket)


def _in_policy(what: str, text: str, kind: Literal["identity", "resource"], bucket: str = "") -> Iterator[str]:
    try:
        found = policy.parse(text, kind)
        if bucket:
            policy.check_resources(found, bucket)
    except policy.PolicyError as error:
        yield f"{what}: {error}"


def _in_user(user: UserEntry, folder: Path) -> Iterator[str]:
    if user.username == "root":
        yield "user root: root is not made here; its key pair is MAXIOFS_ROOT_ACCESS_KEY and MAXIOFS_ROOT_SECRET_KEY"
    yield from _from_file(user, "password", folder, f"user {user.username}")
    for key in user.access_keys:
        what = f"access key {key.access_key}"
        yield from _from_file(key, "secret_key", folder, what)
        if not key.secret_key and not key.secret_key_file:
            yield f"{what}: secret_key or secret_key_file is missing"
        yield from _try(what, lambda key=key: key.scope and key.scope.stored())     # type: ignore[misc]


def _from_file(entry: Any, name: str, folder: Path, what: str) -> Iterator[str]:
    file = getattr(entry, name + "_file")
    if not file:
        return
    if getattr(entry, name):
        yield f"{what}: {name} and {name}_file are both given"
        return
    try:
        setattr(entry, name, (folder / file).read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        yield f"{what}: {name}_file {folder / file}: {getattr(error, 'strerror', None) or 'not text'}"


def _in_bucket(bucket: BucketEntry) -> Iterator[str]:
    what = f"bucket {bucket.name}"
    yield from _try(what, lambda: check_bucket_name(bucket.name))
    yield from _try(what, lambda: tags.checked(tags.pairs(bucket.tags), limit=tags.MAX_BUCKET_TAGS))
    if bucket.policy not in (None, OFF):
        assert bucket.policy is not None
        yield from _in_policy(f"{what}: policy", policy_text(bucket.policy), "resource", bucket.name)


def _try(what: str, check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except S3Error as error:
        yield f"{what}: {error.message}" + "".join(f" ({name}: {why})" for name, why in error.fields.items())


def _twice(whole: Bootstrap) -> Iterator[str]:
    """What is named more than once."""
    named: dict[str, list[Any]] = {
        "tenant": [entry.name for entry in whole.tenants], "bucket": [bucket.name for bucket in whole.buckets],
        "policy": [(entry.tenant or "", entry.name) for entry in whole.policies],
        "group": [(entry.tenant or "", entry.name) for entry in whole.groups],
        "role": [(entry.tenant or "", entry.name) for entry in whole.roles],
        "user": [user.username for user in whole.users],
        "access key": [key.access_key for user in whole.users for key in user.access_keys],
        "canonical_id": [user.canonical_id for user in whole.users if user.canonical_id],
        "email": [user.email for user in whole.users if user.email],
    }
    for kind, names in named.items():
        for one in sorted({one if isinstance(one, str) else one[-1] for one in names if names.count(one) > 1}):
            yield f"{kind} {one} is there twice"
