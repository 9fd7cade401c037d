"""Who the suite acts as: a bootstrap file for the server, and the suite's own configuration, from one table."""

from __future__ import annotations

import configparser
import json
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

TENANT = "examined"
# What a bucket was before 2023: the suite grants access by ACL, to everybody too, on buckets that it has just made.
SETTINGS = {
    "storage.default_object_ownership": "none",
    "storage.default_block_public_acls": False,
    "storage.default_ignore_public_acls": False,
    "storage.default_block_public_policy": False,
    "storage.default_restrict_public_buckets": False,
}
KMS_KEYS = ("exam-first", "exam-second")


class Account(NamedTuple):
    """A user of the server, and the sections of the suite's configuration that name it."""

    name: str
    sections: tuple[str, ...]
    tenant: str = ""

    @property
    def canonical_id(self) -> str:
        """What ACLs and owners show."""
        return self.name.encode().hex().ljust(64, "0")

    @property
    def email(self) -> str:
        """An address that ACLs may grant to."""
        return f"{self.name}@exam.example.com"

    @property
    def access_key(self) -> str:
        """The id of its access key."""
        return f"AKIAEXAM{self.name.upper()}".ljust(20, "0")

    @property
    def secret_key(self) -> str:
        """Its secret; the server lives as long as the exam, on the loopback interface."""
        return f"secret-of-{self.name}".ljust(40, "0")


ACCOUNTS = (
    Account("main", ("s3 main",)),
    Account("alt", ("s3 alt",)),
    Account("tenant", ("s3 tenant",), TENANT),
    Account("iam", ("iam", "iam root", "iam alt root")),
)


def bootstrap() -> str:
    """The bootstrap file of the server under examination, as JSON."""
    return json.dumps({"settings": SETTINGS, "tenants": [{"name": TENANT}], "users": [_user(account) for account in ACCOUNTS]}, indent=1)


def _user(account: Account) -> dict[str, object]:
    return {
        "username": account.name, "display_name": account.name, "email": account.email, "canonical_id": account.canonical_id,
        "policies": ["owner"], "access_keys": [{"access_key": account.access_key, "secret_key": account.secret_key}],
        **({"tenant": account.tenant} if account.tenant else {}),
    }  # fmt: skip


def write_configuration(path: Path, url: str, region: str) -> None:
    """Write what S3TEST_CONF names, for a server at that URL."""
    parts = urlsplit(url)
    conf = configparser.ConfigParser()
    conf["DEFAULT"] = {"host": str(parts.hostname), "port": str(parts.port), "is_secure": "False", "ssl_verify": "False"}
    conf["fixtures"] = {"bucket prefix": "exam-{random}-", "iam name prefix": "exam-", "iam path prefix": "/exam/"}
    for account in ACCOUNTS:
        for section in account.sections:
            conf[section] = {
                "display_name": account.name, "user_id": account.canonical_id, "email": account.email,
                "access_key": account.access_key, "secret_key": account.secret_key,
            }  # fmt: skip
            if account.tenant:
                conf[section]["tenant"] = account.tenant
    conf["s3 main"].update({"api_name": region, "kms_keyid": KMS_KEYS[0], "kms_keyid2": KMS_KEYS[1]})
    with path.open("w", encoding="utf-8") as file:
        conf.write(file)
