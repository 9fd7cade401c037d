"""Replication rules: checked as AWS does.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-add-config.html
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.errors import InvalidArgument, InvalidRequest
from shared.protocol.filters import check_filter, check_prefix, tags_of
from shared.protocol.xml_shapes import malformed

MAX_RULES: Final = 1000
MAX_ID_CHARACTERS: Final = 255
MINUTES: Final = 15     # the only time that replication time control knows
_ARN = re.compile(r"arn:[\w-]+:\S+")
_BUCKET_ARN = re.compile(r"arn:[\w-]+:s3:::([a-z0-9.-]{3,63})")
_NEWER = "for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more information."

Rule = Mapping[str, Any]


def checked(document: Mapping[str, Any]) -> dict[str, Any]:
    """A ReplicationConfiguration; which rule has no ID is given one. Raises MalformedXML, InvalidRequest, InvalidArgument."""
    rules: Sequence[Rule] = document["Rules"]
    if not rules or len(rules) > MAX_RULES:
        raise malformed(f"there are 1 to {MAX_RULES} rules")
    if not _ARN.fullmatch(document["Role"]):
        raise InvalidArgument("Invalid Role ARN", ArgumentName="Role", ArgumentValue=document["Role"])
    ids = [rule["ID"] for rule in rules if rule.get("ID")]
    if any(len(one) > MAX_ID_CHARACTERS for one in ids):
        raise InvalidArgument(f"Rule Id length should not exceed allowed limit of {MAX_ID_CHARACTERS}", ArgumentName="ID")
    if len(set(ids)) < len(ids):
        raise InvalidRequest("Rule Id must be unique")
    if len({"Filter" in rule for rule in rules}) > 1:
        raise InvalidRequest("All rules of a replication configuration have a Filter, or none has.")
    for rule in rules:
        _check(rule)
    priorities = [rule["Priority"] for rule in rules if "Priority" in rule]
    if len(set(priorities)) < len(priorities):
        raise InvalidRequest("Found duplicate Priority. Priority must be unique.")
    return {"Role": document["Role"], "Rules": [{**rule, "ID": rule.get("ID") or secrets.token_hex(16)} for rule in rules]}


def bucket_of(rule: Rule) -> str:
    """The name of a rule's destination bucket. Raises InvalidArgument for what is no ARN of a bucket."""
    return require_bucket_arn(rule["Destination"]["Bucket"])


def require_bucket_arn(arn: str) -> str:
    """The name of the bucket that an ARN names. Raises InvalidArgument for what is no ARN of a bucket."""
    if (found := _BUCKET_ARN.fullmatch(arn)) is None:
        raise InvalidArgument("Invalid bucket ARN", ArgumentName="Bucket", ArgumentValue=arn)
    return found[1]


def _check(rule: Rule) -> None:
    if "Filter" in rule:
        _check_newer(rule)
    elif "Prefix" not in rule:
        raise malformed("a rule has a Filter or a Prefix")
    elif "Priority" in rule or "DeleteMarkerReplication" in rule:
        raise InvalidRequest("Priority and DeleteMarkerReplication need a Filter.")
    check_prefix(rule.get("Prefix", ""))
    bucket_of(rule)
    _check_destination(rule)


def _check_newer(rule: Rule) -> None:
    if "Prefix" in rule:
        raise malformed("a rule has a Filter or a Prefix, not both")
    check_filter(rule["Filter"], one_only=True)
    for name in ("Priority", "DeleteMarkerReplication"):
        if name not in rule:
            raise InvalidRequest(f"{name} must be specified {_NEWER}")
    if rule["Priority"] < 0:
        raise InvalidRequest("Priority must not be negative.")
    status = rule["DeleteMarkerReplication"].get("Status")
    if status is None:
        raise malformed("<Status> is missing in <DeleteMarkerReplication>")
    if status == "Enabled" and tags_of(rule["Filter"]):
        raise InvalidRequest("Delete marker replication is not supported if any Tag filter is specified.")


def _check_destination(rule: Rule) -> None:
    destination = rule["Destination"]
    if "AccessControlTranslation" in destination and "Account" not in destination:
        raise InvalidRequest("Account must be specified when AccessControlTranslation is.")
    kms = rule.get("SourceSelectionCriteria", {}).get("SseKmsEncryptedObjects", {}).get("Status") == "Enabled"
    if kms != bool(destination.get("EncryptionConfiguration", {}).get("ReplicaKmsKeyID")):
        raise InvalidRequest("SseKmsEncryptedObjects and EncryptionConfiguration must be specified together.")
    control, metrics = destination.get("ReplicationTime", {}), destination.get("Metrics", {})
    if control.get("Status") == "Enabled" and metrics.get("Status") != "Enabled":
        raise InvalidRequest("Replication destination must contain both ReplicationTime and Metrics or neither.")
    if any(one["Minutes"] != MINUTES for one in (control.get("Time", {}), metrics.get("EventThreshold", {})) if "Minutes" in one):
        raise InvalidRequest(f"Minutes must be {MINUTES}.")
