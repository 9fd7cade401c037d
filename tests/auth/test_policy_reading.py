"""Reading policies: what is a document, where a fault is, what is warned of, and that no text whatever does harm."""

from __future__ import annotations

import json
import re
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import condition_keys
from shared.auth.policy import MAX_BYTES, PolicyError, parse
from shared.auth.policy.actions import ADMIN, KEYS
from shared.registry import load
from shared.settings import ROOT

GOOD = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
ANYONE = {**GOOD, "Principal": "*"}


def policy(statement, **top):
    return json.dumps({"Version": "2012-10-17", **top, "Statement": statement})


def refused(text, kind="identity"):
    with pytest.raises(PolicyError) as caught:
        parse(text, kind)
    assert str(caught.value) == f"{caught.value.message} (line {caught.value.line}, column {caught.value.column})"
    return caught.value


def test_a_document_is_read():
    document = parse(policy([{**GOOD, "Sid": "one"}, GOOD], Id="mine"), "identity")
    assert (document.version, document.id, [statement.label for statement in document.statements]) == (
        "2012-10-17", "mine", ['statement "one"', "statement 2"],
    )
    assert document.warnings == ()


@pytest.mark.parametrize("text", [
    policy(GOOD), policy([GOOD]), "\ufeff" + policy(GOOD), " \r\n\t" + policy(GOOD) + "\n",
    policy({**GOOD, "Sid": ""}), policy([{**GOOD, "Sid": ""}, {**GOOD, "Sid": ""}]),
    policy({**GOOD, "Action": ["s3:Get*", "S3:PUTOBJECT", "*", "*:*"]}), policy({**GOOD, "Resource": ["*", "arn:*:s3:*:*:b?/*"]}),
    policy({**GOOD, "Condition": {}}), policy({**GOOD, "Condition": {"StringEquals": {}}}),
    policy({**GOOD, "Resource": "arn:maxiofs:::tenant/1/*"}),
    policy({**GOOD, "Condition": {"Bool": {"aws:SecureTransport": False}, "NumericLessThan": {"s3:max-keys": 10}}}),
    json.dumps({"Statement": GOOD}), policy(GOOD).replace("GetObject", "Get\\u004fbject"),
])
def test_these_are_documents(text):
    assert parse(text, "identity").statements


@pytest.mark.parametrize("principal", [
    "*", {"AWS": "*"}, {"AWS": ["arn:aws:iam::acme:user/ann", "arn:aws:iam:::user/bob"]}, {"AWS": "acme"}, {"AWS": "arn:aws:iam::1:root"},
    {"CanonicalUser": "a" * 64}, {"AWS": "arn:aws:iam::acme:role/r"}, {"AWS": "arn:aws:sts::acme:assumed-role/r/s"},
])
def test_these_are_principals(principal):
    assert parse(policy({**GOOD, "Principal": principal}), "resource").warnings == ()


