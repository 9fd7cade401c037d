"""Lifecycle rules of a bucket: stored as they were put, and told in replies about what they will expire."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.s3.asking import PART, refused, upload


def rule(name="rule", prefix="", **more):
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, **(more or {"Expiration": {"Days": 1}})}


def put(s3, bucket, *rules, **more):
    return s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}, **more)


def expiry(answer):
    """(moment, rule id) of a reply's x-amz-expiration."""
    found = re.fullmatch(r'expiry-date="([^"]+)", rule-id="([^"]+)"', answer["Expiration"])
    return parsedate_to_datetime(found[1]), found[2]


def in_days(days):
    """The midnight at which what is made now is that old."""
    now = datetime.now(UTC)
    return (now + timedelta(days=days + 1)).replace(hour=0, minute=0, second=0, microsecond=0)


RULES = [
    {"ID": "a", "Prefix": "old/", "Status": "Disabled", "Expiration": {"Days": 31}},
    {"ID": "b", "Filter": {}, "Status": "Enabled", "Expiration": {"Date": datetime(2030, 1, 1, tzinfo=UTC)}},
    {"ID": "c", "Filter": {"Prefix": ""}, "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
    {"ID": "d", "Filter": {"Tag": {"Key": "k", "Value": ""}}, "Status": "Enabled", "NoncurrentVersionExpiration":
        {"NoncurrentDays": 1, "NewerNoncurrentVersions": 3}},
    {"ID": "e", "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 5}}, "Status": "Enabled",
     "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 90, "StorageClass": "GLACIER"}],
     "NoncurrentVersionTransitions": [{"NoncurrentDays": 2, "StorageClass": "DEEP_ARCHIVE"}]},
    {"ID": "f", "Filter": {"ObjectSizeLessThan": 1 << 40}, "Status": "Enabled", "Expiration": {"Days": 1}},
]


def test_rules_come_back_as_they_went(s3, bucket):
    answer = put(s3, bucket, *RULES)
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    for _ in range(2):
        found = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
        assert found["Rules"] == RULES and found["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
        put(s3, bucket, *RULES)


def test_the_least_size_of_a_transition_is_echoed(s3, bucket, raw):
    answer = put(s3, bucket, rule(), TransitionDefaultMinimumObjectSize="varies_by_storage_class")
    assert answer["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    with refused("InvalidArgument", status=400):
        put(s3, bucket, rule("other"), TransitionDefaultMinimumObjectSize="tiny")
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"] == "rule"


def test_nothing_set_and_removed(s3, bucket):
    for _ in range(2):
        with refused("NoSuchLifecycleConfiguration", status=404):
            s3.get_bucket_lifecycle_configuration(Bucket=bucket)
        put(s3, bucket, rule())
        for _ in range(2):
            assert s3.delete_bucket_lifecycle(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_rule_without_an_id_gets_one_that_stays(s3, bucket):
    put(s3, bucket, {"Prefix": "a", "Status": "Enabled", "Expiration": {"Days": 1}})
    first, again = (s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"] for _ in range(2))
    assert first and first == again


ONE = "<Rule><Status>Enabled</Status><Prefix/><Expiration><Days>1</Days></Expiration></Rule>"


@pytest.mark.parametrize(("body", "code"), [
    ("", "MalformedXML"),
    ("<LifecycleConfiguration/>", "MalformedXML"),
    ("<Lifecycle>" + ONE + "</Lifecycle>", "MalformedXML"),
    ("<LifecycleConfiguration>" + ONE + "<Speed/></LifecycleConfiguration>", "MalformedXML"),
    ("<LifecycleConfiguration>" + ONE.replace("Enabled", "enabled") + "</LifecycleConfiguration>", "MalformedXML"),
    ("<LifecycleConfiguration>" + ONE.replace(">1<", ">1.5<") + "</LifecycleConfiguration>", "MalformedXML"),
    ("<LifecycleConfiguration>" + ONE.replace("<Days>1</Days>", "<Date>tomorrow</Date>") + "</LifecycleConfiguration>", "MalformedXML"),
    ("<LifecycleConfiguration>" + ONE.replace("<Days>1</Days>", "<Date>2030-02-30</Date>") + "</LifecycleConfiguration>", "MalformedXML"),
    ("<LifecycleConfiguration>" + ONE.replace(">1<", ">0<") + "</LifecycleConfiguration>", "InvalidArgument"),
    ("<LifecycleConfiguration>" + ONE.replace("<Prefix/>", "<ID>a</ID><Prefix/>") * 2 + "</LifecycleConfiguration>", "InvalidArgument"),
    ("<LifecycleConfiguration>" + " " * (1 << 20) + "</LifecycleConfiguration>", "MalformedXML"),
    ("<LifecycleConfiguration>" + ONE + " " * (2 << 20) + "</LifecycleConfiguration>", "MaxMessageLengthExceeded"),
])
def test_a_bad_document_changes_nothing(s3, raw, bucket, body, code):
    put(s3, bucket, rule())
    answer = raw("PUT", f"/{bucket}?lifecycle", body=body.encode())
    assert (answer.status, answer.code) == (400, code), answer
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule()]


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ' xmlns="urn:odd"'])
def test_any_namespace_will_do(raw, bucket, namespace):
    body = f"<LifecycleConfiguration{namespace}>{ONE}</LifecycleConfiguration>".encode()
    assert raw("PUT", f"/{bucket}?lifecycle", body=body).status == 200


# ---- what replies say -------------------------------------------------------------------------------------------------------------------


def test_every_reply_about_an_object_says_when_it_expires(s3, bucket):
    put(s3, bucket, rule("in three/ü", "a/", Expiration={"Days": 3}))
    written = s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")
    assert expiry(written) == (in_days(3), "in%20three%2F%C3%BC")
    copied = s3.copy_object(Bucket=bucket, Key="a/copy", CopySource={"Bucket": bucket, "Key": "a/k"})
    begun = s3.create_multipart_upload(Bucket=bucket, Key="a/parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="a/parts", UploadId=begun, PartNumber=1, Body=b"p" * PART)["ETag"]
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key="a/parts", UploadId=begun, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]},
    )
    shown = [call(Bucket=bucket, Key="a/k") for call in (s3.get_object, s3.head_object)]
    assert {expiry(answer) for answer in (copied, done, *shown)} == {expiry(written)}
    for answer in (s3.put_object(Bucket=bucket, Key="b"), s3.head_object(Bucket=bucket, Key="b")):
        assert "Expiration" not in answer


