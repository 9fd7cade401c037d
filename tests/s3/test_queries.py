"""How often a request asks the database: what a bucket or an object does not use costs nothing, and rules that are set are known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from shared import app, registry, settings
from shared.host.contract import Body
from shared.meta import database
from shared.pipeline import Pipeline
from shared.request import Reply, Request

ORIGIN = [("Origin", "https://page.test")]
PUBLIC = {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}
CORS = {"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "PUT"]}]}
LIFECYCLE = {"Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Tag": {"Key": "k", "Value": "v"}}, "Expiration": {"Days": 1}}]}
SITE = {"IndexDocument": {"Suffix": "i"}}


class Counting:
    """A server in this process, called without HTTP; counts the statements that it sends to SQLite."""

    def __init__(self, built: app.App) -> None:
        self.invoke = built.invoke
        self.pipeline = Pipeline(built.services, registry.load(["s3.*"]))

    def bucket(self, name: str, *, ruled: bool = False) -> str:
        there = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
        self.invoke("s3.CreateBucket", {"Bucket": name, **({"ObjectLockEnabledForBucket": True} if ruled else {})})
        self.invoke("s3.DeletePublicAccessBlock", {"Bucket": name})
        self.invoke("s3.PutBucketVersioning", {"Bucket": name, "VersioningConfiguration": {"Status": "Enabled"}})
        self.invoke("s3.PutBucketPolicy", {"Bucket": name, "Policy": json.dumps({"Version": "2012-10-17", "Statement":
                                                                                 [{**PUBLIC, "Resource": there}]})})
        if ruled:
            self.invoke("s3.PutBucketCors", {"Bucket": name, "CORSConfiguration": CORS})
            self.invoke("s3.PutBucketLifecycleConfiguration", {"Bucket": name, "LifecycleConfiguration": LIFECYCLE})
            self.invoke("s3.PutBucketWebsite", {"Bucket": name, "WebsiteConfiguration": SITE})
            self.invoke("s3.PutBucketRequestPayment", {"Bucket": name, "RequestPaymentConfiguration": {"Payer": "BucketOwner"}})
        return name

    def ask(self, method: str, target: str, data: bytes = b"") -> Reply:
        request = Request(method, target, [("Host", "localhost"), *ORIGIN], content_length=len(data))
        reply = self.pipeline.respond(request, None, Body(data=data, size=len(data)))
        if not isinstance(reply.body, bytes):
            reply.body.close()
        assert reply.status in (200, 204), reply
        return reply

    def statements(self, method: str, target: str, data: bytes = b"") -> list[str]:
        """What the second of two equal requests asks: the first finds out about the bucket."""
        seen: list[str] = []
        self.ask(method, target, data)
        database.connection().set_trace_callback(seen.append)
        try:
            self.ask(method, target, data)
        finally:
            database.connection().set_trace_callback(None)
        return [one for one in seen if one.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")]


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    folder = tmp_path_factory.mktemp("counting")
    with closing(app.build(settings.load({"data_dir": str(folder)}, {}))) as built, database.session():
        yield Counting(built)


CALLS: dict[str, tuple[str, bytes]] = {"GET": ("/k", b""), "HEAD": ("/k", b""), "PUT": ("/k", b"x"), "DELETE": ("/gone", b"")}


@pytest.mark.parametrize("method", CALLS)
def test_rules_that_are_set_cost_no_question_more(counting: Counting, method: str) -> None:
    key, data = CALLS[method]
    counts = {}
    for name in ("plain", "ruled"):
        bucket = counting.bucket(f"{name}-{method.lower()}", ruled=name == "ruled")
        counting.ask("PUT", f"/{bucket}/k", b"x")
        counts[name] = counting.statements(method, f"/{bucket}{key}", data)
    assert not [one for some in counts.values() for one in some if "configuration" in one]
    assert len(counts["plain"]) == len(counts["ruled"]), counts


def test_a_read_asks_twice(counting: Counting) -> None:
    """Whether anything changed, and for the object."""
    bucket = counting.bucket("twice")
    counting.ask("PUT", f"/{bucket}/k", b"x")
    for method in ("GET", "HEAD"):
        asked = counting.statements(method, f"/{bucket}/k")
        assert len(asked) == 2 and "change" in asked[0] and "object" in asked[1], asked


def test_rules_are_asked_for_together(counting: Counting) -> None:
    """The first request about a bucket after a change asks once for all its configurations."""
    bucket = counting.bucket("together", ruled=True)
    counting.ask("PUT", f"/{bucket}/k", b"x")
    counting.invoke("s3.PutBucketTagging", {"Bucket": bucket, "Tagging": {"TagSet": []}})
    seen: list[str] = []
    database.connection().set_trace_callback(seen.append)
    counting.ask("GET", f"/{bucket}/k")
    database.connection().set_trace_callback(None)
    assert len([one for one in seen if "bucket_configuration" in one]) == 1, seen
