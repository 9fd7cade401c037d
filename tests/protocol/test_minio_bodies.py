"""The XML minio-py writes, read by us."""

from datetime import UTC, datetime, timedelta

import pytest
from minio import commonconfig as cc
from minio import (
    deleteobjects,
    legalhold,
    lifecycleconfig,
    notificationconfig,
    objectlockconfig,
    replicationconfig,
    retention,
    sseconfig,
    tagging,
    versioningconfig,
)
from minio.xml import marshal

from shared.protocol.model import load_model

OPERATIONS = load_model().operations


def tags():
    made = cc.Tags.new_object_tags()
    made["a"] = "b"
    return made


LIFECYCLE = lifecycleconfig.LifecycleConfig(
    [
        lifecycleconfig.Rule(
            cc.ENABLED,
            rule_filter=cc.Filter(prefix="logs/"),
            rule_id="r",
            expiration=lifecycleconfig.Expiration(days=3),
            noncurrent_version_expiration=lifecycleconfig.NoncurrentVersionExpiration(noncurrent_days=3, newer_noncurrent_versions=2),
            abort_incomplete_multipart_upload=lifecycleconfig.AbortIncompleteMultipartUpload(3),
            transition=lifecycleconfig.Transition(days=1, storage_class="GLACIER"),
        )
    ]
)
REPLICATION = replicationconfig.ReplicationConfig(
    "arn",
    [
        replicationconfig.Rule(
            cc.ENABLED,
            destination=replicationconfig.Destination("arn:aws:s3:::x"),
            delete_marker_replication=replicationconfig.DeleteMarkerReplication(cc.DISABLED),
            rule_filter=cc.Filter(prefix="p"),
            rule_id="r",
            priority=1,
        )
    ],
)
QUEUE = notificationconfig.QueueConfig(
    ["s3:ObjectCreated:*"], queue="q", config_id="1", prefix_filter_rule=notificationconfig.PrefixFilterRule("abc")
)


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("PutBucketLifecycleConfiguration", LIFECYCLE, {"ID": "r", "Status": "Enabled"}),
        ("PutBucketReplication", REPLICATION, {"Role": "arn"}),
        ("PutBucketNotificationConfiguration", notificationconfig.NotificationConfig(queue_config_list=[QUEUE]), {"QueueArn": "q"}),
        ("PutBucketVersioning", versioningconfig.VersioningConfig(cc.ENABLED), {"Status": "Enabled"}),
        ("PutObjectLockConfiguration", objectlockconfig.ObjectLockConfig(cc.GOVERNANCE, 15, objectlockconfig.DAYS), {"Days": 15}),
        ("PutObjectLockConfiguration", objectlockconfig.ObjectLockConfig(None, None, None), {"ObjectLockEnabled": "Enabled"}),
        ("PutObjectRetention", retention.Retention(cc.GOVERNANCE, datetime.now(UTC) + timedelta(days=1)), {"Mode": "GOVERNANCE"}),
        ("PutObjectLegalHold", legalhold.LegalHold(True), {"Status": "ON"}),
        ("PutBucketEncryption", sseconfig.SSEConfig(sseconfig.Rule.new_sse_s3_rule()), {"SSEAlgorithm": "AES256"}),
        ("PutObjectTagging", tagging.Tagging(tags()), {"TagSet": [{"Key": "a", "Value": "b"}]}),
        (
            "DeleteObjects",
            deleteobjects.DeleteRequest([deleteobjects.DeleteObject("k", "v"), deleteobjects.DeleteObject("k2")], quiet=True),
            {"Objects": [{"Key": "k", "VersionId": "v"}, {"Key": "k2"}], "Quiet": True},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_minio_py_is_understood(name, document, expected):
    out = OPERATIONS[name].read({"Bucket": "b", "Key": "k"}, {}, {}, marshal(document))
    assert expected.items() <= found(out, set(expected)).items()


def found(value, keys):
    """All values under these keys, however deep."""
    out = {}
    if isinstance(value, dict):
        for key, inner in value.items():
            out |= {key: inner} if key in keys else found(inner, keys)
    elif isinstance(value, list):
        for inner in value:
            out |= found(inner, keys)
    return out
