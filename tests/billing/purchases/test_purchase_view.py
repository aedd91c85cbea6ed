"""billing/purchases/purchase_view.py: buyers see their own purchases, and looking settles them."""

import pytest

from billing.errors import NoSuchObject
from billing.purchases import checkout
from billing.shop import Shop
from tests.billing.conftest import applied, buy, new_account, rows
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_an_open_purchase_shows_what_it_will_give_and_where_to_pay(
    shop: Shop, account: int
) -> None:
    started = await buy(shop, account, "business", quantity=2)

    shown = await checkout.show(shop, account, started.session_id)

    assert (shown.state, shown.credits, shown.quantity) == ("open", 2000, 2)
    assert (shown.amount_minor, shown.currency) == (16_000, "usd")
    assert shown.checkout_url == started.checkout_url
    assert (shown.title, shown.credit_type, shown.scale) == ("Business", "credits", 0)


async def test_coming_back_before_any_webhook_shows_a_paid_purchase(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account, "taxed")
    stripe_standin.pay(started.session_id)

    shown = await checkout.show(shop, account, started.session_id)

    assert (shown.state, shown.credits, shown.email) == ("paid", 100, "buyer@example.com")
    assert shown.amount_minor > 1000, "with tax"
    assert shown.payment_intent
    assert shown.receipt_url
    assert shown.invoice_url
    assert shown.invoice_pdf
    assert shown.checkout_url is None
    assert await applied(shop, account) == {"credits": 100}


@pytest.mark.parametrize(
    ("act", "word"),
    [("pay_slowly", "processing"), ("expire", "expired")],
)
async def test_other_ends_have_their_own_word(
    shop: Shop, account: int, stripe_standin: RunningStandIn, act: str, word: str
) -> None:
    started = await buy(shop, account)
    getattr(stripe_standin, act)(started.session_id)

    assert (await checkout.show(shop, account, started.session_id)).state == word


async def test_a_failed_payment_says_why(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay_slowly(started.session_id)
    stripe_standin.finish_payment(started.session_id, succeeds=False)

    shown = await checkout.show(shop, account, started.session_id)

    assert shown.state == "failed"
    assert shown.failure


async def test_what_does_not_fit_its_order_looks_like_a_review(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    await rows(shop, "UPDATE billing.orders SET unit_minor = 1")

    assert (await checkout.show(shop, account, started.session_id)).state == "review"


async def test_stripe_being_away_shows_what_is_known(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    stripe_standin.fault(kind="error_before", path="/v1/checkout/sessions/*", count=3)

    assert (await checkout.show(shop, account, started.session_id)).state == "open"


async def test_somebody_elses_purchase_is_not_there(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)

    with pytest.raises(NoSuchObject):
        await checkout.show(shop, await new_account(shop), started.session_id)

    assert await applied(shop, account) == {}, "and looking did nothing"


async def test_what_names_no_session_of_ours_never_reaches_stripe(shop: Shop, account: int) -> None:
    await shop.stripe.aclose()  # a call would fail in another way

    for name in ("", "cs_test_", "cs_test_1/line_items", "cs_test_unknown", "pi_1", "cs_test_1\n"):
        with pytest.raises(NoSuchObject):
            await checkout.show(shop, account, name)


async def test_whoever_holds_the_orders_token_sees_it_without_an_account(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)

    shown = await checkout.show_order(shop, started.order_id)

    assert (shown.account_id, shown.state) == (account, "paid")
    with pytest.raises(NoSuchObject):
        await checkout.show_order(shop, "ord_" + "0" * 24)
