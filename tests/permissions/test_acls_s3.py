"""Access control lists in the decision: where they are switched on, what they grant, to whom, and what stays the owner's."""

from __future__ import annotations

import json
import threading

import pytest
from botocore.exceptions import ClientError

from shared.auth.acl import ALL_USERS, AUTHENTICATED_USERS
from tests import people
from tests.people import deny
from tests.s3.asking import read, refused


@pytest.fixture
def opened(server, anns):
    """anns with ACLs switched on."""
    people.configure(server, anns, ownership="ObjectWriter")
    return anns


def grant(server, bucket, *grants):
    people.configure(server, bucket, acl=json.dumps(grants))


def test_a_list_counts_only_where_acls_are_on(server, nobody, ann, anns):
    grant(server, anns, (ann.canonical_id, "FULL_CONTROL"), (ALL_USERS, "READ"))
    with refused("AccessDenied"):
        nobody.list_objects_v2(Bucket=anns)
    for ownership in ("ObjectWriter", "BucketOwnerPreferred", None):
        people.configure(server, anns, ownership=ownership)
        assert nobody.list_objects_v2(Bucket=anns)["KeyCount"] == 2
    people.configure(server, anns, ownership="BucketOwnerEnforced")
    with refused("AccessDenied"):
        nobody.list_objects_v2(Bucket=anns)


def test_a_missing_list_is_private(server, nobody, bob, opened):
    for client in (nobody, bob.client(server)):
        for ask in (lambda: client.get_object(Bucket=opened, Key="k"), lambda: client.list_objects_v2(Bucket=opened),  # noqa: B023
                    lambda: client.put_object(Bucket=opened, Key="k", Body=b"")):                                       # noqa: B023
            with refused("AccessDenied", status=403):
                ask()


def test_an_explicit_deny_beats_the_list(server, ann, opened):
    eve = people.make_user(server, policies=[deny("s3:ListBucket")])
    grant(server, opened, (ann.canonical_id, "FULL_CONTROL"), (eve.canonical_id, "FULL_CONTROL"))
    with refused("AccessDenied"):
        eve.client(server).list_objects_v2(Bucket=opened)
    assert eve.client(server).get_bucket_acl(Bucket=opened)["Owner"]["ID"] == ann.canonical_id


@pytest.mark.parametrize(("grantee", "who"), [(ALL_USERS, "nobody"), (AUTHENTICATED_USERS, "bob"), ("bob", "bob")])
def test_read_and_write_of_a_bucket(server, nobody, ann, bob, opened, grantee, who):
    client = nobody if who == "nobody" else bob.client(server)
    whom = bob.canonical_id if grantee == "bob" else grantee
    grant(server, opened, (ann.canonical_id, "FULL_CONTROL"), (whom, "READ"))
    assert client.list_objects_v2(Bucket=opened)["KeyCount"] == 2
    with refused("AccessDenied"):
        client.put_object(Bucket=opened, Key="n", Body=b"n")
    with refused("AccessDenied"):
        client.get_object(Bucket=opened, Key="k")       # objects have lists of their own
    grant(server, opened, (ann.canonical_id, "FULL_CONTROL"), (whom, "WRITE"))
    client.put_object(Bucket=opened, Key="n", Body=b"n")
    client.delete_object(Bucket=opened, Key="n")
    with refused("AccessDenied"):
        client.list_objects_v2(Bucket=opened)
    with refused("AccessDenied"):
        client.get_bucket_policy(Bucket=opened)         # no list governs that


def test_the_list_of_an_object(server, nobody, ann, bob, opened):
    s3 = ann.client(server)
    s3.put_object_acl(Bucket=opened, Key="k", ACL="public-read")
    assert read(nobody, opened, "k") == b"k"
    with refused("AccessDenied"):
        nobody.get_object(Bucket=opened, Key="public/k")
    s3.put_object_acl(Bucket=opened, Key="public/k", GrantReadACP=f"id={bob.canonical_id}")
    assert bob.client(server).get_object_acl(Bucket=opened, Key="public/k")
    with refused("AccessDenied"):
        bob.client(server).get_object(Bucket=opened, Key="public/k")
    with refused("AccessDenied"):
        bob.client(server).put_object_acl(Bucket=opened, Key="public/k", ACL="private")


