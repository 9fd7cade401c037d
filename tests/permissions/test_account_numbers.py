"""Accounts by their 12 digits: where policies and headers may write them, whom they mean, and whom they never mean."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from shared.errors import Conflict
from shared.meta import tenants
from tests import people
from tests.people import Person, unused
from tests.s3.asking import read, refused

S3 = "arn:aws:s3:::"
INSTALLATION = "0" * 12


def number(tenant: int) -> str:
    return f"{tenant:012d}"


def sts(server, person: Person) -> dict[str, str]:
    client = boto3.client(
        "sts", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id=person.access_key,
        aws_secret_access_key=person.secret_key,
    )
    found: dict[str, str] = client.get_caller_identity()
    return found


class Place:
    """Two tenants with a user each, one user of no tenant, and a bucket of none of them."""

    def __init__(self, server, s3: BaseClient) -> None:
        self.server, self.s3 = server, s3
        self.acme, self.other = people.make_tenant(server), people.make_tenant(server)
        self.ann, self.ben = people.make_user(server, tenant=self.acme), people.make_user(server, tenant=self.acme)
        self.eve, self.free = people.make_user(server, tenant=self.other), people.make_user(server)
        self.twin: Person | None = None
        self.bucket = unused("numbered")
        s3.create_bucket(Bucket=self.bucket)
        people.configure(server, self.bucket, public_access=0)
        s3.put_object(Bucket=self.bucket, Key="k", Body=b"k")

    def policy(self, principal: Any, *, effect: str = "Allow", element: str = "Principal", **more: Any) -> str:
        statement = {element: principal, "Effect": effect, "Action": "s3:GetObject", "Resource": f"{S3}{self.bucket}/*", **more}
        text = json.dumps({"Version": "2012-10-17", "Statement": statement})
        self.s3.put_bucket_policy(Bucket=self.bucket, Policy=text)
        return text

    def readers(self, whom: Iterable[str] = ("ann", "ben", "eve", "free")) -> list[str]:
        """Who of them can read the object, and is refused in no other way than by AccessDenied."""
        found = []
        for name in whom:
            try:
                found.append(name if read(getattr(self, name).client(self.server), self.bucket, "k") == b"k" else "")
            except ClientError as error:
                assert error.response["Error"]["Code"] == "AccessDenied"
        return found


@pytest.fixture(scope="module")
def place(server):
    return Place(server, server.client())


# ---- principals -------------------------------------------------------------------------------------------------------------------------


def test_what_sts_says_works_as_a_principal_and_is_kept_as_written(place, server):
    text = place.policy({"AWS": sts(server, place.ann)["Arn"]})
    assert place.readers() == ["ann"]
    assert place.s3.get_bucket_policy(Bucket=place.bucket)["Policy"] == text
    place.policy({"AWS": [sts(server, place.eve)["Arn"], sts(server, place.free)["Arn"]]})
    assert place.readers() == ["eve", "free"]


@pytest.mark.parametrize("form", ["{}", "arn:aws:iam::{}:root"])
def test_an_account_is_everybody_in_it_and_nobody_else(place, form):
    place.policy({"AWS": form.format(number(place.acme))})
    assert place.readers() == ["ann", "ben"]
    place.policy({"AWS": form.format(number(place.other))})
    assert place.readers() == ["eve"]
    place.policy({"AWS": form.format(INSTALLATION)})
    assert place.readers() == ["free"]


def test_digits_that_are_not_quite_theirs_mean_nobody(place):
    name, digits = place.ann.name, number(place.acme)
    for wrong in (f"arn:aws:iam::{number(place.other)}:user/{name}", f"arn:aws:iam::{INSTALLATION}:user/{name}",
                  f"arn:aws:iam::{place.acme}:user/{name}", f"arn:aws:iam::{digits}0:user/{name}", str(place.acme), digits[1:],
                  f"arn:aws:iam::{digits}:user/{name.upper()}", f"arn:aws:iam::{digits}:role/{name}"):
        place.policy({"AWS": wrong})
        assert place.readers() == [], wrong


def test_a_deny_by_digits_binds(place, server):
    everybody = {"Sid": "All", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{S3}{place.bucket}/*"}
    for element, wanted in (("Principal", ["eve", "free"]), ("NotPrincipal", ["ann", "ben"])):
        denied = {**everybody, "Sid": "Some", "Effect": "Deny", element: {"AWS": number(place.acme)}}
        if element == "NotPrincipal":
            del denied["Principal"]
        text = json.dumps({"Version": "2012-10-17", "Statement": [everybody, denied]})
        place.s3.put_bucket_policy(Bucket=place.bucket, Policy=text)
        assert place.readers() == wanted


# ---- condition keys ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operator", "key", "value", "wanted"), [
    ("StringEquals", "aws:PrincipalAccount", "{}", ["ann", "ben"]),
    ("StringNotEquals", "aws:PrincipalAccount", "{}", ["eve", "free"]),
    ("StringEquals", "aws:PrincipalAccount", INSTALLATION, ["free"]),
    ("ForAnyValue:StringEquals", "aws:PrincipalAccount", "{}", ["ann", "ben"]),
    ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::{}:user/ANN", ["ann"]),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::{}:user/*", ["ann", "ben"]),
    ("StringLike", "aws:PrincipalArn", "arn:aws:iam::{}:*", ["ann", "ben"]),
    ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::{}:user/*", ["eve", "free"]),
    ("StringEquals", "aws:PrincipalArn", "arn:aws:iam::{}:user/${{aws:username}}", ["ann", "ben"]),
    ("StringEquals", "s3:ResourceAccount", INSTALLATION, ["ann", "ben", "eve", "free"]),
    ("StringEquals", "s3:ResourceAccount", "{}", []),
    # patterns are about names, as before there were numbers
    ("StringLike", "aws:PrincipalAccount", "0*", []),
    ("StringLike", "aws:PrincipalAccount", "????????????", []),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::0*:user/*", []),
    ("StringLike", "aws:PrincipalArn", "*:0*:user/*", []),
])
def test_condition_keys(place, operator, key, value, wanted):
    text = value.format(number(place.acme)).replace("ANN", place.ann.name)
    place.policy("*", Condition={operator: {key: text}})
    assert place.readers() == wanted


def test_in_a_users_own_policy(place, server):
    by_number = people.allow("s3:CreateBucket", "s3:ListBucket", Condition={"StringEquals": {"aws:PrincipalAccount": number(place.acme)}})
    here, there = (people.make_user(server, policies=[by_number], tenant=tenant) for tenant in (place.acme, place.other))
    here.client(server).create_bucket(Bucket=unused("here"))
    with refused("AccessDenied", status=403):
        there.client(server).create_bucket(Bucket=unused("there"))


# ---- the owner whom a client expects ----------------------------------------------------------------------------------------------------


def test_the_expected_owner(place, server):
    carol = people.make_user(server, policies=["owner"], tenant=place.acme)
    mine, bucket = carol.client(server), unused("expected")
    mine.create_bucket(Bucket=bucket)
    for good in (number(place.acme), carol.canonical_id):
        mine.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=good)
        mine.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", ExpectedBucketOwner=good, ExpectedSourceBucketOwner=good)
    for bad in (number(place.other), INSTALLATION, str(place.acme), "", carol.name):
        with refused("AccessDenied", status=403):
            mine.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner=bad)
        with refused("AccessDenied", status=403):
            mine.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", ExpectedSourceBucketOwner=bad)
    assert read(place.s3, place.bucket, "k", ExpectedBucketOwner=INSTALLATION) == b"k"


# ---- tenants whose name is 12 digits ----------------------------------------------------------------------------------------------------


def test_no_tenant_gets_such_a_name_any_more():
    for name in (INSTALLATION, "123456789012"):
        with pytest.raises(Conflict):
            tenants.create(name)


def test_an_old_name_of_digits_means_who_bears_it(server):
    """Policies that named a tenant must not come to mean the one whose id makes the same digits."""
    here = Place(server, server.client())
    assert sts(server, here.ann)["Account"] == number(here.acme)
    here.policy({"AWS": [number(here.acme), f"arn:aws:iam::{number(here.acme)}:user/{here.ann.name}"]})
    assert here.readers() == ["ann", "ben"]
    bearer = people.make_tenant(server, name=number(here.acme))
    twin = people.make_user(server, tenant=bearer)
    assert sts(server, twin)["Account"] == number(here.acme)
    here.twin = twin
    whom = ("ann", "ben", "eve", "free", "twin")
    assert here.readers(whom) == ["twin"]
    here.policy({"AWS": f"arn:aws:iam::{number(bearer)}:root"})
    assert here.readers(whom) == []         # the bearer's own id makes digits that nobody has
    here.policy("*", Condition={"StringEquals": {"aws:PrincipalAccount": number(here.acme)}})
    assert here.readers(whom) == ["twin"]
    here.policy({"AWS": "arn:aws:iam:::root"})
    assert here.readers(whom) == ["free"]   # who has no number is not taken for the installation
    with pytest.raises(ClientError) as caught:
        sts(server, here.ann)
    assert caught.value.response["Error"]["Code"] == "InvalidRequest"
    owner = people.make_user(server, policies=["owner"], tenant=here.acme)
    bucket = unused("ownerless")
    owner.client(server).create_bucket(Bucket=bucket)
    with refused("403", status=403):
        owner.client(server).head_bucket(Bucket=bucket, ExpectedBucketOwner=number(here.acme))
    with people.inside(server):
        tenants.Tenant.delete().where(tenants.Tenant.name == number(here.acme)).execute()
    assert sts(server, here.ann)["Account"] == number(here.acme)
