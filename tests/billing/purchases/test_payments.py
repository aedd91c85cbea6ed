"""billing/purchases/payments.py: a payment is booked once, together with its credits or not at all."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.errors import Quarantined
from billing.ids import new_id
from billing.packages import catalogue
from billing.purchases import orders, payments
from billing.purchases.orders import Order
from billing.purchases.payments import GrantDraft, Payment, PaymentDraft
from billing.shop import Shop
from config import LARGEST_AMOUNT
from tests.billing.conftest import applied, payments_of, rows

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)


@pytest.fixture
async def order(shop: Shop, account: int) -> Order:
    async with shop.ledger.database.connection() as connection:
        return await orders.create(
            connection,
            order_id=new_id("ord", shop.random_bytes),
            account_id=account,
            livemode=False,
            kind="subscription",
            offer=await catalogue.offer(shop, connection, "starter"),
            currency="usd",
            quantity=1,
        )


def draft(order: Order, **fields: Any) -> PaymentDraft:
    values: dict[str, Any] = {
        "order": order,
        "source": "invoice",
        "object_id": "in_1",
        "currency": "usd",
        "quantity": 1,
        "subtotal_minor": 1000,
        "paid_minor": 1190,
        "tax_minor": 190,
        "paid_at": NOW,
    }
    return PaymentDraft(**values | fields)


def grant(order: Order, object_id: str = "il_1", **fields: Any) -> GrantDraft:
    values: dict[str, Any] = {
        "object_id": object_id,
        "credit_type_id": order.credit_type_id,
        "credits": 100,
        "kind": "subscription",
    }
    return GrantDraft(**values | fields)


async def book(shop: Shop, a_draft: PaymentDraft, *grants: GrantDraft) -> Payment | None:
    async with shop.ledger.database.transaction() as connection:
        await orders.lock(connection, a_draft.order.id)
        return await payments.book(connection, a_draft, grants)


async def expiry_of(shop: Shop) -> datetime:
    [row] = await rows(shop, "SELECT expires_at FROM billing.payment_grants")
    return row["expires_at"]


async def test_a_payment_and_its_grants_are_booked_together(
    shop: Shop, account: int, order: Order
) -> None:
    payment = await book(shop, draft(order), grant(order), grant(order, "il_2", credits=20))

    assert payment is not None
    assert [payment] == await payments_of(shop, order.id)
    async with shop.ledger.database.connection() as connection:
        given = await payments.grants_of(connection, payment.id)
    assert [(one.object_id, one.credits, one.clawed) for one in given] == [
        ("il_1", 100, 0),
        ("il_2", 20, 0),
    ]
    assert await applied(shop, account) == {"credits": 120}
    asked = await rows(shop, "SELECT source, source_id FROM control_requests ORDER BY source_id")
    assert asked == [
        {"source": "invoice_line", "source_id": "il_1"},
        {"source": "invoice_line", "source_id": "il_2"},
    ]


async def test_a_payment_that_is_booked_is_not_booked_again(
    shop: Shop, account: int, order: Order
) -> None:
    await book(shop, draft(order), grant(order))

    assert await book(shop, draft(order), grant(order)) is None
    assert await applied(shop, account) == {"credits": 100}


async def test_what_the_ledger_cannot_take_undoes_the_payment(shop: Shop, order: Order) -> None:
    with pytest.raises(Quarantined, match="the ledger cannot take the credits"):
        await book(shop, draft(order), grant(order), grant(order, "il_2", credits=LARGEST_AMOUNT))

    assert await payments_of(shop, order.id) == []
    assert await rows(shop, "SELECT 1 FROM grants") == []


async def test_credits_live_until_the_end_that_was_paid_for(shop: Shop, order: Order) -> None:
    until = NOW + timedelta(days=12)

    await book(shop, draft(order), grant(order, expires_at=until))

    assert await expiry_of(shop) == until


@pytest.mark.parametrize(
    ("paid_ago", "lasts", "expected"),
    [
        (40, None, 30),  # from when it was paid to its end, counted from now on
        (5, 31, 31),  # paid after its end: as long as it says itself
        (5, None, 30),
    ],
)
async def test_credits_that_come_after_their_end_still_live(
    shop: Shop, order: Order, paid_ago: int, lasts: int | None, expected: int
) -> None:
    late = grant(
        order,
        expires_at=NOW - timedelta(days=10),
        lasts=None if lasts is None else timedelta(days=lasts),
    )

    await book(shop, draft(order, paid_at=NOW - timedelta(days=paid_ago)), late)

    booked = datetime.now(UTC)  # NOW may be minutes ago
    left = await expiry_of(shop) - booked
    assert timedelta(days=expected, minutes=-5) <= left <= timedelta(days=expected)


async def test_what_was_not_known_is_completed_and_what_is_known_stays(
    shop: Shop, order: Order
) -> None:
    payment = await book(shop, draft(order, charge_id="ch_1"), grant(order))
    assert payment is not None
    async with shop.ledger.database.connection() as connection:
        new = await payments.fill(
            connection, payment.id, charge_id="ch_2", fee_minor=59, fee_currency="eur"
        )
        again = await payments.fill(
            connection, payment.id, charge_id="ch_2", fee_minor=60, fee_currency="usd"
        )
        now = await payments.get(connection, payment.id)

    assert now is not None
    assert (new, again) == (True, False)
    assert (now.charge_id, now.fee_minor, now.fee_currency) == ("ch_1", 59, "eur")


async def test_a_payment_is_found_by_all_its_names_in_its_own_mode(
    shop: Shop, order: Order
) -> None:
    payment = await book(
        shop,
        draft(order, payment_intent_id="pi_1", charge_id="ch_1", invoice_id="in_9"),
        grant(order),
    )
    async with shop.ledger.database.connection() as connection:
        for livemode, expected in ((False, payment), (True, None)):
            assert await payments.of_object(connection, livemode, "in_1") == expected
            assert await payments.of_payment_intent(connection, livemode, "pi_1") == expected
            assert await payments.of_charge(connection, livemode, "ch_1") == expected
            assert await payments.of_invoice(connection, livemode, "in_9") == expected
