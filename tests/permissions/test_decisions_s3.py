"""Who may do what, asked of a real server: identity policies, bucket policies, tenants, keys, versions, copies, batches."""

from __future__ import annotations

import json
import time

import pytest

from shared.clock import now_ms
from shared.meta.identity_models import TENANT_SUSPENDED, Tenant
from shared.meta.models import AccessKey, Principal
from tests import people
from tests.people import allow, deny
from tests.s3.asking import read, refused

S3 = "arn:aws:s3:::"


# ---- identity policies ------------------------------------------------------------------------------------------------------------


def test_the_owner_policy_reaches_own_buckets_only(server, ann, anns, bucket):
    mine = ann.client(server)
    assert read(mine, anns, "k") == b"k"
    with refused("AccessDenied", status=403):
        mine.list_objects_v2(Bucket=bucket)


def test_an_explicit_deny_beats_every_allow(server, anns, put_policy):
    eve = people.make_user(server, policies=["administrator", deny("s3:GetObject", on=f"{S3}{anns}/k")])
    put_policy(anns, {"Action": "s3:GetObject", "Resource": f"{S3}{anns}/*"})
    s3 = eve.client(server)
    assert read(s3, anns, "public/k") == b"public/k"
    with refused("AccessDenied", status=403):
        s3.get_object(Bucket=anns, Key="k")


