"""Who may ask: header signatures, presigned URLs of both versions, and everything that makes them wrong."""

from __future__ import annotations

import os
import time
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
import requests
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.running import RunningServer
from tests.s3.asking import etag, read, refused
from tests.s3.raw import EMPTY_SHA256, UNSIGNED, Raw

DAY_S = 86400


def presign(server, operation, version="s3v4", expires=300, **params):
    return server.client(signature_version=version).generate_presigned_url(operation, Params=params, ExpiresIn=expires)


# ---- presigned ------------------------------------------------------------------------------------------------------------------

METHODS = [("put_object", "PUT", 200), ("get_object", "GET", 200), ("head_object", "HEAD", 200), ("delete_object", "DELETE", 204)]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("key", ["k", "a b+c/ü", "//x"])
def test_every_method_can_be_presigned(server, s3, bucket, version, key):
    for operation, method, status in METHODS:
        link = presign(server, operation, version, Bucket=bucket, Key=key)
        assert ("X-Amz-Signature" in link) == (version == "s3v4")
        answer = requests.request(method, link, data=b"data" if method == "PUT" else None, timeout=10)
        assert answer.status_code == status, answer.text
        if method == "GET":
            assert answer.content == b"data"
    with refused("NoSuchKey"):
        read(s3, bucket, key)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_other_operations_can_be_presigned_too(server, s3, bucket, version):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    assert "<Key>k</Key>" in requests.get(presign(server, "list_objects_v2", version, Bucket=bucket), timeout=10).text
    assert requests.head(presign(server, "head_bucket", version, Bucket=bucket), timeout=10).status_code == 200
    link = presign(
        server, "get_object", version, Bucket=bucket, Key="k", ResponseContentType="text/x", ResponseContentDisposition="attachment"
    )
    answer = requests.get(link, timeout=10)
    assert answer.headers["content-type"] == "text/x" and answer.headers["content-disposition"] == "attachment"
    begun = requests.post(presign(server, "create_multipart_upload", version, Bucket=bucket, Key="m"), timeout=10)
    upload_id = begun.text.partition("<UploadId>")[2].partition("<")[0]
    part = requests.put(
        presign(server, "upload_part", version, Bucket=bucket, Key="m", UploadId=upload_id, PartNumber=1), data=b"p" * 50_000, timeout=10
    )
    assert part.status_code == 200, part.text
    document = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
    )
    done = requests.post(
        presign(server, "complete_multipart_upload", version, Bucket=bucket, Key="m", UploadId=upload_id), data=document, timeout=10
    )
    assert done.status_code == 200, done.text
    assert read(s3, bucket, "m") == b"p" * 50_000


def test_headers_in_a_presigned_put_must_come_as_signed(server, s3, bucket):
    link = presign(server, "put_object", Bucket=bucket, Key="k", ContentType="text/plain", Metadata={"a": "1"})
    assert requests.put(link, data=b"x", timeout=10).status_code == 403
    assert requests.put(link, data=b"x", headers={"Content-Type": "text/html", "x-amz-meta-a": "1"}, timeout=10).status_code == 403
    assert requests.put(link, data=b"x", headers={"Content-Type": "text/plain", "x-amz-meta-a": "1"}, timeout=10).status_code == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "1"}


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_an_expired_link_is_AccessDenied(server, s3, bucket, version):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    link = presign(server, "get_object", version, 1, Bucket=bucket, Key="k")
    assert requests.get(link, timeout=10).status_code == 200
    time.sleep(2.1)
    answer = requests.get(link, timeout=10)
    assert answer.status_code == 403 and "<Code>AccessDenied</Code>" in answer.text and "expired" in answer.text


@pytest.mark.parametrize("expires", [604801, 0, -1, 10**12])
def test_a_link_lives_seven_days_at_most(server, bucket, expires):
    asked = AWSRequest("GET", f"{server.url}/{bucket}/k")
    S3SigV4QueryAuth(Credentials(server.access_key, server.secret_key), "s3", server.region, expires=expires).add_auth(asked)
    answer = requests.get(asked.url, timeout=10)
    assert answer.status_code in (400, 403), answer.text
    assert requests.get(presign(server, "get_object", "s3v4", 604800, Bucket=bucket, Key="k"), timeout=10).status_code == 404


