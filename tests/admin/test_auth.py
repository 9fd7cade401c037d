"""Signing in and sessions on the wire: equal answers, lockout, rates, cookies, CSRF, fixation, limits of time, passwords, tokens."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.admin.admin_client import Api, unique
from tests.admin.signing_people import PASSWORD, Guarded, guarded, refused
from tests.running import RunningServer

__all__ = ["guarded"]
COOKIE = "maxiofs_session"
NEW = "Another-horse-2"


# ---- the password step ----------------------------------------------------------------------------------------------------------


def test_signing_in_gives_a_session_and_says_who_one_is(guarded: Guarded):
    name, id = guarded.person(display_name="Anna", email=f"{unique()}@example.com")
    answer = guarded.log_in(name)
    document = answer.json()
    assert answer.status_code == 200 and not document["requires_2fa"] and document["challenge"] is None
    user = document["user"]
    assert (user["username"], user["id"], user["display_name"], user["is_root"], user["tenant_id"]) == (name, id, "Anna", False, 0)
    assert not user["must_change_password"] and not user["two_factor_enabled"] and user["csrf_token"] == document["csrf_token"]
    assert PASSWORD not in answer.text and answer.cookies[COOKIE] not in answer.text


def test_roots_keys_open_the_console_and_nobody_elses(guarded: Guarded):
    assert guarded.root.ok.get("/auth/me")["is_root"]
    made = guarded.root.ok.post("/users", {"username": unique("k"), "access_key": {}, "policies": ["administrator"]})
    key = made["access_key"]
    refused(guarded.log_in(key["access_key"], key["secret_key"]), 401, "WrongCredentials")
    refused(guarded.log_in(guarded.server.access_key, "wrong-secret"), 401, "WrongCredentials")


def test_a_name_may_be_typed_in_another_spelling(guarded: Guarded):
    name, _ = guarded.person(username="caf\u00e9 " + unique())
    assert guarded.log_in(name.replace("\u00e9", "e\u0301")).status_code == 200


def test_unknown_disabled_and_wrong_get_one_answer(guarded: Guarded):
    name, _ = guarded.person()
    disabled, _ = guarded.person(status="inactive")
    without, _ = guarded.person(password=None)
    answers = [guarded.log_in(name, "wrong"), guarded.log_in(unique(), "wrong"), guarded.log_in(disabled), guarded.log_in(without, "wrong"),
               guarded.log_in("x" * 256, "y" * 1024), guarded.log_in("' OR 1=1 --", "' OR 1=1 --")]
    documents = [refused(answer, 401, "WrongCredentials") for answer in answers]
    assert len({(document["message"], str(document["fields"])) for document in documents}) == 1
    assert not any("Set-Cookie" in answer.headers for answer in answers)
    assert len({tuple(sorted(set(answer.headers) - {"Date"})) for answer in answers}) == 1


def test_unknown_disabled_and_wrong_take_the_same_time(guarded: Guarded):
    """Many of each in turns, and their medians: what slows the machine down slows all three."""
    taken: dict[str, list[float]] = {"wrong": [], "unknown": [], "disabled": []}
    with guarded.setting(ratelimit_enabled=False, max_failed_attempts=0):
        name, disabled = guarded.person()[0], guarded.person(status="inactive")[0]
        client = guarded.client()
        for number in range(15):
            for kind, who in (("wrong", name), ("unknown", unique()), ("disabled", disabled)):
                password = PASSWORD if kind == "disabled" else "wrong"
                started = time.perf_counter()
                refused(client.post("/auth/login", {"username": who, "password": password}), 401, "WrongCredentials")
                if number:
                    taken[kind].append(time.perf_counter() - started)
    medians = {kind: statistics.median(times) for kind, times in taken.items()}
    spread = max(statistics.quantiles(times, n=4)[2] - statistics.quantiles(times, n=4)[0] for times in taken.values())
    assert max(medians.values()) - min(medians.values()) < max(0.012, spread), medians
    assert min(min(times) for times in taken.values()) > 0.02, "no hash was made at all"


@pytest.mark.parametrize("body", [
    {}, {"username": "x"}, {"username": "", "password": "x"}, {"username": "x", "password": 1}, {"username": "x", "password": None},
    {"username": "x" * 257, "password": "x"}, {"username": "x", "password": "x" * 1025}, {"username": ["x"], "password": "x"},
    {"username": "a\0b", "password": "x"}, {"username": "\ud800", "password": "x"}, {"username": "x", "password": "y", "role": "admin"},
])
def test_bodies_that_cannot_be(guarded: Guarded, body):
    refused(guarded.client().post("/auth/login", body), 400, "InvalidFields")


def test_a_form_cannot_sign_anybody_in(guarded: Guarded):
    """A page of another site can send forms and plain text without asking; JSON it cannot."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = guarded.client().ask("POST", "/auth/login", b'{"username": "x", "password": "y"}', headers={"Content-Type": kind})
        refused(answer, 415, "UnsupportedMediaType")
    name, _ = guarded.person()
    for site in ("cross-site", "same-site", "nonsense"):
        client = guarded.client(**{"Sec-Fetch-Site": site})
        refused(client.post("/auth/login", {"username": name, "password": PASSWORD}), 403, "ForeignOrigin")
    assert guarded.client(**{"Sec-Fetch-Site": "same-origin"}).sign_in(name, PASSWORD).get("/auth/me").status_code == 200