def test_ignored_public_grants(server, nobody, ann, bob, opened):
    ann.client(server).put_object_acl(Bucket=opened, Key="k", GrantRead=f'uri="{ALL_USERS}",id={bob.canonical_id}')
    assert read(nobody, opened, "k") == b"k"
    people.configure(server, opened, public_access=2)
    with refused("AccessDenied"):
        nobody.get_object(Bucket=opened, Key="k")
    assert read(bob.client(server), opened, "k") == b"k"


def test_a_missing_key_in_a_bucket_that_anybody_may_list(server, nobody, ann, opened):
    grant(server, opened, (ann.canonical_id, "FULL_CONTROL"), (ALL_USERS, "READ"))
    with refused("NoSuchKey", status=404):
        nobody.get_object(Bucket=opened, Key="missing")
    with refused("404", status=404):
        nobody.head_object(Bucket=opened, Key="missing")


def test_the_owner_is_bound_by_the_list_too_but_never_locked_out(server, ann, opened):
    s3 = ann.client(server)
    grant(server, opened)
    assert read(s3, opened, "k") == b"k"                # its own list is as it was
    for ask in (lambda: s3.put_object(Bucket=opened, Key="n", Body=b""), lambda: s3.list_objects_v2(Bucket=opened)):
        with refused("AccessDenied"):
            ask()
    assert s3.get_bucket_acl(Bucket=opened)["Grants"] == []
    s3.put_bucket_acl(Bucket=opened, ACL="private")
    s3.put_object(Bucket=opened, Key="n", Body=b"")


def test_an_object_is_its_writers(server, ann, bob, opened):
    """As on AWS, the owner of a bucket may delete what others wrote into it, and reads it when they say so."""
    grant(server, opened, (ann.canonical_id, "FULL_CONTROL"), (bob.canonical_id, "WRITE"))
    theirs, s3 = bob.client(server), ann.client(server)
    theirs.put_object(Bucket=opened, Key="bobs", Body=b"b")
    assert read(theirs, opened, "bobs") == b"b"
    with refused("AccessDenied"):
        s3.get_object(Bucket=opened, Key="bobs")
    theirs.put_object_acl(Bucket=opened, Key="bobs", ACL="bucket-owner-read")
    assert read(s3, opened, "bobs") == b"b"
    s3.delete_object(Bucket=opened, Key="bobs")


def test_a_writer_may_say_who_else_reads_what_is_written(server, nobody, ann, bob, opened):
    grant(server, opened, (ann.canonical_id, "FULL_CONTROL"), (bob.canonical_id, "WRITE"))
    bob.client(server).put_object(Bucket=opened, Key="bobs", Body=b"b", ACL="public-read")
    assert read(nobody, opened, "bobs") == b"b"
    eve = people.make_user(server, policies=[deny("s3:PutObjectAcl")])
    grant(server, opened, (ann.canonical_id, "FULL_CONTROL"), (eve.canonical_id, "WRITE"))
    with refused("AccessDenied"):
        eve.client(server).put_object(Bucket=opened, Key="eves", Body=b"b", ACL="public-read")
    eve.client(server).put_object(Bucket=opened, Key="eves", Body=b"b")


def test_an_object_that_is_replaced_while_it_is_decided_about(server, ann, bob, opened):
    """Its list lets bob in, the private one that takes its place does not: nobody gets the new bytes by the old list."""
    s3, theirs = ann.client(server), bob.client(server)
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            s3.put_object(Bucket=opened, Key="k", Body=b"open", GrantRead=f"id={bob.canonical_id}")
            s3.put_object(Bucket=opened, Key="k", Body=b"closed")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = set()
        for _ in range(300):
            try:
                seen.add(read(theirs, opened, "k"))
            except ClientError as error:
                seen.add(error.response["Error"]["Code"])
    finally:
        stop.set()
        thread.join()
    assert b"closed" not in seen and seen <= {b"open", "AccessDenied", "SlowDown"}, seen
