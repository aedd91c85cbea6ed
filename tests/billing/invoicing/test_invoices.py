"""What invoices of subscriptions give, through the stand-in on real stores."""

from datetime import timedelta
from typing import Any

import pytest

from billing import settling
from billing.errors import Quarantined
from billing.invoicing import invoices
from billing.purchases import sessions
from billing.shop import Shop
from config import PriceList, load_price_list
from tests.billing.conftest import (
    applied,
    buy,
    order_of,
    payments_of,
    posted,
    redis_away,
    rows,
)
from tests.billing.subscribing import PRICES, settle_all, subscribe, upgrade
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
def prices() -> PriceList:
    return load_price_list(PRICES, environ={})


async def test_the_first_invoice_gives_the_packages_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """They are a subscription's, and end when the period that was paid for ends."""
    order_id, subscription = await subscribe(shop, stripe_standin, account)

    settled = await invoices.settle(shop, subscription["latest_invoice"])

    assert (settled.outcome, settled.account_id) == ("granted", account)
    assert await applied(shop, account) == {"credits": 500}
    (payment,) = await payments_of(shop, order_id)
    assert (payment.source, payment.object_id) == ("invoice", subscription["latest_invoice"])
    assert (payment.paid_minor, payment.charge_id is None, payment.fee_minor) == (2000, False, 88)
    assert payment.invoice_url is not None
    assert payment.invoice_pdf is not None
    assert (await order_of(shop, order_id)).state == "paid"
    (grant,) = await rows(shop, "SELECT kind, expires_ms FROM grants")
    assert grant["kind"] == "subscription"
    end = subscription["items"]["data"][0]["current_period_end"]
    assert grant["expires_ms"] == end * 1000