# ---- lockout --------------------------------------------------------------------------------------------------------------------


def test_failures_lock_an_account_for_a_while_and_unknown_names_alike(guarded: Guarded):
    known, nobody = guarded.person()[0], unique()
    with guarded.setting(max_failed_attempts=3, lockout_duration=600, ratelimit_enabled=False):
        for name in (known, nobody):
            for _ in range(3):
                refused(guarded.log_in(name, "wrong"), 401, "WrongCredentials")
        locked = [refused(guarded.log_in(name), 403, "AccountLocked") for name in (known, nobody)]
        assert locked[0]["message"] == locked[1]["message"] and locked[0]["fields"].keys() == locked[1]["fields"].keys()
        for one in locked:
            assert abs(int(one["fields"]["locked_until_ms"]) - time.time() * 1000 - 600_000) < 60_000


def test_a_lock_ends_by_itself_and_by_an_administrator(guarded: Guarded):
    name, id = guarded.person()
    with guarded.setting(max_failed_attempts=2, lockout_duration=1):
        for _ in range(2):
            guarded.log_in(name, "wrong")
        refused(guarded.log_in(name), 403, "AccountLocked")
        time.sleep(1.1)
        assert guarded.log_in(name).status_code == 200
    with guarded.setting(max_failed_attempts=2):
        for _ in range(2):
            guarded.log_in(name, "wrong")
        assert guarded.root.ok.get(f"/users/{id}")["locked_until_ms"]
        assert guarded.root.post(f"/users/{id}/unlock").status_code == 204
        assert guarded.log_in(name).status_code == 200


def test_success_starts_the_count_anew(guarded: Guarded):
    name, _ = guarded.person()
    with guarded.setting(ratelimit_enabled=False):
        for _ in range(3):
            for _ in range(4):
                refused(guarded.log_in(name, "wrong"), 401, "WrongCredentials")
            assert guarded.log_in(name).status_code == 200


def test_a_burst_of_guesses_does_not_outrun_the_lock(guarded: Guarded):
    name, _ = guarded.person()
    with guarded.setting(ratelimit_enabled=False), ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: guarded.log_in(name, "wrong").status_code, range(20)))
    assert sorted(set(statuses)) == [401, 403] and statuses.count(401) == 5


# ---- rates ----------------------------------------------------------------------------------------------------------------------


def statuses(guarded: Guarded, attempts: list[tuple[str, str]]) -> list[int]:
    wait = 60 - time.time() % 60
    if wait < 5:
        time.sleep(wait + 0.1)      # all of them in one window
    return [guarded.log_in(name, "wrong", address).status_code for name, address in attempts]


def test_an_address_has_few_attempts_a_minute(guarded: Guarded):
    with guarded.setting(max_failed_attempts=0):
        assert statuses(guarded, [(unique(), "203.0.113.1")] * 7) == [401] * 5 + [429] * 2
        answer = guarded.log_in(unique(), "wrong", "203.0.113.1")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60 and refused(answer, 429, "TooManyRequests")
        assert guarded.log_in(unique(), "wrong", "203.0.113.2").status_code == 401, "another address"
        with guarded.setting(ratelimit_login_per_minute=7):
            assert guarded.log_in(unique(), "wrong", "203.0.113.1").status_code == 401, "the setting binds at once"
        with guarded.setting(ratelimit_enabled=False):
            assert guarded.log_in(unique(), "wrong", "203.0.113.1").status_code == 401


