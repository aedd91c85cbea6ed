"""
The daily pass: what was paid at Stripe and what was given here are compared, and told apart.

It settles nothing and corrects nothing: a difference is a mistake somewhere, and a person has to
see it before money or credits move. Each is an alert, counted again every day until it is gone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billing.marks import is_ours
from billing.money import money_text
from billing.reconciling.pass_report import Report
from billing.shop import Shop
from billing.stripe_door import at, ident, listed
from billing.telling import alerts
from ledger.database import Queries

LATE_AFTER = timedelta(minutes=30)
"""A payment younger than this may still be on its way to us, or a grant to Redis."""

LOOKED_BACK = timedelta(days=3)
"""As long as Stripe goes on delivering: what is missing after that will not come by itself."""

MOST_FOUND = 50
"""Alerts of one sort in one pass; beyond it the fault is general, and the count says so."""

_SQL = Queries("audit_pass", package="billing")


@dataclass(frozen=True, slots=True)
class Charge:
    """Money taken at Stripe, as far as it concerns us. Minor units of `currency`."""

    id: str
    payment_intent_id: str | None
    currency: str
    captured_minor: int
    ours: bool


@dataclass(frozen=True, slots=True)
class Booked:
    """A payment of ours. Minor units of `currency`."""

    object_id: str
    charge_id: str | None
    payment_intent_id: str | None
    currency: str
    paid_minor: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Something to tell: which alert, about what, and a sentence."""

    kind: str
    subject: str
    detail: str


async def run(shop: Shop, report: Report, start: datetime, now: datetime) -> None:
    """
    Compare both sides from `start`, or some days back, until a while ago.

    Raises:
        StripeUnavailable: No answer; what was found so far is told.
        OUTAGE: Postgres is away.

    """
    await _tell(shop, report, await _within_ours(shop, now))
    since, until = min(start, now - LOOKED_BACK), now - LATE_AFTER
    charges = await _charges(shop, since, until)
    report.looked_at += len(charges)
    booked = await _booked(shop, charges, since, until)
    await _tell(shop, report, differences(charges, booked))
    ours = _sums((each.currency, each.captured_minor) for each in charges if each.ours)
    for currency, minor in sorted(ours.items()):
        report.note(f"{money_text(minor, currency)} taken at Stripe for us")


def differences(charges: Sequence[Charge], booked: Sequence[Booked]) -> list[Difference]:
    """
    Return what does not fit between charges at Stripe and payments here.

    A charge counts if it carries our mark or stands behind a payment; the rest is not ours.
    """
    by_charge = {each.charge_id: each for each in booked if each.charge_id}
    by_intent = {each.payment_intent_id: each for each in booked if each.payment_intent_id}
    found: list[Difference] = []
    met: list[Charge] = []
    alone = set(booked)
    for charge in charges:
        payment = by_charge.get(charge.id) or by_intent.get(charge.payment_intent_id or "")
        if payment is None and not charge.ours:
            continue
        met.append(charge)
        alone.discard(payment)
        found += _differs(charge, payment)
    for payment in sorted(alone, key=lambda each: each.object_id):
        money = money_text(payment.paid_minor, payment.currency)
        detail = f"{money} is booked here and Stripe has no charge for it."
        found.append(Difference("payment-without-charge", payment.object_id, detail))
    taken = _sums((each.currency, each.captured_minor) for each in met)
    given = _sums((each.currency, each.paid_minor) for each in booked)
    for currency in sorted(taken.keys() | given.keys()):
        if taken[currency] != given[currency]:
            there, here = (money_text(sums[currency], currency) for sums in (taken, given))
            detail = f"{there} taken at Stripe, {here} booked here."
            found.append(Difference("sums-differ", currency, detail))
    return found


