"""Buckets whose requester pays: who belongs to another account says that they do on every way in, or is refused.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import requests

from tests import people
from tests.s3.asking import PART, refused

PAYS = {"RequestPayer": "requester"}


@pytest.fixture(scope="module")
def paid(s3) -> str:
    """A bucket whose requester pays and where everybody may do everything."""
    name = f"b-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    s3.delete_public_access_block(Bucket=name)
    there = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": there}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_object(Bucket=name, Key="k", Body=b"x" * 10)
    s3.put_bucket_request_payment(Bucket=name, RequestPaymentConfiguration={"Payer": "Requester"})
    return name


@pytest.fixture(scope="module")
def stranger(server) -> Any:
    """A client of another account."""
    return people.make_user(server, policies=[people.allow("s3:*")], tenant=people.make_tenant(server)).client(server)


CALLS: dict[str, dict[str, Any]] = {
    "get_object": {"Key": "k"}, "head_object": {"Key": "k"}, "put_object": {"Key": "new", "Body": b"1"}, "list_objects_v2": {},
    "list_object_versions": {}, "delete_object": {"Key": "nothing"}, "delete_objects": {"Delete": {"Objects": [{"Key": "nothing"}]}},
    "get_object_tagging": {"Key": "k"}, "get_object_attributes": {"Key": "k", "ObjectAttributes": ["ETag"]},
    "create_multipart_upload": {"Key": "parts"}, "list_multipart_uploads": {},
}


@pytest.mark.parametrize("name", CALLS)
def test_others_say_that_they_pay(paid, stranger, s3, name):
    call, arguments = getattr(stranger, name), {"Bucket": paid, **CALLS[name]}
    with refused("AccessDenied", "403", status=403):
        call(**arguments)
    assert call(**arguments, **PAYS)["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-charged"] == "requester"
    assert "x-amz-request-charged" not in getattr(s3, name)(**arguments)["ResponseMetadata"]["HTTPHeaders"]


def test_a_large_body_is_not_even_received(paid, stranger):
    with refused("AccessDenied", status=403):
        stranger.put_object(Bucket=paid, Key="large", Body=b"x" * 200_000)
    assert stranger.put_object(Bucket=paid, Key="large", Body=b"x" * 200_000, **PAYS)["RequestCharged"] == "requester"


def test_a_part_that_is_a_copy(server, paid, stranger, s3):
    mine = people.unused("mine")
    stranger.create_bucket(Bucket=mine)
    s3.put_object(Bucket=paid, Key="source", Body=b"x" * PART)
    upload = stranger.create_multipart_upload(Bucket=mine, Key="k")["UploadId"]
    part = {"Bucket": mine, "Key": "k", "UploadId": upload, "PartNumber": 1, "CopySource": {"Bucket": paid, "Key": "source"}}
    with refused("AccessDenied", status=403):
        stranger.upload_part_copy(**part)
    assert stranger.upload_part_copy(**part, **PAYS)["RequestCharged"] == "requester"


def test_a_presigned_link_says_it_in_its_query(server, paid, stranger):
    def add(request: Any, **_: Any) -> None:
        request.url += "?x-amz-request-payer=requester"

    params = {"Bucket": paid, "Key": "k"}
    assert requests.get(stranger.generate_presigned_url("get_object", Params=params), timeout=30).status_code == 403
    stranger.meta.events.register("before-sign.s3.GetObject", add)
    try:
        link = stranger.generate_presigned_url("get_object", Params=params)
    finally:
        stranger.meta.events.unregister("before-sign.s3.GetObject", add)
    reply = requests.get(link, timeout=30)
    assert (reply.status_code, reply.headers["x-amz-request-charged"]) == (200, "requester")
    assert requests.get(link.replace("payer=requester", "payer=somebody"), timeout=30).status_code == 403


@pytest.mark.parametrize("size", [7, 100_000])
def test_a_form_is_from_who_signed_it(server, s3, paid, stranger, size):
    def send(client: Any, how: str = "") -> requests.Response:
        field = {"x-amz-request-payer": "requester"} if how == "field" else {}
        made = client.generate_presigned_post(paid, "form", Fields=field, Conditions=[field] if field else [])
        headers = {"x-amz-request-payer": "requester"} if how == "header" else {}
        return requests.post(made["url"], data=made["fields"], files={"file": b"x" * size}, headers=headers, timeout=30)

    assert send(stranger).status_code == 403
    for how in ("field", "header"):
        reply = send(stranger, how)
        assert (reply.status_code, reply.headers["x-amz-request-charged"]) == (204, "requester"), reply.text
    assert send(s3).status_code == 204
    unsigned = {"key": "k", "x-amz-request-payer": "requester"}
    assert requests.post(f"{server.url}/{paid}", data=unsigned, files={"file": b"x" * size}, timeout=30).status_code == 403


def test_nobody_reads_or_lists_it(server, paid):
    for target in (f"/{paid}", f"/{paid}/k"):
        for headers in ({}, {"x-amz-request-payer": "requester"}):
            assert requests.get(server.url + target, headers=headers, timeout=30).status_code == 403


def test_it_takes_no_logs(s3, paid, bucket):
    with refused("InvalidTargetBucketForLogging", status=400):
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": paid, "TargetPrefix": ""}})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
