"""S3 Control's tags of buckets, as the Terraform provider asks for them from 6.23 on."""

from __future__ import annotations

import re
from urllib.parse import quote

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from tests import people
from tests.running import RunningServer

ACCOUNT = "123456789012"


def control_client(server: RunningServer, access_key: str = "", secret_key: str = "") -> BaseClient:
    """botocore puts the account in front of the host, where an address cannot have anything."""
    session = boto3.session.Session(access_key or server.access_key, secret_key or server.secret_key, region_name="us-east-1")
    made = session.client("s3control", endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1}))

    def without_account(request, **_) -> None:
        request.url = re.sub(r"//[0-9]{12}\.", "//", request.url)

    made.meta.events.register_first("before-sign.s3-control", without_account)
    return made


@pytest.fixture(scope="module")
def control(server) -> BaseClient:
    return control_client(server)


def arn(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


def test_tags_are_added_listed_and_removed(control, s3, bucket):
    assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket))["Tags"] == []
    done = control.tag_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket), Tags=[{"Key": "b", "Value": "2"}])
    assert done["ResponseMetadata"]["HTTPStatusCode"] == 204
    control.tag_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket), Tags=[{"Key": "b", "Value": "3"}, {"Key": "a b", "Value": ""}])
    wanted = [{"Key": "a b", "Value": ""}, {"Key": "b", "Value": "3"}]
    assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket))["Tags"] == wanted
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == wanted
    control.untag_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket), TagKeys=["a b", "never there"])
    assert control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket))["Tags"] == wanted[1:]
    control.untag_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket), TagKeys=["b"])
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_tagging(Bucket=bucket)
    assert caught.value.response["Error"]["Code"] == "NoSuchTagSet"


def code_of(call, **arguments) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(AccountId=ACCOUNT, **arguments)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def test_what_is_refused_changes_nothing(control, s3, bucket):
    control.tag_resource(AccountId=ACCOUNT, ResourceArn=arn(bucket), Tags=[{"Key": f"k{number}", "Value": ""} for number in range(50)])
    one = {"ResourceArn": arn(bucket), "Tags": [{"Key": "one", "Value": "more"}]}
    assert code_of(control.tag_resource, **one) == (400, "BadRequest")
    assert code_of(control.tag_resource, **one | {"Tags": [{"Key": "aws:x", "Value": ""}]}) == (400, "InvalidTag")
    twice = [{"Key": "k1", "Value": "a"}, {"Key": "k1", "Value": "b"}]
    assert code_of(control.tag_resource, **one | {"Tags": twice}) == (400, "InvalidTag")
    assert code_of(control.list_tags_for_resource, ResourceArn=arn("no-such-bucket-anywhere")) == (404, "NoSuchBucket")
    assert code_of(control.list_tags_for_resource, ResourceArn="arn:aws:s3:us-east-1:1:accesspoint/x") == (400, "InvalidRequest")
    assert {tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]} == {""}


def test_each_action_needs_its_permission(server, bucket):
    calls = {"ListTagsForResource": {}, "TagResource": {"Tags": [{"Key": "a", "Value": "b"}]}, "UntagResource": {"TagKeys": ["a"]}}
    for allowed in calls:
        person = people.make_user(server, policies=[people.allow(f"s3:{allowed}", on=arn(bucket))])
        client = control_client(server, person.access_key, person.secret_key)
        for name, arguments in calls.items():
            method = {"ListTagsForResource": client.list_tags_for_resource, "TagResource": client.tag_resource,
                      "UntagResource": client.untag_resource}[name]
            if name == allowed:
                method(AccountId=ACCOUNT, ResourceArn=arn(bucket), **arguments)
            else:
                assert code_of(method, ResourceArn=arn(bucket), **arguments) == (403, "AccessDenied")


def test_a_bucket_of_that_name_keeps_its_keys(raw, s3, bucket):
    """Without the account header it is an object like any other; documents that are none are refused."""
    s3.create_bucket(Bucket="v20180820")
    path = f"/v20180820/tags/{quote(arn(bucket), safe='')}"
    assert raw("PUT", path, body=b"an object").status == 200
    assert raw("GET", path).body == b"an object"
    account = [("x-amz-account-id", ACCOUNT)]
    assert b"ListTagsForResourceResult" in raw("GET", path, account).body
    assert raw("GET", path, account, sign=False).status == 403
    half = b"<TagResourceRequest><Tags><Tag><Key>a</Key></Tag></Tags></TagResourceRequest>"
    for body in (b"", b"<Tagging/>", half, b"<TagResourceRequest><X/>"):
        assert b"<Code>MalformedXML</Code>" in raw("POST", path, account, body).body
    assert raw("PUT", path, account, b"x").status == 501
    assert b"<Code>InvalidRequest</Code>" in raw("DELETE", path, account).body
