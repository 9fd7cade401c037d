"""Buckets in the admin API."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.admin.admin_client import Api, unique


@pytest.fixture
def name(api: Api) -> str:
    """A bucket of root's."""
    made = unique("bucket")
    api.ok.post("/buckets", {"name": made})
    return made


def refused(answer, status: int, code: str) -> dict:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()["fields"]


def test_a_bucket_is_made_with_all_it_is_given(api: Api, s3):
    made = unique("bucket")
    policy = {"Version": "2012-10-17", "Statement": [
        {"Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{made}"}]}
    answer = api.post("/buckets", {
        "name": made, "versioning": "Enabled", "ownership": "ObjectWriter", "tags": {"stage": "test"}, "policy": policy,
        "public_access": {"block_public_acls": False, "ignore_public_acls": False, "block_public_policy": True,
                          "restrict_public_buckets": True}})
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert answer.headers["ETag"] == f'"{document["revision"]}"'
    assert (document["versioning"], document["ownership"], document["has_policy"], document["is_public"]) == \
        ("Enabled", "ObjectWriter", True, False)
    assert document["public_access"]["block_public_acls"] is False and document["owner_name"] == "root"
    assert s3.get_bucket_versioning(Bucket=made)["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket=made)["TagSet"] == [{"Key": "stage", "Value": "test"}]
    assert json.loads(s3.get_bucket_policy(Bucket=made)["Policy"]) == policy


def test_a_bucket_whose_configuration_is_wrong_is_not_made(api: Api):
    for wrong in ({"tags": {"aws:x": "1"}}, {"policy": {"Statement": []}}, {"policy": {"Version": "2012-10-17"}}):
        made = unique("bucket")
        assert api.post("/buckets", {"name": made, **wrong}).status_code == 400
        refused(api.get(f"/buckets/{made}"), 404, "NoSuchBucket")
        api.ok.post("/buckets", {"name": made})     # the name is free, also to other processes


@pytest.mark.parametrize(("body", "field"), [
    ({}, "name"), ({"name": 5}, "name"), ({"name": "x" * 64}, "name"), ({"name": "fine-name", "colour": "red"}, "colour"),
    ({"name": "fine-name", "versioning": "On"}, "versioning"), ({"name": "fine-name", "tags": ["a"]}, "tags"),
    ({"name": "fine-name", "tags": {"a": 1}}, "tags.a"), ({"name": "fine-name", "public_access": {"block": True}}, "public_access.block"),
    ({"name": "nul\0"}, "name"), ({"name": "fine-name", "policy": {"n": 1 << 70}}, "policy.n"),
])
def test_a_body_that_does_not_fit_is_refused_by_field(api: Api, body, field):
    assert field in refused(api.post("/buckets", body), 400, "InvalidFields")


@pytest.mark.parametrize("wrong", ["a", "Upper-Case", "a..b", "192.168.1.1", "../../x", "a/b", "xn--x", "a b"])
def test_a_name_that_cannot_be_is_refused(api: Api, wrong):
    refused(api.post("/buckets", {"name": wrong}), 400, "InvalidBucketName")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'"x"', b'{"name": "a", "name": "b"}', b'{"name": NaN}', b"\xff",
                                  b'{"name": "\\ud800"}', b"[" * 100_000, b'{"name": ' + b"9" * 5000 + b"}"])
def test_what_is_no_document_is_refused(api: Api, text):
    assert api.post("/buckets", text).status_code == 400


def test_a_body_of_another_kind_is_refused(api: Api):
    answer = api.ask("POST", "/buckets", b"name=x", headers={"Content-Type": "application/x-www-form-urlencoded"})
    refused(answer, 415, "UnsupportedMediaType")


def test_a_name_that_is_taken_is_a_conflict(api: Api, name):
    refused(api.post("/buckets", {"name": name}), 409, "BucketAlreadyOwnedByYou")


def test_buckets_are_listed_in_pages(api: Api):
    prefix = unique("page")
    made = [f"{prefix}-{number}" for number in range(5)]
    for one in made:
        api.ok.post("/buckets", {"name": one})
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = api.ok.get("/buckets", prefix=prefix, limit=2, cursor=cursor)
        found += [one["name"] for one in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        assert len(page["items"]) <= 2
    assert (found, pages) == (made, 3)
    assert api.ok.get("/buckets", prefix=prefix, tenant_id=0)["next_cursor"] is None
    assert api.ok.get("/buckets", prefix=prefix, tenant_id=987654)["items"] == []


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "WzFd"}, {"cursor": "bnVsbA"},
                                   {"tenant_id": -1}, {"tenant_id": 1 << 80}, {"colour": "red"}])
def test_a_query_that_does_not_fit_is_refused(api: Api, query):
    assert set(refused(api.get("/buckets", **query), 400, "InvalidFields")) == {"?" + next(iter(query))}


def test_a_parameter_that_is_there_twice_is_refused(api: Api):
    assert refused(api.get("/buckets?limit=1&limit=2"), 400, "InvalidFields") == {"?limit": "It is there twice."}


def test_a_stale_revision_changes_nothing(api: Api, name):
    old = api.ok.get(f"/buckets/{name}")["revision"]
    fresh = api.ask("PUT", f"/buckets/{name}/tagging", {"tags": {"a": "1"}}, headers={"If-Match": f'"{old}"'})
    assert fresh.status_code == 200 and fresh.json()["revision"] > old
    for stale in (f'"{old}"', '"x"', "W/" + fresh.headers["ETag"], str(old)):
        refused(api.ask("PUT", f"/buckets/{name}/tagging", {"tags": {"a": "2"}}, headers={"If-Match": stale}), 412, "PreconditionFailed")
    assert api.ok.get(f"/buckets/{name}/tagging")["tags"] == {"a": "1"}
    again = api.ask("PUT", f"/buckets/{name}/tagging", {"tags": {}}, headers={"If-Match": fresh.headers["ETag"]})
    assert again.status_code == 200 and again.json()["tags"] == {}


