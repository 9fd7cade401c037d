"""Cross-origin rules: stored, and told to browsers on preflights and on every answer, errors too."""

from __future__ import annotations

import pytest

from tests.s3.asking import refused
from tests.s3.raw import Raw

PAGE = "https://page.test"
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def rule(*origins, methods=("GET",), **more):
    return {"AllowedOrigins": list(origins), "AllowedMethods": list(methods), **more}


@pytest.fixture
def ruled(s3, bucket):
    """A bucket whose objects one page may read and another may write."""
    rules = [rule(PAGE, methods=["GET", "HEAD"], ExposeHeaders=["ETag"], MaxAgeSeconds=60),
             rule("https://*.writer.test", methods=["PUT"], AllowedHeaders=["x-amz-*"])]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    return bucket


def access(answer):
    return {name.removeprefix("access-control-"): value for name, value in answer.headers.items() if name.startswith("access-control-")}


def ask(raw, target, origin, method="GET", announced=""):
    """A preflight."""
    headers = [("Origin", origin), ("Access-Control-Request-Method", method)]
    return raw("OPTIONS", target, headers + ([("Access-Control-Request-Headers", announced)] if announced else []), sign=False)


def test_rules_come_back_as_they_went(s3, bucket):
    for rules in ([rule("*")], [rule("https://*.a", "b", methods=["PUT", "POST"], ID="one", AllowedHeaders=["*"], ExposeHeaders=["ETag"],
                                     MaxAgeSeconds=3000), rule("null", methods=["DELETE"])]):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
        assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules


