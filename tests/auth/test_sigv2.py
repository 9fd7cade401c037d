"""Presigned Signature Version 2 against botocore and Amazon's published example."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import botocore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_requests import ACCESS_KEY, NOW_S, changed, judge, signed, with_header

from shared.auth.model import Credential
from shared.auth.sigv2 import SIGNED_PARAMETERS
from shared.errors import AccessDenied, InvalidAccessKeyId, InvalidRequest, S3Error, SignatureDoesNotMatch
from shared.request import Request

URL = "http://127.0.0.1:9000"


def test_the_published_example_verifies():
    # https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html (its older edition, bucket johnsmith)
    query = f"AWSAccessKeyId={ACCESS_KEY}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620"
    for path, host in (("/photos/puppy.jpg", "johnsmith.s3.amazonaws.com"), ("/johnsmith/photos/puppy.jpg", "s3.amazonaws.com")):
        request = Request("GET", f"{path}?{query}", [("Host", host)])
        assert judge(request, now_s=1_175_139_620, domains=["s3.amazonaws.com"]).kind == "query-v2"


PATH = st.lists(st.text(max_size=6) | st.sampled_from(["", "..", "+", "%2F", "~"]), max_size=4).map(
    lambda parts: "/b/" + "/".join(quote(part.encode("utf-8", "replace"), safe="~") for part in parts)
)
QUERY = st.dictionaries(
    st.sampled_from(["acl", "versionId", "uploadId", "partNumber", "response-content-disposition", "prefix", "x-id", "uploads"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10), max_size=4,
).map(lambda pairs: "&".join(f"{name}={quote(value, safe='~')}" if value else name for name, value in pairs.items()))  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["x-amz-meta-a", "x-amz-acl", "Content-Type", "Content-MD5", "X-Amz-Meta-B"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=10),
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]), PATH, QUERY, HEADERS, st.booleans())
def test_whatever_botocore_presigns_is_accepted_with_and_without_its_headers(method, path, query, headers, send):
    request = signed(method, f"{URL}{path}" + (f"?{query}" if query else ""), headers, "query-v2")
    if send:
        request = changed(request, headers=[*request.headers, *headers.items()])
    who = judge(request)
    assert who.kind == "query-v2" and who.principal == "ann" and who.seed is None
    assert dict(who.hoisted) == ({} if send else {name.lower(): value for name, value in headers.items()})


def test_virtual_host_links_sign_the_bucket_of_the_host():
    request = signed("GET", "http://b.s3.test/k?acl", form="query-v2", auth_path="/b/k")
    assert judge(request, domains=["s3.test"]).kind == "query-v2"
    with pytest.raises(SignatureDoesNotMatch):
        judge(request)
    with pytest.raises(SignatureDoesNotMatch):  # the host is not signed: another one must not become another bucket
        judge(changed(request, headers=[("Host", "other.s3.test")]), domains=["s3.test"])


def test_a_path_style_link_is_worth_nothing_on_another_buckets_host():
    request = signed("GET", "http://s3.test/b/k", form="query-v2")
    assert judge(request, domains=["s3.test"]).kind == "query-v2"
    with pytest.raises(SignatureDoesNotMatch):
        judge(changed(request, headers=[("Host", "b.s3.test")]), domains=["s3.test"])


@pytest.mark.parametrize("parameter", sorted(SIGNED_PARAMETERS))
def test_no_sub_resource_can_be_added_to_a_link(parameter):
    request = signed("GET", f"{URL}/b/k", form="query-v2")
    for added in (parameter, f"{parameter}=1", f"{parameter}=", "".join(f"%{ord(c):02x}" for c in parameter)):
        with pytest.raises(SignatureDoesNotMatch):
            judge(changed(request, target=f"{request.target}&{added}"))


def test_every_sub_resource_of_the_service_model_is_signed():
    folder = Path(botocore.__file__).parent / "data/s3/2006-03-01"
    file = next(folder.glob("service-2.json*"))
    model = json.loads(gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes())
    names = set()
    for operation in model["operations"].values():
        query = operation["http"]["requestUri"].partition("?")[2]
        names |= {pair.partition("=")[0] for pair in query.split("&") if pair}
    assert names - SIGNED_PARAMETERS <= {"x-id", "list-type", "directory-buckets"}  # they change nothing that is not allowed anyway
    overrides = set(re.findall(r'"locationName":"(response-[a-z-]+)"', json.dumps(model, separators=(",", ":"))))
    assert len(overrides) == 6
    assert overrides <= SIGNED_PARAMETERS


@pytest.mark.parametrize("change", [
    lambda r: changed(r, method="PUT"),
    lambda r: changed(r, target=r.target.replace("/b/k", "/b/l")),
    lambda r: changed(r, target=r.target.replace("Expires=1369357200", "Expires=1369357201")),
    lambda r: changed(r, target=r.target.replace("versionId=1", "versionId=2")),
    lambda r: changed(r, target=r.target.replace("versionId=1&", "")),
    lambda r: changed(r, headers=[*r.headers, ("x-amz-acl", "public-read")]),
    lambda r: changed(r, headers=[*r.headers, ("Content-Type", "text/plain")]),
    lambda r: changed(r, headers=[*r.headers, ("Content-MD5", "x")]),
])  # fmt: skip
def test_every_changed_signed_part_is_refused(change):
    request = signed("GET", f"{URL}/b/k?versionId=1", form="query-v2")
    assert "Expires=1369357200" in request.target and judge(request)
    with pytest.raises(SignatureDoesNotMatch) as refused:
        judge(change(request))
    assert refused.value.fields["AWSAccessKeyId"] == ACCESS_KEY


def test_an_x_amz_parameter_added_to_a_link_has_no_effect():
    request = signed("PUT", f"{URL}/b/k", form="query-v2")
    assert dict(judge(changed(request, target=request.target + "&x-amz-acl=public-read")).hoisted) == {}


def test_a_line_end_in_a_parameter_makes_no_other_link():
    """What a signer lets others say in a sub-resource could else be read as the time and the path."""
    told = quote("x\n9999999999\n/b/other")
    request = signed("GET", f"{URL}/b/k?response-content-disposition={told}", {"Content-Type": "text/html"}, "query-v2")
    assert judge(request).kind == "query-v2"
    expires, signature = (re.search(rf"[?&]{name}=([^&]+)", request.target)[1] for name in ("Expires", "Signature"))
    kind = quote(f"text/html\n{expires}\n/b/k?response-content-disposition=x")
    forged = f"/b/other?AWSAccessKeyId={ACCESS_KEY}&Signature={signature}&Expires=9999999999&Content-Type={kind}"
    with pytest.raises(SignatureDoesNotMatch):
        judge(changed(request, target=forged))


def test_a_link_is_good_until_it_expires():
    request = signed("GET", f"{URL}/b/k", form="query-v2", expires_s=60)
    assert judge(request, now_s=NOW_S + 60).kind == "query-v2"
    with pytest.raises(AccessDenied, match="Request has expired") as refused:
        judge(request, now_s=NOW_S + 61)
    assert refused.value.fields == {"Expires": "2013-05-24T00:01:00Z", "ServerTime": "2013-05-24T00:01:01Z"}


@pytest.mark.parametrize(
    "query",
    [
        "AWSAccessKeyId=a",
        "Signature=a",
        "AWSAccessKeyId=a&Signature=b",
        "Signature=b&Expires=1",
        "AWSAccessKeyId=a&Expires=9999999999",
        "AWSAccessKeyId=a&Signature=b&Expires=",
        "AWSAccessKeyId=a&Signature=b&Expires=soon",
        "AWSAccessKeyId=a&Signature=b&Expires=-1",
        "AWSAccessKeyId=a&Signature=b&Expires=" + "9" * 50,
    ],
)
def test_incomplete_links_are_refused(query):
    with pytest.raises(AccessDenied):
        judge(Request("GET", f"/b/k?{query}", [("Host", "h")]))


def test_an_unknown_key_and_a_wrong_secret_are_refused():
    request = signed("GET", f"{URL}/b/k", form="query-v2")
    with pytest.raises(InvalidAccessKeyId):
        judge(request, credential=lambda key: None)
    with pytest.raises(SignatureDoesNotMatch):
        judge(request, credential=lambda key: Credential(key, "other"))


def test_links_of_version_2_can_be_switched_off():
    with pytest.raises(InvalidRequest, match="Please use AWS4-HMAC-SHA256"):
        judge(signed("GET", f"{URL}/b/k", form="query-v2"), allow_sigv2_query=False)


def test_a_raw_plus_in_the_signature_is_a_plus():
    for number in range(40):
        request = signed("GET", f"{URL}/b/{number}", form="query-v2")
        if "%2B" in request.target:
            assert judge(changed(request, target=request.target.replace("%2B", "+"))).kind == "query-v2"
            return
    pytest.fail("no signature with a plus among forty")


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=20, max_size=20), st.text(max_size=8))
def test_guessed_signatures_are_refused(guess, junk):
    for text in (b64encode(guess).decode(), junk or "x"):
        with pytest.raises(S3Error):
            judge(Request("GET", f"/b/k?AWSAccessKeyId={ACCESS_KEY}&Expires=9999999999&Signature={quote(text)}", [("Host", "h")]))


# ---- by header --------------------------------------------------------------------------------------------------------------------------

OLD = {"allow_sigv2_header": True}
SIGNED_BY_BOTOCORE = QUERY.filter(lambda query: "x-id" not in query)


def test_the_published_header_example_verifies():
    # https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html, "Object GET" and "Object PUT" (bucket awsexamplebucket1)
    for method, path, more, date, digest in (
        ("GET", "/photos/puppy.jpg", [], "Tue, 27 Mar 2007 19:36:42 +0000", "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
        ("PUT", "/photos/puppy.jpg", [("Content-Type", "image/jpeg"), ("Content-Length", "94328")], "Tue, 27 Mar 2007 21:15:45 +0000",
         "iqRzw+ileNPu1fhspnRs8nOjjIA="),
    ):
        headers = [("Host", "awsexamplebucket1.us-west-1.s3.amazonaws.com"), ("Date", date), *more,
                   ("Authorization", f"AWS {ACCESS_KEY}:{digest}")]
        who = judge(Request(method, path, headers), now_s=1_175_024_202 if "19:" in date else 1_175_030_145,
                    domains=["us-west-1.s3.amazonaws.com"], **OLD)
        assert who.kind == "header-v2" and who.principal == "ann"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]), PATH, SIGNED_BY_BOTOCORE, HEADERS)
def test_whatever_botocore_signs_by_header_is_accepted(method, path, query, headers):
    request = signed(method, f"{URL}{path}" + (f"?{query}" if query else ""), headers, "header-v2")
    who = judge(request, **OLD)
    assert who.kind == "header-v2" and dict(who.hoisted) == {}
    for added in ([("x-amz-acl", "public-read")], [("x-amz-date", "Fri, 24 May 2013 00:00:00 GMT")]):
        if "x-amz-acl" not in headers:
            with pytest.raises(SignatureDoesNotMatch):
                judge(changed(request, headers=[*request.headers, *added]), **OLD)


def test_headers_are_refused_unless_switched_on():
    request = signed("GET", f"{URL}/b/k", form="header-v2")
    with pytest.raises(InvalidRequest):
        judge(request)


@pytest.mark.parametrize(("headers", "error"), [
    ({"Authorization": f"AWS {ACCESS_KEY}"}, "InvalidArgument"),
    ({"Authorization": "AWS HAHAHA"}, "InvalidArgument"),
    ({"Authorization": "AWS :x"}, "InvalidArgument"),
    ({"Authorization": "AWS AKIANOBODY:x"}, "InvalidAccessKeyId"),
    ({"Authorization": f"AWS {ACCESS_KEY}:x"}, "SignatureDoesNotMatch"),
    ({"Date": "Bad Date"}, "AccessDenied"),
    ({"Date": ""}, "AccessDenied"),
    ({"Date": None}, "AccessDenied"),
    ({"Date": "Tue, 07 Jul 1950 21:53:04 GMT"}, "AccessDenied"),
    ({"Date": "Tue, 07 Jul 2010 21:53:04 GMT"}, "RequestTimeTooSkewed"),
    ({"Date": "Tue, 07 Jul 9999 21:53:04 GMT"}, "RequestTimeTooSkewed"),
    ({"Date": "Fri, 24 May 2013 00:00:01 GMT"}, "SignatureDoesNotMatch"),
    ({"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "SignatureDoesNotMatch"),
])
def test_what_is_wrong_with_a_header(headers, error):
    request = signed("GET", f"{URL}/b/k", form="header-v2")
    for name, value in headers.items():
        request = with_header(request, name, value)
    with pytest.raises(S3Error) as caught:
        judge(request, **OLD)
    assert caught.value.code == error
