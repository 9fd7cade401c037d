"""Signature Version 4 against Amazon's published examples, botocore as the oracle, and everything that must be refused."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

import pytest
from botocore.auth import S3SigV4Auth
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_requests import ACCESS_KEY, NOW_S, SECRET, Target, changed, judge, signed, with_header

from shared.auth.canonical import encoded_query, raw_query, signature, signing_key
from shared.auth.model import Credential
from shared.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    NotImplementedS3,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
)
from shared.protocol.target import parse_target
from shared.request import Request

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HOST = "examplebucket.s3.amazonaws.com"
URL = "http://127.0.0.1:9000"


def published(method, target, headers, signed_headers, signature, payload=EMPTY):
    scope = f"{ACCESS_KEY}/20130524/us-east-1/s3/aws4_request"
    base = [("Host", HOST), ("x-amz-date", "20130524T000000Z"), ("x-amz-content-sha256", payload)]
    line = f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={signed_headers},Signature={signature}"
    return Request(method, target, [*base, *headers, ("Authorization", line)])


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
PUBLISHED = [
    published("GET", "/test.txt", [("Range", "bytes=0-9")], "host;range;x-amz-content-sha256;x-amz-date",
              "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    published("GET", "/?lifecycle", [], "host;x-amz-content-sha256;x-amz-date",
              "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    published("GET", "/?max-keys=2&prefix=J", [], "host;x-amz-content-sha256;x-amz-date",
              "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    published("PUT", "/test%24file.text", [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
              "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
              "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
              "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
]  # fmt: skip

PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


@pytest.mark.parametrize("request_", PUBLISHED, ids=["get-range", "lifecycle", "list", "put"])
def test_the_published_header_examples_verify(request_):
    who = judge(request_)
    assert (who.kind, who.access_key, who.principal) == ("header", ACCESS_KEY, "ann")
    assert who.payload.kind == "signed" and who.seed is None


def test_the_published_presigned_example_verifies():
    who = judge(Request("GET", PRESIGNED, [("Host", HOST)]), now_s=NOW_S + 86_400)
    assert who.kind == "query" and who.payload.kind == "unsigned" and dict(who.hoisted) == {}


def test_a_request_without_signature_is_anonymous():
    who = judge(Request("GET", "/b/k?versionId=1", [("Host", "h")]))
    assert who.kind == "anonymous" and who.access_key is None and who.principal is None


# ---- the oracle: whatever botocore signs, we accept --------------------------------------------------------------------------

SEGMENT = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc", "Zs"]), max_size=8)
ODD = st.sampled_from(["", ".", "..", "%2F", "%2f", "+", "~", "a b", "%25", "é", "日", "%E9%9F%B3", ";", "=", "&", "@", "*", "(", "'"])
METHOD = st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"])
HEADER_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
FORM = st.sampled_from(["header", "query"])


def quoted(text, safe="/~%"):
    return quote(text, safe=safe)


PATH = st.lists(SEGMENT | ODD, max_size=5).map(lambda parts: "/b/" + "/".join(quoted(part, "~%") for part in parts))
NAME = st.sampled_from(["prefix", "marker", "acl", "versionId", "list-type", "x-id", "a", "a-b", "A", "é"])
QUERY = st.dictionaries(NAME, SEGMENT | ODD, max_size=4).map(
    lambda pairs: "&".join(f"{quoted(name, '~')}={quoted(value, '~')}" for name, value in pairs.items())
)
META = st.dictionaries(st.sampled_from(["x-amz-meta-a", "x-amz-meta-under_score", "Content-Type", "X-Amz-Acl", "Range"]), HEADER_VALUE)


@settings(max_examples=250, deadline=None)
@given(METHOD, PATH, QUERY, META, FORM)
def test_whatever_botocore_signs_is_accepted(method, path, query, headers, form):
    url = f"{URL}{path}" + (f"?{query}" if query else "")
    who = judge(signed(method, url, headers, form))
    assert who.kind == form and who.access_key == ACCESS_KEY


@settings(max_examples=100, deadline=None)
@given(PATH, QUERY, FORM, st.data())
def test_every_changed_character_of_the_target_is_refused(path, query, form, data):
    request = signed("GET", f"{URL}{path}" + (f"?{query}" if query else ""), {"x-amz-meta-a": "v"}, form)
    at = data.draw(st.integers(1, len(request.target) - 1))
    other = data.draw(st.sampled_from([c for c in "abyz019" if c != request.target[at]]))
    tampered = changed(request, target=request.target[:at] + other + request.target[at + 1 :])
    if same_meaning(request, tampered):
        return
    with pytest.raises(S3Error) as refused:
        if judge(tampered).kind == "anonymous":  # the name of a signing parameter was hit: nobody's request
            raise AccessDenied()
    assert refused.value.status in (400, 403)


def same_meaning(one, two):
    """Whether only the case of a %-escape's digits differs: the same key, the same parameters."""
    path, _, query = one.target.partition("?")
    path2, _, query2 = two.target.partition("?")
    pairs, pairs2 = ([unquote_to_bytes(part) for part in text.split("&")] for text in (query, query2))
    return unquote_to_bytes(path) == unquote_to_bytes(path2) and pairs == pairs2