# Text with a mark where the fault must be shown.
@pytest.mark.parametrize("marked", [
    "¤", "¤[]", "¤1", '¤"x"', "¤null", "{¤", '{"a"¤}', '{"a":¤}', '{"a":1¤', '{"a":1,¤}', "{}¤x", "[1 ¤2]", '¤"abc', '"¤\n"', '"¤\\x"',
    '"¤\\u12"',
    '"¤\\ud800"', '"\\ud800¤\\u0041"', '"¤\\udc00"', "{¤'a': 1}", "¤NaN", "¤-", '{"Version":1,\n ¤"Version":2}', "¤{}",
    '{"Version":¤"2013-01-01","Statement":[]}', '{"Version":¤2012,"Statement":[]}', '{"Statement":¤[]}', '{"Statement":[¤1]}',
    '{"Statement":[¤{}]}', '{¤"Statements":[]}', '{"Statement":[],¤"version":"2012-10-17"}', '{"Id":¤7,"Statement":[]}',
    '{"Statement":{¤"effect":"Allow"}}', '{"Statement":{"Effect":¤"allow"}}', '{"Statement":{"Effect":¤true}}',
    '{"Statement":¤{"Effect":"Allow"}}', '{"Statement":¤{"Effect":"Allow","Action":"*"}}',
    '{"Statement":{"Effect":"Allow","Action":¤[],"Resource":"*"}}',
    '{"Statement":{"Effect":"Allow","Action":["s3:*",¤"GetObject"],"Resource":"*"}}',
    '{"Statement":{"Effect":"Allow","Action":¤"s3:","Resource":"*"}}', '{"Statement":{"Effect":"Allow","Action":¤"s3:a b","Resource":"*"}}',
    '{"Statement":{"Effect":"Allow","Action":"*",¤"NotAction":"*","Resource":"*"}}',
    '{"Statement":{"Effect":"Allow","Action":"*","NotResource":"*",\n¤"Principal":"*"}}',
    '{"Statement":{"Effect":"Allow","Action":"*","Resource":"*",¤"NotResource":"*"}}',
    '{"Statement":{"Effect":"Allow","Action":"*","Resource":¤"bucket/*"}}',
    '{"Statement":{"Effect":"Allow","Action":"*","Resource":¤"arn:aws:s3:::"}}',
    '{"Statement":{"Effect":"Allow","Action":"*","Resource":[¤"arn:aws:s3"]}}',
    '{"Statement":{"Effect":"Allow","Action":"*","Resource":[¤{}]}}',
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":¤"arn:aws:s3:::b/${aws:username"}}',
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":¤"arn:aws:s3:::b/${}"}}',
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":¤"arn:aws:s3:::b/${a:b, c}"}}',
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":¤"arn:aws:s3::${a:b}:b"}}',
    '{"Statement":{"Effect":"Allow","Sid":¤1,"Action":"*","Resource":"*"}}',
    '{"Statement":[{"Effect":"Allow","Sid":"x","Action":"*","Resource":"*"},\n{"Sid":¤"x","Effect":"Deny","Action":"*","Resource":"*"}]}',
])
def test_a_fault_is_shown_where_it_is(marked):
    before, _, after = marked.partition("¤")
    fault = refused(before + after)
    assert (fault.line, fault.column) == (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1), fault


@pytest.mark.parametrize("condition", [
    "¤[]", "¤1", '{¤"Equals":{}}', '{¤"stringequals":{}}', '{"StringEquals":¤[]}', '{"StringEquals":{¤"prefix":"a"}}',
    '{"StringEquals":{"s3:prefix":¤[]}}', '{"StringEquals":{"s3:prefix":[¤null]}}', '{"StringEquals":{"s3:prefix":¤{}}}',
    '{¤"ForSome:StringEquals":{"a:b":"c"}}', '{¤"NullIfExists":{"a:b":"true"}}', '{¤"ForAnyValue:Null":{"a:b":"true"}}',
    '{"Null":{"a:b":¤"yes"}}', '{"Bool":{"a:b":[true,¤1]}}', '{"NumericEquals":{"a:b":¤"ten"}}', '{"NumericEquals":{"a:b":¤"1e999"}}',
    '{"DateLessThan":{"a:b":¤"tomorrow"}}', '{"DateLessThan":{"a:b":¤"2026-13-01"}}', '{"IpAddress":{"a:b":¤"10.0.0.0/33"}}',
    '{"IpAddress":{"a:b":¤"10.0.0.0/255.0.0.0"}}', '{"IpAddress":{"a:b":¤"host"}}', '{"BinaryEquals":{"a:b":¤"?"}}',
    '{"ArnLike":{"a:b":¤"user/x"}}',
    '{"ArnLike":{"a:b":¤"arn:aws:sns:*:topic"}}', '{"ArnLike":{"a:b":¤"arn:aws:sns:${aws:x}:topic"}}',
    '{"StringLike":{"a:b":¤"${x"}}', '{"StringEquals":{"a:b":"c"},\n ¤"StringEquals":{"a:b":"d"}}',
])
def test_a_fault_in_a_condition_is_shown_where_it_is(condition):
    test_a_fault_is_shown_where_it_is(
        '{"Version":"2012-10-17",\n"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":' + condition + "}}"
    )


@pytest.mark.parametrize("principal", [
    "¤[]", '¤"acme"', "¤null", "¤{}", '{¤"aws":"*"}', '{"AWS":¤[]}', '{"AWS":¤1}', '{"AWS":¤""}', '{"AWS":¤"arn:aws:iam::acme:user/*"}',
    '{"AWS":["*",¤"arn:aws:iam::acme:group/g"]}', '{"AWS":¤"arn:aws:s3:::b"}', '{"CanonicalUser":¤"*"}',
])
def test_a_fault_in_a_principal_is_shown_where_it_is(principal):
    before, _, after = principal.partition("¤")
    start = '{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":'
    fault = refused(f"{start}{before}{after}}}}}", "resource")
    assert (fault.line, fault.column) == (1, len(start + before) + 1), fault


def test_a_bucket_policy_names_principals_and_s3_only():
    assert "Principal" in refused(policy(GOOD), "resource").message
    assert "S3" in refused(policy({**ANYONE, "Resource": "arn:maxiofs:::tenant/1/user/2"}), "resource").message
    assert "S3" in refused(policy({**ANYONE, "Resource": "arn:aws:sqs:::q"}), "resource").message
    assert "Principal" in refused(policy(ANYONE), "identity").message


def test_not_principal_goes_with_deny_only():
    others = {"NotPrincipal": {"AWS": "arn:aws:iam::acme:user/ann"}}
    assert "NotPrincipal" in refused(policy({**GOOD, **others}), "resource").message
    assert parse(policy({**GOOD, **others, "Effect": "Deny"}), "resource").statements
    assert "either" in refused(policy({**ANYONE, **others, "Effect": "Deny"}), "resource").message


@pytest.mark.parametrize(("change", "words"), [
    ({"Action": ["s3:GetObjcet"]}, "s3:GetObjcet"), ({"Action": "admin:UpdateUsr"}, "admin:UpdateUsr"),
    ({"Action": "admin:X*"}, "admin:X*"), ({"Action": "iam:*"}, "iam:*"), ({"Action": "s3:Fetch*"}, "s3:Fetch*"),
    ({"Condition": {"StringEquals": {"aws:Usename": "x"}}}, "aws:Usename"),
    ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b"}, "objects"), ({"Action": "s3:ListBucket"}, "buckets"),
])
def test_what_can_have_no_effect_is_warned_of(change, words):
    text = policy({**GOOD, **change}).replace(", ", ",\n")
    (warning,) = parse(text, "identity").warnings
    assert words in str(warning)
    line = text.splitlines()[warning.line - 1]
    assert line[warning.column - 1] in '"['


@pytest.mark.parametrize("change", [
    {"Action": ["s3:*", "admin:CreateUser", "admin:*", "*", "a*:*".replace("a*", "*")]}, {"Action": "S3:GETOBJECT"},
    {"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "arn:aws:s3:::b*"}, {"Action": "s3:ListBucket", "Resource": "*"},
    {"Condition": {"StringEquals": {"S3:ExistingObjectTag/x": "y", "AWS:SourceIP": "z"}}},
    {"Action": "s3:ListBucket", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]},
])
def test_what_is_sound_is_not_warned_of(change):
    assert parse(policy({**GOOD, **change}), "identity").warnings == ()


def test_every_action_that_a_function_needs_is_known():
    needed = {action for function in load().values() if not callable(function.allow) for action in function.allow if ":" in action}
    modules = [file.read_text("utf-8") for file in (ROOT / "functions" / "admin").glob("*.py")]
    inside = {action for module in modules for action in re.findall(r'"(admin:\w+)"', module)}
    assert {f"admin:{name}" for name in ADMIN} == inside, "shared/auth/policy/actions.py has what the admin API asks for, and no more"
    assert len(needed) > 20
    for action in sorted(needed | inside):
        warnings = parse(policy({**GOOD, "Action": action, "Resource": "*"}), "identity").warnings
        assert warnings == (), f"{action} is missing in shared/auth/policy/actions.py"


def test_the_condition_keys_that_requests_have_are_those_that_are_known():
    of_resources = {"maxiofs:bucketowner", "s3:requestobjecttagkeys", "s3:resourceaccount", "s3:versionid"}
    assert set(condition_keys._SINGLE) | of_resources | {key for key in KEYS if key.startswith(condition_keys.LOCK)} == KEYS


def test_a_service_is_nobody_here_and_warned_of():
    (warning,) = parse(policy({**GOOD, "Principal": {"Service": "logging.s3.amazonaws.com"}}), "resource").warnings
    assert "Service" in warning.message


def test_the_limit_is_in_bytes():
    text = policy(GOOD)
    assert parse(text + " " * (MAX_BYTES - len(text)), "identity")
    assert "larger" in refused(text + " " * (MAX_BYTES - len(text) + 1)).message
    assert "larger" in refused(policy({**GOOD, "Sid": "é" * 10_300}).replace("\\u00e9", "é")).message


def test_deep_nesting_is_refused():
    assert "nested" in refused("[" * 10_000).message
    assert "nested" in refused('{"a":' * 3_000).message


def test_half_a_surrogate_pair_is_refused():
    fault = refused('{\n"\ud800"}')
    assert (fault.line, fault.column) == (2, 2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["Allow", "*", "s3:*", "arn:aws:s3:::b", "${",
        "${a:b}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text() | st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Principal", "Condition", "AWS", "StringLike",
            "s3:prefix"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)


def harmless(text):
    for kind in ("identity", "resource"):
        try:
            parse(text, kind)
        except PolicyError as fault:
            assert 1 <= fault.line <= text.count("\n") + 1
            assert 1 <= fault.column <= len(text) + 1


@settings(max_examples=300, deadline=2000)
@given(json_values)
def test_any_json_is_a_policy_or_a_policy_error(value):
    harmless(json.dumps(value))
    harmless(json.dumps({"Version": "2012-10-17", "Statement": [value, GOOD]}))
    harmless(policy({**ANYONE, "Condition": value}))
    harmless(policy({**GOOD, "Principal": value}))


@settings(max_examples=300, deadline=2000)
@given(st.one_of(st.text(), st.text(string.printable), st.text('{}[]":,\\u0123456789tfn ')))
def test_any_text_is_a_policy_or_a_policy_error(text):
    harmless(text)


@settings(max_examples=300, deadline=2000)
@given(st.data())
def test_a_damaged_policy_is_a_policy_or_a_policy_error(data):
    text = policy({**ANYONE, "Sid": "x",
        "Condition": {"StringLike": {"s3:prefix": ["a*", "${aws:username, 'b'}"]}, "DateLessThan": {"a:b": "2026"}}})
    at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 5))
    harmless(text[:at] + data.draw(st.text(max_size=3)) + text[at + length :])


