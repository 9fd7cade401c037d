"""Configurations of which a bucket has one of each kind: request payment, acceleration, logging, notification, replication."""

from __future__ import annotations

import pytest

from tests import people
from tests.s3.asking import refused
from tests.s3.raw import Raw

QUEUE, TOPIC = "arn:aws:sqs:us-east-1:123456789012:queue", "arn:aws:sns:us-east-1:123456789012:topic"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
ROLE = "arn:aws:iam::123456789012:role/replication"
# sub-resource: (root, a body that is accepted, how AWS answers when nothing was set: status, code or root of the empty document)
KINDS = {
    "requestPayment": ("RequestPaymentConfiguration", "<Payer>Requester</Payer>", 200, "RequestPaymentConfiguration"),
    "accelerate": ("AccelerateConfiguration", "<Status>Suspended</Status>", 200, "AccelerateConfiguration"),
    "logging": ("BucketLoggingStatus", "<LoggingEnabled><TargetBucket>{bucket}</TargetBucket><TargetPrefix/></LoggingEnabled>", 200,
                "BucketLoggingStatus"),
    "notification": ("NotificationConfiguration", f"<QueueConfiguration><Id>one</Id><Queue>{QUEUE}</Queue><Event>s3:ObjectCreated:*</Event>"
                     "</QueueConfiguration>", 200, "NotificationConfiguration"),
    "replication": ("ReplicationConfiguration", f"<Role>{ROLE}</Role><Rule><ID>one</ID><Status>Enabled</Status><Prefix/><Destination>"
                    "<Bucket>arn:aws:s3:::{other}</Bucket></Destination></Rule>", 404, "ReplicationConfigurationNotFoundError"),
}


def document(kind, bucket, other, inside=None):
    root, accepted, _, _ = KINDS[kind]
    return f"<{root}>{(accepted if inside is None else inside).format(bucket=bucket, other=other)}</{root}>".encode()


@pytest.fixture
def place(new_bucket):
    """Two buckets, both with versioning."""
    return new_bucket("Enabled"), new_bucket("Enabled")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_set(raw, bucket, kind):
    answer = raw("GET", f"/{bucket}?{kind}")
    assert (answer.status, answer.code or answer.xml.tag) == KINDS[kind][2:], answer
    if answer.status == 200:
        payer = [("Payer", "BucketOwner")] if kind == "requestPayment" else []
        assert [(child.tag, child.text) for child in answer.xml] == payer


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_put_comes_back(raw, place, kind):
    body = document(kind, *place)
    assert raw("PUT", f"/{place[0]}?{kind}", body=body).status == 200
    root = KINDS[kind][0]
    shown = raw("GET", f"/{place[0]}?{kind}")
    wanted = body.decode().replace(f"<{root}>", "").replace("<TargetPrefix/>", "<TargetPrefix></TargetPrefix>")
    assert sorted(shown.body.decode().partition(">\n")[2].partition(">")[2].replace("<Prefix></Prefix>", "<Prefix/>")) == sorted(wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["empty", "no xml", "wrong root", "unknown element", "too long"])
def test_a_bad_document_changes_nothing(raw, place, kind, how):
    good, target = document(kind, *place), f"/{place[0]}?{kind}"
    assert raw("PUT", target, body=good).status == 200
    before = raw("GET", target).body
    root = KINDS[kind][0].encode()
    bad, code = {
        "empty": (b"", "MissingRequestBodyError"), "no xml": (b"{}", "MalformedXML"),
        "wrong root": (good.replace(root, b"Wrong"), "MalformedXML"),
        "unknown element": (good.replace(b"</" + root, b"<Odd/></" + root), "MalformedXML"),
        "too long": (good.replace(b"</" + root, b" " * (2 << 20) + b"</" + root), "MaxMessageLengthExceeded"),
    }[how]
    answer = raw("PUT", target, body=bad)
    assert (answer.status, answer.code) == (400, code), answer
    assert raw("GET", target).body == before