def changed(link, **query):
    parts = urlsplit(link)
    pairs = dict(parse_qsl(parts.query)) | query
    return parts._replace(query=urlencode({name: value for name, value in pairs.items() if value is not None})).geturl()


@pytest.mark.parametrize(
    "change",
    [
        {"X-Amz-Signature": "0" * 64},
        {"X-Amz-Signature": "x"},
        {"X-Amz-Signature": None},
        {"X-Amz-Expires": "3000"},
        {"X-Amz-Expires": "x"},
        {"X-Amz-Expires": None},
        {"X-Amz-Date": "20200101T000000Z"},
        {"X-Amz-Date": "x"},
        {"X-Amz-Date": None},
        {"X-Amz-Credential": "x"},
        {"X-Amz-Credential": "AKIANOBODY/20260101/us-east-1/s3/aws4_request"},
        {"X-Amz-Algorithm": "AWS4-HMAC-SHA512"},
        {"X-Amz-SignedHeaders": ""},
        {"X-Amz-SignedHeaders": "host;x-amz-date"},
        {"response-content-type": "text/html"},
        {"versionId": "null"},
    ],
    ids=str,
)
def test_a_changed_link_is_refused(server, s3, bucket, change):
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    answer = requests.get(changed(presign(server, "get_object", Bucket=bucket, Key="k"), **change), timeout=10)
    assert answer.status_code in (400, 403) and b"secret" not in answer.content, answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"Signature": "AAAA"},
        {"Expires": "4000000000"},
        {"Expires": "x"},
        {"AWSAccessKeyId": "NOBODY"},
        {"Signature": None},
        {"Expires": None},
        {"versionId": "null"},
    ],
    ids=str,
)
def test_a_changed_v2_link_is_refused(server, s3, bucket, change):
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    answer = requests.get(changed(presign(server, "get_object", "s3", Bucket=bucket, Key="k"), **change), timeout=10)
    assert answer.status_code in (400, 403) and b"secret" not in answer.content, answer.text


def test_a_link_is_for_its_method_key_and_bucket(server, s3, bucket, new_bucket):
    other = new_bucket()
    for name in (bucket, other):
        s3.put_object(Bucket=name, Key="k", Body=b"secret")
        s3.put_object(Bucket=name, Key="l", Body=b"secret")
    for version in ("s3v4", "s3"):
        link = presign(server, "get_object", version, Bucket=bucket, Key="k")
        assert requests.put(link, data=b"x", timeout=10).status_code == 403
        assert requests.delete(link, timeout=10).status_code == 403
        assert requests.get(link.replace("/k?", "/l?"), timeout=10).status_code == 403
        assert requests.get(link.replace(bucket, other), timeout=10).status_code == 403


def test_v2_links_can_be_switched_off():
    with RunningServer(processes=1, environ={"MAXIOFS_PRESIGNED_V2": "false"}) as running:
        s3 = running.client()
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=b"x")
        old, new = (presign(running, "get_object", version, Bucket="bucket", Key="k") for version in ("s3", "s3v4"))
        assert (requests.get(old, timeout=10).status_code, requests.get(new, timeout=10).status_code) in ((400, 200), (403, 200))


def test_a_signature_in_header_and_query_is_refused(server, raw: Raw, bucket):
    link = urlsplit(presign(server, "get_object", Bucket=bucket, Key="k"))
    answer = raw("GET", f"{link.path}?{link.query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer


# ---- header signatures ----------------------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_SignatureDoesNotMatch(server, bucket):
    with refused("SignatureDoesNotMatch", status=403) as told:
        server.client(credentials=(server.access_key, "wrong")).list_objects_v2(Bucket=bucket)
    assert told.error["AWSAccessKeyId"] == server.access_key and told.error["StringToSign"] and told.error["CanonicalRequest"]
    assert server.secret_key not in str(told.error)


def test_an_unknown_key_is_InvalidAccessKeyId(server, bucket):
    with refused("InvalidAccessKeyId", status=403):
        server.client(credentials=("AKIANOBODY", "wrong")).list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    ("off_s", "fine"),
    [(0, True), (-14 * 60, True), (14 * 60, True), (-16 * 60, False), (16 * 60, False), (-DAY_S, False), (400 * DAY_S, False)],
)
def test_the_clock_may_be_15_minutes_off(raw: Raw, bucket, off_s, fine):
    answer = raw("GET", f"/{bucket}?list-type=2", at_s=time.time() + off_s)
    if fine:
        assert answer.status == 200, answer
    else:
        assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed"), answer


