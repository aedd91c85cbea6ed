"""billing/billing.py: selling is put together with what there is, and works without Stripe too."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from billing.billing import Billing
from billing.errors import SellingNotConfigured, StripeUnavailable
from billing.lacking import NO_HOOK, NO_KEY, NO_KEY_BUT_HOOK
from billing.purchases import checkout
from billing.purchases.checkout import Purchase
from billing.shop import Shop
from billing.telling.alerts import ErrorTally
from config import PriceList, Settings, SettingsError
from ledger.database import Database
from ledger.ledger import Ledger
from ledger.ports import SystemClock
from tests.billing.conftest import PAGES, applied, new_account, rows
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio

NOTICES = {"notices by mail", "notices to the operator", "low balances"}


@asynccontextmanager
async def selling(ledger: Ledger, prices: PriceList, **environ: str) -> AsyncIterator[Billing]:
    billing = await Billing.open(
        Settings.from_environment(environ),
        ledger,
        prices=lambda: prices,
        pages_url=PAGES,
        link_secret=b"a secret of the tests",
        clock=SystemClock(),
        random_bytes=os.urandom,
    )
    try:
        yield billing
    finally:
        await billing.aclose()


def with_stripe(standin: RunningStandIn, **more: str) -> dict[str, Any]:
    return {
        "STRIPE_SECRET_KEY": standin.key,
        "STRIPE_API_BASE": standin.url,
        "STRIPE_WEBHOOK_SECRET": "whsec_1,whsec_2",
        **more,
    }


async def test_without_a_key_everything_but_selling_is_there(
    ledger: Ledger, prices: PriceList
) -> None:
    async with selling(ledger, prices) as billing:
        assert billing.shop is None
        assert billing.warnings == (NO_KEY,)
        assert {job.name for job in billing.jobs()} == NOTICES
        with pytest.raises(SellingNotConfigured):
            billing.need()
        for job in billing.jobs():
            await job.run()


async def test_with_a_key_the_steward_does_everything(
    ledger: Ledger, prices: PriceList, stripe_standin: RunningStandIn
) -> None:
    async with selling(ledger, prices, **with_stripe(stripe_standin)) as billing:
        assert billing.warnings == ()
        assert {job.name for job in billing.jobs()} > NOTICES | {"inbox", "top-ups"}
        for job in billing.jobs():
            await job.run()
        assert billing.need().webhook_secrets == ("whsec_1", "whsec_2")


async def test_a_purchase_whose_webhooks_were_all_lost_is_found_by_the_steward(
    ledger: Ledger, prices: PriceList, stripe_standin: RunningStandIn
) -> None:
    async with selling(ledger, prices, **with_stripe(stripe_standin)) as billing:
        shop = billing.need()
        account = await new_account(shop)
        started = await checkout.start(shop, account, Purchase(package="starter"))
        stripe_standin.pay(started.session_id)

        jobs = {job.name: job for job in billing.jobs()}
        await jobs["reconciler: events"].run()
        await jobs["inbox"].run()

        assert await applied(shop, account) == {"credits": 100}


async def test_a_key_without_a_webhook_secret_works_and_says_what_is_missing(
    ledger: Ledger, prices: PriceList, stripe_standin: RunningStandIn
) -> None:
    given = with_stripe(stripe_standin, STRIPE_WEBHOOK_SECRET="")
    async with selling(ledger, prices, **given) as billing:
        assert billing.shop is not None
        assert billing.warnings == (NO_HOOK,)


async def test_a_webhook_secret_without_a_key_is_told_to_do_nothing(
    ledger: Ledger, prices: PriceList
) -> None:
    async with selling(ledger, prices, STRIPE_WEBHOOK_SECRET="whsec_1") as billing:
        assert billing.warnings == (NO_KEY_BUT_HOOK,)


async def test_stripe_is_not_asked_at_the_start(ledger: Ledger, prices: PriceList) -> None:
    nowhere = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_API_BASE": "http://127.0.0.1:9"}
    async with selling(ledger, prices, **nowhere) as billing:
        shop = billing.need()
        assert shop.livemode is False
        with pytest.raises(StripeUnavailable):
            await checkout.start(shop, await new_account(shop), Purchase(package="starter"))


async def test_errors_of_stripe_are_written_down_at_the_latest_at_the_end(
    ledger: Ledger, prices: PriceList
) -> None:
    nowhere = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_API_BASE": "http://127.0.0.1:9"}
    async with selling(ledger, prices, **nowhere) as billing:
        shop: Shop = billing.need()
        with pytest.raises(StripeUnavailable):
            await shop.stripe.account_id()

    assert await rows(shop, "SELECT type, times FROM billing.stripe_errors") == [
        {"type": "APIConnectionError", "times": 1}
    ]


async def test_a_fault_in_counting_errors_ends_neither_the_counting_nor_the_closing(
    ledger: Ledger, prices: PriceList, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_API_BASE": "http://127.0.0.1:9"}
    times = 0
    twice = asyncio.Event()

    async def faulty(self: ErrorTally, database: Database) -> None:
        nonlocal times
        times += 1
        if times == 2:
            twice.set()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(ErrorTally, "flush", faulty)
    monkeypatch.setattr("billing.billing.TALLY_S", 0.001)

    async with selling(ledger, prices, **nowhere):
        await asyncio.wait_for(twice.wait(), 10)


async def test_another_kind_of_key_is_refused_without_being_shown(
    ledger: Ledger, prices: PriceList
) -> None:
    with pytest.raises(SettingsError) as refused:
        async with selling(ledger, prices, STRIPE_SECRET_KEY="pk_test_hidden"):
            pass

    assert "STRIPE_SECRET_KEY" in str(refused.value)
    assert "hidden" not in str(refused.value)


async def test_closing_twice_is_harmless(
    ledger: Ledger, prices: PriceList, stripe_standin: RunningStandIn
) -> None:
    async with selling(ledger, prices, **with_stripe(stripe_standin)) as billing:
        await billing.aclose()
