"""Clients of IAM and STS on the S3 listener: what is not offered yet is refused fast, in their own form, never by a 5xx."""

from __future__ import annotations

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={"total_max_attempts": 1})


def client(server, service, secret=None):
    return boto3.client(
        service, endpoint_url=server.url, aws_access_key_id=server.access_key, aws_secret_access_key=secret or server.secret_key,
        region_name="us-east-1", config=ONCE,
    )


def refused(call, **given):
    with pytest.raises(ClientError) as caught:
        call(**given)
    response = caught.value.response
    assert response["ResponseMetadata"]["RequestId"]
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def test_an_action_that_is_not_offered_is_named(server):
    status, code, message = refused(client(server, "iam").create_user, UserName="ann")
    assert (status, code) == (400, "InvalidAction") and "CreateUser of IAM" in message
    status, code, message = refused(client(server, "sts").get_caller_identity)
    assert (status, code) == (400, "InvalidAction") and "GetCallerIdentity of STS" in message


def test_a_wrong_signature_is_told_in_the_same_form(server):
    assert refused(client(server, "iam", "x" * 40).list_users)[:2] == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("body", [b"Action=ListUsers", b"", b"Action=" + b"x" * 70_000, b"&" * 70_000, b"\xff\x00<"])
def test_nobody_learns_what_there_is(server, body):
    reply = requests.post(server.url + "/", data=body, timeout=10)
    assert reply.status_code in (400, 403) and b"ListUsers" not in reply.content
    assert reply.content.startswith(b"<ErrorResponse xmlns=")


@pytest.mark.parametrize("body", [
    b"", b"Action=", b"Action=No<Such>&Version=1", b"Action=" + b"y" * 500, b"&" * 60_000, b"\xff=\x00&Action=\xff",
])
def test_forms_that_name_no_action_of_theirs(raw, body):
    reply = raw("POST", "/", body=body)
    assert reply.status == 400 and b"<Code>InvalidAction</Code>" in reply.body and len(reply.body) < 1000


def test_a_target_that_cannot_be_read_gets_an_s3_error(raw):
    reply = raw("POST", "/%zz", sign=False)
    assert reply.status == 400 and b"<Error><Code>InvalidURI" in reply.body