def test_versioning(api: Api, s3, name):
    assert api.ok.get(f"/buckets/{name}/versioning")["status"] == "Off"
    assert api.ok.put(f"/buckets/{name}/versioning", {"status": "Enabled"})["status"] == "Enabled"
    assert api.ok.put(f"/buckets/{name}/versioning", {"status": "Suspended"})["status"] == "Suspended"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Suspended"
    assert "status" in refused(api.put(f"/buckets/{name}/versioning", {"status": "Off"}), 400, "InvalidFields")


def test_policy(api: Api, s3, name):
    assert api.ok.get(f"/buckets/{name}/policy") | {"revision": 0} == {"policy": None, "is_public": False, "revision": 0}
    public = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}]}
    refused(api.put(f"/buckets/{name}/policy", {"policy": public}), 403, "AccessDenied")
    api.ok.put(f"/buckets/{name}/public-access-block", {"public_access": None})
    assert api.ok.put(f"/buckets/{name}/policy", {"policy": public})["is_public"] is True
    assert api.ok.get(f"/buckets/{name}")["is_public"] is True
    assert s3.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"] is True
    refused(api.put(f"/buckets/{name}/policy", {"policy": {"Statement": [{"Effect": "Perhaps"}]}}), 400, "MalformedPolicy")
    assert api.delete(f"/buckets/{name}/policy").status_code == 204
    assert api.ok.get(f"/buckets/{name}/policy")["policy"] is None


def test_ownership_and_public_access(api: Api, s3, name):
    assert api.ok.put(f"/buckets/{name}/ownership", {"ownership": "BucketOwnerPreferred"})["ownership"] == "BucketOwnerPreferred"
    assert s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"][0]["ObjectOwnership"] == "BucketOwnerPreferred"
    assert api.ok.put(f"/buckets/{name}/ownership", {"ownership": None})["ownership"] is None
    switches = {"block_public_acls": True, "ignore_public_acls": False, "block_public_policy": True, "restrict_public_buckets": False}
    assert api.ok.put(f"/buckets/{name}/public-access-block", {"public_access": switches})["public_access"] == switches
    there = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert there == {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False}


def test_a_bucket_counts_what_it_holds_and_goes_only_when_empty(api: Api, s3, name):
    s3.put_object(Bucket=name, Key="a", Body=b"12345")
    held = api.ok.get(f"/buckets/{name}")
    assert (held["objects"], held["versions"], held["bytes"]) == (1, 0, 5)
    refused(api.delete(f"/buckets/{name}"), 409, "BucketNotEmpty")
    s3.delete_object(Bucket=name, Key="a")
    assert api.ok.delete(f"/buckets/{name}") == {"deleted": True, "run_id": None}
    refused(api.get(f"/buckets/{name}"), 404, "NoSuchBucket")
    refused(api.delete(f"/buckets/{name}"), 404, "NoSuchBucket")


def test_a_new_owner_takes_the_bucket_without_what_the_old_one_granted(api: Api, s3, name):
    was = api.ok.get(f"/buckets/{name}")["owner_id"]
    api.ok.put(f"/buckets/{name}/ownership", {"ownership": "ObjectWriter"})
    api.ok.put(f"/buckets/{name}/public-access-block", {"public_access": None})
    s3.put_bucket_acl(Bucket=name, ACL="public-read-write")
    new = api.ok.post("/users", {"username": unique("u")})
    assert api.ok.get(f"/buckets/{name}")["is_public"]
    assert not api.ok.put(f"/buckets/{name}/owner", {"owner_id": new["id"]})["is_public"]
    everything = {"grantee": new["canonical_id"], "permission": "FULL_CONTROL"}
    assert api.ok.get(f"/buckets/{name}/acl") == {"owner": new["canonical_id"], "grants": [everything]}
    api.ok.put(f"/buckets/{name}/owner", {"owner_id": was})


def test_an_owner_must_be_somebody(api: Api, name):
    assert "owner_id" in refused(api.put(f"/buckets/{name}/owner", {"owner_id": 999_999}), 400, "InvalidFields")
    root = api.ok.get(f"/buckets/{name}")["owner_id"]
    assert api.ok.put(f"/buckets/{name}/owner", {"owner_id": root})["owner_id"] == root


@pytest.mark.parametrize("strange", ["%2e%2e%2fx", "a%2Fb", "%00", "%ff", "%F0%9F%98%80", "UPPER", "a" * 300])
def test_what_names_no_bucket_is_not_found(api: Api, strange):
    for rest in ("", "/tagging", "/policy"):
        assert api.get(f"/buckets/{strange}{rest}").status_code == 404


def test_of_two_changes_that_know_the_same_revision_one_wins(api: Api, name):
    known = api.get(f"/buckets/{name}").headers["ETag"]

    def put(number: int) -> int:
        other = Api(api.server)
        other.http.cookies.update(api.http.cookies)
        other.csrf = api.csrf
        return other.ask("PUT", f"/buckets/{name}/tagging", {"tags": {"n": str(number)}}, headers={"If-Match": known}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(put, range(6))) == [200, *[412] * 5]
