"""The policies every installation has. Which tenants' rows and buckets they reach is not theirs to say: the engine walls tenants off."""

from __future__ import annotations

import json

from shared.auth.policy.model import Document
from shared.auth.policy.reading import CURRENT, parse

_ANY = "arn:aws:s3:::*"
_OWN = {"StringEquals": {"maxiofs:BucketOwner": "${aws:userid}"}}
_READ = ["s3:Get*", "s3:List*"]

# What not even the admin of a tenant does to it: its existence, status and quotas, and what holds for the whole installation.
_INSTALLATION = ["admin:CreateTenant", "admin:DeleteTenant", "admin:UpdateTenant*", "admin:UpdateSettings"]


def _policy(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": CURRENT, "Statement": statements}, indent=2)


def _allow(sid: str, action: str | list[str], resource: str = "*", **more: object) -> dict[str, object]:
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource, **more}


TEXTS: dict[str, str] = {
    "administrator": _policy(_allow("Everything", "*")),
    "tenant-admin": _policy({"Sid": "AllButTheInstallation", "Effect": "Allow", "NotAction": _INSTALLATION, "Resource": "*"}),
    "readwrite": _policy(_allow("AllBuckets", "s3:*", _ANY)),
    "readonly": _policy(_allow("ReadAllBuckets", _READ, _ANY)),
    "writeonly": _policy(_allow("PutObjects", ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], _ANY)),
    "console": _policy(_allow("SeeBuckets", ["s3:ListAllMyBuckets", "s3:GetBucketLocation"])),
    "owner": _policy(
        _allow("CreateBuckets", ["s3:CreateBucket", "s3:ListAllMyBuckets"]),
        _allow("OwnBuckets", "s3:*", Condition=_OWN),
    ),
}
"""The documents as JSON, by name."""

BUILTIN: dict[str, Document] = {name: parse(text, "identity") for name, text in TEXTS.items()}
