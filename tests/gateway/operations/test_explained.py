"""gateway/operations/explained.py: every ending of a charge is a sentence and a figure."""

from datetime import UTC, datetime
from typing import Any

import pytest

from config import load_price_list
from gateway.operations.explained import REASONS, explanation
from ledger.books import ChargeState
from ledger.charges import Charge
from ledger.reasons import Reason

PRICES = load_price_list(
    """
version: 1
credit_types: { calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - path: /v1/chat
    methods: [POST]
    upstream: api
    name: chat
    price:
      credit_type: calling
      hold: 5.00
      settle: { response: /usage/total_tokens, unit: 1000, cost: 0.03 }
""",
    environ={},
)


def charge(**change: Any) -> Charge:
    """A charge of 1,500 tokens, delivered."""
    usual: dict[str, Any] = {
        "id": bytes(12),
        "account_id": 1,
        "key_id": 1,
        "credit_type": "calling",
        "scale": 2,
        "credit_type_id": 1,
        "state": ChargeState.CAPTURED,
        "reason": "delivered",
        "status": 200,
        "held": 500,
        "captured": 5,
        "refunded": 0,
        "written_off": 0,
        "uncollected": 0,
        "balance_after": 95,
        "price_version": 3,
        "rule": 0,
        "route": "chat",
        "path": "/v1/chat",
        "price": {},
        "units": [],
        "measured": [1500],
        "record": {},
        "plan": None,
        "note": None,
        "duration_ms": 12,
        "opened_at": datetime(2030, 1, 1, tzinfo=UTC),
        "closed_at": datetime(2030, 1, 1, tzinfo=UTC),
        "deadline": None,
    }
    return Charge(**(usual | change))


def test_a_route_without_a_name_of_its_own_is_named_once() -> None:
    shown = explanation(charge(route="/v1/chat", path="/v1/chat"), PRICES)
    assert shown.text.startswith("Rule 0 (/v1/chat) of price version 3.")


def test_a_measured_charge_shows_its_arithmetic() -> None:
    shown = explanation(charge(), PRICES)

    assert shown.text.startswith("Rule 0 (chat, /v1/chat) of price version 3. Cost: 1500 / 1000 x")
    assert "5.00 calling held, 0.05 calling charged: the answer was delivered" in shown.text
    assert [(part.quantity, part.unit, part.cost) for part in shown.parts] == [(1500, 1000, 3)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": ChargeState.OPEN, "reason": None, "measured": None}, "is under way"),
        ({"state": ChargeState.EXPIRED, "reason": "expired"}, "the gateway died"),
        ({"state": ChargeState.VOID, "reason": "status", "status": 500}, "(status 500)"),
        ({"state": ChargeState.OBSERVED, "reason": "observed"}, "would have cost 5.00 calling"),
        ({"state": ChargeState.OBSERVED, "reason": None}, "charged: the route only records; it"),
        ({"uncollected": 250}, "Not collected: 2.50 calling."),
        ({"state": ChargeState.LATE, "reason": "late", "written_off": 1}, "Written off"),
        ({"refunded": 2}, "Refunded later: 0.02 calling."),
        ({"note": "slow"}, "Note: slow."),
    ],
)
def test_an_ending_is_told(change: dict[str, Any], said: str) -> None:
    assert said in explanation(charge(**change), PRICES).text


@pytest.mark.parametrize(
    ("prices", "change"), [(None, {}), (PRICES, {"rule": 9}), (PRICES, {"measured": None})]
)
def test_without_the_figures_there_is_no_arithmetic_but_the_amounts(prices, change) -> None:
    shown = explanation(charge(**change), prices)

    assert (shown.arithmetic, shown.parts) == (None, [])
    assert "0.05 calling charged" in shown.text


def test_what_the_answer_did_not_tell_is_named_beside_what_is_known() -> None:
    prices = load_price_list(
        """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - path: /v1/chat
    upstream: api
    price:
      hold: 50
      settle:
        - { response: /usage/total_tokens, unit: 1000, cost: 3 }
        - { response_bytes: true, unit: 1000, cost: 1 }
      missing: 20
""",
        environ={},
    )
    told = {"credit_type": "credits", "scale": 0, "measured": [None, 2000], "captured": 20}

    shown = explanation(charge(**told, held=50, reason="usage-missing"), prices)

    assert [(part.source, part.quantity) for part in shown.parts] == [("response_bytes", 2000)]
    assert shown.arithmetic is not None
    assert "response /usage/total_tokens was not told" in shown.arithmetic
    assert "`missing` counts: 20 credits" in shown.text


def test_every_reason_of_the_ledger_has_words() -> None:
    assert set(REASONS) == {reason.word for reason in Reason}
