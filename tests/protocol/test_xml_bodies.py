"""XML bodies: what is accepted, what is refused, and that hostile ones do no harm."""

import time
from datetime import UTC, datetime

import pytest

from shared.errors import InvalidArgument, MalformedACLError, MalformedPolicy, MalformedXML, MissingRequestBodyError
from shared.protocol.model import load_model

OPERATIONS = load_model().operations
PATH = {"Bucket": "b", "Key": "k"}
TAGS = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
TAG_SET = {"TagSet": [{"Key": "a", "Value": "b"}]}
GRANT = (
    '<AccessControlPolicy><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"{}>{}</Grantee>'
    "<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
)


def body_of(name, body):
    operation = OPERATIONS[name]
    out = operation.read(PATH, {}, {}, body.encode() if isinstance(body, str) else body)
    return {key: value for key, value in out.items() if key not in PATH}


def days(value):
    rule = f"<Rule><Status>Enabled</Status><Filter/><Expiration>{value}</Expiration></Rule>"
    return f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>"


def expiration(body):
    return body_of("PutBucketLifecycleConfiguration", body)["LifecycleConfiguration"]["Rules"][0]["Expiration"]


@pytest.mark.parametrize(
    "body",
    [
        TAGS,
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + TAGS,
        TAGS.replace("<Tagging>", '<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'),
        TAGS.replace("<Tagging>", '<Tagging xmlns="urn:something:else">'),
        TAGS.replace("<Tagging>", '<Tagging unknown="attribute">'),
        "\n  " + TAGS.replace("><", ">\n  <") + "\n\n",
        b"\xef\xbb\xbf" + TAGS.encode(),
        TAGS.encode("utf-16"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>' + TAGS).encode("latin-1"),
        TAGS.replace("<Key>a", "<Key><!-- a comment -->a"),
        TAGS.replace("<Key>a", "<Key><![CDATA[a]]>"),
        TAGS.replace("<TagSet>", "<?php evil ?><TagSet>"),
    ],
    ids=lambda body: repr(body)[:40],
)
def test_the_same_document_in_many_spellings(body):
    assert body_of("PutBucketTagging", body) == {"Tagging": TAG_SET}


def test_prefixed_names():
    body = '<s:Tagging xmlns:s="http://s3.amazonaws.com/doc/2006-03-01/"><s:TagSet/></s:Tagging>'
    assert body_of("PutBucketTagging", body) == {"Tagging": {"TagSet": []}}


ENTITIES = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "bomb" * 10}">' for i in range(9))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("PutBucketTagging", TAGS[:-5]),
        ("PutBucketTagging", "not xml"),
        ("PutBucketTagging", b"\x00\x01\x02"),
        ("PutBucketTagging", b"\xff\xfe" + TAGS.encode()),
        ("PutBucketTagging", "<Tagging/>"),
        ("PutBucketTagging", "<Taggings><TagSet/></Taggings>"),
        ("PutBucketTagging", TAGS + TAGS),
        ("PutBucketTagging", TAGS.replace("<TagSet>", "<TagSet><Other/>")),
        ("PutBucketTagging", TAGS.replace("<Key>a</Key>", "<Key>a</Key><Key>b</Key>")),
        ("PutBucketTagging", TAGS.replace("<Key>a</Key>", "")),
        ("PutBucketTagging", TAGS.replace("<Key>a</Key>", "<Key><b>a</b></Key>")),
        ("PutBucketTagging", f"<!DOCTYPE x [{ENTITIES}]>" + TAGS.replace("<Key>a", "<Key>&e8;")),
        ("PutBucketTagging", f"<!DOCTYPE x [{ENTITIES}]>{TAGS}".encode("utf-16")),
        ("PutBucketTagging", f'<!DOCTYPE x [{ENTITIES}]><Tagging a="&e8;"><TagSet/></Tagging>'.encode("utf-16")),
        ("PutBucketTagging", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + TAGS.replace("<Key>a", "<Key>&a;")),
        ("PutBucketTagging", '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + TAGS),
        ("PutBucketTagging", "<!DOCTYPE Tagging>" + TAGS),
        ("PutBucketTagging", TAGS.replace("<Key>a", "<Key>&undefined;")),
        ("PutBucketTagging", "<Tagging>" * 100_000 + "</Tagging>" * 100_000),
        ("PutBucketTagging", TAGS.replace("<Key>a", "<Key>" + "<x>" * 50_000 + "</x>" * 50_000)),
        ("DeleteObjects", "<Delete><Object><Key>a&#1;b</Key></Object></Delete>"),
        ("DeleteObjects", "<Delete><Object><Key>a&#xFFFF;b</Key></Object></Delete>"),
        ("DeleteObjects", b"<Delete><Object><Key>a\xffb</Key></Object></Delete>"),
        ("DeleteObjects", "<Delete><Object><Key>a</Key></Object><Quiet>perhaps</Quiet></Delete>"),
        ("PutBucketVersioning", "<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>"),
        ("PutBucketLifecycleConfiguration", days("<Days>1.5</Days>")),
        ("PutBucketLifecycleConfiguration", days("<Days>1e3</Days>")),
        ("PutBucketLifecycleConfiguration", days("<Days>٣</Days>")),
        ("PutBucketLifecycleConfiguration", days("<Days>99999999999999999999999</Days>")),
        ("PutBucketLifecycleConfiguration", days("<Days>2147483648</Days>")),
        ("PutBucketLifecycleConfiguration", days("<Date>tomorrow</Date>")),
        ("PutBucketLifecycleConfiguration", days("<Date>0001-01-01T00:00:00+23:00</Date>")),
        ("PutBucketLifecycleConfiguration", days("<Unheard/>")),
        ("CompleteMultipartUpload", "<CompleteMultipartUpload><Part><PartNumber>one</PartNumber></Part></CompleteMultipartUpload>"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_refused_quickly_as_malformed(name, body):
    started = time.monotonic()
    with pytest.raises(MalformedXML) as caught:
        body_of(name, body)
    assert time.monotonic() - started < 2
    assert len(caught.value.message) < 400
    assert "root:" not in caught.value.message


@pytest.mark.parametrize("name", ["PutBucketTagging", "DeleteObjects", "PutBucketVersioning", "SelectObjectContent"])
@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_a_required_body_is_missed(name, body):
    with pytest.raises(MissingRequestBodyError):
        body_of(name, body)


@pytest.mark.parametrize("name", ["CreateBucket", "CompleteMultipartUpload", "RestoreObject", "PutObjectRetention", "PutBucketAcl"])
def test_an_optional_body_may_be_absent_which_is_not_empty(name):
    assert body_of(name, b"") == {}


def test_absent_and_empty_differ():
    assert body_of("CreateBucket", "<CreateBucketConfiguration/>") == {"CreateBucketConfiguration": {}}
    assert body_of("CompleteMultipartUpload", "<CompleteMultipartUpload/>") == {"MultipartUpload": {}}


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (" a ", " a "),
        ("a&#13;b", "a\rb"),
        ("a&#9;b&#10;", "a\tb\n"),
        ("a&lt;&amp;&gt;", "a<&>"),
        ("字/😀", "字/😀"),
        ("", ""),
        ("x<!-- y -->z", "xz"),
    ],
)
def test_keys_keep_every_character(written, key):
    out = body_of("DeleteObjects", f"<Delete><Object><Key>{written}</Key></Object><Quiet> true </Quiet></Delete>")
    assert out["Delete"] == {"Objects": [{"Key": key}], "Quiet": True}


