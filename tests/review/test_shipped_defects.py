"""The authentication and authorization defects that a store like this one once shipped, numbered as its reviewers listed them.

Each has a test here that carries its number, or a line in CANNOT_EXIST.
"""

from __future__ import annotations

import hmac
import itertools
import json
import re
import statistics
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.admin import openapi, signing_in
from shared.auth import totp
from shared.auth.model import Seed
from shared.auth.streaming import ChunkVerifier
from shared.meta.logins import LoginInfo
from shared.registry import load
from tests import people
from tests.admin.admin_client import Api, unique
from tests.admin.signing_people import PASSWORD, code_of, refused
from tests.admin.test_admin_permissions import BODIES as of_buckets
from tests.admin.test_people_isolation import BODIES as of_people
from tests.auth.signed_requests import changed, judge, signed
from tests.people import allow, deny
from tests.review.defects import bucket, guarded, of, raw, secret_part, sure
from tests.review.test_security import presigned
from tests.s3.raw import Raw

__all__ = ["bucket", "guarded", "raw"]
CANNOT_EXIST = {
    47: "There are no nodes and no calls between them, so there is no signature for such calls.",
    48: "There is no cluster and no certificate authority whose key could be sent to anybody.",
    51: "Nobody signs in through another site: there is no redirect, no state and no token in a URL.",
    60: "Users are rows of one database, with their second factor beside them; nothing copies them to another node.",
    61: "Sessions are rows of one database; there is no other copy that could bring a revoked one back.",
}


# ---- who one is -------------------------------------------------------------------------------------------------------------------


def test_27_a_session_token_that_was_not_issued_here_is_refused(guarded):
    client = guarded.signed_in()
    cookie = client.http.cookies["maxiofs_session"]
    token = client.ok.post("/auth/tokens", {"name": unique()})["token"]

    def status(**headers: str) -> int:
        return guarded.client(**headers).get("/auth/me").status_code

    assert status(Authorization=f"Bearer {token}") == status(Cookie=f"maxiofs_session={cookie}") == 200
    head, claims = (urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (
        {"alg": "none", "typ": "JWT"}, {"sub": "root", "user_id": 1, "roles": ["admin"], "iss": "maxiofs", "exp": 1 << 40}))
    empty = urlsafe_b64encode(hmac.digest(b"\0", f"{head}.{claims}".encode(), "sha256")).decode().rstrip("=")
    other = "B" if token[-1] == "A" else "A"
    forged = [f"{head}.{claims}.", f"{head}.{claims}.{empty}", token[:-1] + other, token[:-1], token.swapcase(), token + "=",
              "maxiofs_" + secret_part(), client.ok.get("/auth/me")["session_id"], "root", "*", "%"]
    for text in [*forged, cookie]:      # a cookie's token is no bearer token, nor the other way round
        assert status(Authorization=f"Bearer {text}") == 401, text
    for text in [*forged, token]:
        assert status(Cookie=f"maxiofs_session={text}") == 401, text


def test_28_a_second_factor_alone_signs_nobody_in(guarded):
    (ann, ann_id), (ben, _) = guarded.person(), guarded.person()
    client = guarded.client().sign_in(ann, PASSWORD)
    secret, backup_codes = guarded.with_factor(client)
    guarded.with_factor(guarded.client().sign_in(ben, PASSWORD))

    def verify(challenge: str, code: str) -> requests.Response:
        return guarded.client().post("/auth/2fa/verify", {"challenge": challenge, "code": code})

    for guess in (str(ann_id), ann, client.http.cookies["maxiofs_session"], secret_part()):
        for code in (code_of(secret, 1), backup_codes[0]):
            refused(verify(guess, code), 401, "ChallengeExpired")
    refused(verify(guarded.log_in(ben).json()["challenge"], code_of(secret, 1)), 401, "WrongCode")
    answer = guarded.client().post("/auth/2fa/verify", {"user_id": ann_id, "code": code_of(secret, 1)})
    refused(answer, 400, "InvalidFields")
    challenge = guarded.log_in(ann).json()["challenge"]
    assert verify(challenge, code_of(secret, 1)).status_code == 200
    refused(verify(challenge, backup_codes[1]), 401, "ChallengeExpired")


