"""What tests ask of replies, in few words."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from awscrt import checksums as crt
from botocore.client import BaseClient
from botocore.exceptions import ClientError

MIB = 1 << 20
PART = 5 * MIB  # the smallest part that need not be the last

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: binascii.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "SHA512": lambda data: hashlib.sha512(data).digest(),
    "MD5": lambda data: hashlib.md5(data).digest(),
    "XXHASH64": lambda data: bytes(crt.XXHash.compute_xxhash64(data)),
    "XXHASH3": lambda data: bytes(crt.XXHash.compute_xxhash3_64(data)),
    "XXHASH128": lambda data: bytes(crt.XXHash.compute_xxhash3_128(data)),
}


def checksum(algorithm: str, data: bytes) -> str:
    """The base64 value that belongs into x-amz-checksum-…"""
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


def md5(data: bytes) -> str:
    """Hexadecimal MD5: the ETag of a plain object."""
    return hashlib.md5(data).hexdigest()


def etag(data: bytes) -> str:
    """The ETag of a plain object, in its quotes."""
    return f'"{md5(data)}"'


def parts_etag(*parts: bytes) -> str:
    """The ETag of a multipart object, in its quotes."""
    return f'"{md5(b"".join(hashlib.md5(part).digest() for part in parts))}-{len(parts)}"'


class Refused:
    """What an error reply said."""

    status = 0
    code = ""
    error: dict[str, Any]
    headers: dict[str, str]


@contextmanager
def refused(*codes: str, status: int = 0) -> Iterator[Refused]:
    """The block gets an S3 error with one of these codes (for HEAD: the status as text) and this status."""
    told = Refused()
    with pytest.raises(ClientError) as caught:
        yield told
    response: Any = caught.value.response
    told.error, told.headers = response["Error"], response["ResponseMetadata"]["HTTPHeaders"]
    told.code, told.status = told.error["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    assert told.code in codes, caught.value
    assert not status or told.status == status, caught.value


def read(s3: BaseClient, bucket: str, key: str, **more: Any) -> bytes:
    """The bytes of an object."""
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return data


def upload(s3: BaseClient, bucket: str, key: str, *parts: bytes, **more: Any) -> dict[str, Any]:
    """A whole multipart upload; returns Complete's reply."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        reply = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=part)
        done.append({"PartNumber": number, "ETag": reply["ETag"]})
    completed: dict[str, Any] = s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": done})
    return completed


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Call ``act(0)`` … at the same moment in threads; returns results and ClientErrors."""
    gate = threading.Barrier(count)

    def run(number: int) -> Any:
        gate.wait()
        try:
            return act(number)
        except ClientError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def code_of(result: Any) -> str:
    """The error code of a result of ``at_once``, "" for success."""
    return str(result.response["Error"]["Code"]) if isinstance(result, ClientError) else ""