CHANGES = {
    "method": lambda method, target, headers: ("PUT", target, headers),
    "path": lambda method, target, headers: (method, target.replace("/k", "/l"), headers),
    "query": lambda method, target, headers: (method, target + "?partNumber=1", headers),
    "header": lambda method, target, headers: (method, target, [(n, "2" if n == "x-amz-meta-a" else v) for n, v in headers]),
    "header gone": lambda method, target, headers: (method, target, [(n, v) for n, v in headers if n != "x-amz-meta-a"]),
    "header more": lambda method, target, headers: (method, target, [*headers, ("x-amz-meta-b", "1")]),
    "date": lambda method, target, headers: (method, target, [(n, "20260101T000000Z" if n == "x-amz-date" else v) for n, v in headers]),
    "payload": lambda method, target, headers: (method, target, [(n, UNSIGNED if n == "x-amz-content-sha256" else v) for n, v in headers]),
    "no payload": lambda method, target, headers: (method, target, [(n, v) for n, v in headers if n != "x-amz-content-sha256"]),
    "no date": lambda method, target, headers: (method, target, [(n, v) for n, v in headers if n != "x-amz-date"]),
    "host": lambda method, target, headers: (method, target, [(n, "elsewhere.example.com" if n == "Host" else v) for n, v in headers]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_request_is_refused(raw: Raw, s3, bucket, what):
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    signed = raw.signed("GET", f"/{bucket}/k", [("x-amz-meta-a", "1")])
    assert raw.send("GET", f"/{bucket}/k", signed).status == 200
    answer = raw.send(*CHANGES[what]("GET", f"/{bucket}/k", signed))
    assert answer.status in (400, 403) and b"secret" not in answer.body, answer
    assert read(s3, bucket, "k") == b"secret"


AUTHORIZATIONS = [
    "",
    "x",
    "AWS4-HMAC-SHA256",
    "AWS4-HMAC-SHA256 ",
    "AWS4-HMAC-SHA256 Credential=x",
    "Basic dXNlcjpwYXNz",
    "Bearer x",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=,Signature=",
    "AWS AKIATESTROOT00000000:AAAA",
    "AWS4-ECDSA-P256-SHA256 Credential=a/b/s3/aws4_request,SignedHeaders=host,Signature=00",
    "\xff" * 20,
    "A" * 6000,
]


@pytest.mark.parametrize("value", AUTHORIZATIONS, ids=range(len(AUTHORIZATIONS)))
def test_an_authorization_that_is_none_is_a_clear_error(raw: Raw, bucket, value):
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = [("x-amz-date", date), ("x-amz-content-sha256", EMPTY_SHA256), ("Authorization", value)]
    answer = raw("GET", f"/{bucket}", headers, sign=False)
    assert answer.status in (400, 403, 501) and answer.code, answer


@pytest.mark.parametrize(
    ("how", "codes"),
    [
        ({"region": "eu-west-1"}, ("AuthorizationHeaderMalformed",)),
        ({"service": "ec2"}, ("AuthorizationHeaderMalformed", "SignatureDoesNotMatch")),
    ],
)
def test_a_scope_for_elsewhere_is_refused(raw: Raw, bucket, how, codes):
    answer = raw("GET", f"/{bucket}", **how)
    assert answer.status in (400, 403) and answer.code in codes, answer


def test_an_unsigned_amz_header_is_refused(raw: Raw, bucket):
    answer = raw("PUT", f"/{bucket}/k", [("x-amz-meta-a", "1")], b"x", unsigned=["x-amz-meta-a"])
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer


@pytest.mark.parametrize(
    "path",
    [
        "a~b",
        "a%7Eb",
        "a%2fb",
        "a%2Fb",
        "a/b",
        "%C3%BC",
        "%c3%bc",
        "a b".replace(" ", "%20"),
        "a+b",
        "a%2Bb",
        "(a)",
        "!*'",
        "a=b",
        "a,b",
        "a:b",
        "@",
    ],
)
def test_a_path_may_be_signed_as_it_is_written(raw: Raw, bucket, path):
    assert raw("PUT", f"/{bucket}/{path}", body=b"x").status == 200


@pytest.mark.parametrize(
    "query", ["prefix=a%20b", "prefix=a+b", "prefix=a%2fb", "prefix=a/b", "prefix=%C3%BC", "prefix", "prefix=", "prefix=a&delimiter=%2F"]
)
def test_a_query_may_be_written_in_any_way(raw: Raw, bucket, query):
    signed = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in parse_qsl(query, keep_blank_values=True))
    headers = raw.signed("GET", f"/{bucket}?{signed}")
    answer = raw.send("GET", f"/{bucket}?{query}", headers)
    assert answer.status == 200, answer


def test_default_port_in_host_may_be_left_out_or_not(raw: Raw, bucket):
    for signed_host, sent_host in (("s3.example.com:80", "s3.example.com"), ("s3.example.com", "s3.example.com")):
        headers = [(n, sent_host if n == "Host" else v) for n, v in raw.signed("GET", f"/{bucket}", host=signed_host)]
        assert raw.send("GET", f"/{bucket}", headers).status == 200, (signed_host, sent_host)


# ---- others ---------------------------------------------------------------------------------------------------------------------


def test_the_expected_bucket_owner_must_be_the_owner(s3, bucket):
    owner = s3.list_buckets()["Owner"]["ID"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=owner)
    for act in (
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"y", ExpectedBucketOwner="111122223333"),
        lambda: s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner="111122223333"),
        lambda: s3.delete_object(Bucket=bucket, Key="k", ExpectedBucketOwner="111122223333"),
        lambda: s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="111122223333"),
        lambda: s3.delete_bucket(Bucket=bucket, ExpectedBucketOwner="111122223333"),
    ):
        with refused("AccessDenied", status=403):
            act()
    assert read(s3, bucket, "k", ExpectedBucketOwner=owner) == b"x"


