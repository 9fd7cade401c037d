"""Lifecycle rules as pure functions: which documents pass, and when what expires by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import S3Error
from shared.protocol import filters, lifecycle

DAY = lifecycle.DAY_MS
MIDNIGHT = datetime(2031, 5, 1, tzinfo=UTC)


def rule(**more):
    """A rule about everything; what it does is the test's."""
    return {"Status": "Enabled", **({} if "Prefix" in more else {"Filter": {}}), **more}


def tag(key, value="v"):
    return {"Key": key, "Value": value}


def move(cls, days=None, **more):
    return {"StorageClass": cls, **({} if days is None else {"Days": days}), **more}


TAGGED, SIZED = {"Tag": tag("a")}, {"ObjectSizeLessThan": 10}
ACCEPTED = {
    "days": rule(Expiration={"Days": 1}),
    "date": rule(Expiration={"Date": MIDNIGHT}),
    "past date": rule(Expiration={"Date": datetime(2017, 9, 27, tzinfo=UTC)}),
    "marker": rule(Prefix="a/", Expiration={"ExpiredObjectDeleteMarker": True}),
    "noncurrent": rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 100}),
    "abort": rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    "steps": rule(Transitions=[move("STANDARD_IA", 30), move("GLACIER", 60), move("DEEP_ARCHIVE", 61)], Expiration={"Days": 62}),
    "at once": rule(Transitions=[move("GLACIER", 0)]),
    "dates": rule(Transitions=[move("GLACIER", Date=MIDNIGHT)], Expiration={"Date": MIDNIGHT + timedelta(days=1)}),
    "noncurrent steps": rule(NoncurrentVersionTransitions=[move("STANDARD_IA", NoncurrentDays=30)],
                             NoncurrentVersionExpiration={"NoncurrentDays": 31}),
    "and": rule(Filter={"And": {"Prefix": "a", "Tags": [tag("a")]}}, Expiration={"Days": 1}),
    "two tags": rule(Filter={"And": {"Tags": [tag("a"), tag("b")]}}, Expiration={"Days": 1}),
    "sizes": rule(Filter={"And": {"ObjectSizeGreaterThan": 0, "ObjectSizeLessThan": 2}}, Expiration={"Days": 1}),
    "several without and": rule(Filter={"Prefix": "a", **TAGGED}, Expiration={"Days": 1}),
    "disabled": rule(Status="Disabled", Expiration={"Days": 1}),
    "longest id": rule(ID="a" * 255, Expiration={"Days": 1}),
    "of another server": rule(DelMarkerExpiration={"Days": 3}, Expiration={"Days": 1, "ExpiredObjectAllVersions": True}),
}
REFUSED = {
    "no scope": ({"Status": "Enabled", "Expiration": {"Days": 1}}, "MalformedXML"),
    "two scopes": (rule(Filter={}, Prefix="", Expiration={"Days": 1}), "MalformedXML"),
    "no action": (rule(), "InvalidRequest"),
    "empty expiration": (rule(Expiration={}), "MalformedXML"),
    "days and date": (rule(Expiration={"Days": 1, "Date": MIDNIGHT}), "MalformedXML"),
    "days and marker": (rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True}), "MalformedXML"),
    "no days": (rule(Expiration={"Days": 0}), "InvalidArgument"),
    "negative days": (rule(Expiration={"Days": -1}), "InvalidArgument"),
    "not midnight": (rule(Expiration={"Date": MIDNIGHT + timedelta(hours=1)}), "InvalidArgument"),
    "marker and tag": (rule(Filter=TAGGED, Expiration={"ExpiredObjectDeleteMarker": True}), "InvalidRequest"),
    "marker and size": (rule(Filter=SIZED, Expiration={"ExpiredObjectDeleteMarker": True}), "InvalidRequest"),
    "all versions of a date": (rule(Expiration={"Date": MIDNIGHT, "ExpiredObjectAllVersions": True}), "MalformedXML"),
    "abort and tag": (rule(Filter=TAGGED, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}), "InvalidRequest"),
    "abort and size": (rule(Filter=SIZED, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}), "InvalidRequest"),
    "abort at once": (rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0}), "InvalidArgument"),
    "abort never": (rule(AbortIncompleteMultipartUpload={}), "MalformedXML"),
    "noncurrent at once": (rule(NoncurrentVersionExpiration={"NoncurrentDays": 0}), "InvalidArgument"),
    "noncurrent never": (rule(NoncurrentVersionExpiration={"NewerNoncurrentVersions": 1}), "MalformedXML"),
    "too many newer": (rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}), "InvalidArgument"),
    "no newer": (rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 0}), "InvalidArgument"),
    "newer without filter": (rule(Prefix="", NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}),
                             "MalformedXML"),
    "transition never": (rule(Transitions=[move("GLACIER")]), "MalformedXML"),
    "transition twice": (rule(Transitions=[move("GLACIER", 1, Date=MIDNIGHT)]), "MalformedXML"),
    "transition to nowhere": (rule(Transitions=[{"Days": 1}]), "MalformedXML"),
    "transition to the unknown": (rule(Transitions=[move("WARMEST", 1)]), "MalformedXML"),
    "same class twice": (rule(Transitions=[move("GLACIER", 1), move("GLACIER", 2)]), "InvalidRequest"),
    "infrequent too early": (rule(Transitions=[move("STANDARD_IA", 29)]), "InvalidArgument"),
    "negative transition": (rule(Transitions=[move("GLACIER", -1)]), "InvalidArgument"),
    "too early from infrequent": (rule(Transitions=[move("STANDARD_IA", 30), move("GLACIER", 59)]), "InvalidArgument"),
    "upwards": (rule(Transitions=[move("DEEP_ARCHIVE", 10), move("GLACIER", 20)]), "InvalidArgument"),
    "transition at a bad time": (rule(Transitions=[move("GLACIER", Date=MIDNIGHT + timedelta(seconds=1))]), "InvalidArgument"),
    "mixed": (rule(Transitions=[move("GLACIER", 1)], Expiration={"Date": MIDNIGHT}), "InvalidRequest"),
    "expires before it moves": (rule(Transitions=[move("GLACIER", 5)], Expiration={"Days": 5}), "InvalidArgument"),
    "dates in the wrong order": (rule(Transitions=[move("GLACIER", Date=MIDNIGHT)], Expiration={"Date": MIDNIGHT}), "InvalidArgument"),
    "noncurrent expires before it moves": (rule(NoncurrentVersionTransitions=[move("GLACIER", NoncurrentDays=5)],
                                                NoncurrentVersionExpiration={"NoncurrentDays": 5}), "InvalidArgument"),
    "noncurrent transition never": (rule(NoncurrentVersionTransitions=[move("GLACIER")]), "MalformedXML"),
    "and of one": (rule(Filter={"And": {"Prefix": "a"}}, Expiration={"Days": 1}), "MalformedXML"),
    "and of nothing": (rule(Filter={"And": {}}, Expiration={"Days": 1}), "MalformedXML"),
    "a tag twice": (rule(Filter={"And": {"Tags": [tag("a", "1"), tag("a", "2")]}}, Expiration={"Days": 1}), "InvalidRequest"),
    "a reserved tag": (rule(Filter={"Tag": tag("aws:a")}, Expiration={"Days": 1}), "InvalidRequest"),
    "a negative size": (rule(Filter={"ObjectSizeGreaterThan": -1}, Expiration={"Days": 1}), "InvalidRequest"),
    "sizes that exclude each other": (rule(Filter={"And": {"ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 5}}, Expiration={"Days": 1}),
                                      "InvalidRequest"),
    "overlong id": (rule(ID="a" * 256, Expiration={"Days": 1}), "InvalidArgument"),
    "marker expiration with a tag": (rule(Filter=TAGGED, DelMarkerExpiration={"Days": 1}), "InvalidRequest"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_rule_passes_unchanged(name):
    checked = lifecycle.checked([{"ID": "one", **ACCEPTED[name]}])
    assert checked == [{"ID": "one", **ACCEPTED[name]}]


@pytest.mark.parametrize("name", REFUSED)
def test_a_rule_is_refused(name):
    one, code = REFUSED[name]
    with pytest.raises(S3Error) as refusal:
        lifecycle.checked([one])
    assert refusal.value.code == code, refusal.value.message


def test_every_rule_gets_an_id_of_its_own():
    ids = [one["ID"] for one in lifecycle.checked([rule(Expiration={"Days": 1}), rule(ID="", Expiration={"Days": 1})])]
    assert len(set(ids)) == 2 and all(ids)
    with pytest.raises(S3Error) as refusal:
        lifecycle.checked([rule(ID="a", Expiration={"Days": 1})] * 2)
    assert refusal.value.code == "InvalidArgument"


def test_a_thousand_rules_and_no_more():
    assert len(lifecycle.checked([rule(Expiration={"Days": 1})] * 1000)) == 1000
    with pytest.raises(S3Error) as refusal:
        lifecycle.checked([rule(Expiration={"Days": 1})] * 1001)
    assert refusal.value.code == "MalformedXML"


@pytest.mark.parametrize(("chosen", "key", "size", "tags", "about"), [
    ({}, "a", 0, {}, True),
    ({"Prefix": "a/"}, "a/b", 0, {}, True), ({"Prefix": "a/"}, "a", 0, {}, False),
    ({"Tag": tag("k", "v")}, "a", 0, {"k": "v", "l": ""}, True), ({"Tag": tag("k", "v")}, "a", 0, {"k": "w"}, False),
    ({"ObjectSizeGreaterThan": 5}, "a", 5, {}, False), ({"ObjectSizeGreaterThan": 5}, "a", 6, {}, True),
    ({"ObjectSizeLessThan": 5}, "a", 5, {}, False), ({"ObjectSizeLessThan": 5}, "a", 4, {}, True),
    ({"And": {"Prefix": "a", "Tags": [tag("k"), tag("l")]}}, "ab", 0, {"k": "v", "l": "v"}, True),
    ({"And": {"Prefix": "a", "Tags": [tag("k"), tag("l")]}}, "ab", 0, {"k": "v"}, False),
    ({"Prefix": "a", "And": {"Prefix": "ab", "Tags": [tag("k")]}}, "ac", 0, {"k": "v"}, False),
])
def test_what_a_filter_is_about(chosen, key, size, tags, about):
    assert filters.fits({"Filter": chosen}, key, size, tags) is about


def test_the_first_rule_to_expire_an_object_is_told():
    rules = [{"ID": name, "Status": status, "Prefix": prefix, "Expiration": expiration} for name, status, prefix, expiration in (
        ("later", "Enabled", "", {"Days": 9}), ("off", "Disabled", "", {"Days": 1}), ("elsewhere", "Enabled", "b", {"Days": 1}),
        ("sooner", "Enabled", "a", {"Days": 3}), ("marker", "Enabled", "", {"ExpiredObjectDeleteMarker": True}))]
    assert lifecycle.expiry(rules, "a", 1, {}, 10 * DAY + 1) == (14 * DAY, "sooner")
    assert lifecycle.expiry(rules, "c", 1, {}, 10 * DAY) == (19 * DAY, "later")
    assert lifecycle.expiry(rules[1:2], "a", 1, {}, 0) is None
    dated = {"ID": "d", "Status": "Enabled", "Prefix": "", "Expiration": {"Date": 5 * DAY}}
    assert lifecycle.expiry([dated], "a", 1, {}, 0) == (5 * DAY, "d")


def test_no_date_is_later_than_clients_can_read():
    endless = {"ID": "e", "Status": "Enabled", "Prefix": "", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": (1 << 31) - 1}}
    due = lifecycle.abort_due([endless], "a", 10 * DAY)
    assert due is not None and datetime.fromtimestamp(due[0] / 1000, UTC) == datetime(9999, 12, 31, tzinfo=UTC)