def test_an_account_has_few_attempts_a_minute_from_wherever(guarded: Guarded):
    for name in (guarded.person()[0], unique()):
        with guarded.setting(max_failed_attempts=0):
            assert statuses(guarded, [(name, f"203.0.113.{number + 10}") for number in range(7)]) == [401] * 5 + [429] * 2


def test_an_ipv6_network_is_one_address(guarded: Guarded):
    with guarded.setting(max_failed_attempts=0):
        assert statuses(guarded, [(unique(), f"2001:db8:1:2::{number}") for number in range(6)]) == [401] * 5 + [429]


def test_who_is_right_is_not_slowed_down(guarded: Guarded):
    name, _ = guarded.person()
    assert {guarded.log_in(name, address="203.0.113.77").status_code for _ in range(8)} == {200}


def test_only_a_trusted_proxy_names_the_address(server: RunningServer):
    """Here nobody is trusted: what X-Forwarded-For says does not make a new address, nor does it show."""
    client = Api(server)
    client.http.headers["X-Forwarded-For"] = "203.0.113.200"
    client.sign_in(server.access_key, server.secret_key)
    assert [one["address"] for one in client.ok.get("/auth/sessions", limit=1000)["items"] if one["current"]] == ["127.0.0.1"]


def test_requests_of_one_user_in_a_second_are_limited(guarded: Guarded):
    one, other = guarded.signed_in(), guarded.signed_in()
    one.patient = False
    with guarded.setting(ratelimit_api_per_second=2):
        answers = one.at_once("/auth/me", 12)
        assert {answer.status_code for answer in answers} == {200, 429}
        refusal = next(answer for answer in answers if answer.status_code == 429)
        assert refusal.headers["Retry-After"] == "1" and refused(refusal, 429, "TooManyRequests")
        assert other.get("/auth/me").status_code == 200
        time.sleep(1.1)
    assert {one.get("/auth/me").status_code for _ in range(12)} == {200}


# ---- cookies, CSRF, fixation ----------------------------------------------------------------------------------------------------


def flags(answer) -> set[str]:
    return {part.strip() for part in answer.headers["Set-Cookie"].split(";")[1:]}


def test_the_cookie_is_kept_from_scripts_and_other_sites(guarded: Guarded):
    name, _ = guarded.person()
    assert flags(guarded.log_in(name)) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    secure = guarded.client(**{"X-Forwarded-Proto": "https"}).post("/auth/login", {"username": name, "password": PASSWORD})
    assert flags(secure) == {"Path=/", "HttpOnly", "SameSite=Strict", "Secure"}
    assert secure.headers["Set-Cookie"].startswith("__Host-maxiofs_session=")


def test_a_cookie_without_the_host_prefix_is_nobodys_under_https(guarded: Guarded):
    """A sub-domain, or a page on http, could plant it."""
    token = guarded.log_in(guarded.person()[0]).cookies[COOKIE]
    client = guarded.client(Cookie=f"{COOKIE}={token}")
    assert client.get("/auth/me").status_code == 200
    client.http.headers["X-Forwarded-Proto"] = "https"
    refused(client.get("/auth/me"), 401, "NotSignedIn")
    client.http.headers["Cookie"] = f"__Host-{COOKIE}={token}"
    assert client.get("/auth/me").status_code == 200


def test_changes_need_the_csrf_token(guarded: Guarded):
    client, other = guarded.signed_in(), guarded.signed_in()
    right = client.csrf
    for wrong in ("", "x", other.csrf, right + "x", right[:-1], "é"):
        client.csrf = ""
        headers = {"X-CSRF-Token": wrong} if wrong else {}
        refused(client.ask("POST", "/auth/tokens", {"name": "x"}, headers=headers), 403, "CsrfTokenRequired")
        refused(client.ask("DELETE", "/auth/sessions", headers=headers), 403, "CsrfTokenRequired")
        refused(client.ask("POST", "/auth/logout", headers=headers), 403, "CsrfTokenRequired")
    assert client.get("/auth/me").status_code == 200, "reading needs none"
    client.csrf = right
    client.http.headers["Sec-Fetch-Site"] = "cross-site"
    refused(client.post("/auth/tokens", {"name": "x"}), 403, "ForeignOrigin")
    client.http.headers["Sec-Fetch-Site"] = "same-origin"
    assert client.post("/auth/tokens", {"name": "x"}).status_code == 201


