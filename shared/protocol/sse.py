"""Server-side encryption as requests ask for it: SSE-S3, SSE-KMS, and SSE-C with a key that the customer sends along."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

from shared.errors import InvalidArgument, InvalidEncryptionAlgorithmError

S3, KMS, DSSE, CUSTOMER = "AES256", "aws:kms", "aws:kms:dsse", "SSE-C"      # CUSTOMER is never a header's value
METHODS = frozenset({S3, KMS, DSSE})
BY_KMS = frozenset({KMS, DSSE})

METHOD = "x-amz-server-side-encryption"
KMS_KEY, CONTEXT, BUCKET_KEY = f"{METHOD}-aws-kms-key-id", f"{METHOD}-context", f"{METHOD}-bucket-key-enabled"
OF_OBJECT = f"{METHOD}-customer-"
OF_SOURCE = "x-amz-copy-source-server-side-encryption-customer-"
FIELDS = ("algorithm", "key", "key-md5")

_MANAGED = frozenset({METHOD, KMS_KEY, CONTEXT, BUCKET_KEY})
_CUSTOMERS = frozenset(OF_OBJECT + field for field in FIELDS)
HEADERS = _MANAGED | _CUSTOMERS
KEY_BYTES = 32
MAX_CONTEXT_BYTES = 8192
MAX_KEY_ID = 2048       # characters, as AWS


class CustomerKey(NamedTuple):
    """A key that a request brought, and its MD5 in base64."""

    key: bytes
    md5: str

    def __repr__(self) -> str:      # no key in a log or a traceback
        return f"CustomerKey({self.md5})"


class Wanted(NamedTuple):
    """What a write asks for. ``context`` is canonical JSON; ``bucket_key`` None says that the bucket's default decides."""

    kind: str
    kms_key: str | None = None
    context: str | None = None
    bucket_key: bool | None = None
    customer: CustomerKey | None = None


def wanted(headers: Mapping[str, str]) -> Wanted | None:
    """What the headers (lower-case names) of a write ask for; None for nothing.

    Raises InvalidArgument, also for headers that contradict each other, InvalidEncryptionAlgorithmError.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    if HEADERS.isdisjoint(headers):
        return None
    method = headers.get(METHOD)
    if (customer := customer_key(headers)) is not None:
        if not _MANAGED.isdisjoint(headers):
            raise _invalid(METHOD, method, "Server Side Encryption with Customer provided key is incompatible with the encryption method "
                                           "specified")
        return Wanted(CUSTOMER, customer=customer)
    if method is not None and method not in METHODS:
        raise _invalid(METHOD, method, "The encryption method specified is not supported")
    if method not in BY_KMS:
        for name in (KMS_KEY, CONTEXT):
            if name in headers:
                raise _invalid(name, headers[name], "Server Side Encryption with AWS KMS managed key requires HTTP header "
                                                    f"{METHOD} : {KMS}")
    bucket_key = _flag(headers)
    if method is None:      # the bucket's default, and a word about its key
        return None
    if method not in BY_KMS:
        return Wanted(method)
    key = headers.get(KMS_KEY)
    if key is not None and not is_key_id(key):
        raise _invalid(KMS_KEY, key, "The key id is not valid")
    return Wanted(method, key, _context(headers.get(CONTEXT)), bucket_key)


def customer_key(headers: Mapping[str, str], prefix: str = OF_OBJECT) -> CustomerKey | None:
    """The customer's key among the headers; None when there is none. ``prefix`` OF_SOURCE reads that of a copy's source.

    Raises InvalidArgument when something of it is missing or wrong, InvalidEncryptionAlgorithmError.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-s3-c-encryption.html
    """
    algorithm, key, md5 = (headers.get(prefix + field) for field in FIELDS)
    if algorithm is None and key is None and md5 is None:
        return None
    must = "Requests specifying Server Side Encryption with Customer provided keys must provide"
    if not algorithm:
        raise _invalid(prefix + "algorithm", algorithm, f"{must} a valid encryption algorithm.")
    if algorithm != S3:
        raise InvalidEncryptionAlgorithmError(ArgumentName=prefix + "algorithm", ArgumentValue=algorithm)
    if not key:
        raise InvalidArgument(f"{must} an appropriate secret key.", ArgumentName=prefix + "key")
    if not md5:
        raise _invalid(prefix + "key-md5", md5, f"{must} the client calculated MD5 of the secret key.")
    raw = _decoded(key)
    if len(raw) != KEY_BYTES:
        raise InvalidArgument("The secret key was invalid for the specified algorithm.", ArgumentName=prefix + "key")
    if not hmac.compare_digest(hashlib.md5(raw, usedforsecurity=False).digest(), _decoded(md5)):
        raise _invalid(prefix + "key-md5", md5, "The calculated MD5 hash of the key did not match the hash that was provided.")
    return CustomerKey(raw, md5)


def refuse_managed(headers: Mapping[str, str]) -> None:
    """Refuse what says how to encrypt in a request that only reads: the server knows. Raises InvalidArgument."""
    if not _MANAGED.isdisjoint(headers):
        name = next(name for name in sorted(_MANAGED) if name in headers)
        raise _invalid(name, headers[name], f"{name} header is not supported for this operation.")


def is_key_id(text: str) -> bool:
    """Whether a text can be the id of a KMS key. Replies show it in a header, and fields and documents may hold what no header can."""
    return 0 < len(text) <= MAX_KEY_ID and text.isascii() and text.isprintable()


def name_of(kms_key: str) -> str:
    """The name of a key out of what clients call it: a name, ``alias/name``, or the ARN of either."""
    if kms_key.startswith("arn:"):
        kms_key = kms_key.split(":", 5)[-1]
    return kms_key.removeprefix("key/").removeprefix("alias/")


def _flag(headers: Mapping[str, str]) -> bool | None:
    text = headers.get(BUCKET_KEY)
    if text is None:
        return None
    if text.lower() not in ("true", "false"):
        raise _invalid(BUCKET_KEY, text, f"The value of {BUCKET_KEY} is not valid")
    return text.lower() == "true"


def _context(text: str | None) -> str | None:
    """The encryption context as canonical JSON: base64 of an object of texts."""
    if not text:
        return None
    try:
        pairs = json.loads(b64decode(text, validate=True)) if len(text) <= MAX_CONTEXT_BYTES else None
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise InvalidArgument("The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which "
                              "represents a string-string map", ArgumentName=CONTEXT)
    return json.dumps(pairs, sort_keys=True, separators=(",", ":"))


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _invalid(name: str, value: str | None, message: str) -> InvalidArgument:
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=value or "null")
