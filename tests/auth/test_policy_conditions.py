"""Condition operators, one by one, as the documentation describes them."""

from __future__ import annotations

import json

import pytest

from shared.auth.policy import Asking, Who, evaluate, parse

ANN = Who("a" * 64, "arn:aws:iam::acme:user/ann", "ann", "acme")


def holds(operator, wanted, values, *, effect="Allow", version="2012-10-17", key="s3:prefix", **context):
    """Whether a condition is met when the request has these values for the key (None: no such key)."""
    statement = {"Effect": effect, "Action": "*", "Resource": "*", "Condition": {operator: {key: wanted}}}
    document = parse(json.dumps({"Version": version, "Statement": statement}), "identity")
    known = {"aws:username": ("ann",), key.lower(): values, **{name.replace("__", ":"): value for name, value in context.items()}}
    return evaluate([("d", document)], Asking("s3:ListBucket", "arn:aws:s3:::b", ANN, known.get)).effect != ""


@pytest.mark.parametrize(("operator", "wanted", "value", "met"), [
    ("StringEquals", "a", "a", True), ("StringEquals", "a", "A", False), ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", "*", "a", False),
    ("StringEquals", "", "", True), ("StringEquals", 10, "10", True), ("StringEquals", True, "true", True),
    ("StringEquals", 1.50, "1.5", True),
    ("StringNotEquals", "a", "b", True), ("StringNotEquals", ["a", "b"], "b", False), ("StringNotEquals", ["a", "b"], "c", True),
    ("StringEqualsIgnoreCase", "Straße", "STRASSE", True), ("StringEqualsIgnoreCase", "a", "b", False),
    ("StringNotEqualsIgnoreCase", "a", "A", False), ("StringNotEqualsIgnoreCase", "a", "b", True),
    ("StringLike", "home/*", "home/", True), ("StringLike", "home/*", "home", False), ("StringLike", "h?me", "home", True),
    ("StringLike", "HOME*", "home", False), ("StringLike", "*", "", True), ("StringLike", "?", "", False),
    ("StringLike", "a*b*c", "aXbXc", True),
    ("StringLike", "a*a", "a", False), ("StringNotLike", "home/*", "home/x", False), ("StringNotLike", "home/*", "x", True),
    ("StringLike", "*", "line\nline", True), ("StringLike", "a?b", "a\nb", True),
    ("NumericEquals", "10", "10.0", True), ("NumericEquals", 10, "+10", True), ("NumericNotEquals", "10", "11", True),
    ("NumericNotEquals", 1, "1", False),
    ("NumericLessThan", "10", "9", True), ("NumericLessThan", "10", "10", False), ("NumericLessThanEquals", "10", "10", True),
    ("NumericLessThan", "10", "9.99999999999999999999", True), ("NumericGreaterThan", "10", "9", False),
    ("NumericGreaterThan", "-1", "0", True),
    ("NumericGreaterThanEquals", "10", "10", True), ("NumericLessThan", "10", "ten", False), ("NumericNotEquals", "10", "ten", True),
    ("NumericEquals", "10", " 10", False), ("NumericLessThan", "10", "NaN", False), ("NumericLessThan", "1e2", "99", True),
    ("NumericEquals", 1e2, "100", True),
    ("DateEquals", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z", True), ("DateEquals", "2026-11-23", "2026-11-23T00:00:00Z", True),
    ("DateEquals", "2026", "2026-01-01", True), ("DateEquals", "2026-11-23T13:00:00+01:00", "2026-11-23T12:00Z", True),
    ("DateEquals", "1795435200", "2026-11-23T12:00:00Z", True), ("DateEquals", 1795435200, "2026-11-23T07:00:00.000-0500", True),
    ("DateNotEquals", "2026", "2027", True), ("DateLessThan", "2026-11-23T12:00:00.5Z", "2026-11-23T12:00:00.499999Z", True),
    ("DateLessThan", "2026-11-23", "2026-11-23", False), ("DateLessThanEquals", "2026-11-23", "2026-11-23", True),
    ("DateGreaterThan", "2026-11-23", "2026-11-24", True), ("DateGreaterThanEquals", "2026-11-23", "2026-11-22", False),
    ("DateGreaterThan", "2026-11-23", "soon", False), ("DateLessThan", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", True),
    ("Bool", "true", "true", True), ("Bool", True, "TRUE", True), ("Bool", "False", "false", True), ("Bool", "true", "false", False),
    ("Bool", "true", "1", False),
    ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True), ("BinaryEquals", "QmluYXJ5", "Qmlu", False), ("BinaryEquals", "QmluYXJ5", "!", False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.77", True), ("IpAddress", "203.0.113.0/24", "203.0.114.1", False),
    ("IpAddress", "10.1.2.3", "10.1.2.3", True),
    ("IpAddress", "10.1.2.3", "10.1.2.4", False), ("IpAddress", ["10.0.0.0/8", "2001:db8::/32"], "2001:db8:7::1", True),
    ("IpAddress", "10.9.9.9/8", "10.1.1.1", True),
    ("IpAddress", "::/0", "10.1.1.1", False), ("IpAddress", "10.0.0.0/8", "::ffff:10.1.1.1", True),
    ("IpAddress", "::ffff:10.0.0.0/104", "10.1.1.1", True),
    ("IpAddress", "10.0.0.0/8", "unknown", False), ("NotIpAddress", "10.0.0.0/8", "10.1.1.1", False),
    ("NotIpAddress", "10.0.0.0/8", "192.0.2.1", True),
    ("IpAddress", "::1", "0:0::1", True),
    ("ArnEquals", "arn:aws:sns:*:123:topic", "arn:aws:sns:eu:123:topic", True),
    ("ArnLike", "arn:aws:sns:*:123:t?pic*", "arn:aws:sns:eu:123:topic:x", True),
    ("ArnEquals", "arn:aws:sns:*::topic", "arn:aws:sns:eu:123:topic", False), ("ArnEquals", "${aws:username}", "ann", True),
    ("ArnLike", "arn:aws:sns:*:topic:x", "arn:aws:sns:eu:123:topic:x", False), ("StringLike", "*ab*ba*", "abac", False),
    ("ArnLike", "arn:aws:s3:::b*", "arn:aws:s3:::b/k:k", True),
    ("ArnNotEquals", "arn:aws:s3:::b", "arn:aws:s3:::b", False), ("ArnNotLike", "arn:aws:s3:::b", "arn:aws:s3:::c", True),
    ("ArnLike", "*", "arn:aws:s3:::c", True),
    ("ArnLike", "arn:aws:s3:*:*:b", "arn:aws:s3:x", False), ("ArnEquals", "arn:aws:iam::acme:user/${aws:username}", ANN.arn, True),
])
def test_one_value(operator, wanted, value, met):
    assert holds(operator, wanted, (value,)) is met


@pytest.mark.parametrize(("operator", "met"), [
    ("StringEquals", False), ("StringNotEquals", True), ("StringLike", False), ("StringNotLike", True), ("StringEqualsIfExists", True),
    ("StringNotEqualsIfExists", True), ("ForAllValues:StringEquals", True), ("ForAnyValue:StringEquals", False),
    ("ForAllValues:StringNotEquals", True),
    ("ForAnyValue:StringNotEquals", False), ("ForAnyValue:StringEqualsIfExists", True), ("ForAllValues:StringLikeIfExists", True),
])
@pytest.mark.parametrize("nothing", [None, ()])
def test_a_key_the_request_lacks(operator, met, nothing):
    assert holds(operator, "a", nothing) is met


@pytest.mark.parametrize(("operator", "wanted", "met"), [
    ("NumericNotEquals", "1", True), ("DateNotEquals", "2026", True), ("NotIpAddress", "10.0.0.0/8", True),
    ("ArnNotLike", "arn:aws:s3:::b", True),
    ("NumericLessThan", "1", False), ("DateLessThan", "2026", False), ("IpAddress", "10.0.0.0/8", False), ("ArnLike", "*", False),
    ("Bool", "false", False),
    ("BinaryEquals", "aw==", False), ("BoolIfExists", "true", True), ("IpAddressIfExists", "10.0.0.0/8", True),
    ("NumericLessThanIfExists", 1, True),
    ("Null", "true", True), ("Null", "false", False), ("Null", True, True), ("Null", ["true", "false"], True),
])
def test_a_key_the_request_lacks_for_the_other_kinds(operator, wanted, met):
    assert holds(operator, wanted, None) is met


def test_null_asks_whether_the_key_is_there():
    assert holds("Null", "false", ("",)) and not holds("Null", "true", ("",))


@pytest.mark.parametrize(("operator", "values", "met"), [
    ("ForAllValues:StringEquals", ("a", "b"), True), ("ForAllValues:StringEquals", ("a", "c"), False),
    ("ForAllValues:StringEquals", ("", ""), True),
    ("ForAnyValue:StringEquals", ("c", "a"), True), ("ForAnyValue:StringEquals", ("c", "d"), False),
    ("ForAnyValue:StringEquals", ("",), False),
    ("ForAllValues:StringNotEquals", ("c", "d"), True), ("ForAllValues:StringNotEquals", ("a", "d"), False),
    ("ForAnyValue:StringNotEquals", ("a", "d"), True), ("ForAnyValue:StringNotEquals", ("a", "b"), False),
    ("StringEquals", ("c", "a"), True), ("StringNotEquals", ("c", "a"), False), ("StringNotEquals", ("c", "d"), True),
    ("ForAllValues:StringEqualsIfExists", ("a", "c"), False),
])
def test_several_values(operator, values, met):
    assert holds(operator, ["a", "b"], values) is met


def test_keys_and_operators_all_count_and_values_are_alternatives():
    def effect(**context):
        condition = {"StringEquals": {"s3:prefix": ["a", "b"], "s3:delimiter": "/"}, "NumericLessThan": {"s3:max-keys": 10}}
        text = json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}})
        known = {f"s3:{name.replace('_', '-')}": (value,) for name, value in context.items()}
        return evaluate([("d", parse(text, "identity"))], Asking("s3:ListBucket", "arn:aws:s3:::b", ANN, known.get)).effect

    assert effect(prefix="b", delimiter="/", max_keys="9") == "allow"
    assert effect(prefix="c", delimiter="/", max_keys="9") == ""
    assert effect(prefix="b", delimiter="-", max_keys="9") == ""
    assert effect(prefix="b", delimiter="/", max_keys="10") == ""


