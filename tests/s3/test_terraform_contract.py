"""What the Terraform and OpenTofu providers ask about a new bucket, call by call in their order, and the answers they can live with.

The provider reads every sub-resource of a plain ``aws_s3_bucket`` after it made one, and takes only the answers of this table for
"nothing set": anything else ends the run.
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/s3/bucket.go
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests import people
from tests.s3.test_control_tags import control_client

REGION = "us-east-1"

# (call, further arguments, the answer: a code with its status, or members of a success and no others)
READS: list[tuple[str, dict[str, Any], Any]] = [
    ("head_bucket", {}, {"BucketRegion": REGION, "AccessPointAlias": False}),
    ("get_bucket_policy", {}, (404, "NoSuchBucketPolicy")),
    ("get_bucket_acl", {}, {"Owner": ..., "Grants": ...}),
    ("get_bucket_cors", {}, (404, "NoSuchCORSConfiguration")),
    ("get_bucket_website", {}, (404, "NoSuchWebsiteConfiguration")),
    ("get_bucket_versioning", {}, {}),
    ("get_bucket_accelerate_configuration", {}, {}),
    ("get_bucket_request_payment", {}, {"Payer": "BucketOwner"}),
    ("get_bucket_logging", {}, {}),
    ("get_bucket_lifecycle_configuration", {}, (404, "NoSuchLifecycleConfiguration")),
    ("get_bucket_replication", {}, (404, "ReplicationConfigurationNotFoundError")),
    ("get_bucket_encryption", {}, (404, "ServerSideEncryptionConfigurationNotFoundError")),
    ("get_object_lock_configuration", {}, (404, "ObjectLockConfigurationNotFoundError")),
    ("get_bucket_tagging", {}, (404, "NoSuchTagSet")),
    ("get_bucket_location", {}, {"LocationConstraint": None}),
    # the resources beside it
    ("get_public_access_block", {}, {"PublicAccessBlockConfiguration": ...}),
    ("get_bucket_ownership_controls", {}, {"OwnershipControls": ...}),
    ("get_bucket_notification_configuration", {}, {}),
    ("get_bucket_policy_status", {}, {"PolicyStatus": {"IsPublic": False}}),
    ("get_bucket_inventory_configuration", {"Id": "x"}, (404, "NoSuchConfiguration")),
    ("get_bucket_analytics_configuration", {"Id": "x"}, (404, "NoSuchConfiguration")),
    ("get_bucket_metrics_configuration", {"Id": "x"}, (404, "NoSuchConfiguration")),
    ("get_bucket_intelligent_tiering_configuration", {"Id": "x"}, (404, "NoSuchConfiguration")),
    ("list_bucket_inventory_configurations", {}, {"IsTruncated": False}),
    ("list_bucket_analytics_configurations", {}, {"IsTruncated": False}),
    ("list_bucket_metrics_configurations", {}, {"IsTruncated": False}),
    ("list_bucket_intelligent_tiering_configurations", {}, {"IsTruncated": False}),
]


class Made(NamedTuple):
    """A new bucket, and the clients of who made it."""

    s3: BaseClient
    control: BaseClient
    bucket: str
    account: str        # as STS tells it

    def tags(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.control.list_tags_for_resource(
            AccountId=self.account, ResourceArn=f"arn:aws:s3:::{self.bucket}")["Tags"]
        return found


@pytest.fixture(scope="module", params=["root", "a user of a tenant"])
def new(request, server) -> Made:
    """A bucket as the provider makes it, with tags at once as from 6.23 on."""
    person = None if request.param == "root" else people.make_user(server, policies=["readwrite"], tenant=people.make_tenant(server))
    keys = (person.access_key, person.secret_key) if person else (server.access_key, server.secret_key)
    sts = boto3.client("sts", endpoint_url=server.url, region_name=REGION, aws_access_key_id=keys[0], aws_secret_access_key=keys[1])
    arn = sts.get_caller_identity()["Arn"].split(":")       # where the provider finds partition and account
    assert arn[:3] == ["arn", "aws", "iam"] and re.fullmatch("[0-9]{12}", arn[4])
    made = Made(server.client(credentials=keys), control_client(server, *keys), people.unused("terraform"), arn[4])
    made.s3.create_bucket(Bucket=made.bucket, CreateBucketConfiguration={"Tags": [{"Key": "made", "Value": "by terraform"}]})
    made.s3.get_waiter("bucket_exists").wait(Bucket=made.bucket, WaiterConfig={"Delay": 0, "MaxAttempts": 3})
    assert made.tags() == [{"Key": "made", "Value": "by terraform"}]
    made.s3.delete_bucket_tagging(Bucket=made.bucket)
    return made


@pytest.mark.parametrize(("call", "more", "expected"), READS, ids=[call for call, _, _ in READS])
def test_nothing_set(new, call, more, expected):
    try:
        answer = getattr(new.s3, call)(Bucket=new.bucket, **more)
    except ClientError as error:
        assert (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]) == expected, error
        if call == "get_bucket_encryption":     # the provider looks into the message
            assert "encryption configuration was not found" in error.response["Error"]["Message"]
        return
    del answer["ResponseMetadata"]
    assert isinstance(expected, dict) and answer.keys() == expected.keys(), answer
    for name, value in expected.items():
        assert value is ... or answer[name] == value


def test_nothing_tagged_by_s3_control(new):
    assert new.tags() == []


def test_removing_what_was_never_set_succeeds(new):
    for kind in ("policy", "cors", "website", "lifecycle", "replication", "encryption", "tagging"):
        call = f"delete_bucket_{kind}"
        assert getattr(new.s3, call)(Bucket=new.bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204, call


RULE = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
CORS = [{"ID": "page", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.test"], "AllowedHeaders": ["*"], "MaxAgeSeconds": 60}]
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("put_bucket_versioning", "get_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
    ("put_bucket_lifecycle_configuration", "get_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": [RULE]}}),
    ("put_bucket_cors", "get_bucket_cors", {"CORSConfiguration": {"CORSRules": CORS}}),
    ("put_bucket_website", "get_bucket_website", {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "index.html"}}}),
    ("put_bucket_tagging", "get_bucket_tagging", {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}),
    ("put_bucket_ownership_controls", "get_bucket_ownership_controls",
     {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}}),
    ("put_public_access_block", "get_public_access_block", {"PublicAccessBlockConfiguration": {
        "BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False}}),
]


@pytest.mark.parametrize(("put", "get", "arguments"), WRITES, ids=[put for put, _, _ in WRITES])
def test_what_is_put_comes_back_unchanged(s3, bucket, put, get, arguments):
    """The provider waits until the two are equal: ids, order and empty elements stay."""
    getattr(s3, put)(Bucket=bucket, **arguments)
    answer = getattr(s3, get)(Bucket=bucket)
    ((name, wanted),) = arguments.items()
    assert answer.get(name, {part: answer.get(part) for part in wanted}) == wanted


def test_lifecycle_echoes_the_size_of_what_transitions(s3, bucket):
    size = "varies_by_storage_class"
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [RULE]}, TransitionDefaultMinimumObjectSize=size)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["TransitionDefaultMinimumObjectSize"] == size


def test_an_object_as_the_provider_makes_it(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"1", ServerSideEncryption="AES256", ChecksumAlgorithm="SHA256")
    assert s3.head_object(Bucket=bucket, Key="o", ChecksumMode="ENABLED")["ChecksumSHA256"]
    assert s3.get_object_tagging(Bucket=bucket, Key="o")["TagSet"] == []
    s3.delete_object(Bucket=bucket, Key="o")


def test_the_state_backend_and_its_lock(s3: BaseClient, bucket):
    state = b'{"version": 4}'
    digest = base64.b64encode(hashlib.md5(state).digest()).decode()
    s3.put_object(Bucket=bucket, Key="env/terraform.tfstate", Body=state, ContentMD5=digest, ContentType="application/json")
    lock: dict[str, Any] = {"Bucket": bucket, "Key": "env/terraform.tfstate.tflock", "Body": b"{}", "IfNoneMatch": "*"}
    s3.put_object(**lock)
    with pytest.raises(ClientError) as caught:
        s3.put_object(**lock)
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    s3.delete_object(Bucket=bucket, Key=lock["Key"])
    s3.put_object(**lock)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="env/")["Contents"]] == ["env/terraform.tfstate", lock["Key"]]


def test_force_destroy(s3, versioned):
    """Every version goes, page by page, also under governance where the caller may pass by it."""
    for _ in range(2):
        s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    s3.delete_object(Bucket=versioned, Key="k")
    found = s3.list_object_versions(Bucket=versioned)
    doomed = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in [*found["Versions"], *found["DeleteMarkers"]]]
    assert "Errors" not in s3.delete_objects(Bucket=versioned, Delete={"Objects": doomed, "Quiet": True}, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=versioned)
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket=versioned)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