def _differs(charge: Charge, payment: Booked | None) -> Iterable[Difference]:
    taken = money_text(charge.captured_minor, charge.currency)
    if payment is None:
        detail = f"{taken} was taken at Stripe and nothing was given for it."
        yield Difference("charge-without-payment", charge.id, detail)
    elif (payment.paid_minor, payment.currency) != (charge.captured_minor, charge.currency):
        booked = money_text(payment.paid_minor, payment.currency)
        detail = f"{taken} was taken at Stripe, {booked} is booked here."
        yield Difference("charge-differs", charge.id, detail)


async def _within_ours(shop: Shop, now: datetime) -> list[Difference]:
    """Return what does not fit within our own tables."""
    found: list[Difference] = []
    async with shop.ledger.database.connection() as connection:
        for row in await connection.fetch(_SQL.paid_without_payment, shop.livemode, MOST_FOUND):
            detail = "The order is paid, and no payment is booked for it."
            found.append(Difference("order-without-payment", row["id"], detail))
        for row in await connection.fetch(_SQL.without_grant, shop.livemode, MOST_FOUND):
            detail = "A payment is booked, and no credits were given for it."
            found.append(Difference("payment-without-grant", row["object_id"], detail))
        given = await connection.fetch(_SQL.given_without_payment, now - LATE_AFTER, MOST_FOUND)
        for row in given:
            detail = f"Credits were given for {row['source']}, and no payment is booked for them."
            found.append(Difference("grant-without-payment", row["source_id"], detail))
        for row in await connection.fetch(_SQL.not_applied, now - LATE_AFTER, MOST_FOUND):
            detail = f"Redis has not applied what {row['source']} ordered."
            found.append(Difference("grant-not-applied", row["source_id"], detail))
        for row in await connection.fetch(_SQL.wrongly_clawed, shop.livemode, now, MOST_FOUND):
            detail = f"{row['clawed']} of {row['credits']} credits are taken back, not its share."
            found.append(Difference("reversal-differs", row["object_id"], detail))
    return found


async def _charges(shop: Shop, since: datetime, until: datetime) -> list[Charge]:
    """Return the charges behind the balance transactions of that time."""
    created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
    found = []
    # `payment` is Stripe's word for charges that are not by card.
    for kind in ("charge", "payment"):
        wanted = {"created": created, "type": kind, "expand": ["data.source"]}
        async for entry in listed(shop.stripe.v1.balance_transactions.list_async, wanted):
            charge = at(entry, "source")
            if at(charge, "object") == "charge":
                found.append(_read(shop, charge))
    return found


def _read(shop: Shop, charge: Any) -> Charge:
    return Charge(
        id=charge.id,
        payment_intent_id=ident(at(charge, "payment_intent")),
        currency=charge.currency,
        captured_minor=charge.amount_captured,
        ours=is_ours(shop, charge),
    )


async def _booked(
    shop: Shop, charges: Sequence[Charge], since: datetime, until: datetime
) -> list[Booked]:
    """Return the payments behind these charges, and those that must have one of them."""
    ids = [charge.id for charge in charges]
    intents = [charge.payment_intent_id for charge in charges if charge.payment_intent_id]
    async with shop.ledger.database.connection() as connection:
        rows = [
            *await connection.fetch(_SQL.of_charges, shop.livemode, ids, intents),
            *await connection.fetch(_SQL.paid_between, shop.livemode, since + LATE_AFTER, until),
        ]
    return list(dict.fromkeys(Booked(**row) for row in rows))


async def _tell(shop: Shop, report: Report, found: Sequence[Difference]) -> None:
    alerted: list[Difference] = []
    for each in found:
        report.outcomes[each.kind] += 1
        report.note(f"{each.subject}: {each.detail}")
        if report.outcomes[each.kind] <= MOST_FOUND:
            alerted.append(each)
    if report.dry_run:
        return
    async with shop.ledger.database.connection() as connection:
        for each in alerted:
            await alerts.raise_alert(connection, each.kind, each.subject, each.detail)


def _sums(amounts: Iterable[tuple[str, int]]) -> Counter[str]:
    """Add up minor units by currency."""
    sums = Counter[str]()
    for currency, minor in amounts:
        sums[currency] += minor
    return sums