def test_keys_are_the_same_in_any_case():
    assert holds("StringEquals", "a", ("a",), key="S3:PREFIX")
    assert holds("StringEquals", "a", ("a",), key="s3:ExistingObjectTag/Project")


@pytest.mark.parametrize(("operator", "wanted", "value", "met"), [
    ("StringEquals", "${aws:username}", "ann", True), ("StringEquals", "${AWS:UserName}/x", "ann/x", True),
    ("StringLike", "${aws:username}/*", "ann/y", True),
    ("StringEquals", "${*}${?}${$}", "*?$", True), ("StringLike", "${*}", "x", False), ("StringLike", "a${*}", "a*", True),
    ("StringEquals", "${aws:none, 'dflt'}", "dflt", True), ("StringEquals", "${aws:none,''}", "", True),
    ("StringEquals", "${aws:username, 'x'}", "ann", True),
    ("StringEquals", "$aws", "$aws", True), ("StringEquals", "${aws:none}", "${aws:none}", False),
    ("StringEqualsIgnoreCase", "${aws:username}", "ANN", True),
    ("StringNotEquals", "${aws:username}", "bob", True), ("StringEquals", "${aws:PrincipalTag/Cost Center, 'c d'}", "c d", True),
])
def test_variables(operator, wanted, value, met):
    assert holds(operator, wanted, (value,)) is met


