"""Every declared S3 operation is refused to everybody who was given nothing: a table over the registry, so none can be forgotten."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

import pytest

from shared.clock import now_ms
from shared.meta.identity_models import TENANT_SUSPENDED
from shared.registry import Function, load
from tests import people
from tests.s3.raw import Answer, Raw

# Pages of websites have a listener's name of their own, where nobody is anybody: tests/s3/test_website.py.
OPERATIONS = {name.removeprefix("s3."): one for name, one in load(["s3.*"]).items() if one.operation and one.operation.level != "website"}
FORM = (b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--x--\r\n')
ONE_KEY = b"<Delete><Object><Key>k</Key></Object></Delete>"
HEADERS = {"x-amz-copy-source": "/{bucket}/k", "x-amz-object-attributes": "ETag", "x-amz-rename-source": "/{bucket}/k"}
OF_WHOEVER_SIGNS = {"GetCallerIdentity": ("without", "another-tenant", "scoped-key", "narrowed-key")}     # needs no permission, as at AWS
OF_ONES_OWN = ("ListBuckets", "HeadService", "CreateBucket")       # what anybody with a policy for it may do, in the own tenant


@pytest.fixture(scope="session")
def strangers(server):
    """People by what is wrong with them; all but ``without`` could do everything if it were not for that."""
    everything = ["administrator"]
    asleep = people.make_tenant(server, status=TENANT_SUSPENDED)
    return {
        "nobody": None,
        "without": people.make_user(server),
        "another-tenant": people.make_user(server, policies=everything, tenant=people.make_tenant(server)),
        "suspended": people.make_user(server, policies=everything, active=False),
        "suspended-tenant": people.make_user(server, policies=everything, tenant=asleep),
        "expired-key": people.make_user(server, policies=everything, expires_ms=now_ms() - 1),
        "inactive-key": people.make_user(server, policies=everything, key_active=False),
        "scoped-key": people.make_user(server, policies=everything, scope={"buckets": ["elsewhere"]}),
        "narrowed-key": people.make_user(server, policies=everything, key_policies=[people.allow("s3:*", on="arn:aws:s3:::elsewhere*")]),
    }


KINDS = (
    "nobody", "without", "another-tenant", "suspended", "suspended-tenant", "expired-key", "inactive-key", "scoped-key", "narrowed-key",
)


@pytest.fixture(scope="session")
def place(server):
    """A bucket of root's with an object, never to be changed by anybody."""
    name = people.unused("guarded")
    s3 = server.client()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"secret")
    yield name
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"secret"
    assert "Policy" not in s3.list_objects_v2(Bucket=name) and len(s3.list_object_versions(Bucket=name)["Versions"]) == 1


def ask(server, person, function: Function, bucket: str) -> Answer:
    """The smallest request that is this operation."""
    operation = function.operation
    assert operation is not None
    if operation.level == "query":
        return raw_of(server, person)("POST", "/", [], f"Action={function.name}".encode(), sign=person is not None)
    control = f"/v20180820/tags/arn%3Aaws%3As3%3A%3A%3A{bucket}"
    target = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/k", "control": control}[operation.level]
    if function.name == "CreateBucket":
        target = f"/{people.unused('new')}"
    pairs = [f"{name}={value}" for name, value in operation.literals.items()]
    pairs += [f"{name}=1" for name in sorted(operation.needs - operation.literals.keys())]
    target += "?" + "&".join(pairs) if pairs else ""
    headers = [(name, HEADERS[name].format(bucket=bucket)) for name in sorted(operation.routed_headers)]
    headers += [("x-amz-account-id", "000000000000")] if operation.level == "control" else []
    if function.name == "PostObject":       # without a policy among its fields it is from nobody, whoever sends it
        return Raw(server)("POST", target, [("Content-Type", "multipart/form-data; boundary=x")], FORM, sign=False)
    body = ONE_KEY if function.name == "DeleteObjects" else b""
    if body:
        headers.append(("Content-MD5", b64encode(hashlib.md5(body).digest()).decode()))
    return raw_of(server, person)(operation.method, target, headers, body, sign=person is not None)


def raw_of(server, person) -> Raw:
    return Raw(server, access_key=person.access_key, secret_key=person.secret_key) if person else Raw(server)


def code_of(answer: Answer) -> str:
    found = re.search(rb"<Code>(\w+)</Code>", answer.body)
    return found[1].decode() if found else ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_refused_to(server, strangers, place, name, kind):
    if kind == "another-tenant" and name in OF_ONES_OWN:
        pytest.skip("anybody with a policy for it may do this in the own tenant")
    answer = ask(server, strangers[kind], OPERATIONS[name], place)
    if kind in OF_WHOEVER_SIGNS.get(name, ()):
        assert answer.status == 200 and place.encode() not in answer.body, answer
        return
    if name == "DeleteObjects" and answer.status == 200:    # each key is refused by itself
        assert b"<Code>AccessDenied</Code>" in answer.body and b"<Deleted>" not in answer.body, answer
        return
    assert answer.status == 403, answer
    assert OPERATIONS[name].operation.method == "HEAD" or code_of(answer) in ("AccessDenied", "InvalidAccessKeyId"), answer
    assert b"secret" not in answer.body


@pytest.mark.parametrize("name", OPERATIONS)
def test_not_refused_to_an_administrator(server, new_bucket, strangers, name):
    """So the table above can fail."""
    if name == "PostObject":
        pytest.skip("its sender is named by its fields: tests/s3/test_post_form.py")
    if "administrator" not in strangers:
        strangers["administrator"] = people.make_user(server, policies=["administrator"])
    bucket = new_bucket()
    server.client().put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = ask(server, strangers["administrator"], OPERATIONS[name], bucket)
    assert code_of(answer) == "InvalidObjectState" if name == "RestoreObject" else answer.status != 403, answer     # nothing is archived
    assert b"AccessDenied" not in answer.body


def test_a_tenants_administrator_is_shown_the_tenants_buckets_only(server, strangers, place):
    shown = strangers["another-tenant"].client(server).list_buckets()
    assert shown["Buckets"] == []