# ---- one by one -----------------------------------------------------------------------------------------------------------------------


def test_the_payer_is_one_of_two(s3, raw, bucket):
    for payer in ("Requester", "BucketOwner"):
        s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": payer})
        assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == payer
    with refused("MalformedXML", status=400):
        s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Nobody"})


def test_where_the_requester_pays_others_must_say_that_they_do(server, s3, acl_bucket):
    s3.put_object(Bucket=acl_bucket, Key="k", Body=b"x", ACL="public-read")
    stranger = people.make_user(server, policies=[people.allow("s3:*")], tenant=people.make_tenant(server))
    other = Raw(server, access_key=stranger.access_key, secret_key=stranger.secret_key)
    target, pays = f"/{acl_bucket}/k", [("x-amz-request-payer", "requester")]
    assert other("GET", target).status == other("GET", target, sign=False).status == 200
    s3.put_bucket_request_payment(Bucket=acl_bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    for headers, sign in (([], True), ([], False), (pays, False), ([("x-amz-request-payer", "owner")], True)):
        answer = other("GET", target, headers, sign=sign)
        assert (answer.status, answer.code) == (403, "AccessDenied"), (headers, sign)
    answer = other("GET", target, pays)
    assert (answer.status, answer.headers["x-amz-request-charged"]) == (200, "requester")
    theirs, client = people.unused("theirs"), stranger.client(server)
    client.create_bucket(Bucket=theirs)
    copy = {"Bucket": theirs, "Key": "k", "CopySource": {"Bucket": acl_bucket, "Key": "k"}}
    with refused("AccessDenied", status=403):
        client.copy_object(**copy)
    assert client.copy_object(**copy, RequestPayer="requester")["RequestCharged"] == "requester"
    link = client.generate_presigned_url("get_object", Params={"Bucket": acl_bucket, "Key": "k", "RequestPayer": "requester"})
    assert other("GET", link.removeprefix(server.url), pays, sign=False).status == 200
    assert other("GET", link.removeprefix(server.url), sign=False).status == 403
    owners = Raw(server)("GET", target)
    assert owners.status == 200 and "x-amz-request-charged" not in owners.headers


def test_acceleration_is_a_switch(s3, bucket):
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": status})
        assert s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"] == status
    with refused("MalformedXML", status=400):
        s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={})


def test_acceleration_takes_no_name_with_a_period(s3):
    name = people.unused("a.b")
    s3.create_bucket(Bucket=name)
    with refused("InvalidRequest", status=400):
        s3.put_bucket_accelerate_configuration(Bucket=name, AccelerateConfiguration={"Status": "Enabled"})


def log_to(s3, bucket, target, **more):
    wanted = {"TargetBucket": target, "TargetPrefix": "logs/", **more}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": wanted})
    return wanted


