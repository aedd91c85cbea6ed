"""
Charging a saved card without its owner, and finding out what came of it when nobody answered.

Every question for a try goes out under the same key, so that Stripe makes one PaymentIntent of
it, however often it is asked.
"""

import logging
from datetime import timedelta
from typing import Any

from billing.customer import cards, customers
from billing.errors import (
    BillingError,
    CardDeclined,
    Quarantined,
    StripeRefused,
    StripeUnavailable,
)
from billing.marks import marks
from billing.purchases import orders
from billing.purchases.orders import Order
from billing.shop import Shop
from billing.stripe_door import IDEMPOTENCY_ERROR, at, listed, translated
from billing.telling.alerts import raise_alert
from billing.topup import (
    open_checkouts,
    payment_intents,
    topup_attempts,
    topup_settings,
    topup_standing,
)
from billing.topup.declines import Failure, Pause
from billing.topup.topup_attempts import OPEN, Attempt, now
from ledger.outage import OUTAGE

log = logging.getLogger(__name__)

MOST_IN_A_RUN = 100

LOOK_AGAIN_AFTER = timedelta(minutes=1)
"""Longer than a call to Stripe with its retries takes: whoever asked has given up by then."""

REPLAYED_FOR = timedelta(hours=23)
"""Stripe keeps the answer to a key for 24 hours at least; within them the same key is harmless."""

SURELY_OVER = timedelta(hours=1)
"""After the last asking: no call is under way any more, and what the list lacks does not exist."""

_CLOCKS_DIFFER_S = 3_600
_PAUSED = Pause("The charge could not be made. We are looking into it.")
_ODD = Pause("A charge is not as it should be. We are looking into it.")


async def confirm(shop: Shop, attempt: Attempt, order: Order) -> None:
    """
    Ask Stripe to charge, and book what it answers.

    Without an answer the try is left as unknown, for `look_again`. May be repeated for a day: it
    is the same charge.

    Raises:
        Quarantined: What Stripe made does not fit the order; the try stays open for a person.
        StripeRefused, StripeUnavailable: Something was made and could not be looked at; the try
            stays open, and is looked at again.

    """
    async with shop.ledger.database.connection() as connection:
        if not await topup_attempts.asked(connection, attempt):
            return
    intent = await _ask(shop, attempt, order)
    if intent is not None:
        await _book(shop, attempt, intent)


async def look_again(shop: Shop) -> int:
    """Find out what became of tries that nothing was heard of; return how many are known now."""
    async with shop.ledger.database.connection() as connection:
        overdue = await topup_attempts.overdue(
            connection, shop.livemode, LOOK_AGAIN_AFTER, MOST_IN_A_RUN
        )
    known = 0
    for attempt in overdue:
        try:
            known += await _look(shop, attempt)
        except StripeUnavailable as away:
            log.warning("top-up %s is still unknown: %s", attempt.id, away)
        except BillingError as odd:
            # A person has to look at this one; the others go on.
            await _alert(shop, attempt, str(odd))
        except OUTAGE:
            raise
        except Exception as fault:
            # So it is with a mistake of ours that only this one meets.
            log.exception("top-up %s could not be looked at", attempt.id)
            await _alert(shop, attempt, f"{type(fault).__name__}: {fault}")
    return known


async def _ask(shop: Shop, attempt: Attempt, order: Order) -> str | None:
    """Return the PaymentIntent that Stripe made, charged or declined; None if there is none yet."""
    try:
        with translated():
            intent = await shop.stripe.v1.payment_intents.create_async(
                _params(shop, attempt, order), {"idempotency_key": f"topup:{attempt.id}"}
            )
        return str(intent.id)
    except CardDeclined as declined:
        if declined.payment_intent_id:
            return declined.payment_intent_id
        failure = Failure(code=declined.code, decline_code=declined.decline_code)
        await _failed(shop, attempt, order, failure)
    except StripeRefused as refused:
        if refused.code == IDEMPOTENCY_ERROR:
            # The key was used with other parameters: something may have been made with those.
            await _alert(shop, attempt, str(refused))
            await _unknown(shop, attempt)
        else:
            await _refused(shop, attempt, order, refused)
    except StripeUnavailable as away:
        log.warning("top-up %s has no answer yet: %s", attempt.id, away)
        await _unknown(shop, attempt)
    return None


async def _look(shop: Shop, attempt: Attempt) -> bool:
    async with shop.ledger.database.connection() as connection:
        await topup_attempts.looked(connection, attempt)
        order = await orders.get(connection, attempt.order_id)
        at_present = await now(connection)
    age, quiet = at_present - attempt.created_at, at_present - attempt.updated_at
    assert order is not None, "orders are never deleted"
    intent = attempt.payment_intent_id or await _listed(shop, attempt, order)
    if intent is not None:
        try:
            await _book(shop, attempt, intent)
        except Quarantined as odd:
            await _put_aside(shop, attempt, str(odd))
    elif age < REPLAYED_FOR and await _still_wanted(shop, attempt, order):
        await confirm(shop, attempt, order)
    elif quiet > SURELY_OVER or attempt.asked_at is None:
        # One that was never asked is closed where asking begins with a look at its state.
        async with shop.ledger.database.transaction() as connection:
            await orders.lock(connection, order.id)
            await topup_attempts.absent(connection, attempt)
    async with shop.ledger.database.connection() as connection:
        after = await topup_attempts.of_order(connection, order.id)
    return after is not None and after.state not in OPEN