@pytest.mark.parametrize("position", range(64))
def test_every_changed_digit_of_the_signature_is_refused(position):
    request = PUBLISHED[0]
    line = request.header("authorization")
    at = len(line) - 64 + position
    other = "0" if line[at] != "0" else "1"
    with pytest.raises(SignatureDoesNotMatch):
        judge(with_header(request, "Authorization", line[:at] + other + line[at + 1 :]))


@pytest.mark.parametrize(
    "signature", ["", "0", "é" * 64, "0" * 63, "0" * 65, "F0E8BDB87C964420E857BD35B5D6ED310BD44F0170ABA48DD91039C6036BDB41"]
)
def test_signatures_of_other_shapes_are_refused(signature):
    request = PUBLISHED[0]
    with pytest.raises((SignatureDoesNotMatch, AuthorizationHeaderMalformed)):
        judge(with_header(request, "Authorization", request.header("authorization")[:-64] + signature))


@pytest.mark.parametrize("change", [
    lambda r: changed(r, method="PUT"),
    lambda r: with_header(r, "Range", "bytes=0-8"),
    lambda r: with_header(r, "Range", None),
    lambda r: with_header(r, "Host", "other.s3.amazonaws.com"),
    lambda r: with_header(r, "x-amz-date", "20130524T000001Z"),
    lambda r: with_header(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    lambda r: changed(r, headers=[*r.headers, ("Range", "bytes=5-6")]),
])  # fmt: skip
def test_every_changed_signed_part_is_refused(change):
    with pytest.raises(SignatureDoesNotMatch) as refused:
        judge(change(PUBLISHED[0]))
    fields = refused.value.fields
    assert fields["AWSAccessKeyId"] == ACCESS_KEY and len(fields["SignatureProvided"]) == 64
    assert fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n2013") and "\nhost;range;" in fields["CanonicalRequest"]
    assert bytes.fromhex(fields["StringToSignBytes"]).decode() == fields["StringToSign"]


def test_a_wrong_secret_is_refused_and_does_not_appear_in_the_answer():
    with pytest.raises(SignatureDoesNotMatch) as refused:
        judge(PUBLISHED[0], credential=lambda key: Credential(key, "other-secret"))
    assert "other-secret" not in str(refused.value.fields)


# ---- forms of the same thing -------------------------------------------------------------------------------------------------


def test_lower_case_escapes_and_an_escaped_tilde_are_accepted_as_signed_in_the_usual_spelling():
    request = signed("GET", f"{URL}/b/a~b%C3%A9/c?prefix=%C3%A9&marker=%7E".replace("%7E", "~"))
    sent = changed(request, target="/b/a%7eb%c3%a9/c?prefix=%c3%a9&marker=%7e")
    assert judge(sent).kind == "header"


def test_path_and_query_may_each_be_signed_as_sent_or_re_encoded():
    request = signed("GET", f"{URL}/b/~?prefix=%c3%a9&a-b=1&a=2")  # the oracle signs the query as it stands
    assert judge(changed(request, target="/b/%7e?prefix=%c3%a9&a-b=1&a=2")).kind == "header"
    request = signed("GET", f"{URL}/b/%7e?a=2&a-b=1&prefix=%C3%A9")
    assert judge(changed(request, target="/b/%7e?prefix=%c3%a9&a-b=1&a=2")).kind == "header"


def test_canonical_queries():
    assert raw_query("a-b=1&a=%c3&acl&X-Amz-Signature=0&a=1=2") == "a=%c3&a=1=2&a-b=1&acl="
    assert encoded_query("a-b=1&a=%c3&&acl&X-Amz-Signature=0&b=x+y/~*&a=") == "a=&a=%C3&a-b=1&acl=&b=x%20y%2F~%2A"
    assert raw_query("") == encoded_query("") == ""


def test_a_plus_in_the_query_is_a_space():
    request = signed("GET", f"{URL}/b?prefix=a%20b")
    assert judge(changed(request, target="/b?prefix=a+b")).kind == "header"
    with pytest.raises(SignatureDoesNotMatch):
        judge(changed(signed("GET", f"{URL}/b?prefix=a%2Bb"), target="/b?prefix=a+b"))


def test_a_plus_in_the_path_is_a_plus():
    assert judge(changed(signed("GET", f"{URL}/b/a%2Bb"), target="/b/a+b")).kind == "header"
    with pytest.raises(SignatureDoesNotMatch):
        judge(changed(signed("GET", f"{URL}/b/a%20b"), target="/b/a+b"))


def test_the_path_is_never_normalised():
    for path in ("/b//k", "/b/./k", "/b/x/../k", "/b/k/", "//b/k"):
        assert judge(signed("GET", URL + path)).kind == "header"
        with pytest.raises(SignatureDoesNotMatch):
            judge(changed(signed("GET", URL + path), target="/b/k"))


def test_parameters_are_sorted_by_name_before_value_and_repeated_ones_by_value():
    request = signed("GET", f"{URL}/b?a=1&a-b=2&a=0&acl")
    assert judge(request).kind == "header"
    assert judge(changed(request, target="/b?acl&a-b=2&a=0&a=1")).kind == "header"


def test_blanks_inside_signed_values_collapse_and_repeated_headers_join():
    request = signed("PUT", f"{URL}/b/k", {"x-amz-meta-a": "one   two,three"})
    split = [*with_header(request, "x-amz-meta-a", None).headers, ("X-Amz-Meta-A", "one \t two"), ("x-amz-meta-a", "three")]
    assert judge(changed(request, headers=split)).kind == "header"


@pytest.mark.parametrize("spacing", [", ", ",", " ,  "])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_authorization_header_may_have_any_order_and_spacing(order, spacing):
    request = PUBLISHED[0]
    parts = request.header("authorization").removeprefix("AWS4-HMAC-SHA256 ").split(",")
    line = "AWS4-HMAC-SHA256 " + spacing.join(parts[i] for i in order)
    assert judge(with_header(request, "Authorization", line)).kind == "header"


def test_access_keys_may_contain_slashes():
    request = signed("GET", f"{URL}/b/k", form="query", access_key="team/ann")
    assert judge(request, credential=lambda key: Credential(key, SECRET) if key == "team/ann" else None).access_key == "team/ann"


@pytest.mark.parametrize("form", ["header", "query", "query-v2"])
def test_an_absolute_target_and_its_host_cannot_name_two_buckets(form):
    """The bucket comes from the absolute target; a signature over the Host header's bucket must not open it."""
    domains = ["s3.test"]
    request = signed("GET", "http://mine.s3.test/k", form=form, auth_path="/mine/k")
    for authority, accepted in (("mine.s3.test", True), ("MINE.s3.test:80", True), ("secret.s3.test", False), ("s3.test", False)):
        absolute = changed(request, target=f"http://{authority}{request.target}")
        target = parse_target(absolute.target, absolute.header("host") or "", domains)
        if accepted:
            assert judge(absolute, target=target, domains=domains).kind == form
            continue
        with pytest.raises(SignatureDoesNotMatch):
            judge(absolute, target=target, domains=domains)


# ---- time --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset_s", [-900, -1, 0, 899])
def test_fifteen_minutes_of_skew_are_allowed(offset_s):
    assert judge(PUBLISHED[0], now_s=NOW_S + offset_s).kind == "header"


@pytest.mark.parametrize("offset_s", [-901, 901, 86_400 * 365])
def test_more_skew_is_refused(offset_s):
    with pytest.raises(RequestTimeTooSkewed) as refused:
        judge(PUBLISHED[0], now_s=NOW_S + offset_s)
    assert refused.value.fields["RequestTime"] == "20130524T000000Z"
    assert refused.value.fields["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize("date", ["Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z", "Fri, 24 May 2013 00:00:00 -0000"])
def test_a_date_header_stands_in_for_x_amz_date(date):
    scope = "20130524/us-east-1/s3/aws4_request"
    canonical = f"GET\n/b/k\n\ndate:{date}\nhost:h\nx-amz-content-sha256:{EMPTY}\n\ndate;host;x-amz-content-sha256\n{EMPTY}"
    text = f"AWS4-HMAC-SHA256\n20130524T000000Z\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    made = signature(signing_key("s", "20130524", "us-east-1", "s3"), text)
    line = f"AWS4-HMAC-SHA256 Credential=AK/{scope}, SignedHeaders=date;host;x-amz-content-sha256, Signature={made}"
    request = Request("GET", "/b/k", [("Host", "h"), ("Date", date), ("x-amz-content-sha256", EMPTY), ("Authorization", line)])
    assert judge(request, credential=lambda key: Credential(key, "s")).kind == "header"


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "20130524", "2013-05-24T00:00:00Z", "20131324T000000Z", "99999999T999999Z", "٢٠١٣٠٥٢٤T000000Z"]
)
def test_no_usable_date_is_refused(date):
    with pytest.raises(AccessDenied, match="requires a valid Date or x-amz-date"):
        judge(with_header(PUBLISHED[0], "x-amz-date", date))