def test_nothing_set_and_removed(s3, bucket):
    for _ in range(2):
        with refused("NoSuchCORSConfiguration", status=404):
            s3.get_bucket_cors(Bucket=bucket)
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule("*")]})
        for _ in range(2):
            assert s3.delete_bucket_cors(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.parametrize(("body", "code"), [
    (b"", "MissingRequestBodyError"),
    (b"<CORSConfiguration/>", "MalformedXML"),
    (b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>", "MalformedXML"),
    (b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>", "MalformedXML"),
    (b"<Cors/>", "MalformedXML"),
    (b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><A/></CORSRule></CORSConfiguration>",
     "MalformedXML"),
    (b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>TRACE</AllowedMethod></CORSRule></CORSConfiguration>",
     "InvalidRequest"),
    (b"<CORSConfiguration>" + b" " * (1 << 20) + b"</CORSConfiguration>", "MaxMessageLengthExceeded"),
])
def test_a_bad_document_changes_nothing(s3, raw, ruled, body, code):
    before = s3.get_bucket_cors(Bucket=ruled)["CORSRules"]
    answer = raw("PUT", f"/{ruled}?cors", body=body)
    assert (answer.status, answer.code) == (400, code), answer
    assert s3.get_bucket_cors(Bucket=ruled)["CORSRules"] == before


def test_a_page_is_told_what_it_may(raw, ruled):
    answer = raw("GET", f"/{ruled}/k", [("Origin", PAGE)])
    assert answer.status == 200 and answer.headers["vary"] == VARY
    assert access(answer) == {"allow-origin": PAGE, "allow-methods": "GET, HEAD", "expose-headers": "ETag", "max-age": "60",
                              "allow-credentials": "true"}


@pytest.mark.parametrize("origin", ["https://other.test", "https://page.test.evil", "https://a.writer.test"])
def test_another_page_is_told_nothing_and_caches_are_told_why(raw, ruled, origin):
    answer = raw("GET", f"/{ruled}/k", [("Origin", origin)])
    assert answer.status == 200 and access(answer) == {} and answer.headers["vary"] == VARY
    assert raw("GET", f"/{ruled}/k").headers["vary"] == VARY


@pytest.mark.parametrize(("method", "key", "status"), [("GET", "nothing", 404), ("HEAD", "nothing", 404), ("GET", "k", 416)])
def test_errors_can_be_read_by_the_page(raw, ruled, method, key, status):
    headers = [("Origin", PAGE)] + ([("Range", "bytes=99-")] if status == 416 else [])
    answer = raw(method, f"/{ruled}/{key}", headers)
    assert answer.status == status and access(answer)["allow-origin"] == PAGE


def test_refusals_can_be_read_by_the_page(server, raw, ruled):
    stranger = Raw(server, secret_key="wrong" * 8)
    for answer in (raw("GET", f"/{ruled}/k", [("Origin", PAGE)], sign=False), stranger("GET", f"/{ruled}/k", [("Origin", PAGE)])):
        assert answer.status == 403 and access(answer)["allow-origin"] == PAGE


def test_an_upload_that_waits_for_the_gate_is_told_too(raw, ruled):
    origin, body = "https://a.writer.test", b"x" * 100_000
    for sign, status in ((True, 200), (False, 403)):
        answer = raw("PUT", f"/{ruled}/large", [("Origin", origin)], body, sign=sign)
        assert answer.status == status and access(answer)["allow-methods"] == "PUT", answer


def test_the_announced_method_counts(raw, ruled):
    answer = raw("PUT", f"/{ruled}/k", [("Origin", PAGE), ("Access-Control-Request-Method", "GET")], b"", sign=False)
    assert answer.status == 403 and access(answer)["allow-methods"] == "GET, HEAD"


def test_a_bucket_without_rules_says_nothing(raw, bucket):
    answer = raw("GET", f"/{bucket}", [("Origin", PAGE)])
    assert answer.status == 200 and access(answer) == {} and "vary" not in answer.headers


def test_rules_hold_at_once(s3, raw, ruled):
    s3.put_bucket_cors(Bucket=ruled, CORSConfiguration={"CORSRules": [rule("https://new.test")]})
    assert access(raw("GET", f"/{ruled}/k", [("Origin", PAGE)])) == {}
    assert access(raw("GET", f"/{ruled}/k", [("Origin", "https://new.test")]))["allow-origin"] == "https://new.test"
    s3.delete_bucket_cors(Bucket=ruled)
    assert access(raw("GET", f"/{ruled}/k", [("Origin", "https://new.test")])) == {}


# ---- preflights -------------------------------------------------------------------------------------------------------------------------


def test_a_preflight_is_answered_without_a_signature(raw, ruled):
    for target in (f"/{ruled}", f"/{ruled}/k", f"/{ruled}/nothing?uploads", f"/{ruled}/k?X-Amz-Signature=abc&AWSAccessKeyId=x"):
        answer = ask(raw, target, "https://a.writer.test", "PUT", "x-amz-date, X-Amz-Acl")
        assert (answer.status, answer.body) == (200, b""), answer
        assert access(answer) == {"allow-origin": "https://a.writer.test", "allow-methods": "PUT",
                                  "allow-headers": "x-amz-date, x-amz-acl", "allow-credentials": "true"}
        assert answer.headers["vary"] == VARY


@pytest.mark.parametrize(("origin", "method", "announced"), [
    ("https://other.test", "GET", ""), (PAGE, "PUT", ""), (PAGE, "GET", "x-amz-date"), ("https://a.writer.test", "PUT", "x-amz-date,range"),
])
def test_a_preflight_that_no_rule_fits(raw, ruled, origin, method, announced):
    answer = ask(raw, f"/{ruled}/k", origin, method, announced)
    assert (answer.status, answer.code, access(answer)) == (403, "AccessForbidden", {})
    assert (answer.xml.findtext("Method"), answer.xml.findtext("ResourceType")) == (method, "OBJECT")


def test_a_preflight_where_there_are_no_rules(raw, bucket):
    missing = "Bucket not found"
    for target, words in ((f"/{bucket}", "CORS is not enabled"), ("/there-is-no-such-bucket", missing), ("/", missing)):
        answer = ask(raw, target, PAGE)
        assert (answer.status, answer.code) == (403, "AccessForbidden") and words in answer.xml.findtext("Message")


@pytest.mark.parametrize("headers", [
    [], [("Origin", PAGE)], [("Access-Control-Request-Method", "GET")], [("Origin", PAGE), ("Access-Control-Request-Method", "BREW")],
])
def test_what_is_no_preflight_is_a_bad_request(raw, ruled, headers):
    for target in (f"/{ruled}", f"/{ruled}/k", "/", "/there-is-no-such-bucket"):
        for sign in (False, True):
            answer = raw("OPTIONS", target, headers, sign=sign)
            assert (answer.status, answer.code) == (400, "BadRequest"), answer