def test_no_declared_change_works_without_the_csrf_token(guarded: Guarded):
    from shared.auth.engine import ANYONE
    from shared.registry import load

    client = guarded.client()
    client.sign_in(guarded.server.access_key, guarded.server.secret_key).csrf = ""
    lines = [one.line.split(" ") for one in load(("admin.*",)).values() if one.allow != (ANYONE,) and not one.line.startswith("GET ")]
    assert len(lines) > 20
    for method, path in lines:
        concrete = "/".join("1" if part.startswith("{") else part for part in path.split("/"))
        assert client.ask(method, concrete, b"{}").json()["code"] in ("CsrfTokenRequired", "TooManyRequests"), (method, path)


def test_a_page_that_was_loaded_anew_finds_its_csrf_token(guarded: Guarded):
    client = guarded.signed_in()
    assert client.ok.get("/auth/me")["csrf_token"] == client.csrf


def test_signing_in_never_continues_a_session(guarded: Guarded):
    """Fixation: whatever token the browser had before, it has a new one after, and the old one is void."""
    name, _ = guarded.person()
    client = guarded.client()
    client.http.headers["Cookie"] = f"{COOKIE}=chosen-by-somebody-else"
    made = client.post("/auth/login", {"username": name, "password": PASSWORD}).cookies[COOKIE]
    assert made != "chosen-by-somebody-else" and len(made) >= 43
    assert guarded.client(Cookie=f"{COOKIE}=chosen-by-somebody-else").get("/auth/me").status_code == 401
    client.http.headers["Cookie"] = f"{COOKIE}={made}"
    again = client.post("/auth/login", {"username": name, "password": PASSWORD}).cookies[COOKIE]
    assert again != made and guarded.client(Cookie=f"{COOKIE}={made}").get("/auth/me").status_code == 401
    assert guarded.client(Cookie=f"{COOKIE}={again}").get("/auth/me").status_code == 200


def test_of_two_cookies_neither_counts(guarded: Guarded):
    token = guarded.log_in(guarded.person()[0]).cookies[COOKIE]
    assert guarded.client(Cookie=f"a=b; {COOKIE}={token}; c=d").get("/auth/me").status_code == 200
    refused(guarded.client(Cookie=f"{COOKIE}=planted; {COOKIE}={token}").get("/auth/me"), 401, "NotSignedIn")


@pytest.mark.parametrize("header", ["Bearer ", "Bearer x", "bearer \u00e9", "Bearer a b", "Basic eDp5", "x" * 5000])
def test_credentials_that_are_none(guarded: Guarded, header):
    refused(guarded.client().ask("GET", "/auth/me", headers={"Authorization": header}), 401, "NotSignedIn")


def test_the_s3_listener_knows_no_cookies(guarded: Guarded):
    import requests

    token = guarded.root.http.cookies[COOKIE]
    answer = requests.get(guarded.server.url + "/", headers={"Cookie": f"{COOKIE}={token}"}, timeout=30)
    assert answer.status_code == 403 and "Set-Cookie" not in answer.headers


# ---- how long sessions last -----------------------------------------------------------------------------------------------------


def test_logging_out_ends_the_session_on_the_server(guarded: Guarded):
    client = guarded.signed_in()
    token = client.http.cookies[COOKIE]
    answer = client.post("/auth/logout")
    assert answer.status_code == 204 and "Max-Age=0" in answer.headers["Set-Cookie"]
    refused(guarded.client(Cookie=f"{COOKIE}={token}").get("/auth/me"), 401, "NotSignedIn")


