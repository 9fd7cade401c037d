"""Errors and their pages."""

import boto3
import pytest
from botocore.parsers import create_parser
from lxml import etree

from shared import bucket_errors, errors
from shared.errors import S3Error
from shared.protocol.error_xml import render_xml

CLASSES = S3Error.__subclasses__()


def render(error, head=False):
    return render_xml(error, resource="/b/ä?<&>\x01", request_id="0123456789ABCDEF", host_id="host=", head=head)


def test_a_page_has_the_elements_of_aws_in_order():
    status, headers, body = render(errors.NoSuchKey(Key="a&b\x01"))
    assert status == 404
    assert headers == [("Content-Type", "application/xml")]
    assert (
        body
        == (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>'
            "<Key>a&amp;b&#x1;</Key><Resource>/b/ä?&lt;&amp;&gt;&#x1;</Resource>"
            "<RequestId>0123456789ABCDEF</RequestId><HostId>host=</HostId></Error>"
        ).encode()
    )


@pytest.mark.parametrize("error", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_has_a_code_a_status_and_a_page(error):
    assert 300 <= error.status <= 599
    assert error.message
    status, headers, body = render(error(Field="x", Absent=None))
    if status == 304:
        assert (headers, body) == ([], b"")
        return
    page = etree.fromstring(body.replace(b"&#x1;", b""))
    assert page.findtext("Code") == error().code
    assert page.findtext("Message") == error.message
    assert page.findtext("Field") == "x"
    assert page.find("Absent") is None


def test_codes_are_told_apart():
    codes = [cls().code for cls in CLASSES]
    assert len(set(codes)) == len(codes)
    assert errors.NotImplementedS3().code == "NotImplemented"
    assert errors.StorageFull().code == "InsufficientStorage"


def test_head_has_no_body_but_the_headers():
    error = errors.InvalidRange()
    error.headers["Content-Range"] = "bytes */5"
    assert render(error, head=True) == (416, [("Content-Range", "bytes */5"), ("Content-Type", "application/xml")], b"")


def test_not_modified_is_bare():
    error = errors.NotModified()
    error.headers["ETag"] = '"x"'
    assert render(error) == (304, [("ETag", '"x"')], b"")


def test_a_message_of_its_own_and_a_field_named_resource():
    error = errors.InvalidArgument("Because", Resource="/other", Size=5)
    page = etree.fromstring(render(error)[2])
    assert [(element.tag, element.text) for element in page][:4] == [
        ("Code", "InvalidArgument"),
        ("Message", "Because"),
        ("Resource", "/other"),
        ("Size", "5"),
    ]
    assert len(page.findall("Resource")) == 1
    assert str(error) == "Because"


def test_errors_do_not_share_fields_or_headers():
    one, two = errors.NoSuchKey(Key="a"), errors.NoSuchKey()
    one.headers["X"] = "1"
    assert (two.fields, two.headers) == ({}, {})


def test_boto3_reads_the_page():
    status, _, body = render_xml(bucket_errors.NoSuchBucket(BucketName="b"), resource="/b", request_id="R", host_id="H", head=False)
    shape = boto3.client("s3", region_name="us-east-1").meta.service_model.operation_model("GetObject").output_shape
    parsed = create_parser("rest-xml").parse({"status_code": status, "headers": {}, "body": body}, shape)
    assert parsed["Error"] == {
        "Code": "NoSuchBucket",
        "Message": "The specified bucket does not exist",
        "BucketName": "b",
        "Resource": "/b",
    }
