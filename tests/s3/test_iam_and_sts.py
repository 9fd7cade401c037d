"""Clients of IAM and STS on the S3 listener: GetCallerIdentity, and all else refused fast, in their own form, never by a 5xx."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from shared import dynamic
from shared.meta.identity_models import TENANT_SUSPENDED
from tests import people

AWS = Path(sys.executable).with_name("aws")
INSTALLATION = "0" * 12         # the account of who belongs to no tenant
FORM = b"Action=GetCallerIdentity"
ONCE = Config(retries={"total_max_attempts": 1})


def client(server, service, secret=None, *, person=None):
    access_key, own = (person.access_key, person.secret_key) if person else (server.access_key, server.secret_key)
    return boto3.client(
        service, endpoint_url=server.url, aws_access_key_id=access_key, aws_secret_access_key=secret or own,
        region_name="us-east-1", config=ONCE,
    )


def identity(server, person=None):
    found = client(server, "sts", person=person).get_caller_identity()
    assert found.pop("ResponseMetadata")["RequestId"]
    return found


def refused(call, **given):
    with pytest.raises(ClientError) as caught:
        call(**given)
    response = caught.value.response
    assert response["ResponseMetadata"]["RequestId"]
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def test_an_action_that_is_not_offered_is_named(server):
    status, code, message = refused(client(server, "iam").create_user, UserName="ann")
    assert (status, code) == (400, "InvalidAction") and "CreateUser of IAM" in message
    status, code, message = refused(client(server, "sts").get_session_token)
    assert (status, code) == (400, "InvalidAction") and "GetSessionToken of STS" in message


# ---- GetCallerIdentity ------------------------------------------------------------------------------------------------------------------


def test_root_is_told_who_they_are(server, s3):
    found = identity(server)
    assert found.keys() == {"Account", "Arn", "UserId"} and found["Account"] == INSTALLATION
    assert found["UserId"] == s3.list_buckets()["Owner"]["ID"] and re.fullmatch(rf"arn:aws:iam::{INSTALLATION}:user/[^/:]+", found["Arn"])


def test_a_user_needs_no_permission_and_no_policy_takes_it_away(server):
    tenant = people.make_tenant(server)
    for policies in ([], [people.deny("*")]):
        person = people.make_user(server, policies=policies, tenant=tenant, scope={"buckets": ["elsewhere"]})
        arn = f"arn:aws:iam::{tenant:012d}:user/{person.name}"
        assert identity(server, person) == {"Account": f"{tenant:012d}", "Arn": arn, "UserId": person.canonical_id}


def test_who_may_not_act_and_who_has_not_signed_are_nobody(server):
    suspended = people.make_user(server, active=False)
    of_a_suspended_tenant = people.make_user(server, tenant=people.make_tenant(server, status=TENANT_SUSPENDED))
    for person in (suspended, of_a_suspended_tenant):
        assert refused(client(server, "sts", person=person).get_caller_identity)[:2] == (403, "InvalidAccessKeyId")
    assert refused(client(server, "sts", "x" * 40).get_caller_identity)[:2] == (403, "SignatureDoesNotMatch")
    reply = requests.post(server.url + "/", data={"Action": "GetCallerIdentity", "Version": "2011-06-15"}, timeout=10)
    assert reply.status_code == 403 and b"<Code>AccessDenied</Code>" in reply.content and b"arn:" not in reply.content


@pytest.mark.parametrize(("body", "status"), [
    (FORM, 200), (b"Version=2011-06-15&" + FORM, 200), (FORM + b"&Action=CreateUser", 200), (b"Action=CreateUser&" + FORM, 400),
    (b"action=GetCallerIdentity", 400), (b"Action=getcalleridentity", 400), (FORM + b"&x=" + b"y" * 8_000, 400),
    (FORM + b"&x=" + b"y" * 70_000, 400), (FORM + b"%00", 400),
])
def test_forms(raw, body, status):
    reply = raw("POST", "/", body=body)
    assert reply.status == status, reply
    assert (b"<GetCallerIdentityResult><" if status == 200 else b"<Code>InvalidAction</Code>") in reply.body


@pytest.mark.parametrize("headers", [[("Expect", "100-continue")], [("Transfer-Encoding", "chunked")]])
def test_forms_that_come_through_the_gate_are_not_read(raw, headers):
    reply = raw("POST", "/", headers, b"19\r\n" + FORM + b"\r\n0\r\n\r\n" if "chunked" in headers[0] else FORM, sha256="UNSIGNED-PAYLOAD",
                length=None if "chunked" in headers[0] else -1)
    assert reply.status == 400 and b"<Code>InvalidAction</Code>" in reply.body, reply


def test_a_form_that_is_not_what_was_signed(raw):
    assert raw("POST", "/", body=FORM, sha256=hashlib.sha256(b"Action=ListUsers").hexdigest()).status == 400
    reply = raw("GET", "/?Action=GetCallerIdentity&Version=2011-06-15")
    assert reply.status == 200 and b"ListAllMyBucketsResult" in reply.body       # the query of a GET is no form
    assert raw("POST", "/some-bucket-or-other", body=FORM).status == 404


def test_it_is_answered_in_maintenance_and_named_in_the_log(server):
    with people.inside(server):
        dynamic.put({"system.maintenance_mode": True}, "test")
    try:
        assert identity(server)["Account"] == INSTALLATION
    finally:
        with people.inside(server):
            dynamic.put({"system.maintenance_mode": False}, "test")
    assert '"operation":"GetCallerIdentity"' in server.log.read_text()


@pytest.mark.skipif(not AWS.exists(), reason="awscli is not installed")
def test_the_command_line_of_aws(server, tmp_path):
    environment = {
        "AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key, "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": str(tmp_path), "PATH": os.environ["PATH"],
    }
    words = [sys.executable, str(AWS), "sts", "get-caller-identity", "--endpoint-url", server.url, "--output", "json"]
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == identity(server)


# ---- all others -------------------------------------------------------------------------------------------------------------------------


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