def test_only_digests_are_in_the_database(guarded: Guarded):
    client = guarded.signed_in()
    bearer = client.ok.post("/auth/tokens", {"name": "x"})["token"]
    guarded.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    everything = b"".join(path.read_bytes() for path in guarded.server.data_dir.glob("*.db*"))
    for secret in (client.http.cookies[COOKIE], client.csrf, bearer, bearer.removeprefix("maxiofs_"), PASSWORD):
        assert secret.encode() not in everything
    assert b"$argon2id$" in everything


def test_an_idle_session_ends_and_use_keeps_it(guarded: Guarded):
    idle, used = guarded.signed_in(), guarded.signed_in()
    ids = [client.ok.get("/auth/me")["session_id"] for client in (idle, used)]
    before = guarded.sql("SELECT seen_ms FROM session WHERE public_id = ?", ids[1])[0][0]
    guarded.sql("UPDATE session SET seen_ms = seen_ms - 1790000 WHERE public_id = ?", ids[1])
    assert used.get("/auth/me").status_code == 200
    assert guarded.sql("SELECT seen_ms FROM session WHERE public_id = ?", ids[1])[0][0] >= before, "and that was noted"
    guarded.sql("UPDATE session SET seen_ms = seen_ms - 1800000 WHERE public_id = ?", ids[0])
    refused(idle.get("/auth/me"), 401, "NotSignedIn")
    with guarded.setting(session_idle_timeout=3600):
        assert idle.get("/auth/me").status_code == 200, "the setting binds at once"


def test_a_session_ends_however_much_it_is_used(guarded: Guarded):
    client = guarded.signed_in()
    id = client.ok.get("/auth/me")["session_id"]
    guarded.sql("UPDATE session SET created_ms = created_ms - 3600000 WHERE public_id = ?", id)
    assert client.get("/auth/me").status_code == 200
    with guarded.setting(session_timeout=3600):
        refused(client.get("/auth/me"), 401, "NotSignedIn")
    guarded.sql("UPDATE session SET expires_ms = ? WHERE public_id = ?", int(time.time() * 1000), id)
    refused(client.get("/auth/me"), 401, "NotSignedIn")


def test_a_clock_that_went_back_a_little_ends_no_session(guarded: Guarded):
    client = guarded.signed_in()
    id = client.ok.get("/auth/me")["session_id"]
    guarded.sql("UPDATE session SET seen_ms = seen_ms + 600000, created_ms = created_ms + 600000 WHERE public_id = ?", id)
    assert client.get("/auth/me").status_code == 200
    guarded.sql("UPDATE session SET seen_ms = seen_ms + 86400000 WHERE public_id = ?", id)
    refused(client.get("/auth/me"), 401, "NotSignedIn")


@pytest.mark.parametrize("change", ["disable", "delete"])
def test_who_is_disabled_or_gone_is_out_at_once(guarded: Guarded, change):
    name, id = guarded.person()
    client = guarded.client().sign_in(name, PASSWORD)
    token = client.ok.post("/auth/tokens", {"name": "x"})["token"]
    if change == "disable":
        guarded.root.ok.put(f"/users/{id}", {"status": "inactive"})
    else:
        guarded.root.ok.delete(f"/users/{id}")
    refused(client.get("/auth/me"), 401, "NotSignedIn")
    refused(guarded.client().ask("GET", "/auth/me", headers={"Authorization": f"Bearer {token}"}), 401, "NotSignedIn")
    refused(guarded.log_in(name), 401, "WrongCredentials")
    if change == "disable":
        guarded.root.ok.put(f"/users/{id}", {"status": "active"})
        refused(client.get("/auth/me"), 401, "NotSignedIn")


# ---- listing and revoking -------------------------------------------------------------------------------------------------------