def test_before_2012_variables_are_text():
    assert holds("StringEquals", "${aws:username}", ("${aws:username}",), version="2008-10-17")
    assert not holds("StringEquals", "${aws:username}", ("ann",), version="2008-10-17")
    assert holds("StringEquals", "${", ("${",), version="2008-10-17")


def test_what_a_variable_stands_for_has_no_wildcards():
    assert not holds("StringLike", "${aws:userid}", ("anything",), aws__userid=("*",))
    assert holds("StringLike", "${aws:userid}", ("*",), aws__userid=("*",))


def test_a_variable_without_one_value_matches_nothing_and_never_lets_an_allow_apply():
    for values in (None, ("a", "b")):
        assert not holds("StringEquals", "${aws:tagkeys}", ("a",), aws__tagkeys=values)
        assert not holds("StringNotEquals", "${aws:tagkeys}", ("a",), aws__tagkeys=values)
        assert holds("StringNotEquals", "${aws:tagkeys}", ("a",), effect="Deny", aws__tagkeys=values)
        assert not holds("StringEquals", "${aws:tagkeys}", ("a",), effect="Deny", aws__tagkeys=values)


def test_a_key_is_asked_for_once_and_only_when_a_statement_depends_on_it():
    statement = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": {"StringEquals": {"s3:Prefix": "a"}}}
    document = parse(json.dumps({"Statement": [statement, statement]}), "identity")
    asked = []
    asking = Asking("s3:ListBucket", "arn:aws:s3:::b", ANN, asked.append)
    evaluate([("d", document)], asking)
    evaluate([("d", document)], asking)
    assert asked == ["s3:prefix"]
    evaluate([("d", document)], Asking("s3:GetObject", "arn:aws:s3:::b/k", ANN, asked.append))
    assert asked == ["s3:prefix"]


