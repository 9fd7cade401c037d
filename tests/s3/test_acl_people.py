"""ACLs and ownership among people: who owns what others write, and what lists let them do."""

from __future__ import annotations

import os

import pytest

from shared.meta.models import Principal
from tests import people
from tests.people import allow
from tests.s3.asking import read, refused, upload

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture
def ann(server):
    """Owns the bucket."""
    return people.make_user(server, policies=["owner"], display_name="Ann Owner", email=f"{people.unused('ann')}@example.com")


@pytest.fixture
def bob(server):
    """Has no policy; whatever he may do is granted by the bucket or its objects."""
    return people.make_user(server, policies=["owner"], display_name="Bob Guest", email=f"{people.unused('bob')}@example.com")


@pytest.fixture
def shared_bucket(server, ann):
    """Make a bucket of ann's with this ownership, where anybody may write by ACL or, without ACLs, by policy."""

    def make(ownership, acl="public-read-write"):
        name, s3 = f"b-{os.urandom(8).hex()}", ann.client(server)
        s3.create_bucket(Bucket=name, ObjectOwnership=ownership)
        s3.delete_public_access_block(Bucket=name)
        if ownership != "BucketOwnerEnforced":
            s3.put_bucket_acl(Bucket=name, ACL=acl)
        else:
            actions = allow("s3:*", on=[f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"], Principal="*")
            people.configure(server, name, policy=actions)
        return name

    return make


def put(s3, bucket, **more):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **more)


def copy(s3, bucket, **more):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", **more)


def send_in_parts(s3, bucket, **more):
    upload(s3, bucket, "k", b"x", **more)


WRITES = pytest.mark.parametrize("write", [put, copy, send_in_parts])


@WRITES
@pytest.mark.parametrize(
    ("ownership", "acl", "owner"),
    [
        ("ObjectWriter", None, "bob"), ("ObjectWriter", "bucket-owner-full-control", "bob"), ("BucketOwnerPreferred", None, "bob"),
        ("BucketOwnerPreferred", "private", "bob"), ("BucketOwnerPreferred", "bucket-owner-full-control", "ann"),
        ("BucketOwnerEnforced", None, "ann"), ("BucketOwnerEnforced", "bucket-owner-full-control", "ann"),
    ],
)
def test_who_owns_what_a_guest_writes(server, ann, bob, shared_bucket, write, ownership, acl, owner):
    bucket = shared_bucket(ownership)
    write(bob.client(server), bucket, **({"ACL": acl} if acl else {}))
    expected = {"ann": ann, "bob": bob}[owner]
    shown = expected.client(server).get_object_acl(Bucket=bucket, Key="k")
    assert shown["Owner"] == {"ID": expected.canonical_id, "DisplayName": "Ann Owner" if owner == "ann" else "Bob Guest"}
    control = {one["Grantee"]["ID"] for one in shown["Grants"] if one["Permission"] == "FULL_CONTROL"}
    both = ownership == "ObjectWriter" and acl is not None
    assert control == ({ann.canonical_id, bob.canonical_id} if both else {expected.canonical_id})


@WRITES
def test_a_guest_s_private_object_is_refused_where_acls_are_switched_off(server, bob, shared_bucket, write):
    with refused("AccessControlListNotSupported", status=400):
        write(bob.client(server), shared_bucket("BucketOwnerEnforced"), ACL="private")


def test_the_bucket_s_owner_does_not_read_a_writer_s_private_object(server, ann, bob, shared_bucket):
    bucket = shared_bucket("ObjectWriter")
    put(bob.client(server), bucket)
    with refused("AccessDenied", status=403):
        ann.client(server).get_object(Bucket=bucket, Key="k")
    put(bob.client(server), bucket, ACL="bucket-owner-read")
    assert read(ann.client(server), bucket, "k") == b"x"


def test_nobody_s_object_belongs_to_the_bucket_s_owner(server, ann, nobody, shared_bucket):
    bucket = shared_bucket("ObjectWriter")
    put(nobody, bucket)
    assert ann.client(server).get_object_acl(Bucket=bucket, Key="k")["Owner"]["ID"] == ann.canonical_id
    with refused("AccessDenied", status=403):
        nobody.get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("by", ["email", "header", "id"])
def test_a_grant_reaches_whom_it_names(server, ann, bob, shared_bucket, by):
    bucket, mine, his = shared_bucket("ObjectWriter", "private"), ann.client(server), bob.client(server)
    with people.inside(server):
        email = Principal.select(Principal.email).where(Principal.id == bob.id).scalar()
    if by == "header":
        mine.put_bucket_acl(Bucket=bucket, GrantRead=f'emailAddress="{email.upper()}"', GrantFullControl=f"id={ann.canonical_id}")
    else:
        by_email, by_id = {"Type": "AmazonCustomerByEmail", "EmailAddress": email}, {"Type": "CanonicalUser", "ID": bob.canonical_id}
        document = mine.get_bucket_acl(Bucket=bucket)
        grants = [*document["Grants"], {"Grantee": by_email if by == "email" else by_id, "Permission": "READ"}]
        mine.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": document["Owner"], "Grants": grants})
    shown = [one["Grantee"] for one in mine.get_bucket_acl(Bucket=bucket)["Grants"] if one["Permission"] == "READ"]
    assert shown == [{"Type": "CanonicalUser", "ID": bob.canonical_id, "DisplayName": "Bob Guest"}]
    his.list_objects_v2(Bucket=bucket)
    for refused_call in (lambda: put(his, bucket), lambda: his.get_bucket_acl(Bucket=bucket)):
        with refused("AccessDenied", status=403):
            refused_call()


def test_whom_the_bucket_s_list_lets_write_may_write_for_others(server, bob, nobody, shared_bucket):
    bucket = shared_bucket("ObjectWriter")
    for writer in (bob.client(server), nobody, people.make_user(server).client(server)):
        put(writer, bucket, ACL="public-read")
        assert read(nobody, bucket, "k") == b"x"


def test_an_acl_keeps_its_owner(server, ann, bob, shared_bucket):
    bucket, his = shared_bucket("ObjectWriter"), bob.client(server)
    put(ann.client(server), bucket, GrantFullControl=f"id={bob.canonical_id}")
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": bob.canonical_id}, "Permission": "READ_ACP"}]
    with refused("AccessDenied"):
        his.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Owner": {"ID": bob.canonical_id}, "Grants": grants})
    his.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Owner": {"ID": ann.canonical_id}, "Grants": grants})
    assert his.get_object_acl(Bucket=bucket, Key="k")["Owner"]["ID"] == ann.canonical_id
    with refused("AccessDenied"):
        his.get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize(("arguments", "takes"), [({"ACL": "public-read"}, "s3:PutObjectAcl"), ({"Tagging": "a=1"}, "s3:PutObjectTagging")])
@WRITES
def test_tags_and_lists_for_others_take_permissions_of_their_own(server, ann, shared_bucket, write, arguments, takes):
    bucket = shared_bucket("ObjectWriter", "private")
    reading = ["s3:PutObject", "s3:GetObject", "s3:GetObjectTagging"]
    objects = f"arn:aws:s3:::{bucket}/*"
    carl, dora = (people.make_user(server, policies=[allow(*actions, on=objects)]) for actions in (reading, [*reading, takes]))
    with refused("AccessDenied", status=403):
        write(carl.client(server), bucket, **arguments)
    write(carl.client(server), bucket, ACL="private")
    write(carl.client(server), bucket, ACL="bucket-owner-full-control")
    more = {"TaggingDirective": "REPLACE"} if write is copy and "Tagging" in arguments else {}
    write(dora.client(server), bucket, **arguments, **more)


def test_a_copy_of_tags_takes_permissions_for_them(server, ann, shared_bucket):
    bucket = shared_bucket("BucketOwnerEnforced")
    people.configure(server, bucket, policy=None)
    ann.client(server).put_object(Bucket=bucket, Key="source", Body=b"x", Tagging="a=1")
    actions = ["s3:PutObject", "s3:GetObject", "s3:GetObjectTagging", "s3:PutObjectTagging"]
    for missing in (2, 3, None):
        allowed = [action for number, action in enumerate(actions) if number != missing]
        s3 = people.make_user(server, policies=[allow(*allowed, on=f"arn:aws:s3:::{bucket}/*")]).client(server)
        if missing is None:
            s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source")
        else:
            with refused("AccessDenied", status=403):
                s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source")


def test_the_number_of_tags_is_told_to_those_who_may_read_them(server, ann, shared_bucket):
    bucket = shared_bucket("BucketOwnerEnforced")
    people.configure(server, bucket, policy=None)
    ann.client(server).put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")
    reader = people.make_user(server, policies=[allow("s3:GetObject", on=f"arn:aws:s3:::{bucket}/*")]).client(server)
    assert "TagCount" not in reader.get_object(Bucket=bucket, Key="k")
    assert ann.client(server).get_object(Bucket=bucket, Key="k")["TagCount"] == 1


def test_creating_a_bucket_with_a_list_ownership_or_tags_takes_permissions_of_their_own(server, bucket):
    s3 = people.make_user(server, policies=[allow("s3:CreateBucket")]).client(server)
    tagged = {"CreateBucketConfiguration": {"Tags": [{"Key": "k", "Value": "v"}]}}
    for arguments in ({"ACL": "private"}, {"ObjectOwnership": "ObjectWriter"}, tagged):
        with refused("AccessDenied", status=403):
            s3.create_bucket(Bucket=f"{bucket}-made", **arguments)
    s3.create_bucket(Bucket=f"{bucket}-made")