async def _still_wanted(shop: Shop, attempt: Attempt, order: Order) -> bool:
    """Whether the account would be charged just so today: much may have changed meanwhile."""
    stripe_account = await shop.stripe.account_id()
    async with shop.ledger.database.connection() as connection:
        top_up = await topup_settings.get(connection, attempt.account_id, shop.livemode)
        if top_up is None or not topup_standing.is_on(top_up, await now(connection)):
            return False
        standing = await topup_standing.of(connection, top_up)
        chargeable = await topup_settings.chargeable(
            connection, attempt.account_id, shop.livemode, stripe_account
        )
    agreed = (top_up.package, top_up.quantity, top_up.currency, top_up.amount_minor)
    if agreed != (order.package, order.quantity, attempt.currency, attempt.amount_minor):
        return False
    if chargeable != (order.customer_id, attempt.card):
        return False
    # The try itself is in what was charged this month.
    if not standing.due or standing.debt or standing.month_minor > top_up.most_minor_month:
        return False
    return await open_checkouts.closed(shop, attempt.account_id, top_up.package)


async def _listed(shop: Shop, attempt: Attempt, order: Order) -> str | None:
    params = {
        "customer": order.customer_id,
        "created": {"gte": int(attempt.created_at.timestamp()) - _CLOCKS_DIFFER_S},
    }
    async for intent in listed(shop.stripe.v1.payment_intents.list_async, params):
        if at(intent, "metadata.attempt") == attempt.id:
            return str(intent.id)
    return None


async def _book(shop: Shop, attempt: Attempt, intent: str) -> None:
    async with shop.ledger.database.connection() as connection:
        await topup_attempts.seen(connection, attempt, intent)
        # Its metadata, which leads home as well, can be wiped in the dashboard.
        await orders.link(connection, attempt.order_id, payment_intent_id=intent)
    await payment_intents.settle(shop, intent)


async def _put_aside(shop: Shop, attempt: Attempt, problem: str) -> None:
    """Leave what Stripe made to a person, and charge nothing more until the account asks again."""
    async with shop.ledger.database.transaction() as connection:
        order = await orders.lock(connection, attempt.order_id)
        assert order is not None, "orders are never deleted"
        await orders.move(
            connection, order.id, "quarantined", of=orders.UNFINISHED, problem=problem
        )
        failure = Failure(code="quarantined")
        await topup_attempts.failed(connection, attempt, order, failure, then=_ODD)
        await raise_alert(connection, "top-up", attempt.id, problem)


async def _refused(shop: Shop, attempt: Attempt, order: Order, refused: StripeRefused) -> None:
    """Pause: the request was wrong, because the card or customer is gone, or by our fault."""
    if customers.is_gone(refused) and order.customer_id is not None:
        await customers.forget(shop, order.customer_id)
    else:
        await cards.settle(shop, attempt.card)
    await _failed(shop, attempt, order, Failure(code=refused.code or "refused"), _PAUSED)
    await _alert(shop, attempt, str(refused))


async def _failed(
    shop: Shop, attempt: Attempt, order: Order, failure: Failure, then: Pause | None = None
) -> None:
    async with shop.ledger.database.transaction() as connection:
        await orders.lock(connection, order.id)
        await topup_attempts.failed(connection, attempt, order, failure, then=then)


async def _unknown(shop: Shop, attempt: Attempt) -> None:
    async with shop.ledger.database.connection() as connection:
        await topup_attempts.unknown(connection, attempt)


async def _alert(shop: Shop, attempt: Attempt, detail: str) -> None:
    async with shop.ledger.database.connection() as connection:
        await raise_alert(connection, "top-up", attempt.id, detail)


def _params(shop: Shop, attempt: Attempt, order: Order) -> dict[str, Any]:
    """Return what Stripe is asked: the same for every repeat, whatever happened meanwhile."""
    return {
        "amount": attempt.amount_minor,
        "currency": attempt.currency,
        "customer": order.customer_id,
        "payment_method": attempt.card,
        "confirm": True,
        "off_session": True,
        # Else it would wait for a buyer who is not there, unnoticed.
        "error_on_requires_action": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "description": f"{order.offer.title} (automatic top-up)",
        "metadata": {
            **marks(shop, order.id, order.account_id),
            "kind": payment_intents.TOPUP,
            "attempt": attempt.id,
        },
    }
