"""Notification configurations: which may stand beside each other, and that none takes long to be judged."""

import time

import pytest

from shared.errors import InvalidArgument
from shared.protocol.notification import MAX_CONFIGURATIONS, checked

ARN = "arn:aws:sqs:us-east-1:1:queue"


def configuration(name, *events, **rules):
    filters = [{"Name": rule, "Value": value} for rule, value in rules.items()]
    return {"Id": name, "QueueArn": ARN, "Events": list(events), "Filter": {"Key": {"FilterRules": filters}}}


def put(*configurations):
    return checked({"QueueConfigurations": list(configurations)})


@pytest.mark.parametrize("first, second", [
    (("s3:ObjectCreated:Put", {}), ("s3:ObjectCreated:Put", {})),
    (("s3:ObjectCreated:*", {}), ("s3:ObjectCreated:Copy", {})),
    (("s3:ObjectCreated:Put", {"prefix": "a"}), ("s3:ObjectCreated:*", {"prefix": "a/b"})),
    (("s3:ObjectCreated:Put", {"prefix": "a"}), ("s3:ObjectCreated:Put", {"suffix": ".jpg"})),
])
def test_two_that_one_event_would_go_to_are_refused(first, second):
    with pytest.raises(InvalidArgument, match="overlap"):
        put(configuration("1", first[0], **first[1]), configuration("2", second[0], **second[1]))


@pytest.mark.parametrize("first, second", [
    (("s3:ObjectCreated:Put", {}), ("s3:ObjectCreated:Copy", {})),
    (("s3:ObjectCreated:*", {}), ("s3:ObjectRemoved:*", {})),
    (("s3:ObjectCreated:*", {"prefix": "a/"}), ("s3:ObjectCreated:*", {"prefix": "b/"})),
    (("s3:ObjectCreated:*", {"suffix": ".jpg"}), ("s3:ObjectCreated:*", {"suffix": ".png"})),
])
def test_two_that_share_no_event_of_any_key_are_taken(first, second):
    wanted = [configuration("1", first[0], **first[1]), configuration("2", second[0], **second[1])]
    assert put(*wanted) == {"QueueConfigurations": wanted}


def test_events_that_repeat_thousands_of_times_take_no_time():
    """Every pair of configurations is compared: 60 events each, all the same, once took 12 s."""
    events = "s3:ObjectCreated:Put", "s3:ObjectCreated:Copy"
    many = [configuration(str(number), *[events[number % 2]] * 60, prefix=f"{number:03}") for number in range(MAX_CONFIGURATIONS)]
    began = time.process_time()
    put(*many)
    assert time.process_time() - began < 1
