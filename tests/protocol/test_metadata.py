"""System headers and user metadata, in and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MetadataTooLarge
from shared.protocol import metadata
from shared.protocol.model import load_model

OPERATIONS = load_model().operations


def test_system_headers_go_in_and_out():
    sent = {
        "cache-control": "no-cache",
        "content-disposition": 'attachment; filename="Ã¼"',
        "content-encoding": "gzip",
        "content-language": "de",
        "content-type": "text/plain",
        "expires": "soon",
        "x-amz-website-redirect-location": "/other",
        "x-amz-meta-under_score": "Ã¼",
        "content-length": "5",
    }
    params = OPERATIONS["PutObject"].read({"Bucket": "b", "Key": "k"}, {}, sent)
    stored, user = metadata.system_headers(params), metadata.user_metadata(sent)
    assert stored["Content-Disposition"] == 'attachment; filename="Ã¼"'
    assert "Content-Length" not in stored
    back = OPERATIONS["GetObject"].write(metadata.members(stored, user))[1]
    assert {name.lower(): value for name, value in back} == {name: value for name, value in sent.items() if name != "content-length"}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("aws-chunked", ""),
        ("AWS-Chunked", ""),
        ("gzip,aws-chunked", "gzip"),
        ("aws-chunked,gzip", "gzip"),
        ("aws-chunked, gzip , br", "gzip,br"),
        ("gzip, br", "gzip, br"),
        ("x-aws-chunked-like", "x-aws-chunked-like"),
        ("", ""),
    ],
)
def test_aws_chunked_is_not_an_encoding_of_the_object(sent, stored):
    assert metadata.content_encoding(sent) == stored
    assert metadata.system_headers({"ContentEncoding": sent}) == ({"Content-Encoding": stored} if stored else {})


def test_two_kibibytes_of_user_metadata():
    fits = {"x-amz-meta-" + "n" * 48: "v" * 2000}
    assert metadata.user_metadata(fits) == {"n" * 48: "v" * 2000}
    with pytest.raises(MetadataTooLarge) as caught:
        metadata.user_metadata(fits | {"x-amz-meta-a": ""})
    assert caught.value.fields == {"Size": "2049", "MaxSizeAllowed": "2048"}


VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)


@given(st.dictionaries(st.text("abcxyz-_.09", max_size=10), VALUE, max_size=5))
def test_any_user_metadata_comes_back(user):
    sent = {f"x-amz-meta-{name}": value for name, value in user.items()}
    kept = metadata.user_metadata(sent | {"x-amz-other": "1"})
    assert kept == user
    assert dict(OPERATIONS["HeadObject"].write(metadata.members({}, kept))[1]) == sent