def test_the_scope_must_be_of_the_same_day():
    request = with_header(PUBLISHED[0], "x-amz-date", "20130525T000000Z")
    with pytest.raises(AuthorizationHeaderMalformed, match="Invalid credential date"):
        judge(request, now_s=NOW_S + 86_400)


@pytest.mark.parametrize("expires_s", [1, 604_800])
def test_a_presigned_request_is_good_until_it_expires(expires_s):
    request = signed("GET", f"{URL}/b/k", form="query", expires_s=expires_s)
    assert judge(request, now_s=NOW_S + expires_s).kind == "query"
    with pytest.raises(AccessDenied, match="Request has expired") as refused:
        judge(request, now_s=NOW_S + expires_s + 1)
    assert {"Expires", "ServerTime", "X-Amz-Expires"} <= set(refused.value.fields)


@pytest.mark.parametrize("expires", ["0", "-1", "-604801"])
def test_a_presigned_request_of_no_seconds_was_never_good(expires):
    with pytest.raises(AccessDenied, match="Request has expired"):
        judge(signed("GET", f"{URL}/b/k", form="query", expires_s=expires))


@pytest.mark.parametrize("expires", ["604801", "abc", "", "1.5", "1e3", "٣", "9" * 400])
def test_other_lifetimes_are_refused(expires):
    with pytest.raises(AuthorizationQueryParametersError):
        judge(signed("GET", f"{URL}/b/k", form="query", expires_s=expires))