def test_29_a_request_that_was_signed_long_ago_is_refused(raw, bucket):
    now_s = time.time()
    for away_s in (-16 * 60, 16 * 60, -86_400, -10 * 365 * 86_400):
        answer = raw("GET", f"/{bucket}/k", at_s=now_s + away_s)
        assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed"), (away_s, answer)
    sure(raw("GET", f"/{bucket}/k", at_s=now_s - 14 * 60))


@pytest.mark.parametrize("who", ["user", "tenant"])
def test_30_nothing_of_a_suspended_user_works(guarded, who):
    tenant = guarded.root.ok.post("/tenants", {"name": unique("t")})
    name, id = guarded.person(tenant_id=tenant["id"], policies=["readwrite", "tenant-admin", "owner"])
    key = guarded.root.ok.post(f"/users/{id}/access-keys", {})
    by_cookie = guarded.client().sign_in(name, PASSWORD)
    token = by_cookie.ok.post("/auth/tokens", {"name": unique()})["token"]
    by_token = guarded.client(Authorization=f"Bearer {token}")
    s3 = Raw(guarded.server, access_key=key["access_key"], secret_key=key["secret_key"])
    link = presigned(guarded.server, "GET", "/", {}, key=(key["access_key"], key["secret_key"]))

    def all_of_it() -> list[int]:
        asked = [s3("GET", "/"), s3("PUT", f"/{unique('b')}"), s3("GET", link, sign=False)]
        signed_in = [by_cookie.get("/users"), by_token.get("/users"), by_token.get("/auth/me"), guarded.log_in(name)]
        return [answer.status for answer in asked] + [answer.status_code for answer in signed_in]

    assert all_of_it() == [200] * 7
    path = f"/users/{id}" if who == "user" else f"/tenants/{tenant['id']}"
    guarded.root.ok.put(path, {"status": "inactive" if who == "user" else "suspended"})
    assert all_of_it() == [403] * 3 + [401] * 4


def test_31_signatures_and_secrets_are_compared_in_constant_time(monkeypatch):
    """Where the constant-time comparison says yes, nothing else says no: so nothing else has compared."""
    header, link = signed("GET", "http://a/b/k"), signed("GET", "http://a/b/k", form="query-v2")
    wrong = [
        changed(header, headers=[(name, re.sub("Signature=.*", "Signature=" + "0" * 64, value)) for name, value in header.headers]),
        changed(link, target=re.sub("Signature=[^&]*", "Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D", link.target)),
    ]

    def chunk() -> None:
        verifier = ChunkVerifier(Seed(b"key", "scope", "date", "0" * 64), [(1, b"\0" * 32), (0, b"\0" * 32)])
        verifier.update(b"x")
        verifier.finish()

    for request in wrong:
        with pytest.raises(Exception, match=r"."):
            judge(request)
    with pytest.raises(Exception, match=r"."):
        chunk()
    assert totp.step_of("A" * 32, "000000", 1 << 40) is None
    assert not signing_in._is_right(LoginInfo(1), "secret", "guess")
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: True)
    for request in wrong:
        assert judge(request).principal == "ann"
    chunk()
    assert totp.step_of("A" * 32, "000000", 1 << 40) is not None
    assert signing_in._is_right(LoginInfo(1), "secret", "guess")


