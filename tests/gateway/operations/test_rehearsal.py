"""Watched requests, played through as if they had been charged."""

import random
from datetime import UTC, datetime

import pytest

from config import Limit, RateLimit
from gateway.operations.rehearsal import PASSED, Refusal, Rehearsal, Request, Terms
from gateway.operations.rehearsed_limits import CapChange
from gateway.watched import NO_PRICE, Met, read_note
from ledger.facts import NEVER
from ledger.observed import KeyLife

TYPE, ACCOUNT, KEY = 1, 7, 70
NOTHING = Met()


def key(number: int = KEY, **more: object) -> KeyLife:
    values = {"id": number, "scopes": 1, "expires_ms": NEVER, "revoked_at": None}
    return KeyLife(**(values | more))  # type: ignore[arg-type]


def rehearsal(start: int = 10, **more: object) -> Rehearsal:
    values = {"keys": [key()], **more}
    return Rehearsal({(ACCOUNT, TYPE): start}, **values)  # type: ignore[arg-type]


def request(cost: int = 3, *, at_us: int = 1_000_000, **more: object) -> Request:
    values = {
        "at_us": at_us,
        "ends_us": at_us,
        "route": "r",
        "account": ACCOUNT,
        "key": KEY,
        "credit_type": TYPE,
        "cost": cost,
        "met": NOTHING,
        "terms": Terms(),
    }
    return Request(**(values | more))  # type: ignore[arg-type]


def answer_to(played: Rehearsal, asked: Request) -> str:
    return played.asked(asked).problem


def test_requests_are_paid_until_the_balance_is_gone() -> None:
    played = rehearsal(10)
    answers = [answer_to(played, request(3, at_us=at)) for at in range(5)]
    assert answers == ["", "", "", "insufficient-credits", "insufficient-credits"]
    purse = played.purses[ACCOUNT, TYPE]
    assert (purse.start, purse.left, purse.dry_us, purse.short) == (10, 1, 3, 6)
    figures = played.accounts[ACCOUNT, TYPE]
    assert (figures.requests, figures.charged, figures.charge, figures.cost) == (5, 3, 9, 15)
    assert figures.refused == {Refusal("insufficient-credits"): 2}


def test_what_is_put_in_meanwhile_pays_for_the_next() -> None:
    played = rehearsal(2)
    assert answer_to(played, request(3)) == "insufficient-credits"
    played.moved(ACCOUNT, TYPE, 5)
    assert answer_to(played, request(3)) == ""
    played.moved(8, TYPE, 5)  # nobody who was watched
    assert played.purses[ACCOUNT, TYPE].left == 4


def test_the_hold_must_be_there_and_only_the_cost_is_taken() -> None:
    played = rehearsal(10)
    held = Terms(ceiling=9)
    assert [answer_to(played, request(1, terms=held)) for _ in range(3)] == [
        "",
        "",
        "insufficient-credits",
    ]
    assert played.purses[ACCOUNT, TYPE].left == 8


def test_what_failed_at_the_backend_takes_nothing_but_had_to_be_held() -> None:
    played = rehearsal(2)
    assert answer_to(played, request(0, terms=Terms(ceiling=3))) == "insufficient-credits"
    assert answer_to(played, request(0, terms=Terms(ceiling=2))) == ""
    assert played.totals[TYPE].charged == 0


def test_a_debt_pays_for_nothing_and_free_calls_pass() -> None:
    played = rehearsal(-5)
    assert answer_to(played, request(1)) == "insufficient-credits"
    assert answer_to(played, request(0)) == ""


def test_a_key_ends_and_an_account_freezes_at_their_time() -> None:
    revoked = datetime.fromtimestamp(5, UTC)
    keys = [key(), key(71, revoked_at=revoked), key(72, expires_ms=6_000), key(73, scopes=2)]
    freezes = {ACCOUNT: [(8_000_000, True), (9_000_000, False)]}
    played = rehearsal(100, keys=keys, freezes=freezes)

    def answer(number: int, at_s: int) -> str:
        return answer_to(played, request(key=number, at_us=at_s * 1_000_000))

    assert [answer(71, 4), answer(71, 5)] == ["", "key-revoked"]
    assert [answer(72, 5), answer(72, 6)] == ["", "key-expired"]
    assert answer(73, 7) == "scope-missing"
    assert answer(99, 7) == "key-invalid"
    assert [answer(KEY, at) for at in (7, 8, 9)] == ["", "account-frozen", ""]
    assert answer(71, 8) == "account-frozen"  # which the hold says first


