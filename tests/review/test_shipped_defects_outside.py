"""Shipped defects 45 to 62: what comes from outside, and what goes out. The list is in test_shipped_defects.py."""

from __future__ import annotations

import ast
import http.client
import itertools
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from shared.settings import ROOT
from tests.admin.admin_client import unique
from tests.admin.signing_people import PASSWORD, Guarded, refused
from tests.files import content
from tests.review.defects import bucket, guarded, of, raw, secret_part, sure
from tests.running import RunningServer
from tests.s3.raw import Raw

__all__ = ["bucket", "guarded", "raw"]
LONG = b"x" * 40_000        # more than what is kept in the database


def console(guarded: Guarded, method: str, target: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    """One request to the console's listener with exactly this target: (status, headers, body)."""
    connection = http.client.HTTPConnection(urlsplit(guarded.server.console_url).netloc, timeout=30)
    try:
        connection.putrequest(method, target, skip_host="Host" in (headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


# ---- what comes from outside ------------------------------------------------------------------------------------------------------


def test_45_no_path_that_looks_like_a_public_one_is_open(guarded):
    token = guarded.root.ok.post("/auth/tokens", {"name": unique()})["token"]
    public = ("auth/login", "auth/2fa/verify", "health", "version", "docs", "openapi.json", "metrics", "healthz", "share", "download")
    closed = [f"/api/v1/users?{name}=/api/v1/{word}" for name in ("search", "next") for word in public]
    closed += [f"/api/v1/users/{word}" for word in ("login", "version", "docs")] + ["/api/v1/buckets/download", "/api/v1/settings/health"]
    closed += [f"/api/v1/users?{name}={token}" for name in ("token", "access_token", "session", "maxiofs_session", "csrf_token")]
    closed += [f"/api/v1/buckets/b/download-zip?token={token}", f"/api/v1/audit-logs/export?access_token={token}"]
    nothing = [f"/api/v1/{word}/../users" for word in public] + [f"/api/v1/users/{word}/x" for word in public]
    nothing += [f"/api/v1/users{between}{word}" for between in (";", "%3f", "%23", "%2f", "#") for word in public]
    nothing += ["//api/v1/users", "/api/v1//users", "/API/V1/users", "/api/v1/users/", "/./api/v1/users", "/healthz/../api/v1/users"]
    for target in closed + nothing:
        status, _, body = console(guarded, "GET", target)
        assert status == 401 or (target in nothing and status in (308, 400, 404, 405)), (target, status)
        assert '"items"' not in body and '"username"' not in body, target
    assert console(guarded, "GET", "/api/v1/users?search=/api/v1/auth/login", {"Authorization": f"Bearer {token}"})[0] == 200


def test_46_nobody_says_in_a_header_who_they_are(guarded, bucket):
    (_, by_ann), client = of(guarded), guarded.signed_in()
    names = ("X-MaxIOFS-Proxied", "X-MaxIOFS-User", "X-MaxIOFS-User-Id", "X-MaxIOFS-Tenant-Id", "X-MaxIOFS-Node-Id", "X-User-Id", "X-User",
             "X-Tenant-Id", "X-Remote-User", "Remote-User", "X-Forwarded-User", "X-Access-Key", "X-Roles", "X-Original-URL")
    me = guarded.root.ok.get("/auth/me")
    for value in ("true", str(me["id"]), me["username"], guarded.server.access_key, "admin", "/api/v1/version"):
        claims = [(name, value) for name in names]
        path = f"/{bucket}/k"
        for answer in (by_ann("GET", path, claims), by_ann("GET", path, claims, sign=False), by_ann("PUT", path, claims, b"x", sign=False)):
            assert (answer.status, answer.code) == (403, "AccessDenied"), answer
        refused(client.ask("GET", "/settings", headers=dict(claims)), 403, "AccessDenied")
        refused(guarded.client(**dict(claims)).get("/settings"), 401, "NotSignedIn")


class From(HTTPAdapter):
    """Sends from another address of this machine, which is no trusted proxy's."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, source_address=("127.0.0.2", 0), **options)


def minute_with_room() -> None:
    """Attempts are counted by the minute of the clock: do not begin near its end."""
    if (left_s := 60 - time.time() % 60) < 15:
        time.sleep(left_s)


@pytest.mark.timeout(180)
def test_49_attempts_are_counted_by_true_address_and_none_slips_through(guarded):
    minute_with_room()

    def attempt(number: int, **headers: str) -> int:
        client = guarded.client(**headers)
        client.http.mount("http://", From())
        return client.post("/auth/login", {"username": unique(), "password": "wrong"}).status_code

    assert [attempt(number) for number in range(7)] == [401] * 5 + [429] * 2        # each named another address

    def together(number: int) -> int:
        return guarded.log_in(unique(), "wrong", address="203.0.113.77").status_code

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(together, range(20)))
    assert sorted(found) == [401] * 5 + [429] * 15


def test_50_no_address_that_a_caller_names_is_connected_to():
    """The server opens no connection but to its database, queue and children. Who adds one checks where it leads, and says so here."""
    clients = {"urllib.request", "http.client", "ftplib", "smtplib", "requests", "urllib3", "httpx", "aiohttp",
               "minio", "boto3", "botocore.session", "botocore.client", "botocore.httpsession", "botocore.endpoint"}
    calling = re.compile(r"create_connection|open_connection|connect_ex|\bconnect\(\(|urlopen")
    for folder in ("shared", "functions", "workflows"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            names = {alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names}
            names |= {node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
            found = {name for name in names if name in clients or name.partition(".")[0] in clients}
            assert not found and not calling.search(text), f"{path.relative_to(ROOT)}: {found or calling.search(text)}"


# ---- what goes out ----------------------------------------------------------------------------------------------------------------


def test_52_no_text_of_a_caller_becomes_a_page_and_no_other_site_reads_replies(guarded, raw, bucket):
    evil = "<script>alert(1)</script>"
    for path in (f"/users/{quote(evil, safe='')}", f"/buckets/{quote(evil, safe='')}", f"/{quote(evil)}", f"/users?{quote(evil)}=1"):
        answer = guarded.root.get(path)
        assert answer.status_code >= 400 and answer.headers["Content-Type"] == "application/json", answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff" and "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for method, target in (("GET", "/api/v1/docs"), ("GET", "/api/v1/users"), ("OPTIONS", "/api/v1/users"), ("POST", "/api/v1/auth/login"),
                           ("GET", "/metrics")):
        _, headers, body = console(guarded, method, target, {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"})
        assert not [name for name in headers if name.startswith("access-control-")], (target, headers)
        assert "unsafe" not in headers["content-security-policy"] and "default-src 'none'" in headers["content-security-policy"]
        assert not re.search(r"<script|javascript:|\son\w+=", body, re.I)
    answer = raw("GET", f"/{bucket}/{quote(evil, safe='')}")
    assert answer.code == "NoSuchKey" and answer.headers["content-type"] == "application/xml" and b"<script" not in answer.body


def test_53_no_secret_is_stored_as_it_is_nor_shown_twice(guarded):
    password = "Very-" + secret_part(12) + "-1a"
    user = guarded.root.ok.post("/users", {"username": unique("u"), "password": password, "access_key": {}})
    client = guarded.client().sign_in(user["username"], password)
    cookie, csrf = client.http.cookies["maxiofs_session"], client.csrf
    secret, codes = guarded.with_factor(client, password)
    token = client.ok.post("/auth/tokens", {"name": unique()})["token"]
    challenge = guarded.log_in(user["username"], password).json()["challenge"]
    secrets = [password, user["access_key"]["secret_key"], cookie, csrf, secret, token, challenge, *codes,
               *(code.replace("-", "") for code in codes), guarded.server.secret_key]
    Raw(guarded.server, access_key=user["access_key"]["access_key"], secret_key=secrets[1])("GET", "/")
    path, key = f"/users/{user['id']}", user["access_key"]["access_key"]
    for one in (f"{path}/access-keys", f"{path}/access-keys/{key}", path, "/users", "/access-keys", "/sessions", "/audit-logs",
                "/audit-logs/export", "/settings"):
        text = guarded.root.get(one).text
        assert not [value for value in secrets if value in text], one
    kept = [path for path in [guarded.server.log, *guarded.server.data_dir.rglob("*")] if path.is_file() and path.name != "master.key"]
    assert user["username"].encode() in b"".join(content(path) for path in kept)
    for file in kept:
        held = content(file)
        assert not [value for value in secrets if value.encode() in held], file


def test_54_an_internal_error_tells_nothing_of_the_inside(guarded, raw, bucket):
    before = set((guarded.server.data_dir / "blobs").rglob("*"))
    sure(raw("PUT", f"/{bucket}/lost", body=LONG))
    for path in set((guarded.server.data_dir / "blobs").rglob("*")) - before:
        if path.is_file():
            path.unlink()
    answers = [raw("GET", f"/{bucket}/lost"), raw("PUT", f"/{bucket}/copy", [("x-amz-copy-source", f"{bucket}/lost")])]
    assert answers[0].status >= 500, answers[0]
    for answer in answers:
        text = answer.body + str(answer.headers).encode()
        assert not re.search(rb"Traceback|\.py\b|sqlite|Errno|blobs/|%s" % str(guarded.server.data_dir).encode(), text), answer


def test_55_of_the_headers_only_metadata_are_kept(guarded, raw, bucket):
    sent = [("x-amz-meta-real", "kept"), ("Cookie", "planted-cookie"), ("X-Forwarded-For", "203.0.113.9"), ("X-Api-Key", "planted-key"),
            ("User-Agent", "planted-agent"), ("Proxy-Authorization", "planted-proxy"), ("Content-Type", "text/plain")]
    upload = raw("POST", f"/{bucket}/big?uploads", sent).xml.findtext("UploadId")
    etag = sure(raw("PUT", f"/{bucket}/big?partNumber=1&uploadId={upload}", body=b"part")).headers["etag"]
    whole = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>".encode()
    sure(raw("POST", f"/{bucket}/big?uploadId={upload}", body=whole))
    sure(raw("PUT", f"/{bucket}/small", sent, b"x"))
    for key in ("big", "small"):
        answer = raw("GET", f"/{bucket}/{key}")
        assert answer.headers["x-amz-meta-real"] == "kept" and answer.headers["content-type"] == "text/plain"
        assert not re.search("planted|203.0.113.9|AWS4-HMAC", str(answer.headers))
    rows = str(guarded.sql("SELECT * FROM object"))
    assert "kept" in rows and not re.search("planted|AWS4-HMAC|[Aa]uthorization", rows)


def test_56_a_form_neither_redirects_nor_stores_against_its_policy(guarded, raw, bucket):
    """Forms are not built. When they are: each of its conditions binds, and the redirect leads where the bucket's owner says."""
    fields = {"key": "form", "success_action_redirect": "https://evil.example/", "redirect": "https://evil.example/", "file": "x"}
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    body = "".join([*parts, "--b--\r\n"])
    for sign in (False, True):
        answer = raw("POST", f"/{bucket}", [("Content-Type", "multipart/form-data; boundary=b")], body.encode(), sign=sign)
        assert answer.status >= 400 and "location" not in answer.headers, answer
    assert raw("GET", f"/{bucket}/form").code == "NoSuchKey"


def resident_bytes(server: RunningServer) -> int:
    """What all processes of the server hold in memory together."""
    pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in server.processes())
    return sum(int(count) for count in pages) * os.sysconf("SC_PAGE_SIZE")


def test_57_sizes_that_are_only_claimed_cost_nothing_and_bodies_have_bounds(guarded, raw, bucket):
    before, started = resident_bytes(guarded.server), time.monotonic()
    for claim in ("7fffffffffffffff", "ffffffffffffffff", "f" * 4000, "40000000", "-1", "0x10", " 1"):

        def claiming(pieces: list[bytes], claim: str = claim) -> list[bytes]:
            return [re.sub(rb"^[0-9a-f]+", claim.encode(), pieces[0]), *pieces[1:]]

        answer = raw.put_chunks(f"/{bucket}/chunks", [b"x" * 100], change=claiming)
        assert 400 <= answer.status < 500, (claim, answer)
    for method, target, claimed in (("PUT", f"/{bucket}/huge", 1 << 60), ("POST", f"/{bucket}?delete", 1 << 40)):
        answer = raw(method, target, [("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")], sha256="UNSIGNED-PAYLOAD", length=claimed)
        assert 400 <= answer.status < 500, (target, answer)
    refused(guarded.root.ask("POST", "/users", b'{"username": "' + b"x" * (2 << 20) + b'"}'), 413, "RequestTooLarge")
    status, _, _ = console(guarded, "POST", "/api/v1/auth/login", {"Content-Length": str(1 << 40), "Content-Type": "application/json"})
    assert status == 413
    assert time.monotonic() - started < 30 and resident_bytes(guarded.server) - before < 128 << 20
    assert raw("GET", f"/{bucket}/chunks").code == raw("GET", f"/{bucket}/huge").code == "NoSuchKey"


def test_58_a_key_is_never_a_path_and_nobody_else_reads_the_files(guarded, raw, bucket):
    evil = unique("evil")
    forms = ("{}/../../{}", "../{}", "/{}", "{}/./y", "..\\{}", "C:\\{}", "C:/{}", "{}//z", "~/{}", "{}\n", "{}.")
    keys = [form.format(evil, evil) for form in forms]
    for key in keys:
        sure(raw("PUT", f"/{bucket}/{quote(key, safe='')}", body=LONG + key.encode()))
    for key in keys:
        assert raw("GET", f"/{bucket}/{quote(key, safe='')}").body == LONG + key.encode()
    sure(raw("PUT", f"/{bucket}/a/../../{evil}", body=LONG))      # what is not encoded is not resolved either
    assert raw("GET", f"/{bucket}/a%2F..%2F..%2F{evil}").body == LONG
    listed = raw("GET", f"/{bucket}?list-type=2&encoding-type=url").xml
    assert len(listed.findall("Contents")) == len(keys) + 2
    folder = guarded.server.data_dir
    for path in [folder, *folder.rglob("*")]:
        if path.exists() and not path.is_symlink():
            assert not path.stat().st_mode & 0o077, f"others may read {path}"
    assert not [path for path in [*folder.rglob("*"), *folder.parent.iterdir()] if evil in path.name]


def test_59_a_session_alone_shows_neither_metrics_nor_settings(guarded):
    client = guarded.signed_in(policies=["readwrite", "owner", "console"])
    for path in ("/settings", "/settings/categories", "/settings/security.session_timeout", "/audit-logs", "/audit-logs/export",
                 "/audit-logs/export.csv", "/sessions", "/users", "/access-keys", "/policies", "/roles", "/groups"):
        refused(client.get(path), 403, "AccessDenied")
        assert guarded.root.get(path).status_code == 200, path
    cookie = "; ".join(f"{name}={value}" for name, value in client.http.cookies.items())
    for more in ({"Host": "store.example.com"}, {"X-Forwarded-For": "203.0.113.1"}):
        status, _, body = console(guarded, "GET", "/metrics", {"Cookie": cookie, **more})
        assert status == 403 and "maxiofs_" not in body


def test_62_a_link_that_is_handed_on_does_what_its_maker_may_and_no_more(guarded, bucket):
    tenant, other = (guarded.root.ok.post("/tenants", {"name": unique("t")})["id"] for _ in range(2))
    name, user_id = guarded.person(tenant_id=tenant, policies=["owner"], access_key={})
    client, theirs, own = guarded.client().sign_in(name, PASSWORD), unique("theirs"), unique("own")
    _, them = of(guarded, "owner", tenant=other)
    sure(them("PUT", f"/{theirs}"))
    sure(them("PUT", f"/{theirs}/k", body=b"theirs"))
    client.ok.post("/buckets", {"name": own})
    asked = {"presigned-url": {"endpoint": guarded.server.url}, "shares": {"max_downloads": 9}}
    for where, (kind, wish) in itertools.product((theirs, bucket), asked.items()):
        for query in ({}, {"tenantId": other}, {"tenant_id": other}):
            assert client.post(f"/buckets/{where}/objects/k/{kind}", wish, **query).status_code in (400, 404), (where, kind, query)
    put = client.ok.post(f"/buckets/{own}/objects/k/presigned-url", asked["presigned-url"] | {"method": "PUT"})["url"]
    assert requests.put(put, data=b"own", timeout=30).status_code == 200
    links = [client.ok.post(f"/buckets/{own}/objects/k/{kind}", wish)["url"] for kind, wish in asked.items()]
    assert [requests.get(link, timeout=30).content for link in links] == [b"own"] * 2
    assert requests.get(links[0].replace(own, theirs), timeout=30).status_code == 403
    assert requests.get(links[1][:-1] + "~", timeout=30).status_code == 404
    guarded.root.ok.put(f"/users/{user_id}/policies", {"policies": []})
    assert [requests.get(link, timeout=30).status_code for link in links] == [403, 404]
