"""Bucket tags: the whole set is replaced, returned, removed."""

from __future__ import annotations

import pytest

from tests.s3.asking import refused


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_a_new_bucket_has_no_tags(s3, bucket):
    with refused("NoSuchTagSet", status=404):
        s3.get_bucket_tagging(Bucket=bucket)


def test_put_replaces_the_whole_set(s3, bucket):
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(a="1", b="2"))
    answer = s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(z="3", ü="größe"))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tag_set(z="3", ü="größe")["TagSet"]


def test_delete_removes_it_and_an_empty_set_is_none(s3, bucket):
    for remove in (lambda: s3.delete_bucket_tagging(Bucket=bucket), lambda: s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set())):
        s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(a="1"))
        remove()
        with refused("NoSuchTagSet"):
            s3.get_bucket_tagging(Bucket=bucket)


def test_a_bucket_takes_50_tags(s3, bucket):
    many = {f"k{number:02}": "v" for number in range(51)}
    with refused("BadRequest", status=400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(**many))
    many.popitem()
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(**many))
    assert len(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) == 50


def test_a_bucket_is_made_with_tags(s3, bucket):
    made = f"{bucket}-made"
    with refused("InvalidTag", status=400):
        s3.create_bucket(Bucket=made, CreateBucketConfiguration={"Tags": [{"Key": "aws:k", "Value": "v"}]})
    s3.create_bucket(Bucket=made, CreateBucketConfiguration={"Tags": [{"Key": "k", "Value": "v"}]})
    assert s3.get_bucket_tagging(Bucket=made)["TagSet"] == tag_set(k="v")["TagSet"]


@pytest.mark.parametrize(
    "tags", [[("k", "1"), ("k", "2")], [("k" * 129, "v")], [("k", "v" * 257)], [("aws:k", "v")], [("k<", "v")]]
)
def test_an_unfit_tag_is_refused(s3, bucket, tags):
    with refused("InvalidTag", status=400):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in tags]})
    with refused("NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket=bucket)