async def test_a_repeat_in_any_order_gives_nothing_more(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Invoice, its payment, the session and the subscription all tell of one payment."""
    order_id, subscription = await subscribe(shop, stripe_standin, account)
    invoice = subscription["latest_invoice"]
    (inpay,) = stripe_standin.world.every("invoice_payment")
    (session,) = stripe_standin.world.every("checkout.session")

    for kind, thing in [
        ("invoice_payment", inpay["id"]),
        ("invoice", invoice),
        ("subscription", subscription["id"]),
        ("checkout.session", session["id"]),
        ("invoice", invoice),
        ("payment_intent", inpay["payment"]["payment_intent"]),
        ("charge", next(stripe_standin.world.every("charge"))["id"]),
    ]:
        await settling.settle(shop, kind, thing)

    assert await applied(shop, account) == {"credits": 500}
    assert len(await payments_of(shop, order_id)) == 1


async def test_who_settles_what_another_has_booked_answers_when_redis_has_it(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    _, subscription = await subscribe(shop, stripe_standin, account)
    with redis_away(shop):
        settled = await invoices.settle(shop, subscription["latest_invoice"])
        assert settled.outcome == "granted"
    assert await posted(shop, account) == {}

    settled = await invoices.settle(shop, subscription["latest_invoice"])

    assert settled.outcome == "unchanged"
    assert await posted(shop, account) == {"credits": 500}


async def test_a_renewal_gives_again(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Each period's invoice gives once, also when it is heard of before the first."""
    order_id, subscription = await subscribe(shop, stripe_standin, account, ordered=2)
    first = subscription["latest_invoice"]
    second = stripe_standin.renew(subscription["id"])["id"]

    for invoice in (second, first, second, first):
        await invoices.settle(shop, invoice)

    granted = await rows(shop, "SELECT amount FROM grants ORDER BY id")
    assert [row["amount"] for row in granted] == [1000, 1000]
    assert {one.object_id for one in await payments_of(shop, order_id)} == {first, second}


async def test_credits_end_with_the_package_if_that_is_sooner(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Seven days of a month."""
    _, subscription = await subscribe(shop, stripe_standin, account, "short")
    await settle_all(shop, stripe_standin)

    (grant,) = await rows(shop, "SELECT expires_ms FROM grants")
    start = subscription["items"]["data"][0]["current_period_start"]
    assert grant["expires_ms"] == (start + 7 * 86400) * 1000


async def test_a_trial_gives_its_credits_once_per_account_and_package(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A second trial of the same package begins, and gives nothing."""
    order_id, subscription = await subscribe(shop, stripe_standin, account, "trial")
    await settle_all(shop, stripe_standin)
    await settle_all(shop, stripe_standin)
    assert await applied(shop, account) == {"credits": 50}
    (payment,) = await payments_of(shop, order_id)
    assert (payment.paid_minor, payment.payment_intent_id) == (0, None)

    await shop.stripe.v1.subscriptions.cancel_async(subscription["id"])
    await subscribe(shop, stripe_standin, account, "trial")
    await settle_all(shop, stripe_standin)

    assert await applied(shop, account) == {"credits": 50}


async def test_the_first_paid_period_after_a_trial_gives_all_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The trial's credits came on top."""
    _, subscription = await subscribe(shop, stripe_standin, account, "trial")
    await settle_all(shop, stripe_standin)

    stripe_standin.renew(subscription["id"])
    await settle_all(shop, stripe_standin)

    granted = await rows(shop, "SELECT amount FROM grants ORDER BY id")
    assert [row["amount"] for row in granted] == [50, 500]


async def test_an_upgrade_in_mid_period_gives_the_share_that_was_paid(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Half a period at a price 4000 higher, at 2000 credits for 6000: about 667, not 2000."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await settle_all(shop, stripe_standin)
    item = subscription["items"]["data"][0]
    end = item["current_period_end"]
    stripe_standin.advance((end - item["current_period_start"]) / 2)

    await upgrade(shop, subscription)
    for _ in range(2):
        await settle_all(shop, stripe_standin)

    invoice = stripe_standin.world.objects[subscription["latest_invoice"]]
    granted = await rows(shop, "SELECT amount, expires_ms FROM grants ORDER BY id")
    assert [row["amount"] for row in granted] == [500, 2000 * invoice["total"] // 6000]
    assert 665 <= granted[1]["amount"] <= 668
    assert granted[1]["expires_ms"] == end * 1000


async def test_an_upgrade_billed_with_the_renewal_gives_both(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The renewal's whole allowance, and the share of the last period that is still paid for."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    item = subscription["items"]["data"][0]
    stripe_standin.advance((item["current_period_end"] - item["current_period_start"]) / 2)
    await upgrade(shop, subscription, proration_behavior="create_prorations")

    invoice = stripe_standin.renew(subscription["id"])
    await settle_all(shop, stripe_standin)

    shares = sum(line["amount"] for line in invoice["lines"]["data"][:2])
    granted = await rows(shop, "SELECT amount, expires_ms FROM grants ORDER BY id")
    assert sorted(row["amount"] for row in granted) == sorted([500, 2000 * shares // 6000, 2000])
    ends = {row["expires_ms"] for row in granted[1:]}
    assert ends == {subscription["items"]["data"][0]["current_period_end"] * 1000}


async def test_a_downgrade_gives_nothing_and_takes_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The invoice is over less than nothing; what was paid for stays."""
    order_id, subscription = await subscribe(shop, stripe_standin, account)

    await upgrade(shop, subscription, amount=10, minor=100)
    await settle_all(shop, stripe_standin)

    assert await applied(shop, account) == {"credits": 500}
    assert [one.paid_minor for one in await payments_of(shop, order_id)] == [2000, 0]


async def test_what_a_downgrade_gave_back_pays_for_no_credits_a_second_time(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """They were given with the invoice that was paid; a renewal gives what is paid anew."""
    order_id, subscription = await subscribe(shop, stripe_standin, account)
    await upgrade(shop, subscription, amount=100, minor=1500)
    for _ in range(2):
        stripe_standin.renew(subscription["id"])
    await settle_all(shop, stripe_standin)

    paid = [one.paid_minor for one in await payments_of(shop, order_id)]
    granted = await rows(shop, "SELECT amount FROM grants ORDER BY id")
    assert sorted(paid) == [0, 1000, 1500, 2000]
    assert sorted(row["amount"] for row in granted) == [66, 100, 500]


async def test_a_new_subscription_paid_with_what_an_old_one_left_gives_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    _, first = await subscribe(shop, stripe_standin, account)
    await settle_all(shop, stripe_standin)
    customer = stripe_standin.world.objects[first["customer"]]
    customer["balance"] = -2000

    _, second = await subscribe(shop, stripe_standin, account)
    settled = await invoices.settle(shop, second["latest_invoice"])

    assert settled.outcome == "updated"
    assert await applied(shop, account) == {"credits": 500}


async def test_a_discount_leaves_all_credits_or_their_share(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """As the package says."""
    coupon = await shop.stripe.v1.coupons.create_async({"percent_off": 25, "duration": "once"})
    promotion = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "QUARTER"}
    await shop.stripe.v1.promotion_codes.create_async(promotion)

    await subscribe(shop, stripe_standin, account, promotion_code="QUARTER")
    await subscribe(shop, stripe_standin, account, "shared", promotion_code="QUARTER")
    await settle_all(shop, stripe_standin)

    granted = await rows(shop, "SELECT amount FROM grants ORDER BY id")
    assert [row["amount"] for row in granted] == [500, 375]


async def test_nothing_to_pay_is_for_a_person_to_decide(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A promotion over everything gives nothing by itself where the package does not say so."""
    coupon = await shop.stripe.v1.coupons.create_async({"percent_off": 100, "duration": "once"})
    promotion = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FREE"}
    await shop.stripe.v1.promotion_codes.create_async(promotion)
    _, subscription = await subscribe(shop, stripe_standin, account, promotion_code="FREE")

    with pytest.raises(Quarantined, match="nothing was left to pay"):
        await invoices.settle(shop, subscription["latest_invoice"])

    assert await rows(shop, "SELECT FROM grants") == []


async def test_a_failed_renewal_gives_nothing_and_is_told_once_for_each_try(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """With the page on which it can be paid; paid there, it gives what it should."""
    order_id, subscription = await subscribe(shop, stripe_standin, account)
    await settle_all(shop, stripe_standin)
    stripe_standin.change_card(subscription["id"], "4000000000000341")
    invoice = stripe_standin.renew(subscription["id"])

    for _ in range(2):
        assert (await invoices.settle(shop, invoice["id"])).outcome in {"updated", "unchanged"}
    stripe_standin.advance(3 * 86400 + 1)
    await invoices.settle(shop, invoice["id"])

    told = await rows(
        shop, "SELECT key, payload FROM billing.notices WHERE kind = 'payment_failed' ORDER BY id"
    )
    assert [row["key"] for row in told] == [f"{invoice['id']}:1", f"{invoice['id']}:2"]
    assert told[0]["payload"]["retry_url"] == invoice["hosted_invoice_url"]
    assert told[0]["payload"]["amount_minor"] == 2000
    assert len(await payments_of(shop, order_id)) == 1
    stripe_standin.pay_invoice(invoice["id"])
    assert (await invoices.settle(shop, invoice["id"])).outcome == "granted"


async def test_a_given_up_invoice_closes_without_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Void and uncollectible gave nothing, so nothing is taken back."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    await settle_all(shop, stripe_standin)
    stripe_standin.change_card(subscription["id"], "4000000000000341")
    invoice = stripe_standin.renew(subscription["id"])["id"]

    await shop.stripe.v1.invoices.mark_uncollectible_async(invoice)
    assert (await invoices.settle(shop, invoice)).outcome == "closed"
    await shop.stripe.v1.invoices.void_invoice_async(invoice)
    assert (await invoices.settle(shop, invoice)).outcome == "closed"

    assert len(await rows(shop, "SELECT FROM grants")) == 1


async def test_an_invoice_paid_outside_of_stripe_gives_credits(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A bank transfer the operator noted in the dashboard is money too; it has no intent."""
    order_id, subscription = await subscribe(shop, stripe_standin, account)
    stripe_standin.change_card(subscription["id"], "4000000000000341")
    invoice = stripe_standin.renew(subscription["id"])["id"]
    await shop.stripe.v1.invoices.pay_async(invoice, {"paid_out_of_band": True})

    assert (await invoices.settle(shop, invoice)).outcome == "granted"

    (payment,) = await payments_of(shop, order_id)
    assert (payment.paid_minor, payment.payment_intent_id) == (2000, None)


async def test_a_paused_subscription_gives_nothing_until_it_is_resumed(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Resumed at once it has a new period, less what was left: together one allowance."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    v1 = shop.stripe.v1.subscriptions
    item = subscription["items"]["data"][0]
    stripe_standin.advance((item["current_period_end"] - item["current_period_start"]) / 2)
    await v1.pause_async(subscription["id"])
    stripe_standin.advance(90 * 86400)
    await settle_all(shop, stripe_standin)
    assert [row["amount"] for row in await rows(shop, "SELECT amount FROM grants")] == [500]

    await v1.resume_async(subscription["id"], {"payment_behavior": "resume_on_payment_success"})
    await settle_all(shop, stripe_standin)

    first, second = await rows(shop, "SELECT amount FROM grants ORDER BY id")
    assert (first["amount"], second["amount"] in (249, 250)) == (500, True)


async def test_a_late_invoice_gives_credits_a_whole_period_to_live(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Heard of two periods too late, credits that were paid for are not gone."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    line = stripe_standin.world.objects[subscription["latest_invoice"]]["_lines"][0]
    line["period"] = {key: at - 90 * 86400 for key, at in line["period"].items()}

    await settle_all(shop, stripe_standin)

    (grant,) = await rows(shop, "SELECT expires_at - now() AS left FROM billing.payment_grants")
    lasts = timedelta(seconds=line["period"]["end"] - line["period"]["start"])
    assert timedelta(0) <= lasts - grant["left"] < timedelta(minutes=1)


async def test_a_credit_notes_refund_takes_its_share_back(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """A quarter of the money, a quarter of the credits, however often it is told."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    invoice = subscription["latest_invoice"]
    await invoices.settle(shop, invoice)
    note = await shop.stripe.v1.credit_notes.create_async(
        {"invoice": invoice, "refund_amount": 500, "amount": 500}
    )

    for _ in range(2):
        await invoices.settle_credit_note(shop, note.id)

    assert await applied(shop, account) == {"credits": 375}


async def test_an_invoice_refunded_before_it_is_heard_of_gives_what_is_left(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Granted and taken back in one go."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    (charge,) = stripe_standin.world.every("charge")
    await shop.stripe.v1.refunds.create_async({"charge": charge["id"], "amount": 1000})

    await invoices.settle(shop, subscription["latest_invoice"])

    assert await applied(shop, account) == {"credits": 250}


async def test_the_invoice_of_a_purchase_gives_only_links(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """The session gives the credits; its invoice, before or after, adds none."""
    started = await buy(shop, account, "single")
    stripe_standin.pay(started.session_id)
    (invoice,) = stripe_standin.world.every("invoice")

    assert (await invoices.settle(shop, invoice["id"])).outcome == "waiting"
    await sessions.settle(shop, started.session_id)
    await invoices.settle(shop, invoice["id"])

    assert await applied(shop, account) == {"credits": 100}
    (payment,) = await payments_of(shop, started.order_id)
    assert payment.invoice_pdf == invoice["invoice_pdf"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line.update(amount=1), "cost 2000"),
        (lambda line: line.update(pricing=None), "has no price"),
    ],
)
async def test_a_line_that_does_not_fit_gives_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int, change: Any, said: str
) -> None:
    """Another amount than the package costs, or no price: a person decides."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    change(stripe_standin.world.objects[subscription["latest_invoice"]]["_lines"][0])

    with pytest.raises(Quarantined, match=said):
        await invoices.settle(shop, subscription["latest_invoice"])

    assert await rows(shop, "SELECT FROM grants") == []


async def test_a_price_nobody_knows_gives_nothing(
    shop: Shop, stripe_standin: RunningStandIn, account: int
) -> None:
    """Somebody changed the subscription to a product without credits."""
    _, subscription = await subscribe(shop, stripe_standin, account)
    price = await shop.stripe.v1.prices.create_async(
        {
            "product_data": {"name": "Consulting"},
            "currency": "usd",
            "unit_amount": 9000,
            "recurring": {"interval": "month"},
        }
    )
    item = subscription["items"]["data"][0]["id"]
    await shop.stripe.v1.subscriptions.update_async(
        subscription["id"],
        {"items": [{"id": item, "price": price.id}], "proration_behavior": "always_invoice"},
    )

    with pytest.raises(Quarantined, match="belongs to no package"):
        await invoices.settle(shop, subscription["latest_invoice"])


async def test_invoices_of_others_are_ignored(shop: Shop, stripe_standin: RunningStandIn) -> None:
    """Another product of the same Stripe account, and one that is not there."""
    v1 = shop.stripe.v1
    customer = await v1.customers.create_async({"email": "other@example.com"})
    method = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    price = await v1.prices.create_async(
        {
            "product_data": {"name": "Other"},
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
        }
    )
    subscription = await v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "default_payment_method": method.id,
        }
    )

    for invoice in (subscription.latest_invoice, "in_missing"):
        assert (await invoices.settle(shop, invoice)).outcome == "ignored"