# ---- accounts by their number -----------------------------------------------------------------------------------------------------------


def met(operator, key, wanted, *, number="000000000012", effect="Allow"):
    """Whether a condition about ann's account is met, which is acme and has a number."""
    statement = {"Effect": effect, "Action": "*", "Resource": "*", "Condition": {operator: {key: wanted}}}
    document = parse(json.dumps({"Version": "2012-10-17", "Statement": statement}), "identity")
    known = {"aws:principalaccount": ("acme",), "aws:principalarn": (ANN.arn,)}
    asking = Asking("s3:ListBucket", "arn:aws:s3:::b", ANN._replace(number=number), known.get)
    return evaluate([("d", document)], asking).effect != ""


@pytest.mark.parametrize(("operator", "wanted", "is_met"), [
    ("StringEquals", "000000000012", True), ("StringEquals", "acme", True), ("StringEquals", "000000000013", False),
    ("StringEquals", ["x", "000000000012"], True), ("StringLike", "000000000012", True), ("StringEqualsIfExists", "000000000012", True),
    ("StringNotEquals", "000000000012", False), ("StringNotEquals", "acme", False), ("StringNotEquals", ["x", "000000000013"], True),
    ("StringLike", "0*", False), ("StringLike", "00000000001?", False), ("StringNotLike", "0*", True), ("StringEquals", "12", False),
    ("ForAllValues:StringEquals", "000000000012", True), ("ForAllValues:StringNotEquals", "000000000012", False),
    ("NumericEquals", "12", False),
])
def test_a_number_spelled_out_means_the_account(operator, wanted, is_met):
    assert met(operator, "aws:PrincipalAccount", wanted) == is_met
    denied = met(operator, "aws:PrincipalAccount", wanted, effect="Deny")
    assert denied == is_met


@pytest.mark.parametrize(("operator", "wanted", "is_met"), [
    ("ArnEquals", "arn:aws:iam::000000000012:user/ann", True), ("ArnLike", "arn:aws:iam::000000000012:user/a*", True),
    ("StringEquals", "arn:aws:iam::000000000012:user/ann", True), ("ArnEquals", "arn:aws:iam::000000000013:user/ann", False),
    ("ArnNotEquals", "arn:aws:iam::000000000012:user/ann", False), ("ArnNotEquals", "arn:aws:iam::000000000012:user/eve", True),
    ("ArnLike", "arn:aws:iam::0*:user/ann", False), ("StringLike", "*000000000012*", False), ("StringLike", "*:000000000012:*", False),
])
def test_an_arn_with_the_number_means_the_user(operator, wanted, is_met):
    assert met(operator, "aws:PrincipalArn", wanted) == is_met


def test_without_a_number_digits_mean_nobody():
    assert not met("StringEquals", "aws:PrincipalAccount", "000000000012", number="")
    assert not met("StringLike", "aws:PrincipalArn", "arn:aws:iam::000000000012:*", number="")
    assert met("StringNotEquals", "aws:PrincipalAccount", "000000000012", number="")