def test_a_deny_in_the_bucket_policy_binds_its_owner_and_administrators_but_not_root(server, ann, anns, put_policy, s3):
    admin = people.make_user(server, policies=["administrator"])
    put_policy(anns, {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{S3}{anns}/k"})
    for who in (ann, admin):
        with refused("AccessDenied", status=403):
            who.client(server).get_object(Bucket=anns, Key="k")
    assert read(s3, anns, "k") == b"k"


@pytest.mark.parametrize("confirmed", [True, False])
def test_who_shuts_themselves_out_by_a_bucket_policy_is_let_in_again_by_root(server, ann, anns, s3, confirmed):
    """As at AWS, where the owning account's root may always: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"""
    closed = {"Effect": "Deny", "Principal": "*", "Action": "s3:*BucketPolicy", "Resource": f"{S3}{anns}"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [closed]})
    mine = ann.client(server)
    mine.put_bucket_policy(Bucket=anns, Policy=text, ConfirmRemoveSelfBucketAccess=confirmed)
    for call in (lambda: mine.put_bucket_policy(Bucket=anns, Policy=text), lambda: mine.get_bucket_policy(Bucket=anns),
                 lambda: mine.delete_bucket_policy(Bucket=anns)):
        with refused("AccessDenied", status=403):
            call()
    assert s3.get_bucket_policy(Bucket=anns)["Policy"] == text
    s3.delete_bucket_policy(Bucket=anns)
    mine.put_bucket_policy(Bucket=anns, Policy=text)


def test_policies_come_through_groups_too(server, anns):
    group = people.make_group(server, [allow("s3:GetObject", on=f"{S3}{anns}/*")])
    member = people.make_user(server, groups=[group]).client(server)
    assert read(member, anns, "k") == b"k"
    with refused("AccessDenied"):
        member.put_object(Bucket=anns, Key="k", Body=b"")


def test_policy_variables_stand_for_the_caller(server, ann, anns):
    home = allow("s3:PutObject", on=f"{S3}{anns}/${{aws:username}}/*")
    eve = people.make_user(server, policies=[home])
    eve.client(server).put_object(Bucket=anns, Key=f"{eve.name}/k", Body=b"")
    with refused("AccessDenied"):
        eve.client(server).put_object(Bucket=anns, Key=f"{ann.name}/k", Body=b"")


# ---- tenants ----------------------------------------------------------------------------------------------------------------------


def test_the_tenant_wall(server, anns):
    tenant = people.make_tenant(server)
    places = (tenant, people.make_tenant(server))
    boss, other = (people.make_user(server, policies=["administrator"], tenant=one).client(server) for one in places)
    theirs = people.unused("theirs")
    boss.create_bucket(Bucket=theirs)
    boss.put_object(Bucket=theirs, Key="k", Body=b"x")
    for client, bucket in ((other, theirs), (boss, anns), (other, anns)):
        for ask in (client.list_objects_v2, client.delete_bucket, client.get_bucket_policy):
            with refused("AccessDenied", status=403):
                ask(Bucket=bucket)
    assert read(people.make_user(server, policies=["readonly"]).client(server), theirs, "k") == b"x"    # global users reach everything


def test_a_bucket_policy_lets_another_tenant_in(server, ann, anns, put_policy):
    tenant = people.make_tenant(server, people.unused("t"))
    guest, colleague = (people.make_user(server, policies=["readonly"], tenant=tenant) for _ in range(2))
    put_policy(anns, {"Principal": {"AWS": guest.canonical_id}, "Action": "s3:GetObject", "Resource": f"{S3}{anns}/*"})
    assert read(guest.client(server), anns, "k") == b"k"
    with refused("AccessDenied"):
        colleague.client(server).get_object(Bucket=anns, Key="k")
    with refused("AccessDenied"):
        guest.client(server).delete_object(Bucket=anns, Key="k")


def test_a_bucket_of_a_suspended_tenant_is_closed(server, nobody):
    tenant = people.make_tenant(server)
    boss, bucket = people.make_user(server, policies=["administrator"], tenant=tenant).client(server), people.unused("open")
    boss.create_bucket(Bucket=bucket)
    boss.put_object(Bucket=bucket, Key="k", Body=b"x")
    people.configure(server, bucket, public_access=0, policy=allow("s3:GetObject", on=f"{S3}{bucket}/*", Principal="*"))
    assert read(nobody, bucket, "k") == b"x"
    people.change(server, Tenant, Tenant.id == tenant, status=TENANT_SUSPENDED)
    with refused("AccessDenied"):
        nobody.get_object(Bucket=bucket, Key="k")
    with refused("InvalidAccessKeyId"):
        boss.get_object(Bucket=bucket, Key="k")
    assert read(people.make_user(server, policies=["administrator"]).client(server), bucket, "k") == b"x"


def test_somebody_elses_bucket_name_is_taken_and_that_is_all(server, ann, anns):
    other = people.make_user(server, policies=["administrator"], tenant=people.make_tenant(server)).client(server)
    with refused("BucketAlreadyExists", status=409):
        other.create_bucket(Bucket=anns)


def test_list_buckets_shows_what_one_may_see(server, ann, anns, s3):
    tenant = people.make_tenant(server)
    boss, user = (people.make_user(server, policies=[policy], tenant=tenant).client(server) for policy in ("tenant-admin", "owner"))
    theirs, users = people.unused("a"), people.unused("b")
    boss.create_bucket(Bucket=theirs)
    user.create_bucket(Bucket=users)

    def names(client):
        return [one["Name"] for one in client.list_buckets()["Buckets"]]

    assert names(ann.client(server)) == [anns]
    assert names(user) == [users]
    assert names(boss) == sorted([theirs, users])
    assert {anns, theirs, users} <= set(names(s3))
    assert {anns, theirs, users} <= set(names(people.make_user(server, policies=["administrator"]).client(server)))


# ---- keys -------------------------------------------------------------------------------------------------------------------------


def test_a_scoped_key_does_what_its_words_say(server, ann, anns):
    scope = {"buckets": [anns], "prefixes": ["public/"], "actions": ["read", "list"]}
    key = people.make_key(server, ann, scope=scope)
    s3 = server.client(credentials=key)
    assert read(s3, anns, "public/k") == b"public/k"
    assert s3.list_objects_v2(Bucket=anns, Prefix="public/")["KeyCount"] == 1
    for ask in (
        lambda: s3.get_object(Bucket=anns, Key="k"),
        lambda: s3.list_objects_v2(Bucket=anns),
        lambda: s3.list_objects_v2(Bucket=anns, Prefix="publi"),
        lambda: s3.put_object(Bucket=anns, Key="public/k", Body=b""),
        lambda: s3.delete_object(Bucket=anns, Key="public/k"),
        lambda: s3.get_bucket_policy(Bucket=anns),
        lambda: s3.list_buckets(),
        lambda: s3.create_bucket(Bucket=people.unused("new")),
    ):
        with refused("AccessDenied", status=403):
            ask()
    with refused("NoSuchKey", status=404):      # what it could see in a listing
        s3.get_object(Bucket=anns, Key="public/missing")


def test_wildcards_in_a_scope_are_letters(server, ann, anns):
    s3 = server.client(credentials=people.make_key(server, ann, scope={"buckets": [anns], "prefixes": ["*", "p?blic/", "${aws:username}"]}))
    with refused("AccessDenied"):
        s3.get_object(Bucket=anns, Key="public/k")
    s3.put_object(Bucket=anns, Key="*starred", Body=b"")
    s3.put_object(Bucket=anns, Key="${aws:username}", Body=b"")


def test_a_scope_never_grants(server, bob, anns):
    with refused("AccessDenied"):
        server.client(credentials=people.make_key(server, bob, scope={"buckets": [anns]})).get_object(Bucket=anns, Key="k")


def test_policies_of_a_key_narrow_it(server, ann, anns):
    s3 = server.client(credentials=people.make_key(server, ann, key_policies=["readonly"]))
    assert read(s3, anns, "k") == b"k"
    with refused("AccessDenied"):
        s3.put_object(Bucket=anns, Key="k", Body=b"")


def test_even_roots_keys_are_narrowed(server, anns, s3):
    name = people.attach(server, "key", server.access_key, allow("s3:*", on=f"{S3}elsewhere*"))
    try:
        with refused("AccessDenied"):
            s3.get_object(Bucket=anns, Key="k")
    finally:
        people.detach(server, "key", server.access_key, name)
    assert read(s3, anns, "k") == b"k"


def test_what_is_taken_away_binds_at_the_next_request_in_every_process(server, ann, anns):
    reader = people.make_user(server)
    name = people.attach(server, "user", reader.id, allow("s3:GetObject", on=f"{S3}{anns}/*"))

    def answers():
        """Of many connections, so that every process is asked."""
        found = set()
        for _ in range(12):
            client = reader.client(server, max_pool_connections=1, user_agent_extra=people.unused("x"))
            try:
                found.add(read(client, anns, "k"))
            except client.exceptions.ClientError as error:
                found.add(error.response["Error"]["Code"])
        return found

    assert answers() == {b"k"}
    people.detach(server, "user", reader.id, name)
    assert answers() == {"AccessDenied"}
    people.attach(server, "user", reader.id, name)
    assert answers() == {b"k"}
    people.change(server, AccessKey, AccessKey.id == reader.access_key, is_active=False)
    assert answers() == {"InvalidAccessKeyId"}
    people.change(server, AccessKey, AccessKey.id == reader.access_key, is_active=True)
    people.change(server, Principal, Principal.id == reader.id, is_active=False)
    assert answers() == {"InvalidAccessKeyId"}


def test_a_key_expires_without_any_change(server, anns):
    reader = people.make_user(server, policies=["readonly"], expires_ms=now_ms() + 1500)
    assert read(reader.client(server), anns, "k") == b"k"
    time.sleep(1.6)
    with refused("InvalidAccessKeyId", status=403):
        reader.client(server).get_object(Bucket=anns, Key="k")


# ---- versions, copies, batches ----------------------------------------------------------------------------------------------------


def test_a_version_takes_the_permission_of_versions(server, ann, anns):
    old = ann.client(server).head_object(Bucket=anns, Key="k")["VersionId"]
    s3 = people.make_user(server, policies=[allow("s3:GetObject", "s3:DeleteObject", on=f"{S3}{anns}/*")]).client(server)
    assert read(s3, anns, "k") == b"k"
    for ask in (s3.get_object, s3.delete_object):
        with refused("AccessDenied"):
            ask(Bucket=anns, Key="k", VersionId=old)
    s3.delete_object(Bucket=anns, Key="k")
    versions = people.make_user(server, policies=[allow("s3:GetObjectVersion", on=f"{S3}{anns}/*")]).client(server)
    assert read(versions, anns, "k", VersionId=old) == b"k"
    with refused("AccessDenied"):
        versions.get_object(Bucket=anns, Key="k")


def test_a_copy_needs_its_source_and_its_destination(server, anns):
    source, there = {"Bucket": anns, "Key": "k"}, f"{S3}{anns}/copies/*"
    neither = people.make_user(server, policies=[allow("s3:PutObject", on=there)]).client(server)
    both = people.make_user(server, policies=[allow("s3:PutObject", on=there), allow("s3:GetObject", on=f"{S3}{anns}/k")]).client(server)
    with refused("AccessDenied"):
        neither.copy_object(Bucket=anns, Key="copies/k", CopySource=source)
    with refused("AccessDenied"):
        both.copy_object(Bucket=anns, Key="elsewhere", CopySource=source)
    with refused("AccessDenied"):
        both.copy_object(Bucket=anns, Key="copies/k", CopySource=source | {"Key": "public/k"})
    both.copy_object(Bucket=anns, Key="copies/k", CopySource=source)
    upload = both.create_multipart_upload(Bucket=anns, Key="copies/k")["UploadId"]
    with refused("AccessDenied"):
        neither.upload_part_copy(Bucket=anns, Key="copies/k", CopySource=source, UploadId=upload, PartNumber=1)
    both.upload_part_copy(Bucket=anns, Key="copies/k", CopySource=source, UploadId=upload, PartNumber=1)


def test_the_version_of_a_copy_source_takes_the_permission_of_versions(server, ann, anns):
    source = {"Bucket": anns, "Key": "k", "VersionId": ann.client(server).head_object(Bucket=anns, Key="k")["VersionId"]}
    rules = [allow("s3:PutObject", "s3:GetObject", on=f"{S3}{anns}/*")]
    with refused("AccessDenied"):
        people.make_user(server, policies=rules).client(server).copy_object(Bucket=anns, Key="c", CopySource=source)
    rules.append(allow("s3:GetObjectVersion", on=f"{S3}{anns}/*"))
    people.make_user(server, policies=rules).client(server).copy_object(Bucket=anns, Key="c", CopySource=source)


def test_a_batch_delete_is_decided_key_by_key(server, ann, anns):
    version = ann.client(server).head_object(Bucket=anns, Key="public/k")["VersionId"]
    s3 = people.make_user(server, policies=[allow("s3:DeleteObject", on=f"{S3}{anns}/public/*")]).client(server)
    wanted = [{"Key": "k"}, {"Key": "public/k"}, {"Key": "public/k", "VersionId": version}]
    answer = s3.delete_objects(Bucket=anns, Delete={"Objects": wanted})
    assert [one["Key"] for one in answer["Deleted"]] == ["public/k"]
    assert [(one["Key"], one.get("VersionId"), one["Code"]) for one in answer["Errors"]] == [
        ("k", None, "AccessDenied"), ("public/k", version, "AccessDenied"),
    ]
    assert read(ann.client(server), anns, "k") == b"k"


# ---- what the refused learn -------------------------------------------------------------------------------------------------------


def test_a_missing_key_is_hidden_from_who_may_not_list(server, anns):
    reader = people.make_user(server, policies=[allow("s3:GetObject*", on=f"{S3}{anns}/*")]).client(server)
    lister = people.make_user(server, policies=[allow("s3:GetObject*", on=f"{S3}{anns}/*"), allow("s3:ListBucket", on=S3 + anns)])
    for ask in (reader.get_object, reader.head_object, reader.get_object_tagging):
        with refused("AccessDenied", "403", status=403):
            ask(Bucket=anns, Key="missing")
    with refused("AccessDenied", status=403):
        reader.get_object(Bucket=anns, Key="k", VersionId="0" * 32)
    with refused("NoSuchKey", status=404):
        lister.client(server).get_object(Bucket=anns, Key="missing")
    with refused("404", status=404):
        lister.client(server).head_object(Bucket=anns, Key="missing")


def test_who_may_list_but_not_read_learns_only_what_a_listing_shows(server, anns):
    listing = allow("s3:ListBucket", on=S3 + anns, Condition={"StringLike": {"s3:prefix": "public/*"}})
    lister = people.make_user(server, policies=[listing]).client(server)
    with refused("404", status=404):
        lister.head_object(Bucket=anns, Key="public/missing")
    with refused("NoSuchKey", status=404):
        lister.get_object(Bucket=anns, Key="public/missing")
    for key in ("public/k", "missing", "k"):        # what is there may not be read, and outside the prefix nothing is known
        with refused("403", status=403):
            lister.head_object(Bucket=anns, Key=key)
    with refused("403", status=403):
        lister.head_object(Bucket=anns, Key="public/missing", VersionId="0" * 32)
    denied = people.make_user(server, policies=[allow("s3:ListBucket", on=S3 + anns), deny("s3:GetObject", on=f"{S3}{anns}/*")])
    with refused("403", status=403):
        denied.client(server).head_object(Bucket=anns, Key="missing")


def test_a_deleted_key_shows_no_trace_to_who_may_not_list(server, ann, anns):
    ann.client(server).delete_object(Bucket=anns, Key="k")
    reader = people.make_user(server, policies=[allow("s3:GetObject", on=f"{S3}{anns}/*")]).client(server)
    with refused("AccessDenied", status=403) as told:
        reader.get_object(Bucket=anns, Key="k")
    assert "x-amz-delete-marker" not in told.headers and "x-amz-version-id" not in told.headers


def test_the_log_says_which_statement_decided_and_the_client_is_not_told(server, anns):
    eve = people.make_user(server, policies=["readonly", deny("s3:GetObject", on=f"{S3}{anns}/k")])
    with refused("AccessDenied") as told:
        eve.client(server).get_object(Bucket=anns, Key="k")
    line = server.logged(told.headers["x-amz-request-id"])
    assert "statement 1 denies" in line["reason"] and "policy policy-" in line["reason"]
    assert "statement" not in str(told.error)
    expired = people.make_user(server, expires_ms=1)
    with refused("InvalidAccessKeyId") as told:
        expired.client(server).get_object(Bucket=anns, Key="k")
    assert server.logged(told.headers["x-amz-request-id"])["reason"] == "the access key has expired"
    reply = people.make_user(server, policies=["readonly"]).client(server).get_object(Bucket=anns, Key="k")
    assert "reason" not in server.logged(reply["ResponseMetadata"]["RequestId"])