def test_a_rate_lets_a_burst_through_and_refused_ones_use_none_of_it() -> None:
    pace = Terms(limits=(Limit("l", "key", rate=RateLimit(60, 60, burst=2)),))
    played = rehearsal(3)
    first = [answer_to(played, request(3, at_us=10, terms=pace))]
    first += [answer_to(played, request(3, at_us=10, terms=pace)) for _ in range(2)]
    assert first == ["", "insufficient-credits", "insufficient-credits"]
    played.moved(ACCOUNT, TYPE, 100)
    second = [answer_to(played, request(3, at_us=11, terms=pace)) for _ in range(2)]
    assert second == ["", "rate-limited"]
    assert answer_to(played, request(3, at_us=1_000_011, terms=pace)) == ""


def test_a_rate_of_an_account_is_for_all_its_keys() -> None:
    for whose, passed in (("key", ["", ""]), ("account", ["", "rate-limited"])):
        limit = Limit("l", whose, rate=RateLimit(60, 60, burst=1))  # type: ignore[arg-type]
        terms = Terms(limits=(limit,))
        played = rehearsal(keys=[key(), key(71)])
        assert [answer_to(played, request(key=one, terms=terms)) for one in (KEY, 71)] == passed


def test_a_weighted_request_uses_as_much_as_it_counts_for() -> None:
    limits = (Limit("l", "key", rate=RateLimit(100_000, 1, burst=4)),)  # one each 10 us
    played = rehearsal(100)
    weights = [(1, 3), (1, 2), (1, 1), (1, 1), (11, 1)]
    answers = [
        answer_to(played, request(at_us=at, terms=Terms(limits=limits, weight=weight)))
        for at, weight in weights
    ]
    assert answers == ["", "rate-limited", "", "rate-limited", ""]


def test_what_the_gateway_noted_comes_first_and_a_public_route_asks_nobody() -> None:
    played = rehearsal(0)
    nobody = {"account": None, "key": None}
    assert answer_to(played, request(met=Met(refused="key-invalid"), **nobody)) == "key-invalid"
    assert answer_to(played, request(met=Met("", "invalid-body"), cost=0)) == "invalid-body"
    assert answer_to(played, request(met=Met("", NO_PRICE), cost=0)) == ""
    assert answer_to(played, request(0, terms=Terms(public=True), **nobody)) == ""
    assert answer_to(played, request(0, **nobody)) == "key-missing"
    assert played.routes["r", TYPE].unpriced == {"invalid-body": 1, NO_PRICE: 1}
    assert played.accounts[None, TYPE].requests == 3


def test_a_note_is_read_as_it_was_written() -> None:
    for met in (Met(), Met("key-missing"), Met("", NO_PRICE), Met("two-keys", "x", failed=True)):
        assert read_note(met.note) == met
    assert read_note(None) == read_note("continues 00ff") == Met()


# Limits

DAY_US = 86_400_000_000
FEBRUARY_US = 31 * DAY_US


def limited(*limits: Limit, **more: object) -> Terms:
    return Terms(limits=limits, **more)  # type: ignore[arg-type]


def test_a_quota_counts_what_did_not_fail_until_its_day_ends() -> None:
    terms = limited(Limit("two", "account", quota=2, per="day"))
    played = rehearsal(100, keys=[key(), key(71)])
    failed = Met(failed=True)
    answers = [
        played.asked(request(at_us=1, terms=terms)),
        played.asked(request(0, at_us=2, met=failed, terms=terms)),
        played.asked(request(at_us=3, key=71, terms=terms)),
        played.asked(request(at_us=4, terms=terms)),
        played.asked(request(at_us=DAY_US, terms=terms)),
    ]
    full = Refusal("rate-limited", "two")
    assert answers == [PASSED, PASSED, PASSED, full, PASSED]