def test_32_a_failed_sign_in_does_not_say_whether_there_is_such_a_user(guarded, raw):
    (name, _), (disabled, _) = guarded.person(), guarded.person(status="inactive")
    taken: dict[str, list[float]] = {}
    told = set()
    with guarded.setting(ratelimit_enabled=False, max_failed_attempts=0):
        for _, (kind, who) in itertools.product(range(9), {"wrong": name, "unknown": unique(), "disabled": disabled}.items()):
            client = guarded.client()
            started = time.perf_counter()
            answer = client.post("/auth/login", {"username": who, "password": PASSWORD if kind == "disabled" else "wrong"})
            taken.setdefault(kind, []).append(time.perf_counter() - started)
            told.add(json.dumps(refused(answer, 401, "WrongCredentials") | {"request_id": ""}))
    medians = {kind: statistics.median(times) for kind, times in taken.items()}
    assert len(told) == 1 and max(medians.values()) < 2 * min(medians.values()), medians
    keys = [of(guarded, active=False)[0].access_key, of(guarded, key_active=False)[0].access_key, "AKIA" + "X" * 16]
    answers = [Raw(guarded.server, access_key=key, secret_key="wrong")("GET", "/") for key in keys]
    assert {(answer.status, answer.code) for answer in answers} == {(403, "InvalidAccessKeyId")}


# ---- signed links -----------------------------------------------------------------------------------------------------------------


def test_33_a_link_whose_signer_is_unknown_is_refused(guarded, raw, bucket):
    expires = int(time.time()) + 60
    for key in ("AKIA" + "X" * 16, "x", "root", guarded.server.access_key.lower()):
        links = [presigned(guarded.server, "PUT", f"/{bucket}/new", {}, key=(key, secret)) for secret in ("", guarded.server.secret_key)]
        links.append(f"/{bucket}/new?AWSAccessKeyId={key}&Expires={expires}&Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D")
        for link in links:
            answer = raw("PUT", link, body=b"x", sign=False)
            assert (answer.status, answer.code) == (403, "InvalidAccessKeyId"), answer
    assert raw("GET", f"/{bucket}/new").code == "NoSuchKey"


def test_34_a_link_to_write_is_good_for_what_was_signed_and_no_longer(guarded, raw, bucket):
    path = f"/{bucket}/new"

    def put(link: str, *headers: tuple[str, str], method: str = "PUT") -> tuple[int, str]:
        answer = raw.send(method, link, [("Host", guarded.server.host), ("Content-Length", "1"), *headers], b"x")
        return answer.status, answer.code

    good = presigned(guarded.server, "PUT", path, {})
    assert put(good + "0") == put(good.replace("new", "other")) == (403, "SignatureDoesNotMatch")
    assert put(good.replace("Expires=60", "Expires=604800")) == put(good, method="DELETE") == (403, "SignatureDoesNotMatch")
    assert put(presigned(guarded.server, "GET", path, {})) == (403, "SignatureDoesNotMatch")
    assert put(presigned(guarded.server, "PUT", path, {"X-Amz-Expires": "604801"})) == (400, "AuthorizationQueryParametersError")
    assert put(presigned(guarded.server, "PUT", path, {}, ago_s=62)) == (403, "AccessDenied")
    assert put(good, ("x-amz-acl", "public-read")) == (403, "AccessDenied")
    assert put(presigned(guarded.server, "PUT", path, {"X-Amz-SignedHeaders": "content-type;host"})) == (403, "SignatureDoesNotMatch")
    assert put(re.sub("&X-Amz-Signature=.*", "", good))[0] == 400
    assert raw("GET", path).code == "NoSuchKey"
    assert put(good)[0] == 200


# ---- who may do what --------------------------------------------------------------------------------------------------------------


