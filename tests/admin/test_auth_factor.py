"""Two-factor authentication on the wire: setting up, challenges, codes that work once, backup codes, resets, and who must have it."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from tests.admin.admin_client import Api, unique
from tests.admin.signing_people import PASSWORD, Guarded, code_of, guarded, refused

__all__ = ["guarded"]


class Person:
    """Somebody with a second factor, and the client that set it up."""

    def __init__(self, guarded: Guarded, **fields: object) -> None:
        self.guarded = guarded
        self.name, self.id = guarded.person(**fields)
        self.client = guarded.client().sign_in(self.name, PASSWORD)
        self.secret, self.backup_codes = guarded.with_factor(self.client)

    def challenge(self) -> str:
        document = self.guarded.log_in(self.name).json()
        assert document["requires_2fa"] and document["user"] is None and document["csrf_token"] is None
        return document["challenge"]

    def verify(self, challenge: str, code: str, client: Api | None = None):
        return (client or self.guarded.client()).post("/auth/2fa/verify", {"challenge": challenge, "code": code})


@pytest.fixture
def person(guarded: Guarded) -> Person:
    return Person(guarded)


def wrong_code(secret: str) -> str:
    """Six digits that no step near now has."""
    near = {code_of(secret, steps) for steps in range(-3, 4)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777") if code not in near)


# ---- setting up -----------------------------------------------------------------------------------------------------------------


def test_nothing_is_on_before_a_code_confirms_it(guarded: Guarded):
    client = guarded.signed_in()
    offer = client.ok.post("/auth/2fa/setup", {"password": PASSWORD})
    assert re.fullmatch("[A-Z2-7]{32}", offer["secret"]) and f"secret={offer['secret']}" in offer["uri"]
    assert offer["uri"].startswith("otpauth://totp/MaxIOFS:")
    assert offer["qr_svg"].startswith("<svg") if find_spec("segno") else offer["qr_svg"] == ""
    assert client.ok.get("/auth/2fa") == {"enabled": False, "since_ms": None, "backup_codes_left": 0, "required": False}
    name = client.ok.get("/auth/me")["username"]
    assert not guarded.log_in(name).json()["requires_2fa"]
    refused(client.post("/auth/2fa/enable", {"code": wrong_code(offer["secret"])}), 400, "InvalidFields")
    again = client.ok.post("/auth/2fa/setup", {"password": PASSWORD})
    assert again["secret"] != offer["secret"], "a new offer voids the old one"
    codes = client.ok.post("/auth/2fa/enable", {"code": code_of(again["secret"])})["backup_codes"]
    assert len(set(codes)) == 10 and all(re.fullmatch("[A-Z2-7]{4}-[A-Z2-7]{4}", code) for code in codes)
    status = client.ok.get("/auth/2fa")
    assert status["enabled"] and status["backup_codes_left"] == 10 and abs(status["since_ms"] - time.time() * 1000) < 60_000
    refused(client.post("/auth/2fa/setup", {"password": PASSWORD}), 409, "Conflict")
    refused(client.post("/auth/2fa/enable", {"code": code_of(again["secret"])}), 409, "Conflict")


def test_setting_up_needs_the_password_and_enabling_an_offer(guarded: Guarded):
    client = guarded.signed_in()
    refused(client.post("/auth/2fa/setup", {"password": "wrong"}), 401, "WrongCredentials")
    refused(client.post("/auth/2fa/enable", {"code": "123456"}), 409, "Conflict")


def test_setting_up_ends_sessions_that_began_without_it(guarded: Guarded):
    name, _ = guarded.person()
    other, client = guarded.client().sign_in(name, PASSWORD), guarded.client().sign_in(name, PASSWORD)
    guarded.with_factor(client)
    refused(other.get("/auth/me"), 401, "NotSignedIn")
    assert client.ok.get("/auth/me")["two_factor_enabled"]


def test_root_can_have_one_too(guarded: Guarded):
    client = guarded.client().sign_in(guarded.server.access_key, guarded.server.secret_key)
    cookie = dict(guarded.root.http.cookies)
    secret, codes = guarded.with_factor(client, guarded.server.secret_key)
    try:
        first = guarded.log_in(guarded.server.access_key, guarded.server.secret_key).json()
        assert first["requires_2fa"]
        answer = guarded.client().post("/auth/2fa/verify", {"challenge": first["challenge"], "code": code_of(secret, 1)})
        assert answer.json()["user"]["is_root"] and cookie
    finally:
        assert client.post("/auth/2fa/disable", {"password": guarded.server.secret_key, "code": codes[0]}).status_code == 204
        guarded.root = guarded.client().sign_in(guarded.server.access_key, guarded.server.secret_key)


def test_the_secret_is_sealed_and_codes_are_hashed(guarded: Guarded, person: Person):
    sealed, hashes = guarded.sql("SELECT totp_sealed, backup_hashes FROM login WHERE principal_id = ?", person.id)[0]
    assert person.secret.encode() not in sealed and not any(code in hashes for code in person.backup_codes) and "$argon2id$" in hashes


def test_a_sealed_secret_does_not_open_for_somebody_else(guarded: Guarded, person: Person):
    other = Person(guarded)
    foreign = guarded.sql("SELECT totp_sealed FROM login WHERE principal_id = ?", other.id)[0][0]
    guarded.sql("UPDATE login SET totp_sealed = ? WHERE principal_id = ?", foreign, person.id)
    answer = person.verify(person.challenge(), code_of(other.secret, 1))
    assert answer.status_code >= 400 and "Set-Cookie" not in answer.headers


# ---- the second step ------------------------------------------------------------------------------------------------------------


def test_the_password_alone_gives_no_session(person: Person, guarded: Guarded):
    answer = guarded.log_in(person.name)
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    challenge = answer.json()["challenge"]
    for header in ({"Authorization": f"Bearer {challenge}"}, {"Cookie": f"maxiofs_session={challenge}"}):
        refused(guarded.client().ask("GET", "/auth/me", headers=header), 401, "NotSignedIn")


def test_a_code_finishes_signing_in(person: Person, guarded: Guarded):
    client = guarded.client()
    document = person.verify(person.challenge(), code_of(person.secret, 1), client).json()
    client.csrf = document["csrf_token"]
    assert document["user"]["username"] == person.name and document["user"]["two_factor_enabled"]
    assert client.ok.get("/auth/me")["two_factor_enabled"] and client.post("/auth/logout").status_code == 204


def test_a_code_without_the_password_step_is_nothing(person: Person):
    """Defect 28 of the list: a session from a user id and a code alone."""
    for challenge in ("x", str(person.id), person.name, "A" * 43):
        refused(person.verify(challenge, code_of(person.secret, 1)), 401, "ChallengeExpired")


def test_a_challenge_is_for_one_person(person: Person, guarded: Guarded):
    other = Person(guarded)
    refused(person.verify(other.challenge(), code_of(person.secret, 1)), 401, "WrongCode")


def test_a_code_works_once(person: Person, guarded: Guarded):
    refused(person.verify(person.challenge(), guarded.used_code), 401, "WrongCode")        # the one that enabled it
    code = code_of(person.secret, 1)
    challenge = person.challenge()
    assert person.verify(challenge, code).status_code == 200
    refused(person.verify(challenge, code), 401, "ChallengeExpired")
    refused(person.verify(person.challenge(), code), 401, "WrongCode")


def test_a_code_works_once_even_at_the_same_time(person: Person, guarded: Guarded):
    """Ten sign-ins that all passed the password step send one code together: one of them gets in."""
    with guarded.setting(ratelimit_enabled=False, max_failed_attempts=0):
        challenges = [person.challenge() for _ in range(10)]
        code = code_of(person.secret, 1)
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda challenge: person.verify(challenge, code), challenges))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    assert sum("Set-Cookie" in answer.headers for answer in answers) == 1


def test_a_challenge_has_five_attempts_and_five_minutes(person: Person, guarded: Guarded):
    with guarded.setting(max_failed_attempts=0):
        challenge = person.challenge()
        for _ in range(5):
            refused(person.verify(challenge, wrong_code(person.secret)), 401, "WrongCode")
        refused(person.verify(challenge, code_of(person.secret, 1)), 401, "ChallengeExpired")
        late = person.challenge()
        guarded.sql("UPDATE challenge SET expires_ms = ? WHERE principal_id = ?", int(time.time() * 1000), person.id)
        refused(person.verify(late, code_of(person.secret, 1)), 401, "ChallengeExpired")


def test_wrong_codes_lock_the_account_and_the_right_password_does_not_forgive_them(person: Person, guarded: Guarded):
    with guarded.setting(max_failed_attempts=4, ratelimit_enabled=False):
        for _ in range(4):
            refused(person.verify(person.challenge(), wrong_code(person.secret)), 401, "WrongCode")
        refused(guarded.log_in(person.name), 403, "AccountLocked")
        guarded.root.ok.post(f"/users/{person.id}/unlock")
        assert person.verify(person.challenge(), code_of(person.secret, 1)).status_code == 200


def test_attempts_with_the_right_password_count_until_the_code_is_right(person: Person, guarded: Guarded):
    """Else who knows the password could ask for challenges, and so for codes, without end."""
    with guarded.setting(max_failed_attempts=0):
        if time.time() % 60 > 50:
            time.sleep(60 - time.time() % 60)
        answers = [guarded.log_in(person.name).status_code for _ in range(7)]
        assert answers == [200] * 5 + [429] * 2


def test_what_happens_between_the_steps_counts(person: Person, guarded: Guarded):
    challenge = person.challenge()
    guarded.root.ok.put(f"/users/{person.id}/password", {"password": "Another-horse-2", "must_change": False})
    refused(person.verify(challenge, code_of(person.secret, 1)), 401, "ChallengeExpired")
    challenge = guarded.log_in(person.name, "Another-horse-2").json()["challenge"]
    guarded.root.ok.put(f"/users/{person.id}", {"status": "inactive"})
    refused(person.verify(challenge, code_of(person.secret, 1)), 401, "ChallengeExpired")


@pytest.mark.parametrize("code", ["12345", "abcdef", "1234567", "AAAA-AAAA", "١٢٣٤٥٦", " ", "-", "000000' OR 1=1"])
def test_codes_that_cannot_be(person: Person, code):
    refused(person.verify(person.challenge(), code), 401, "WrongCode")


# ---- backup codes ---------------------------------------------------------------------------------------------------------------


def test_a_backup_code_works_once(person: Person, guarded: Guarded):
    assert person.verify(person.challenge(), person.backup_codes[0]).status_code == 200
    refused(person.verify(person.challenge(), person.backup_codes[0]), 401, "WrongCode")
    assert person.verify(person.challenge(), person.backup_codes[1].lower().replace("-", "")).status_code == 200
    assert person.client.ok.get("/auth/2fa")["backup_codes_left"] == 8


def test_a_backup_code_works_once_even_at_the_same_time(person: Person, guarded: Guarded):
    with guarded.setting(ratelimit_enabled=False, max_failed_attempts=0):
        challenges = [person.challenge() for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda challenge: person.verify(challenge, person.backup_codes[5]).status_code, challenges))
    assert sorted(answers) == [200] + [401] * 5


def test_new_backup_codes_void_the_old(person: Person, guarded: Guarded):
    refused(person.client.post("/auth/2fa/backup-codes", {"password": "wrong", "code": code_of(person.secret, 1)}), 401, "WrongCredentials")
    refused(person.client.post("/auth/2fa/backup-codes", {"password": PASSWORD, "code": wrong_code(person.secret)}), 401, "WrongCode")
    new = person.client.ok.post("/auth/2fa/backup-codes", {"password": PASSWORD, "code": code_of(person.secret, 1)})["backup_codes"]
    assert not set(new) & set(person.backup_codes)
    refused(person.verify(person.challenge(), person.backup_codes[0]), 401, "WrongCode")
    assert person.verify(person.challenge(), new[0]).status_code == 200


# ---- switching off --------------------------------------------------------------------------------------------------------------


def test_switching_off_needs_both(person: Person, guarded: Guarded):
    off = "/auth/2fa/disable"
    refused(person.client.post(off, {"password": "wrong", "code": code_of(person.secret, 1)}), 401, "WrongCredentials")
    refused(person.client.post(off, {"password": PASSWORD, "code": wrong_code(person.secret)}), 401, "WrongCode")
    assert person.client.post(off, {"password": PASSWORD, "code": code_of(person.secret, 1)}).status_code == 204
    assert not guarded.log_in(person.name).json()["requires_2fa"]
    refused(person.client.post(off, {"password": PASSWORD, "code": "123456"}), 409, "Conflict")


def test_an_administrator_resets_it(person: Person, guarded: Guarded):
    refused(guarded.signed_in().delete(f"/users/{person.id}/2fa"), 403, "AccessDenied")
    refused(person.client.delete(f"/users/{person.id}/2fa"), 403, "AccessDenied")
    assert guarded.root.delete(f"/users/{person.id}/2fa").status_code == 204
    refused(person.client.get("/auth/me"), 401, "NotSignedIn")
    assert not guarded.log_in(person.name).json()["requires_2fa"]
    refused(guarded.root.delete(f"/users/{person.id}/2fa"), 409, "Conflict")
    refused(guarded.root.delete("/users/999999/2fa"), 404, "NotFound")


def test_an_administrator_does_not_reset_their_own(guarded: Guarded):
    admin = Person(guarded, policies=["administrator"])
    refused(admin.client.delete(f"/users/{admin.id}/2fa"), 409, "Conflict")


# ---- who must have it -----------------------------------------------------------------------------------------------------------


def test_administrators_must_have_it_where_the_setting_says_so(guarded: Guarded):
    tenant = guarded.root.ok.post("/tenants", {"name": unique("t")})["id"]
    plain = guarded.signed_in(policies=["readwrite"])
    admins = [guarded.signed_in(policies=["administrator"]), guarded.signed_in(tenant_id=tenant, policies=["tenant-admin"])]
    tokens = [admin.ok.post("/auth/tokens", {"name": "x"})["token"] for admin in admins]
    secured = Person(guarded, policies=["administrator"])
    values = {"security.require_2fa_admin": True}
    secured.client.ok.put("/settings/security.require_2fa_admin", {"value": values["security.require_2fa_admin"]})
    try:
        assert plain.get("/auth/sessions").status_code == 200 and secured.client.get("/users").status_code == 200
        refused(guarded.root.get("/users"), 403, "TwoFactorRequired")
        for admin, token in zip(admins, tokens, strict=True):
            refused(admin.get("/users"), 403, "TwoFactorRequired")
            refused(guarded.client(Authorization=f"Bearer {token}").get("/users"), 403, "TwoFactorRequired")
            me = admin.ok.get("/auth/me")
            assert me["must_set_up_2fa"] and guarded.log_in(me["username"]).json()["user"]["must_set_up_2fa"]
            assert admin.ok.get("/auth/2fa")["required"]
            guarded.with_factor(admin)
            assert admin.get("/users").status_code == 200
    finally:
        secured.client.ok.put("/settings/security.require_2fa_admin", {"value": False})


def test_the_second_factor_is_audited(person: Person, guarded: Guarded):
    person.verify(person.challenge(), wrong_code(person.secret))
    person.verify(person.challenge(), code_of(person.secret, 1))
    deadline = time.monotonic() + 5
    wanted = {"2fa_enabled", "2fa_verify_failed", "2fa_verify_success"}
    while True:
        events = [event for event in guarded.root.ok.get("/audit-logs", limit=200)["items"] if event["resource_name"] == person.name]
        kinds = {event["event_type"] for event in events}
        if wanted <= kinds or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert wanted <= kinds, kinds
    assert person.secret not in str(events) and not any(code in str(events) for code in person.backup_codes)