def test_a_presigned_request_from_the_future_is_not_yet_valid():
    request = signed("GET", f"{URL}/b/k", form="query")
    assert judge(request, now_s=NOW_S - 900).kind == "query"
    with pytest.raises(AccessDenied, match="Request is not yet valid"):
        judge(request, now_s=NOW_S - 901)


# ---- the scope ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form, error", [("header", AuthorizationHeaderMalformed), ("query", AuthorizationQueryParametersError)])
def test_another_region_is_refused_and_ours_is_named(form, error):
    with pytest.raises(error, match="the region 'eu-west-1' is wrong; expecting 'us-east-1'") as refused:
        judge(signed("GET", f"{URL}/b", form=form, region="eu-west-1"))
    assert refused.value.fields["Region"] == "us-east-1"


@pytest.mark.parametrize("form, error", [("header", AuthorizationHeaderMalformed), ("query", AuthorizationQueryParametersError)])
@pytest.mark.parametrize("service", ["ec2", "iam", "s3-object-lambda", ""])
def test_another_service_is_refused(form, error, service):
    with pytest.raises(error):
        judge(signed("GET", f"{URL}/b", form=form, service=service))


@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize("region", ["", "us-east-1"])
def test_iam_and_sts_may_post_to_the_root(service, region):
    body = b"Action=ListRoles"
    request = signed("POST", f"{URL}/", service=service, region=region, body=body)
    assert judge(request).kind == "header"
    with pytest.raises(S3Error):
        judge(signed("POST", f"{URL}/b", service=service, region=region))


