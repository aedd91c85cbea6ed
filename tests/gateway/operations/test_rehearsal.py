"""Watched requests, played through as if they had been charged."""

from datetime import UTC, datetime

from gateway.operations.rehearsal import Pace, Rehearsal, Request, Terms
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
        "route": "r",
        "account": ACCOUNT,
        "key": KEY,
        "credit_type": TYPE,
        "cost": cost,
        "met": NOTHING,
        "terms": Terms(),
    }
    return Request(**(values | more))  # type: ignore[arg-type]


def test_requests_are_paid_until_the_balance_is_gone() -> None:
    played = rehearsal(10)
    answers = [played.asked(request(3, at_us=at)) for at in range(5)]
    assert answers == ["", "", "", "insufficient-credits", "insufficient-credits"]
    purse = played.purses[ACCOUNT, TYPE]
    assert (purse.start, purse.left, purse.dry_us, purse.short) == (10, 1, 3, 6)
    figures = played.accounts[ACCOUNT, TYPE]
    assert (figures.requests, figures.charged, figures.charge, figures.cost) == (5, 3, 9, 15)
    assert figures.refused == {"insufficient-credits": 2}


def test_what_is_put_in_meanwhile_pays_for_the_next() -> None:
    played = rehearsal(2)
    assert played.asked(request(3)) == "insufficient-credits"
    played.moved(ACCOUNT, TYPE, 5)
    assert played.asked(request(3)) == ""
    played.moved(8, TYPE, 5)  # nobody who was watched
    assert played.purses[ACCOUNT, TYPE].left == 4


def test_the_hold_must_be_there_and_only_the_cost_is_taken() -> None:
    played = rehearsal(10)
    held = Terms(ceiling=9)
    assert [played.asked(request(1, terms=held)) for _ in range(3)] == [
        "",
        "",
        "insufficient-credits",
    ]
    assert played.purses[ACCOUNT, TYPE].left == 8


def test_what_failed_at_the_backend_takes_nothing_but_had_to_be_held() -> None:
    played = rehearsal(2)
    assert played.asked(request(0, terms=Terms(ceiling=3))) == "insufficient-credits"
    assert played.asked(request(0, terms=Terms(ceiling=2))) == ""
    assert played.totals[TYPE].charged == 0


def test_a_debt_pays_for_nothing_and_free_calls_pass() -> None:
    played = rehearsal(-5)
    assert played.asked(request(1)) == "insufficient-credits"
    assert played.asked(request(0)) == ""


def test_a_key_ends_and_an_account_freezes_at_their_time() -> None:
    revoked = datetime.fromtimestamp(5, UTC)
    keys = [key(), key(71, revoked_at=revoked), key(72, expires_ms=6_000), key(73, scopes=2)]
    freezes = {ACCOUNT: [(8_000_000, True), (9_000_000, False)]}
    played = rehearsal(100, keys=keys, freezes=freezes)

    def answer(number: int, at_s: int) -> str:
        return played.asked(request(key=number, at_us=at_s * 1_000_000))

    assert [answer(71, 4), answer(71, 5)] == ["", "key-revoked"]
    assert [answer(72, 5), answer(72, 6)] == ["", "key-expired"]
    assert answer(73, 7) == "scope-missing"
    assert answer(99, 7) == "key-invalid"
    assert [answer(KEY, at) for at in (7, 8, 9)] == ["", "account-frozen", ""]
    assert answer(71, 8) == "account-frozen"  # which the hold says first


def test_a_rate_lets_a_burst_through_and_refused_ones_use_none_of_it() -> None:
    pace = Terms(paces=(Pace("", "key", interval_us=1_000_000, burst_us=1_000_000),))
    played = rehearsal(3)
    first = [played.asked(request(3, at_us=10, terms=pace))]
    first += [played.asked(request(3, at_us=10, terms=pace)) for _ in range(2)]
    assert first == ["", "insufficient-credits", "insufficient-credits"]
    played.moved(ACCOUNT, TYPE, 100)
    second = [played.asked(request(3, at_us=11, terms=pace)) for _ in range(2)]
    assert second == ["", "rate-limited"]
    assert played.asked(request(3, at_us=1_000_011, terms=pace)) == ""


def test_a_rate_of_an_account_is_for_all_its_keys() -> None:
    for whose, passed in (("key", ["", ""]), ("account", ["", "rate-limited"])):
        terms = Terms(paces=(Pace("", whose, 10, 0),))  # type: ignore[arg-type]
        played = rehearsal(keys=[key(), key(71)])
        assert [played.asked(request(key=one, terms=terms)) for one in (KEY, 71)] == passed


def test_a_weighted_request_uses_as_much_as_it_counts_for() -> None:
    paces = (Pace("", "key", interval_us=10, burst_us=30),)  # four at once
    played = rehearsal(100)
    weights = [(1, 3), (1, 2), (1, 1), (1, 1), (11, 1)]
    answers = [
        played.asked(request(at_us=at, terms=Terms(paces=paces, weight=weight)))
        for at, weight in weights
    ]
    assert answers == ["", "rate-limited", "", "rate-limited", ""]


def test_what_the_gateway_noted_comes_first_and_a_public_route_asks_nobody() -> None:
    played = rehearsal(0)
    nobody = {"account": None, "key": None}
    assert played.asked(request(met=Met(refused="key-invalid"), **nobody)) == "key-invalid"
    assert played.asked(request(met=Met("", "invalid-body"), cost=0)) == "invalid-body"
    assert played.asked(request(met=Met("", NO_PRICE), cost=0)) == ""
    assert played.asked(request(0, terms=Terms(public=True), **nobody)) == ""
    assert played.asked(request(0, **nobody)) == "key-missing"
    assert played.routes["r", TYPE].unpriced == {"invalid-body": 1, NO_PRICE: 1}
    assert played.accounts[None, TYPE].requests == 3


def test_a_note_is_read_as_it_was_written() -> None:
    for met in (Met(), Met("key-missing"), Met("", NO_PRICE), Met("two-keys", "invalid-body")):
        assert read_note(met.note) == met
    assert read_note(None) == read_note("continues 00ff") == Met()
