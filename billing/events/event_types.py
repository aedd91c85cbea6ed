"""
Which of Stripe's events are of use here, and which object an event is about.

An event comes in one of two shapes: a snapshot (`object` is `event`, the object's state rides
along and is not believed) or thin (`v2.core.event`, it only names the object). Each listed type
exists in both; the thin twin is called `v1.` and the type.
"""

import re
from collections.abc import Mapping
from typing import Any

EVENT_TYPES: tuple[str, ...] = (
    # A buyer's visit to Checkout: paid, paid by a slow method, or come to nothing.
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    # Tries to pay: automatic top-ups are granted by these, everything else is only linked.
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "payment_intent.processing",
    # Money given back. `refund.*` covers all refunds; older endpoints know only `charge.*`.
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refunded",
    "charge.refund.updated",
    # Money taken back by the buyer's bank, and what becomes of it.
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
    # Signs of fraud: the account is looked at before a dispute comes.
    "radar.early_fraud_warning.created",
    "review.opened",
    "review.closed",
    # A subscription's periods: `invoice.paid` covers every way of paying.
    "invoice.paid",
    "invoice.payment_succeeded",
    # Periods that are not paid.
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.marked_uncollectible",
    "invoice.voided",
    "invoice.overdue",
    # Several payments of one invoice, and what is credited against it.
    "invoice_payment.paid",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
    # The subscriptions themselves; never a reason to grant.
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    # What is for sale, mirrored from Stripe to here.
    "product.created",
    "product.updated",
    "product.deleted",
    "price.created",
    "price.updated",
    "price.deleted",
    # Discounts: kept in the record; what was paid is read from the payment.
    "promotion_code.created",
    "promotion_code.updated",
    "coupon.created",
    "coupon.updated",
    "coupon.deleted",
    # Saved cards, which automatic top-up charges.
    "setup_intent.succeeded",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.updated",
    "payment_method.automatically_updated",
    # Customers: one that is gone is unlinked.
    "customer.updated",
    "customer.deleted",
)

THIN_PREFIX = "v1."

SNAPSHOT, THIN = "event", "v2.core.event"

_LISTED = frozenset(EVENT_TYPES)
_OBJECT_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)
_OBJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", re.ASCII)
"""Ids that Stripe makes are letters, digits and `_`; of products and coupons people may choose."""


def listed(event_type: str, *, thin: bool) -> bool:
    """Whether events of this type are of use."""
    if thin:
        return event_type.startswith(THIN_PREFIX) and event_type[len(THIN_PREFIX) :] in _LISTED
    return event_type in _LISTED


def object_of(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return type and id of the object an event is about; two empty texts if it names none."""
    if event.get("object") == THIN:
        related = _mapping(event.get("related_object"))
        named = related.get("type"), related.get("id")
    else:
        shown = _mapping(_mapping(event.get("data")).get("object"))
        named = shown.get("object"), shown.get("id")
    object_type, object_id = named
    if not isinstance(object_type, str) or not isinstance(object_id, str):
        return "", ""
    # The id becomes part of an address at Stripe, and an empty one would ask for the whole list.
    if not _OBJECT_TYPE.fullmatch(object_type) or not _OBJECT_ID.fullmatch(object_id):
        return "", ""
    return object_type, object_id


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
