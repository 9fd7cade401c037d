"""A state machine: random operations over HTTP and a dict agree, in every state of versioning."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.s3.asking import PART, etag, md5, parts_etag
from tests.s3.test_listings import expected

KEYS = ["a", "a/b", "a/b/c", "b", "ü +%", "a//x", "z/"]
FULL_PART = os.urandom(PART)
keys = st.sampled_from(KEYS)
# Most bodies are kept in the database, some on disk; each is different, so that no mix-up goes unseen.
bodies = st.builds(
    lambda seed, size: (b"%010d" % seed * (size // 10 + 1))[:size],
    st.integers(0, 10**9),
    st.sampled_from([0, 1, 10, 100, 5000, 20_000, 70_000]),
)


@dataclass
class Version:
    """A version as the client knows it; ``body`` None is a delete marker."""

    id: str
    body: bytes | None
    etag: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    """An upload under way."""

    key: str
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class Refused(Exception):
    """The code the model expects."""


def outcome(act: Any, *arguments: Any, **named: Any) -> tuple[str, Any]:
    """(error code, result) of a call to the server or to the model."""
    try:
        return "", act(*arguments, **named)
    except ClientError as error:
        return str(error.response["Error"]["Code"]), None
    except Refused as error:
        return str(error), None


class Store:
    """What S3 is supposed to do, as a dict."""

    def __init__(self) -> None:
        self.versioning = ""
        self.versions: dict[str, list[Version]] = {}  # newest first
        self.uploads: dict[str, Upload] = {}

    def current(self, key: str) -> Version | None:
        newest = next(iter(self.versions.get(key, [])), None)
        return newest if newest and newest.body is not None else None

    def get(self, key: str, version_id: str | None = None) -> Version:
        if version_id is None:
            if (found := self.current(key)) is None:
                raise Refused("NoSuchKey")
            return found
        found = next((one for one in self.versions.get(key, []) if one.id == version_id), None)
        if found is None:
            raise Refused("NoSuchVersion")
        if found.body is None:
            raise Refused("MethodNotAllowed")
        return found

    def add(self, key: str, version: Version) -> None:
        history = self.versions.setdefault(key, [])
        if self.versioning != "Enabled":
            version.id = "null"
            history[:] = [one for one in history if one.id != "null"]
        history.insert(0, version)

    def check(self, key: str, if_match: str | None, if_none_match: bool) -> None:
        current = self.current(key)
        if if_none_match and current:
            raise Refused("PreconditionFailed")
        if if_match is not None and current is None:
            raise Refused("NoSuchKey")
        if if_match is not None and current is not None and current.etag != if_match:
            raise Refused("PreconditionFailed")

    def delete(self, key: str, version_id: str | None, marker_id: str) -> None:
        if version_id is not None:
            self.versions[key] = [one for one in self.versions.get(key, []) if one.id != version_id]
        elif not self.versioning:
            self.versions.pop(key, None)
        else:
            self.add(key, Version(marker_id, None))


class S3Machine(RuleBasedStateMachine):
    """Every rule asks the server and the model the same, and compares."""

    s3: ClassVar[Any]
    steps: ClassVar[int] = 0
    names: ClassVar[Any] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.model = Store()
        self.bucket = f"m-{os.urandom(4).hex()}-{next(self.names)}"
        self.s3.create_bucket(Bucket=self.bucket)

    def ask(self, operation: str, **named: Any) -> tuple[str, Any]:
        S3Machine.steps += 1
        return outcome(getattr(self.s3, operation), Bucket=self.bucket, **named)

    def any_version(self, data: st.DataObject, key: str) -> str | None:
        ids = [one.id for one in self.model.versions.get(key, [])]
        return data.draw(st.sampled_from([None, *ids]) if ids else st.none())

    @initialize(status=st.sampled_from(["", "Enabled", "Suspended"]))
    def begin_with(self, status: str) -> None:
        if status:
            self.set_versioning(status)

    @rule(status=st.sampled_from(["Enabled", "Enabled", "Suspended"]))
    def set_versioning(self, status: str) -> None:
        assert self.ask("put_bucket_versioning", VersioningConfiguration={"Status": status})[0] == ""
        self.model.versioning = status

    @rule(key=keys, body=bodies, note=st.sampled_from(["", "one", "two"]))
    def put(self, key: str, body: bytes, note: str) -> None:
        metadata = {"note": note} if note else {}
        code, reply = self.ask("put_object", Key=key, Body=body, Metadata=metadata)
        assert code == "" and reply["ETag"] == etag(body)
        self.model.add(key, Version(reply.get("VersionId", "null"), body, etag(body), metadata))

    @rule(key=keys, body=bodies, if_none_match=st.booleans(), right=st.booleans())
    def put_if(self, key: str, body: bytes, if_none_match: bool, right: bool) -> None:
        current = self.model.current(key)
        if_match = None if if_none_match else current.etag if right and current else etag(b"never")
        wanted = {"IfNoneMatch": "*"} if if_none_match else {"IfMatch": if_match}
        expected_code, _ = outcome(self.model.check, key, if_match, if_none_match)
        code, reply = self.ask("put_object", Key=key, Body=body, **wanted)
        assert code == expected_code
        if not code:
            self.model.add(key, Version(reply.get("VersionId", "null"), body, etag(body)))

    @rule(key=keys, data=st.data())
    def get(self, key: str, data: st.DataObject) -> None:
        version_id = self.any_version(data, key)
        expected_code, found = outcome(self.model.get, key, version_id)
        code, reply = self.ask("get_object", Key=key, **({"VersionId": version_id} if version_id else {}))
        assert code == expected_code
        if found:
            assert reply["Body"].read() == found.body
            assert (reply["ETag"], reply["Metadata"], reply.get("VersionId", "null")) == (found.etag, found.metadata, found.id)

    @rule(key=keys, first=st.integers(0, 80_000), length=st.integers(1, 80_000))
    def get_range(self, key: str, first: int, length: int) -> None:
        expected_code, found = outcome(self.model.get, key)
        if found and first >= len(found.body):
            expected_code = "InvalidRange"
        code, reply = self.ask("get_object", Key=key, Range=f"bytes={first}-{first + length - 1}")
        assert code == expected_code
        if not code:
            assert reply["Body"].read() == found.body[first : first + length]

    @rule(key=keys)
    def head(self, key: str) -> None:
        code, found = outcome(self.model.get, key)
        told, reply = self.ask("head_object", Key=key)
        assert told == ("404" if code else "")
        if found:
            assert (reply["ContentLength"], reply["ETag"]) == (len(found.body), found.etag)

    @rule(key=keys, data=st.data())
    def delete(self, key: str, data: st.DataObject) -> None:
        version_id = self.any_version(data, key)
        code, reply = self.ask("delete_object", Key=key, **({"VersionId": version_id} if version_id else {}))
        assert code == ""
        if version_id:
            was_marker = any(one.id == version_id and one.body is None for one in self.model.versions[key])
            assert reply.get("DeleteMarker", False) == was_marker
        else:
            assert reply.get("DeleteMarker", False) == bool(self.model.versioning)
        self.model.delete(key, version_id, reply.get("VersionId", "null"))

    @rule(chosen=st.lists(keys, min_size=1, max_size=4, unique=True), data=st.data())
    def delete_many(self, chosen: list[str], data: st.DataObject) -> None:
        wanted = [{"Key": key} | ({"VersionId": one} if (one := self.any_version(data, key)) else {}) for key in chosen]
        code, reply = self.ask("delete_objects", Delete={"Objects": wanted})
        assert code == "" and "Errors" not in reply and len(reply["Deleted"]) == len(wanted)
        by_key = {one["Key"]: one for one in reply["Deleted"]}
        for one in wanted:
            self.model.delete(one["Key"], one.get("VersionId"), by_key[one["Key"]].get("DeleteMarkerVersionId", "null"))

    @rule(source=keys, key=keys, replace=st.booleans(), data=st.data())
    def copy(self, source: str, key: str, replace: bool, data: st.DataObject) -> None:
        version_id = self.any_version(data, source)
        named = {"Bucket": self.bucket, "Key": source} | ({"VersionId": version_id} if version_id else {})
        more = {"MetadataDirective": "REPLACE", "Metadata": {"note": "copied"}} if replace else {}
        expected_code, found = outcome(self.model.get, source, version_id)
        if expected_code == "MethodNotAllowed" or (source == key and not replace and not version_id):
            expected_code = "InvalidRequest"
        code, reply = self.ask("copy_object", Key=key, CopySource=named, **more)
        assert code == expected_code
        if not code:
            assert reply["CopyObjectResult"]["ETag"] == found.etag
            metadata = more.get("Metadata", found.metadata)
            self.model.add(key, Version(reply.get("VersionId", "null"), found.body, found.etag, dict(metadata)))

    # ---- multipart --------------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.uploads) < 3)
    @rule(key=keys, note=st.sampled_from(["", "upload"]))
    def begin_upload(self, key: str, note: str) -> None:
        metadata = {"note": note} if note else {}
        code, reply = self.ask("create_multipart_upload", Key=key, Metadata=metadata)
        assert code == ""
        self.model.uploads[reply["UploadId"]] = Upload(key, metadata)

    @precondition(lambda self: self.model.uploads)
    @rule(data=st.data(), number=st.integers(1, 3), body=bodies, whole=st.integers(0, 7))
    def send_part(self, data: st.DataObject, number: int, body: bytes, whole: int) -> None:
        upload_id = data.draw(st.sampled_from(sorted(self.model.uploads)))
        upload, body = self.model.uploads[upload_id], FULL_PART if whole == 0 else body
        code, reply = self.ask("upload_part", Key=upload.key, UploadId=upload_id, PartNumber=number, Body=body)
        assert code == "" and reply["ETag"] == etag(body)
        upload.parts[number] = body

    @precondition(lambda self: self.model.uploads)
    @rule(data=st.data(), number=st.integers(1, 3), source=keys)
    def copy_part(self, data: st.DataObject, number: int, source: str) -> None:
        upload_id = data.draw(st.sampled_from(sorted(self.model.uploads)))
        upload, found = self.model.uploads[upload_id], self.model.current(source)
        if not (found and found.body and "-" not in found.etag):
            return
        code, reply = self.ask(
            "upload_part_copy", Key=upload.key, UploadId=upload_id, PartNumber=number, CopySource={"Bucket": self.bucket, "Key": source}
        )
        assert code == "" and reply["CopyPartResult"]["ETag"] == found.etag
        upload.parts[number] = found.body

    @precondition(lambda self: self.model.uploads)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        upload_id = data.draw(st.sampled_from(sorted(self.model.uploads)))
        upload = self.model.uploads[upload_id]
        chosen = sorted(upload.parts)
        wanted = [{"PartNumber": number, "ETag": etag(upload.parts[number])} for number in chosen]
        expected_code = "" if chosen else "MalformedXML"
        if any(len(upload.parts[number]) < PART for number in chosen[:-1]):
            expected_code = "EntityTooSmall"
        code, reply = self.ask("complete_multipart_upload", Key=upload.key, UploadId=upload_id, MultipartUpload={"Parts": wanted})
        assert code == expected_code
        if code:
            return
        del self.model.uploads[upload_id]
        pieces = [upload.parts[number] for number in chosen]
        assert reply["ETag"] == parts_etag(*pieces)
        self.model.add(upload.key, Version(reply.get("VersionId", "null"), b"".join(pieces), parts_etag(*pieces), upload.metadata))

    @precondition(lambda self: self.model.uploads)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        upload_id = data.draw(st.sampled_from(sorted(self.model.uploads)))
        upload = self.model.uploads.pop(upload_id)
        assert self.ask("abort_multipart_upload", Key=upload.key, UploadId=upload_id)[0] == ""
        assert self.ask("list_parts", Key=upload.key, UploadId=upload_id)[0] == "NoSuchUpload"

    @rule()
    def list_uploads(self) -> None:
        _, reply = self.ask("list_multipart_uploads")
        assert {one["UploadId"]: one["Key"] for one in reply.get("Uploads", [])} == {
            one: upload.key for one, upload in self.model.uploads.items()
        }
        for upload_id, upload in self.model.uploads.items():
            _, parts = self.ask("list_parts", Key=upload.key, UploadId=upload_id)
            found = [(one["PartNumber"], one["Size"], one["ETag"].strip('"')) for one in parts.get("Parts", [])]
            assert found == [(number, len(body), md5(body)) for number, body in sorted(upload.parts.items())]

    # ---- listings ---------------------------------------------------------------------------------------------------------------

    @rule(prefix=st.sampled_from(["", "", "a", "a/", "a/b/", "ü"]), delimiter=st.sampled_from(["", "/", "b"]), size=st.integers(1, 6))
    def list_page(self, prefix: str, delimiter: str, size: int) -> None:
        present = [key for key in KEYS if self.model.current(key)]
        found, prefixes = expected(present, prefix, delimiter)
        wanted = sorted([*found, *prefixes], key=str.encode)
        _, reply = self.ask("list_objects_v2", Prefix=prefix, Delimiter=delimiter, MaxKeys=size)
        rows, more = reply.get("Contents", []), [one["Prefix"] for one in reply.get("CommonPrefixes", [])]
        assert sorted([one["Key"] for one in rows] + more, key=str.encode) == wanted[:size]
        assert reply["IsTruncated"] == (len(wanted) > size)
        for one in rows:
            current = self.model.get(one["Key"])
            assert (one["Size"], one["ETag"]) == (len(current.body or b""), current.etag)

    @rule()
    def list_versions(self) -> None:
        _, reply = self.ask("list_object_versions")
        rows = [(one["Key"], one["VersionId"], one["IsLatest"], one["Size"]) for one in reply.get("Versions", [])]
        markers = [(one["Key"], one["VersionId"], one["IsLatest"]) for one in reply.get("DeleteMarkers", [])]
        history = [
            (key, number, one) for key in sorted(self.model.versions, key=str.encode) for number, one in enumerate(self.model.versions[key])
        ]
        assert rows == [(key, one.id, number == 0, len(one.body)) for key, number, one in history if one.body is not None]
        assert markers == [(key, one.id, number == 0) for key, number, one in history if one.body is None]


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def run(s3: Any, steps: int) -> None:
    """Run examples until that many requests have been compared."""
    S3Machine.s3, S3Machine.steps = s3, 0
    chosen = settings(max_examples=20, stateful_step_count=100, deadline=None, suppress_health_check=CHECKS, database=None)
    while S3Machine.steps < steps:
        run_state_machine_as_test(S3Machine, settings=chosen)


@pytest.mark.timeout(300)
def test_server_and_model_agree_over_five_thousand_steps(s3):
    run(s3, 5000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_server_and_model_agree_over_fifty_thousand_steps(s3):
    run(s3, 50_000)