def test_iam_clients_do_not_state_the_digest_of_the_body():
    body = b"Action=ListRoles&Version=2010-05-08"
    request = signed("POST", f"{URL}/", form="plain", service="iam", region="", body=body)
    assert judge(request, body=body).kind == "header"
    with pytest.raises(SignatureDoesNotMatch):
        judge(request, body=body + b"x")
    with pytest.raises(InvalidRequest):
        judge(request)


@pytest.mark.parametrize("line", [
    "AWS4-HMAC-SHA256",
    "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request",
    "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=",
    "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0",
    "AWS4-HMAC-SHA256 Credential=/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
    "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws5_request, SignedHeaders=host, Signature=0",
    "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request, SignedHeaders=range, Signature=0",
    "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request, SignedHeaders=Host, Signature=0",
    "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;Range, Signature=0",
])  # fmt: skip
def test_malformed_authorization_headers_are_named(line):
    with pytest.raises(AuthorizationHeaderMalformed):
        judge(with_header(PUBLISHED[0], "Authorization", line))


@pytest.mark.parametrize("line, error", [
    ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", InvalidRequest),
    ("Bearer abc", InvalidArgument),
    ("Basic YTpi", InvalidArgument),
    ("nonsense", InvalidArgument),
    ("AWS4-ECDSA-P256-SHA256 Credential=a", NotImplementedS3),
    ("", AccessDenied),
])  # fmt: skip
def test_other_authorization_schemes_are_refused(line, error):
    with pytest.raises(error):
        judge(with_header(PUBLISHED[0], "Authorization", line))


def test_two_mechanisms_at_once_are_refused():
    both = Request("GET", PRESIGNED, PUBLISHED[0].headers)
    for request in (both, changed(both, target="/b/k?AWSAccessKeyId=a&Signature=b&Expires=1")):
        with pytest.raises(InvalidArgument, match="Only one auth mechanism allowed"):
            judge(request)


@pytest.mark.parametrize("missing", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_a_missing_presigned_parameter_is_named(missing):
    path, _, query = PRESIGNED.partition("?")
    rest = "&".join(pair for pair in query.split("&") if not pair.startswith(f"X-Amz-{missing}="))
    with pytest.raises(AuthorizationQueryParametersError, match="requires the X-Amz-Algorithm"):
        judge(Request("GET", f"{path}?{rest}", [("Host", HOST)]))


def test_an_unknown_key_is_told_apart_from_a_wrong_signature():
    with pytest.raises(InvalidAccessKeyId) as refused:
        judge(PUBLISHED[0], credential=lambda key: None)
    assert refused.value.fields == {"AWSAccessKeyId": ACCESS_KEY}


@pytest.mark.parametrize("form", ["header", "query", "query-v2"])
def test_a_session_token_with_a_long_term_key_is_invalid(form):
    with pytest.raises(InvalidToken):
        judge(signed("GET", f"{URL}/b/k", form=form, token="token"))


# ---- headers outside the signature -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["header", "query"])
def test_x_amz_headers_must_be_signed(form):
    request = signed("PUT", f"{URL}/b/k", form=form)
    loose = changed(request, headers=[*request.headers, ("X-Amz-Acl", "public-read")])
    with pytest.raises(AccessDenied, match="which were not signed") as refused:
        judge(loose)
    assert refused.value.fields["HeadersNotSigned"] == "x-amz-acl"


def test_other_unsigned_headers_are_nobodys_business():
    request = signed("GET", f"{URL}/b/k", form="query")
    assert judge(changed(request, headers=[*request.headers, ("Range", "bytes=0-1"), ("X-Amzn-Trace-Id", "1")])).kind == "query"


def test_headers_in_the_query_of_a_presigned_request_are_hoisted():
    url = f"{URL}/b/k?X-Amz-Acl=private&x-amz-meta-a=%C3%A9&x-id=PutObject&partNumber=1"
    who = judge(signed("PUT", url, {"x-amz-meta-b": "sent"}, "query"))
    assert dict(who.hoisted) == {"x-amz-acl": "private", "x-amz-meta-a": "é".encode().decode("latin-1")}


def test_checksums_of_a_body_that_nobody_had_yet_are_not_hoisted():
    """SDKs sign the checksum of no bytes into the URLs of uploads."""
    sums = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&X-Amz-Checksum-Sha256=x"
    wishes = "x-amz-checksum-mode=ENABLED&x-amz-checksum-algorithm=CRC32&x-amz-checksum-type=COMPOSITE"
    who = judge(signed("PUT", f"{URL}/b/k?{sums}&{wishes}", form="query"))
    assert sorted(who.hoisted) == ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"]


# ---- the payload -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value, kind, chunks, trailers", [
    ("UNSIGNED-PAYLOAD", "unsigned", False, False),
    ("a" * 64, "signed", False, False),
    ("A" * 64, "signed", False, False),
    ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "streaming", True, False),
    ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "streaming", True, True),
    ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "streaming", False, True),
])  # fmt: skip
def test_the_payload_forms(monkeypatch, value, kind, chunks, trailers):
    monkeypatch.setattr(S3SigV4Auth, "payload", lambda self, request: value)
    who = judge(signed("PUT", f"{URL}/b/k"))
    assert (who.payload.kind, who.payload.signed_chunks, who.payload.trailers) == (kind, chunks, trailers)
    assert who.payload.sha256 == ("a" * 64 if kind == "signed" else None)
    assert (who.seed is not None) == chunks
    if who.seed:
        assert who.seed.scope == "20130524/us-east-1/s3/aws4_request" and len(who.seed.signature) == 64


