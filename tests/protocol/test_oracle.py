"""boto3 as the oracle: every operation of the model, random values in and out, our codec as the far side.

boto3 builds a request out of random parameters; we resolve and read it and must find those parameters. We write a random result; boto3
must parse that result. Nothing is sent anywhere.
"""

import datetime as dt
import io
import os
import random
import string
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config

from shared.protocol import wire
from shared.protocol.model import load_model

ROUNDS = int(os.environ.get("ORACLE_ROUNDS", "10"))
TEXT = string.ascii_letters + "äß字😀 &<>\"'/=+;%#\n\t"
KEYS = ["a/b c", "x+y", "ü/%41", "../q", "a//b", "versioning", "k?acl", "tab\tkey", "字/😀"]
NOT_BY_CODEC = {"SelectObjectContent"}  # its reply is an event stream
ADDED_BY_BOTO3 = {
    "ChecksumAlgorithm",
    "ChecksumCRC32",
    "ChecksumCRC32C",
    "ChecksumMode",
    "ClientToken",
    "ContentLength",
    "ContentMD5",
    "ContentType",
    "EncodingType",
}


def value(rnd, shape, where=None, depth=0):
    """A random value of a botocore shape."""
    kind = shape.type_name
    if kind == "structure":
        union = getattr(shape, "is_tagged_union", False)
        members = [rnd.choice(list(shape.members.items()))] if union else shape.members.items()
        return {
            name: value(rnd, member, member.serialization.get("location"), depth + 1)
            for name, member in members
            if depth <= 7 and (union or name in shape.required_members or rnd.random() < 0.6)
        }
    if kind == "list":
        return [value(rnd, shape.member, depth=depth + 1) for _ in range(rnd.randint(1, 3))]
    if kind == "map":
        return {f"{rnd.choice(['abc', 'under_score', 'x-y'])}{i}": f"val {i}" for i in range(rnd.randint(1, 2))}
    if kind == "string":
        if shape.enum:
            return rnd.choice(shape.enum)
        letters = {"header": string.ascii_letters, "querystring": string.ascii_letters + " +/=", "uri": string.ascii_letters}
        return "".join(rnd.choice(letters.get(where, TEXT)) for _ in range(rnd.randint(1, 12))).strip() or "q"
    if kind in ("integer", "long"):
        return rnd.randint(1, 10_000)
    if kind == "boolean":
        return rnd.random() < 0.5
    if kind == "timestamp":
        return dt.datetime(2020 + rnd.randint(0, 9), rnd.randint(1, 12), rnd.randint(1, 28), rnd.randint(0, 23), 1, 2, tzinfo=dt.UTC)
    return b"bytes"


