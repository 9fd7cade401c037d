"""The evaluator against a slow one written from the documentation: random documents, random requests, the same answer."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st
from policy_reference import effect_of

from shared.auth.policy import Asking, Bundle, Who, evaluate, parse
from shared.auth.policy.operators import OPERATORS

ANN = Who("a" * 64, "arn:aws:iam::acme:user/ann", "ann", "acme")
BOB = Who("b" * 64, "arn:aws:iam:::user/bob", "bob", "")
PEOPLE = (None, ANN, BOB, ANN._replace(number="000000000012"), BOB._replace(number="000000000000"))

ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:GetObjectVersion", "s3:ListBucket", "admin:CreateUser")
ACTION_PATTERNS = ("*", "s3:*", "S3:getobject", "s3:Get*", "s3:?etObject", "s3:*Object*", "admin:*", "s3:PutObject", "*:*", "s3:ListBucket")
NAMES = ("b", "b/", "b/k", "b/kk", "b/a*", "b/ann/k", "b/x:y", "bb", "b/$", "b/a?", "*", "bb/x:b/k")
RESOURCES = (*(f"arn:aws:s3:::{name}" for name in NAMES), "arn:maxiofs:::tenant/1/user/2")
IN_PATTERN = ("b", "/", "k", "*", "?", "${aws:username}", "${*}", "${?}", "${$}", "${s3:prefix, 'k'}", "a", ":", "x", "${aws:TagKeys}")

VALUES = {
    "String": ("k", "K", "", "ann", "*", "k*", "?", "${aws:username}", "${*}", "${s3:prefix, 'k'}", "a${?}", "kk"),
    "Numeric": ("1", "1.0", "2", "-1", "10", "0.5"),
    "Date": ("2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "1767225600", "2025", "2026-06-01T00:00:00.5Z"),
    "Bool": ("true", "false", "True"),
    "Binary": ("aw==", "YWI="),
    "IpAddress": ("10.0.0.0/8", "10.1.2.3", "10.1.2.3/24", "2001:db8::/32", "0.0.0.0/0", "::1"),
    "Arn": ("arn:aws:iam::acme:user/ann", "arn:aws:iam::*:user/*", "arn:*:iam::acme:user/${aws:username}", "*", "arn:aws:iam::ac?e:*"),
    "Null": ("true", "false"),
}
ASKED = {
    "String": ("k", "K", "", "ann", "*", "kk", "a?"),
    "Numeric": ("1", "2", "1.00", "x", "9"),
    "Date": ("2026-01-01T00:00:00Z", "1767225600", "2026-05-31T23:59:59Z", "never"),
    "Bool": ("true", "false", "TRUE"),
    "Binary": ("aw==", "YWI="),
    "IpAddress": ("10.1.2.3", "10.1.2.77", "2001:db8::7", "192.0.2.1", "::1", "unknown"),
    "Arn": ("arn:aws:iam::acme:user/ann", "arn:aws:iam::acme:user/bob:x", "arn:aws:sns::acme:t", "x"),
    "Null": ("", "k"),
}
KEYS = {
    "String": "s3:prefix", "Numeric": "s3:max-keys", "Date": "aws:CurrentTime", "Bool": "aws:SecureTransport", "Binary": "s3:x-bytes",
    "IpAddress": "aws:SourceIp", "Arn": "aws:PrincipalArn", "Null": "s3:VersionId",
}


def family(operator):
    return next(name for name in KEYS if name in operator.replace("Not", ""))


def some(values):
    """One of the values, or a list of them."""
    return st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=3))


patterns = st.lists(st.sampled_from(IN_PATTERN), max_size=6).map(lambda parts: "arn:aws:s3:::b" + "".join(parts))
resource = st.one_of(patterns,
    st.sampled_from(("*", "arn:*:s3:*:*:b/*", "arn:aws:s3:*:*:b/k", "arn:aws:s3:::*", "arn:maxiofs:::tenant/1/*", *RESOURCES[:4])))
resources = st.one_of(resource, st.lists(resource, min_size=1, max_size=3))


@st.composite
def condition(draw):
    found = {}
    for operator in draw(st.lists(st.sampled_from(sorted(OPERATORS)), max_size=2, unique=True)):
        kind = family(operator)
        name = operator
        if operator != "Null":
            name = draw(st.sampled_from(("", "", "ForAllValues:", "ForAnyValue:"))) + operator + draw(st.sampled_from(("", "", "IfExists")))
        key = KEYS[kind] if kind != "String" else draw(st.sampled_from(("s3:prefix", "aws:TagKeys", "AWS:UserName")))
        found[name] = {key: draw(some(VALUES[kind]))}
    return found


@st.composite
def statement(draw, kind):
    effect = draw(st.sampled_from(("Allow", "Allow", "Deny")))
    found = {"Effect": effect}
    if kind == "resource":
        names = some((ANN.arn, BOB.arn, ANN.canonical_id, "acme", "arn:aws:iam:::root", "arn:aws:iam::acme:root", "*", "000000000012",
                      "arn:aws:iam::000000000000:root", "arn:aws:iam::000000000012:user/ann", "arn:aws:iam::000000000012:user/bob"))
        principal = st.one_of(st.just("*"), st.fixed_dictionaries({"AWS": names}), st.just({"CanonicalUser": BOB.canonical_id}))
        found[draw(st.sampled_from(("Principal", "NotPrincipal"))) if effect == "Deny" else "Principal"] = draw(principal)
    found[draw(st.sampled_from(("Action", "Action", "NotAction")))] = draw(some(ACTION_PATTERNS))
    target = resources if kind == "identity" else resources.filter(lambda value: "maxiofs" not in str(value))
    found[draw(st.sampled_from(("Resource", "Resource", "NotResource")))] = draw(target)
    found |= {"Condition": found_condition} if (found_condition := draw(condition())) else {}
    return found


@st.composite
def document(draw, kind):
    statements = draw(st.lists(statement(kind), min_size=1, max_size=4))
    version = draw(st.sampled_from(({"Version": "2012-10-17"}, {"Version": "2012-10-17"}, {"Version": "2008-10-17"}, {})))
    return {**version, "Statement": statements[0] if len(statements) == 1 else statements}


@st.composite
def contexts(draw):
    found = {"aws:username": draw(st.sampled_from((("ann",), ("k",), ("*",), ())))}
    for kind, key in KEYS.items():
        found[key.lower()] = tuple(draw(st.lists(st.sampled_from(ASKED[kind]), max_size=2)))
    found["aws:tagkeys"] = tuple(draw(st.lists(st.sampled_from(ASKED["String"]), max_size=3)))
    return found


def agree(kind, texts, action, resource, who, context):
    """Both evaluators say the same, and a bundle the same as a plain list."""
    documents = [(f"d{number}", parse(text, kind)) for number, text in enumerate(texts)]
    asking = Asking(action, resource, who, lambda key: context.get(key) or None)
    wanted = effect_of([json.loads(text) for text in texts], action, resource, who, context.get)
    verdict = evaluate(documents, asking)
    assert verdict.effect == wanted, verdict
    assert evaluate(Bundle(documents), asking) == verdict
    assert bool(wanted) == verdict.reason.startswith("d")


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(("identity", "resource")), st.sampled_from(ACTIONS), st.sampled_from(RESOURCES), st.sampled_from(PEOPLE),
    contexts())
def test_random_documents(data, kind, action, resource, who, context):
    documents = data.draw(st.lists(document(kind), min_size=1, max_size=3))
    agree(kind, [json.dumps(one) for one in documents], action, resource, who, context)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from("ab*?"), max_size=9).map("".join), st.text("abc", max_size=9))
@example("*a*b*", "ccacbc")
@example("a?*?b", "aaab")
@example("?", "\n")
@example("*ab*ba*", "abac")
@example("a*a", "a")
def test_wildcards(pattern, text):
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::x" + pattern}}
    agree("identity", [json.dumps(policy)], "s3:GetObject", "arn:aws:s3:::x" + text, None, {})


@settings(max_examples=500, deadline=None)
@given(condition().filter(bool), st.sampled_from(("Allow", "Deny")), contexts())
def test_conditions(condition, effect, context):
    policy = {"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": "*", "Resource": "*", "Condition": condition}}
    agree("identity", [json.dumps(policy)], "s3:GetObject", "arn:aws:s3:::b/k", ANN, context)
