"""Every error of ours is a problem document that says `charged: 0`."""

import json
import re
from pathlib import Path

import pytest

from billing import errors as billing
from gateway import problems
from gateway.problems import CATALOGUE, Problem, insufficient, problem_for
from gateway.upstream import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamInvalid,
    UpstreamRefused,
    UpstreamReset,
    UpstreamTimeout,
)
from ledger import errors


def read(problem: Problem) -> dict[str, object]:
    document: dict[str, object] = json.loads(problem.body("0" * 24))
    return document


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_problem_says_that_nothing_was_charged(name: str) -> None:
    document = read(Problem(name, "Why."))
    assert document == {
        "type": f"/farebox/problems/{name}",
        "title": CATALOGUE[name][1],
        "status": CATALOGUE[name][0],
        "detail": "Why.",
        "instance": "0" * 24,
        "charged": 0,
    }


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (errors.BadKey(), 401, "key-invalid"),
        (errors.AccountFrozen(), 403, "account-frozen"),
        (errors.ScopeMissing(), 403, "scope-missing"),
        (errors.KeyCapped(0, 1, "total"), 403, "key-cap"),
        (errors.KeyCapped(1_500, 1, "day"), 429, "key-cap"),
        (errors.RateLimited(1_500), 429, "rate-limited"),
        (errors.LedgerBusy(), 503, "ledger-busy"),
        (errors.LedgerUnavailable("gone"), 503, "ledger-unavailable"),
        (errors.CorruptRecord("odd"), 503, "ledger-unavailable"),
        (errors.NotFound("no such charge"), 404, "not-found"),
        (errors.Conflict("already-refunded", "Refunded."), 409, "already-refunded"),
        (errors.InvalidInput("amount", "must be above 0"), 422, "invalid-input"),
        (billing.SellingNotConfigured(), 503, "selling-not-configured"),
        (billing.NotForSale("no"), 422, "not-for-sale"),
        (billing.WrongPurchase("quantity", "1 to 10"), 422, "invalid-input"),
        (billing.NoSuchObject("no order"), 404, "not-found"),
        (billing.NotRefundable("too much", left_minor=5), 409, "not-refundable"),
        (billing.StateConflict("it is paid"), 409, "conflict"),
        (billing.StripeRefused("no", status=400, code="c", param="p"), 502, "stripe-refused"),
        (
            billing.CardDeclined("no", code="c", decline_code="d", payment_intent_id=""),
            402,
            "card-declined",
        ),
        (billing.StripeUnavailable("silence"), 503, "stripe-unavailable"),
        (billing.Quarantined("it does not fit"), 409, "purchase-in-question"),
        (UpstreamRefused("x"), 502, "upstream-refused"),
        (UpstreamBusy("x"), 503, "upstream-busy"),
        (UpstreamReset("x", sent=True, head_sent=True), 502, "upstream-reset"),
        (UpstreamTimeout("x", phase="first_byte"), 504, "upstream-timeout"),
        (UpstreamCut("x"), 502, "upstream-cut"),
        (UpstreamInvalid("x"), 502, "upstream-invalid"),
    ],
)
def test_errors_of_other_parts_become_problems(error: Exception, status: int, name: str) -> None:
    problem = problem_for(error)
    assert problem is not None
    assert (problem.status, problem.name) == (status, name)


def test_what_the_operators_key_may_not_do_is_not_told() -> None:
    said = "The provided key 'rk_live_*****abc' lacks 'rak_checkout_write' on 'acct_1'"
    problem = problem_for(billing.StripeRefused(said, status=403))

    assert problem is not None
    assert "rk_live" not in problem.body("1").decode()


def test_a_fault_of_our_own_is_not_explained_away() -> None:
    assert problem_for(RuntimeError("bug")) is None


def test_the_address_of_an_upstream_is_not_told() -> None:
    problem = problem_for(UpstreamRefused("connection to 10.1.2.3:9000 refused"))
    assert problem is not None
    assert b"10.1.2.3" not in problem.body("x")


def test_a_limit_says_when_to_come_back_rounded_up() -> None:
    problem = problem_for(errors.RateLimited(1_001))
    assert problem is not None
    assert (b"retry-after", b"2") in problem.header_list(0)


def test_a_401_says_how_to_identify_oneself() -> None:
    headers = dict(problems.invalid_key().header_list(0))
    assert headers[b"www-authenticate"].startswith(b"Bearer")


def test_a_402_names_price_balance_shortfall_and_where_to_buy() -> None:
    problem = insufficient(
        price=25,
        balance=7,
        credit_type="calling",
        scale=2,
        shown=lambda amount: f"0.{amount:02}",
        buy="https://api.example/farebox/buy?token=t",
    )
    document = read(problem)
    assert document["status"] == 402
    assert {key: document[key] for key in ("price", "balance", "shortfall", "scale")} == {
        "price": 25,
        "balance": 7,
        "shortfall": 18,
        "scale": 2,
    }
    assert document["credit_type"] == "calling"
    assert document["buy"] == "https://api.example/farebox/buy?token=t"
    assert "0.18 short" in str(document["detail"])


def test_every_problem_that_is_answered_can_be_looked_up() -> None:
    """Its `type` leads to its meaning, whichever part of the source says it."""
    root = Path(problems.__file__).parent.parent
    named: set[str] = set()
    for package in ("billing", "config", "gateway", "ledger"):
        for file in (root / package).rglob("*.py"):
            if file.name == "migrations.py":
                continue  # only the command line migrates
            text = file.read_text("utf-8")
            named |= set(re.findall(r'\bConflict\(\s*"([a-z-]+)"', text))
            if package in ("billing", "gateway"):  # elsewhere a Problem is something else
                named |= set(re.findall(r'\bProblem\(\s*"([a-z-]+)"', text))
            named |= set(re.findall(r'\b(?:Refusal|Unpriceable)\(\s*\d+,\s*"([a-z-]+)"', text))
    assert len(named) > 40
    assert [name for name in sorted(named) if problems.meaning_of(name) is None] == []


def test_a_name_means_one_thing() -> None:
    assert not problems.CATALOGUE.keys() & problems.OTHERS.keys()
