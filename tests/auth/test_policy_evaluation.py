"""Verdicts: effects, principals, actions, resources, and the index that finds statements."""

from __future__ import annotations

import json

import pytest

from shared.auth.policy import NOTHING, Asking, Bundle, Who, evaluate, parse

ANN = Who("a" * 64, "arn:aws:iam::acme:user/ann", "ann", "acme")
BOB = Who("b" * 64, "arn:aws:iam:::user/bob", "bob", "")
EVE = Who("e" * 64, "arn:aws:iam::acme2:user/ann", "ann", "acme2")
KEY = "arn:aws:s3:::b/k"


def read(*statements, kind="identity", version="2012-10-17"):
    return parse(json.dumps({"Version": version, "Statement": statements}), kind)


def allow(action="*", resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action="*", resource="*", **more):
    return {**allow(action, resource, **more), "Effect": "Deny"}


def effect(documents, action="s3:GetObject", resource=KEY, who=ANN, **context):
    known = {name.replace("_", ":", 1): value for name, value in {"aws_username": (who.name,) if who else None, **context}.items()}
    documents = documents if isinstance(documents, list) else [documents]
    return evaluate([(f"d{number}", one) for number, one in enumerate(documents)], Asking(action, resource, who, known.get)).effect


def test_nothing_is_said_unless_a_statement_applies():
    assert evaluate([], Asking("s3:GetObject", KEY, ANN, {}.get)) == NOTHING
    assert effect(read(allow("s3:PutObject"))) == ""


@pytest.mark.parametrize("documents", [
    [read(allow(), deny())], [read(deny(), allow())], [read(allow()), read(deny())], [read(deny()), read(allow())],
    [read(allow(resource=KEY), deny("s3:Get*", "arn:aws:s3:::b*"))], [read(allow(), deny(resource=KEY))],
])
def test_a_deny_beats_every_allow(documents):
    assert effect(documents) == "deny"
    assert effect(documents[::-1]) == "deny"


def test_a_deny_that_does_not_apply_denies_nothing():
    assert effect(read(allow(), deny("s3:PutObject"), deny(resource="arn:aws:s3:::c/*"))) == "allow"
    assert effect(read(allow(), deny(Condition={"Bool": {"aws:SecureTransport": "false"}})),
        **{"aws_securetransport": ("true",)}) == "allow"


def test_the_reason_names_the_document_and_the_statement():
    named = read(allow("s3:Put*"), allow("s3:Get*", Sid="Readers"))
    asking = Asking("s3:GetObject", KEY, ANN, {}.get)
    assert evaluate([("team", named)], asking).reason == 'team: statement "Readers" allows'
    assert evaluate([("team", named), ("wall", read(allow(), deny()))], asking).reason == "wall: statement 2 denies"


@pytest.mark.parametrize(("pattern", "action", "meant"), [
    ("*", "s3:GetObject", True), ("*:*", "admin:CreateUser", True), ("s3:*", "s3:GetObject", True), ("s3:*", "admin:CreateUser", False),
    ("s3:getobject", "s3:GetObject", True), ("S3:GETOBJECT", "s3:GetObject", True), ("s3:Get*", "s3:GetObjectVersion", True),
    ("s3:GetObject", "s3:GetObjectVersion", False), ("s3:*Object", "s3:GetObjectVersion", False), ("s3:?etObject", "s3:GetObject", True),
    ("s3:GetObject?", "s3:GetObject", False), (["s3:Put*", "s3:Get*"], "s3:GetObject", True),
])
def test_actions(pattern, action, meant):
    assert effect(read(allow(pattern)), action) == ("allow" if meant else "")
    assert effect(read({"Effect": "Allow", "NotAction": pattern, "Resource": "*"}), action) == ("" if meant else "allow")


