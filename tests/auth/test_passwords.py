"""Passwords and codes: hashes that match, equal work for nothing to compare with, bounded memory, rules, time steps, backup codes."""

from __future__ import annotations

import statistics
import threading
import time
import tracemalloc

import pyotp
import pytest
from argon2 import extract_parameters

from shared.auth import passwords, totp
from shared.auth.passwords import DEFAULT_RULES, Rules, UnfitPassword
from shared.errors import ServiceUnavailable


@pytest.mark.parametrize("password", ["Correct1", "p" * passwords.LONGEST, "grün Ærø 東京", "\ud800 half", "a\0b"])
def test_a_password_matches_its_hash_only(password):
    made = passwords.hashed(password)
    assert made.startswith("$argon2id$") and password not in made
    assert passwords.matches(made, password)
    assert not passwords.matches(made, password + "x") and not passwords.matches(made, "")


def test_the_same_password_never_hashes_alike():
    assert passwords.hashed("Correct1") != passwords.hashed("Correct1")


def test_two_spellings_of_one_character_are_one_password():
    assert passwords.matches(passwords.hashed("caf\u00e9"), "cafe\u0301")


def test_what_lies_beyond_the_longest_password_is_not_ignored():
    assert not passwords.matches(passwords.hashed("p" * passwords.LONGEST), "p" * (passwords.LONGEST + 5))


def test_nothing_matches_no_hash_nor_what_is_no_hash():
    assert not any(passwords.matches(nothing, password) for nothing in (None, "", "!", "$argon2id$v=19$") for password in ("", "!", "x"))


def test_the_decoy_is_as_much_work_as_a_real_hash():
    assert extract_parameters(passwords._DECOY) == extract_parameters(passwords.hashed("Correct1"))


def spent(work) -> float:
    """CPU seconds of this thread: what else the machine does has no part in it."""
    started = time.thread_time()
    work()
    return time.thread_time() - started


def test_no_hash_and_a_wrong_password_take_the_same_time():
    made = passwords.hashed("Correct1")
    wrong, nothing = [], []
    for _ in range(12):         # in turns: what slows the machine down slows both
        wrong.append(spent(lambda: passwords.matches(made, "Wrong111")))
        nothing.append(spent(lambda: passwords.matches(None, "Wrong111")))
    ratio = statistics.median(nothing) / statistics.median(wrong)
    assert 0.8 < ratio < 1.25, ratio
    assert min(wrong) > 0.02, "too cheap to guess"


def test_an_old_hash_is_found_outdated():
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("Correct1")
    assert passwords.matches(old, "Correct1") and passwords.is_outdated(old)
    assert not passwords.is_outdated(passwords.hashed("Correct1"))


def test_no_more_than_a_few_hashes_run_at_once(monkeypatch):
    running, most, lock = 0, 0, threading.Lock()

    class Slow:
        def verify(self, *_: object) -> bool:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1
            return True

    monkeypatch.setattr(passwords, "_hasher", Slow())
    threads = [threading.Thread(target=passwords.matches, args=("h", "p")) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == passwords.HASHES_AT_ONCE


def test_who_waits_too_long_is_told_to_come_back(monkeypatch):
    monkeypatch.setattr(passwords, "PATIENCE_S", 0.01)
    with passwords._turn(), passwords._turn(), pytest.raises(ServiceUnavailable):
        passwords.hashed("Correct1")
    assert passwords.matches(passwords.hashed("Correct1"), "Correct1"), "turns are given back"


def test_an_oversize_password_costs_no_more():
    password = "x" * 1_000_000
    tracemalloc.start()
    passwords.matches(None, password)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


# ---- rules ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password, rules, problem", [
    ("Short1", DEFAULT_RULES, "must have at least 8 characters"),
    ("longer than eight 1", DEFAULT_RULES, "must have an upper-case letter"),
    ("No digits at all", DEFAULT_RULES, "must have a digit"),
    ("Letters1", Rules(special=True), "must have a character that is neither letter nor digit"),
    ("Aa1" * 100, DEFAULT_RULES, f"must have at most {passwords.LONGEST} characters"),
    ("Correct1\0", DEFAULT_RULES, "must have no control characters"),
    ("Correct1\ud800", DEFAULT_RULES, "must have no control characters"),
    ("ANNA.smith1", DEFAULT_RULES, "must not be the name of its user"),
    ("Twelve chars", Rules(min_length=13, numbers=False), "must have at least 13 characters"),
])
def test_a_rule_refuses(password, rules, problem):
    with pytest.raises(UnfitPassword) as caught:
        passwords.check_policy(password, rules, "anna.smith1")
    assert problem in caught.value.problems and str(caught.value).startswith("The password must")


@pytest.mark.parametrize("password, rules", [
    ("Correct1", DEFAULT_RULES), ("Über-1-straße", Rules(special=True)), ("all small", Rules(uppercase=False, numbers=False)),
])
def test_rules_let_pass(password, rules):
    passwords.check_policy(password, rules, "anna")


def test_all_problems_are_told_at_once():
    with pytest.raises(UnfitPassword) as caught:
        passwords.check_policy("x")
    assert len(caught.value.problems) == 3


# ---- backup codes ---------------------------------------------------------------------------------------------------------------


def test_one_hash_finds_a_word_among_many():
    hashes = passwords.hashed_alike(["one", "two", "three"])
    assert len(set(hashes)) == 3
    assert [passwords.found_among(hashes, word) for word in ("one", "two", "three", "four")] == [*hashes, None]
    assert passwords.found_among(hashes[1:], "one") is None
    assert passwords.found_among([], "one") is None and passwords.hashed_alike([]) == []
    assert passwords.found_among(passwords.hashed_alike(["one"]), "one") not in hashes, "another salt"


def test_backup_codes_are_many_and_typed_freely():
    codes = totp.new_backup_codes()
    assert len(set(codes)) == 10
    assert all(totp.backup_code(code) == code and len(code) == 9 for code in codes)
    assert totp.backup_code(" " + codes[0].lower().replace("-", " ")) == codes[0]


@pytest.mark.parametrize("text", ["", "123456", "ABCD-EFG", "ABCD-EFGHI", "ABCD-EF01", "ÀBCD-EFGH", "ABCD_EFGH"])
def test_what_is_no_backup_code(text):
    assert totp.backup_code(text) is None


# ---- time steps -----------------------------------------------------------------------------------------------------------------

NOW_MS = 1_800_000_015_000


def code_at(secret: str, steps: int) -> str:
    return pyotp.TOTP(secret).at(NOW_MS // 1000 + 30 * steps)


@pytest.mark.parametrize("steps, accepted", [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(steps, accepted):
    secret = totp.new_secret()
    step = totp.step_of(secret, code_at(secret, steps), NOW_MS)
    assert step == (NOW_MS // 30_000 + steps if accepted else None)


@pytest.mark.parametrize("text", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "12345\n", "-12345", "１２３４５６"])
def test_what_is_no_code(text):
    assert totp.step_of(totp.new_secret(), text, NOW_MS) is None


def test_the_known_answers_of_the_standard():
    """RFC 6238, appendix B, for SHA-1: the last six of eight digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for second, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert totp.step_of(secret, code, second * 1000) == second // 30


def test_the_uri_is_what_apps_read():
    secret = totp.new_secret()
    parsed = pyotp.parse_uri(totp.uri(secret, "anna smith"))
    assert (parsed.secret, parsed.name, parsed.issuer) == (secret, "anna smith", "MaxIOFS")
    assert len(secret) == 32
