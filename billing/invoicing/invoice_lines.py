"""
What the lines of a paid subscription invoice are worth, in credits. Computes only.

A line for a whole period gives all its credits. A line that is a proration gives the share that
was paid: the net of all of them, at the rate of the newest package, so that an upgrade in the
middle of a period never gives a second full allowance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing.errors import Quarantined
from billing.packages.offers import Offer

WHOLE_PERIOD = frozenset({"subscription_create", "subscription_cycle", "subscription"})
"""Billing reasons under which a line that is no proration buys a period. Any other reason (an
update, a resumption, one Stripe adds some day) is paid for by the share, which is the same for a
full price and never too much for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line of an invoice, and the package its price stands for.

    Attributes:
        id: il_.
        amount_minor: Before discounts and tax; negative gives money back.
        discount_minor: Taken off `amount_minor`.
        unit_minor: What one of `offer` costs for a period.
        proration: For a part of a period.

    """

    id: str
    amount_minor: int
    discount_minor: int
    quantity: int
    unit_minor: int
    proration: bool
    period_start: datetime
    period_end: datetime
    offer: Offer


@dataclass(frozen=True, slots=True)
class Due:
    """
    What a line gives.

    Attributes:
        credits: Smallest units of the credit type of `offer`, at least 1.
        expires_at: With the period, or earlier where the package says so.
        trial: Given for beginning a trial: once per account and package.

    """

    line_id: str
    offer: Offer
    credits: int
    expires_at: datetime
    trial: bool = False


def due(billing_reason: str, lines: Sequence[Line]) -> list[Due]:
    """
    Return what a paid invoice gives, line by line; nothing for lines that give nothing.

    Raises:
        Quarantined: A line for a whole period does not cost what its package costs.

    """
    whole = [line for line in lines if billing_reason in WHOLE_PERIOD and not line.proration]
    shares = [line for line in lines if line not in whole]
    given = {line.id: _whole(line) for line in whole}
    newest = max(
        (line for line in shares if line.amount_minor > 0),
        key=lambda line: line.period_start,
        default=None,
    )
    net_minor = sum(line.amount_minor - line.discount_minor for line in shares)
    if newest is not None and net_minor > 0:
        given[newest.id] = newest.offer.credits * net_minor // newest.unit_minor
    elif net_minor < 0:
        given = _less(given, whole, -net_minor)
    # A share of the last period may be paid with the next one: it must not be gone at once.
    last_end = max((line.period_end for line in lines), default=None)
    found = []
    for line in lines:
        trial = line.amount_minor == 0 and line.unit_minor > 0 and not line.proration
        amount = (line.offer.trial_credits or 0) if trial else given.get(line.id, 0)
        if amount > 0 and last_end is not None:
            end = expiry(line.offer, line.period_start, max(line.period_end, last_end))
            found.append(Due(line.id, line.offer, amount, end, trial))
    return found


def paid_anew(given: Sequence[Due], total_minor: int, from_balance_minor: int) -> list[Due]:
    """
    Return what is given when a part of the total was paid from the customer's balance at Stripe.

    A downgrade, or an end with proration, puts money there whose credits were given when it was
    first paid: it gives none again. The rest gives its share, rounded down.

    Args:
        given: What the invoice gives if all of it is paid anew; a trial stays as it is.
        total_minor: Of the invoice, with tax.
        from_balance_minor: Of that, paid from the balance.

    """
    if from_balance_minor <= 0:
        return list(given)
    anew_minor = total_minor - from_balance_minor
    shares = (
        one if one.trial else replace(one, credits=one.credits * anew_minor // total_minor)
        for one in given
    )
    return [one for one in shares if one.credits > 0]


def expiry(offer: Offer, start: datetime, period_end: datetime) -> datetime:
    """Return when credits for a period end: with it, or earlier where the package says so."""
    if offer.expires_ms is None:
        return period_end
    return min(period_end, start + timedelta(milliseconds=offer.expires_ms))


def _whole(line: Line) -> int:
    free = line.amount_minor <= line.discount_minor
    if line.amount_minor == 0 and line.unit_minor > 0:
        return 0  # a trial's
    if line.amount_minor != line.unit_minor * line.quantity:
        raise Quarantined(
            f"invoice line {line.id} is over {line.amount_minor}, and {line.quantity} of package "
            f"{line.offer.name} cost {line.unit_minor * line.quantity}"
        )
    amount = line.offer.credits * line.quantity
    if line.offer.discounted == "share" and line.amount_minor > 0:
        amount = amount * (line.amount_minor - line.discount_minor) // line.amount_minor
    elif free and not line.offer.allow_free:
        raise Quarantined(
            f"nothing was left to pay of invoice line {line.id}, and package {line.offer.name} "
            "does not allow that"
        )
    return amount


def _less(given: Mapping[str, int], whole: Sequence[Line], owed_minor: int) -> dict[str, int]:
    """Take off what a downgrade gave back in money: its credits were granted before."""
    left = dict(given)
    for line in whole:
        if line.amount_minor <= 0 or owed_minor <= 0:
            continue
        taken_minor = min(owed_minor, line.amount_minor)
        left[line.id] -= left[line.id] * taken_minor // line.amount_minor
        owed_minor -= taken_minor
    return left
