"""Buckets: create, head, list, locate, delete."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from tests.running import RunningServer
from tests.s3.asking import at_once, code_of, refused
from tests.s3.raw import Raw


def test_created_bucket_is_found_listed_and_located(s3, bucket):
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    listed = {one["Name"]: one["CreationDate"] for one in s3.list_buckets()["Buckets"]}
    assert abs(listed[bucket] - datetime.now(UTC)) < timedelta(minutes=1)


def test_create_answers_with_its_location(s3):
    name = f"b-{os.urandom(6).hex()}"
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"


def test_creating_ones_own_bucket_again_succeeds_in_us_east_1_and_keeps_its_objects(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    s3.create_bucket(Bucket=bucket)
    s3.head_object(Bucket=bucket, Key="kept")


@pytest.mark.parametrize("constraint", ["us-east-1"])
def test_the_servers_own_region_is_accepted_as_location(s3, constraint):
    name = f"b-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": constraint})
    s3.head_bucket(Bucket=name)


def test_another_region_is_refused(s3):
    with refused("IllegalLocationConstraintException", status=400):
        s3.create_bucket(Bucket=f"b-{os.urandom(6).hex()}", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper",
        "under_score",
        "-start",
        "end-",
        ".start",
        "end.",
        "two..dots",
        "192.168.5.4",
        "xn--name",
        "sthree-name",
        "amzn-s3-demo-name",
        "name-s3alias",
        "name--ol-s3",
        "name.mrap",
        "name--x-s3",
        "name--table-s3",
        "sp ace",
        "nul\0",
        "ü",
    ],
)
def test_names_that_aws_does_not_allow_are_refused(raw: Raw, name):
    from urllib.parse import quote

    answer = raw("PUT", "/" + quote(name))
    assert (answer.status, answer.code) == (400, "InvalidBucketName"), answer


@pytest.mark.parametrize(
    "name", ["a" * 63, "a.b-c.d", "3letters", "healthz", "metrics", "minio", "admin", "console", "api", "readyz", "health"]
)
def test_every_other_name_is_a_bucket_even_that_of_a_route(s3, name):
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="live", Body=name.encode())
    assert s3.get_object(Bucket=name, Key="live")["Body"].read() == name.encode()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=name)["Contents"]] == ["live"]
    s3.delete_object(Bucket=name, Key="live")
    s3.delete_bucket(Bucket=name)


def test_missing_bucket_is_NoSuchBucket(s3):
    missing = f"b-{os.urandom(6).hex()}"
    with refused("NoSuchBucket", status=404) as told:
        s3.get_bucket_location(Bucket=missing)
    assert told.error["BucketName"] == missing
    with refused("404", status=404):
        s3.head_bucket(Bucket=missing)
    with refused("NoSuchBucket", status=404):
        s3.delete_bucket(Bucket=missing)
    with refused("NoSuchBucket", status=404):
        s3.put_object(Bucket=missing, Key="k", Body=b"")


def test_delete_removes_an_empty_bucket_only(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("BucketNotEmpty", status=409):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    assert s3.delete_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("404"):
        s3.head_bucket(Bucket=bucket)


def test_a_bucket_with_only_a_delete_marker_is_not_empty(s3, versioned):
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused("BucketNotEmpty", status=409):
        s3.delete_bucket(Bucket=versioned)
    s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    s3.delete_bucket(Bucket=versioned)


def test_a_deleted_bucket_made_again_is_new(s3, versioned):
    s3.delete_bucket(Bucket=versioned)
    s3.create_bucket(Bucket=versioned)
    assert "Status" not in s3.get_bucket_versioning(Bucket=versioned)


def test_bucket_deleted_during_a_put_leaves_one_winner(s3, new_bucket):
    for _ in range(5):
        name = new_bucket()
        acts = [lambda name=name: s3.delete_bucket(Bucket=name), lambda name=name: s3.put_object(Bucket=name, Key="k", Body=b"x")]
        codes = [code_of(one) for one in at_once(2, lambda number, acts=acts: acts[number]())]
        assert codes in (["", "NoSuchBucket"], ["BucketNotEmpty", ""]), codes


def test_sixteen_creators_make_one_bucket(s3):
    name = f"b-{os.urandom(6).hex()}"
    results = at_once(16, lambda _: s3.create_bucket(Bucket=name))
    assert {code_of(one) for one in results} == {""}
    assert sum(one["Name"] == name for one in s3.list_buckets(Prefix=name)["Buckets"]) == 1


def test_list_buckets_by_prefix_in_pages(s3):
    prefix = f"page-{os.urandom(4).hex()}-"
    names = [f"{prefix}{number:02}" for number in range(7)]
    for name in reversed(names):
        s3.create_bucket(Bucket=name)
    seen, token, pages = [], None, 0
    while True:
        page = s3.list_buckets(Prefix=prefix, MaxBuckets=3, **({"ContinuationToken": token} if token else {}))
        assert page["Prefix"] == prefix
        seen += [one["Name"] for one in page["Buckets"]]
        token, pages = page.get("ContinuationToken"), pages + 1
        if not token:
            break
    assert (seen, pages) == (names, 3)


def test_list_buckets_names_the_owner_and_filters_by_region(s3, bucket):
    assert s3.list_buckets()["Owner"]["ID"]
    assert s3.list_buckets(BucketRegion="eu-west-1", Prefix=bucket)["Buckets"] == []
    assert [one["Name"] for one in s3.list_buckets(BucketRegion="us-east-1", Prefix=bucket)["Buckets"]] == [bucket]


@pytest.mark.parametrize(
    "query",
    [
        "max-buckets=0",
        "max-buckets=-1",
        "max-buckets=10001",
        "max-buckets=x",
        f"max-buckets={'9' * 30}",
        "continuation-token=%00%01",
        "continuation-token=!!!",
    ],
)
def test_list_buckets_refuses_nonsense(raw: Raw, query):
    answer = raw("GET", f"/?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


def test_location_has_a_bare_root(raw: Raw, bucket):
    answer = raw("GET", f"/{bucket}?location")
    assert answer.xml.tag == "LocationConstraint" and not answer.xml.text and not list(answer.xml)


def test_another_region_is_the_servers_region():
    with RunningServer(processes=1, environ={"MAXIOFS_REGION": "eu-north-7"}) as running:
        running.region = "eu-north-7"
        s3 = running.client()
        s3.create_bucket(Bucket="northern", CreateBucketConfiguration={"LocationConstraint": "eu-north-7"})
        assert s3.get_bucket_location(Bucket="northern")["LocationConstraint"] == "eu-north-7"
        assert s3.head_bucket(Bucket="northern")["BucketRegion"] == "eu-north-7"
        with refused("BucketAlreadyOwnedByYou", status=409):
            s3.create_bucket(Bucket="northern", CreateBucketConfiguration={"LocationConstraint": "eu-north-7"})
        running.region = "us-east-1"
        with refused("AuthorizationHeaderMalformed", status=400) as told:
            running.client().list_buckets()
        assert told.error["Region"] == "eu-north-7"
