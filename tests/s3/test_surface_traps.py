"""Traps of the newer sub-resources: what hostile documents, fields and headers must not do to the server, or to other tenants."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from hashlib import md5

import pytest

from tests import people
from tests.admin.admin_client import Api, unique
from tests.s3.asking import refused
from tests.s3.test_post_form import code, policy, post, signed_v2

KMS, KEY = "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"
CONTEXT = "x-amz-server-side-encryption-context"
PROMPTLY_S = 0.5
CAPACITY = ".system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/capacity.xml"


@pytest.fixture(scope="module")
def api(server) -> Api:
    return Api(server).sign_in(server.access_key, server.secret_key)


@pytest.fixture(scope="module")
def key(api: Api) -> str:
    return str(api.ok.post("/encryption-keys", {"name": unique()})["name"])


# ---- encryption ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["arn:a:b:c:d\r\nX-Evil 1:key/", "arn:a:b:c:d\x7f:key/", "arn:a:b:c:ü:key/", f"arn:a:b:c:{'d' * 2048}:"])
def test_a_forms_key_id_that_no_header_could_say_is_refused(server, s3, bucket, key, front):
    """It would be stored with the object, and every GET of it would fail."""
    fields = {"key": "k", KMS: "aws:kms", KEY: (front + key).encode()}
    wanted = [{"bucket": bucket}, *(["starts-with", f"${name}", ""] for name in fields)]
    reply = post(server, bucket, {**fields, **signed_v2(server, policy(wanted))})
    assert code(reply) == (400, "InvalidArgument")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_an_update_takes_no_key_id_that_is_too_long_to_be_shown(s3, bucket, key, raw):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    arn = f"arn:a:b:c:{'d' * 60_000}:key/{key}"
    body = f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{arn}</KMSKeyArn></SSE-KMS></ObjectEncryption>".encode()
    reply = raw("PUT", f"/{bucket}/k?encryption", [("Content-MD5", b64encode(md5(body).digest()).decode())], body)
    assert (reply.status, reply.code) == (400, "InvalidRequest")
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"


def test_an_encryption_context_that_is_nested_deeply_is_refused(bucket, key, raw):
    context = b64encode(b"[" * 6000).decode()
    reply = raw("PUT", f"/{bucket}/k", [(KMS, "aws:kms"), (KEY, key), (CONTEXT, context)], b"x")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_no_tenant_takes_the_name_of_everybodys_default_key(server, api):
    tenant = people.make_tenant(server)
    refused_by = api.post("/encryption-keys", {"name": "default", "tenant_id": tenant})
    assert refused_by.status_code == 409
    assert api.get("/encryption-keys/default").json().get("tenant_id", 0) == 0


# ---- forms --------------------------------------------------------------------------------------------------------------------------


def test_what_the_address_of_a_form_says_more_decides_nothing(server, bucket):
    """Nobody has signed it: a policy about it must not be met by who sends the form."""
    person = people.make_user(server, policies=[people.allow("s3:PutObject", Condition={"StringEquals": {"s3:prefix": "theirs"}})])
    fields = {"key": "k", **signed_v2(person, policy([{"bucket": bucket}, {"key": "k"}]))}
    assert code(post(server, f"{bucket}?prefix=theirs", fields)) == (403, "AccessDenied")


def test_a_policy_with_half_a_character_is_an_error_that_can_be_told(server, bucket):
    document = b64encode(json.dumps({"expiration": "2099-01-01T00:00:00Z", "conditions": [["eq", "$key", "\ud800"]]}).encode())
    assert code(post(server, bucket, {"key": "k", **signed_v2(server, document)})) == (403, "AccessDenied")


# ---- documents ----------------------------------------------------------------------------------------------------------------------


def test_a_rule_with_many_patterns_costs_little(s3, bucket, raw):
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "AllowedHeaders": [*(f"{i:x}" for i in range(1500)), "z*"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    names = ",".join(f"z{i}" for i in range(4000))
    headers = [("Origin", "http://a.example"), ("Access-Control-Request-Headers", names)]
    begun = time.monotonic()
    reply = raw("GET", f"/{bucket}/k", headers, sign=False)
    assert time.monotonic() - begun < PROMPTLY_S
    assert reply.status == 403 and "access-control-allow-origin" not in reply.headers


def test_events_that_repeat_cost_little(bucket, raw):
    def queue(name: str, event: str) -> str:
        return f"<QueueConfiguration><Id>{name}</Id><Queue>arn:aws:sqs:a:1:q</Queue>{f'<Event>{event}</Event>' * 3000}</QueueConfiguration>"

    body = "".join(queue(*one) for one in (("a", "s3:ObjectAcl:Put"), ("b", "s3:ObjectTagging:Put")))
    begun = time.monotonic()
    reply = raw("PUT", f"/{bucket}?notification", body=f"<NotificationConfiguration>{body}</NotificationConfiguration>".encode())
    assert reply.status == 200 and time.monotonic() - begun < PROMPTLY_S * 2


@pytest.mark.parametrize("kind", ["inventory", "analytics", "metrics", "intelligent-tiering"])
def test_one_of_a_thousand_documents_is_short(bucket, raw, kind):
    """A page of their list holds a hundred of them."""
    body = f"<Configuration><Id>a</Id>{' ' * 70_000}</Configuration>".encode()
    reply = raw("PUT", f"/{bucket}?{kind}&id=a", body=body)
    assert (reply.status, reply.code) == (400, "MaxMessageLengthExceeded")


# ---- tenants ------------------------------------------------------------------------------------------------------------------------


def test_what_a_tenant_has_left_is_told_to_its_own_people_only(server, s3):
    mine, other = people.make_tenant(server), people.make_tenant(server)
    name = people.unused("veeam")
    client = people.make_user(server, policies=["readwrite"], tenant=mine).client(server)
    client.create_bucket(Bucket=name)
    client.delete_public_access_block(Bucket=name)
    everybody = people.allow("s3:GetObject", "s3:ListBucket", on=[f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"], Principal="*")
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(everybody))
    stranger = people.make_user(server, policies=["readwrite"], tenant=other).client(server)
    with refused("NoSuchKey"):
        stranger.get_object(Bucket=name, Key=CAPACITY)
    assert client.get_object(Bucket=name, Key=CAPACITY)["ContentType"] == "application/xml"
    assert s3.get_object(Bucket=name, Key=CAPACITY)["ContentType"] == "application/xml"