def test_one_sees_and_ends_ones_own_sessions_only(guarded: Guarded):
    name, _ = guarded.person()
    one, two = guarded.client("203.0.113.9").sign_in(name, PASSWORD), guarded.client().sign_in(name, PASSWORD)
    stranger = guarded.signed_in()
    listed = one.ok.get("/auth/sessions")["items"]
    assert len(listed) == 2 and [row["username"] for row in listed] == [name, name]
    mine = next(row for row in listed if row["current"])
    other = next(row for row in listed if not row["current"])
    assert mine["address"] == "203.0.113.9" and mine["agent"].startswith("python-requests") and mine["kind"] == "cookie"
    first = one.ok.get("/auth/sessions", limit=1)
    assert len(first["items"]) == 1 and len(one.ok.get("/auth/sessions", limit=1, cursor=first["next_cursor"])["items"]) == 1
    refused(stranger.delete(f"/auth/sessions/{other['id']}"), 404, "NotFound")
    assert two.get("/auth/me").status_code == 200
    assert one.delete(f"/auth/sessions/{other['id']}").status_code == 204 and two.get("/auth/me").status_code == 401
    refused(one.delete(f"/auth/sessions/{other['id']}"), 404, "NotFound")
    guarded.client().sign_in(name, PASSWORD)
    assert one.ok.delete("/auth/sessions") == {"revoked": 1} and one.get("/auth/me").status_code == 200


def test_administrators_end_sessions_of_others(guarded: Guarded):
    name, id = guarded.person()
    client, plain = guarded.client().sign_in(name, PASSWORD), guarded.signed_in()
    listed = guarded.root.ok.get("/sessions", user=id)["items"]
    assert [row["username"] for row in listed] == [name]
    assert listed[0]["id"] in {row["id"] for row in guarded.root.ok.get("/sessions", limit=1000)["items"]}
    for answer in (plain.get("/sessions"), plain.delete(f"/sessions/{listed[0]['id']}"), plain.delete(f"/users/{id}/sessions")):
        refused(answer, 403, "AccessDenied")
    assert guarded.root.delete(f"/sessions/{listed[0]['id']}").status_code == 204
    refused(client.get("/auth/me"), 401, "NotSignedIn")
    refused(guarded.root.delete(f"/sessions/{listed[0]['id']}"), 404, "NotFound")
    guarded.client().sign_in(name, PASSWORD)
    assert guarded.root.ok.delete(f"/users/{id}/sessions") == {"revoked": 1}
    refused(guarded.root.delete("/users/999999/sessions"), 404, "NotFound")


def test_a_tenants_administrator_reaches_sessions_of_that_tenant_only(guarded: Guarded):
    tenants = [guarded.root.ok.post("/tenants", {"name": unique("t")})["id"] for _ in range(2)]
    admin = guarded.signed_in(tenant_id=tenants[0], policies=["tenant-admin"])
    mates, strangers = guarded.person(tenant_id=tenants[0]), guarded.person(tenant_id=tenants[1])
    for name, _ in (mates, strangers):
        guarded.client().sign_in(name, PASSWORD)
    shown = {row["username"] for row in admin.ok.get("/sessions", limit=1000)["items"]}
    assert mates[0] in shown and strangers[0] not in shown and "root" not in shown
    session = guarded.root.ok.get("/sessions", user=strangers[1])["items"][0]["id"]
    roots = guarded.root.ok.get("/auth/me")
    for answer in (
        admin.get("/sessions", user=strangers[1]), admin.delete(f"/sessions/{session}"), admin.delete(f"/users/{strangers[1]}/sessions"),
        admin.delete(f"/sessions/{roots['session_id']}"), admin.delete(f"/users/{roots['id']}/sessions"),
        admin.put(f"/users/{strangers[1]}/password", {"password": NEW}), admin.put(f"/users/{roots['id']}/password", {"password": NEW}),
        admin.post(f"/users/{strangers[1]}/unlock"), admin.delete(f"/users/{strangers[1]}/2fa"),
    ):
        refused(answer, 404, "NotFound")
    assert admin.ok.delete(f"/users/{mates[1]}/sessions") == {"revoked": 1}


# ---- tokens ---------------------------------------------------------------------------------------------------------------------


def bearer(guarded: Guarded, token: str) -> Api:
    return guarded.client(Authorization=f"Bearer {token}")


def test_a_token_does_what_its_owner_may(guarded: Guarded):
    client = guarded.client().sign_in(guarded.server.access_key, guarded.server.secret_key)
    made = client.ok.post("/auth/tokens", {"name": "backup", "expires_in_s": 3600})
    assert abs(made["expires_ms"] - time.time() * 1000 - 3_600_000) < 60_000
    script = bearer(guarded, made["token"])
    me = script.ok.get("/auth/me")
    assert me["csrf_token"] is None and me["session_id"] == made["id"]
    name = script.ok.post("/users", {"username": unique("s")})["username"]
    assert name, "without a CSRF token"
    assert next(row for row in client.ok.get("/auth/sessions")["items"] if row["id"] == made["id"])["name"] == "backup"
    guarded.sql("UPDATE session SET expires_ms = ? WHERE public_id = ?", int(time.time() * 1000), made["id"])
    refused(script.get("/auth/me"), 401, "NotSignedIn")


