"""Websites: their configuration, and what browsers get to see, by host and by path.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.running import RunningServer

DOMAIN = "web.test"
PLAIN = {"IndexDocument": {"Suffix": "index.html"}}
PAGES = PLAIN | {"ErrorDocument": {"Key": "errors/404.html"}}


@pytest.fixture(scope="module")
def host() -> Iterator[RunningServer]:
    """A server whose buckets are websites below a domain."""
    with RunningServer(environ={"MAXIOFS_WEBSITE_DOMAIN": DOMAIN, "MAXIOFS_DOMAIN": "s3.test"}) as running:
        yield running


@pytest.fixture
def site(host) -> str:
    """A bucket that everybody may read."""
    s3, name = host.client(), f"site-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    s3.delete_public_access_block(Bucket=name)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    listing = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{name}"}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement, listing]}))
    for key in ("index.html", "a/index.html", "errors/404.html", "file.txt"):
        s3.put_object(Bucket=name, Key=key, Body=f"this is {key}".encode(), ContentType="text/html")
    return name


def configure(host, site: str, configuration: dict[str, Any]) -> None:
    host.client().put_bucket_website(Bucket=site, WebsiteConfiguration=configuration)


def visit(host, site: str, path: str, method: str = "GET", **how: Any) -> requests.Response:
    headers = {"Host": f"{site}.{DOMAIN}", **how.pop("headers", {})}
    return requests.request(method, host.url + path, headers=headers, allow_redirects=False, timeout=30, **how)


def test_a_configuration_comes_back_as_it_was_put(s3, bucket):
    full = PAGES | {"RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "old/", "HttpErrorCodeReturnedEquals": "404"},
         "Redirect": {"HostName": "example.com", "Protocol": "https", "ReplaceKeyPrefixWith": "new/", "HttpRedirectCode": "302"}}]}
    for configuration in (full, PLAIN, {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}):
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)
        found = s3.get_bucket_website(Bucket=bucket)
        del found["ResponseMetadata"]
        assert found == configuration
    s3.delete_bucket_website(Bucket=bucket)
    s3.delete_bucket_website(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_website(Bucket=bucket)
    assert caught.value.response["Error"]["Code"] == "NoSuchWebsiteConfiguration"


def rule(redirect: dict[str, str], condition: dict[str, str] | None = None) -> dict[str, Any]:
    return PLAIN | {"RoutingRules": [{"Redirect": redirect} | ({"Condition": condition} if condition is not None else {})]}


@pytest.mark.parametrize(("configuration", "code"), [
    ({}, "InvalidArgument"),
    ({"ErrorDocument": {"Key": "e"}}, "InvalidArgument"),
    ({"IndexDocument": {"Suffix": ""}}, "InvalidArgument"),
    ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
    (PLAIN | {"RedirectAllRequestsTo": {"HostName": "h"}}, "InvalidArgument"),
    ({"RedirectAllRequestsTo": {"HostName": "h/x"}}, "InvalidRequest"),
    ({"RedirectAllRequestsTo": {"HostName": "h", "Protocol": "ftp"}}, "InvalidRequest"),
    (rule({"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}), "InvalidRequest"),
    (rule({}), "InvalidRequest"),
    (rule({"ReplaceKeyWith": "a"}, {}), "InvalidRequest"),
    (rule({"ReplaceKeyWith": "a"}, {"HttpErrorCodeReturnedEquals": "200"}), "InvalidRequest"),
    (rule({"HttpRedirectCode": "304"}), "InvalidRequest"),
    (rule({"HttpRedirectCode": "200"}), "InvalidRequest"),
    (PLAIN | {"RoutingRules": [{"Redirect": {"ReplaceKeyWith": "a"}}] * 51}, "InvalidRequest"),
])
def test_what_is_no_configuration_changes_nothing(s3, bucket, configuration, code):
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=PLAIN)
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)
    assert caught.value.response["Error"]["Code"] == code
    assert s3.get_bucket_website(Bucket=bucket)["IndexDocument"] == PLAIN["IndexDocument"]


def test_index_documents_and_objects(host, site):
    configure(host, site, PLAIN)
    for path, key in (("/", "index.html"), ("/a/", "a/index.html"), ("/file.txt", "file.txt"), ("/a/?x=1&acl", "a/index.html"),
                      ("/?versionId=nonsense", "index.html")):
        reply = visit(host, site, path)
        assert (reply.status_code, reply.text, reply.headers["Content-Type"]) == (200, f"this is {key}", "text/html")
        assert visit(host, site, path, "HEAD").headers["Content-Length"] == str(len(f"this is {key}"))
    assert visit(host, site, "/file.txt", headers={"Range": "bytes=0-3"}).text == "this"
    etag = visit(host, site, "/").headers["ETag"]
    reply = visit(host, site, "/", headers={"If-None-Match": etag})
    assert (reply.status_code, reply.content, reply.headers.get("Content-Type")) == (304, b"", None)
    assert visit(host, site, "/", headers={"If-Match": '"x"'}).status_code == 412
    reply = visit(host, site, "/file.txt", headers={"Range": "bytes=100-"})
    assert (reply.status_code, reply.headers["Content-Range"]) == (416, "bytes */16")


def test_a_folder_without_its_slash(host, site):
    configure(host, site, PAGES)
    reply = visit(host, site, "/a?x")
    assert (reply.status_code, reply.headers["Location"]) == (302, "/a/")
    assert visit(host, site, "/b").status_code == 404
    host.client().put_object(Bucket=site, Key="/other.test/index.html", Body=b"x")
    assert visit(host, site, "//other.test").headers["Location"] == f"http://{site}.{DOMAIN}//other.test/"     # and not of that host


def test_errors_are_pages(host, site):
    configure(host, site, PLAIN)
    reply = visit(host, site, "/no<such>")
    assert reply.status_code == 404 and reply.headers["Content-Type"].startswith("text/html")
    assert "<li>Code: NoSuchKey</li>" in reply.text and "no&lt;such&gt;" in reply.text and "<such>" not in reply.text
    assert reply.headers["x-amz-error-code"] == "NoSuchKey"
    assert visit(host, site, "/none", "HEAD").content == b""
    strange = requests.get(host.url, headers={"Host": f"<script>.{DOMAIN}"}, timeout=30)
    assert strange.status_code == 404 and "&lt;script&gt;" in strange.text and "<script>" not in strange.text
    configure(host, site, PAGES)
    for method in ("GET", "HEAD"):
        reply = visit(host, site, "/none", method, headers={"If-Match": '"x"', "Range": "bytes=90-"})
        assert reply.status_code == 404 and reply.text == ("this is errors/404.html" if method == "GET" else "")
    host.client().delete_object(Bucket=site, Key="errors/404.html")
    assert "<li>Code: NoSuchKey</li>" in visit(host, site, "/none").text


def test_what_is_no_website(host, site):
    reply = visit(host, site, "/")
    assert reply.status_code == 404 and "NoSuchWebsiteConfiguration" in reply.text
    assert "NoSuchBucket" in visit(host, "no-such-site-anywhere", "/").text
    configure(host, site, PLAIN)
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        reply = visit(host, site, "/index.html", method, data=b"x")
        assert reply.status_code == 405 and "MethodNotAllowed" in reply.text
    assert visit(host, site, "/%ff").status_code == 400


def test_a_website_shows_what_everybody_may_read_and_no_more(host, site):
    """Also to those who sign: nobody is anybody there."""
    s3 = host.client()
    configure(host, site, PAGES)
    s3.delete_bucket_policy(Bucket=site)
    for path in ("/", "/file.txt", "/a", "/none"):
        reply = visit(host, site, path)
        assert (reply.status_code, reply.headers["x-amz-error-code"]) == (403, "AccessDenied"), path
    link = s3.generate_presigned_url("get_object", Params={"Bucket": site, "Key": "index.html"})
    assert visit(host, site, "/index.html?" + link.partition("?")[2]).status_code == 403
    assert visit(host, site, "/", headers={"Authorization": "AWS4-HMAC-SHA256 nonsense"}).status_code == 403


def test_every_way_to_let_everybody_read_counts_and_every_way_not_to(host, site):
    """Object ACLs, denials with conditions, blocks of public access, and buckets whose requester pays."""
    s3 = host.client()
    configure(host, site, PLAIN)
    s3.put_bucket_ownership_controls(Bucket=site, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_bucket_policy(Bucket=site)
    s3.put_object_acl(Bucket=site, Key="index.html", ACL="public-read")
    assert [visit(host, site, path).status_code for path in ("/", "/file.txt")] == [200, 403]
    s3.put_bucket_policy(Bucket=site, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{site}/*",
        "Condition": {"StringNotLike": {"aws:Referer": "https://page.test/*"}}}]}))
    assert visit(host, site, "/").status_code == 403
    assert visit(host, site, "/", headers={"Referer": "https://page.test/a"}).status_code == 200
    s3.delete_bucket_policy(Bucket=site)
    s3.put_bucket_request_payment(Bucket=site, RequestPaymentConfiguration={"Payer": "Requester"})
    assert visit(host, site, "/", headers={"x-amz-request-payer": "requester"}).status_code == 403
    s3.put_bucket_request_payment(Bucket=site, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    s3.put_public_access_block(Bucket=site, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert visit(host, site, "/").status_code == 403


def test_an_error_document_that_nobody_may_read_is_not_shown(host, site):
    s3 = host.client()
    configure(host, site, PAGES)
    s3.put_bucket_policy(Bucket=site, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{site}/index.html"}]}))
    reply = visit(host, site, "/none")
    assert reply.status_code == 403 and "<li>Code: AccessDenied</li>" in reply.text


def test_pages_of_other_origins(host, site):
    configure(host, site, PAGES)
    host.client().put_bucket_cors(Bucket=site, CORSConfiguration={"CORSRules": [
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://page.test"]}]})
    asking = {"Origin": "https://page.test", "Access-Control-Request-Method": "GET"}
    for path, method, status in (("/", "GET", 200), ("/none", "GET", 404), ("/a", "GET", 302), ("/", "OPTIONS", 200)):
        reply = visit(host, site, path, method, headers=asking)
        assert (reply.status_code, reply.headers.get("Access-Control-Allow-Origin")) == (status, "https://page.test"), path


@pytest.mark.parametrize("location", ["example.com", "javascript:alert(1)", "ftp://h/", "/" + "x" * 2048])
def test_what_an_object_cannot_redirect_to(s3, bucket, location):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    for call in (lambda: s3.put_object(Bucket=bucket, Key="k", WebsiteRedirectLocation=location),
                 lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", WebsiteRedirectLocation=location),
                 lambda: s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", WebsiteRedirectLocation=location)):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "InvalidRedirectLocation"


@pytest.mark.parametrize(("configuration", "path", "status", "location"), [
    ({"RedirectAllRequestsTo": {"HostName": "example.com"}}, "/a%20b?c", 301, "http://example.com/a%20b"),
    ({"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}, "/", 301, "https://example.com/"),
    (rule({"ReplaceKeyWith": "x.html"}, {"KeyPrefixEquals": "old/"}), "/old/1", 301, "http://SITE/x.html"),
    (rule({"ReplaceKeyPrefixWith": "new/", "HttpRedirectCode": "307"}, {"KeyPrefixEquals": "old/"}), "/old/1", 307, "http://SITE/new/1"),
    (rule({"HostName": "e.org"}, {"KeyPrefixEquals": "file"}), "/file.txt", 301, "http://e.org/file.txt"),
    (rule({"HostName": "e.org"}, {"KeyPrefixEquals": "file"}), "/index.html", 200, None),
    (rule({"HostName": "e.org"}, {"HttpErrorCodeReturnedEquals": "404"}), "/none/1", 301, "http://e.org/none/1"),
    (rule({"HostName": "e.org"}, {"HttpErrorCodeReturnedEquals": "404"}), "/file.txt", 200, None),
    (rule({"HostName": "e.org"}, {"HttpErrorCodeReturnedEquals": "403"}), "/none", 404, None),
    (rule({"HostName": "e.org"}, {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "x"}), "/none", 404, None),
    (rule({"ReplaceKeyPrefixWith": "#!/"}, {"HttpErrorCodeReturnedEquals": "404"}), "/none", 301, "http://SITE/#!/none"),
    (rule({"HostName": "e.org"}), "/%0d%0aSet-Cookie:a", 301, "http://e.org/%0D%0ASet-Cookie%3Aa"),
])
def test_redirects(host, site, configuration, path, status, location):
    configure(host, site, configuration)
    reply = visit(host, site, path)
    wanted = location.replace("SITE", f"{site}.{DOMAIN}") if location else None
    assert (reply.status_code, reply.headers.get("Location")) == (status, wanted)


def test_an_object_may_redirect(host, site):
    configure(host, site, PLAIN)
    for target in ("/file.txt", "https://example.com/?q=1"):
        host.client().put_object(Bucket=site, Key="moved", WebsiteRedirectLocation=target)
        reply = visit(host, site, "/moved")
        assert (reply.status_code, reply.headers["Location"], reply.content) == (301, target, b"")
    assert requests.get(f"{host.url}/{site}/moved", timeout=30).status_code == 200      # as an object it is one


def test_by_path(host, site):
    configure(host, site, rule({"ReplaceKeyWith": "file.txt"}, {"KeyPrefixEquals": "old"}))

    def get(path: str) -> requests.Response:
        return requests.get(host.url + path, headers={"Host": DOMAIN}, allow_redirects=False, timeout=30)

    assert get(f"/{site}/").text == "this is index.html"
    assert get(f"/{site}").headers["Location"] == f"/{site}/"
    assert get(f"/{site}/a").headers["Location"] == f"/{site}/a/"
    assert get(f"/{site}/old").headers["Location"] == f"http://{DOMAIN}/{site}/file.txt"
    assert get("/").status_code == 400


def test_the_other_hosts_stay_what_they_are(host, site):
    """Virtual-host style and path style of the same server, signed."""
    configure(host, site, PLAIN)
    s3 = host.client()
    assert s3.get_object(Bucket=site, Key="index.html")["Body"].read() == b"this is index.html"
    reply = requests.get(f"{host.url}/index.html", headers={"Host": f"{site}.s3.test"}, timeout=30)
    assert reply.text == "this is index.html"
    assert requests.get(f"{host.url}/", headers={"Host": f"{site}.s3.test"}, timeout=30).text.startswith("<?xml")