@pytest.mark.parametrize("text", [
    '"' + "\\u0041" * 3_400, "[" + "1," * 10_000, '"' + "a" * 20_000, "9" * 20_000, "{" + '"a":1,' * 3_300, " " * 20_000, "-" * 20_000,
    "1e" + "9" * 19_000,
    policy({**GOOD, "Action": ["s3:" + "*a" * 4_000]}), policy({**GOOD, "Action": ["s3:*"] * 2_000}),
    policy({**GOOD, "Action": "s3:" + "*?" * 9_000}),
    policy({**GOOD, "Resource": "arn:aws:s3:::" + "${a:b}" * 3_000}), policy({**GOOD, "Resource": "arn:aws:s3:::" + "${" * 9_000}),
    policy({**GOOD, "Resource": ["arn:aws:s3:::" + "*?" * 20] * 300}), policy([{"Effect": "Allow", "Action": "*", "Resource": "*"}] * 300),
    policy({**GOOD, "Condition": {"NumericEquals": {"a:b": "9" * 18_000}}}),
    policy({**GOOD, "Condition": {"DateEquals": {"a:b": "9" * 18_000}}}),
    policy({**GOOD, "Condition": {"IpAddress": {"a:b": ":" * 18_000}}}),
    policy({**GOOD, "Condition": {"StringLike": {"a:b": ["*"] * 3_000}}}),
])
def test_no_text_takes_long(text):
    before = time.process_time()
    harmless(text)
    assert time.process_time() - before < 2