def parameters(rnd, name, shape):
    """Random parameters boto3 accepts without changing them."""
    params = value(rnd, shape) if shape else {}
    if "Bucket" in params:
        params["Bucket"] = "my-bucket"
    if "Key" in params:
        params["Key"] = rnd.choice(KEYS)
    for source in ("CopySource", "RenameSource"):
        if source in params:
            params[source] = "src/key"
    unwanted = ("Checksum", "SSECustomer", "CopySourceSSECustomer")
    exact = {"ContentLength", "MpuObjectSize", "EncodingType", "ContentEncoding", "ContentMD5"}
    for key in list(params):
        if key.startswith(unwanted) or key in exact:
            del params[key]
    if name in ("PutObject", "UploadPart"):
        params["Body"] = b"hello"
    if name == "UpdateObjectEncryption":
        params["ObjectEncryption"] = {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:123456789012:key/x"}}
    if name == "PutBucketPolicy":
        params["Policy"] = '{"a":1}'
    return params


def result(rnd, name, shape):
    """A random result boto3 hands on without changing it."""
    if name == "GetBucketLocation":
        return {"LocationConstraint": "eu-west-1"}
    out = value(rnd, shape) if shape else {}
    dropped = {"EncodingType", "Expires", "ExpiresString", "ContentLength"}
    checked = name in ("GetObject", "GetObjectAnnotation")  # boto3 verifies these
    return {key: one for key, one in out.items() if key not in dropped and not (checked and key.startswith("Checksum"))}


class FarSide:
    """Answers boto3 in the place of the network."""

    def __init__(self):
        self.model = load_model()
        self.client = boto3.client(
            "s3",
            endpoint_url="http://127.0.0.1:9",
            region_name="us-east-1",
            aws_access_key_id="AKIA",
            aws_secret_access_key="x",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        self.client.meta.events.register("before-send.s3", self.answer)
        self.result = {}

    def answer(self, request, **_):
        url = urlsplit(request.url)
        query = {}
        for name, text in parse_qsl(url.query, keep_blank_values=True):
            query.setdefault(name, text)
        headers = {name.lower(): v.decode("latin-1") if isinstance(v, bytes) else v for name, v in request.headers.items()}
        bucket, _, key = url.path[1:].partition("/")
        level = "service" if not bucket else "object" if key else "bucket"
        operation = self.model.resolve(request.method, level, query, headers)
        assert operation is not None, (request.method, url.query)
        self.operation = operation.name
        body = request.body or b""
        body = body.read() if hasattr(body, "read") else body
        body = body.encode() if isinstance(body, str) else body
        self.read = operation.read({"Bucket": unquote(bucket), "Key": unquote(key)}, query, headers, body)
        status, reply_headers, reply = operation.write(self.result)
        self.reply = reply
        sent = HeadersDict()
        for name, text in reply_headers:
            sent[name] = text
        return AWSResponse(request.url, status, sent, Raw(reply))


class Raw(io.BytesIO):
    def stream(self, *_, **__):
        yield self.read()


@pytest.fixture(scope="module")
def far_side():
    return FarSide()


def as_sent(params):
    """What a faithful reading of these parameters is: dates that are free text on the wire stay text; bytes are left out."""
    out = dict(params)
    for name in ("Expires", "ResponseExpires"):
        if name in out:
            out[name] = out[name].strftime("%a, %d %b %Y %H:%M:%S GMT")
    for name in ("Body", "AnnotationPayload"):
        out.pop(name, None)
    return out


@pytest.mark.parametrize("name", sorted(load_model().operations.keys() - NOT_BY_CODEC))
def test_random_round_trips(far_side, name):
    rnd = random.Random(f"seed 1 {name}")
    shapes = far_side.client.meta.service_model.operation_model(name)
    for _ in range(ROUNDS):
        params = parameters(rnd, name, shapes.input_shape)
        far_side.result = wanted = result(rnd, name, shapes.output_shape)
        answer = getattr(far_side.client, xform_name(name))(**params)
        assert far_side.operation == name
        sent = as_sent(params)
        assert {k: v for k, v in far_side.read.items() if k in sent or k not in ADDED_BY_BOTO3} == sent
        answer.pop("ResponseMetadata")
        for stream in ("Body", "AnnotationPayload"):
            if stream in answer:
                answer[stream] = answer[stream].read()
        names = {k for k in (*wanted, *answer) if wanted.get(k) is not None or answer.get(k)}
        assert {k: answer.get(k) for k in names} == {k: wanted.get(k) for k in names}, far_side.reply[:600]


def test_every_operation_of_the_model_is_tried():
    names = set(boto3.client("s3", region_name="us-east-1").meta.service_model.operation_names)
    assert names - wire.SKIPPED == load_model().operations.keys()
    assert names >= wire.SKIPPED


@pytest.mark.parametrize("name", sorted(wire.URL_ENCODED))
def test_url_encoded_listings_are_decoded_by_boto3(far_side, name):
    far_side.result = {"EncodingType": "url"}
    for field in wire.URL_ENCODED[name]:
        if isinstance(field, tuple):
            far_side.result[field[0]] = [{field[1]: "a b+c/\x01%41ü"}]
    answer = getattr(far_side.client, xform_name(name))(
        Bucket="my-bucket", **({} if name != "ListMultipartUploads" else {"EncodingType": "url"})
    )
    shown = "a%20b%2Bc/%01%2541%C3%BC" if name == "ListMultipartUploads" else "a b+c/\x01%41ü"
    for field in wire.URL_ENCODED[name]:
        if isinstance(field, tuple):
            assert answer[field[0]][0][field[1]] == shown
