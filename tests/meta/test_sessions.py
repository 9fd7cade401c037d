"""Sessions, attempts, second factors and counts of rates, on both engines: limits, clocks that jump, and who comes at the same time."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import Conflict
from shared.meta import buckets, database, factors, logins, people, rates, sessions
from shared.meta.identity_models import TENANT_SUSPENDED, Challenge, Login, RateCount, Session, Tenant
from shared.meta.lockout import Limits, Standing, attempt, taken_back
from shared.meta.models import Principal
from shared.meta.sessions import BEARER, CHALLENGE_ATTEMPTS, CHALLENGE_MS, COOKIE, MOST_SESSIONS

NOW = 1_800_000_000_000
MINUTE, HOUR, DAY, YEAR = 60_000, 3_600_000, 86_400_000, 31_536_000_000
LIMITS = Limits(5, 15 * MINUTE)
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def person() -> int:
    return make_person("anna")


def make_person(name: str, **more: object) -> int:
    with database.transaction() as conn:
        return int(Principal.insert(id=buckets.bump(conn), canonical_id=name * 8, name=name, created_ms=NOW, **more).execute())


def begin(person: int, kind: str = COOKIE, now_ms: int = NOW, length_ms: int = DAY) -> tuple[str, sessions.SessionInfo]:
    token = sessions.new_token()
    return token, sessions.create(token, "csrf", person, kind, expires_ms=now_ms + length_ms, now_ms=now_ms, address="192.0.2.1")


def together(work, arguments):
    """Call ``work`` with each of the arguments, all at once, each in a thread with a connection of its own."""

    def one(argument):
        with database.session():
            return work(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(one, arguments))


# ---- sessions -------------------------------------------------------------------------------------------------------------------


def test_only_digests_are_kept(person):
    token, made = begin(person)
    row = Session.get()
    assert bytes(row.id) == sessions.digest(token) == made.id and token.encode() not in repr(row.__data__).encode()
    assert bytes(row.csrf) == sessions.digest("csrf")
    assert token not in repr(row.__data__) and len(token) >= 43
    found = sessions.present(token)
    assert found is not None and found.session == made and found.is_usable and not found.must_change and not found.has_factor
    assert sessions.present(token + "x") is None and sessions.present("\ud800") is None


def test_sessions_know_what_became_of_their_owner(person):
    token, _ = begin(person)
    factors.offer(person, b"sealed")
    assert sessions.present(token).has_factor is False, "not confirmed yet"
    with database.transaction():
        Login.update(must_change=True, totp_since_ms=NOW).execute()
    found = sessions.present(token)
    assert found.must_change and found.has_factor
    Principal.update(is_active=False).execute()
    assert not sessions.present(token).is_usable
    Principal.delete().execute()
    assert sessions.present(token) is None


def test_people_of_suspended_tenants_have_no_use_of_their_sessions():
    with database.transaction():
        Tenant.insert(id=7, name="acme", created_ms=NOW).execute()
    token, _ = begin(make_person("tina", tenant_id=7))
    assert sessions.present(token).is_usable and logins.account("tina").is_usable
    Tenant.update(status=TENANT_SUSPENDED).execute()
    assert not sessions.present(token).is_usable and not logins.account("tina").is_usable
    Tenant.delete().execute()
    assert not sessions.present(token).is_usable


@pytest.mark.parametrize("after_ms, alive", [
    (0, True), (30 * MINUTE - 1, True), (30 * MINUTE, False), (YEAR, False),
    (-30 * MINUTE + 1, True), (-30 * MINUTE, False), (-YEAR, False),        # a clock that went back
])
def test_a_session_ends_when_it_lies_idle(person, after_ms, alive):
    _, made = begin(person)
    assert sessions.is_alive(made, NOW + after_ms, 30 * MINUTE, DAY) is alive


def test_use_prolongs_a_session_up_to_its_absolute_end(person):
    token, made = begin(person)
    moment = NOW
    while sessions.is_alive(made, moment, 30 * MINUTE, DAY):
        sessions.touch(made, moment, 30 * MINUTE)
        made = sessions.present(token).session
        moment += 20 * MINUTE
    assert moment - NOW == DAY


def test_lowered_limits_bind_at_once_and_raised_ones_do_not_revive(person):
    _, made = begin(person)
    assert not sessions.is_alive(made, NOW + 2 * MINUTE, MINUTE, DAY)
    assert not sessions.is_alive(made, NOW + 2 * MINUTE, 30 * MINUTE, MINUTE)
    assert not sessions.is_alive(made._replace(seen_ms=NOW + DAY), NOW + DAY, 30 * MINUTE, YEAR)


def test_a_clock_that_goes_back_and_forth_prolongs_a_session_by_no_more_than_the_idle_time(person):
    """However the clock is moved between requests, the true age never exceeds the limit by more than what it went back in all."""
    chance = random.Random(4)
    for _ in range(50):
        _, made = begin(person)
        true, went_back, clock = 0, 0, NOW
        while sessions.is_alive(made, clock, 30 * MINUTE, 4 * HOUR):
            made = made._replace(seen_ms=clock)
            step, jump = chance.randrange(40 * MINUTE), chance.choice((0, 0, 0, -10 * MINUTE, 10 * MINUTE))
            true, clock, went_back = true + step, clock + step + jump, went_back + max(0, -jump)
        assert true <= 4 * HOUR + went_back + 40 * MINUTE


def test_a_session_is_not_written_to_at_each_request(person):
    token, made = begin(person)
    sessions.touch(made, NOW + MINUTE - 1, 30 * MINUTE)
    assert sessions.present(token).session.seen_ms == NOW
    sessions.touch(made, NOW + MINUTE, 30 * MINUTE)
    assert sessions.present(token).session.seen_ms == NOW + MINUTE


def test_tokens_end_at_their_end_only(person):
    _, made = begin(person, BEARER, length_ms=YEAR)
    assert sessions.is_alive(made, NOW + YEAR - 1, MINUTE, HOUR) and not sessions.is_alive(made, NOW + YEAR, MINUTE, HOUR)


def test_the_oldest_session_makes_room_and_tokens_are_refused(person):
    tokens = [begin(person, now_ms=NOW + number)[0] for number in range(MOST_SESSIONS + 2)]
    assert [sessions.present(token) is not None for token in tokens] == [False, False, *[True] * MOST_SESSIONS]
    for _ in range(MOST_SESSIONS):
        begin(person, BEARER)
    with pytest.raises(Conflict):
        begin(person, BEARER)
    assert sessions.present(tokens[-1]) is not None


def test_sessions_are_revoked_one_by_one_and_all_together(person):
    other = make_person("otto")
    (one, first), (two, _), (three, third) = begin(person), begin(person), begin(person, BEARER)
    foreign, _ = begin(other)
    assert sessions.revoke(other, first.public_id) is None, "not another's"
    assert sessions.revoke(person, first.public_id) == first
    assert sessions.revoke(None, first.public_id) is None and sessions.present(one) is None
    assert sessions.revoke_all(person, but=third.id) == 1 and sessions.present(two) is None and sessions.present(three) is not None
    assert sessions.revoke_all(person, kind=COOKIE) == 0
    sessions.end(third.id)
    assert sessions.present(three) is None and sessions.present(foreign) is not None


def test_a_new_key_of_roots_ends_what_the_old_one_began():
    root = people.create_root()
    (roots, _), (annas, _) = begin(root.id), begin(make_person("anna"))
    people.replace_key(root.id, "AKIA2", b"sealed")
    assert sessions.present(roots) is None and sessions.present(annas) is not None


def test_pages_of_sessions(person):
    make_person("zoe", tenant_id=3)
    other = make_person("otto", tenant_id=3)
    own = {begin(person)[1].public_id for _ in range(5)}
    foreign = {begin(other)[1].public_id for _ in range(3)}
    begin(other, length_ms=-1)
    found, after = [], ""
    while page := sessions.page(NOW, after, 2):
        found += [one.public_id for one in page]
        after = found[-1]
    assert found == sorted(own | foreign)
    assert {one.public_id for one in sessions.page(NOW, "", 100, principal_id=person)} == own
    assert {one.public_id for one in sessions.page(NOW, "", 100, tenant_id=3)} == foreign


def test_what_is_over_is_pruned(person):
    begin(person, length_ms=MINUTE)
    kept, _ = begin(person)
    sessions.challenge("c", person, NOW)
    sessions.prune(NOW + CHALLENGE_MS)
    assert Session.select().count() == 1 and sessions.present(kept) and Challenge.select().count() == 0


# ---- challenges -----------------------------------------------------------------------------------------------------------------


def test_a_challenge_has_few_attempts_even_at_once(person):
    sessions.challenge("c", person, NOW)
    answers = together(lambda _: sessions.try_challenge("c", NOW + 1), range(12))
    assert answers.count((person, NOW)) == CHALLENGE_ATTEMPTS and answers.count(None) == 12 - CHALLENGE_ATTEMPTS


@pytest.mark.parametrize("after_ms, valid", [(0, True), (CHALLENGE_MS - 1, True), (CHALLENGE_MS, False), (-MINUTE, False)])
def test_a_challenge_is_short(person, after_ms, valid):
    sessions.challenge("c", person, NOW)
    assert (sessions.try_challenge("c", NOW + after_ms) is not None) is valid
    assert sessions.try_challenge("d", NOW) is None


def test_a_challenge_is_finished_once(person):
    sessions.challenge("c", person, NOW)
    assert sorted(together(lambda _: sessions.finish_challenge("c"), range(8))) == [False] * 7 + [True]


# ---- failures in a row ----------------------------------------------------------------------------------------------------------


def fail(times: int) -> Standing:
    standing = Standing()
    for _ in range(times):
        standing, may = attempt(standing, NOW, LIMITS)
        assert may
    return standing


def test_the_fifth_failure_locks_for_the_duration():
    standing = fail(5)
    assert attempt(fail(4), NOW, LIMITS)[1] and standing.locked_until_ms == NOW + LIMITS.duration_ms
    assert attempt(standing, NOW + LIMITS.duration_ms - 1, LIMITS) == (standing, False)
    after, may = attempt(standing, NOW + LIMITS.duration_ms, LIMITS)
    assert may and after == Standing(1, NOW + LIMITS.duration_ms, 0), "and then it starts over"


def test_failures_that_lie_far_apart_are_not_in_a_row():
    standing = Standing()
    for number in range(50):
        standing, may = attempt(standing, NOW + number * LIMITS.duration_ms, LIMITS)
        assert may and standing.failures == 1


def test_no_limit_never_locks():
    standing = Standing()
    for _ in range(1000):
        standing, may = attempt(standing, NOW, Limits(0, MINUTE))
        assert may and standing.locked_until_ms == 0


@pytest.mark.parametrize("jump_ms", [-YEAR, -DAY, -MINUTE])
def test_a_clock_that_went_back_neither_unlocks_nor_locks_for_ever(jump_ms):
    back = NOW + jump_ms
    standing, may = attempt(fail(5), back, LIMITS)
    assert not may and standing.locked_until_ms <= back + LIMITS.duration_ms
    assert not attempt(standing, back + LIMITS.duration_ms - MINUTE, LIMITS)[1]
    assert attempt(standing, back + LIMITS.duration_ms, LIMITS)[1]


def test_a_right_password_takes_only_its_own_attempt_back():
    assert taken_back(fail(3), LIMITS) == Standing(2, NOW, 0)
    assert taken_back(fail(5), LIMITS) == Standing(4, NOW, 0), "the attempt that locked was no failure"
    assert taken_back(Standing(), LIMITS).failures == 0


def count(name: str, address: str = "192.0.2.1", now_ms: int = NOW, per_minute: int = 0) -> logins.Attempt:
    found = logins.account(name)
    return logins.count_attempt(found.principal_id if found else None, name, address, now_ms, limits=LIMITS, per_minute=per_minute)


def test_names_without_an_account_lock_as_those_with_one(person):
    for step in (0, 1, 14 * MINUTE, 15 * MINUTE, 31 * MINUTE):
        known = [count("anna", now_ms=NOW + step) for _ in range(4)]
        assert known == [count("nobody", now_ms=NOW + step) for _ in range(4)]
    assert logins.find(person).failures


def test_attempts_side_by_side_do_not_outrun_the_lock(person):
    for name in ("anna", "nobody"):
        answers = together(lambda _, name=name: count(name), range(16))
        assert sum(one.locked_until_ms == 0 for one in answers) == LIMITS.failures
        assert sum(one.locks for one in answers) == 1


def test_success_forgets_failures_and_an_administrator_can_too(person):
    for _ in range(4):
        count("anna")
    logins.succeeded(person, "192.0.2.1", NOW)
    assert logins.find(person).failures == 0
    for _ in range(6):
        count("anna")
    assert logins.find(person).is_locked(NOW) and count("anna").locked_until_ms
    logins.unlock(person)
    assert not logins.find(person).is_locked(NOW) and not count("anna").locked_until_ms


def test_names_that_no_database_holds_are_nobodys():
    assert logins.account("a\0b") is None and logins.account("\ud800") is None
    assert count("\ud800") == logins.Attempt() and count("a\0b") == logins.Attempt()


# ---- rates ----------------------------------------------------------------------------------------------------------------------


def hit(name: str = "x", now_ms: int = NOW) -> int:
    with database.transaction() as conn:
        return rates.hit(conn, name, now_ms, MINUTE)


def test_counts_are_of_one_window(person):
    assert [hit(), hit(), hit("y"), hit(now_ms=NOW + MINUTE - 1), hit(now_ms=NOW + MINUTE)] == [1, 2, 1, 3, 1]


def test_no_count_is_lost_among_many_at_once():
    assert sorted(together(lambda _: hit(), range(20))) == list(range(1, 21))


def test_a_clock_that_steps_back_starts_no_new_window_and_one_far_ahead_holds_nobody():
    assert [hit(), hit(now_ms=NOW - 1), hit(now_ms=NOW - MINUTE)] == [1, 2, 3]
    assert hit(now_ms=NOW - YEAR) == 1


def test_a_count_is_given_back_in_its_own_window_only():
    hit()
    hit()
    with database.transaction() as conn:
        rates.give_back(conn, "x", NOW + MINUTE, MINUTE)
        rates.give_back(conn, "x", NOW, MINUTE)
        for _ in range(5):
            rates.give_back(conn, "nothing", NOW, MINUTE)
        assert rates.count(conn, "x", NOW, MINUTE) == 1
    assert hit() == 2


def test_old_counts_are_pruned():
    hit()
    hit("far", NOW + 2 * YEAR)
    hit("new", NOW + YEAR)
    rates.prune(NOW + YEAR)
    assert [row.name for row in RateCount.select()] == ["new"]


def test_an_address_and_an_account_have_so_many_attempts_a_minute(person):
    assert [bool(count("anna", f"192.0.2.{number}", per_minute=3).wait_ms) for number in range(4)] == [False, False, False, True]
    assert [bool(count(f"n{number}", "198.51.100.1", per_minute=3).wait_ms) for number in range(4)] == [False, False, False, True]
    assert count("anna", per_minute=3).wait_ms == MINUTE - NOW % MINUTE
    assert not count("anna", now_ms=NOW + MINUTE, per_minute=3).wait_ms


def test_attempts_side_by_side_do_not_outrun_the_rate(person):
    answers = together(lambda _: count("anna", per_minute=3), range(12))
    assert sum(not one.wait_ms for one in answers) == 3
    assert logins.find(person).failures == 3, "what was refused is no failure"


def test_who_is_unlocked_need_not_wait_for_the_next_minute(person):
    for _ in range(3):
        count("anna", per_minute=3)
    assert count("anna", "192.0.2.9", per_minute=3).wait_ms
    logins.unlock(person)
    assert count("anna", "192.0.2.9", per_minute=3) == logins.Attempt()


def test_success_gives_the_count_back(person):
    for _ in range(20):
        assert not count("anna", per_minute=3).wait_ms
        logins.succeeded(person, "192.0.2.1", NOW)


# ---- passwords and the second factor --------------------------------------------------------------------------------------------


def test_a_new_password_ends_everything_and_is_remembered(person):
    token, _ = begin(person)
    bearer, _ = begin(person, BEARER)
    sessions.challenge("c", person, NOW)
    for number in range(30):
        logins.set_password(person, f"hash {number}", must_change=number == 29, now_ms=NOW + number)
    assert sessions.present(token) is sessions.present(bearer) is sessions.try_challenge("c", NOW) is None
    login = logins.find(person)
    assert (login.password_hash, login.must_change, login.changed_ms) == ("hash 29", True, NOW + 29)
    assert login.old_hashes == tuple(f"hash {number}" for number in range(28, 28 - logins.MOST_OLD_HASHES, -1))


def test_a_session_cannot_begin_on_a_password_that_was_just_replaced(person):
    logins.set_password(person, "old", must_change=False, now_ms=NOW)
    assert logins.hold(person, "old")
    logins.set_password(person, "new", must_change=False, now_ms=NOW)
    assert not logins.hold(person, "old")
    logins.renew_hash(person, "old", "older made anew")
    assert logins.find(person).password_hash == "new"


def turn_on(person: int) -> bytes:
    factors.offer(person, b"sealed")
    _, keep = begin(person)
    factors.confirm(person, b"sealed", 10, ["a", "b"], keep=keep.id, now_ms=NOW)
    return keep.id


def test_a_factor_is_on_once_it_is_confirmed(person):
    before, _ = begin(person)
    script, _ = begin(person, BEARER)
    keep = turn_on(person)
    assert logins.find(person).has_factor and logins.find(person).backup_hashes == ("a", "b")
    assert sessions.present(before) is None and sessions.present(script) is not None
    assert [bytes(row.id) for row in Session.select().where(Session.kind == COOKIE)] == [keep]
    with pytest.raises(Conflict):
        factors.offer(person, b"other")
    with pytest.raises(Conflict):
        factors.confirm(person, b"sealed", 11, [], keep=keep, now_ms=NOW)
    assert factors.clear(person) and not factors.clear(person)
    assert logins.find(person) == logins.LoginInfo(person)


def test_an_offer_that_was_replaced_is_not_confirmed(person):
    factors.offer(person, b"first")
    factors.offer(person, b"second")
    with pytest.raises(Conflict):
        factors.confirm(person, b"first", 10, [], keep=b"", now_ms=NOW)
    assert not logins.find(person).has_factor


def test_a_time_step_is_used_once_even_at_once(person):
    turn_on(person)
    assert not factors.use_step(person, 10) and not factors.use_step(person, 9)
    assert sorted(together(lambda _: factors.use_step(person, 11), range(12))) == [False] * 11 + [True]
    assert not factors.use_step(person, 11) and factors.use_step(person, 12)
    assert not factors.use_step(person + 1, 13)


def test_a_backup_code_is_used_once_even_at_once(person):
    turn_on(person)
    answers = together(lambda code: factors.use_backup_hash(person, code), ["a"] * 6 + ["b"] * 6)
    assert answers[:6].count(True) == answers[6:].count(True) == 1
    assert json.loads(Login.get().backup_hashes) == []


def test_several_at_once_are_found(person):
    logins.set_password(person, "hash", must_change=False, now_ms=NOW)
    found = logins.find_many([person, person + 1])
    assert found[person].password_hash == "hash" and found[person + 1] == logins.LoginInfo(person + 1)


def test_who_is_removed_leaves_nothing(person):
    logins.set_password(person, "hash", must_change=False, now_ms=NOW)
    token, _ = begin(person)
    logins.remove(person)
    assert Login.select().count() == 0 and sessions.present(token) is None