def test_a_token_cannot_touch_what_a_person_signs_in_with(guarded: Guarded):
    client = guarded.signed_in()
    script = bearer(guarded, client.ok.post("/auth/tokens", {"name": "x"})["token"])
    for path, body in (
        ("/auth/tokens", {"name": "y"}), ("/auth/password", {"current_password": PASSWORD, "new_password": NEW}),
        ("/auth/2fa/setup", {"password": PASSWORD}), ("/auth/2fa/enable", {"code": "000000"}),
        ("/auth/2fa/disable", {"password": PASSWORD, "code": "000000"}),
        ("/auth/2fa/backup-codes", {"password": PASSWORD, "code": "000000"}),
    ):
        refused(script.post(path, body), 403, "CookieSessionRequired")
    assert script.post("/auth/logout").status_code == 204
    refused(script.get("/auth/me"), 401, "NotSignedIn")
    assert client.get("/auth/me").status_code == 200


def test_a_cookies_token_is_no_bearer_token_nor_the_other_way_round(guarded: Guarded):
    client = guarded.signed_in()
    token = client.ok.post("/auth/tokens", {"name": "x"})["token"]
    refused(bearer(guarded, client.http.cookies[COOKIE]).get("/auth/me"), 401, "NotSignedIn")
    refused(guarded.client(Cookie=f"{COOKIE}={token}").get("/auth/me"), 401, "NotSignedIn")
    client.http.headers["Authorization"] = "Bearer nonsense"
    refused(client.get("/auth/me"), 401, "NotSignedIn")


@pytest.mark.parametrize("body", [
    {}, {"name": ""}, {"name": "x" * 101}, {"name": "x", "expires_in_s": 0}, {"name": "x", "expires_in_s": 10**9},
    {"name": "x", "expires_in_s": "60"},
])
def test_tokens_that_cannot_be(guarded: Guarded, body):
    refused(guarded.root.post("/auth/tokens", body), 400, "InvalidFields")


# ---- passwords ------------------------------------------------------------------------------------------------------------------


def test_changing_a_password_ends_every_other_session_and_token(guarded: Guarded):
    name, _ = guarded.person()
    client, other = guarded.client().sign_in(name, PASSWORD), guarded.client().sign_in(name, PASSWORD)
    script = bearer(guarded, client.ok.post("/auth/tokens", {"name": "x"})["token"])
    old = client.http.cookies[COOKIE]
    answer = client.ok.post("/auth/password", {"current_password": PASSWORD, "new_password": NEW})
    for gone in (other, script, guarded.client(Cookie=f"{COOKIE}={old}")):
        refused(gone.get("/auth/me"), 401, "NotSignedIn")
    client.csrf = answer["csrf_token"]
    assert client.ok.get("/auth/me")["csrf_token"] == client.csrf and client.http.cookies[COOKIE] != old
    refused(guarded.log_in(name), 401, "WrongCredentials")
    assert guarded.log_in(name, NEW).status_code == 200


def test_changing_a_password_needs_the_old_one_and_guesses_count(guarded: Guarded):
    client = guarded.signed_in()
    with guarded.setting(max_failed_attempts=3, ratelimit_enabled=False):
        for _ in range(3):
            refused(client.post("/auth/password", {"current_password": "wrong", "new_password": NEW}), 401, "WrongCredentials")
        refused(client.post("/auth/password", {"current_password": PASSWORD, "new_password": NEW}), 403, "AccountLocked")
        refused(client.post("/auth/2fa/setup", {"password": PASSWORD}), 403, "AccountLocked")
    assert client.get("/auth/me").status_code == 200