def test_logging_goes_to_a_bucket_of_the_same_owner(server, s3, place):
    bucket, target = place
    for form in ({"SimplePrefix": {}}, {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}):
        wanted = log_to(s3, bucket, target, TargetObjectKeyFormat=form)
        assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == wanted
    stranger = people.make_user(server, policies=[people.allow("s3:*")], tenant=people.make_tenant(server))
    theirs = people.unused("theirs")
    stranger.client(server).create_bucket(Bucket=theirs)
    for wrong in (theirs, "there-is-no-such-bucket"):
        with refused("InvalidTargetBucketForLogging", status=400):
            log_to(s3, bucket, wrong)
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == wanted
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def test_logging_grants_need_acls(s3, bucket, acl_bucket):
    grants = [{"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}]
    with refused("AccessControlListNotSupported", status=400):
        log_to(s3, acl_bucket, bucket, TargetGrants=grants)
    log_to(s3, bucket, acl_bucket, TargetGrants=grants)
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetGrants"] == grants


# ---- notification ----------------------------------------------------------------------------------------------------------------------


def queue(*events, name="", arn=QUEUE, **filters):
    rules = [{"Name": key, "Value": value} for key, value in filters.items()]
    return {**({"Id": name} if name else {}), "QueueArn": arn, "Events": list(events),
            **({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})}


def notify(s3, bucket, *queues, **more):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={**({"QueueConfigurations": list(queues)} if queues else {}), **more},
    )
    found = s3.get_bucket_notification_configuration(Bucket=bucket)
    del found["ResponseMetadata"]
    return found


def test_notifications_of_every_kind_come_back(s3, bucket):
    wanted = {
        "QueueConfigurations": [queue("s3:ObjectCreated:*", name="q", prefix="a/", suffix=".jpg")],
        "TopicConfigurations": [{"Id": "t", "TopicArn": TOPIC, "Events": ["s3:ObjectRemoved:Delete", "s3:ReducedRedundancyLostObject"]}],
        "LambdaFunctionConfigurations": [{"Id": "f", "LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectTagging:*"],
                                          "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "b"}]}}}],
        "EventBridgeConfiguration": {},
    }
    assert notify(s3, bucket, **wanted) == wanted
    assert notify(s3, bucket) == {}


def test_a_notification_without_an_id_gets_one(s3, bucket):
    found = notify(s3, bucket, queue("s3:ObjectCreated:Put"), queue("s3:ObjectCreated:Post"))["QueueConfigurations"]
    assert len({one["Id"] for one in found}) == 2


@pytest.mark.parametrize("queues", [
    [queue("s3:ObjectCreated:Burned")],
    [queue("s3:*")],
    [queue("s3:ObjectCreated:*", arn="queue")],
    [queue("s3:ObjectCreated:*", arn=TOPIC)],
    [queue("s3:ObjectCreated:*", middle="a")],
    [queue("s3:ObjectCreated:*", prefix="a" * 1025)],
    [queue("s3:ObjectCreated:*", prefix="a", Prefix="b")],
    [queue("s3:ObjectCreated:Put", name="a"), queue("s3:ObjectCreated:Post", name="a")],
    [queue("s3:ObjectCreated:Put", name="a" * 256)],
    [queue("s3:ObjectCreated:Put"), queue("s3:ObjectCreated:*")],
    [queue("s3:ObjectCreated:Put", prefix="a"), queue("s3:ObjectCreated:Put", prefix="ab")],
    [queue("s3:ObjectCreated:Put", prefix="a"), queue("s3:ObjectCreated:Put", suffix="b")],
    [queue("s3:ObjectCreated:Put", name=str(number), prefix=f"{number:03}") for number in range(101)],
])
def test_a_notification_is_refused(s3, bucket, queues):
    before = notify(s3, bucket, queue("s3:ObjectAcl:Put", name="kept"))
    with refused("InvalidArgument", status=400):
        notify(s3, bucket, *queues)
    found = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert found["QueueConfigurations"] == before["QueueConfigurations"]


def test_notifications_that_are_about_different_things_pass(s3, bucket):
    notify(s3, bucket, queue("s3:ObjectCreated:Put", prefix="a"), queue("s3:ObjectCreated:Put", prefix="b"),
           queue("s3:ObjectCreated:Post", prefix="a", suffix="x"), queue("s3:ObjectCreated:Post", prefix="a", suffix="y"))


# ---- replication -----------------------------------------------------------------------------------------------------------------------


def copy_to(target, name="rule", **more):
    return {"ID": name, "Status": "Enabled", "Priority": 1, "Filter": {}, "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{target}"}, **more}


def without(rule, *names):
    return {name: value for name, value in rule.items() if name not in names}


def replicate(s3, bucket, *rules, role=ROLE):
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": role, "Rules": list(rules)})


def test_replication_rules_come_back_as_they_went(s3, place):
    bucket, target = place
    both = {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}]}
    timed = {"Bucket": f"arn:aws:s3:::{target}", "StorageClass": "STANDARD_IA", "Metrics": {"Status": "Enabled", "EventThreshold":
             {"Minutes": 15}}, "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}}}
    for rules in ([copy_to(target)], [copy_to(target, Filter={"And": both}), copy_to(target, "two", Priority=2, Destination=timed)],
                  [without(copy_to(target, Prefix="old/"), "Filter", "Priority", "DeleteMarkerReplication")]):
        replicate(s3, bucket, *rules)
        found = s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"]
        assert (found["Role"], found["Rules"]) == (ROLE, rules)
    for _ in range(2):
        assert s3.delete_bucket_replication(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
        with refused("ReplicationConfigurationNotFoundError", status=404):
            s3.get_bucket_replication(Bucket=bucket)


REFUSED = {
    "a bad role": (lambda t: [copy_to(t)], "nobody", "InvalidArgument"),
    "ids twice": (lambda t: [copy_to(t), copy_to(t, Priority=2)], ROLE, "InvalidRequest"),
    "an overlong id": (lambda t: [copy_to(t, "a" * 256)], ROLE, "InvalidArgument"),
    "priorities twice": (lambda t: [copy_to(t), copy_to(t, "two")], ROLE, "InvalidRequest"),
    "no priority": (lambda t: [without(copy_to(t), "Priority")], ROLE, "InvalidRequest"),
    "nothing about delete markers": (lambda t: [without(copy_to(t), "DeleteMarkerReplication")], ROLE, "InvalidRequest"),
    "no scope": (lambda t: [without(copy_to(t), "Filter", "Priority", "DeleteMarkerReplication")], ROLE, "MalformedXML"),
    "two scopes": (lambda t: [copy_to(t, Prefix="a")], ROLE, "MalformedXML"),
    "two filters": (lambda t: [copy_to(t, Filter={"Prefix": "a", "Tag": {"Key": "a", "Value": "b"}})], ROLE, "MalformedXML"),
    "delete markers by tag": (lambda t: [copy_to(t, Filter={"Tag": {"Key": "a", "Value": "b"}}, DeleteMarkerReplication={"Status":
                              "Enabled"})], ROLE, "InvalidRequest"),
    "no bucket": (lambda t: [copy_to(t, Destination={"Bucket": t})], ROLE, "InvalidArgument"),
    "a missing bucket": (lambda t: [copy_to("there-is-no-such-bucket")], ROLE, "InvalidRequest"),
    "time without metrics": (lambda t: [copy_to(t, Destination={"Bucket": f"arn:aws:s3:::{t}", "ReplicationTime": {
                             "Status": "Enabled", "Time": {"Minutes": 15}}})], ROLE, "InvalidRequest"),
    "an odd status": (lambda t: [copy_to(t, Status="On")], ROLE, "MalformedXML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_replication_rule_is_refused(s3, place, name):
    bucket, target = place
    rules, role, code = REFUSED[name]
    replicate(s3, bucket, copy_to(target, "kept"))
    with refused(code, status=400):
        replicate(s3, bucket, *rules(target), role=role)
    assert s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"]["Rules"][0]["ID"] == "kept"


def test_nothing_is_told_of_a_bucket_of_others(server, bucket):
    stranger = people.make_user(server, policies=[people.allow("s3:*")], tenant=people.make_tenant(server)).client(server)
    theirs = people.unused("theirs")
    stranger.create_bucket(Bucket=theirs)
    stranger.put_bucket_versioning(Bucket=theirs, VersioningConfiguration={"Status": "Enabled"})
    replicate(stranger, theirs, copy_to(bucket))


def test_versioning_stays_while_there_is_replication(s3, place):
    bucket, target = place
    replicate(s3, bucket, copy_to(target))
    with refused("InvalidBucketState", status=409):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_bucket_replication(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def test_replication_needs_versioning_on_both_sides(s3, bucket, versioned):
    for source, target in ((bucket, versioned), (versioned, bucket), (versioned, versioned)):
        with refused("InvalidRequest", status=400):
            replicate(s3, source, copy_to(target))
