"""Sealed secrets: round trips, every damage refused, one durable private key file however many start at once."""

from __future__ import annotations

import os
import secrets
import stat
from base64 import b64encode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth.keys import new_access_key, new_secret
from shared.auth.sealing import KeyUnusable, MasterKey, SealBroken

KEY = MasterKey(bytes(range(32)))


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_what_is_sealed_opens_in_its_context_only(plaintext, context):
    sealed = KEY.seal(plaintext, context)
    assert KEY.open(sealed, context) == plaintext
    assert len(plaintext) < 8 or plaintext not in sealed
    with pytest.raises(SealBroken):
        KEY.open(sealed, context + b"x")


def test_the_same_text_never_seals_alike():
    assert len({KEY.seal(b"secret", b"c") for _ in range(100)}) == 100


def test_every_damaged_bit_and_every_truncation_is_refused():
    sealed = KEY.seal(b"secret", b"c")
    for at in range(len(sealed)):
        for bit in range(8):
            damaged = bytearray(sealed)
            damaged[at] ^= 1 << bit
            with pytest.raises(SealBroken):
                KEY.open(bytes(damaged), b"c")
        with pytest.raises(SealBroken):
            KEY.open(sealed[:at], b"c")


def test_a_wrong_key_says_so():
    with pytest.raises(SealBroken, match="another master key"):
        MasterKey(secrets.token_bytes(32)).open(KEY.seal(b"s", b"c"), b"c")
    with pytest.raises(SealBroken, match="version 2"):
        KEY.open(b"\x02" + KEY.seal(b"s", b"c")[1:], b"c")


def test_the_key_file_is_private_and_lasts(tmp_path):
    path = tmp_path / "master.key"
    sealed = MasterKey.load_or_create(path).seal(b"s", b"c")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.stat().st_size == 32
    assert os.listdir(tmp_path) == ["master.key"]
    assert MasterKey.load_or_create(path).open(sealed, b"c") == b"s"


def test_the_file_and_its_folder_are_synced_in_order(tmp_path, monkeypatch):
    synced, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append((stat.S_ISDIR(os.fstat(fd).st_mode), (tmp_path / "k").exists())), real(fd)))
    MasterKey.load_or_create(tmp_path / "k")
    assert synced == [(False, False), (True, True)]


def test_many_who_start_together_end_with_one_key(tmp_path):
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: MasterKey.load_or_create(path), range(32)))
    sealed = keys[0].seal(b"s", b"c")
    assert all(key.open(sealed, b"c") == b"s" for key in keys) and os.listdir(tmp_path) == ["master.key"]


@pytest.mark.parametrize("content", [b"", b"short", bytes(31), bytes(33)])
def test_a_damaged_key_file_is_named_and_left_alone(tmp_path, content):
    path = tmp_path / "master.key"
    path.write_bytes(content)
    with pytest.raises(KeyUnusable, match=r"master\.key is damaged"):
        MasterKey.load_or_create(path)
    assert path.read_bytes() == content


def test_an_unreachable_folder_is_named(tmp_path):
    with pytest.raises(KeyUnusable, match="cannot be read or written"):
        MasterKey.load_or_create(tmp_path / "nowhere" / "master.key")


@pytest.mark.parametrize(
    "spell",
    [bytes.hex, lambda k: k.hex().upper() + "\n", lambda k: b64encode(k).decode(), lambda k: urlsafe_b64encode(k).decode().rstrip("=")],
)
def test_a_given_value_wins_over_the_file(tmp_path, spell):
    key = secrets.token_bytes(31) + b"\xff"
    given_key = MasterKey.load_or_create(tmp_path / "k", spell(key))
    assert given_key.open(MasterKey(key).seal(b"s", b"c"), b"c") == b"s" and not (tmp_path / "k").exists()


@pytest.mark.parametrize("value", ["abc", "zz" * 32, "00" * 31, "00" * 33, "é" * 44, b64encode(bytes(16)).decode()])
def test_a_bad_value_is_refused(tmp_path, value):
    with pytest.raises(KeyUnusable):
        MasterKey.load_or_create(tmp_path / "k", value)


def test_new_keys_have_their_shape():
    keys = {new_access_key() for _ in range(100)}
    assert len(keys) == 100 and all(len(key) == 20 and key.startswith("AKIA") and key.isupper() for key in keys)
    found = {new_secret() for _ in range(100)}
    assert len(found) == 100 and all(len(secret) == 40 and secret.isalnum() and secret.isascii() for secret in found)