@pytest.mark.parametrize("value, error", [
    ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", NotImplementedS3),
    ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", NotImplementedS3),
    ("STREAMING-AWS4-HMAC-SHA256-EVENTS", NotImplementedS3),
    ("invalid", InvalidArgument),
    ("", InvalidArgument),
    ("g" * 64, InvalidArgument),
    ("a" * 63, InvalidArgument),
    (None, InvalidRequest),
])  # fmt: skip
def test_other_payload_forms_are_refused(value, error):
    with pytest.raises(error):
        judge(with_header(PUBLISHED[0], "x-amz-content-sha256", value))


def test_a_presigned_request_may_sign_the_digest_of_its_body():
    request = signed("PUT", f"{URL}/b/k", {"x-amz-content-sha256": "a" * 64}, "query")
    assert judge(request).payload.sha256 == "a" * 64
    for other in ("b" * 64, "UNSIGNED-PAYLOAD", None):
        with pytest.raises((SignatureDoesNotMatch, InvalidArgument)):
            judge(with_header(request, "x-amz-content-sha256", other))


@pytest.mark.parametrize("sent, kind", [("a" * 64, "signed"), ("UNSIGNED-PAYLOAD", "unsigned")])
def test_an_unsigned_digest_beside_a_presigned_request_is_a_check_of_the_body(sent, kind):
    request = signed("PUT", f"{URL}/b/k", form="query")
    assert judge(with_header(request, "x-amz-content-sha256", sent)).payload.kind == kind


def test_a_presigned_request_may_say_unsigned_payload_in_its_query():
    assert judge(signed("PUT", f"{URL}/b/k?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", form="query")).payload.kind == "unsigned"


def test_anonymous_chunked_bodies_are_recognised_and_signed_ones_make_no_sense():
    framing = [("Host", "h"), ("Content-Encoding", "aws-chunked"), ("X-Amz-Decoded-Content-Length", "3"), ("X-Amz-Trailer", "x")]
    payload = judge(Request("PUT", "/b/k", framing)).payload
    assert (payload.kind, payload.trailers, payload.signed_chunks) == ("streaming", True, False)
    with pytest.raises(InvalidRequest):
        judge(Request("PUT", "/b/k", [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")]))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(max_codepoint=255), max_size=80), st.text(st.characters(max_codepoint=255), max_size=40))
def test_garbage_is_refused_with_an_s3_error(line, date):
    request = Request("GET", "/b/k", [("Host", "h"), ("Date", date), ("Authorization", "AWS4-HMAC-SHA256 " + line)])
    with pytest.raises(S3Error):
        judge(request)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([f"X-Amz-{n}" for n in ("Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires")]),
        st.text(max_size=20),
        min_size=3,
    )
)
def test_garbage_in_the_query_is_refused_with_an_s3_error(query):
    with pytest.raises(S3Error):
        if judge(Request("GET", "/b/k?x", [("Host", "h")]), target=Target("/b/k", "x", query, "h")).kind == "anonymous":
            raise AccessDenied()
