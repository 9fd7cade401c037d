"""Cross-origin rules as pure functions: which documents pass, which requests they fit, what browsers are told."""

from __future__ import annotations

import pytest

from shared.errors import BadRequest, S3Error
from shared.protocol import cors


def rule(*origins, methods=("GET",), **more):
    return {"AllowedOrigins": list(origins), "AllowedMethods": list(methods), **more}


def told(rules, origin, method="GET", announced=""):
    headers = {"origin": origin} | ({"access-control-request-headers": announced} if announced else {})
    found = cors.granted(rules, headers, method)
    return None if found is None else {name.removeprefix("Access-Control-"): value for name, value in found}


@pytest.mark.parametrize(("pattern", "origin", "fits"), [
    ("http://a.test", "http://a.test", True), ("http://a.test", "http://A.test", False), ("http://a.test", "http://a.test:80", False),
    ("*", "null", True), ("*suffix", "foo.suffix", True), ("*suffix", "suffix.foo", False), ("start*end", "startend", True),
    ("start*end", "start1end", True), ("start*end", "0startend", False), ("aba*aba", "aba", False), ("aba*aba", "abaaba", True),
    ("prefix*", "prefix", True), ("prefix*", "a.prefix", False), ("https://*.a.test", "https://a.test", False),
    ("https://*.a.test", "https://x.y.a.test", True),
])
def test_an_origin_fits_a_pattern_with_one_asterisk(pattern, origin, fits):
    assert (told([rule(pattern)], origin) is not None) is fits


def test_the_first_rule_that_fits_decides():
    rules = [rule("http://a", methods=["PUT"], MaxAgeSeconds=1), rule("http://*", MaxAgeSeconds=2), rule("*", MaxAgeSeconds=3)]
    assert [told(rules, *asked)["Max-Age"] for asked in (("http://a", "PUT"), ("http://a", "GET"), ("https://a", "GET"))] == ["1", "2", "3"]
    assert told(rules, "http://a", "DELETE") is None


def test_credentials_are_allowed_to_named_origins_only():
    assert told([rule("*")], "http://a") == {"Allow-Origin": "*", "Allow-Methods": "GET"}
    assert told([rule("http://*")], "http://a") == {"Allow-Origin": "http://a", "Allow-Methods": "GET", "Allow-Credentials": "true"}


@pytest.mark.parametrize(("allowed", "announced", "fits"), [
    ([], "", True), ([], "x-amz-date", False), (["*"], "x-amz-date, Content-Type", True), (["X-Amz-*"], "x-amz-date", True),
    (["x-amz-*"], "x-amz-date,content-type", False), (["x-amz-*", "Content-Type"], " X-AMZ-DATE ,content-type,", True),
])
def test_every_announced_header_must_be_allowed(allowed, announced, fits):
    found = told([rule("*", AllowedHeaders=allowed)], "http://a", announced=announced)
    assert (found is not None) is fits
    if fits and announced:
        assert found["Allow-Headers"] == ", ".join(part.strip().lower() for part in announced.split(",") if part.strip())


def test_exposed_headers_and_age_are_told():
    found = told([rule("*", methods=["GET", "PUT"], ExposeHeaders=["ETag", "x-amz-meta-a"], MaxAgeSeconds=0)], "http://a", "PUT")
    assert found == {"Allow-Origin": "*", "Allow-Methods": "GET, PUT", "Expose-Headers": "ETag, x-amz-meta-a", "Max-Age": "0"}


@pytest.mark.parametrize(("rules", "code"), [
    ([rule("*", methods=["OPTIONS"])], "InvalidRequest"),
    ([rule("*", methods=["get"])], "InvalidRequest"),
    ([rule("http://*.*")], "InvalidRequest"),
    ([rule("")], "InvalidRequest"),
    ([rule("http://a\r\nSet-Cookie: x")], "InvalidRequest"),
    ([rule("*", AllowedHeaders=["x-*-*"])], "InvalidRequest"),
    ([rule("*", ExposeHeaders=["x-*"])], "InvalidRequest"),
    ([rule("*", ExposeHeaders=["x\r\nSet-Cookie: a"])], "InvalidRequest"),
    ([rule("*", MaxAgeSeconds=-1)], "InvalidRequest"),
    ([rule("*", ID="a"), rule("b", ID="a")], "InvalidRequest"),
    ([rule("*", ID="a" * 256)], "InvalidArgument"),
    ([rule("*")] * 101, "InvalidRequest"),
])
def test_a_document_is_refused(rules, code):
    with pytest.raises(S3Error) as refusal:
        cors.checked(rules)
    assert refusal.value.code == code


def test_the_largest_document_passes():
    rules = [rule("*", ID=f"{number:0255}", ExposeHeaders=["ETag"], AllowedHeaders=["*"]) for number in range(100)]
    assert cors.checked(rules) == rules


@pytest.mark.parametrize("headers", [
    {}, {"origin": ""}, {"origin": "http://a"}, {"access-control-request-method": "GET"},
    {"origin": "http://a", "access-control-request-method": "get"}, {"origin": "http://a", "access-control-request-method": "OPTIONS"},
])
def test_what_is_no_preflight(headers):
    with pytest.raises(BadRequest):
        cors.asked_method(headers)
