"""The server that tests of shipped defects share, what is in it, and how they ask."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests import people
from tests.admin.admin_client import unique
from tests.admin.signing_people import Guarded
from tests.running import RunningServer
from tests.s3.raw import Answer, Raw


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """A server of its own, whose clients say what their address is: tests about limits must not slow down others."""
    with RunningServer(environ={"MAXIOFS_TRUSTED_PROXIES": "127.0.0.1"}) as running:
        yield Guarded(running)


@pytest.fixture(scope="module")
def raw(guarded: Guarded) -> Raw:
    """Root's requests to the S3 API."""
    return Raw(guarded.server)


@pytest.fixture
def bucket(raw: Raw) -> str:
    """A bucket of root's with the object ``k`` in it."""
    name = unique("bucket")
    sure(raw("PUT", f"/{name}"))
    sure(raw("PUT", f"/{name}/k", body=b"secret"))
    return name


def sure(answer: Answer) -> Answer:
    """It must have succeeded."""
    assert answer.status < 300, answer
    return answer


def of(guarded: Guarded, *policies: people.PolicyLike, **more: Any) -> tuple[people.Person, Raw]:
    """A new user with an access key, and the requests they sign."""
    person = people.make_user(guarded.server, policies=policies, **more)
    return person, Raw(guarded.server, access_key=person.access_key, secret_key=person.secret_key)


def secret_part(length: int = 43) -> str:
    return base64.urlsafe_b64encode(os.urandom(length)).decode()[:length]
