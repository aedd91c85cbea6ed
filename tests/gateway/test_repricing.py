"""gateway/repricing.py: the same as charging afresh, or it says why it does not know."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings

from config import HeirFinder
from gateway.outcome import End
from gateway.repricing import WHY, NotRepriced, Recorded, Repricing
from ledger.books import ChargeState
from ledger.fold_uses import FREE_NOTE
from ledger.reasons import Reason
from tests.config.files import routes
from tests.gateway.played_prices import (
    Played,
    changed_texts,
    charged,
    loaded,
    price_texts,
    requests,
)

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "400"))
REFUSED_NOW = {"route-gone", "refused", "without-key"}
seen: Counter[str] = Counter()


def found(repricing: Repricing, charge: Recorded) -> int | str:
    """The amount, or the code of why not."""
    try:
        return repricing.reprice(charge).amount
    except NotRepriced as unknown:
        return unknown.code


@given(changed_texts(), requests())
@settings(max_examples=EXAMPLES, deadline=None)
def test_repricing_is_charging_afresh(texts: tuple[str, str], played: Played) -> None:
    old, new = map(loaded, texts)
    was = charged(old, played)
    if was.row is None or was.route is None:
        return
    afresh = charged(new, played).captured
    amount = found(Repricing(was.route, HeirFinder(old, new).of(was.route)), was.row)
    kind = amount if isinstance(amount, str) else "repriced"
    seen[kind] += 1
    event(kind)
    if isinstance(amount, int):
        assert amount == afresh
    else:
        assert amount in WHY
        assert afresh == 0 or amount not in REFUSED_NOW


def test_most_of_them_could_be_repriced() -> None:
    """What says nothing is never wrong; that must not be how the test above passes."""
    test_repricing_is_charging_afresh()
    assert seen["repriced"] > sum(seen.values()) / 3, seen


@given(price_texts(), requests())
@settings(max_examples=EXAMPLES // 2, deadline=None)
def test_the_same_prices_change_nothing(text: str, played: Played) -> None:
    prices = loaded(text)
    was = charged(prices, played)
    if was.row is None or was.route is None:
        return
    amount = found(Repricing(was.route, HeirFinder(prices, prices).of(was.route)), was.row)
    if isinstance(amount, str):
        assert was.row.state == ChargeState.OBSERVED
    else:
        assert amount == was.captured


def row(**more: Any) -> Recorded:
    usual = Recorded(1, ChargeState.CAPTURED, Reason.DELIVERED, 200, 9, 2, None, None, None, None)
    return usual._replace(**more)


def repriced(old: str, new: str, charge: Recorded) -> int | str:
    """The amount, or the code of why not; the routes are of `/x`."""
    lists = [routes(f"path: '/x/{{id}}', {one}") for one in (old, new)]
    heirs = HeirFinder(*lists).of(lists[0].routes[0])
    return found(Repricing(lists[0].routes[0], heirs), charge)


UPLOAD = "price: { hold: 9, per: [{ request_bytes: true, cost: %d }], settle: { response: /n, cost: 1 } }"
BODY = "price: { per: [{ body: /n, cost: 1 }, { request_bytes: true, cost: 1 }], max: 90 }"
METERED = "price: { hold: 9, settle: { response: /n, cost: %d } }, on_cut: %s"
OPENED = "websocket: true, price: { per: [{ connection: true, cost: %d }, { seconds: true, unit: 60, cost: %d }] }"
SECONDS = "websocket: true, price: { per: [{ seconds: true, unit: 60, cost: %d }] }"


@pytest.mark.parametrize(
    ("old", "new", "charge", "expected"),
    [
        ("price: 2", "price: 5", row(), 5),
        ("price: 2", "price: 0", row(), 0),
        ("price: 2", "price: 5, observe: true", row(), 0),
        ("price: 2", "price: 2", row(held=0, due=0, note=FREE_NOTE), 2),
        ("price: 2", "price: 5", row(held=0, due=0, note=FREE_NOTE), 5),
        ("price: 2", "price: 5", row(state=ChargeState.LATE, due=2), 5),
        ("price: 2", "price: 5", row(state=ChargeState.EXPIRED, reason=40, due=0), 0),
        ("price: 2", "price: 5", row(state=ChargeState.OPEN, reason=None), "open"),
        ("price: 2", "price: 5", row(reason=19), "ending-unclear"),
        ("price: 2", "price: 5, charge_on: [2xx, 404]", row(state=ChargeState.VOID, reason=Reason.STATUS, status=404, due=0), 5),
        ("price: 2", "price: 5", row(state=ChargeState.VOID, reason=Reason.UPSTREAM_TIMEOUT, status=None, due=0), 0),
        ("price: 2", "price: { per: [{ query: n, cost: 1 }] }", row(), "price-needs-more"),
        ("price: 2, record: { n: query/n }", "price: { per: [{ query: n, cost: 1 }] }", row(record={"n": "7"}), 7),
        ("price: 2, record: { n: query/n }", "price: { per: [{ query: n, cost: 1 }] }", row(record={"n": "x"}), "refused"),
        ("price: 2, record: { n: query/n }", "price: { per: [{ query: n, cost: 1, default: 3 }] }", row(), "price-needs-more"),
        ("price: { per: [{ query: n, cost: 1, default: 2 }] }", "price: { per: [{ query: n, cost: 4, default: 2 }] }", row(units=[2]), 8),
        ("price: { per: [{ query: n, cost: 1, default: 2 }] }", "price: { per: [{ query: n, cost: 4, default: 3 }] }", row(units=[2]), "default-changed"),
        ("price: { per: [{ query: n, cost: 1, default: 2 }] }", "price: { per: [{ query: n, cost: 4, default: 3 }] }", row(units=[5]), 20),
        ("price: { per: [{ query: n, cost: 1 }] }", "price: { per: [{ query: n, cost: 4 }] }", row(units=None, state=ChargeState.LATE), "units-not-recorded"),
        ("price: { hold: 9, settle: { response: /n, cost: 1 } }", "price: { hold: 9, settle: { response: /n, cost: 2 } }", row(measured=[3]), 6),
        ("price: { hold: 9, settle: { response: /n, cost: 1 } }", "price: { hold: 5, settle: { response: /n, cost: 2 } }", row(measured=[3]), 5),
        ("price: { hold: 9, settle: { response: /n, cost: 1 } }", "price: { hold: 9, settle: { response: /n, cost: 2 }, missing: 4 }", row(measured=[None], reason=Reason.USAGE_MISSING), 4),
        ("price: { hold: 9, settle: { response: /n, cost: 1 } }", "price: { hold: 9, settle: { response: /n, cost: 1, default: 3 } }", row(measured=[None], reason=Reason.USAGE_MISSING), "default-changed"),
        ("price: { hold: 9, settle: { response: /n, cost: 1, default: 3 } }", "price: { hold: 9, settle: { response: /n, cost: 2, default: 4 }, missing: 8 }", row(measured=[None], reason=Reason.USAGE_MISSING), 8),
        ("price: { per: [{ request_bytes: true, cost: 1 }], max: 9 }", "price: { per: [{ request_bytes: true, cost: 2 }], max: 9 }", row(measured=[3]), 6),
        ("price: { per: [{ request_bytes: true, cost: 1 }], max: 9 }", "price: { per: [{ request_bytes: true, cost: 2 }] }", row(units=[3]), 6),
        ("price: { per: [{ request_bytes: true, cost: 1 }], max: 9 }", "price: { per: [{ request_bytes: true, cost: 2 }] }", row(measured=[3]), "refused"),
        (UPLOAD % 1, UPLOAD % 2, row(units=[5], measured=[3]), 10),
        (UPLOAD % 1, UPLOAD % 2, row(measured=[5, 3]), 9),
        (BODY, "price: { per: [{ request_bytes: true, cost: 2 }] }", row(units=[1, 7]), "price-needs-more"),
        (BODY, "price: { per: [{ request_bytes: true, cost: 2 }], max: 90 }", row(units=[1, 7]), 14),
        (METERED % (1, "delivered"), METERED % (2, "void"), row(measured=[12], reason=Reason.UNCOLLECTED), "ending-unclear"),
        (METERED % (1, "delivered"), METERED % (2, "delivered"), row(measured=[12], reason=Reason.UNCOLLECTED), 9),
        (METERED % (1, "delivered"), METERED % (2, "void"), row(measured=[2], reason=Reason.CUT_DELIVERED), 0),
        (METERED % (1, "void"), METERED % (2, "delivered"), row(state=ChargeState.VOID, reason=Reason.UPSTREAM_CUT, due=0), "units-not-recorded"),
        ("price: 2", "price: 5, websocket: true", row(), "route-unclear"),
        (SECONDS % 2, SECONDS % 3, row(measured=[60_000], status=101), 3),
        (OPENED % (5, 1), OPENED % (6, 2), row(measured=[1, 60_001], status=101), 8),
        (OPENED % (5, 1), OPENED % (6, 2), row(measured=[0, 60_001], status=101, note="continues 00"), 2),
        (SECONDS % 2, SECONDS % 3, row(measured=[30_000], status=101, note="continues 00"), 2),
        (SECONDS % 2, "websocket: true, price: { hold: 9, per: [{ seconds: true, unit: 60, cost: 3 }] }", row(measured=[60_000], status=101), "slices"),
        ("price: 2, observe: true", "price: 5", row(state=ChargeState.OBSERVED, reason=None, held=2, due=0), 5),
        ("price: 2, observe: true", "price: 5", row(state=ChargeState.OBSERVED, reason=None, held=0, due=0), 0),
        (METERED % (1, "void, observe: true"), METERED % (2, "delivered"), row(state=ChargeState.OBSERVED, reason=None, held=0, due=0, measured=[5]), "ending-unclear"),
        (METERED % (1, "void, observe: true"), METERED % (2, "delivered"), row(state=ChargeState.OBSERVED, reason=None, held=4, due=0, measured=[4]), 8),
        ("price: 2, observe: true", "price: 5", row(account_id=None, state=ChargeState.OBSERVED, reason=None, held=2, due=0), "without-key"),
    ],
)  # fmt: skip
def test_a_charge_is_repriced_or_says_why_not(
    old: str, new: str, charge: Recorded, expected: int | str
) -> None:
    assert repriced(old, new, charge) == expected


def test_a_segment_is_known_by_its_place_not_by_its_name() -> None:
    """What two files call `a` need not be the same."""
    price = "price: { per: [{ path: %s, cost: 1 }] }"
    old = routes("path: '/x/{a}/{b}', " + price % "a")
    for path, name, expected in (("{b}/{a}", "b", 7), ("{b}/{a}", "a", "price-needs-more")):
        new = routes(f"path: '/x/{path}', " + price % name)
        repricing = Repricing(old.routes[0], HeirFinder(old, new).of(old.routes[0]))
        assert found(repricing, row(units=[7], due=7)) == expected


def test_endings_are_played_by_the_table_of_the_gateway() -> None:
    """Every ending there is, with a price for everything that is known before the call."""
    prices = routes("path: /x, price: 2"), routes("path: /x, price: 3")
    for end in End:
        for status in (0, 200, 404):
            played = Played("GET", "/x", b"", (), b"", True, end, status, (), b"", 1)
            was = charged(prices[0], played)
            assert was.row is not None
            assert was.route is not None
            amount = Repricing(was.route, HeirFinder(*prices).of(was.route)).reprice(was.row).amount
            assert amount == charged(prices[1], played).captured


def test_every_reason_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "prices.md").read_text("utf-8")
    assert [code for code in WHY if f"| `{code}` |" not in text] == []
