"""Configurations of which a bucket has many, each under an id: inventory, analytics, metrics, intelligent tiering."""

from __future__ import annotations

import base64
import json

import pytest

from shared.meta.models import Bucket, BucketConfiguration
from tests import people
from tests.s3.asking import refused

ARN = "arn:aws:s3:::reports"
TAG = {"Key": "k", "Value": "v"}


def inventory(name, **more):
    return {"Id": name, "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
            "OptionalFields": ["Size", "ETag"], "Filter": {"Prefix": "p"},
            "Destination": {"S3BucketDestination": {"Bucket": ARN, "Format": "CSV", "Encryption": {"SSES3": {}}}}, **more}


def analytics(name, **more):
    export = {"OutputSchemaVersion": "V_1", "Destination": {"S3BucketDestination": {"Format": "CSV", "Bucket": ARN, "Prefix": "x"}}}
    return {"Id": name, "Filter": {"And": {"Prefix": "a", "Tags": [TAG]}}, "StorageClassAnalysis": {"DataExport": export}, **more}


def metrics(name, **more):
    return {"Id": name, "Filter": {"Tag": TAG}, **more}


def tiering(name, **more):
    return {"Id": name, "Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"},
                                                          {"Days": 180, "AccessTier": "DEEP_ARCHIVE_ACCESS"}], **more}


KINDS = {"Inventory": inventory, "Analytics": analytics, "Metrics": metrics, "IntelligentTiering": tiering}
SUBRESOURCES = {"Inventory": "inventory", "Analytics": "analytics", "Metrics": "metrics", "IntelligentTiering": "intelligent-tiering"}
SNAKE = {"Inventory": "inventory", "Analytics": "analytics", "Metrics": "metrics", "IntelligentTiering": "intelligent_tiering"}


class Calls:
    """The four operations of a kind."""

    def __init__(self, s3, bucket, kind):
        self.s3, self.bucket, self.kind, self.make = s3, bucket, kind, KINDS[kind]

    def _call(self, verb, plural="", **more):
        return getattr(self.s3, f"{verb}_bucket_{SNAKE[self.kind]}_configuration{plural}")(Bucket=self.bucket, **more)

    def put(self, document, name=None):
        return self._call("put", Id=name or document["Id"], **{f"{self.kind}Configuration": document})

    def get(self, name):
        return self._call("get", Id=name)[f"{self.kind}Configuration"]

    def page(self, **more):
        return self._call("list", "s", **more)

    def ids(self, **more):
        return [one["Id"] for one in self.page(**more).get(f"{self.kind}ConfigurationList", [])]

    def delete(self, name):
        return self._call("delete", Id=name)


@pytest.fixture(params=KINDS)
def calls(request, s3, bucket):
    return Calls(s3, bucket, request.param)


def test_nothing_set(calls):
    page = calls.page()
    assert page["IsTruncated"] is False and calls.ids() == []
    for act in (calls.get, calls.delete):
        with refused("NoSuchConfiguration", status=404):
            act("one")


def test_put_get_list_and_delete(calls):
    for name in ("b", "a", "c.d-e_F"):
        calls.put(calls.make(name))
        assert calls.get(name) == calls.make(name)
    assert calls.ids() == ["a", "b", "c.d-e_F"]
    replaced = calls.make("b", Filter={"Prefix": "other/"})
    calls.put(replaced)
    assert calls.get("b") == replaced and calls.ids() == ["a", "b", "c.d-e_F"]
    assert calls.delete("a")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert calls.ids() == ["b", "c.d-e_F"]
    with refused("NoSuchConfiguration", status=404):
        calls.get("a")


def test_pages_of_a_hundred(calls):
    names = [f"{number:03}" for number in range(101)]
    for name in names:
        calls.put(calls.make(name))
    first = calls.page()
    assert first["IsTruncated"] and calls.ids() == names[:100]
    second = calls.page(ContinuationToken=first["NextContinuationToken"])
    assert not second["IsTruncated"] and second["ContinuationToken"] == first["NextContinuationToken"]
    assert calls.ids(ContinuationToken=first["NextContinuationToken"]) == names[100:]


def test_a_thousand_and_no_more(server, calls):
    names = [f"{number:04}" for number in range(1000)]
    kind = SNAKE[calls.kind]
    with people.inside(server):
        bucket_id = Bucket.get(Bucket.name == calls.bucket.encode()).id
        rows = [{"bucket_id": bucket_id, "kind": kind, "name": name, "document": json.dumps(calls.make(name))} for name in names]
        BucketConfiguration.insert_many(rows).execute()
    found, more = [], {}
    for _ in range(10):
        page = calls.page(**more)
        found += [one["Id"] for one in page[f"{calls.kind}ConfigurationList"]]
        more = {"ContinuationToken": page.get("NextContinuationToken")}
    assert found == names and not page["IsTruncated"] and "NextContinuationToken" not in page
    with refused("TooManyConfigurations", status=400):
        calls.put(calls.make("one-more"))
    calls.put(calls.make("0500", Filter={"Prefix": "new"}))
    calls.delete("0001")
    calls.put(calls.make("one-more"))