def test_virtual_host_style():
    with RunningServer(processes=1, environ={"MAXIOFS_DOMAIN": "s3.test,other.test"}) as running:
        raw, s3 = Raw(running), running.client()
        s3.create_bucket(Bucket="my.bucket")
        for domain in ("s3.test", "other.test", "S3.TEST:1234"):
            for target, key in (("/k", "k"), ("/a//b", "a//b"), ("/my.bucket/x", "my.bucket/x")):
                assert raw("PUT", target, body=b"data", host=f"my.bucket.{domain}").status == 200
                assert read(s3, "my.bucket", key) == b"data"
            listed = raw("GET", "/?list-type=2", host=f"my.bucket.{domain}")
            assert listed.status == 200 and listed.xml.findtext("Name") == "my.bucket"
            assert raw("GET", "/", host=domain).xml.tag == "ListAllMyBucketsResult"
        assert raw("GET", "/my.bucket/k", host="s3.test").body == b"data"
        assert raw("GET", "/my.bucket/k", host="192.168.0.1").body == b"data"


def test_same_request_twice_is_allowed_within_its_time(raw: Raw, bucket):
    headers = [*raw.signed("PUT", f"/{bucket}/k", sha256=UNSIGNED), ("Content-Length", "1")]
    assert [raw.send("PUT", f"/{bucket}/k", headers, b"x").status for _ in range(2)] == [200, 200]
    assert raw("HEAD", f"/{bucket}/k").headers["etag"] == etag(b"x")


def test_random_secrets_never_match(raw: Raw, bucket):
    for _ in range(20):
        assert Raw(raw.server, secret_key=os.urandom(20).hex())("GET", f"/{bucket}").status == 403