def test_tags_and_size_decide(s3, bucket):
    put(s3, bucket, rule("tagged", Expiration={"Days": 1}) | {"Filter": {"Tag": {"Key": "k", "Value": "v"}}},
        rule("large", Expiration={"Days": 2}) | {"Filter": {"ObjectSizeGreaterThan": 3}})
    assert expiry(s3.put_object(Bucket=bucket, Key="a", Body=b"1", Tagging="k=v"))[1] == "tagged"
    assert expiry(s3.put_object(Bucket=bucket, Key="b", Body=b"1234", Tagging="k=w"))[1] == "large"
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="c", Body=b"123")
    s3.put_object_tagging(Bucket=bucket, Key="c", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    assert expiry(s3.head_object(Bucket=bucket, Key="c"))[1] == "tagged"
    s3.copy_object(Bucket=bucket, Key="d", CopySource={"Bucket": bucket, "Key": "c"})
    assert expiry(s3.head_object(Bucket=bucket, Key="d"))[1] == "tagged"


def test_rules_count_for_what_is_there_already_and_only_while_they_are(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    put(s3, bucket, rule("off") | {"Status": "Disabled"}, rule("on", Expiration={"Date": datetime(2040, 1, 1, tzinfo=UTC)}))
    assert expiry(s3.head_object(Bucket=bucket, Key="k")) == (datetime(2040, 1, 1, tzinfo=UTC), "on")
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="k")


def test_only_the_current_version_expires(s3, versioned):
    put(s3, versioned, rule())
    old, new = (s3.put_object(Bucket=versioned, Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    assert "Expiration" not in s3.head_object(Bucket=versioned, Key="k", VersionId=old)
    assert expiry(s3.head_object(Bucket=versioned, Key="k", VersionId=new)) == expiry(s3.head_object(Bucket=versioned, Key="k"))


def test_an_upload_is_told_when_it_will_be_aborted(s3, bucket):
    put(s3, bucket, rule("stop", "a", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}))
    begun = s3.create_multipart_upload(Bucket=bucket, Key="a")
    listed = s3.list_parts(Bucket=bucket, Key="a", UploadId=begun["UploadId"])
    for answer in (begun, listed):
        assert (answer["AbortDate"], answer["AbortRuleId"]) == (in_days(2), "stop")
    assert "AbortDate" not in s3.create_multipart_upload(Bucket=bucket, Key="b")


def by_rule(*filters):
    """One rule for each filter, named by its place; the first expires first."""
    return [rule(str(number), Expiration={"Days": number + 1}) | {"Filter": one} for number, one in enumerate(filters)]


def test_every_way_to_write_knows_tags_and_size(s3, bucket):
    """Prefix, tags and sizes together; whichever rule expires first is told."""
    tag, large = {"Key": "k", "Value": "v"}, {"ObjectSizeGreaterThan": PART}
    put(s3, bucket, *by_rule({"And": {"Prefix": "p/", "Tags": [tag], **large}}, {"And": {"Prefix": "p/", "Tags": [tag]}},
                             {"And": {"Prefix": "p/", "ObjectSizeLessThan": 3}}, {"Prefix": "p/"}))
    upload(s3, bucket, "p/parts", b"x" * PART, b"y", Tagging="k=v")
    s3.put_object(Bucket=bucket, Key="p/tagged", Body=b"123", Tagging="k=v&a=b")
    s3.put_object(Bucket=bucket, Key="p/small", Body=b"12")
    s3.put_object(Bucket=bucket, Key="p/other", Body=b"123", Tagging="k=w")
    s3.put_object(Bucket=bucket, Key="other", Body=b"1", Tagging="k=v")
    shown = {key: s3.head_object(Bucket=bucket, Key=key) for key in ("p/parts", "p/tagged", "p/small", "p/other", "other")}
    assert [expiry(shown[key])[1] for key in ("p/parts", "p/tagged", "p/small", "p/other")] == ["0", "1", "2", "3"]
    assert "Expiration" not in shown["other"]
    source = {"CopySource": {"Bucket": bucket, "Key": "p/parts"}, "Bucket": bucket}
    assert expiry(s3.copy_object(Key="p/copy", **source))[1] == "0"
    assert expiry(s3.copy_object(Key="p/copy", TaggingDirective="REPLACE", Tagging="a=b", **source))[1] == "3"
    assert "Expiration" not in s3.copy_object(Key="copy", **source)


def test_complete_and_a_part_of_an_object_tell_it_too(s3, bucket):
    put(s3, bucket, *by_rule({"And": {"Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": PART}}))
    done = upload(s3, bucket, "k", b"x" * PART, b"y", Tagging="k=v")
    for answer in (done, s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-1"), s3.head_object(Bucket=bucket, Key="k", PartNumber=2)):
        assert expiry(answer) == (in_days(1), "0")
    assert "Expiration" not in upload(s3, bucket, "short", b"x" * PART, Tagging="k=v")


@pytest.mark.parametrize("size", [7, 100_000])
def test_a_form_tells_it_too(s3, bucket, size):
    put(s3, bucket, *by_rule({"And": {"Tags": [{"Key": "k", "Value": "v"}], "Prefix": "f"}}))
    tagging = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
    made = s3.generate_presigned_post(bucket, "form", Fields={"tagging": tagging}, Conditions=[{"tagging": tagging}])
    reply = requests.post(made["url"], data=made["fields"], files={"file": b"x" * size}, timeout=30)
    assert reply.status_code == 204 and expiry({"Expiration": reply.headers["x-amz-expiration"]}) == (in_days(1), "0")


@pytest.mark.parametrize("days", [36_500, (1 << 31) - 1])
def test_the_far_future_breaks_nothing(raw, bucket, days):
    for action, inside in (("Expiration", "Days"), ("AbortIncompleteMultipartUpload", "DaysAfterInitiation")):
        one = f"<Rule><ID>{action}</ID><Status>Enabled</Status><Prefix/><{action}><{inside}>{days}</{inside}></{action}></Rule>"
        body = f"<LifecycleConfiguration>{one}</LifecycleConfiguration>".encode()
        assert raw("PUT", f"/{bucket}?lifecycle", body=body).status == 200
        assert raw("PUT", f"/{bucket}/k", body=b"x").status == raw("GET", f"/{bucket}/k").status == 200
        begun = raw("POST", f"/{bucket}/k?uploads")
        assert begun.status == 200
        assert raw("GET", f"/{bucket}/k?uploadId={begun.xml.findtext('UploadId')}").status == 200


def test_an_id_makes_no_header_of_its_own(raw, bucket):
    action = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
    one = f"<Rule><ID>a&#13;&#10;x-evil: 1</ID><Status>Enabled</Status><Prefix/>{action}<Expiration><Days>1</Days></Expiration></Rule>"
    assert raw("PUT", f"/{bucket}?lifecycle", body=f"<LifecycleConfiguration>{one}</LifecycleConfiguration>".encode()).status == 200
    for answer in (raw("PUT", f"/{bucket}/k", body=b"x"), raw("HEAD", f"/{bucket}/k"), raw("POST", f"/{bucket}/k?uploads")):
        assert answer.status == 200 and "x-evil" not in answer.headers and any("x-evil" in value for value in answer.headers.values())