@pytest.mark.parametrize(("pattern", "resource", "meant"), [
    ("*", KEY, True), ("arn:aws:s3:::*", KEY, True), ("arn:aws:s3:::b", KEY, False), ("arn:aws:s3:::b", "arn:aws:s3:::b", True),
    ("arn:aws:s3:::b/*", KEY, True), ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False), ("arn:aws:s3:::b/*", "arn:aws:s3:::b/", True),
    ("arn:aws:s3:::b*", "arn:aws:s3:::bb/k", True), ("arn:aws:s3:::b/K", KEY, False), ("arn:aws:s3:::?/k", KEY, True),
    ("arn:aws:s3:::??/k", KEY, False),
    ("arn:aws:s3:::*/k", "arn:aws:s3:::b/x/k", True), ("arn:aws:s3:::b/*.jpg", "arn:aws:s3:::b/a.jpg.png", False),
    ("arn:aws:s3:::b/*/x/*", "arn:aws:s3:::b/1/x/2", True),
    ("arn:*:s3:::b/k", KEY, True), ("arn:aws:s3:*:*:b/k", KEY, True), ("arn:aws:s3::*:b/*", KEY, True), ("arn:aws:*:::b/k", KEY, True),
    ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x:y:z", True), ("arn:aws:s3:*:*:b/*:z", "arn:aws:s3:::b/x:y:z", True),
    ("arn:aws:s3:::b/*", "arn:aws:s3:::b/\n", True),
    ("arn:aws:s3:*:*:b/k", "arn:aws:s3:::a/x:b/k", False), ("arn:aws:s3:::b/[a]", "arn:aws:s3:::b/a", False),
    ("arn:aws:s3:::b/.*", "arn:aws:s3:::b/k", False),
    ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/*", True),
    ("arn:aws:s3:::b/${*}", KEY, False), ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/ann/k", True),
    ("arn:aws:s3:::b/${aws:username}/*", KEY, False),
    ("arn:aws:s3:::${aws:username}", "arn:aws:s3:::ann", True), ("arn:aws:s3:::b/${aws:team, 'all'}/*", "arn:aws:s3:::b/all/k", True),
    ("arn:maxiofs:::tenant/1/*", "arn:maxiofs:::tenant/1/user/2", True),
    ("arn:maxiofs:::tenant/1/*", "arn:maxiofs:::tenant/10/user/2", False),
    ("arn:maxiofs:::tenant/*/user/a:*", "arn:maxiofs:::tenant/1:2/user/a:b", True), ("arn:maxiofs:::tenant/1/*", KEY, False),
    ("arn:maxiofs:::tenant/1/user/${aws:username}", "arn:maxiofs:::tenant/1/user/ann", True),
])
def test_resources(pattern, resource, meant):
    assert effect(read(allow(resource=pattern)), resource=resource) == ("allow" if meant else "")
    assert effect(read(allow(resource=["arn:aws:s3:::other", pattern])), resource=resource) == ("allow" if meant else "")
    assert effect(read({"Effect": "Allow", "Action": "*", "NotResource": pattern}), resource=resource) == ("" if meant else "allow")


def test_before_2012_variables_in_resources_are_text():
    old = read(allow(resource="arn:aws:s3:::b/${aws:username}"), version="2008-10-17")
    assert effect(old, resource="arn:aws:s3:::b/ann") == ""
    assert effect(old, resource="arn:aws:s3:::b/${aws:username}") == "allow"
    assert effect(parse(json.dumps({"Statement": allow(resource="arn:aws:s3:::b/${aws:username}")}), "identity"),
        resource="arn:aws:s3:::b/ann") == ""


def test_a_name_with_wildcards_does_not_reach_into_others_folders():
    document = read(allow(resource="arn:aws:s3:::b/${aws:username}/*"))
    star = Who("c" * 64, "arn:aws:iam::acme:user/*", "*", "acme")
    assert effect(document, resource="arn:aws:s3:::b/ann/k", who=star) == ""
    assert effect(document, resource="arn:aws:s3:::b/*/k", who=star) == "allow"


def test_nobody_has_no_variables():
    assert effect(read(allow(resource="arn:aws:s3:::b/${aws:username}*")), who=None) == ""
    assert effect(read({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/${aws:username}"}), who=None) == ""
    assert effect(read({"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::b/${aws:username}"}), who=None) == "deny"


# ---- principals -------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("principal", "ann", "bob", "eve", "nobody"), [
    ("*", 1, 1, 1, 1), ({"AWS": "*"}, 1, 1, 1, 1), ({"AWS": ANN.arn}, 1, 0, 0, 0), ({"AWS": [BOB.arn, EVE.arn]}, 0, 1, 1, 0),
    ({"AWS": "arn:aws:iam::acme:root"}, 1, 0, 0, 0), ({"AWS": "acme"}, 1, 0, 0, 0), ({"AWS": "arn:aws:iam:::root"}, 0, 1, 0, 0),
    ({"CanonicalUser": EVE.canonical_id}, 0, 0, 1, 0), ({"AWS": BOB.canonical_id}, 0, 1, 0, 0), ({"AWS": "ann"}, 0, 0, 0, 0),
    ({"Service": "logging.s3.amazonaws.com"}, 0, 0, 0, 0), ({"Federated": "x"}, 0, 0, 0, 0),
    ({"AWS": "arn:aws:iam::acme:user/Ann"}, 0, 0, 0, 0),
    ({"AWS": ANN.arn, "CanonicalUser": BOB.canonical_id}, 1, 1, 0, 0), ({"CanonicalUser": "acme"}, 0, 0, 0, 0),
])
def test_principals(principal, ann, bob, eve, nobody):
    people = (ANN, BOB, EVE, None)
    listed = read(allow(Principal=principal), kind="resource")
    assert [effect(listed, who=who) for who in people] == ["allow" if one else "" for one in (ann, bob, eve, nobody)]
    others = read({"Effect": "Deny", "Action": "*", "Resource": "*", "NotPrincipal": principal}, kind="resource")
    assert [effect(others, who=who) for who in people] == ["" if one else "deny" for one in (ann, bob, eve, nobody)]


def test_a_tenant_named_like_a_canonical_id_is_not_meant_by_it():
    twin = Who("c" * 64, f"arn:aws:iam::{ANN.canonical_id}:user/eve", "eve", ANN.canonical_id)
    document = read(allow(Principal={"AWS": ANN.canonical_id}), kind="resource")
    assert (effect(document, who=twin), effect(document, who=ANN)) == ("", "allow")


@pytest.mark.parametrize(("principal", "meant"), [
    ("000000000012", 1), ("arn:aws:iam::000000000012:root", 1), ("arn:aws:iam::000000000012:user/ann", 1), (ANN.arn, 1),
    ("000000000013", 0), ("12", 0), ("arn:aws:iam::000000000012:user/Ann", 0), ("arn:aws:iam::000000000012:role/ann", 0),
    ("arn:aws:iam:::root", 0), ("arn:aws:iam:::user/ann", 0),
])
def test_an_account_is_also_its_number(principal, meant):
    document = read(allow(Principal={"AWS": principal}), kind="resource")
    assert effect(document, who=ANN._replace(number="000000000012")) == ("allow" if meant else "")
    assert effect(document, who=ANN) == ("allow" if principal == ANN.arn else "")      # of whom no digits are told, none mean


# ---- the index --------------------------------------------------------------------------------------------------------------------------

def test_a_bundle_finds_one_statement_among_thousands():
    statements = [[allow("s3:GetObject", f"arn:aws:s3:::b{document}/{number}/*",
        Sid=f"S{number}") for number in range(20)] for document in range(100)]
    bundle = Bundle((f"d{number}", read(*found)) for number, found in enumerate(statements))
    assert evaluate(bundle, Asking("s3:GetObject", "arn:aws:s3:::b73/11/k", ANN, {}.get)).reason == 'd73: statement "S11" allows'
    assert evaluate(bundle, Asking("s3:GetObject", "arn:aws:s3:::b73/111/k", ANN, {}.get)) == NOTHING
    assert evaluate(bundle, Asking("s3:PutObject", "arn:aws:s3:::b73/11/k", ANN, {}.get)) == NOTHING


def test_a_bundle_looks_only_at_statements_that_may_apply():
    """Their number does not count, so a request's cost does not grow with the policies of others."""
    asked = []

    def context(key):
        asked.append(key)
        return ("no",)

    statements = [
        allow("s3:GetObject", f"arn:aws:s3:::b/{number}/*",
            Condition={"StringEquals": {f"aws:PrincipalTag/{number}": "yes"}}) for number in range(90)
    ]
    bundle = Bundle([("d", read(*statements))])
    evaluate(bundle, Asking("s3:GetObject", "arn:aws:s3:::b/42/k", ANN, context))
    assert asked == ["aws:principaltag/42"]


def test_a_pattern_of_many_stars_takes_linear_time():
    """A matcher that tries again at each star would never end here."""
    pattern = "arn:aws:s3:::b/" + "a*" * 4_000 + "b"
    assert effect(read(allow(resource=pattern)), resource="arn:aws:s3:::b/" + "a" * 1_000) == ""
    pattern = "arn:aws:s3:::b/" + "*?a" * 300 + "*b"
    assert effect(read(allow(resource=pattern)), resource="arn:aws:s3:::b/" + "a" * 1_000) == ""