@pytest.mark.parametrize("token", ["!", "/", base64.b64encode(b"\0").decode(), base64.b64encode(b"\xff").decode()])
def test_a_token_that_is_not_ours(calls, token):
    with refused("InvalidArgument", status=400):
        calls.page(ContinuationToken=token)


@pytest.mark.parametrize("name", ["a b", "a/b", "ü", "a" * 65])
def test_an_id_that_will_not_do(calls, name):
    with refused("InvalidArgument", status=400):
        calls.put(calls.make(name))
    with refused("NoSuchConfiguration", status=404):
        calls.get(name)


def test_the_id_of_the_document_is_that_of_the_request(calls):
    with refused("IdMismatch" if calls.kind == "Inventory" else "MalformedXML", status=400):
        calls.put(calls.make("a"), "b")
    assert calls.ids() == []


@pytest.mark.parametrize("body", [b"", b"<Odd/>", b"<{root}><Id>one</Id><Odd/></{root}>", b"<{root}/>"])
def test_a_bad_document_changes_nothing(calls, raw, body):
    calls.put(calls.make("one"))
    body = body.replace(b"{root}", f"{calls.kind}Configuration".encode())
    answer = raw("PUT", f"/{calls.bucket}?{SUBRESOURCES[calls.kind]}&id=one", body=body)
    assert (answer.status, answer.code) == (400, "MalformedXML" if body else "MissingRequestBodyError"), answer
    assert calls.get("one") == calls.make("one")


def test_a_long_document(calls, raw):
    answer = raw("PUT", f"/{calls.bucket}?{SUBRESOURCES[calls.kind]}&id=one", body=b"<a>" + b" " * (1 << 20) + b"</a>")
    assert (answer.status, answer.code) == (400, "MaxMessageLengthExceeded")


BAD = {
    "inventory to nowhere": ("Inventory", inventory("x", Destination={"S3BucketDestination": {"Bucket": "b", "Format": "CSV"}}),
                             "InvalidS3DestinationBucket"),
    "inventory in a new format": ("Inventory", inventory("x", Destination={"S3BucketDestination": {"Bucket": ARN, "Format": "XLS"}}),
                                  "MalformedXML"),
    "inventory encrypted twice": ("Inventory", inventory("x", Destination={"S3BucketDestination": {
        "Bucket": ARN, "Format": "CSV", "Encryption": {"SSES3": {}, "SSEKMS": {"KeyId": "k"}}}}), "MalformedXML"),
    "inventory with a field twice": ("Inventory", inventory("x", OptionalFields=["Size", "Size"]), "MalformedXML"),
    "inventory now and then": ("Inventory", inventory("x", Schedule={"Frequency": "Sometimes"}), "MalformedXML"),
    "analytics of two filters": ("Analytics", analytics("x", Filter={"Prefix": "a", "Tag": TAG}), "MalformedXML"),
    "analytics of no filter": ("Analytics", analytics("x", Filter={}), "MalformedXML"),
    "metrics of no filter": ("Metrics", metrics("x", Filter={}), "MalformedXML"),
    "metrics of one in and": ("Metrics", metrics("x", Filter={"And": {"Prefix": "a"}}), "MalformedXML"),
    "metrics with a tag twice": ("Metrics", metrics("x", Filter={"And": {"Tags": [TAG, TAG]}}), "InvalidRequest"),
    "tiering too early": ("IntelligentTiering", tiering("x", Tierings=[{"Days": 89, "AccessTier": "ARCHIVE_ACCESS"}]), "InvalidArgument"),
    "tiering too late": ("IntelligentTiering", tiering("x", Tierings=[{"Days": 731, "AccessTier": "ARCHIVE_ACCESS"}]), "InvalidArgument"),
    "tiering backwards": ("IntelligentTiering", tiering("x", Tierings=[
        {"Days": 200, "AccessTier": "ARCHIVE_ACCESS"}, {"Days": 200, "AccessTier": "DEEP_ARCHIVE_ACCESS"}]), "InvalidArgument"),
    "tiering twice": ("IntelligentTiering", tiering("x", Tierings=[{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}] * 2), "MalformedXML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_document_that_contradicts_itself(s3, bucket, name):
    kind, document, code = BAD[name]
    calls = Calls(s3, bucket, kind)
    with refused(code, status=400):
        calls.put(document)
    assert calls.ids() == []
