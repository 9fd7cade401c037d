"""A form's file becomes an object by the rules of any upload: encryption, locks, ACLs, tags, quotas, policies, and what replies say."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from shared.meta.identity_models import Tenant
from tests import people
from tests.running import RunningServer
from tests.s3.asking import refused
from tests.s3.test_post_form import SOON, TAGGING, code, policy, post, signed_v2

SIZES = pytest.mark.parametrize("size", [7, 30_000])        # in one piece with its fields, and behind the gate


def fields_of(server, bucket: str, fields: dict[str, Any], person: people.Person | None = None) -> dict[str, Any]:
    """The fields, signed by root or by somebody, with a policy that takes them as they are."""
    fields = {"key": "foo", **fields}
    document = policy([{"bucket": bucket}, *(["starts-with", f"${name}", ""] for name in fields)])
    return {**fields, **signed_v2(person or server, document)}


def send(server, bucket: str, fields: dict[str, Any], size: int = 7, person: people.Person | None = None, **how: Any) -> requests.Response:
    return post(server, bucket, fields_of(server, bucket, fields, person), b"p" * size, **how)


# ---- encryption -------------------------------------------------------------------------------------------------------------------------


@SIZES
def test_the_default_encryption_of_the_bucket(server, s3, bucket, size):
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]})
    reply = send(server, bucket, {}, size)
    assert (reply.status_code, reply.headers.get("x-amz-server-side-encryption")) == (204, "AES256")
    found = s3.get_object(Bucket=bucket, Key="foo")
    assert found["ServerSideEncryption"] == "AES256" and found["Body"].read() == b"p" * size
    files = [path for path in (server.data_dir / "blobs").rglob("*") if path.is_file() and path.stat().st_size < size + 200]
    assert not any(b"p" * size in path.read_bytes() for path in files)


@SIZES
def test_a_form_asks_for_encryption(server, s3, bucket, size):
    reply = send(server, bucket, {"x-amz-server-side-encryption": "AES256"}, size)
    assert (reply.status_code, reply.headers.get("x-amz-server-side-encryption")) == (204, "AES256")
    assert s3.head_object(Bucket=bucket, Key="foo")["ServerSideEncryption"] == "AES256"
    key = os.urandom(32)
    of_the_customer = {"algorithm": "AES256", "key": base64.b64encode(key).decode(),
                       "key-MD5": base64.b64encode(hashlib.md5(key).digest()).decode()}
    reply = send(server, bucket, {f"x-amz-server-side-encryption-customer-{name}": value for name, value in of_the_customer.items()}, size)
    assert reply.status_code == 204, reply.text
    with refused("InvalidRequest"):
        s3.get_object(Bucket=bucket, Key="foo")
    assert s3.get_object(Bucket=bucket, Key="foo", SSECustomerAlgorithm="AES256", SSECustomerKey=key)["Body"].read() == b"p" * size
    assert code(send(server, bucket, {"x-amz-server-side-encryption": "rot13"}, size))[0] == 400


# ---- locks ------------------------------------------------------------------------------------------------------------------------------


def lock_fields() -> dict[str, str]:
    until = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until, "x-amz-object-lock-legal-hold": "ON"}


@SIZES
def test_a_form_locks_its_object(server, s3, locked, size):
    digest = {"Content-MD5": base64.b64encode(hashlib.md5(b"p" * size).digest()).decode()}
    reply = send(server, locked, {**lock_fields(), **digest}, size)
    assert reply.status_code == 204, reply.text
    found = s3.head_object(Bucket=locked, Key="foo")
    assert (found["ObjectLockMode"], found["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert reply.headers["x-amz-version-id"] == found["VersionId"]
    with refused("AccessDenied"):
        s3.delete_object(Bucket=locked, Key="foo", VersionId=found["VersionId"])
    assert code(send(server, locked, lock_fields(), size)) == (400, "InvalidRequest")       # as a PUT without a digest


def test_where_nothing_can_be_locked(server, bucket):
    assert code(send(server, bucket, lock_fields())) == (400, "InvalidRequest")


def test_the_default_retention_of_the_bucket(server, s3, locked):
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}})
    assert send(server, locked, {}).status_code == 204
    assert s3.head_object(Bucket=locked, Key="foo")["ObjectLockMode"] == "GOVERNANCE"


# ---- permissions ------------------------------------------------------------------------------------------------------------------------


@SIZES
@pytest.mark.parametrize(("fields", "action"), [
    ({"tagging": TAGGING}, "s3:PutObjectTagging"), ({"acl": "public-read"}, "s3:PutObjectAcl"),
    ({"x-amz-grant-read": f'uri="{"http://acs.amazonaws.com/groups/global/AllUsers"}"'}, "s3:PutObjectAcl"),
])
def test_what_a_form_says_besides_its_file_takes_a_permission_of_its_own(server, acl_bucket, fields, action, size):
    on = f"arn:aws:s3:::{acl_bucket}/*"
    writer = people.make_user(server, policies=[people.allow("s3:PutObject", on=on)])
    assert send(server, acl_bucket, {}, size, writer).status_code == 204
    assert code(send(server, acl_bucket, fields, size, writer)) == (403, "AccessDenied")
    other = people.make_user(server, policies=[people.allow("s3:PutObject", action, on=on)])
    assert send(server, acl_bucket, fields, size, other).status_code == 204


@pytest.mark.parametrize(("fields", "action"), [
    ({"x-amz-object-lock-legal-hold": "OFF"}, "s3:PutObjectLegalHold"),
    ({name: value for name, value in lock_fields().items() if "hold" not in name}, "s3:PutObjectRetention"),
])
def test_locking_takes_a_permission_of_its_own(server, locked, fields, action):
    on = f"arn:aws:s3:::{locked}/*"
    fields = {**fields, "Content-MD5": base64.b64encode(hashlib.md5(b"p" * 7).digest()).decode()}
    writer = people.make_user(server, policies=[people.allow("s3:PutObject", on=on)])
    assert code(send(server, locked, fields, 7, writer)) == (403, "AccessDenied")
    other = people.make_user(server, policies=[people.allow("s3:PutObject", action, on=on)])
    assert send(server, locked, fields, 7, other).status_code == 204


@SIZES
def test_statements_with_conditions_see_the_fields_and_no_header_of_the_request(server, s3, bucket, size):
    on = f"arn:aws:s3:::{bucket}/*"
    encrypted = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}
    secret = {"StringEquals": {"s3:RequestObjectTag/a": "b"}}
    by_form = {"StringEquals": {"s3:authType": "POST"}, "StringLike": {"aws:Referer": "https://evil.test/*"}}
    denied = [people.deny("s3:PutObject", on=on, Principal="*", Condition=one)["Statement"][0] for one in (encrypted, secret, by_form)]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": denied}))
    person = people.make_user(server, policies=[people.allow("s3:*", on=[on, f"arn:aws:s3:::{bucket}"])])
    wanted = {"x-amz-server-side-encryption": "AES256"}
    assert send(server, bucket, wanted, size, person).status_code == 204
    assert code(send(server, bucket, {}, size, person, headers=wanted)) == (403, "AccessDenied")
    assert code(send(server, bucket, {**wanted, "tagging": TAGGING}, size, person)) == (403, "AccessDenied")
    assert code(send(server, bucket, wanted, size, person, headers={"Referer": "https://evil.test/page"})) == (403, "AccessDenied")


def test_a_narrowed_key_signs_no_more_than_it_may(server, bucket):
    person = people.make_user(server, policies=["readwrite"], key_policies=[people.allow("s3:PutObject", on=f"arn:aws:s3:::{bucket}/in/*")])
    assert send(server, bucket, {"key": "in/foo"}, 7, person).status_code == 204
    assert code(send(server, bucket, {"key": "out/foo"}, 7, person)) == (403, "AccessDenied")


# ---- limits -----------------------------------------------------------------------------------------------------------------------------


@SIZES
def test_the_quota_of_the_tenant(server, size):
    tenant = people.make_tenant(server)
    with people.inside(server):
        Tenant.update(max_bytes=size).where(Tenant.id == tenant).execute()
    person, bucket = people.make_user(server, policies=["readwrite"], tenant=tenant), people.unused("form")
    person.client(server).create_bucket(Bucket=bucket)
    assert code(send(server, bucket, {}, size + 1, person)) == (403, "QuotaExceeded")
    reply = send(server, bucket, {}, size, person)      # to the byte: borders and fields do not count
    assert reply.status_code == 204, reply.text
    assert code(send(server, bucket, {"key": "other"}, 1, person)) == (403, "QuotaExceeded")


@pytest.mark.parametrize("size", [17_000, 60_000])
def test_a_file_that_comes_in_one_piece_with_its_fields_is_no_row(server, s3, bucket, size):
    """Only small objects live in the database."""
    data = os.urandom(size)
    assert post(server, bucket, fields_of(server, bucket, {}), data).status_code == 204
    assert s3.get_object(Bucket=bucket, Key="foo")["Body"].read() == data
    files = (path for path in (server.data_dir / "blobs").rglob("*") if path.is_file() and path.stat().st_size == size)
    assert any(path.read_bytes() == data for path in files)


@SIZES
def test_storage_classes_that_are_not_there(server, bucket, size):
    assert send(server, bucket, {"x-amz-storage-class": "STANDARD"}, size).status_code == 204
    assert code(send(server, bucket, {"x-amz-storage-class": "GLACIER"}, size)) == (400, "InvalidStorageClass")


@SIZES
def test_the_name_of_the_file_does_not_make_fields_longer_than_they_may_be(server, s3, bucket, size):
    fields = fields_of(server, bucket, {"Cache-Control": "${filename}" * 300})
    assert code(post(server, bucket, fields, ("f" * 1000, b"p" * size))) == (400, "MaxPostPreDataLengthExceeded")
    assert post(server, bucket, fields, ("f", b"p" * size)).status_code == 204
    assert s3.head_object(Bucket=bucket, Key="foo")["CacheControl"] == "f" * 300


@pytest.mark.parametrize("name", ["Cache-Control", "Content-Type", "x-amz-meta-a", "x-amz-website-redirect-location"])
def test_fields_of_several_lines_make_no_headers(server, bucket, name):
    assert code(send(server, bucket, {name: "/a\r\nSet-Cookie: b=c"})) == (400, "InvalidArgument")


@pytest.mark.parametrize("document", [
    b"%%%", base64.b64encode(b"no json"), base64.b64encode(b"\xff\xfe"), base64.b64encode(b"[" * 10_000), base64.b64encode(b"null"),
    base64.b64encode(b'{"expiration": "%s", "conditions": [["eq", "$key"]]}' % SOON.encode()),
    base64.b64encode(b'{"expiration": "%s", "conditions": [["eq", "key", "foo"]]}' % SOON.encode()),
    base64.b64encode(b'{"expiration": "%s", "conditions": [["content-length-range", "1", "two"]]}' % SOON.encode()),
    base64.b64encode(b'{"expiration": "%s", "conditions": ["key"]}' % SOON.encode()),
], ids=lambda document: document[:16].decode())
def test_policies_that_are_none(server, bucket, document):
    assert code(post(server, bucket, {"key": "foo", **signed_v2(server, document)})) == (400, "InvalidPolicyDocument")


def test_a_policy_that_is_too_long(server, bucket):
    document = policy([{"bucket": bucket}, {"key": "foo"}] + [["starts-with", "$x-amz-meta-a", ""]] * 1000)
    assert code(post(server, bucket, {"key": "foo", **signed_v2(server, document)})) == (400, "MaxPostPreDataLengthExceeded")


def test_a_dollar_in_a_policy_may_be_escaped(server, s3, bucket):
    text = r'{"expiration": "SOON", "conditions": [{"bucket": "HERE"}, ["starts-with", "$key", "\$5\\"]]}'.replace("SOON", SOON)
    fields = signed_v2(server, base64.b64encode(text.replace("HERE", bucket).encode()))
    assert post(server, bucket, {"key": "$5\\x", **fields}).status_code == 204
    assert code(post(server, bucket, {"key": "5\\x", **fields})) == (403, "AccessDenied")


@pytest.mark.parametrize(("length", "behind"), [(10, b"y\r\n"), (30_000, b"y\r\n"), (30_000, b"-"), (30_000, b"")])
def test_what_only_looks_like_a_border_does_not_cut_a_file_short(raw, s3, acl_bucket, length, behind):
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read-write")
    head = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    answer = raw("POST", f"/{acl_bucket}", [("Content-Type", "multipart/form-data; boundary=x")],
                 head + b"." * length + b"\r\n--x" + behind, sign=False)
    assert (answer.status, answer.code) == (400, "MalformedPOSTRequest")
    assert "Contents" not in s3.list_objects_v2(Bucket=acl_bucket)


def test_fields_behind_the_file_do_not_count(raw, s3, acl_bucket):
    """Also a second file: what was uploaded is what came first."""
    s3.put_bucket_acl(Bucket=acl_bucket, ACL="public-read-write")

    def send(*parts: tuple[str, bytes]) -> Any:
        body = b"".join(b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value) for name, value in parts)
        return raw("POST", f"/{acl_bucket}", [("Content-Type", "multipart/form-data; boundary=x")], body + b"--x--\r\n", sign=False)

    key, file = ("key", b"k"), ("file", b"." * 30_000)
    answer = send(file, key)
    assert (answer.status, answer.code) == (400, "UserKeyMustBeSpecified")
    assert send(key, file, ("success_action_status", b"201"), ("Content-Type", b"text/css"), ("file", b"second")).status == 204
    found = s3.head_object(Bucket=acl_bucket, Key="k")
    assert (found["ContentLength"], found["ContentType"]) == (30_000, "binary/octet-stream")


# ---- replies ----------------------------------------------------------------------------------------------------------------------------


@SIZES
def test_pages_of_other_origins_may_read_the_answer(server, s3, bucket, size):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{
        "AllowedMethods": ["POST"], "AllowedOrigins": ["https://page.test"], "ExposeHeaders": ["ETag"]}]})
    origin = {"Origin": "https://page.test"}
    for reply in (send(server, bucket, {}, size, headers=origin), post(server, bucket, {"key": "foo"}, b"p" * size, headers=origin)):
        assert reply.status_code in (204, 403)
        assert reply.headers["Access-Control-Allow-Origin"] == "https://page.test"
        assert reply.headers["Access-Control-Expose-Headers"] == "ETag"
    assert "Access-Control-Allow-Origin" not in send(server, bucket, {}, size, headers={"Origin": "https://other.test"}).headers


@pytest.mark.parametrize("fields", [{}, {"success_action_status": "201"}, {"success_action_redirect": "https://page.test/"}])
def test_the_answer_says_what_that_of_a_put_says(server, s3, versioned, fields):
    s3.put_bucket_lifecycle_configuration(Bucket=versioned, LifecycleConfiguration={"Rules": [
        {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "f"}, "Expiration": {"Days": 3}}]})
    checksum = base64.b64encode(hashlib.sha256(b"p" * 7).digest()).decode()
    reply = send(server, versioned, {**fields, "x-amz-checksum-sha256": checksum})
    found = s3.head_object(Bucket=versioned, Key="foo", ChecksumMode="ENABLED")
    assert 'rule-id="old"' in reply.headers["x-amz-expiration"]
    assert reply.headers["x-amz-expiration"] == found["Expiration"]
    assert (reply.headers["x-amz-version-id"], reply.headers["ETag"]) == (found["VersionId"], found["ETag"])
    assert reply.headers["x-amz-checksum-sha256"] == found["ChecksumSHA256"] == checksum


def test_the_bucket_in_front_of_the_host():
    with RunningServer(processes=1, environ={"MAXIOFS_DOMAIN": "s3.test"}) as server:
        s3, bucket = server.client(), people.unused("form")
        s3.create_bucket(Bucket=bucket)
        host = {"Host": f"{bucket}.s3.test:9000"}
        for size in (7, 30_000):
            parts = [(name, (None, value)) for name, value in fields_of(server, bucket, {"success_action_status": "201"}).items()]
            reply = requests.post(server.url, files=[*parts, ("file", ("f", b"p" * size))], headers=host, timeout=30)
            assert reply.status_code == 201, reply.text
            assert reply.headers["Location"] == f"http://{bucket}.s3.test:9000/foo"
            assert s3.head_object(Bucket=bucket, Key="foo")["ContentLength"] == size
