"""Every built operation with random arguments, made and parsed by boto3: an answer that boto3 understands, or an S3 error; never a 500."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.protocol.model import read_model
from shared.registry import load

OF_CLIENTS = read_model("s3", "2006-03-01")["operations"].keys()      # not forms, websites and other services' operations
BUILT = sorted(function.name for function in load(["s3.*"]).values() if function.name in OF_CLIENTS)
KEY_NAMES = ("Key", "Prefix", "Marker", "StartAfter", "KeyMarker", "Delimiter")
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="%"), min_size=1, max_size=12)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=12)
# They would end the bucket, or say that no reply comes in the way boto3 expects.
LEFT_OUT = {"ExpectedBucketOwner", "ExpectedSourceBucketOwner", "ContentLength", "ContentMD5", "MFA", "RequestPayer", "EventStreamInput"}


def value_of(shape: Shape, name: str, bucket: str) -> st.SearchStrategy[Any]:
    """A strategy for one member of boto3's arguments."""
    special = {
        "Bucket": st.just(bucket),
        "Body": st.binary(max_size=40_000),
        "CopySource": st.builds(lambda key: {"Bucket": bucket, "Key": key}, TEXT | st.just("there")),
        "UploadId": WORDS | st.just("0" * 32),
        "Range": st.sampled_from(["bytes=0-3", "bytes=-2", "bytes=9-", "x"]),
        "Key": TEXT | st.just("there"),
        "CopySourceRange": st.sampled_from(["bytes=0-3", "bytes=2-1"]),
        "LocationConstraint": st.sampled_from(["us-east-1", "eu-west-1"]),
    }
    if name in special:
        return special[name]
    if isinstance(shape, StructureShape):
        return structure(shape, bucket)
    if isinstance(shape, ListShape):
        return st.lists(value_of(shape.member, "", bucket), min_size=1, max_size=3)
    if isinstance(shape, MapShape):
        return st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), WORDS, max_size=3)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "boolean": st.booleans(),
        "integer": st.integers(-2, 12_000),
        "long": st.integers(-2, 2**40),
        "timestamp": st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
        "blob": st.binary(max_size=100),
    }
    if shape.type_name in kinds:
        return kinds[shape.type_name]
    choices = getattr(shape, "enum", None)
    return st.sampled_from(choices) if choices else TEXT if name in KEY_NAMES else WORDS


def structure(shape: StructureShape, bucket: str) -> st.SearchStrategy[dict[str, Any]]:
    members = {name: value_of(member, name, bucket) for name, member in shape.members.items() if name not in LEFT_OUT}
    required = {name: members.pop(name) for name in shape.required_members}
    some = st.lists(st.sampled_from(sorted(members)), max_size=3, unique=True) if members else st.just([])
    return some.flatmap(lambda names: st.fixed_dictionaries(required | {name: members[name] for name in names}))


@pytest.mark.parametrize("name", BUILT)
def test_random_arguments_get_a_clear_answer(server, s3, name):
    import botocore

    bucket = f"b-{os.urandom(8).hex()}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="there", Body=b"some data", Metadata={"a": "1"})
    call = getattr(s3, botocore.xform_name(name))

    @given(arguments=structure(s3.meta.service_model.operation_model(name).input_shape, bucket))
    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(arguments: dict[str, Any]) -> None:
        try:
            reply = call(**arguments)
        except ClientError as error:
            told = error.response
            status = told["ResponseMetadata"]["HTTPStatusCode"]
            assert status < 500 or status == 501, (arguments, told)
            assert told["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
            if not name.startswith("Head") and status >= 400:
                assert told["Error"]["Code"] not in (str(status), "InternalError"), (arguments, told)
        except (botocore.exceptions.ParamValidationError, botocore.exceptions.FlexibleChecksumError):
            pass  # boto3 itself would not send that
        else:
            assert reply["ResponseMetadata"]["RequestId"]
            if "Body" in reply:
                reply["Body"].read()
        if name == "DeleteBucket":
            s3.create_bucket(Bucket=bucket)

    check()


@given(
    metadata=st.dictionaries(
        st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True),
        st.from_regex(r"([!-~]([ -~]{0,30}[!-~])?)?", fullmatch=True),
        max_size=5,
    ),
    headers=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage"), WORDS)
    ),
    body=st.binary(max_size=3000),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_put_is_got(s3, bucket, metadata, headers, body):
    s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata=metadata, **headers)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    assert got["Metadata"] == metadata
    kept = {name: got[name] for name in headers if name in got}
    assert kept == headers