@pytest.mark.parametrize("setting, password, problem", [
    ({}, "Short1", "at least 8"), ({"password_min_length": 12}, "Elevenchar1", "at least 12"), ({}, "no-upper-case-1", "upper-case"),
    ({}, "No-digit-here", "digit"), ({"password_require_special": True}, "NothingSpecial1", "neither letter nor digit"),
])
def test_a_weak_password_is_refused(guarded: Guarded, setting, password, problem):
    client = guarded.signed_in()
    with guarded.setting(**setting):
        answer = client.post("/auth/password", {"current_password": PASSWORD, "new_password": password})
        assert problem in refused(answer, 400, "InvalidFields")["fields"]["new_password"] and password not in answer.text
    with guarded.setting(password_require_uppercase=False, password_require_numbers=False):
        assert client.post("/auth/password", {"current_password": PASSWORD, "new_password": "all small letters"}).status_code == 200


def test_the_last_five_passwords_cannot_come_again(guarded: Guarded):
    client = guarded.signed_in()
    current = PASSWORD
    with guarded.setting(ratelimit_enabled=False):
        def change(new: str):
            return client.post("/auth/password", {"current_password": current, "new_password": new})

        assert "last passwords" in refused(change(PASSWORD), 400, "InvalidFields")["fields"]["new_password"]
        for number in range(4):
            client.csrf = change(f"Number-{number}").json()["csrf_token"]
            current = f"Number-{number}"
            refused(change(PASSWORD), 400, "InvalidFields")
        client.csrf = change("Number-4").json()["csrf_token"]
        current = "Number-4"
        assert change(PASSWORD).status_code == 200, "the sixth may"


def test_who_must_change_the_password_can_do_nothing_else(guarded: Guarded):
    name, _ = guarded.person(must_change_password=True, policies=["administrator"])
    client = guarded.client().sign_in(name, PASSWORD)
    assert client.ok.get("/auth/me")["must_change_password"]
    for answer in (client.get("/users"), client.get("/auth/sessions"), client.post("/auth/tokens", {"name": "x"}),
                   client.post("/auth/2fa/setup", {"password": PASSWORD}), client.get("/settings")):
        refused(answer, 403, "PasswordChangeRequired")
    client.csrf = client.ok.post("/auth/password", {"current_password": PASSWORD, "new_password": NEW})["csrf_token"]
    assert client.get("/users").status_code == 200 and not client.ok.get("/auth/me")["must_change_password"]


def test_an_administrator_gives_a_password_that_must_be_changed(guarded: Guarded):
    name, id = guarded.person()
    client = guarded.client().sign_in(name, PASSWORD)
    refused(guarded.root.put(f"/users/{id}/password", {"password": "weak"}), 400, "InvalidFields")
    assert guarded.root.put(f"/users/{id}/password", {"password": NEW}).status_code == 204
    refused(client.get("/auth/me"), 401, "NotSignedIn")
    assert guarded.log_in(name, NEW).json()["user"]["must_change_password"]
    refused(guarded.signed_in().put(f"/users/{id}/password", {"password": NEW}), 403, "AccessDenied")
    refused(guarded.root.put(f"/users/{guarded.root.ok.get('/auth/me')['id']}/password", {"password": NEW}), 409, "Conflict")


# ---- what is told of it ---------------------------------------------------------------------------------------------------------


def test_signing_in_is_audited_and_passwords_are_not(guarded: Guarded):
    name, id = guarded.person()
    with guarded.setting(max_failed_attempts=2):
        guarded.log_in(name, "Guess-secret-1")
        guarded.log_in(name, "Guess-secret-2")
    guarded.root.ok.post(f"/users/{id}/unlock")
    client = guarded.client("203.0.113.44").sign_in(name, PASSWORD)
    client.ok.post("/auth/logout")
    deadline = time.monotonic() + 5
    while True:
        events = [event for event in guarded.root.ok.get("/audit-logs", limit=200)["items"] if event["resource_name"] == name]
        kinds = {event["event_type"] for event in events}
        wanted = {"login_failed", "user_blocked", "user_unblocked", "login_success", "logout"}
        if wanted <= kinds or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert wanted <= kinds, kinds
    success = next(event for event in events if event["event_type"] == "login_success")
    assert (success["username"], success["address"], success["status"], success["action"]) == (name, "203.0.113.44", "success", "login")
    assert "Guess-secret" not in str(events) and PASSWORD not in guarded.server.log.read_text()