def test_an_allowance_pays_until_it_is_used_up_and_asks_for_no_credits() -> None:
    terms = limited(Limit("free", "account", free=3, per="month"), weight=2)
    played = rehearsal(3)
    answers = [
        answer_to(played, request(5, at_us=at, terms=terms))
        for at in (0, 1, FEBRUARY_US, FEBRUARY_US + 1)
    ]
    assert answers == ["", "insufficient-credits", "", "insufficient-credits"]
    figures = played.totals[TYPE]
    assert (figures.free, figures.charged, figures.charge, figures.cost) == (2, 0, 0, 20)
    assert played.purses[ACCOUNT, TYPE].left == 3


def test_what_is_in_flight_counts_until_it_ends() -> None:
    terms = limited(Limit("one", "account", in_flight=1))
    played = rehearsal(100)
    answers = [
        answer_to(played, request(at_us=at, ends_us=ends, terms=terms))
        for at, ends in ((0, 100), (50, 60), (100, 110))
    ]
    assert answers == ["", "rate-limited", ""]


def test_a_cap_keeps_a_key_from_spending_more_from_the_moment_it_is_set() -> None:
    caps = {KEY: [CapChange(10, TYPE, "day", 5), CapChange(40, TYPE, "day", None)]}
    played = rehearsal(100, keys=[key(), key(71)], caps=caps)

    def answer(at_us: int, number: int = KEY) -> str:
        return answer_to(played, request(3, at_us=at_us, key=number))

    assert [answer(1), answer(11), answer(12, 71)] == ["", "key-cap", ""]  # the day's first counts
    assert [answer(41), answer(DAY_US)] == ["", ""]


def test_of_several_limits_the_one_that_lasts_longest_is_named() -> None:
    quotas = [
        Limit(f"a {per}", "account", quota=1, per=per)  # type: ignore[arg-type]
        for per in ("day", "month", "day")
    ]
    flying = Limit("flying", "account", in_flight=1)
    played = rehearsal(100)
    terms = limited(flying, *quotas[:2])
    assert played.asked(request(ends_us=2**60, terms=terms)) == PASSED
    assert played.asked(request(terms=terms)).limit == "a month"
    assert played.asked(request(terms=limited(flying))).limit == "flying"


def test_a_request_that_is_only_checked_uses_up_a_rate_and_nothing_else() -> None:
    rate = Limit("rate", "key", rate=RateLimit(2, 1))
    played = rehearsal(0)
    terms = limited(rate, Limit("one", "key", in_flight=1), checked=True)
    answers = [played.asked(request(0, ends_us=2**60, terms=terms)) for _ in range(3)]
    assert answers == [PASSED, PASSED, Refusal("rate-limited", "rate")]


def test_what_was_charged_for_real_counts_too_and_is_never_refused() -> None:
    quota, free = Limit("q", "account", quota=2), Limit("f", "account", free=1)
    terms = limited(quota, free)
    played = rehearsal(100)
    played.charged(request(0, terms=terms, free=True))
    assert answer_to(played, request(3, terms=terms)) == ""
    assert played.totals[TYPE].charge == 3  # the allowance was used up
    for _ in range(3):
        played.charged(request(3, terms=terms))
    assert answer_to(played, request(3, terms=terms)) == "rate-limited"


def test_forgetting_windows_that_are_over_changes_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = [
        Limit(f"{whose} {per}", whose, quota=most, per=per)  # type: ignore[arg-type]
        for whose, per, most in (("key", "day", 2), ("account", "month", 9), ("everyone", "day", 5))
    ]
    keys = [key(KEY + number) for number in range(5)]

    def answers() -> list[Refusal]:
        chance, played = random.Random(1), rehearsal(10**9, keys=keys)
        at = sorted(chance.randrange(60 * DAY_US) for _ in range(400))
        return [
            played.asked(request(at_us=one, key=KEY + chance.randrange(5), terms=limited(*limits)))
            for one in at
        ]

    remembered = answers()
    monkeypatch.setattr("gateway.operations.rehearsed_limits.MOST_COUNTED", 1)
    assert answers() == remembered
    assert {answer.limit for answer in remembered} == {"", *(limit.name for limit in limits)}