def test_35_a_copy_needs_the_permissions_of_its_source_and_of_its_target(guarded, raw, bucket):
    sure(raw("PUT", f"/{bucket}?versioning", body=b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
    old = sure(raw("PUT", f"/{bucket}/shown", body=b"old")).headers["x-amz-version-id"]
    sure(raw("PUT", f"/{bucket}/shown", body=b"new"))
    here = f"arn:aws:s3:::{bucket}"
    _, ann = of(guarded, allow("s3:PutObject", on=f"{here}/mine/*"), allow("s3:GetObject", on=f"{here}/shown"))
    upload = ann("POST", f"/{bucket}/mine/parts?uploads").xml.findtext("UploadId")
    copies = {"copy": f"/{bucket}/mine/copy", "part": f"/{bucket}/mine/parts?partNumber=1&uploadId={upload}"}
    for kind, target in copies.items():
        for source in (f"{bucket}/k", f"{bucket}/shown?versionId={old}", f"{bucket}/missing"):
            answer = ann("PUT", target, [("x-amz-copy-source", source)])
            assert (answer.status, answer.code) == (403, "AccessDenied"), (kind, source, answer)
        sure(ann("PUT", target, [("x-amz-copy-source", f"{bucket}/shown")]))
    answer = ann("PUT", f"/{bucket}/theirs", [("x-amz-copy-source", f"{bucket}/shown")])
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer


def test_36_an_upload_belongs_to_its_bucket_and_key(guarded, raw, bucket):
    _, ann = of(guarded, "owner")
    own = unique("anns")
    sure(ann("PUT", f"/{own}"))
    upload = raw("POST", f"/{bucket}/big?uploads").xml.findtext("UploadId")
    etag = sure(raw("PUT", f"/{bucket}/big?partNumber=1&uploadId={upload}", body=b"part")).headers["etag"]
    whole = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>".encode()
    for who, place in ((ann, f"/{own}/big"), (ann, f"/{own}/k"), (raw, f"/{bucket}/other")):
        for answer in (
            who("PUT", f"{place}?partNumber=1&uploadId={upload}", body=b"mine"), who("GET", f"{place}?uploadId={upload}"),
            who("POST", f"{place}?uploadId={upload}", body=whole), who("DELETE", f"{place}?uploadId={upload}"),
        ):
            assert (answer.status, answer.code) == (404, "NoSuchUpload"), answer
    assert ann("POST", f"/{bucket}/big?uploadId={upload}", body=whole).code == "AccessDenied"
    sure(raw("POST", f"/{bucket}/big?uploadId={upload}", body=whole))
    assert raw("GET", f"/{bucket}/big").body == b"part"


def test_37_no_acl_allows_nobody_and_a_deny_overrules_every_acl(guarded, raw, bucket):
    ann, by_ann = of(guarded)
    people.configure(guarded.server, bucket, ownership="ObjectWriter", public_access=0)
    assert [by_ann("GET", f"/{bucket}/k").status, by_ann("GET", f"/{bucket}").status, by_ann("GET", f"/{bucket}?acl").status] == [403] * 3
    grant = ("x-amz-grant-full-control", f"id={ann.canonical_id}")
    sure(raw("PUT", f"/{bucket}?acl", [grant]))
    sure(raw("PUT", f"/{bucket}/k?acl", [grant]))
    assert by_ann("GET", f"/{bucket}/k").status == by_ann("GET", f"/{bucket}").status == 200
    people.configure(guarded.server, bucket, policy=deny("s3:GetObject", on=f"arn:aws:s3:::{bucket}/*", Principal={"AWS": ann.arn}))
    assert by_ann("GET", f"/{bucket}/k").code == "AccessDenied"
    assert by_ann("GET", f"/{bucket}").status == 200
    people.attach(guarded.server, "user", ann.id, deny("s3:ListBucket"))
    assert by_ann("GET", f"/{bucket}").code == "AccessDenied"


def test_38_a_bucket_policy_counts_as_it_is_written(guarded, raw, bucket):
    (ann, by_ann), (_, by_ben) = of(guarded), of(guarded)
    people.configure(guarded.server, bucket, public_access=0)
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    whom: list[dict[str, Any]] = [
        {}, {"Principal": None}, {"Principal": {}}, {"Principal": []}, {"Principal": {"AWS": None}}, {"Principal": {"AWS": [None]}},
        {"Principal": ""}, {"Principal": {"AWS": ""}}, {"Principal": {"AWS": []}},
    ]
    for more in whom:
        policy = {"Version": "2012-10-17", "Statement": [statement | more]}
        assert raw("PUT", f"/{bucket}?policy", body=json.dumps(policy).encode()).code == "MalformedPolicy", more
        people.configure(guarded.server, bucket, policy=policy)     # and if one is there all the same, it lets nobody in
        assert by_ann("GET", f"/{bucket}/k").status == raw("GET", f"/{bucket}/k", sign=False).status == 403, more

    def put(*statements: dict[str, Any]) -> None:
        whole = {"Version": "2012-10-17", "Statement": [{"Principal": "*", **statement, **one} for one in statements]}
        sure(raw("PUT", f"/{bucket}?policy", body=json.dumps(whole).encode()))

    put({"Condition": {"StringEquals": {"aws:username": ann.name}}})
    assert [who("GET", f"/{bucket}/k").status for who in (by_ann, by_ben)] == [200, 403]
    assert raw("GET", f"/{bucket}/k", sign=False).status == 403
    put({"Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}})
    assert by_ann("GET", f"/{bucket}/k").status == 403
    put({}, {"Effect": "Deny", "Principal": {"AWS": ann.arn}})
    assert [who("GET", f"/{bucket}/k").status for who in (by_ann, by_ben)] == [403, 200]


def test_39_being_of_a_tenant_gives_no_power_in_it(guarded):
    tenant = guarded.root.ok.post("/tenants", {"name": unique("t")})["id"]
    _, owner = of(guarded, "owner", tenant=tenant)
    name = unique("theirs")
    sure(owner("PUT", f"/{name}"))
    sure(owner("PUT", f"/{name}/k", body=b"x"))
    _, s3 = of(guarded, tenant=tenant)
    asked = [s3("GET", f"/{name}"), s3("GET", f"/{name}/k"), s3("PUT", f"/{name}/k", body=b"y"), s3("DELETE", f"/{name}/k"),
             s3("DELETE", f"/{name}"), s3("PUT", f"/{unique('b')}"), s3("GET", "/")]
    assert [(answer.status, answer.code) for answer in asked] == [(403, "AccessDenied")] * 7
    plain, admin = guarded.person(tenant_id=tenant), guarded.person(tenant_id=tenant, policies=["tenant-admin"])
    client = guarded.client().sign_in(plain[0], PASSWORD)
    tried = [
        client.get("/users"), client.post("/users", {"username": unique()}), client.put(f"/users/{admin[1]}", {"status": "inactive"}),
        client.put(f"/users/{admin[1]}/password", {"password": PASSWORD}), client.delete(f"/users/{admin[1]}"),
        client.put(f"/users/{plain[1]}/policies/tenant-admin"), client.post(f"/users/{admin[1]}/access-keys", {}),
        client.get(f"/buckets/{name}"), client.delete(f"/buckets/{name}"), client.get("/audit-logs"),
    ]
    assert [answer.status_code for answer in tried] == [403] * len(tried), [answer.text for answer in tried]
    assert guarded.client().sign_in(admin[0], PASSWORD).get("/users").status_code == 200


def test_40_a_policy_does_not_reach_a_bucket_of_that_name_in_another_tenant(guarded):
    ours, theirs = (guarded.root.ok.post("/tenants", {"name": unique("t")})["id"] for _ in range(2))
    name = unique("same")
    _, them = of(guarded, "owner", tenant=theirs)
    _, us = of(guarded, allow("s3:*", on=[f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]), tenant=ours)
    sure(them("PUT", f"/{name}"))
    sure(them("PUT", f"/{name}/k", body=b"theirs"))
    for answer in (us("GET", f"/{name}/k"), us("PUT", f"/{name}/k", body=b"ours"), us("GET", f"/{name}"), us("DELETE", f"/{name}/k")):
        assert (answer.status, answer.code) == (403, "AccessDenied"), answer
    assert us("PUT", f"/{name}").code == "BucketAlreadyExists"      # a name is one bucket's, whoever has it
    sure(them("DELETE", f"/{name}/k"))
    sure(them("DELETE", f"/{name}"))
    sure(us("PUT", f"/{name}"))
    sure(us("PUT", f"/{name}/k", body=b"ours"))
    assert them("GET", f"/{name}/k").code == "AccessDenied"


@pytest.fixture
def tenants_admin(guarded) -> Api:
    """Signed in: somebody with all the power there is in a tenant."""
    tenant = guarded.root.ok.post("/tenants", {"name": unique("t")})["id"]
    client: Api = guarded.signed_in(tenant_id=tenant, policies=["tenant-admin", "readwrite"])
    return client


def test_41_a_tenants_admin_neither_makes_nor_touches_an_administrator(guarded, tenants_admin):
    boss, boss_id = guarded.person(policies=["administrator"])
    root_id, own_id = guarded.root.ok.get("/auth/me")["id"], tenants_admin.ok.get("/auth/me")["id"]
    for id in (boss_id, root_id):
        for answer in (
            tenants_admin.put(f"/users/{id}/password", {"password": "Taken-over-1"}), tenants_admin.delete(f"/users/{id}"),
            tenants_admin.put(f"/users/{id}", {"status": "inactive"}), tenants_admin.put(f"/users/{id}", {"email": "a@b.ch"}),
            tenants_admin.post(f"/users/{id}/access-keys", {}), tenants_admin.delete(f"/users/{id}/2fa"),
            tenants_admin.delete(f"/users/{id}/sessions"), tenants_admin.get(f"/users/{id}"),
        ):
            refused(answer, 404, "NotFound")
    for more in ({"tenant_id": 0}, {"tenant_id": 0, "policies": ["administrator"]}):
        refused(tenants_admin.post("/users", {"username": unique(), **more}), 404, "NotFound")
    refused(tenants_admin.post("/users", {"username": unique(), "policies": ["administrator"]}), 403, "AccessDenied")
    refused(tenants_admin.put(f"/users/{own_id}/policies/administrator"), 403, "AccessDenied")
    assert guarded.client().sign_in(boss, PASSWORD).get("/settings").status_code == 200
    assert tenants_admin.get("/settings").status_code == 404


def test_42_an_id_of_another_tenant_leads_nowhere(guarded, tenants_admin):
    other = guarded.root.ok.post("/tenants", {"name": unique("t")})["id"]
    user = guarded.root.ok.post("/users", {"username": unique("u"), "tenant_id": other, "policies": ["owner"], "access_key": {}})
    key = user["access_key"]
    group = guarded.root.ok.post("/groups", {"name": unique("g"), "tenant_id": other})["id"]
    name = unique("theirs")
    sure(Raw(guarded.server, access_key=key["access_key"], secret_key=key["secret_key"])("PUT", f"/{name}"))
    for path in ("/users", "/groups", "/roles", "/policies", "/access-keys", "/buckets", "/audit-logs"):
        answer = tenants_admin.get(path, tenant_id=other)
        assert answer.status_code == 404, answer.text
        assert name not in tenants_admin.get(path).text and user["username"] not in tenants_admin.get(path).text
    for path in (
        f"/users/{user['id']}", f"/users/{user['id']}/access-keys", f"/users/{user['id']}/access-keys/{key['access_key']}",
        f"/users/{user['id']}/groups", f"/groups/{group}", f"/groups/{group}/members", f"/tenants/{other}", f"/tenants/{other}/users",
        f"/buckets/{name}", f"/buckets/{name}/objects", f"/buckets/{name}/policy", f"/buckets/{name}/objects/k",
    ):
        assert tenants_admin.get(path).status_code == 404, path
        assert guarded.root.get(path).status_code == 200 or path.endswith(("/k", "/policy")), path
    own_id = tenants_admin.ok.get("/auth/me")["id"]
    assert tenants_admin.get(f"/users/{own_id}/access-keys/{key['access_key']}").status_code == 404
    assert tenants_admin.get("/sessions", user=user["id"]).json().get("items") in (None, [])


OPEN = {        # what a stranger may ask: nothing of it is about people or what they stored, but for who has the token of a shared link
    "GET /", "GET /api/v1", "GET /api/v1/", "GET /api/v1/version", "GET /api/v1/health", "GET /api/v1/openapi.json", "GET /api/v1/docs",
    "POST /api/v1/auth/login", "POST /api/v1/auth/2fa/verify", "GET /share/{token}", "POST /share/{token}",
}
SOUND = of_buckets | of_people | {      # a body that would be good, by function or by model
    "create_a_bucket": {"name": "none"}, "NewSet": {"name": "none"}, "create_tenant": {"name": "none"}, "create_user": {"username": "none"},
    "NewEncryptionKey": {"name": "none"}, "create_policy": {"name": "none", "document": allow("s3:*")},
    "AttachedPolicies": {"policies": []}, "NewValue": {"value": 1}, "NewValues": {"settings": {"x.y": 1}},
}
OF_ONESELF = re.compile(r"\w+ /api/v1/(auth/\S+|users/\{user\}(/groups|/access-keys\S*)?|tenants(/\{tenant\})?|shares(/\{share\})?)")


def test_43_every_admin_function_asks_who_one_is_and_whether_one_may(guarded):
    stranger, powerless = guarded.client(), guarded.signed_in()
    assert {function.line for function in load(["admin.*"]).values() if function.allow == ("anyone",)} <= OPEN
    parts = {"user": str(guarded.root.ok.get("/auth/me")["id"]), "tenant": "0", "key": "k", "id": "1"}
    for function in openapi.functions():
        method, _, path = function.line.partition(" ")
        path = re.sub(r"\{(\w+)\}", lambda found: parts.get(found[1], "none"), path)
        body = SOUND.get(function.takes.__name__, SOUND.get(function.name, {})) if function.takes else None
        if function.line in OPEN:
            continue
        refused(stranger.ask(method, path, body), 401, "NotSignedIn")
        if function.allow == ("signed-in",):
            assert OF_ONESELF.fullmatch(function.line), f"{function.line} is not about oneself"
            assert "{" not in function.line or powerless.ask(method, path, body).status_code >= 400, function.line
        else:
            answer = powerless.ask(method, path, body)
            assert answer.status_code in (403, 404) or answer.json().get("items") == [], (function.line, answer.text)


def test_44_the_order_of_policies_and_groups_does_not_matter(guarded):
    user, user_id = guarded.person()
    client = guarded.client().sign_in(user, PASSWORD)
    no_users = guarded.root.ok.post("/policies", {"name": unique("p"), "document": deny("admin:ListUsers")})["name"]
    for order in itertools.permutations(["readonly", "administrator", "console"]):
        guarded.root.ok.put(f"/users/{user_id}/policies", {"policies": list(order)})
        assert (client.get("/users").status_code, client.get("/settings").status_code) == (200, 200), order
    for order in itertools.permutations(["administrator", no_users, "readonly"]):
        guarded.root.ok.put(f"/users/{user_id}/policies", {"policies": list(order)})
        assert (client.get("/users").status_code, client.get("/settings").status_code) == (403, 200), order
    guarded.root.ok.put(f"/users/{user_id}/policies", {"policies": ["readonly"]})
    assert client.get("/settings").status_code == 403


# ---- the list ---------------------------------------------------------------------------------------------------------------------


def test_every_defect_has_a_test_or_a_line_that_says_why_not():
    files = Path(__file__).parent.glob("test_shipped_defects*.py")
    tested = {int(number) for file in files for number in re.findall(r"^def test_(\d\d)_", file.read_text("utf-8"), re.M)}
    assert not tested & CANNOT_EXIST.keys()
    assert tested | CANNOT_EXIST.keys() == set(range(27, 63))
    assert all(line.endswith(".") for line in CANNOT_EXIST.values())