def test_an_empty_version_id_is_there():
    out = body_of("DeleteObjects", "<Delete><Object><Key>a</Key><VersionId/></Object></Delete>")
    assert out["Delete"]["Objects"] == [{"Key": "a", "VersionId": ""}]


@pytest.mark.parametrize(
    ("attribute", "member", "kind"),
    [
        (' xsi:type="Group"', "<URI>u</URI>", "Group"),
        ("", "<URI>u</URI>", "Group"),
        ("", "<ID>u</ID>", "CanonicalUser"),
        ("", "<EmailAddress>u</EmailAddress>", "AmazonCustomerByEmail"),
        ("", "<ID>u</ID><DisplayName>n</DisplayName>", "CanonicalUser"),
    ],
)
def test_a_grantee_has_a_type_even_when_the_client_leaves_it_out(attribute, member, kind):
    out = body_of("PutBucketAcl", GRANT.format(attribute, member))
    assert out["AccessControlPolicy"]["Grants"][0]["Grantee"]["Type"] == kind


@pytest.mark.parametrize("name", ["PutBucketAcl", "PutObjectAcl"])
def test_a_bad_access_control_list_has_its_own_error(name):
    with pytest.raises(MalformedACLError):
        body_of(name, GRANT.format(' xsi:type="Martian"', "<ID>u</ID>"))


def test_open_enumerations():
    body = "<CreateBucketConfiguration><LocationConstraint>garage-1</LocationConstraint></CreateBucketConfiguration>"
    assert body_of("CreateBucket", body)["CreateBucketConfiguration"] == {"LocationConstraint": "garage-1"}


@pytest.mark.parametrize("written", ["2027-01-01", "2027-01-01T00:00:00", "2027-01-01T00:00:00Z", "2027-01-01T02:00:00+02:00", "20270101"])
def test_dates_with_and_without_time_and_zone(written):
    assert expiration(days(f"<Date>{written}</Date>")) == {"Date": datetime(2027, 1, 1, tzinfo=UTC)}


def test_numbers_may_stand_in_blanks_and_be_negative():
    assert expiration(days("<Days> -1 </Days>")) == {"Days": -1}  # what it may mean is the operation's business


def test_members_of_other_servers():
    assert expiration(days("<Days>1</Days><ExpiredObjectAllVersions>true</ExpiredObjectAllVersions>"))["ExpiredObjectAllVersions"]
    rule = "<Rule><Status>Enabled</Status><Filter/><DelMarkerExpiration><Days>1</Days></DelMarkerExpiration></Rule>"
    out = body_of("PutBucketLifecycleConfiguration", f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>")
    assert out["LifecycleConfiguration"]["Rules"][0]["DelMarkerExpiration"] == {"Days": 1}


def test_a_policy_is_json_as_sent():
    assert body_of("PutBucketPolicy", b'\xef\xbb\xbf{"a": 1}') == {"Policy": '{"a": 1}'}
    with pytest.raises(MalformedPolicy):
        body_of("PutBucketPolicy", b"\xff")


def test_bytes_are_left_out():
    assert body_of("PutObject", b"hello") == {}


def test_a_whole_document_as_input():
    inner = "<Expression>select 1</Expression><ExpressionType>SQL</ExpressionType>"
    inner += "<InputSerialization><CSV/></InputSerialization><OutputSerialization><CSV/></OutputSerialization>"
    out = body_of("SelectObjectContent", f"<SelectObjectContentRequest>{inner}</SelectObjectContentRequest>")
    assert out["InputSerialization"] == {"CSV": {}}


def test_a_required_header_is_missed():
    with pytest.raises(InvalidArgument) as caught:
        OPERATIONS["GetObjectAttributes"].read(PATH, {"attributes": ""}, {})
    assert caught.value.fields["ArgumentName"] == "x-amz-object-attributes"
