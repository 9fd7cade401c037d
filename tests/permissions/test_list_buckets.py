"""ListBuckets: who is shown which buckets."""

from __future__ import annotations

import pytest

from tests import people
from tests.people import allow, deny
from tests.s3.asking import refused

S3 = "arn:aws:s3:::"
LISTING = allow("s3:ListAllMyBuckets")


@pytest.fixture
def made(server, s3):
    """Six buckets of root's, whose names begin alike."""
    prefix = people.unused("b")
    names = [f"{prefix}-{number}" for number in range(6)]
    for name in names:
        s3.create_bucket(Bucket=name)
    return names


def shown(server, names, *policies, tenant=0, **more):
    """The numbers of the buckets that somebody with these policies is shown."""
    client = people.make_user(server, policies=[LISTING, *policies], tenant=tenant, **more).client(server)
    found = [one["Name"] for one in client.list_buckets(Prefix=names[0][:-2])["Buckets"]]
    return [names.index(name) for name in found]


def test_those_that_policies_let_one_list_or_locate(server, made):
    assert shown(server, made) == []
    assert shown(server, made, allow("s3:ListBucket", on=[S3 + made[1], S3 + made[4]])) == [1, 4]
    assert shown(server, made, allow("s3:GetBucketLocation", on=S3 + made[2]), allow("s3:GetObject", on=f"{S3}{made[3]}/*")) == [2]
    assert shown(server, made, "readwrite", deny("s3:*", on=S3 + made[0])) == [1, 2, 3, 4, 5]


def test_a_narrowed_key_shows_less(server, made):
    narrowed = allow("s3:ListAllMyBuckets", "s3:ListBucket", on=["*", S3 + made[5]])
    assert shown(server, made, "readwrite", key_policies=[narrowed, deny("s3:*", on=S3 + made[1])]) == [0, 2, 3, 4, 5]


def test_those_whose_policy_names_one_but_not_those_open_to_all(server, made):
    ann, ben = people.make_user(server, policies=[LISTING]), people.make_user(server, policies=[LISTING, "readonly"])
    people.configure(server, made[0], policy=allow("s3:ListBucket", on=S3 + made[0], Principal={"AWS": ann.arn}))
    people.configure(server, made[1], public_access=0, policy=allow("s3:ListBucket", on=S3 + made[1], Principal="*"))
    about_ann = {"StringEquals": {"aws:username": ann.name}}
    people.configure(server, made[2], policy=allow("s3:ListBucket", on=S3 + made[2], Principal="*", Condition=about_ann))
    people.configure(server, made[3], policy=deny("s3:ListBucket", on=S3 + made[3], Principal={"AWS": ben.arn}))
    people.configure(server, made[4], policy=deny("s3:*", on=S3 + made[4], Principal={"AWS": ben.arn}))
    lists = [[made.index(one["Name"]) for one in who.client(server).list_buckets(Prefix=made[0][:-2])["Buckets"]] for who in (ann, ben)]
    assert lists == [[0, 2], [0, 1, 2, 3, 5]]
    with refused("AccessDenied"):
        ben.client(server).list_objects_v2(Bucket=made[4])


def test_other_tenants_buckets_are_not_there(server, made):
    tenant = people.make_tenant(server)
    ann = people.make_user(server, policies=[LISTING, "administrator"], tenant=tenant)
    people.configure(server, made[0], policy=allow("s3:ListBucket", on=S3 + made[0], Principal={"AWS": ann.canonical_id}))
    assert ann.client(server).list_buckets()["Buckets"] == []
    ann.client(server).list_objects_v2(Bucket=made[0])


def test_pages_go_on_behind_what_is_not_shown(server, made):
    some = allow("s3:ListBucket", on=[S3 + made[0], S3 + made[3], S3 + made[5]])
    client = people.make_user(server, policies=[LISTING, some]).client(server)
    pages = list(client.get_paginator("list_buckets").paginate(Prefix=made[0][:-2], PaginationConfig={"PageSize": 2}))
    assert [[one["Name"] for one in page["Buckets"]] for page in pages] == [[made[0], made[3]], [made[5]]]
